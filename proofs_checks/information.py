"""Entropies and mutual informations: of finite laws of Z^A, Z^B and B^B, and of Gaussian rows; in bits."""

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from math import log, log2

import numpy as np

from .matrices import Matrix

__all__ = ["Law", "Number", "both", "draw_weights", "entropy", "gaussian_information", "information", "labelled", "marginal"]

Number = Fraction | float
Law = dict[tuple, Number]  # of outcomes (a, z, b) of Z^A, Z^B and B^B


def marginal(law: Law, names: str) -> Law:
    """Return the law of some of A, Z, B, in the order of their names."""
    places = ["AZB".index(name) for name in names]
    sums: Law = defaultdict(int)
    for outcome, p in law.items():
        sums[tuple(outcome[place] for place in places)] += p
    return sums


def _surprise(p: Number) -> Number:
    """Return -log2(p): exactly for a power of 1/2 that is given as a fraction, and no other fraction will do."""
    if isinstance(p, Fraction):
        assert p.numerator == p.denominator.bit_count() == 1
        return Fraction(p.denominator.bit_length() - 1)
    return -log2(p)


def entropy(law: Law, of: str, given: str = "") -> Number:
    """
    Return H(of | given), the entropy of some of A, Z, B averaged over what others may be.

    Parameters
    ----------
    law : dict
        Probabilities of outcomes (a, z, b), that add up to 1; fractions are kept
        exact, and then all that occur have to be powers of 1/2.
    of, given : str
        Names among "A", "Z" and "B", such as "BZ".

    Returns
    -------
    Fraction or float
        In bits.

    """
    condition = marginal(law, given)
    return sum(p * _surprise(p / condition[key[len(of) :]]) for key, p in marginal(law, of + given).items())


def information(law: Law, one: str, two: str, given: str = "") -> Number:
    """Return I(one; two | given) in bits."""
    return entropy(law, one, given) - entropy(law, one, two + given)


def gaussian_information(covariance: Matrix, to: Matrix) -> float:
    """Return I(a; to^T z) in bits, for Gaussian rows a and z of one length and `to` of full column rank."""
    d = len(covariance) // 2
    maps = np.block([[np.eye(d), np.zeros_like(to)], [np.zeros((d, d)), to]])
    joint = maps.T @ covariance @ maps
    a, b, whole = (np.linalg.slogdet(part)[1] / log(4) for part in (joint[:d, :d], joint[d:, d:], joint))
    return float(a + b - whole)


def both(law: Law) -> tuple[Number, Number]:
    """Return I(Z^A; Z^B) and I(Z^A; B^B)."""
    return information(law, "A", "Z"), information(law, "A", "B")


def labelled(outcomes: Sequence[Matrix]) -> list[int]:
    """Give outcomes that are equal, to rounding, one number."""
    return [next(i for i, first in enumerate(outcomes) if np.abs(first - outcome).max() < 1e-9) for outcome in outcomes]


def draw_weights(rng: np.random.Generator, labels: Sequence[int]) -> dict[tuple[int, int], float]:
    """Draw a law of A and of outcomes, labelled: any law; A a function of the outcome; A independent of it given the label."""
    kind, size = rng.integers(3), (int(rng.integers(2, 6)), len(labels))
    weights = rng.exponential(size=size)
    if kind == 0:
        weights *= rng.random(size) < 0.7
        weights[0, 0] = 1
    elif kind == 1:
        weights *= np.arange(size[0])[:, None] == rng.integers(0, size[0], size[1])
    else:
        weights = weights[:, list(labels)] * rng.exponential(size=size[1])
    return {place: float(p) for place, p in np.ndenumerate(weights / weights.sum()) if p > 0}
