"""Properties of the losses and their gradients: Theorems 2, 3 and 5, and what is beyond the paper."""

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from ..gradients import differentiate
from ..information import entropy, information
from ..matrices import Implementation, Matrix
from ..search.inequalities import least_loss
from . import strategies
from .statement import about, at_most, equal
from .strategies import Law, Views


def _products(a: Matrix, b: Matrix) -> Matrix:
    return np.einsum("ni,ni->i", a, b)


def _losses(a: Matrix, b: Matrix) -> tuple[float, float]:
    """Return one direction of Eq. 8: diagonal and Frobenius."""
    return float(((1 - _products(a, b)) ** 2).sum()), float(((np.eye(a.shape[1]) - a.T @ b) ** 2).sum())


@about("T2.one.diag, T2.sum.diag, T2.one.fro, T2.sum.fro, T2.trace", st.tuples(strategies.views(), strategies.ridges))
def the_loss_and_the_distance_of_the_base_bound_the_invariance_term(
    implementation: Implementation, case: tuple[Views, float]
) -> None:
    a, b = _scaled(implementation, case[0])
    bases = [implementation.base(z, case[1]) for z in (a, b)]
    far = [np.linalg.norm(base - z) for base, z in zip(bases, (a, b), strict=True)]
    invariance = np.linalg.norm(1 - _products(a, b))
    for one, two in zip(_losses(a, bases[1]), _losses(b, bases[0]), strict=True):
        at_most(invariance, one**0.5 + far[1])
        at_most(invariance, ((one + two) / 2) ** 0.5 + sum(far) / 2)
    at_most(abs((a * bases[1]).sum() - (a * b).sum()), a.shape[1] ** 0.5 * far[1])


def _scaled(implementation: Implementation, views: Views) -> tuple[Matrix, Matrix]:
    a, b = implementation.scale(views.a), implementation.scale(views.b)
    for z in (a, b):
        equal(z.sum(0), np.zeros(z.shape[1]))
        equal(_products(z, z), np.ones(z.shape[1]))
    return a, b


@about("T2.zero", strategies.views(least_rows=lambda d: d + 1))
def each_of_both_losses_bounds_the_other_at_full_column_rank(implementation: Implementation, case: Views) -> None:
    a, b = _scaled(implementation, case)
    assume(max(np.linalg.cond(z) for z in (a, b)) < 1e6)
    d, bases = a.shape[1], [implementation.base(z, 0.0) for z in (a, b)]
    for base in bases:
        equal(base.T @ base, np.eye(d))
    losses = _losses(a, bases[1])[0], _losses(b, bases[0])[0]
    eta = np.linalg.norm(a.T @ b - np.eye(d))
    first, second = ((2 * (d * loss) ** 0.5) ** 0.5 for loss in losses)
    at_most(eta, d**0.5 * first + second, 1e-6)  # roots of roots of rounding
    for loss in losses:
        at_most(loss**0.5, 2 * eta + 2**0.5 * d**0.75 * eta**0.5, 1e-6)


@about("T2.zero.ridge, O1, O4", st.tuples(strategies.views(), strategies.ridges | st.just(0.0)))
def the_loss_is_at_least_that_of_tight_frames(implementation: Implementation, case: tuple[Views, float]) -> None:
    (a, b), ridge = _scaled(implementation, case[0]), case[1]
    n, d = a.shape
    bases = [implementation.base(z, ridge) for z in (a, b)]
    diagonal, frobenius = (sum(pair) for pair in zip(_losses(a, bases[1]), _losses(b, bases[0]), strict=True))
    at_most(least_loss(n, d, ridge), diagonal)
    if d > n - 1 and ridge == 0 and n > 2:
        at_most(min(4 * d - 4 * (d * (n - 1)) ** 0.5, 2.0 * (d - n + 2)), frobenius)
    at_most(diagonal, frobenius)


