"""Theorem 1 of the paper as properties over matrices of chosen spectrum, beside the checks of the ledger.

Checked here, in the readings of the ledger: T1.argmin (Z (Z^T Z)^(-1/2) attains the minimum of ||Z - B||_F over B^T B = I),
T1.unique (nothing else does, for Z of full column rank; without full rank something else does), T1.procrustes (it is the
orthogonal Procrustes solution) and T1.rank (what standard scaling does to the rank). Each check is a function of the
implementation, so that the last tests can plant wrong ones and see it fail.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from proofs_checks.matrices import OURS, Matrix, descent, orthonormal

Map = Callable[[Matrix], Matrix]

TOLERANCE = 1e-9
checked = settings(derandomize=True, deadline=None, max_examples=60)
seeds = st.integers(0, 2**32 - 1)
singular_values = st.one_of(st.floats(0.01, 20.0), st.sampled_from([0.5, 1.0, 3.0]))


def base_of(z: Matrix) -> Matrix:
    return OURS.base(z, 0.0)


scaled = OURS.scale


def with_spectrum(s: list[float], extra_rows: int, seed: int) -> Matrix:
    rng = np.random.default_rng(seed)
    d = len(s)
    return (orthonormal(rng, d + extra_rows, d) * np.array(s)) @ orthonormal(rng, d, d).T


tall_matrices = st.builds(with_spectrum, st.lists(singular_values, min_size=1, max_size=7), st.integers(0, 5), seeds)
deficient_matrices = st.builds(
    lambda s, zeros, rows, seed: with_spectrum(s + [0.0] * zeros, rows, seed),
    st.lists(singular_values, min_size=0, max_size=5),
    st.integers(1, 3),
    st.integers(0, 4),
    seeds,
)
square_matrices = st.builds(lambda n, seed: with_spectrum([2.0] * n, 0, seed), st.integers(2, 12), seeds)


def objective(z: Matrix, b: Matrix) -> float:
    return float(((z - b) ** 2).sum())


def rotation(rng: np.random.Generator, n: int, angle: float) -> Matrix:
    skew = rng.standard_normal((n, n))
    return scipy.linalg.expm(angle * (skew - skew.T))


def competitors(z: Matrix, m: Matrix, rng: np.random.Generator) -> Iterator[Matrix]:
    n, d = z.shape
    for _ in range(5):
        yield orthonormal(rng, n, d)
        yield list(descent(z, orthonormal(rng, n, d)))[-1]
    for angle in (1e-4, 1e-2, 0.3):
        yield rotation(rng, n, angle) @ m
        yield m @ rotation(rng, d, angle)
    yield -m
    yield m * np.where(np.arange(d) == 0, -1.0, 1.0)


def assert_equal(actual: Matrix | float, expected: Matrix | float) -> None:
    np.testing.assert_allclose(actual, expected, rtol=TOLERANCE, atol=TOLERANCE)


def assert_minimiser(z: Matrix, m: Matrix) -> None:
    # ||Z - B||^2 = sum s_i^2 + d - 2 tr(Z^T B), and tr(Z^T B) <= sum s_i by von Neumann: no B goes below sum (s_i - 1)^2.
    assert m.shape == z.shape
    assert_equal(m.T @ m, np.eye(z.shape[1]))
    assert_equal(objective(z, m), ((np.linalg.svd(z, compute_uv=False) - 1) ** 2).sum())


def check_argmin(implementation: Map, z: Matrix) -> None:
    m = implementation(z)
    assert_minimiser(z, m)
    for b in competitors(z, m, np.random.default_rng(0)):
        assert_equal(b.T @ b, np.eye(z.shape[1]))
        assert math.sqrt(objective(z, m)) <= math.sqrt(objective(z, b)) + TOLERANCE


def check_procrustes(implementation: Map, z: Matrix) -> None:
    n, d = z.shape
    m = implementation(z)
    assert_equal(m, scipy.linalg.polar(z)[0])
    q, r = np.linalg.qr(z)
    assert_equal(m, q @ scipy.linalg.orthogonal_procrustes(np.eye(d), r)[0])
    padded = np.hstack([z, np.zeros((n, n - d))])
    assert_equal(m, scipy.linalg.orthogonal_procrustes(np.eye(n), padded)[0][:, :d])


def check_unique(implementation: Map, z: Matrix) -> None:
    # Let Z = M P with M^T M = I and P symmetric positive definite, and let B^T B = I. Then
    #   ||Z - B||^2 - ||Z - M||^2 = 2 tr(Z^T M) - 2 tr(Z^T B) = 2 tr(P) - 2 tr(P M^T B), and
    #   tr(P (M - B)^T (M - B)) = tr(P (2 I - M^T B - B^T M)) = 2 tr(P) - 2 tr(P M^T B), P being symmetric.
    # So the excess of B is tr(P (M - B)^T (M - B)) >= s_min ||M - B||^2, which is 0 only for B = M.
    m = implementation(z)
    p = m.T @ z
    assert_equal(m.T @ m, np.eye(z.shape[1]))
    assert_equal(m @ p, z)
    assert_equal(p, p.T)
    s_min = np.linalg.eigvalsh(p)[0]
    assert s_min > 0
    assert_equal(s_min, np.linalg.svd(z, compute_uv=False)[-1])
    for b in competitors(z, m, np.random.default_rng(1)):
        excess = objective(z, b) - objective(z, m)
        distance = objective(m, b)
        assert_equal(excess, np.trace(p @ (m - b).T @ (m - b)))
        assert excess >= s_min * distance - TOLERANCE
        if distance > 1e-6:
            assert excess > 0


def check_not_unique(two_minimisers: Callable[[Matrix], tuple[Matrix, Matrix]], z: Matrix) -> None:
    first, second = two_minimisers(z)
    assert_minimiser(z, first)
    assert_minimiser(z, second)
    assert objective(first, second) > 1


def two_completions(z: Matrix) -> tuple[Matrix, Matrix]:
    """Complete the partial isometry of a rank-deficient matrix by U_0 V_0^T, and by -U_0 V_0^T."""
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    zero = s <= TOLERANCE
    completion = u[:, zero] @ vt[zero]
    isometry = u[:, ~zero] @ vt[~zero]
    return isometry + completion, isometry - completion


def check_rank_after_scaling(scale: Map, z: Matrix) -> None:
    n, d = z.shape
    assert np.linalg.matrix_rank(z) == min(n, d)
    z = scale(z)
    assert_equal(z.sum(axis=0), np.zeros(d))
    assert_equal((z**2).sum(axis=0), np.ones(d))
    assert np.linalg.matrix_rank(z, tol=TOLERANCE) == min(n - 1, d)


@checked
@given(tall_matrices)
def test_argmin_no_orthonormal_competitor_is_nearer(z):
    check_argmin(base_of, z)


@checked
@given(tall_matrices)
def test_procrustes_and_polar_decomposition_of_scipy_agree(z):
    check_procrustes(base_of, z)


@checked
@given(tall_matrices)
def test_unique_the_excess_of_a_competitor_is_a_positive_definite_form_of_its_distance(z):
    check_unique(base_of, z)


@checked
@given(deficient_matrices)
def test_unique_needs_full_rank_two_different_minimisers_exist_without_it(z):
    check_not_unique(two_completions, z)


@checked
@given(deficient_matrices)
def test_argmin_needs_full_rank_the_partial_isometry_returned_without_it_is_not_feasible(z):
    with pytest.raises(AssertionError):
        assert_minimiser(z, base_of(z))


@checked
@given(square_matrices)
def test_rank_of_a_scaled_square_matrix_is_one_less_than_its_order(z):
    check_rank_after_scaling(scaled, z)


@checked
@given(st.integers(2, 10), st.integers(1, 14), seeds)
def test_rank_of_a_scaled_matrix_is_at_most_one_less_than_the_number_of_samples(n, d, seed):
    check_rank_after_scaling(scaled, np.random.default_rng(seed).standard_normal((n, d)))


def test_rank_256_samples_in_groups_of_256_features_leave_every_base_one_direction_short():
    z = np.random.default_rng(0).standard_normal((256, 2048))
    for group in np.split(z, 8, axis=1):
        check_rank_after_scaling(scaled, group)
        gram = base_of(scaled(group)).T @ base_of(scaled(group))
        assert_equal(np.linalg.eigvalsh(gram), np.r_[0.0, np.ones(255)])


def inverse_instead_of_its_root(z: Matrix) -> Matrix:
    return z @ np.linalg.inv(z.T @ z)


def root_instead_of_its_inverse(z: Matrix) -> Matrix:
    return z @ scipy.linalg.sqrtm(z.T @ z).real


def cholesky_whitening(z: Matrix) -> Matrix:
    return scipy.linalg.solve_triangular(np.linalg.cholesky(z.T @ z), z.T, lower=True).T


def missing_right_vectors(z: Matrix) -> Matrix:
    return np.linalg.svd(z, full_matrices=False)[0]


def wrong_side(z: Matrix) -> Matrix:
    """Take Z Z^T where Z^T Z is the smaller one, and its first d eigenpairs, which are those of its null space."""
    values, vectors = np.linalg.eigh(z @ z.T)
    values, vectors = np.abs(values[: z.shape[1]]), vectors[:, : z.shape[1]]
    return (vectors / np.sqrt(values + 1e-12)) @ vectors.T @ z


def ridge_left_in(z: Matrix) -> Matrix:
    return OURS.base(z, 1e-4)


@pytest.mark.parametrize("check", [check_argmin, check_procrustes, check_unique])
@pytest.mark.parametrize(
    "wrong",
    [
        inverse_instead_of_its_root,
        root_instead_of_its_inverse,
        cholesky_whitening,
        missing_right_vectors,
        wrong_side,
        ridge_left_in,
    ],
)
def test_a_wrong_base_fails_every_check_that_the_right_one_passes(check, wrong):
    z = with_spectrum([3.0, 1.5, 0.7, 0.2], extra_rows=3, seed=0)
    check(base_of, z)
    with pytest.raises(AssertionError):
        check(wrong, z)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda z: (two_completions(z)[0],) * 2,
        lambda z: (base_of(z), two_completions(z)[0]),
        lambda z: (two_completions(z)[0], orthonormal(np.random.default_rng(0), *z.shape)),
    ],
    ids=["the same twice", "the partial isometry", "not a minimiser"],
)
def test_a_wrong_pair_of_minimisers_fails(wrong):
    z = with_spectrum([3.0, 0.7, 0.0], extra_rows=1, seed=0)
    check_not_unique(two_completions, z)
    with pytest.raises(AssertionError):
        check_not_unique(wrong, z)


def test_a_unique_minimiser_is_not_mistaken_for_two():
    z = with_spectrum([3.0, 1.5, 0.7], extra_rows=1, seed=0)
    with pytest.raises(AssertionError):
        check_not_unique(two_completions, z)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda z: z / np.linalg.norm(z, axis=0),
        lambda z: (z - z.mean(axis=0)) / (np.sqrt(len(z)) * z.std(axis=0, ddof=1)),
        lambda z: z - z.mean(axis=0),
    ],
    ids=["no centring", "N - 1 for N", "no division"],
)
def test_a_wrong_scaling_fails_the_rank_check(wrong):
    z = with_spectrum([2.0] * 6, extra_rows=0, seed=0)
    check_rank_after_scaling(scaled, z)
    with pytest.raises(AssertionError):
        check_rank_after_scaling(wrong, z)
