"""Theorem 3: entropies against numbers known by hand, and each assertion is the one that notices some fault."""

from fractions import Fraction
from math import log2

import numpy as np
import pytest

from proofs_checks import ensembles
from proofs_checks.information import both, entropy, gaussian_information, information
from proofs_checks.matrices import OURS, Implementation

DICE = {(i, i, i % 2): Fraction(1, 4) for i in range(4)}  # A = Z, of four values, and B their parity


def test_entropies_by_hand():
    assert [entropy(DICE, *names) for names in ("Z", "B", "BZ", "ZB", "AZ")] == [2, 1, 0, 1, 0]
    assert both(DICE) == (2, 1)
    assert information(DICE, "A", "Z", "B") == 1
    assert entropy({(0, 0, 0): 0.25, (1, 1, 1): 0.75}, "A") == pytest.approx(0.25 * 2 - 0.75 * log2(0.75))


def test_fractions_that_have_no_exact_entropy_are_refused():
    for p in (Fraction(1, 3), Fraction(1, 4)):  # 1/4 and 3/4
        with pytest.raises(AssertionError):
            entropy({(0, 0, 0): p, (1, 1, 1): 1 - p}, "A")


def test_the_information_of_gaussian_rows():
    correlation = 0.6
    covariance = np.array([[1, correlation], [correlation, 1]])
    for to in (1.0, -3.0):  # no scale changes it
        found = gaussian_information(covariance, np.array([[to]]))
        assert found == pytest.approx(-log2(1 - correlation**2) / 2)


@pytest.mark.parametrize(
    "wrong",
    [
        Implementation(lambda z: OURS.scale(z) * (1 + 1e-6), OURS.base),
        Implementation(OURS.scale, lambda z, ridge: OURS.base(z, ridge) * (1 + 1e-6)),
    ],
    ids=["scaling", "base"],
)
def test_what_is_computed_for_a_known_base_is_that(wrong):
    z, base = ensembles.certified(0, 0)
    assert np.allclose(ensembles.known_base(OURS, z, base), base)
    with pytest.raises(AssertionError):
        ensembles.known_base(wrong, z, base)


@pytest.mark.parametrize("root", [(4, 3, 7), (3, 4, 5)], ids=["columns not of norm 1", "a root that is not positive definite"])
def test_matrices_by_hand_are_certified(monkeypatch, root):
    monkeypatch.setattr(ensembles, "ROOTS", [root])
    with pytest.raises(AssertionError):
        ensembles.certified(0, 0)
