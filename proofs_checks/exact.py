"""Arithmetic without rounding: rationals, and balls that are sure to contain the number (FLINT).

A claim that fails in these fails; the other modules compute in float64.
"""

from collections.abc import Sequence

import numpy as np
from flint import acb_mat, arb, arb_mat, ctx, fmpq, fmpq_mat

from .matrices import Matrix

__all__ = [
    "base_ball",
    "cayley",
    "centred",
    "certify_base",
    "certify_scaled",
    "floats",
    "positive_definite",
    "rational",
    "scaled_ball",
]

ctx.prec = 200  # bits


def rational(rows: Sequence[Sequence[str | int]], over: int = 1) -> fmpq_mat:
    """Return a matrix of rationals, each entry divided by `over`."""
    return fmpq_mat([[fmpq(*map(int, str(entry).split("/"))) / over for entry in row] for row in rows])


def floats(matrix: fmpq_mat) -> Matrix:
    """Return a matrix of rationals in float64."""
    return np.array([[float(entry.p) / float(entry.q) for entry in row] for row in matrix.tolist()])


def cayley(skew: Matrix) -> fmpq_mat:
    """Return (I + K)^(-1) (I - K), which is orthogonal, for a skew-symmetric K of whole numbers."""
    identity = np.eye(len(skew), dtype=int)
    return rational((identity + skew).tolist()).inv() * rational((identity - skew).tolist())


def centred(rows: Sequence[Sequence[int]]) -> fmpq_mat:
    """Return a matrix of whole numbers less the mean of each column."""
    means = [fmpq(sum(column), len(column)) for column in zip(*rows, strict=True)]
    return fmpq_mat([[entry - mean for entry, mean in zip(row, means, strict=True)] for row in rows])


def positive_definite(matrix: fmpq_mat) -> bool:
    """Tell whether a matrix is symmetric and positive definite, by Sylvester's criterion."""
    rows = matrix.tolist()
    minors = (fmpq_mat([row[: k + 1] for row in rows[: k + 1]]).det() for k in range(len(rows)))
    return matrix == matrix.transpose() and all(minor > 0 for minor in minors)


def certify_scaled(z: fmpq_mat) -> None:
    """Make sure that a matrix is standard-scaled: every column sums to 0 and has norm 1."""
    for column in z.transpose().tolist():
        assert sum(column, fmpq(0)) == 0
        assert sum((entry * entry for entry in column), fmpq(0)) == 1


def certify_base(z: fmpq_mat, b: fmpq_mat) -> None:
    """
    Make sure that B is the polar factor of Z.

    Z = B P with B^T B = I and P symmetric positive definite: by the uniqueness of
    the polar decomposition that is enough. With P = B^T Z, Z = B P makes P = B^T B P,
    so that B^T B = I needs no test where P has an inverse.
    """
    p = b.transpose() * z
    assert b * p == z
    assert positive_definite(p)


def scaled_ball(rows: Sequence[Sequence[int]]) -> arb_mat:
    """Scale a matrix of whole numbers as in Eq. 7."""
    columns = []
    for column in zip(*rows, strict=True):
        mean = fmpq(sum(column), len(column))
        centred = [entry - mean for entry in column]
        norm = arb(sum((entry * entry for entry in centred), fmpq(0))).sqrt()
        columns.append([arb(entry) / norm for entry in centred])
    return arb_mat([list(row) for row in zip(*columns, strict=True)])


def base_ball(z: arb_mat, ridge: arb | int = 0) -> arb_mat:
    """Return Z (Z^T Z + lambda I)^(-1/2) for a matrix of full column rank whose singular values are all different."""
    eigenvalues, right = acb_mat(z.transpose() * z).eig(right=True)
    d = len(eigenvalues)
    roots = acb_mat([[1 / (eigenvalues[i] + ridge).sqrt() if i == j else 0 for j in range(d)] for i in range(d)])
    inverse_root = right * roots * right.inv()
    return z * arb_mat([[inverse_root[i, j].real for j in range(d)] for i in range(d)])
