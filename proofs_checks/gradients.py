"""Gradients of one direction of Eq. 8, the base held constant, and the embeddings at which Theorem 5 looks at them.

L = sum_i (1 - c_i)^2 with c_i = <z_i, b_i>. Eq. 7's Jacobian at a raw column takes a gradient g to P g / r_i: r_i is the norm
of the column after centring, and P takes out the components along the vector of ones and along z_i. As b_i is centred, gradient
flow on raw embeddings moves z_i by 2 (1 - c_i) (b_i - c_i z_i) / r_i^2.
"""

import numpy as np
import torch
from flint import fmpq_mat
from numpy.random import Generator

from . import exact
from .matrices import Implementation, Matrix
from .search.ascent import scale as differentiable_scale
from .theorem_2 import FOUR_SAMPLES, counterexample

__all__ = [
    "BY_HAND",
    "QUARTER",
    "RIDGE",
    "Case",
    "collapsed_views",
    "cosine",
    "differentiate",
    "example_by_hand",
    "gradient_of",
]

Case = tuple[Matrix, Matrix, float]  # two views and the ridge of their bases
RIDGE = 1e-4  # Eq. 9
QUARTER = 0.25  # two equal columns z have the base z/sqrt(2 + 1/4) = 2 z/3
BY_HAND = (
    "N = 4, d = 2, b_1 = (1, 1, -1, -1)/2, b_2 = (1, -1, 1, -1)/2, z_1 = (4 b_1 + 3 b_2)/5, z_2 = (3 b_1 + 4 b_2)/5, of which"
    " b_1, b_2 is the base"
)


def example_by_hand(implementation: Implementation) -> tuple[Matrix, Matrix, fmpq_mat]:
    """Return Z, its base, and Z in coordinates of the base; make sure that the implementation gives what is known by hand."""
    z, _, base = counterexample()
    z, base = exact.floats(z), exact.floats(base)
    pair = base[:, [0, 0]]
    np.testing.assert_allclose(implementation.scale(10 * z + 3), z, rtol=0, atol=1e-12)
    np.testing.assert_allclose(implementation.base(z, 0.0), base, rtol=0, atol=1e-12)
    np.testing.assert_allclose(implementation.base(pair, QUARTER), 2 / 3 * pair, rtol=0, atol=1e-12)
    return z, base, exact.rational(FOUR_SAMPLES["root_a"], over=5)


def differentiate(x: Matrix, base: Matrix, raw: bool = False) -> Matrix:
    """
    Differentiate one direction of Eq. 8 by autograd.

    Parameters
    ----------
    x, base : (N, d) float64 ndarray
        Embeddings, and the base that they are aligned with.
    raw : bool, optional
        Whether `x` is to be scaled first, so that the gradient goes through Eq. 7.

    Returns
    -------
    (N, d) float64 ndarray
        With respect to `x`.

    """
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    z = differentiable_scale(leaf) if raw else leaf
    (1 - (z * torch.from_numpy(base.copy())).sum(-2)).square().sum().backward()
    return leaf.grad.numpy()


def gradient_of(implementation: Implementation, case: Case, raw: bool = False) -> Matrix:
    """Differentiate with respect to the first view of a case; the base is that of the second."""
    a, b, ridge = case
    return differentiate(a, implementation.base(b, ridge), raw)


def cosine(g: Matrix) -> float:
    """Return the cosine of the first two columns."""
    return float(g[:, 0] @ g[:, 1] / (np.linalg.norm(g[:, 0]) * np.linalg.norm(g[:, 1])))


def collapsed_views(rng: Generator, implementation: Implementation) -> tuple[Matrix, Matrix]:
    """Draw scaled views, equal or not, whose first two features are identical; in half of the views all features are."""
    d = int(rng.integers(2, 9))
    n = d + 1 + int(rng.integers(0, 5))
    views = []
    for _ in range(2):
        columns = np.arange(d) * rng.integers(2)
        columns[1] = 0
        views.append(implementation.scale(rng.standard_normal((n, d)))[:, columns])
    return views[0], views[rng.integers(2)]
