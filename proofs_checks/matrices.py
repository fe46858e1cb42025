"""Matrices to try a claim on: drawn by their singular values and vectors, and what is done to them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from arb_core import nearest_orthonormal_basis, standard_scale
from numpy.typing import NDArray

__all__ = [
    "OURS",
    "Implementation",
    "Matrix",
    "centred",
    "deficient",
    "descent",
    "orthonormal",
    "pairs",
    "rotation",
    "tall",
    "with_spectrum",
]

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Implementation:
    """
    What the checks are about; tests plant wrong ones.

    Attributes
    ----------
    scale : callable
        Eq. 7: (N, d) to (N, d); raises ValueError where it is not defined.
    base : callable
        Theorem 1 and Eq. 9: (N, d) and a ridge to (N, d).

    """

    scale: Callable[[Matrix], Matrix]
    base: Callable[[Matrix, float], Matrix]


def _scale(z: Matrix) -> Matrix:
    return standard_scale(torch.from_numpy(z)).numpy()


def _base(z: Matrix, ridge: float) -> Matrix:
    return nearest_orthonormal_basis(torch.from_numpy(z), ridge=ridge).numpy()


OURS = Implementation(_scale, _base)


def orthonormal(rng: np.random.Generator, n: int, d: int) -> Matrix:
    """Draw an (n, d) matrix with orthonormal columns, uniformly."""
    q, r = np.linalg.qr(rng.standard_normal((n, d)))
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)


def centred(rng: np.random.Generator, n: int) -> Matrix:
    """Draw an orthonormal basis, (n, n - 1), of the vectors that sum to 0."""
    return np.linalg.qr(np.column_stack([np.ones(n), rng.standard_normal((n, n - 1))]))[0][:, 1:]


def with_spectrum(rng: np.random.Generator, s: Matrix, n: int) -> Matrix:
    """Draw an (n, d) matrix with the d singular values `s`, n >= d; both sets of singular vectors are uniform."""
    d = len(s)
    return (orthonormal(rng, n, d) * s) @ orthonormal(rng, d, d).T


def _singular_values(rng: np.random.Generator, d: int) -> Matrix:
    """Draw d singular values: spread over magnitudes, all equal, in equal pairs, or with one that is tiny or huge."""
    kind = rng.integers(5)
    s = 10.0 ** rng.uniform(-1.5, 1.5, d)
    if kind == 1:
        s[:] = s[0]
    elif kind == 2:
        s[1::2] = s[: d - d % 2 : 2]
    elif kind == 3:
        s[0] = 1e-4
    elif kind == 4:
        s[0] = 1e4
    return s


def tall(rng: np.random.Generator, most: int = 10) -> Matrix:
    """Draw a matrix of full column rank, N >= d, d from 1 to `most`."""
    d = int(rng.integers(1, most + 1))
    return with_spectrum(rng, _singular_values(rng, d), d + int(rng.integers(0, 6)))


def deficient(rng: np.random.Generator, most: int = 8) -> Matrix:
    """Draw a matrix, N >= d, some of whose singular values are 0."""
    d = int(rng.integers(2, most + 1))
    s = 10.0 ** rng.uniform(-1, 1, d)
    s[: int(rng.integers(1, d))] = 0.0
    return with_spectrum(rng, s, d + int(rng.integers(0, 4)))


def pairs(rng: np.random.Generator, implementation: Implementation = OURS) -> tuple[Matrix, Matrix]:
    """
    Draw two views, scaled: unrelated, related, of one base, or nearly collapsed; N > d, so that they have full column rank.

    d is from 1 to 10.
    """
    d = int(rng.integers(1, 11))
    n = d + 1 + int(rng.integers(0, 6))
    a, b = rng.standard_normal((2, n, d))
    kind = rng.integers(4)
    if kind == 1:
        b = a + 10.0 ** rng.uniform(-3, 0.5) * b
    elif kind == 2:
        base = orthonormal(rng, n - 1, d)
        space = centred(rng, n)
        a, b = (space @ base @ _spd(rng, d) for _ in range(2))
    elif kind == 3:
        a, b = (rng.standard_normal((n, 1)) + 10.0 ** rng.uniform(-2, 0) * z for z in (a, b))
    return implementation.scale(a), implementation.scale(b)


def _spd(rng: np.random.Generator, d: int) -> Matrix:
    q = orthonormal(rng, d, d)
    return (q * 10.0 ** rng.uniform(-1, 1, d)) @ q.T


def rotation(rng: np.random.Generator, n: int, angle: float) -> Matrix:
    """Draw an orthogonal matrix that differs from the identity by about an angle (Cayley transform)."""
    skew = rng.standard_normal((n, n))
    skew = angle / 2 * (skew - skew.T)
    return np.linalg.solve(np.eye(n) + skew, np.eye(n) - skew)


def descent(z: Matrix, b: Matrix, steps: int = 60) -> Iterator[Matrix]:
    """Descend ||Z - B||^2 over B^T B = I by projected gradients and QR, which share nothing with the closed form."""
    for _ in range(steps):
        q, r = np.linalg.qr(b + 0.5 * z / np.linalg.norm(z, 2))
        b = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        yield b
