"""Theorem 2: whether the loss of ARB bounds the invariance term of Barlow Twins, and when both are 0."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from flint import arb, arb_mat, fmpq, fmpq_mat
from scipy.linalg import hadamard, orthogonal_procrustes, polar

from arb_suite.audit.finding import Finding

from . import exact
from .judge import QUICK, Effort, Statement, judge, theory
from .matrices import OURS, Implementation, Matrix, pairs
from .search.inequalities import Base, climb_of, diagonal, inequalities, least_loss, zero_bound
from .search.shrink import stored
from .smallest import ALIKE, SMALLEST, scaled

__all__ = ["FOUR_SAMPLES", "SIX_SAMPLES", "agreed_base", "counterexample"]

# Two orthonormal, centred columns, and two views with these as their base (in halves and fifths): all of it by hand
FOUR_SAMPLES = {"base": [[1, 1], [1, -1], [-1, 1], [-1, -1]], "root_a": [[4, 3], [3, 4]], "root_b": [[4, -3], [-3, 4]]}
# For the Frobenius reading, both directions; raw embeddings
SIX_SAMPLES = tuple(stored("T2.sum.fro")["views"])
READINGS = ("one.diag", "sum.diag", "one.fro", "sum.fro", "trace")
# P of `_sixty_features`, of I and of the matrix of ones
SIXTY = fmpq(2, 7), fmpq(5, 42)
BY_HAND = (
    "N = 4, d = 2: with orthonormal columns b_1 = (1, 1, -1, -1)/2 and b_2 = (1, -1, 1, -1)/2, the views"
    " z^A_1 = (4 b_1 + 3 b_2)/5, z^A_2 = (3 b_1 + 4 b_2)/5 and z^B_1 = (4 b_1 - 3 b_2)/5, z^B_2 = (4 b_2 - 3 b_1)/5 are"
    " standard-scaled and both have the base (b_1, b_2)"
)
Views = tuple[Matrix, Matrix]
WithRidge = tuple[Matrix, Matrix, float]


def counterexample() -> tuple[fmpq_mat, fmpq_mat, fmpq_mat]:
    """Return Z^A, Z^B and their common base as rationals, certified."""
    base = exact.rational(FOUR_SAMPLES["base"], over=2)
    views = [base * exact.rational(FOUR_SAMPLES[root], over=5) for root in ("root_a", "root_b")]
    for z in views:
        exact.certify_scaled(z)
        exact.certify_base(z, base)
    return views[0], views[1], base


def agreed_base(implementation: Implementation, z: Matrix) -> Matrix:
    """Return the base of a matrix of full column rank; SciPy's polar decomposition and Procrustes solution have to agree."""
    base = implementation.base(z, 0.0)
    condition = np.linalg.cond(z)
    if condition < 1e6:
        q, r = np.linalg.qr(z)
        for other in (polar(z)[0], q @ orthogonal_procrustes(np.eye(z.shape[1]), r)[0]):
            np.testing.assert_allclose(base, other, rtol=0, atol=1e-14 * condition + 1e-12)
    return base


def _agreed(implementation: Implementation) -> Base:
    """Return the base of the inequalities: that of an implementation, with which SciPy agrees."""
    return lambda z, ridge: torch.from_numpy(agreed_base(implementation, z.numpy()))


