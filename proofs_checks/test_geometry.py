"""How points and bases lie: each assertion of the checks is the one that notices some fault."""

import pytest

from proofs_checks import geometry
from proofs_checks.judge import THEORY
from proofs_checks.mutants import MUTANTS, uncertified, wrong_where


@pytest.mark.parametrize(
    ("name", "spectrum"),
    [
        ("z", (3, 8)),
        ("base", ("4/5", "15/17")),
        ("right", ("4/5", "9/17")),
        ("right", ("-4/5", "8/17")),
        ("left", ("-1/5", "-8/17")),
        ("left", ("-9/5", "-9/17")),
    ],
)
def test_a_base_with_a_ridge_is_certified_by_the_root_of_either_side(monkeypatch, name, spectrum):
    geometry._of_both_sides()
    monkeypatch.setitem(geometry.SPECTRA, name, spectrum)
    with pytest.raises(AssertionError):
        geometry._of_both_sides()


@pytest.mark.parametrize("replaced", [[1, 1, 1, 1], [1, -1, 1, -1]], ids=["not centred", "one column twice"])
def test_three_columns_are_centred_and_orthonormal(monkeypatch, replaced):
    rows = [[entry, *row[1:]] for entry, row in zip(replaced, geometry.TETRAHEDRON, strict=True)]
    monkeypatch.setattr(geometry, "TETRAHEDRON", rows)
    with pytest.raises(AssertionError):
        geometry.three_by_four()


@pytest.mark.parametrize(("shape", "ridge"), [((4, 2), 0), ((4, 2), 16), ((2, 4), 16), ((2, 2), 0), ((4, 12), 0)])
def test_each_base_that_is_known_exactly_is_compared(shape, ridge):
    with pytest.raises(AssertionError):
        geometry.certify(wrong_where(lambda z, r: (z.shape, r) == (shape, ridge)))


def test_a_scaling_that_is_known_exactly_is_compared():
    with pytest.raises(AssertionError):
        geometry.certify(MUTANTS["no centring"])


def test_a_fault_that_no_drawn_case_has_is_noticed():
    """The ridge is 16 in the certificate alone."""
    with pytest.raises(AssertionError):
        THEORY["X3"](wrong_where(lambda z, ridge: ridge == 16))


def test_equidistant_points_are_distinct(monkeypatch):
    monkeypatch.setattr(geometry, "TETRAHEDRON", [[1, 1, 1]] * 4)
    with pytest.raises(AssertionError):
        THEORY["X2"]()


def test_bases_of_both_levels_that_are_wrong_alike_are_noticed():
    with pytest.raises(AssertionError):
        THEORY["X3"](wrong_where(uncertified))


def test_bases_of_both_levels_that_differ_are_noticed():
    """Without full column rank SciPy has nothing to say about the limit, and only the two are compared."""
    wrong = wrong_where(lambda z, ridge: uncertified(z, ridge) and ridge == 0 and z.shape[1] > z.shape[0])
    assert THEORY["X3"](wrong).verdict != THEORY["X3"]().verdict
