"""The ledger: every claim is decided, gets another verdict where it is corrected or perturbed, and no wrong code passes.

No verdict is written down here: they are compared with those of the other statement, of wrong implementations, and with the
results on record.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from arb_suite.audit.claims import COLUMNS
from proofs_checks import cost, exact, geometry, theorem_2
from proofs_checks.judge import QUICK, THEORY, Statement, judge
from proofs_checks.ledger import ledger_row, read_ledger
from proofs_checks.matrices import OURS
from proofs_checks.mutants import MUTANTS

ROOT = Path(__file__).parents[1]
CLAIMS = [entry["id"] for entry in read_ledger()]
VERDICTS = {"holds", "conditional", "refuted", "ill-posed", "inconclusive"}
LITTLE = replace(QUICK, cases=40, starts=4, steps=20)
BY_HAND = ["T2.one.diag", "T2.sum.diag"]  # whose numbers other sections use
WITHOUT_CODE = {"X1", "X2"}  # about the cost of a formula, and about points: no base, no scaling
claims = pytest.mark.parametrize("claim", CLAIMS, ids=[f"{claim}-" for claim in CLAIMS])


@pytest.fixture(scope="module")
def reference():
    table = pd.read_csv(ROOT / "results/reference/claims.csv", dtype=str, keep_default_na=False)
    return table.set_index("id")


def test_the_ledger_has_every_claim_of_the_paper_page_and_each_has_a_check():
    page = (ROOT / "workflow/paper/paper.md").read_text(encoding="utf-8")
    listed = re.search(r"Rows of the ledger, at least: (.*?), and P1", page, re.DOTALL)
    assert listed is not None
    assert set(listed[1].split()) <= set(CLAIMS)
    assert len(CLAIMS) == len(set(CLAIMS))
    assert set(THEORY) == set(CLAIMS)
    assert all(entry["source"] == ("ours" if entry["id"].startswith("O") else "printed") for entry in read_ledger())


@claims
def test_decided(claim, decided, reference):
    row = ledger_row(claim)
    decided(claim, row["verdict"], row["claim"])
    assert set(row) == set(COLUMNS)
    assert row["verdict"] in VERDICTS
    assert len(row["evidence"]) > 30
    if row["verdict"] == "conditional":
        assert row["condition"]
    if row["verdict"] in ("refuted", "ill-posed"):
        assert row["correction"]
    if row["verdict"] == "inconclusive":
        assert re.search(r"of \d+ cases", row["evidence"])
    assert row["verdict"] == reference.loc[claim, "verdict"]
    assert row["evidence"] == reference.loc[claim, "evidence"]


@claims
def test_the_corrected_or_perturbed_claim_gets_another_verdict(claim):
    other = THEORY[claim](other=True).verdict
    assert other in VERDICTS
    assert other != THEORY[claim]().verdict


@pytest.fixture(scope="module")
def verdicts():
    return {claim: THEORY[claim](effort=LITTLE).verdict for claim in CLAIMS}


def turned_away(claim, mutant, verdict):
    """Tell whether a check notices: it gives another verdict, or stops at what cannot be."""
    try:
        return THEORY[claim](MUTANTS[mutant], effort=LITTLE).verdict != verdict
    except AssertionError:
        return True


@pytest.mark.filterwarnings("ignore")  # of what wrong code divides by
@claims
def test_no_check_passes_every_wrong_implementation(claim, verdicts):
    killed = {mutant for mutant in MUTANTS if turned_away(claim, mutant, verdicts[claim])}
    if claim in WITHOUT_CODE:
        assert killed == set()
    else:
        assert killed & {"exponent -1", "no centring", "base := embedding"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mutant", MUTANTS)
def test_no_wrong_implementation_passes_every_check(mutant, verdicts):
    assert any(turned_away(claim, mutant, verdicts[claim]) for claim in CLAIMS if claim != "T5.escape")


def test_points_that_are_not_equidistant_are_turned_away(monkeypatch):
    monkeypatch.setattr(geometry, "TETRAHEDRON", [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [1, 1, -1]])
    with pytest.raises(AssertionError):
        THEORY["X2"]()


def test_a_costlier_algorithm_on_the_smaller_side_is_noticed(monkeypatch, verdicts):
    monkeypatch.setattr(cost, "smaller_side", cost.formula)
    assert THEORY["X1"]().verdict != verdicts["X1"]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_statement_is_judged_by_its_cases(sign):
    def gap(x):
        return sign * x

    found = judge(Statement(gap, lambda rng: float(rng.uniform(0.5, 1)), proved=True))
    assert found.verdict == ("refuted" if sign > 0 else "holds")
    assert found.drawn == (1 if sign > 0 else QUICK.cases)
    unproved = judge(Statement(gap, lambda rng: -sign * 1.0))
    assert unproved.verdict == "inconclusive"
    with pytest.raises(AssertionError, match="not a number"):
        judge(Statement(lambda x: np.nan, lambda rng: 0.0))


def test_a_violation_is_found_by_ascent_where_no_case_is_drawn():
    found = judge(Statement(lambda x: x, lambda rng: -1.0, climb=lambda effort: iter([-0.5, 0.5])))
    assert (found.verdict, found.climbed, found.largest) == ("refuted", 2, 0.5)


def test_random_cases_alone_miss_a_counterexample_that_exists():
    """For the Frobenius reading, both directions: why counterexamples are climbed to and stored."""

    def gap(views):
        a, b = views
        bases = [OURS.base(z, 0.0) for z in views]
        eye = np.eye(a.shape[1])
        loss = ((eye - a.T @ bases[1]) ** 2).sum() + ((eye - b.T @ bases[0]) ** 2).sum()
        return float(((1 - (a * b).sum(0)) ** 2).sum() - loss)

    def draw(rng):
        return tuple(OURS.scale(z) for z in rng.standard_normal((2, 6, 4)))

    assert judge(Statement(gap, draw), replace(QUICK, cases=2000)).verdict != "refuted"
    stored = tuple(OURS.scale(np.array(rows, float)) for rows in theorem_2.SIX_SAMPLES)
    assert judge(Statement(gap, draw, known=(stored,))).verdict == "refuted"


def test_certificates_refuse_what_is_not_a_base():
    a, _, base = theorem_2.counterexample()
    exact.certify_base(a, base)
    for wrong in (-base, a, base * exact.rational([[0, 1], [1, 0]])):
        with pytest.raises(AssertionError):
            exact.certify_base(a, wrong)
    with pytest.raises(AssertionError):
        exact.certify_scaled(exact.rational([[1, 1], [-1, 0]]))


def test_balls_contain_the_floats():
    for rows in theorem_2.SIX_SAMPLES:
        z = OURS.scale(np.array(rows, float))
        ball = exact.scaled_ball(rows)
        base = exact.base_ball(ball)
        for found, matrix in ((ball, z), (base, OURS.base(z, 0.0))):
            values = np.array([[float(entry.mid()) for entry in row] for row in found.tolist()])
            np.testing.assert_allclose(values, matrix, rtol=0, atol=1e-12)
            assert max(float(entry.rad()) for row in found.tolist() for entry in row) < 1e-40


PAGE = (ROOT / "proofs_checks/README.md").read_text(encoding="utf-8")
NUMBER = r"(?<![\w.])\d+\.\d+|(?<![\w./])\d+/\d+(?![\w/])|(?<![\w.^{/])\d{3,}(?![\w.])|\d+ of \d+"


def numbers_of(text):
    """Return the decimals, fractions, counts and large whole numbers of a text, in LaTeX or not."""
    text = re.sub(r"\\t?frac(?:\{(\d+)\}|(\d))\s*(?:\{(\d+)\}|(\d))", lambda m: f" {m[1] or m[2]}/{m[3] or m[4]} ", text)
    text = re.sub(r"(?:Eqs?\.|secs?\.|pp?\.|CVPR)[~ ]*[\d.,\- ]+", "", text)
    return set(re.findall(NUMBER, text))


def test_every_number_of_the_page_is_one_of_the_ledger(reference):
    """In each section, one of the claims that its heading names; elsewhere, one of any claim."""
    theory = reference[~reference.index.str.startswith("P")]
    ledger = " ".join(theory.to_numpy().ravel())
    assert len(numbers_of(PAGE)) > 60
    assert {n for n in numbers_of(PAGE) if n not in ledger} == set()
    sections = re.split(r"^(?:###? |- \*\*)", PAGE, flags=re.MULTILINE)
    assert len(sections) > 30
    for section in sections:
        claims = [claim for claim in re.findall(r"`([A-Z]\d?[\w.]*)`", section.splitlines()[0]) if claim in theory.index]
        own = " ".join(theory.loc[claims].to_numpy().ravel()) + " ".join(
            theory.loc[["T2.one.diag", "T2.sum.diag"]].to_numpy().ravel()
        )
        if claims:
            assert {n for n in numbers_of(section) if n not in own} <= {"1/2"}, claims  # that one stands in formulas


def test_the_matrices_of_the_page_are_the_stored_ones():
    blocks = [re.findall(r"-?\d+", block) for block in re.findall(r"\\begin\{pmatrix\}(.*?)\\end\{pmatrix\}", PAGE, re.DOTALL)]
    large = [[int(entry) for entry in block] for block in blocks if len(block) > 4]
    assert large == [[entry for row in rows for entry in row] for rows in theorem_2.SIX_SAMPLES]


def test_an_unknown_claim_is_refused():
    with pytest.raises(LookupError, match=r"no claim T9; it has T1\.argmin"):
        ledger_row("T9")