def _bound(reading: str, implementation: Implementation, effort: Effort, other: bool) -> Finding:
    claim = f"T2.{reading}"
    bound = inequalities(claim, "corrected" if other else "printed")[0]  # lambda = 0

    def gap(views: Views) -> float:
        return float(bound.gap(_agreed(implementation), *map(torch.from_numpy, views)))

    a, b, base = counterexample()
    by_hand = exact.floats(a), exact.floats(b)
    for z in by_hand:
        np.testing.assert_allclose(implementation.base(z, 0.0), exact.floats(base), rtol=0, atol=1e-12)
    small = [tuple(implementation.scale(np.array(rows, float)) for rows in stored(f"T2.{r}")["views"]) for r in READINGS]
    draw = partial(pairs, implementation=implementation)
    found = judge(Statement(gap, draw, proved=other, known=(by_hand, *small), climb=climb_of([bound])), effort)
    correction = {
        "trace": "|tr((Z^A)^T B^B) - tr((Z^A)^T Z^B)| <= sqrt(d) ||B^B - Z^B||_F",
        "one": "sqrt(sum_i (1 - C_ii)^2) <= sqrt(L) + ||B^B - Z^B||_F, L in one direction",
        "sum": "sqrt(sum_i (1 - C_ii)^2) <= sqrt(L/2) + (||B^A - Z^A||_F + ||B^B - Z^B||_F)/2, L in both directions",
    }[reading.split(".")[0]]
    if found.verdict != "refuted":
        return Finding(found.verdict, f"{correction if other else 'the printed bound'}: {found.tried}")
    if reading == "sum.fro":
        drawn = Statement(gap, lambda rng: tuple(implementation.scale(z) for z in rng.standard_normal((2, 6, 4))))
        violated = judge(drawn, replace(effort, cases=2000)).tried.split(" violate")[0]
        evidence = (
            f"{_sixty_features()}. Smallest found: {_small(reading)}; of Gaussian views of this size {violated} violate it"
        )
    else:
        evidence = f"{_four_samples(reading, a, b, base)}. {_small(reading)}"
    return Finding(found.verdict, evidence, correction=f"true is {correction}")


def _four_samples(reading: str, a: fmpq_mat, b: fmpq_mat, base: fmpq_mat) -> str:
    cross, product = a.transpose() * b, a.transpose() * base
    trace = [sum((m[i, i] for i in range(2)), fmpq(0)) for m in (product, cross)]
    entries = f"C = {cross[0, 0]} I, and (Z^A)^T B^B has {product[0, 0]} on and {product[0, 1]} off its diagonal"
    if reading == "trace":
        assert trace[0] > trace[1]
        sides = f"tr((Z^A)^T B^B) = {trace[0]} is above tr((Z^A)^T Z^B) = {trace[1]}"
        return f"{BY_HAND}; {entries}; {sides}, lambda = 0"
    invariance = sum(((1 - cross[i, i]) ** 2 for i in range(2)), fmpq(0))
    loss = fmpq(0)
    for z in (a, b) if reading.startswith("sum") else (a,):
        m = z.transpose() * base
        for i in range(2):
            for j in range(2):
                if i == j or reading.endswith("fro"):
                    loss += ((i == j) - m[i, j]) ** 2
    assert invariance > loss
    sides = f"sum_i (1 - C_ii)^2 = {invariance} is above L = {loss}"
    return f"{BY_HAND}; {entries}; {sides}, in exact rationals, lambda = 0"


def _sixty_features() -> str:
    """
    Describe a counterexample to the Frobenius reading, both directions, in rationals: d = 60 features of N = 64 samples.

    H has orthonormal, centred columns: those of a Hadamard matrix, over 8. With J the matrix of ones, P = 2/7 I + 5/42 J is
    positive definite, its square has a diagonal of 1, and R = I - J/30 is a reflection that commutes with it. So Z^A = H P and
    Z^B = H R P are scaled, and H and H R are their bases; all products are of d x d matrices.
    """
    d = 60
    on_eye, on_ones = SIXTY
    ones, eye = (exact.rational([[int(same or i == j) for j in range(d)] for i in range(d)]) for same in (True, False))
    h = exact.rational(hadamard(64)[:, 1 : d + 1].tolist(), over=8)
    root, turn = on_eye * eye + on_ones * ones, eye - ones / 30
    for base in (h, h * turn):
        exact.certify_scaled(base * root)
        exact.certify_base(base * root, base)
    cross, products = root * turn * root, (root * turn, turn * root)
    invariance = sum(((1 - cross[i, i]) ** 2 for i in range(d)), fmpq(0))
    loss = sum(((eye[i, j] - m[i, j]) ** 2 for m in products for i in range(d) for j in range(d)), fmpq(0))
    assert invariance > loss
    return (
        "by hand, N = 64, d = 60: H has 60 columns other than the first of the Hadamard matrix of order 64, over 8; J is the"
        f" matrix of ones, P = {on_eye} I + {on_ones} J, with the eigenvalues {on_eye} and {on_eye + d * on_ones}, and"
        " R = I - J/30. Z^A = H P and Z^B = H R P are standard-scaled with the bases H and H R;"
        f" C_ii = {cross[0, 0]}, and sum_i (1 - C_ii)^2 = {invariance} = {float(invariance.p) / float(invariance.q):.3f} is"
        f" above L = {loss} = {float(loss.p) / float(loss.q):.3f}, in exact rationals, lambda = 0"
    )


