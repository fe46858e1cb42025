"""How formulas are set: symbols, italics, scripts, and what is kept in one line."""

import re

import pytest

from arb_suite.report.notation import plain, told, typeset


def as_text(html):
    """Undo what is looked at by tests of its own: italics, scripts above each other, formulas kept together."""
    return re.sub(r"</?var>|</?span[^>]*>", "", html)


@pytest.mark.parametrize(
    ("given", "html"),
    [
        ("||Z - B||_F <= 2", "‖Z \N{MINUS SIGN} B‖<sub>F</sub> ≤ 2"),
        ("(Z^A)^T B^B", "(Z<sup>A</sup>)<sup>T</sup> B<sup>B</sup>"),
        ("z^A_1 and s_min^2", "z<sub>1</sub><sup>A</sup> and s<sub>min</sub><sup>2</sup>"),
        ("z_i^A and z^A_i", "z<sub>i</sub><sup>A</sup> and z<sub>i</sub><sup>A</sup>"),
        ("d^(3/4) sqrt(eta)", "d<sup>3/4</sup> √η"),
        ("||Z||^2 Sigma^(-1/2)", "‖Z‖<sup>2</sup> Σ<sup>\N{MINUS SIGN}1/2</sup>"),
        ("linear_top1 in audit_cells.csv, T1.rank", "linear_top1 in audit_cells.csv, T1.rank"),
        ("lambda_param 0.2, lambda = 1e-4", "lambda_param 0.2, λ = 10<sup>\N{MINUS SIGN}4</sup>"),
        ("9 m^3. <z_i, b_i>", "9 m<sup>3</sup>. ⟨z<sub>i</sub>, b<sub>i</sub>⟩"),
        ("orthogonal to (1, .., 1), P1 ... P22", "orthogonal to (1, …, 1), P1 … P22"),
        ("<b> & scipy.linalg.polar", "&lt;b&gt; &amp; scipy.linalg.polar"),
    ],
)
def test_formulas_are_set_and_names_are_not(given, html):
    assert as_text(typeset(given)) == html


@pytest.mark.parametrize(
    ("given", "italic"),
    [
        ("A view of Z tells more than a base, d > N - 1", "Z d N"),
        ("view A and view B, H(B|Z,A), I(a; z), <a, b> = 1, z_i = a and", "A B H B Z A I a z a b z i a"),
        ("Theorem 3, p. 5 with p = 0.3; W-MSE's MoCo V2, i.e. T1.rank", "p"),
        ("dL/dz_i, C_ii, s_min, lambda, Sigma", "dL dz i C ii s λ"),
    ],
)
def test_variables_are_italic_and_other_letters_are_not(given, italic):
    assert re.findall("<var>(.*?)</var>", typeset(given)) == italic.split()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("with N = 256, groups", ["N = 256,"]),
        ("is 2 (sqrt(d) - sqrt(N - 1))^2, reached", ["2 (√d \N{MINUS SIGN} √(N \N{MINUS SIGN} 1))2,"]),
        ("gains 19.70 [16.20, 23.20] in 200 of 200 cases", ["19.70 [16.20, 23.20]"]),
        ("a long one is H(B,Z|A) + H(B|A) + H(Z|A) + 1 = H(B|Z,A) + H(B|A) + H(Z|A)",
         ["H(B,Z|A) + H(B|A) + H(Z|A) + 1 =", "H(B|Z,A) + H(B|A) + H(Z|A)"]),
        ("W-MSE on CIFAR-100: a well-known one", ["W-MSE", "CIFAR-100:"]),
    ],
)  # fmt: skip
def test_formulas_and_names_are_not_broken(given, kept):
    found = re.findall(r'<span class="formula">(.*?)</span>', typeset(given))
    assert [re.sub("<[^>]*>", "", formula) for formula in found] == kept


def test_scripts_on_one_letter_stand_above_each_other():
    assert typeset("z^A_1").count('<span class="scripts">') == 1
    assert typeset("z^A_1") == typeset("z_1^A")
    assert 'class="scripts"' not in typeset("z_1 and Z^A")


def test_without_html_scripts_are_letters_of_their_own():
    assert plain("z^A_1, b_i^B, s_min^2 <= lambda, (1, .., 1), -1") == "z₁ᴬ, bᵢᴮ, sₘᵢₙ² ≤ λ, (1, …, 1), \N{MINUS SIGN}1"


def test_a_root_before_a_fraction_and_powers_with_noughts_are_not_misread():
    assert plain("sqrt(d)/N") == "(√d)/N"
    assert plain("sqrt(d) is") == "√d is"
    assert plain("1e-06 and 2.7e-34") == "10⁻⁶ and 2.7 \N{MULTIPLICATION SIGN} 10⁻³⁴"
    assert plain("0.2 x batch / 256, rates x 2") == "0.2 \N{MULTIPLICATION SIGN} batch / 256, rates \N{MULTIPLICATION SIGN} 2"


def test_notes_have_the_names_that_people_use():
    said = told("linear_top1; chosen: lambda_param 0.2; otherwise as barlow_twins_d32")
    assert "lambda_param" not in said
    assert "λ" in said
    assert "<code>barlow_twins_d32</code>" in said
