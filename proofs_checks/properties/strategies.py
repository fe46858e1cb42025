"""Matrices for Hypothesis: drawn by left vectors, singular values and right vectors, and views drawn by how they are related.

`matrices` draws with a random generator, for the ledger. These strategies let Hypothesis choose, which tries extremes and makes
what fails small: singular values that are repeated, tiny, huge or zero; N below, at and above d; axes, rational orthonormal
vectors (Cayley) and uniform ones; features that are equal, opposite or nearly so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import fmpq_mat
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ..exact import cayley, floats, rational
from ..matrices import Matrix, centred, orthonormal, rotation

__all__ = [
    "EXTREMES",
    "KINDS",
    "SHAPES",
    "Competition",
    "Law",
    "Spectral",
    "Views",
    "competitions",
    "describe",
    "laws",
    "matrices",
    "orthonormals",
    "rational_bases",
    "ridges",
    "views",
]

MOST = 8  # of N and d
SHAPES = ("N < d", "N = d", "N > d")
EXTREMES = ("zero", "repeated", "tiny or huge", "collapsed", "nearly")
EXTREME = (1e-5, 1e5)
seeds = st.integers(0, 2**32 - 1)


def _powers_of_ten(least: float, most: float) -> st.SearchStrategy[float]:
    return st.floats(least, most).map(lambda x: 10.0**x)


ridges = st.sampled_from([1e-4, 1e-8, 1.0]) | _powers_of_ten(-8, 1)  # the paper's first
KINDS = ("whole numbers", "unrelated", "related", "same", "one base", "orthonormal", "collapsed", "nearly")


@dataclass(frozen=True)
class Spectral:
    """
    A matrix by its singular values and vectors: closed forms need no decomposition.

    Attributes
    ----------
    u : (N, k) ndarray
        Left vectors, k = min(N, d).
    s : (k,) ndarray
        Singular values in no order; some may be 0.
    v : (d, k) ndarray
        Right vectors.

    """

    u: Matrix
    s: Matrix
    v: Matrix

    @property
    def z(self) -> Matrix:
        """The matrix, (N, d)."""
        return self.with_values(self.s)

    @property
    def largest(self) -> float:
        """The largest singular value, or 1 for the zero matrix."""
        return float(self.s.max()) or 1.0

    def with_values(self, values: Matrix) -> Matrix:
        """Return the matrix with the same vectors and other singular values."""
        return (self.u * values) @ self.v.T


@dataclass(frozen=True)
class Competition:
    """A matrix of full column rank, and an orthonormal matrix that competes with its base."""

    matrix: Spectral
    rival: Matrix


@dataclass(frozen=True)
class Views:
    """
    Two views of a batch, raw.

    Attributes
    ----------
    a, b : (N, d) ndarray
        No column is constant.
    kind : str
        How they were drawn.

    """

    a: Matrix
    b: Matrix
    kind: str


@dataclass(frozen=True)
class Law:
    """A law of pairs of a label and of an embedding matrix: the matrices, and the weight of each pair, whole numbers."""

    matrices: tuple[Matrix, ...]
    weights: Matrix


def _skew(n: int) -> st.SearchStrategy[Matrix]:
    """Draw a skew-symmetric matrix of small whole numbers."""

    def fill(entries: Matrix) -> Matrix:
        k = np.zeros((n, n), dtype=int)
        k[np.triu_indices(n, 1)] = entries
        return k - k.T

    return arrays(int, n * (n - 1) // 2, elements=st.integers(-3, 3), fill=st.just(0)).map(fill)


def _signs(d: int) -> st.SearchStrategy[Matrix]:
    return arrays(float, d, elements=st.sampled_from([1.0, -1.0]))


@st.composite
def orthonormals(draw: st.DrawFn, n: int, d: int) -> Matrix:
    """Draw orthonormal columns, (n, d), n >= d: axes, in order or not, rational ones (Cayley) or uniform ones."""
    kind = draw(st.sampled_from(["axes", "any axes", "Cayley", "uniform"]))
    if kind == "axes":
        return np.eye(n, d)
    if kind == "Cayley":
        return floats(cayley(draw(_skew(n))))[:, :d]
    rng = np.random.default_rng(draw(seeds))
    if kind == "any axes":
        return np.eye(n)[:, rng.permutation(n)[:d]] * rng.choice([-1.0, 1.0], d)
    return orthonormal(rng, n, d)


@st.composite
def singular_values(draw: st.DrawFn, k: int, zeros: bool) -> Matrix:
    """Draw k singular values: repeated more often than not, at most one of them tiny or huge, some 0 if `zeros`."""
    s = draw(arrays(float, k, elements=_powers_of_ten(-1.5, 1.5), fill=st.sampled_from([1.0, 0.5, 3.0])))
    extreme = draw(st.sampled_from([None, *EXTREME]))
    if extreme:
        s[draw(st.integers(0, k - 1))] = extreme
    if zeros:
        s[: draw(st.integers(0, k))] = 0.0
    return s


@st.composite
def matrices(draw: st.DrawFn, full_column_rank: bool | None = None) -> Spectral:
    """Draw a matrix by its singular values and vectors; N >= d where it is said whether the column rank is full."""
    n, d = draw(st.integers(1, MOST)), draw(st.integers(1, MOST))
    n = n if full_column_rank is None else max(n, d)
    k = min(n, d)
    s = draw(singular_values(k, zeros=not full_column_rank))
    if full_column_rank is False:
        s[0] = 0.0
    return Spectral(draw(orthonormals(n, k)), s, draw(orthonormals(d, k)))


@st.composite
def competitions(draw: st.DrawFn) -> Competition:
    """Draw a matrix and a rival of its base: any one, the base turned by an angle on either side, or with signs changed."""
    matrix = draw(matrices(full_column_rank=True))
    (n, d), base = matrix.z.shape, matrix.with_values(np.ones_like(matrix.s))
    kind = draw(st.sampled_from(["any", "left", "right", "signs"]))
    if kind == "any":
        return Competition(matrix, draw(orthonormals(n, d)))
    if kind == "signs":
        return Competition(matrix, base * draw(_signs(d)))
    size, angle = n if kind == "left" else d, draw(_powers_of_ten(-6, 0.5))
    turn = rotation(np.random.default_rng(draw(seeds)), size, angle)
    return Competition(matrix, turn @ base if kind == "left" else base @ turn)


@st.composite
def rational_bases(draw: st.DrawFn) -> tuple[fmpq_mat, fmpq_mat]:
    """Draw Z = B P and B, in rationals: B has orthonormal columns (Cayley), P = Q^T diag Q is positive definite."""
    d = draw(st.integers(1, 4))
    q, base = cayley(draw(_skew(d))), cayley(draw(_skew(d + draw(st.integers(0, 2)))))
    base = fmpq_mat([row[:d] for row in base.tolist()])
    halves = draw(arrays(int, d, elements=st.integers(1, 6)))
    return base * q * rational(np.diag(halves).tolist(), over=2) * q.transpose(), base


def _whole_numbers(n: int, d: int) -> st.SearchStrategy[Matrix]:
    """Draw a matrix of small whole numbers without a constant column."""

    def vary(z: Matrix) -> Matrix:
        z[0, (z == z[0]).all(axis=0)] += 1.0
        return z

    return arrays(float, (n, d), elements=st.integers(-4, 4).map(float), fill=st.just(0.0)).map(vary)


@st.composite
def views(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS, least_rows: Callable[[int], int] = lambda d: 2) -> Views:
    """
    Draw raw views.

    Parameters
    ----------
    draw : callable
        Given by Hypothesis.
    kinds : tuple of str
        Of which kinds: "whole numbers"; "unrelated", uniform; "related", the second is the first and noise; "same" twice;
        "one base", B P and B Q for positive definite P, Q; "orthonormal", near B twice; "collapsed", features repeated, with
        signs, the same ones in both views; "nearly", these and noise.
    least_rows : callable
        From d to the least N.

    """
    kind = draw(st.sampled_from(kinds))
    d = draw(st.integers(2 if "collapsed" in kinds else 1, MOST))
    n = max(draw(st.integers(2, MOST + 2)), least_rows(d), d + 1 if kind in ("one base", "orthonormal") else 2)
    if kind == "whole numbers":
        return Views(draw(_whole_numbers(n, d)), draw(_whole_numbers(n, d)), kind)
    rng = np.random.default_rng(draw(seeds))
    a, b = rng.standard_normal((2, n, d))
    noise = draw(_powers_of_ten(-6, 0.5))
    if kind == "related":
        b = a + noise * b
    elif kind == "same":
        b = a
    elif kind in ("one base", "orthonormal"):
        base = centred(rng, n)[:, :d]
        right, values = draw(orthonormals(d, d)), [10.0 ** rng.uniform(-1, 1, d) for _ in range(2)]
        a, b = (base @ (right * s) @ right.T for s in values) if kind == "one base" else (base + noise * z for z in (a, b))
    elif kind in ("collapsed", "nearly"):
        columns, signs = draw(arrays(int, d, elements=st.integers(0, d - 1), fill=st.just(0))), draw(_signs(d))
        columns[1] = columns[0]
        signs[:2] = 1.0
        same = draw(st.booleans())
        first, second = a[:, columns] * signs, (a if same else b)[:, columns] * signs
        apart = noise * rng.standard_normal((2, n, d)) if kind == "nearly" else np.zeros((2, n, d))
        a, b = first + apart[0], second + apart[1]
    return Views(a, b, kind)


def describe(case: Any) -> set[str]:
    """Return what `SHAPES` and `EXTREMES` a case, or a tuple of a case and more, is an example of."""
    if isinstance(case, tuple) and not isinstance(case[0], fmpq_mat | int):
        case = case[0]
    if isinstance(case, Competition):
        case = case.matrix
    if isinstance(case, Views):
        return {_shape(case.a), *({case.kind} & set(EXTREMES))}
    if isinstance(case, Spectral):
        s = np.sort(case.s)
        found = {"zero": not s.all(), "repeated": (np.diff(s[s > 0]) == 0).any(), "tiny or huge": np.isin(s, EXTREME).any()}
        return {_shape(case.z), *(name for name, so in found.items() if so)}
    return set()


def _shape(z: Matrix) -> str:
    n, d = z.shape
    return SHAPES[1 + (n > d) - (n < d)]


@st.composite
def laws(draw: st.DrawFn) -> Law:
    """Draw a law of pairs of a label and one of up to six scaled matrices B_i P_j, N = 4, d = 2, of which some share a base."""
    n, d = 4, 2
    rng = np.random.default_rng(draw(seeds))
    which = draw(st.lists(st.integers(0, 2), min_size=1, max_size=6))
    bases = [centred(rng, n)[:, :d] for _ in range(3)]
    sines = rng.permutation(np.linspace(-0.9, 0.9, len(which)))  # of P^2 = [[1, x], [x, 1]]; all different
    roots = [np.array([[p, q], [q, p]]) for x in sines for p, q in [_root(x)]]
    weights = draw(arrays(int, (3, len(which)), elements=st.integers(0, 4)))
    weights[0, 0] += 1
    return Law(tuple(bases[i] @ root for i, root in zip(which, roots, strict=True)), weights)


def _root(x: float) -> tuple[float, float]:
    """Return p, q of the root [[p, q], [q, p]] of [[1, x], [x, 1]]."""
    return ((1 + x) ** 0.5 + (1 - x) ** 0.5) / 2, ((1 + x) ** 0.5 - (1 - x) ** 0.5) / 2