@about("O2", st.tuples(strategies.views(), strategies.ridges | st.just(0.0)))
def columns_and_rows_have_one_sum_of_products(implementation: Implementation, case: tuple[Views, float]) -> None:
    (a, b), ridge = _scaled(implementation, case[0]), case[1]
    columns, rows = _products(a, implementation.base(b, ridge)), _products(a.T, implementation.base(b.T, ridge))
    assume(ridge > 0 or np.linalg.cond(b) < 1e6)
    # by Cauchy and Schwarz either loss is at least (k - T)^2 / k, T the sum of its k products
    equal(columns.sum(), rows.sum(), 1e-7)


@about("T3, T3.entropy, T3.chain, T3.fullrank.batch", strategies.laws())
def a_base_tells_no_more_than_its_matrix(implementation: Implementation, case: Law) -> None:
    bases = [implementation.base(z, 0.0) for z in case.matrices]
    for z, base in zip(case.matrices, bases, strict=True):
        equal(implementation.scale(2 * z + 1), z)
        equal(base.T @ base, np.eye(z.shape[1]))
    labels = [next(i for i, first in enumerate(bases) if np.abs(first - base).max() < 1e-9) for base in bases]
    total = case.weights.sum()
    law = {(a, z, labels[z]): w / total for (a, z), w in np.ndenumerate(case.weights) if w}
    at_most(information(law, "A", "B"), information(law, "A", "Z"))
    equal(information(law, "A", "Z"), information(law, "A", "B") + information(law, "A", "Z", given="B"))
    at_most(entropy(law, "B"), entropy(law, "Z"))
    equal(entropy(law, "B", given="Z"), 0.0)
    equal(entropy(law, "BZ", given="A"), entropy(law, "B", given="ZA") + entropy(law, "Z", given="A"))
    equal(entropy(law, "BZ", given="A"), entropy(law, "Z", given="BA") + entropy(law, "B", given="A"))


@about("T5.grad", st.tuples(strategies.views(), strategies.ridges))
def the_gradient_points_away_from_the_base(implementation: Implementation, case: tuple[Views, float]) -> None:
    a, b = _scaled(implementation, case[0])
    base = implementation.base(b, case[1])
    gradient, short = differentiate(a, base), 1 - _products(a, base)
    equal(gradient, -2 * short * base)
    step = 1e-4
    for i in range(a.shape[1]):  # without differentiation: the square along b_i is a parabola
        moved = [(1 - (a[:, i] + sign * step * base[:, i]) @ base[:, i]) ** 2 for sign in (1, -1)]
        equal((moved[0] - moved[1]) / (2 * step), gradient[:, i] @ base[:, i])


@about("T5.orth.fullrank", strategies.views(least_rows=lambda d: d + 1))
def gradients_of_two_features_are_orthogonal_at_full_column_rank(implementation: Implementation, case: Views) -> None:
    a, b = _scaled(implementation, case)
    assume(np.linalg.cond(b) < 1e6)
    gradient = differentiate(a, implementation.base(b, 0.0))
    products = gradient.T @ gradient
    equal(products, np.diag(np.diag(products)))


@about("T5.orth.collapsed.eq9, T5.nonzero", st.tuples(strategies.views(kinds=("collapsed",)), strategies.ridges))
def equal_features_have_equal_gradients_that_are_not_zero(implementation: Implementation, case: tuple[Views, float]) -> None:
    (a, b), ridge = _scaled(implementation, case[0]), case[1]
    base = implementation.base(b, ridge)
    before, through = (differentiate(a, base, raw)[:, :2] for raw in (False, True))
    for gradient in (before, through):
        equal(gradient[:, 0], gradient[:, 1])
    at_most((2 - 2**0.5) / (a.shape[1] + ridge) ** 0.5, np.linalg.norm(before[:, 0]))
    line = np.linalg.matrix_rank(b, tol=1e-9) == 1
    if line and np.abs(a - b).max() == 0:
        equal(through, np.zeros_like(through))


@about("T5.complete", st.tuples(st.integers(2, 8), st.lists(st.integers(-100, 100), min_size=1, max_size=8)))
def equal_samples_cannot_be_scaled(implementation: Implementation, case: tuple[int, list[int]]) -> None:
    rows = np.tile(np.array(case[1], dtype=float), (case[0], 1))
    try:
        scaled = implementation.scale(rows)
    except ValueError:
        return
    raise AssertionError(f"equal rows {rows} were scaled to {scaled}")
