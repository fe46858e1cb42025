"""Theorem 5: the gradient of Eq. 16, and what it is at collapsed embeddings. `escape` has what descent does near them."""

from functools import partial

import numpy as np
import torch
from arb_core import ARBLoss, standard_scale
from flint import fmpq
from numpy.random import Generator

from arb_suite.audit.finding import Finding

from . import exact
from .gradients import BY_HAND, QUARTER, RIDGE, Case, collapsed_views, cosine, differentiate, example_by_hand, gradient_of
from .judge import QUICK, Effort, Judgement, Statement, judge, theory
from .matrices import OURS, Implementation, Matrix, orthonormal, pairs
from .search.inequalities import climb_of, inequalities
from .smallest import COLLAPSED, OPPOSITE, SMALLEST, products_at_collapse, scaled
from .theorem_2 import agreed_base

__all__ = ["either"]

PAIR = "N = 4, d = 2, z_1 = z_2 = z = (1, 1, -1, -1)/2"


def _largest_product(g: Matrix) -> float:
    return float(np.abs(g.T @ g)[~np.eye(g.shape[1], dtype=bool)].max(initial=0))


@theory("T5.grad")
def sign_of_gradient(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Compare Eq. 16 with autograd. `other`: with a minus, by the chain rule 2 (1 - c_i) times the derivative -b_i.

    By hand without differentiation: along b_1 the loss is a square, and its central difference is its slope.
    """
    z, _, coordinates = example_by_hand(implementation)
    sign = -1 if other else 1

    def gap(views: tuple[Matrix, Matrix]) -> float:
        base = implementation.base(views[1], 0.0)
        return float(np.abs(differentiate(views[0], base) - sign * 2 * (1 - (views[0] * base).sum(0)) * base).max())

    found = judge(Statement(gap, partial(pairs, implementation=implementation), proved=other, known=((z, z),)), effort)
    SMALLEST["T5.grad"]()
    one, opposite = map(scaled, OPPOSITE)
    np.testing.assert_allclose(implementation.base(opposite, 0.0), opposite, rtol=0, atol=1e-12)
    np.testing.assert_allclose(differentiate(one, opposite), -4 * opposite, rtol=0, atol=1e-12)
    c = coordinates[0, 0]
    slope = ((1 - (c + 1)) ** 2 - (1 - (c - 1)) ** 2) / 2
    by_hand = f"{BY_HAND}: along b_1 the slope of (1 - <z_1, b_1>)^2 is {slope}, in exact rationals"
    if found.verdict != "refuted":
        return Finding(found.verdict, f"-2 (1 - <z_i, b_i>) b_i agrees with autograd: {found.tried}; {by_hand}")
    return Finding(
        found.verdict,
        f"{by_hand}, where Eq. 16 as printed has {2 * (1 - c)}; autograd has the minus as well",
        correction="dL/dz_i = -2 (1 - <z_i^A, b_i^B>) b_i^B: descent moves z_i towards b_i",
    )


@theory("T5.orth.fullrank")
def orthogonal_at_full_rank(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """Multiply the gradients of Eq. 16, multiples of the columns of B with B^T B = I. `other`: with Eq. 9's ridge instead."""
    z, base, s = example_by_hand(implementation)

    def gap(views: tuple[Matrix, Matrix]) -> float:
        b = implementation.base(views[1], RIDGE) if other else agreed_base(implementation, views[1])
        return _largest_product(differentiate(views[0], b))

    found = judge(Statement(gap, partial(pairs, implementation=implementation), proved=not other, known=((z, z),)), effort)
    one = exact.rational([[1, 0], [0, 1]])
    gram = s * s * (s * s + one / 10_000).inv()  # B^T B of Eq. 9
    projected = one - s[0, 0] * s  # b_i - <z_i, b_i> z_i
    products = projected.transpose() * projected
    cosines = [m[0, 1] / m[0, 0] for m in (gram, products) if m[0, 0] == m[1, 1]]
    measured = cosine(differentiate(z, implementation.base(z, RIDGE))), cosine(differentiate(z, base, raw=True))
    np.testing.assert_allclose(measured, [float(c.p) / float(c.q) for c in cosines], rtol=0, atol=1e-9)
    setting = "lambda = 1e-4" if other else "lambda = 0"
    return Finding(
        found.verdict,
        f"{setting}: {found.tried}; {BY_HAND}: for Z^A = Z^B = (z_1, z_2) the cosine of the two gradients is {cosines[0]} with"
        f" lambda = 1e-4, and {cosines[1]} through Eq. 7's Jacobian with lambda = 0, in exact rationals",
        condition="" if other else "with lambda = 0, and with respect to the scaled embedding, before Eq. 7's Jacobian",
    )


def _minimiser(rng: Generator, z: Matrix, implementation: Implementation) -> Matrix:
    """Complete the partial isometry of a rank-deficient matrix by W V_0^T, W orthonormal and orthogonal to Z, and check it."""
    n, d = z.shape
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    rank = int((s > 1e-9).sum())
    taken = np.column_stack([u[:, :rank], *([np.ones(n)] if rng.integers(2) else [])])  # W is centred, or need not be
    w = np.linalg.qr(np.column_stack([taken, rng.standard_normal((n, d - rank))]))[0][:, taken.shape[1] :]
    b = implementation.base(z, 0.0) + w @ orthonormal(rng, d - rank, d - rank) @ vt[rank:]
    np.testing.assert_allclose(b.T @ b, np.eye(d), rtol=0, atol=1e-9)
    np.testing.assert_allclose(((z - b) ** 2).sum(), ((s - 1) ** 2).sum(), rtol=0, atol=1e-9)  # the least, by von Neumann
    return b


@theory("T5.orth.collapsed.eq2")
def orthogonal_with_minimiser(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Multiply the gradients at collapsed embeddings, with minimisers of Eq. 2: B^T B = I. `other`: through Eq. 7's Jacobian.

    For d = 2 and z_1 = z_2 = z the minimisers are b_1 = (z + w)/sqrt(2), b_2 = (z - w)/sqrt(2), for any unit w orthogonal to z.
    With both views equal the Jacobian takes them to multiples of w and -w, w centred: antiparallel.
    """
    z, w = example_by_hand(implementation)[1].T
    by_hand = np.stack([z, z], axis=1), np.stack([z + w, z - w], axis=1) / 2**0.5

    def gap(case: tuple[Matrix, Matrix]) -> float:
        return _largest_product(differentiate(*case, raw=other))

    def draw(rng: Generator) -> tuple[Matrix, Matrix]:
        a, b = collapsed_views(rng, implementation)
        return a, _minimiser(rng, b, implementation)

    found = judge(Statement(gap, draw, proved=not other, known=(by_hand,)), effort)
    opposite = cosine(differentiate(*by_hand, raw=True))
    condition = "with respect to the scaled embedding, before Eq. 7's Jacobian; Eq. 9 picks none of these minimisers"
    return Finding(
        found.verdict,
        f"{'through' if other else 'before'} Eq. 7's Jacobian {found.tried}; {PAIR}, w = (1, -1, 1, -1)/2,"
        f" b_1 = (z + w)/sqrt(2), b_2 = (z - w)/sqrt(2): through the Jacobian the gradients are opposite multiples of w"
        f" (cosine {opposite:.4f}), and push the features apart",
        condition="" if other else condition,
    )


def _with_ridge(rng: Generator, implementation: Implementation) -> Case:
    return *collapsed_views(rng, implementation), 10.0 ** rng.uniform(-8, 0)


@theory("T5.orth.collapsed.eq9")
def orthogonal_with_pseudo_base(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Multiply the gradients at collapsed embeddings, with the base of Eq. 9. `other`: that they are equal, also through Eq. 7.

    Exchanging two equal columns of Z leaves Z as it is, hence also B: they have equal columns of B, and equal gradients.
    """
    pair = example_by_hand(implementation)[1][:, [0, 0]]

    def gap(case: Case) -> float:
        before, after = (gradient_of(implementation, case, raw)[:, :2] for raw in (False, True))
        return float(np.abs(np.diff([before, after])).max()) if other else _largest_product(before)

    known = ((pair, pair, QUARTER),)
    found = judge(Statement(gap, partial(_with_ridge, implementation=implementation), proved=other, known=known), effort)
    if found.verdict != "refuted":
        return Finding(found.verdict, f"two equal features have equal gradients, before and through Eq. 7: {found.tried}")
    factor = -2 * (1 - fmpq(2, 3)) * fmpq(2, 3)
    np.testing.assert_allclose(
        gradient_of(implementation, known[0]), float(factor.p) / float(factor.q) * pair, rtol=0, atol=1e-12
    )
    SMALLEST["T5.orth.collapsed.eq9"]()
    smallest = scaled(COLLAPSED)
    of_smallest = gradient_of(implementation, (smallest, smallest, QUARTER))
    np.testing.assert_allclose(of_smallest.T @ of_smallest, exact.floats(products_at_collapse()), rtol=0, atol=1e-12)
    equal = cosine(gradient_of(implementation, (pair, pair, RIDGE)))
    return Finding(
        found.verdict,
        f"{PAIR}: b_1 = b_2 = z/sqrt(2 + lambda); at lambda = 1/4 both gradients are {factor} z, with the product {factor**2};"
        f" at lambda = 1e-4 their cosine is {equal:.4f}",
        correction="with Eq. 9 two equal features have equal gradients: nothing separates them",
    )


def either(added: Judgement, without: Judgement) -> str:
    """Return the verdict on a claim, from those with a hypothesis added and without."""
    return "conditional" if (added.verdict, without.verdict) == ("holds", "refuted") else without.verdict


def _of_loss(rng: Generator, equal: bool) -> float:
    """Return the gradient of `ARBLoss` at raw embeddings with all features equal, in units of that before Eq. 7's Jacobian."""
    column, another = rng.standard_normal((2, 12, 1))
    views = [np.tile(x, 4) for x in (column, column if equal else another)]
    raw = [torch.from_numpy(x).requires_grad_() for x in views]
    ARBLoss(eps=0.0, ridge=RIDGE)(*raw).backward()
    before = gradient_of(OURS, (*map(OURS.scale, views), RIDGE))
    return float(raw[0].grad.abs().max() * np.linalg.norm(column - column.mean()) / np.abs(before).max())


@theory("T5.nonzero")
def not_both_zero(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Bound the gradients of two equal features from below. `other`: the claim with its condition, before Eq. 7's Jacobian.

    Before: B = (Z Z^T + lambda I)^(-1/2) Z, so |b_1| >= 1/sqrt(d + lambda), the largest s^2 being at most d. No singular value
    of B is above 1 and B (e_1 - e_2) = 0, so |b_1| = |B (e_1 + e_2)/2| <= 1/sqrt(2), and c_1 <= 1/sqrt(2). Together
    |2 (1 - c_1) b_1| >= (2 - sqrt(2))/sqrt(d + lambda).
    After: with all features equal, and equal views, b_i is a multiple of z_i, and P takes it out.
    """
    pair = example_by_hand(implementation)[1][:, [0, 0]]

    def norms(case: Case, raw: bool) -> Matrix:
        return np.linalg.norm(gradient_of(implementation, case, raw)[:, :2], axis=0)

    def below(case: Case) -> float:
        return float((2 - 2**0.5) / (case[0].shape[1] + case[2]) ** 0.5 - norms(case, raw=False).min())

    def vanishes(case: Case) -> float:
        return float(norms(case, raw=True).max() < 1e-10 * norms(case, raw=False).max())

    draw = partial(_with_ridge, implementation=implementation)
    known = ((pair, pair, RIDGE),)
    before = judge(Statement(below, draw, proved=True, known=known, climb=climb_of(inequalities("T5.nonzero"))), effort)
    after = judge(Statement(vanishes, draw, known=known), effort)
    bound = f"before Eq. 7's Jacobian both are at least (2 - sqrt(2))/sqrt(d + lambda): {before.tried}"
    if other:
        return Finding(before.verdict, bound)
    rng = np.random.default_rng(0)
    equal, unequal = (sum(_of_loss(rng, same) < 1e-10 for _ in range(20)) for same in (True, False))
    return Finding(
        either(before, after),
        f"{bound}; through it both are 0 (below 1e-10 of those before) for Z^A = Z^B, {PAIR}. With all features equal (N = 12,"
        f" d = 4) the gradient of ARBLoss at the raw embeddings is below 1e-10 of that before the Jacobian in {equal} of 20"
        f" draws with equal views and in {unequal} of 20 where the views differ",
        condition="with respect to the scaled embedding, before Eq. 7's Jacobian; through it, not where all features and"
        " both views are equal",
        correction="through Eq. 7 the gradient is 0 where all features and both views are equal: a stationary point",
    )


@theory("T5.complete")
def complete_collapse(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Scale matrices with equal rows; where that is defined, look for a gradient. `other`: with eps = 1e-6 added to Eq. 7.

    Eq. 7 is 0/0 there, and has no limit: at 1 + t V it is that of V for every t > 0. With eps the scaled matrix is 0, and so is
    its base: the loss is 2 d, and b_i is a factor of the gradient.
    """
    z, base, _ = example_by_hand(implementation)
    scale = (lambda rows: standard_scale(torch.from_numpy(rows), eps=1e-6).numpy()) if other else implementation.scale

    def draw(rng: Generator) -> Matrix:
        n, d = rng.integers(2, 9), rng.integers(1, 9)
        return np.tile(rng.integers(-100, 100, d).astype(float), (n, 1))  # whole numbers: their mean is exact

    def defined(rows: Matrix) -> float:
        try:
            scale(rows)
        except ValueError:
            return 0.0
        return 1.0

    def no_gradient(rows: Matrix) -> float:
        scaled = scale(rows)
        return float(
            not np.isfinite(scaled).all() or np.abs(gradient_of(implementation, (scaled, scaled, RIDGE))).max() < 1e-12
        )

    undefined = judge(Statement(defined, draw, proved=True), effort)
    if undefined.verdict != "holds":
        found = judge(Statement(no_gradient, draw), effort)
        raw = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
        loss = ARBLoss(eps=1e-6, ridge=RIDGE)(raw, raw)
        loss.backward()
        largest = raw.grad.abs().max().item()
        values = f"ARBLoss with eps = 1e-6 (N = 4, d = 3, equal rows): loss {loss.item():.4f}, largest gradient {largest:.4f}"
        return Finding(found.verdict, f"that the gradient is not 0: {found.tried}; {values}")
    for direction in (z, base):
        np.testing.assert_allclose(implementation.scale(1 + direction / 1024), direction, rtol=0, atol=1e-9)
    return Finding(
        "ill-posed",
        f"with equal rows Eq. 7 divides 0 by a standard deviation of 0, and raises ValueError in {undefined.drawn} of"
        f" {undefined.drawn} drawn matrices; there is no limit either: 1 + t V scales to the same matrix as V for every t > 0",
        correction="with eps > 0 added to Eq. 7 the scaled matrix and its base are 0, the loss is 2 d and the gradient is 0",
    )
