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

SMALL = 0.01  # an error of B^T B


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
    found = judge(Statement(gap, _draw, proved=not other, known=known, climb=climb), effort)
    values = fmpq(7, 5) + fmpq(1, 5), fmpq(49, 25) / fmpq(8, 5) + fmpq(1, 25) / fmpq(4, 5)
    return Finding(
        found.verdict,
        f"every term s^2 / sqrt(s^2 + lambda) falls in lambda: {found.tried}; for singular values 7/5, 1/5 (N = 4, d = 2) con"
        f" is {values[0]} at lambda = 0 and {values[1]} at lambda = {STEP}",
    )


@theory("T4.distance")
def distance_shrinks(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Compare ||Z - B|| for two ridges. `other`: what is true instead, in three statements.

    (a) A term (1 - s / sqrt(s^2 + lambda))^2 of the squared distance to the polar factor grows in lambda.
    (b) With u = s^2 + lambda a term s^2 (1 - u^(-1/2))^2 of ||Z - B||^2 has the derivative s^2 (1 - u^(-1/2)) u^(-3/2): it
        grows in lambda where u >= 1. If that is so for every s > 0, ||Z - B|| shrinks as lambda shrinks.
    (c) At lambda = 0 the derivatives add up to sum_i (1/s_i - 1/s_i^2). With y = 1/s, (y^(-2) - 1)/2 - (y - y^2) =
        (1 - y)^2 (2 y^2 + 2 y + 1) / (2 y^2) >= 0. As Eq. 7 makes the s_i^2 add up to d, the sum is at most
        sum_i (s_i^2 - 1)/2 = 0, and is 0 only where all s_i are 1.
    """

    def polar_factor(case: Ridges) -> float:
        target = polar(case.z)[0]
        lower, higher = (np.linalg.norm(target - base) for base in _bases(implementation, case))
        return float(lower - higher) / np.linalg.norm(target)

    def gap(case: Ridges) -> float:
        lower, higher = (np.linalg.norm(case.z - base) for base in _bases(implementation, case))
        return float(lower - higher) / np.linalg.norm(case.z)

    def slope(z: Matrix) -> float:
        s = np.linalg.svd(z, compute_uv=False)
        near = implementation.base(z, step := 1e-4 * s[-1] ** 2), implementation.base(z, 0.0)
        squares = [((z - base) ** 2).sum() for base in near]
        assert abs((squares[0] - squares[1]) / step - (1 / s - 1 / s**2).sum()) < 1e-2 * (1 / s**2).sum()
        return float((1 / s - 1 / s**2).sum())

    def full_rank(rng: Generator) -> Ridges:
        d = int(rng.integers(1, 8))
        return Ridges(with_spectrum(rng, 10.0 ** rng.uniform(-1, 1, d), d + 2), 1e-4, 10.0 ** rng.uniform(-3, 1))

    def at_least_one(rng: Generator) -> Ridges:
        case = _draw(rng)
        s = np.linalg.svd(case.z, compute_uv=False)
        lower = max(case.lower, 1 - s[s > 1e-9 * s.max()].min() ** 2)
        return Ridges(case.z, lower, lower * case.higher / case.lower)

    def scaled(rng: Generator) -> Matrix:
        d = int(rng.integers(1, 8))
        return implementation.scale(rng.standard_normal((d + int(rng.integers(1, 6)), d)))

    case = _by_hand(implementation)
    near_zero = judge(Statement(slope, scaled, proved=True, known=(case.z,)), effort)
    if other:
        climb = _climb(inequalities("T4.distance", "corrected")[0])
        to_polar = judge(Statement(polar_factor, full_rank, proved=True, climb=climb), effort)
        sufficient = judge(Statement(gap, at_least_one, proved=True), effort)
        verdicts = {found.verdict for found in (to_polar, sufficient, near_zero)}
        return Finding(
            "holds" if verdicts == {"holds"} else "inconclusive",
            f"||M - B|| grows in lambda: {to_polar.tried}; so does ||Z - B|| where every non-zero s_i^2 + lambda is at least 1:"
            f" {sufficient.tried}; for a scaled Z it does not at lambda = 0: {near_zero.tried}",
        )
    found = judge(Statement(gap, _draw, known=(Ridges(case.z, 1e-12, case.higher),)), effort)
    squares = (
        fmpq(2, 5) ** 2 + fmpq(4, 5) ** 2,
        (fmpq(7, 5) - fmpq(7, 8)) ** 2 + (fmpq(1, 5) - fmpq(1, 4)) ** 2,
    )
    return Finding(
        found.verdict,
        f"N = 4, d = 2, standard-scaled with singular values 7/5 and 1/5: those of B are 1, 1 at lambda = 0 and 7/8, 1/4 at"
        f" lambda = {STEP}, so that ||Z - B||^2 = {squares[0]} at lambda = 0 is above {squares[1]} at lambda = {STEP}, in exact"
        f" rationals: the smaller lambda is farther. Near lambda = 0 so it is for every scaled Z of full column rank but the"
        f" orthonormal ones, the slope being sum_i (1/s_i - 1/s_i^2) <= 0: {near_zero.tried}",
        correction="the distance to the polar factor M, sqrt(sum_i (1 - s_i / sqrt(s_i^2 + lambda))^2), shrinks as lambda"
        " shrinks; ||Z - B|| does so while every non-zero s_i^2 has s_i^2 + lambda >= 1",
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
    found = judge(
        Statement(gap, draw, proved=other, known=(smallest,), climb=lambda effort: (z for (z,) in climbed(effort))), effort
    )
    if other:
        return Finding(found.verdict, f"con(Z, B) <= d / sqrt(d / r + lambda), r = N - 1: {found.tried}")
    con = float((smallest * implementation.base(smallest, PRINTED_RIDGE)).sum())
    printed = [(6 / reading) ** -0.5 for reading in (np.sqrt(3) + 2 * PRINTED_RIDGE, np.sqrt(3 + 2 * PRINTED_RIDGE))]
    return Finding(
        found.verdict,
        f"N = 2, d = 3, lambda = 0.0001: every scaled Z has s^2 = 3 and con(Z, B) = 3 / sqrt(3.0001) = {con:.4f}, above the"
        f" stated {printed[0]:.5f} (and {printed[1]:.5f} in the other reading); N non-zero eigenvalues of sqrt(d)/N add up to"
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
    Follow Eq. 9 as lambda goes to 0, and look at lambda = 0.0001. `other`: with the hypotheses of the condition.

    B tends to U_r V_r^T over the r non-zero singular values, since s / sqrt(s^2 + lambda) tends to 1 there and is 0 where s is.
    For full column rank that is the nearest orthonormal basis; otherwise B^T B tends to the projector V_r V_r^T. At any
    lambda, B^T B = V diag(s^2 / (s^2 + lambda)) V^T, and ||I - B^T B||_2 = lambda / (lambda + s_min^2): at most 0.01, which is
    called small here, where s_min^2 >= 99 lambda.
    """

    def gap(z: Matrix) -> float:
        defect, distance = _limit(implementation, z)
        return max(defect, distance)

    def not_small(z: Matrix) -> float:
        base = implementation.base(z, PRINTED_RIDGE)
        missed, s_min = np.linalg.norm(base.T @ base - np.eye(z.shape[1]), 2), np.linalg.svd(z, compute_uv=False)[-1]
        np.testing.assert_allclose(missed, PRINTED_RIDGE / (PRINTED_RIDGE + s_min**2), rtol=0, atol=1e-6)
        return float(missed) - SMALL

    def well_conditioned(rng: Generator) -> Matrix:
        d = int(rng.integers(1, 9))
        return with_spectrum(rng, 10.0 ** rng.uniform(-2, 2, d), d + int(rng.integers(0, 4)))

    def far_from_zero(rng: Generator) -> Matrix:
        z = well_conditioned(rng)
        s_min = np.linalg.svd(z, compute_uv=False)[-1]
        return z * max(1.0, (PRINTED_RIDGE * (1 - SMALL) / SMALL) ** 0.5 * (1 + 1e-9) / s_min)

    def isometry(z: Matrix) -> float:
        return _limit(implementation, z)[1]

    rng = np.random.default_rng(3)
    gaussian = {d: implementation.scale(rng.standard_normal((256, d))) for d in (128, 200, 250, 255, 256, 2048)}
    full = judge(Statement(gap, well_conditioned, proved=True), effort)
    small = judge(Statement(not_small, far_from_zero, proved=True), effort)
    if other:
        return Finding(
            full.verdict if small.verdict == "holds" else small.verdict,
            f"with full column rank B tends to the nearest orthonormal basis: {full.tried}; with s_min^2 >= 99 lambda B^T B"
            f" misses the identity by {SMALL} at most: {small.tried}",
        )
    in_general = judge(Statement(gap, deficient), effort)
    always_small = judge(Statement(not_small, well_conditioned, known=(gaussian[250],)), effort)
    projected = judge(Statement(isometry, deficient, proved=True), effort)
    assert projected.verdict == "holds", projected
    sizes = []
    for d, z in gaussian.items():
        s_min = 0.0 if d > len(z) - 1 else np.linalg.svd(z, compute_uv=False)[-1]
        sizes.append(f"d = {d}: {PRINTED_RIDGE / (PRINTED_RIDGE + s_min**2):.2g}")
    with_hypotheses, without = {full.verdict, small.verdict}, {in_general.verdict, always_small.verdict}
    verdict = "conditional" if (with_hypotheses, without) == ({"holds"}, {"refuted"}) else "inconclusive"
    return Finding(
        verdict,
        f"with full column rank B tends to the nearest orthonormal basis: {full.tried}; without it B tends to the partial"
        f" isometry U_r V_r^T ({projected.tried}), whose B^T B is the projector V_r V_r^T, at a distance of 1 from the"
        f" identity. For lambda = 0.0001, ||I - B^T B||_2 = lambda / (lambda + s_min^2) is, for a scaled"
        f" Gaussian Z with N = 256, drawn once, {', '.join(sizes)}; it is at most {SMALL} where"
        f" s_min^2 >= 99 lambda: {small.tried}",
        condition="the limit: for Z of full column rank, so for d <= N - 1; the small error at lambda = 0.0001: for s_min^2"
        " far above lambda, which full column rank does not give near d = N - 1. Where Eq. 9 is needed, d > N - 1, neither",
        correction="B^T B = V diag(s^2 / (s^2 + lambda)) V^T: the identity is missed by lambda / (lambda + s_min^2), and by 1"
        " where the rank is below d",
    )
