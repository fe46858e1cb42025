"""Properties of the base and the pseudo base: Theorem 1, Eq. 9, Theorem 4, and the two levels."""

import numpy as np
import scipy.linalg
from flint import fmpq_mat
from hypothesis import assume
from hypothesis import strategies as st

from .. import exact
from ..matrices import Implementation, Matrix
from ..theorem_1 import two_completions
from . import strategies
from .statement import about, at_most, equal
from .strategies import Competition, Spectral, Views


def _precision(matrix: Spectral, ridge: float = 0.0) -> float:
    """Return what rounding may do to a base: it is as sensitive as 1 over the smallest sqrt(s^2 + lambda)."""
    s = matrix.s if ridge > 0 else matrix.s[matrix.s > 0]
    return 1e-12 + 1e-13 * matrix.largest / np.sqrt(s.min(initial=matrix.largest) ** 2 + ridge)


def _rank_is_clear(z: Matrix, rank: int) -> bool:
    """Tell whether the singular values of a product in floats are as clearly 0 as those it was made of."""
    s = np.linalg.svd(z, compute_uv=False)
    return bool((s[rank:] < 0.5 * max(z.shape) * np.finfo(float).eps * s.max(initial=0)).all())


@about("T1.argmin", strategies.competitions())
def no_orthonormal_matrix_is_nearer(implementation: Implementation, case: Competition) -> None:
    # ||Z - B||^2 = sum s_i^2 + d - 2 tr(Z^T B), and tr(Z^T B) <= sum s_i by von Neumann: no B goes below sum (s_i - 1)^2
    z, b, precision = case.matrix.z, case.rival, _precision(case.matrix)
    base = implementation.base(z, 0.0)
    equal(base, case.matrix.with_values(np.ones_like(case.matrix.s)), precision)
    equal(base.T @ base, np.eye(z.shape[1]))
    equal(b.T @ b, np.eye(z.shape[1]))
    size = max(1.0, case.matrix.largest)
    equal(((z - base) ** 2).sum() / size**2, ((case.matrix.s - 1) ** 2).sum() / size**2)
    at_most(0, ((base - b) * (2 * z - base - b)).sum() / size)


@about("T1.unique", strategies.competitions())
def another_orthonormal_matrix_costs_a_positive_definite_form_of_the_distance(
    implementation: Implementation, case: Competition
) -> None:
    z, b, size = case.matrix.z, case.rival, case.matrix.largest
    base = implementation.base(z, 0.0)
    root = base.T @ z
    equal(base @ root / size, z / size)
    equal(root / size, root.T / size)
    equal(np.linalg.eigvalsh(root)[0] / size, case.matrix.s.min() / size)
    excess = ((base - b) * (2 * z - base - b)).sum()
    # so that it is at least the smallest singular value times the squared distance
    equal(excess / size, np.trace(root @ (base - b).T @ (base - b)) / size)


@about("T1.procrustes", strategies.matrices(full_column_rank=True))
def scipy_has_the_same_base_in_three_ways(implementation: Implementation, case: Spectral) -> None:
    z, precision = case.z, 10 * _precision(case)
    n, d = z.shape
    base = implementation.base(z, 0.0)
    equal(base, scipy.linalg.polar(z)[0], precision)
    q, r = np.linalg.qr(z)
    equal(base, q @ scipy.linalg.orthogonal_procrustes(np.eye(d), r)[0], precision)
    padded = np.hstack([z, np.zeros((n, n - d))])
    equal(base, scipy.linalg.orthogonal_procrustes(np.eye(n), padded)[0][:, :d], precision)


@about("T1.argmin", strategies.rational_bases())
def the_base_of_rationals_is_the_exact_one(implementation: Implementation, case: tuple[fmpq_mat, fmpq_mat]) -> None:
    z, base = case
    exact.certify_base(z, base)
    equal(implementation.base(exact.floats(z), 0.0), exact.floats(base))


