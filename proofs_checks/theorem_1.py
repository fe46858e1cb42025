"""Theorem 1: the nearest orthonormal basis is the polar factor; and when a scaled matrix has full column rank."""

from collections.abc import Iterator

import numpy as np
from flint import fmpq_mat
from numpy.random import Generator
from scipy.linalg import orthogonal_procrustes, polar

from arb_suite.audit.finding import Finding

from .exact import cayley, centred, certify_base, floats, rational
from .judge import QUICK, Effort, Statement, judge, theory
from .matrices import OURS, Implementation, Matrix, deficient, descent, orthonormal, rotation, tall
from .smallest import SMALLEST, TWO_SAMPLES

__all__ = ["two_completions"]

Competition = tuple[Matrix, Matrix]  # a matrix, and an orthonormal competitor of its base


def _orthogonal(rng: Generator, n: int) -> fmpq_mat:
    """Draw an orthogonal matrix of rationals."""
    k = rng.integers(-3, 4, (n, n))
    return cayley(k - k.T)


def _certified(rng: Generator) -> tuple[fmpq_mat, fmpq_mat]:
    """Draw Z = B P in rationals with its base B: P = Q^T diag Q for rational orthogonal matrices."""
    d = int(rng.integers(1, 5))
    n = d + int(rng.integers(0, 3))
    base = fmpq_mat([row[:d] for row in _orthogonal(rng, n).tolist()])
    q = _orthogonal(rng, d)
    s = rng.integers(1, 6, d)
    root = q * rational(np.diag(s).tolist(), over=2) * q.transpose()
    certify_base(base * root, base)
    return base * root, base


def _agree_with_rationals(implementation: Implementation, most: int = 20) -> int:
    """Compare the base with the exact one of matrices of rationals, and say of how many."""
    rng = np.random.default_rng(1)
    for _ in range(most):
        z, base = _certified(rng)
        np.testing.assert_allclose(implementation.base(floats(z), 0.0), floats(base), rtol=0, atol=1e-9)
    return most


def _draw(rng: Generator) -> Competition:
    """Draw a matrix and a competitor: far away, reached by descent, the base turned a little, or with signs changed."""
    z = tall(rng)
    n, d = z.shape
    kind = rng.integers(5)
    if kind == 0:
        return z, orthonormal(rng, n, d)
    if kind == 1:
        return z, list(descent(z, orthonormal(rng, n, d), steps=int(rng.integers(1, 60))))[-1]
    base, angle = polar(z)[0], 10.0 ** rng.uniform(-4, 0)
    if kind == 2:
        return z, rotation(rng, n, angle) @ base
    if kind == 3:
        return z, base @ rotation(rng, d, angle)
    return z, base * rng.choice([-1.0, 1.0], d)


def _climb(effort: Effort) -> Iterator[Competition]:
    """Yield competitors on their way down ||Z - B||, by a method that shares nothing with the closed form."""
    rng = np.random.default_rng(2)
    for _ in range(effort.starts):
        z = tall(rng)
        for b in descent(z, orthonormal(rng, *z.shape), steps=min(effort.steps, 300)):
            yield z, b


def _excess(z: Matrix, base: Matrix, b: Matrix) -> float:
    """Return ||Z - B||^2 - ||Z - M||^2 over the size of Z, by the difference of the two, which loses no digits."""
    return float(((base - b) * (2 * z - base - b)).sum()) / np.linalg.norm(z, 2)


def _feasible(base: Matrix) -> float:
    return float(np.abs(base.T @ base - np.eye(base.shape[1])).max())


