"""Laws of whole batches: embedding matrices of which some share a base, by hand and drawn, with the bases as computed."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np

from . import exact
from .information import Law, draw_weights, labelled
from .matrices import Implementation, Matrix, centred, orthonormal

__all__ = ["BASES", "COLUMNS", "ROOTS", "Ensemble", "certified", "draw_ensemble", "draw_scaled", "ensemble", "known_base"]

COLUMNS = {"u": (1, 1, -1, -1), "v": (1, -1, 1, -1), "w": (1, -1, -1, 1)}  # over 2: orthonormal and centred
BASES = ("uv", "uw", "vw", "vu")
ROOTS = ((4, 3, 5), (4, -3, 5), (12, 5, 13), (12, -5, 13))  # p, q, r: [[p, q], [q, p]] / r, whose square has a diagonal of 1


class Ensemble(NamedTuple):
    """The matrices that Z^B may be, and a finite law of Z^A, Z^B and B^B."""

    views: tuple[Matrix, ...]
    law: Law


def known_base(implementation: Implementation, z: Matrix, base: Matrix) -> Matrix:
    """Return what is computed for a scaled matrix whose base is known, and make sure that it is that."""
    np.testing.assert_allclose(implementation.scale(2 * z + 1), z, rtol=0, atol=1e-9)
    computed = implementation.base(z, 0.0)
    np.testing.assert_allclose(computed, base, rtol=0, atol=1e-9)
    return computed


def certified(i: int, j: int) -> tuple[Matrix, Matrix]:
    """Return B_i P_j and B_i."""
    p, q, r = ROOTS[j]
    base = exact.rational([COLUMNS[name] for name in BASES[i]], over=2).transpose()
    z = base * exact.rational([[p, q], [q, p]], over=r)
    exact.certify_scaled(z)
    exact.certify_base(z, base)
    return exact.floats(z), exact.floats(base)


def ensemble(implementation: Implementation, bases: int, roots: int, root_a: int | None = None) -> Ensemble:
    """Let Z^B = B_i P_j be uniform, and Z^A = Z^B; with `root_a` that is the root of Z^A, of the same base."""
    outcomes = list(product(range(bases), range(roots)))
    views, known = zip(*(certified(*outcome) for outcome in outcomes), strict=True)
    computed = [known_base(implementation, z, base) for z, base in zip(views, known, strict=True)]
    a = [(i, j if root_a is None else root_a) for i, j in outcomes]
    return Ensemble(views, dict.fromkeys(zip(a, labelled(views), labelled(computed), strict=True), Fraction(1, len(a))))


def draw_scaled(rng: np.random.Generator, which: Sequence[int], one_root: bool = False) -> tuple[list[Matrix], list[Matrix]]:
    """Draw scaled matrices and their bases; `which` numbers the bases, so that some are shared; `one_root`: so is Sigma."""
    d = int(rng.integers(2, 5))
    n = d + 1 + int(rng.integers(0, 4))
    space = centred(rng, n)
    bases = [space @ orthonormal(rng, n - 1, d) for _ in range(max(which) + 1)]
    factors = rng.standard_normal((1 if one_root else len(which), d, 2 * d))
    sigma = factors @ factors.transpose(0, 2, 1) + 0.1 * np.eye(d)
    norms = np.sqrt(np.diagonal(sigma, axis1=1, axis2=2))
    values, vectors = np.linalg.eigh(sigma / norms[:, :, None] / norms[:, None, :])
    roots = (vectors * np.sqrt(values)[:, None, :]) @ vectors.transpose(0, 2, 1)
    return [bases[i] @ roots[0 if one_root else k] for k, i in enumerate(which)], [bases[i] for i in which]


def draw_ensemble(rng: np.random.Generator, implementation: Implementation, one_root: bool = False) -> Ensemble:
    """Draw a law over matrices some of which share a base; with `one_root` none does, and all have the same Sigma."""
    bases = int(rng.integers(2, 5))
    which = range(bases) if one_root else rng.integers(0, bases, int(rng.integers(2, 8))).tolist()
    views, known = draw_scaled(rng, which, one_root)
    b = labelled([known_base(implementation, z, base) for z, base in zip(views, known, strict=True)])
    z = labelled(views)
    return Ensemble(tuple(views), {(a, z[j], b[j]): p for (a, j), p in draw_weights(rng, b).items()})
