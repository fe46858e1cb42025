"""Theorem 5: whether gradient descent leaves the neighbourhood of a dimensionally collapsed state, and how fast."""

from functools import cache, partial

import numpy as np
import torch
from arb_core import nearest_orthonormal_basis, standard_scale
from numpy.random import Generator
from scipy.special import entr
from scipy.stats import t
from torch import Tensor

from arb_suite.audit.finding import Finding

from . import exact
from .gradients import BY_HAND, RIDGE, Case, differentiate, example_by_hand
from .judge import QUICK, Effort, Statement, judge, theory
from .matrices import OURS, Implementation, Matrix
from .theorem_5 import either

__all__ = ["effective_rank"]

RISE = 1e-10  # of the effective rank, above rounding
DRAWS = 30
STEPS = 12  # of training: what rounding adds to equal features is not seen yet


def effective_rank(z: Matrix) -> Matrix:
    """Return exp of the entropy of the singular values over their sum, for scaled matrices; as in `arb_suite.evaluate`."""
    s = np.linalg.svd(z, compute_uv=False)
    return np.exp(entr(s / s.sum(-1, keepdims=True)).sum(-1))


def _ranks(implementation: Implementation, case: Case) -> Matrix:
    return np.array([effective_rank(implementation.scale(x)) for x in case[:2]])


def _descend(implementation: Implementation, case: Case, rate: float, steps: int = 1) -> Case:
    """Descend Eq. 8, both directions, on raw embeddings."""
    a, b, ridge = case
    for _ in range(steps):
        base_a, base_b = (implementation.base(implementation.scale(x), ridge) for x in (a, b))
        a, b = a - rate * differentiate(a, base_b, raw=True), b - rate * differentiate(b, base_a, raw=True)
    return a, b, ridge


def _descend_all(x: Tensor, rate: float) -> Tensor:
    """Take one step of the same descent, by `arb_core` and with Eq. 9's ridge, for many pairs at once: (k, 2, N, d)."""
    leaf = x.clone().requires_grad_()
    z = standard_scale(leaf)
    (1 - (z * nearest_orthonormal_basis(z, ridge=RIDGE).flip(1)).sum(-2)).square().sum().backward()
    return x - rate * leaf.grad


def _near(rng: Generator, size: tuple[int, int], distance: float, ridge: float, rank: int = 1, apart: bool = False) -> Case:
    """Draw raw views near one collapsed state of this rank: the same twice, or with unrelated deviations from it (`apart`)."""
    n, d = size
    mixing = rng.standard_normal((rank, d)) if rank > 1 else rng.choice([-1.0, 1.0], (1, d))
    z, *deviations = map(OURS.scale, (rng.standard_normal((n, rank)) @ mixing, *rng.standard_normal((2, n, d))))
    a, b = (10.0 ** rng.uniform(-0.5, 0.5, d) * (z + distance * deviation) for deviation in deviations)
    return (a, b, ridge) if apart else (a, a, ridge)


def _powers(implementation: Implementation, distances: tuple[int, int], ridges: tuple[int, int], known: list[float]) -> str:
    """Fit the powers of the distance and of lambda in the growth of the distance in one small step; d = 4, equal views."""
    rng = np.random.default_rng(5)
    rows, growth = [], []
    for _ in range(60):
        ridge = 10.0 ** rng.uniform(*ridges)
        distance = 10.0 ** rng.uniform(*distances)
        x = implementation.scale(_near(rng, (5 + int(rng.integers(0, 5)), 4), distance, ridge)[0])
        before = np.linalg.norm(np.linalg.svd(x, compute_uv=False)[1:])
        rate = 0.01 * (ridge + before**2) ** 0.5
        moved = implementation.scale(_descend(implementation, (x, x, ridge), rate)[0])
        rows.append((1, np.log(before), np.log(ridge)))
        growth.append(np.log((np.linalg.norm(np.linalg.svd(moved, compute_uv=False)[1:]) - before) / rate))
    powers, squares = np.linalg.lstsq(np.array(rows), np.array(growth), rcond=None)[:2]
    covariance = squares[0] / (len(rows) - 3) * np.linalg.inv(np.array(rows).T @ np.array(rows))
    half = t.ppf(0.975, len(rows) - 3) * np.diag(covariance) ** 0.5
    assert np.abs(powers[1:] - known).max() < 0.02
    fitted = ", ".join(f"{name} = {p:z.3f} +- {h:.3f}" for name, p, h in zip("pq", powers[1:], half[1:], strict=True))
    return f"{fitted} (expected {known[0]} and {known[1]})"