def _trace_ball(a: arb_mat, b: arb_mat) -> arb:
    return sum(((a.transpose() * b)[i, i] for i in range(a.ncols())), arb(0))


def _loss_ball(reading: str, views: list[arb_mat], ridge: arb) -> arb:
    """Return Eq. 8 by one of its readings."""
    total = arb(0)
    for z, other in (views, views[::-1])[: 2 if reading.startswith("sum") else 1]:
        m = z.transpose() * exact.base_ball(other, ridge)
        for i in range(m.ncols()):
            total += sum(((i == j) - m[i, j]) ** 2 for j in range(m.ncols()) if i == j or reading.endswith("fro"))
    return total


def _small(reading: str) -> str:
    """Describe the stored counterexample, certified in balls: every number in the one above every number in the other."""
    entry = stored(f"T2.{reading}")
    views = [exact.scaled_ball(rows) for rows in entry["views"]]
    cross = views[0].transpose() * views[1]
    invariance = sum(((1 - cross[i, i]) ** 2 for i in range(entry["d"])), arb(0))
    values = []
    for ridge in ("0", "0.0001"):
        if reading == "trace":
            value = _trace_ball(views[0], exact.base_ball(views[1], arb(ridge)))
            assert value > _trace_ball(*views)
        else:
            value = _loss_ball(reading, views, arb(ridge))
            assert invariance > value
        values.append(f"{float(value.mid()):z.6f} (lambda = {ridge})")
    sides = (
        f"tr((Z^A)^T B^B) = {' and '.join(values)} above tr((Z^A)^T Z^B) = {float(_trace_ball(*views).mid()):z.6f}"
        if reading == "trace"
        else f"sum_i (1 - C_ii)^2 = {float(invariance.mid()):.6f} above L = {' and '.join(values)}"
    )
    return (
        f"N = {entry['n']}, d = {entry['d']}: raw embeddings Z^A = {entry['views'][0]} and Z^B = {entry['views'][1]}, rows are"
        f" samples, scaled by Eq. 7, have {sides}, in ball arithmetic of 200 bits"
    )


