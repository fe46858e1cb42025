"""Equation 9 and Theorem 4: the pseudo base as a function of its ridge, by singular values.

With Z = U diag(s) V^T the pseudo base is B = U diag(s / sqrt(s^2 + lambda)) V^T. Hence con(Z, B) = tr(Z^T B) =
sum_i s_i^2 / sqrt(s_i^2 + lambda) and ||Z - B||^2 = sum_i s_i^2 (1 - 1 / sqrt(s_i^2 + lambda))^2.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from flint import fmpq
from numpy.random import Generator
from scipy.linalg import polar

from arb_suite.audit.finding import Finding

from .exact import floats
from .judge import QUICK, Effort, Statement, judge, theory
from .matrices import OURS, Implementation, Matrix, deficient, tall, with_spectrum
from .search.inequalities import PRINTED_RIDGE, Inequality, inequalities
from .theorem_2 import counterexample

__all__ = ["Ridges", "largest_con"]


@dataclass(frozen=True)
class Ridges:
    """A matrix and two ridges, the lower one first."""

    z: Matrix
    lower: float
    higher: float


def _draw(rng: Generator) -> Ridges:
    z = tall(rng) if rng.integers(2) else deficient(rng)
    z = z if rng.integers(2) else z.T
    lower = 10.0 ** rng.uniform(-6, 1)
    return Ridges(z, lower, lower * 10.0 ** rng.uniform(0.1, 3))


def _climb(one: Inequality) -> Callable[[Effort], Iterator[Ridges]]:
    return lambda effort: (Ridges(*case) for case in one.climbed(effort))


def _bases(implementation: Implementation, case: Ridges) -> list[Matrix]:
    """Return the bases of both ridges, after the formula with the singular vectors has agreed with them."""
    u, s, vt = np.linalg.svd(case.z, full_matrices=False)
    found = []
    for ridge in (case.lower, case.higher):
        base = implementation.base(case.z, ridge)
        np.testing.assert_allclose(base, (u * s / np.sqrt(s**2 + ridge)) @ vt, rtol=0, atol=1e-8)
        found.append(base)
    return found


# s^2 = 49/25 and 1/25; adding 3/5 gives 64/25 and 16/25, so that every root is rational
STEP = fmpq(3, 5)


def _by_hand(implementation: Implementation) -> Ridges:
    z = floats(counterexample()[0])
    np.testing.assert_allclose(np.linalg.svd(z, compute_uv=False), [1.4, 0.2], rtol=0, atol=1e-12)
    case = Ridges(z, 0.0, float(STEP.p) / float(STEP.q))
    for base, values in zip(
        (implementation.base(z, r) for r in (case.lower, case.higher)), ([1, 1], [7 / 8, 1 / 4]), strict=True
    ):
        np.testing.assert_allclose(np.linalg.svd(base, compute_uv=False), values, rtol=0, atol=1e-12)
    return case


@theory("T4.con")
def consistency_grows(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """Compare con(Z, B) for two ridges: every term s^2 / sqrt(s^2 + lambda) falls in lambda. `other`: that it rises."""

    def gap(case: Ridges) -> float:
        lower, higher = (float((case.z * base).sum()) for base in _bases(implementation, case))
        return (lower - higher if other else higher - lower) / np.linalg.norm(case.z)

    case = _by_hand(implementation)
    known, climb = () if other else (case,), _climb(inequalities("T4.con")[0])
    found = judge(Statement(gap, _draw, known=known, climb=climb), effort)
    values = fmpq(7, 5) + fmpq(1, 5), fmpq(49, 25) / fmpq(8, 5) + fmpq(1, 25) / fmpq(4, 5)
    return Finding(
        found.verdict,
        f"every term s^2 / sqrt(s^2 + lambda) falls in lambda: {found.tried}; for singular values 7/5, 1/5 (N = 4, d = 2) con"
        f" is {values[0]} at lambda = 0 and {values[1]} at lambda = {STEP}",
    )


@theory("T4.distance")
def distance_shrinks(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Compare ||Z - B|| for two ridges. `other`: the distance to the polar factor instead, for Z of full rank.

    A term s^2 (1 - 1 / sqrt(s^2 + lambda))^2 grows in lambda where s^2 + lambda > 1 and falls where it is below 1.
    """

    def gap(case: Ridges) -> float:
        target = polar(case.z)[0] if other else case.z
        lower, higher = (np.linalg.norm(target - base) for base in _bases(implementation, case))
        return float(lower - higher) / np.linalg.norm(target)

    def full_rank(rng: Generator) -> Ridges:
        d = int(rng.integers(1, 8))
        return Ridges(with_spectrum(rng, 10.0 ** rng.uniform(-1, 1, d), d + 2), 1e-4, 10.0 ** rng.uniform(-3, 1))

    case = _by_hand(implementation)
    if other:
        found = judge(Statement(gap, full_rank, climb=_climb(inequalities("T4.distance", "corrected")[0])), effort)
        return Finding(
            found.verdict, f"||M - B|| = sqrt(sum_i (1 - s_i / sqrt(s_i^2 + lambda))^2) grows in lambda: {found.tried}"
        )
    found = judge(Statement(gap, _draw, known=(Ridges(case.z, 1e-12, case.higher),)), effort)
    squares = (
        fmpq(2, 5) ** 2 + fmpq(4, 5) ** 2,
        (fmpq(7, 5) - fmpq(7, 8)) ** 2 + (fmpq(1, 5) - fmpq(1, 4)) ** 2,
    )
    assert squares[0] > squares[1]
    return Finding(
        found.verdict,
        f"N = 4, d = 2, standard-scaled with singular values 7/5 and 1/5: those of B are 1, 1 at lambda = 0 and 7/8, 1/4 at"
        f" lambda = {STEP}, so that ||Z - B||^2 = {squares[0]} at lambda = 0 is above {squares[1]} at lambda = {STEP}, in exact"
        f" rationals: the smaller lambda is farther",
        correction="the distance to the polar factor M, sqrt(sum_i (1 - s_i / sqrt(s_i^2 + lambda))^2), shrinks as lambda"
        " shrinks; ||Z - B|| does so only where every s_i^2 + lambda is at least 1",
    )