@theory("T1.argmin")
def attains_the_minimum(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Compare M(Z) = Z Sigma^(-1/2) with competitors. `other`: Z Sigma^(-1) instead.

    ||Z - B||^2 = sum_i s_i^2 + d - 2 tr(Z^T B) for B^T B = I, and by von Neumann's inequality tr(Z^T B) <= sum_i s_i, so that
    no B goes below sum_i (s_i - 1)^2, which M(Z) = U V^T reaches.
    """

    def gap(case: Competition) -> float:
        z, b = case
        base = z @ np.linalg.inv(z.T @ z) if other else implementation.base(z, 0.0)
        s = np.linalg.svd(z, compute_uv=False)
        reached = abs(((z - base) ** 2).sum() - ((s - 1) ** 2).sum()) / max(1.0, s.max()) ** 2
        return max(_feasible(base), reached, -_excess(z, base, b))

    agreed = _agree_with_rationals(implementation)
    found = judge(Statement(gap, _draw, proved=not other, climb=_climb), effort)
    return Finding(
        found.verdict,
        f"||Z - M||^2 = sum_i (s_i - 1)^2, and no competitor with orthonormal columns is nearer: {found.tried}; identical to"
        f" the exact base of {agreed} of {agreed} matrices of rationals, to rounding",
        condition="for Z of full column rank, as the theorem says",
    )


@theory("T1.unique")
def is_the_only_minimiser(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Bound what another basis costs. `other`: without full column rank, where there are two minimisers.

    Let Z = M P with M^T M = I and P symmetric positive definite, and B^T B = I. Then ||Z - B||^2 - ||Z - M||^2 =
    2 tr(P) - 2 tr(P M^T B) = tr(P (M - B)^T (M - B)) >= s_min ||M - B||^2, which is 0 for B = M only.
    """

    def gap(case: Competition) -> float:
        z, b = case
        base = implementation.base(z, 0.0)
        p = base.T @ z
        size = np.linalg.norm(z, 2)
        decomposed = max(np.abs(base @ p - z).max(), np.abs(p - p.T).max()) / size
        s_min = np.linalg.svd(z, compute_uv=False)[-1] / size
        return max(_feasible(base), decomposed, s_min * ((base - b) ** 2).sum() - _excess(z, base, b))

    def apart(case: Competition) -> float:
        first, second = case
        return float(((first - second) ** 2).sum())

    _agree_with_rationals(implementation)
    if other:
        found = judge(Statement(apart, lambda rng: two_completions(deficient(rng))), effort)
    else:
        found = judge(Statement(gap, _draw, proved=True, climb=_climb), effort)
    return Finding(
        found.verdict,
        f"with Z = M P, P symmetric positive definite, another basis B has ||Z - B||^2 - ||Z - M||^2 ="
        f" tr(P (M - B)^T (M - B)) >= s_min ||M - B||^2, s_min the smallest singular value of Z: {found.tried}",
        condition="for Z of full column rank; without it two minimisers are U_r V_r^T + U_0 V_0^T and U_r V_r^T - U_0 V_0^T",
    )


def two_completions(z: Matrix) -> tuple[Matrix, Matrix]:
    """Return two minimisers for a rank-deficient matrix, after making sure that they are."""
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    zero = s <= 1e-9 * s.max()
    isometry, completion = u[:, ~zero] @ vt[~zero], u[:, zero] @ vt[zero]
    both = isometry + completion, isometry - completion
    for b in both:
        assert _feasible(b) < 1e-9
        assert abs(((z - b) ** 2).sum() - ((s - 1) ** 2).sum()) < 1e-9 * max(1.0, s.max()) ** 2
    return both


@theory("T1.procrustes")
def agrees_with_procrustes(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """Compare with SciPy's polar decomposition and with its Procrustes solution. `other`: without full column rank."""

    def gap(z: Matrix) -> float:
        n, d = z.shape
        base = implementation.base(z, 0.0)
        q, r = np.linalg.qr(z)
        padded = np.hstack([z, np.zeros((n, n - d))])
        oracles = (
            polar(z)[0],
            q @ orthogonal_procrustes(np.eye(d), r)[0],
            orthogonal_procrustes(np.eye(n), padded)[0][:, :d],
        )
        # The factor moves by the rounding of Z over its smallest singular value.
        slack = 1e-14 * np.linalg.cond(z) if not other else 0.0
        return max(float(np.abs(base - oracle).max()) for oracle in oracles) - slack

    found = judge(Statement(gap, deficient if other else tall, proved=not other), effort)
    return Finding(
        found.verdict,
        f"scipy.linalg.polar and orthogonal_procrustes (by QR, and padded with zeros) give the same: {found.tried}",
        condition="for Z of full column rank; without it SciPy completes the partial isometry to an orthonormal matrix",
    )


@theory("T1.rank")
def scaled_matrices_have_full_rank(
    implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False
) -> Finding:
    """
    Count the rank of scaled matrices with N >= d. `other`: with N - 1 >= d.

    Columns that are centred lie in the N - 1 dimensions orthogonal to the vector of ones, so the rank is N - 1 at most. It is
    min(d, N - 1) generically: a minor of the scaled matrix that is not 0 for one Z is 0 only on a set of measure 0.
    """

    def missing(z: Matrix) -> float:
        scaled = implementation.scale(z)
        d = z.shape[1]
        assert np.abs(scaled.sum(0)).max() < 1e-9
        assert np.abs((scaled**2).sum(0) - 1).max() < 1e-9
        return float(d - np.linalg.matrix_rank(scaled, tol=1e-9))

    def draw(rng: Generator) -> Matrix:
        d = int(rng.integers(1, 11))
        return rng.standard_normal((d + int(rng.integers(1 if other else d == 1, 4)), d))

    if other:
        found = judge(Statement(missing, draw, proved=True), effort)
        return Finding(found.verdict, f"d <= N - 1: {found.tried}")
    SMALLEST["T1.rank"]()
    found = judge(Statement(missing, draw, known=(np.array(TWO_SAMPLES, float),)), effort)
    features = np.random.default_rng(0).standard_normal((256, 2048))
    eight, sixteen = ([missing(group) for group in np.split(features, p, axis=1)] for p in (8, 16))
    base = implementation.base(implementation.scale(features[:, :256]), 0.0)
    defect = np.linalg.norm(base.T @ base - np.eye(256), 2)
    return Finding(
        found.verdict,
        "N = d = 2: centred columns of norm 1 are (1, -1)/sqrt(2) or its negative, of rank 1 (determinant"
        f" {centred(TWO_SAMPLES).det()}); N = 256, d = 2048 in 8 groups of 256: {eight.count(1)} of 8 scaled groups have rank"
        f" 255, and the base of such a group has ||B^T B - I||_2 = {defect:.2f}, not 0",
        correction=f"the rank is min(d, N - 1) generically: full for d <= N - 1; of 16 groups of 128, {sixteen.count(0)} of 16"
        " have it",
    )