@cache
def _higher() -> dict[tuple[bool, int], int]:
    """Count the draws in which both views have a higher effective rank after 1 and 200 steps; by `apart` and steps."""
    rng = np.random.default_rng(5)
    counts = dict.fromkeys([(apart, steps) for apart in (False, True) for steps in (1, 200)], 0)
    for apart in (False, True):
        for d in range(3, 9):
            near = [_near(rng, (d + 3, d), 10.0 ** rng.uniform(-4, -1), RIDGE, 1 + k % 2, apart) for k in range(DRAWS // 6)]
            x = torch.from_numpy(np.array([case[:2] for case in near]))
            before = effective_rank(standard_scale(x).numpy())
            for step in range(1, 201):
                x = _descend_all(x, 0.005)
                if (apart, step) in counts:
                    counts[apart, step] += int((effective_rank(standard_scale(x).numpy()) > before).all(1).sum())
    return counts


@cache
def _training() -> str:
    """Train the suite's network from a collapsed start, and say what becomes of the effective rank."""
    from .collapse import Start, train_from  # of whose libraries no other check has need

    starts = Start("arb", 0.0, RIDGE), Start("arb", 1e-3, RIDGE), Start("direct_alignment", 1e-3)
    equal, perturbed, direct = (
        f"{ranks[0]:.2f}, then {ranks[-1]:.2f}" for ranks, _ in (train_from(start, STEPS) for start in starts)
    )
    return (
        "The suite's training (ARB, d = 32, two random views of the bundled digits), started with all output features equal:"
        f" effective rank {equal} after {STEPS} steps; with these features perturbed by 1e-3, {perturbed}; direct alignment"
        f" from there, {direct}"
    )


def _exchanged(implementation: Implementation) -> tuple[Case, str]:
    """Return views that are each other's with the two features exchanged, and what descent does to them."""
    z, base, s = example_by_hand(implementation)
    exchange = exact.rational([[0, 1], [1, 0]])  # z_1 is aligned with b_2, and z_2 with b_1
    force = 2 * (1 - s[0, 1]) * (exchange - s[0, 1] * s)
    slope, product = 2 * (force.transpose() * s)[0, 1], (s * s)[0, 1]
    assert slope > 0
    velocity = -differentiate(z, base[:, ::-1], raw=True)
    np.testing.assert_allclose(2 * velocity[:, 0] @ z[:, 1], float(slope.p) / float(slope.q), rtol=1e-9)
    start = base, base[:, ::-1].copy(), RIDGE
    ends = [_ranks(implementation, case)[0] for case in (start, _descend(implementation, start, 0.01, 100))]
    return (z, z[:, ::-1].copy(), 0.0), (
        f"{BY_HAND}, Z^A = (z_1, z_2), Z^B = (z_2, z_1), lambda = 0: <z_1, z_2> = {product} rises at the rate {slope}, in exact"
        f" rationals; from Z^A = (b_1, b_2), Z^B = (b_2, b_1), lambda = 1e-4, the effective rank falls from {ends[0]:.2f} to"
        f" {ends[1]:.2f} in 100 steps of 0.01"
    )


@theory("T5.escape")
def escape(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Take a small step of descent near collapsed embeddings. `other`: at embeddings whose features are all equal.

    Equal views raise the effective rank while it is at most e, unless the gradient is 0. Let Z = U diag(s) V^T, S = sum_k s_k,
    p = s / S, H = -sum_k p_k log p_k: then h_k = dH/ds_k = -(log p_k + H) / S. With f_k = (s_k^2 + lambda)^(-1/2), the product
    of column i of U diag(h) V^T with b_i - c_i z_i is sum_k w_k (h_k / s_k) f_k - sum_k w_k f_k sum_k w_k h_k / s_k, where the
    w_k = V_ik^2 s_k^2 add up to |z_i|^2 = 1: a covariance. f falls in s, and so does h / s where log p + H < 1, that is where
    p < e / exp(H): everywhere, if exp(H) <= e. So it is above 0 unless s takes one value wherever w > 0; then b_i is a multiple
    of z_i, and that feature stays.

    Rates, d features, r_i = 1, equal views: the deviations from a common z grow by a factor 2 (1 - 1/sqrt(d + lambda))
    (1/sqrt(lambda) - 1/sqrt(d + lambda)) per unit of time where they are far below sqrt(lambda), to first order; far above, the
    small singular values grow by about k = 2 (1 - 1/sqrt(d)), whatever they are. Deviations u_A, u_B of unequal views from it
    have u_A' = k (u_B/sqrt(lambda) - u_A/sqrt(d)) and vice versa: their sum grows, their difference shrinks. For d = 2, rho =
    <z_1, z_2> has drho/dt = 4 (1 - c) q (1 - rho^2) with 2 q = 1/sqrt(1 + rho + lambda) - 1/sqrt(1 - rho + lambda), so that
    |rho| falls to 0; where the views are each other's with the features exchanged, 2 q is the sum, and rho rises to 1 from
    wherever it is.
    """

    def gap(case: Case) -> float:
        smallest = min(np.linalg.svd(implementation.scale(x), compute_uv=False)[-1] for x in case[:2])
        shortest = min(np.linalg.norm(x - x.mean(0), axis=0).min() for x in case[:2])
        after = _descend(implementation, case, 0.01 * shortest**2 * (case[2] + smallest**2) ** 0.5)
        return float((1 - (_ranks(implementation, after) - _ranks(implementation, case)) / RISE).max())

    def draw(rng: Generator, apart: bool = False) -> Case:
        d, rank, ridge = int(rng.integers(2, 9)), int(rng.integers(1, 3)), 10.0 ** rng.uniform(-8, -1)
        size = d + 1 + int(rng.integers(0, 5)), d
        if other:
            return _near(rng, size, 0.0, ridge)
        distance = 10.0 ** rng.uniform(-5, -0.5)
        while _ranks(implementation, case := _near(rng, size, distance, ridge, min(rank, d - 1), apart)).max() > np.e:
            distance /= 2
        return case

    exchanged, fall = _exchanged(implementation)
    equal = judge(Statement(gap, draw, proved=not other), effort)
    if other:
        return Finding(equal.verdict, f"with all features and both views equal the effective rank stays: {equal.tried}")
    unequal = judge(Statement(gap, partial(draw, apart=True), known=(exchanged,)), effort)
    below = _powers(implementation, (-7, -6), (-8, -5), [1, -0.5])
    above = _powers(implementation, (-6, -3), (-18, -14), [0, 0])
    counts = {key: f"{count} of {DRAWS}" for key, count in _higher().items()}
    return Finding(
        either(equal, unequal),
        f"Where the views differ it may fall, as where Z^B is Z^A with its columns exchanged: {fall}. Proved for equal views of"
        f" effective rank at most e = 2.718: {equal.tried}. Measured: near rank 1 or 2"
        f" (d from 3 to 8, lambda = 1e-4) both views have a higher effective rank after 1 step in {counts[False, 1]} draws"
        f" with equal views and in {counts[True, 1]} with unrelated deviations, after 200 steps in {counts[False, 200]} and in"
        f" {counts[True, 200]}. The distance grows at a rate proportional to distance^p lambda^q (60 draws, d = 4, equal views;"
        f" 95% t intervals): far below sqrt(lambda) {below}; far above {above}. {_training()}",
        condition="with equal views, an effective rank of at most e, and not at the collapsed state itself; else measured only,"
        " and false where the views are each other's with the features exchanged",
        correction="collapse is an unstable stationary point: deviations that both views share grow, opposite ones shrink",
    )