def largest_con(d: int, rank: int, ridge: float) -> float:
    """Return d / sqrt(d / r + lambda), the largest con(Z, B) of a Z with tr(Z^T Z) = d and rank r."""
    return d / np.sqrt(d / rank + ridge)


@theory("T4.max")
def largest_consistency(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Compare con(Z, B) of scaled matrices, d > N, with the stated maximum, in both readings. `other`: d / sqrt(d / r + lambda).

    With x = s^2, x / sqrt(x + lambda) is concave; so for sum x = d over r values it is largest where all are d / r (Jensen).
    Under Eq. 7 r is N - 1.
    """

    def gap(z: Matrix) -> float:
        n, d = z.shape
        con = float((z * implementation.base(z, PRINTED_RIDGE)).sum())
        if other:
            return con - largest_con(d, n - 1, PRINTED_RIDGE)
        readings = np.sqrt(d) + n * PRINTED_RIDGE, np.sqrt(d + n * PRINTED_RIDGE)
        return con - max((d * n / reading) ** -0.5 for reading in readings)

    def draw(rng: Generator) -> Matrix:
        n = int(rng.integers(2, 8))
        return implementation.scale(rng.standard_normal((n, n + int(rng.integers(1, 8)))))

    def reached() -> float:
        # Unit vectors at multiples of 180/5 degrees in the plane of three centred samples: a tight frame
        plane = np.array([[1, 1], [-1, 1], [0, -2]]) / np.sqrt([2, 6])
        angles = np.pi * np.arange(5) / 5
        z = plane @ np.array([np.cos(angles), np.sin(angles)])
        return float((z * implementation.base(z, PRINTED_RIDGE)).sum()) - largest_con(5, 2, PRINTED_RIDGE)

    assert abs(reached()) < 1e-9
    smallest = np.array([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]]) / np.sqrt(2)  # every scaled matrix of two samples, but for signs
    climbed = inequalities("T4.max", "corrected")[0].climbed
    found = judge(Statement(gap, draw, known=(smallest,), climb=lambda effort: (z for (z,) in climbed(effort))), effort)
    if other:
        return Finding(found.verdict, f"con(Z, B) <= d / sqrt(d / r + lambda), r = N - 1: {found.tried}")
    con = float((smallest * implementation.base(smallest, PRINTED_RIDGE)).sum())
    printed = [(6 / reading) ** -0.5 for reading in (np.sqrt(3) + 2 * PRINTED_RIDGE, np.sqrt(3 + 2 * PRINTED_RIDGE))]
    return Finding(
        found.verdict,
        f"N = 2, d = 3, lambda = 0.0001: every scaled Z has s^2 = 3 and con(Z, B) = 3 / sqrt(3.0001) = {con:.4f}, above the"
        f" stated {printed[0]:.4f} (and {printed[1]:.4f} in the other reading); N non-zero eigenvalues of sqrt(d)/N add up to"
        f" sqrt(d), but Eq. 7 makes them add up to d",
        correction="the largest con is d / sqrt(d / r + lambda) with r = N - 1, where all non-zero eigenvalues are d / r",
    )


def _limit(implementation: Implementation, z: Matrix) -> tuple[float, float]:
    """Return how far B^T B is from the identity for a vanishing ridge, and how far B is from the partial isometry."""
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    kept = s > 1e-9 * s.max()
    base = implementation.base(z / s.max(), (1e-5 * s[kept].min() / s.max()) ** 2)
    return (
        float(np.linalg.norm(base.T @ base - np.eye(z.shape[1]), 2)),
        float(np.abs(base - u[:, kept] @ vt[kept]).max()),
    )


@theory("E9")
def generalises_the_basis(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Follow Eq. 9 as lambda goes to 0, with and without full column rank. `other`: full column rank as a hypothesis.

    B tends to U_r V_r^T over the r non-zero singular values, since s / sqrt(s^2 + lambda) tends to 1 there and is 0 where s is.
    For full column rank that is the nearest orthonormal basis; otherwise B^T B tends to the projector V_r V_r^T. At any
    lambda, B^T B = V diag(s^2 / (s^2 + lambda)) V^T, and ||I - B^T B||_2 = lambda / (lambda + s_min^2).
    """

    def gap(z: Matrix) -> float:
        defect, distance = _limit(implementation, z)
        return max(defect, distance)

    def well_conditioned(rng: Generator) -> Matrix:
        d = int(rng.integers(1, 9))
        return with_spectrum(rng, 10.0 ** rng.uniform(-2, 2, d), d + int(rng.integers(0, 4)))

    def isometry(z: Matrix) -> float:
        return _limit(implementation, z)[1]

    full = judge(Statement(gap, well_conditioned), effort)
    if other:
        return Finding(full.verdict, f"with full column rank B tends to the nearest orthonormal basis: {full.tried}")
    in_general = judge(Statement(gap, deficient), effort)
    projected = judge(Statement(isometry, deficient), effort)
    rng = np.random.default_rng(3)
    sizes = []
    for n, d in ((256, 128), (256, 256), (256, 2048)):
        s = np.linalg.svd(implementation.scale(rng.standard_normal((n, d))), compute_uv=False)
        s_min = 0.0 if d > n - 1 else s[-1]
        sizes.append(f"N = {n}, d = {d}: {PRINTED_RIDGE / (PRINTED_RIDGE + s_min**2):.2g}")
    narrow = with_spectrum(rng, np.array([1.4, 0.2]), 4)
    base = implementation.base(narrow, PRINTED_RIDGE)
    np.testing.assert_allclose(np.linalg.norm(base.T @ base - np.eye(2), 2), PRINTED_RIDGE / (PRINTED_RIDGE + 0.04), rtol=1e-6)
    verdict = {("holds", "refuted"): "conditional", ("holds", "holds"): "holds"}.get(
        (full.verdict, in_general.verdict), "refuted"
    )
    assert projected.verdict == "holds", projected
    return Finding(
        verdict,
        f"with full column rank B tends to the nearest orthonormal basis: {full.tried}; without it B tends to the partial"
        f" isometry U_r V_r^T ({projected.tried}), whose B^T B is the projector V_r V_r^T, at a distance of 1 from the"
        f" identity. For lambda = 0.0001, ||I - B^T B||_2 = lambda / (lambda + s_min^2) is, for scaled Gaussian Z,"
        f" {', '.join(sizes)}",
        condition="for Z of full column rank, so for d <= N - 1; where Eq. 9 is needed, d > N - 1, it does not give a basis",
        correction="B^T B = V diag(s^2 / (s^2 + lambda)) V^T: the identity is missed by lambda / (lambda + s_min^2), and by 1"
        " where the rank is below d",
    )