@theory("T2.one.diag")
def one_direction_diagonal(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """One direction of Eq. 8, the diagonal alone."""
    return _bound("one.diag", implementation, effort, other)


@theory("T2.sum.diag")
def both_directions_diagonal(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """Both directions of Eq. 8, the diagonal alone."""
    return _bound("sum.diag", implementation, effort, other)


@theory("T2.one.fro")
def one_direction_frobenius(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """One direction of Eq. 8, the full Frobenius norm."""
    return _bound("one.fro", implementation, effort, other)


@theory("T2.sum.fro")
def both_directions_frobenius(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """Both directions of Eq. 8, the full Frobenius norm."""
    return _bound("sum.fro", implementation, effort, other)


@theory("T2.trace")
def trace(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """Compare the traces of Eq. 12."""
    return _bound("trace", implementation, effort, other)


@theory("T2.zero")
def zero_together(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Bound the root of each loss by the other one; so one is 0 if the other is. `other`: with one direction of Eq. 8 alone.

    With L_1 and L_2 the two directions (diagonal), e_k = sqrt(2 sqrt(d L_k)) and
    eta = ||C - I||_F, for full column rank, lambda = 0:

    (a) eta <= sqrt(d) e_1 + e_2. The columns of Z have norm 1, so that ||Z^A - B^B||^2 = 2 sum_i (1 - <z_i, b_i>) <= e_1^2
        by Cauchy and Schwarz, and likewise ||Z^B - B^A|| <= e_2. B^A is nearest to Z^A, hence ||Z^A - B^A|| <= e_1. Then
        C - I = (Z^A - B^A)^T Z^B + (B^A)^T (Z^B - B^A), with ||Z^B||_2 <= sqrt(d) and ||B^A||_2 = 1.
    (b) sqrt(L_1) <= 2 eta + sqrt(2) d^(3/4) sqrt(eta). As in the correction of Theorem 2, sqrt(L_1) <= eta + ||B^B - Z^B||;
        ||B^B - Z^B|| <= ||(Z^B)^T Z^B - I||, since |s - 1| <= |s^2 - 1|; and (Z^B)^T Z^B - I = (Z^B - Z^A)^T Z^B + C - I,
        with ||Z^A - Z^B||^2 = 2 sum_i (1 - C_ii) <= 2 sqrt(d) eta.
    (c) The Frobenius loss F_1 is no smaller than L_1, and I - (Z^A)^T B^B = (I - C) + (Z^A)^T (Z^B - B^B), so that
        sqrt(F_1) <= eta + sqrt(d) ||B^B - Z^B||, which (b) bounds.

    Either loss is 0 for full column rank alone: L_ARB = 0 makes Z^A = B^B, hence ||B^B||_F^2 = d, and C = I makes Z^A = Z^B
    with orthonormal columns.
    """
    bounds = [partial(zero_bound, upwards, other) for upwards in (True, False)]

    def gap(views: Views) -> float:
        a, b = map(torch.from_numpy, views)
        sides = [bound(_agreed(implementation), a, b) for bound in bounds]
        far = np.linalg.norm(agreed_base(implementation, views[1]) - views[1])
        product, eye = views[0].T @ agreed_base(implementation, views[1]), np.eye(a.shape[1])
        eta = np.linalg.norm(views[0].T @ views[1] - eye)
        sides.append((np.linalg.norm(eye - product), eta + a.shape[1] ** 0.5 * far))
        return float(max(left - right for left, right in sides))

    def draw(rng: np.random.Generator) -> Views:
        if rng.integers(2):
            return pairs(rng, implementation)
        d = int(rng.integers(1, 9))  # near the common zero
        columns = np.linalg.qr(np.column_stack([np.ones(d + 3), rng.standard_normal((d + 3, d))]))[0][:, 1:]
        noise = 10.0 ** rng.uniform(-6, 0)
        a, b = (implementation.scale(columns + noise * rng.standard_normal(columns.shape)) for _ in range(2))
        return a, b

    _, b, base = counterexample()
    known = (exact.floats(base), exact.floats(b))  # Z^A is the base of Z^B: the one direction is 0
    found = judge(Statement(gap, draw, proved=not other, known=(known,), climb=climb_of(inequalities("T2.zero"))), effort)
    if found.verdict == "refuted":
        cross = base.transpose() * b
        return Finding(
            found.verdict,
            f"{BY_HAND.split(', the views')[0]}, Z^A = (b_1, b_2) and z^B_1 = (4 b_1 - 3 b_2)/5, z^B_2 = (4 b_2 - 3 b_1)/5:"
            f" the direction from Z^A to B^B is 0, and C_11 = {cross[0, 0]}, C_12 = {cross[0, 1]}",
        )
    return Finding(
        found.verdict,
        "with eta = ||C - I||_F, L_1 and L_2 the two directions of Eq. 8 and e_k = sqrt(2 sqrt(d L_k)):"
        " eta <= sqrt(d) e_1 + e_2 and sqrt(L_1) <= 2 eta + sqrt(2) d^(3/4) sqrt(eta), so that each is 0 if the other is:"
        f" {found.tried}; both are 0 exactly where Z^A = Z^B has orthonormal columns",
        condition="with both directions of Eq. 8, for the diagonal and for the Frobenius reading",
    )


def _three_features() -> Matrix:
    """Three features of three samples: unit vectors at angles of 120 degrees in the plane of centred vectors."""
    plane = np.array([[1, 1], [-1, 1], [0, -2]]) / np.sqrt([2, 6])
    angles = 2 * np.pi * np.arange(3) / 3
    return plane @ np.array([np.cos(angles), np.sin(angles)])


@theory("T2.zero.ridge")
def zero_with_more_features(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Bound the loss from below, whatever N, d and lambda. `other`: that 0 is reached for d <= N - 1 and lambda = 0.

    Let r = min(d, N - 1), the largest rank that a scaled Z can have, and T = sum_i <z_i, b_i>. Each direction is at least
    (d - T)^2 / d, by Cauchy and Schwarz, and T <= ||Z||_F ||B||_F = sqrt(d) ||B||_F. ||B||_F^2 is the sum of the r values
    x / (x + lambda), x = s^2, which add up to d; it is concave in them, so that it is at most d / (d/r + lambda), where all are
    d/r. So T <= d / sqrt(d/r + lambda). Equal views have that where Z Z^T is a multiple of a projector of rank r: orthonormal
    for d = r, a unit-norm tight frame beyond. It is above 0 unless d = r and lambda = 0.
    """

    def loss(case: WithRidge) -> float:
        *views, ridge = case
        a, b = map(torch.from_numpy, views)
        base_a, base_b = (torch.from_numpy(implementation.base(z, ridge)) for z in views)
        return float(diagonal(a, base_b) + diagonal(b, base_a))

    def draw(rng: np.random.Generator) -> WithRidge:
        n, d = int(rng.integers(2, 9)), int(rng.integers(1, 17))
        a = rng.standard_normal((n, d))
        views = a, a + 10.0 ** rng.uniform(-4, 0) * rng.standard_normal((n, d))
        ridge = float(rng.choice([0.0, 1e-4, 10.0 ** rng.uniform(-6, 1)]))
        return implementation.scale(views[0]), implementation.scale(views[1]), ridge

    SMALLEST["T2.zero.ridge"]()
    alike = scaled(ALIKE)
    for ridge in (0.0, 1e-4):
        np.testing.assert_allclose(loss((alike, alike, ridge)), least_loss(2, 2, ridge), rtol=0, atol=1e-12)
    pair, three = exact.floats(counterexample()[2]), _three_features()
    known = [(z, z, ridge) for z in (pair, three) for ridge in (0.0, 1e-4)]
    if other:
        reached = loss(known[0])
        return Finding("holds" if reached < 1e-20 else "refuted", f"two orthonormal features of N = 4 have {reached:.2g}")

    def gap(case: WithRidge) -> float:
        return least_loss(*case[0].shape, case[2]) - loss(case)

    climb = climb_of(inequalities("T2.zero.ridge")[:1] + inequalities("T2.zero.ridge")[2:3])
    found = judge(Statement(gap, draw, proved=True, known=tuple(known), climb=climb), effort)
    attained = sum(abs(loss(case) - least_loss(*case[0].shape, case[2])) < 1e-12 for case in known)
    # The claim is that 0 is reached; the bound, proved, attained and not violated, denies it.
    verdict = {"holds": "refuted", "refuted": "inconclusive"}[found.verdict] if attained == len(known) else "inconclusive"
    return Finding(
        verdict,
        "the loss is at least 2 d (1 - 1/sqrt(d/r + lambda))^2, r = min(d, N - 1), which is above 0 for d > N - 1:"
        f" {found.tried}; it is reached in {attained} of {len(known)} cases by hand, two orthonormal features of N = 4 and"
        " three at 120 degrees of N = 3, lambda = 0 and 0.0001. For the latter, N = 3 and d = 3, it is"
        f" {least_loss(3, 3):.4f} at lambda = 0 and {least_loss(3, 3, 1e-4):.4f} at 0.0001; for N = 256, d = 2048 it is"
        f" {least_loss(256, 2048):.2f} at lambda = 0 and {least_loss(256, 2048, 1e-4):.2f} at 0.0001",
        condition="with one base; with p groups, each with a base of its own, read d/p for d (see O3)",
        correction="the least loss is 2 d (1 - 1/sqrt(d/r + lambda))^2, r = min(d, N - 1), reached by equal views that are"
        " orthonormal (d <= N - 1) or a unit-norm tight frame: 0 if and only if d <= N - 1 and lambda = 0",
    )
