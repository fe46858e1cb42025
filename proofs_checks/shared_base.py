"""Embeddings of three samples that share a base, exactly: what Theorem 3 is about, in its smallest form."""

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from flint import fmpq

from . import exact
from .ensembles import Ensemble, known_base
from .information import Law, marginal
from .matrices import Implementation

__all__ = ["BATCHES", "ENCODERS", "FAMILY", "as_ensemble", "correlation", "law_of", "twins"]

# Raw embeddings: the first three have one base, the last has its columns exchanged
FAMILY = {
    "Z_1": [[1, 0], [0, 1], [0, 0]],
    "Z_2": [[2, 1], [1, 2], [0, 0]],
    "Z_3": [[3, 1], [1, 3], [0, 0]],
    "Z_4": [[0, 1], [1, 0], [0, 0]],
}
# What two encoders make of three batches, and how probable the batches are
ENCODERS = ("Z_1", "Z_2", "Z_3"), ("Z_1", "Z_4", "Z_4")
BATCHES = Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)


def base_of(name: str) -> str:
    """
    Tell whether a matrix of the family, after Eq. 7, has the base of the first one or that with its columns exchanged.

    Let X and Y = X S be centred, each with columns of one norm, so that Eq. 7 is one factor. If S is symmetric, positive
    definite and commutes with G = X^T X, then Y = (X G^(-1/2)) (G^(1/2) S) is a polar decomposition: Y has the base of X. If S
    exchanges columns, Y has that base with its columns exchanged.
    """
    x, y = exact.centred(FAMILY["Z_1"]), exact.centred(FAMILY[name])
    gram = x.transpose() * x
    s = gram.inv() * x.transpose() * y
    assert x * s == y
    assert all(len({str(m[i, i]) for i in range(2)}) == 1 for m in (gram, y.transpose() * y))
    if exact.positive_definite(s) and s * gram == gram * s:
        return "B"
    assert s == exact.rational([[0, 1], [1, 0]])
    return "B exchanged"


def correlation(name: str) -> fmpq:
    """Return the inner product of the two features after Eq. 7."""
    gram = exact.centred(FAMILY[name]).transpose() * exact.centred(FAMILY[name])
    return gram[0, 1] / gram[0, 0]


def law_of(outcomes: Sequence[str], probabilities: Sequence[Fraction], view: str = "") -> Law:
    """Return the law of Z^A, Z^B and B^B, for outcomes of Z^B from the family and Z^A = Z^B, or Z^A as given."""
    law: Law = defaultdict(Fraction)
    for name, p in zip(outcomes, probabilities, strict=True):
        law[view or name, name, base_of(name)] += p
    names = sorted({name for _, name, _ in law})
    different = {(str(correlation(name)), base_of(name)) for name in names}  # P and B of Z = B P
    assert len(different) == len(names)
    return dict(law)


def as_ensemble(law: Law, implementation: Implementation) -> Ensemble:
    """Return a law with its matrices, after comparing what an implementation makes of them."""
    views = []
    for (name,) in marginal(law, "Z"):
        z = exact.scaled_ball(FAMILY[name])
        view, base = (np.array([[float(entry.mid()) for entry in row] for row in m.tolist()]) for m in (z, exact.base_ball(z)))
        known_base(implementation, view, base)
        views.append(view)
    return Ensemble(tuple(views), law)


def twins(view: str = "") -> Law:
    """Return the law of two equally likely embeddings with one base."""
    return law_of(("Z_1", "Z_2"), (Fraction(1, 2), Fraction(1, 2)), view)