@about("T1.unique, T5.orth.collapsed.eq2", strategies.matrices(full_column_rank=False))
def without_full_column_rank_two_matrices_are_nearest(implementation: Implementation, case: Spectral) -> None:
    rank = int((case.s > 0).sum())
    z = case.z
    d = z.shape[1]
    assume(_rank_is_clear(z, rank))
    base, size = implementation.base(z, 0.0), max(1.0, case.largest)
    equal(base, case.with_values((case.s > 0).astype(float)), _precision(case))
    first, second = two_completions(z / case.largest)
    for b in (first, second):
        equal(b.T @ b, np.eye(d))
        equal(((z - b) ** 2).sum() / size**2, ((case.s - 1) ** 2).sum() / size**2)
    equal(base, (first + second) / 2, 10 * _precision(case))
    equal(((first - second) ** 2).sum(), 4 * (d - rank))


@about("T1.rank, E9", strategies.views(kinds=("unrelated", "whole numbers")))
def scaled_columns_have_norm_one_and_one_dimension_less(implementation: Implementation, case: Views) -> None:
    n, d = case.a.shape
    scaled = implementation.scale(case.a)
    equal(scaled.sum(0), np.zeros(d))
    equal((scaled**2).sum(0), np.ones(d))
    rank = np.linalg.matrix_rank(scaled, tol=1e-9)
    assert rank == min(n - 1, d) if case.kind == "unrelated" else rank <= min(n - 1, d)
    assume(_rank_is_clear(scaled, rank))
    defect = np.linalg.norm(np.eye(d) - implementation.base(scaled, 0.0).T @ implementation.base(scaled, 0.0), 2)
    equal(defect, float(rank < d), 1e-6)


@about("E9, O5", st.tuples(strategies.matrices(), strategies.ridges))
def the_pseudo_base_has_the_vectors_of_z_and_its_values_pushed_to_one(
    implementation: Implementation, case: tuple[Spectral, float]
) -> None:
    matrix, ridge = case
    precision = _precision(matrix, ridge)
    base, values = implementation.base(matrix.z, ridge), matrix.s / np.sqrt(matrix.s**2 + ridge)
    equal(base, matrix.with_values(values), precision)
    if matrix.z.shape[1] <= matrix.z.shape[0]:
        missed = np.linalg.norm(np.eye(base.shape[1]) - base.T @ base, 2)
        equal(missed, (ridge / (ridge + matrix.s**2)).max(), 10 * precision)
    if matrix.s.any():
        least = matrix.s[matrix.s > 0].min()
        distance = np.linalg.norm(base - matrix.with_values((matrix.s > 0).astype(float)), 2)
        equal(distance, 1 - least / np.hypot(least, ridge**0.5), precision)  # which is at most lambda / (2 s^2)


@about("X3", st.tuples(strategies.matrices(), strategies.ridges | st.just(0.0)))
def columns_and_rows_have_one_base(implementation: Implementation, case: tuple[Spectral, float]) -> None:
    matrix, ridge = case
    z = matrix.z
    assume(ridge > 0 or _rank_is_clear(z, int((matrix.s > 0).sum())))
    equal(implementation.base(z, ridge), implementation.base(z.T, ridge).T, 10 * _precision(matrix, ridge))


@about("T4.con, T4.distance", st.tuples(strategies.matrices(), strategies.ridges, st.floats(1.0, 1e3)))
def a_smaller_ridge_is_more_consistent_and_nearer_to_the_partial_isometry(
    implementation: Implementation, case: tuple[Spectral, float, float]
) -> None:
    matrix, ridge, factor = case
    z, size = matrix.z, np.linalg.norm(matrix.s) or 1.0
    bases = [implementation.base(z, r) for r in (ridge, factor * ridge)]
    con = [(z * base).sum() / size for base in bases]
    precision = 10 * _precision(matrix, ridge)
    equal(con[0], (matrix.s**2 / np.sqrt(matrix.s**2 + ridge)).sum() / size, precision)
    at_most(con[1], con[0], precision)
    distances = [np.linalg.norm(base - matrix.with_values((matrix.s > 0).astype(float))) for base in bases]
    at_most(distances[0], distances[1], precision)


@about("T4.max", st.tuples(strategies.views(), strategies.ridges))
def consistency_is_at_most_that_of_equal_singular_values(implementation: Implementation, case: tuple[Views, float]) -> None:
    views, ridge = case
    n, d = views.a.shape
    z = implementation.scale(views.a)
    at_most((z * implementation.base(z, ridge)).sum(), d / np.sqrt(d / min(n - 1, d) + ridge))
