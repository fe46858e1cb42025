"""Theorem 5: each assertion of its checks is the one that notices some fault, and the stated rates are those of descent."""

import numpy as np
import pytest
import torch
from arb_core import ARBLoss

from arb_suite.evaluate import effective_rank
from proofs_checks import escape, exact, theorem_5
from proofs_checks.gradients import QUARTER, RIDGE, differentiate, example_by_hand
from proofs_checks.judge import THEORY
from proofs_checks.matrices import OURS, Implementation

TINY = 1e-9


def with_scale(scale):
    return Implementation(scale, OURS.base)


def with_base(base):
    return Implementation(OURS.scale, base)


@pytest.mark.parametrize(
    "wrong",
    [
        with_scale(lambda z: OURS.scale(z) * (1 + TINY)),
        with_base(lambda z, ridge: OURS.base(z, ridge) * (1 + TINY * (ridge == 0))),
        with_base(lambda z, ridge: OURS.base(z, ridge) * (1 + TINY * (ridge == QUARTER))),
    ],
    ids=["scaling", "base", "base of equal columns"],
)
def test_the_example_by_hand_is_what_is_computed(wrong):
    example_by_hand(OURS)
    with pytest.raises(AssertionError):
        example_by_hand(wrong)


def test_cosines_in_rationals_are_those_of_the_gradients():
    wrong = with_base(lambda z, ridge: OURS.base(z, 2 * ridge if ridge == RIDGE else ridge))
    with pytest.raises(AssertionError):
        THEORY["T5.orth.fullrank"](wrong)


def of_deficient(change):
    """Change the base of matrices with two equal columns."""

    def base(z, ridge):
        b = OURS.base(z, ridge)
        return change(z, b) if ridge == 0 and np.linalg.matrix_rank(z) < z.shape[1] else b

    return with_base(base)


@pytest.mark.parametrize(
    "change", [lambda z, b: 2 * z - b, lambda z, b: -b], ids=["as near, and not orthonormal", "orthonormal, and farther"]
)
def test_a_minimiser_is_orthonormal_and_nearest(change):
    with pytest.raises(AssertionError):
        THEORY["T5.orth.collapsed.eq2"](of_deficient(change))


def test_gradients_in_rationals_are_those_of_autograd(monkeypatch):
    correct = theorem_5.gradient_of
    monkeypatch.setattr(theorem_5, "gradient_of", lambda *args: 2 * correct(*args))
    with pytest.raises(AssertionError):
        THEORY["T5.orth.collapsed.eq9"]()


def test_scaling_has_no_limit_where_all_samples_are_equal():
    wrong = with_scale(lambda z: OURS.scale(z) * (1 - 1e-6 * (np.ptp(z) < 0.01)))
    with pytest.raises(AssertionError):
        THEORY["T5.complete"](wrong)


def test_fitted_powers_are_compared_with_what_is_expected():
    escape._powers(OURS, (-7, -6), (-8, -5), [1, -0.5])
    for known in ([1, 0], [0, -0.5]):
        with pytest.raises(AssertionError):
            escape._powers(OURS, (-7, -6), (-8, -5), known)


def test_exchanged_features_that_come_apart_are_no_counterexample(monkeypatch):
    _, base, _ = example_by_hand(OURS)
    roots = exact.rational([[3, 4], [4, 3]], over=5)
    monkeypatch.setattr(escape, "example_by_hand", lambda implementation: (base @ exact.floats(roots), base, roots))
    with pytest.raises(AssertionError):
        escape._exchanged(OURS)


def test_a_rate_in_rationals_is_that_of_descent(monkeypatch):
    monkeypatch.setattr(escape, "differentiate", lambda *args, **options: 2 * differentiate(*args, **options))
    with pytest.raises(AssertionError):
        escape._exchanged(OURS)


def flow(a, b, ridge):
    """Return the velocity of raw embeddings whose columns have norm 1."""
    return -differentiate(a, OURS.base(b, ridge), raw=True)


@pytest.mark.parametrize("d", [2, 4, 7])
@pytest.mark.parametrize("ridge", [1e-2, 1e-4])
def test_deviations_from_a_common_feature_grow_at_the_stated_rate(d, ridge):
    rng = np.random.default_rng(d)
    common, deviation = OURS.scale(rng.standard_normal((12, 1))), OURS.scale(rng.standard_normal((12, d)))
    z = OURS.scale(common + 1e-7 * deviation)
    distance, velocity = z - z.mean(1, keepdims=True), flow(z, z, ridge)
    rate = ((velocity - velocity.mean(1, keepdims=True)) * distance).sum() / (distance**2).sum()
    root = 1 / (d + ridge) ** 0.5
    assert rate == pytest.approx(2 * (1 - root) * (1 / ridge**0.5 - root), rel=1e-4)


def test_shared_deviations_grow_and_opposite_ones_shrink():
    rng = np.random.default_rng(0)
    common, *deviations = (OURS.scale(rng.standard_normal((12, d))) for d in (1, 4, 4))
    views = [OURS.scale(common + 1e-8 * deviation) for deviation in deviations]
    (u_a, u_b), k = (z - common - (z - common).mean(1, keepdims=True) for z in views), 2 * (1 - 1 / 4**0.5)
    velocity = flow(*views, RIDGE)
    expected = k * (u_b / RIDGE**0.5 - u_a / 4**0.5)
    moved = velocity - velocity.mean(1, keepdims=True)
    assert np.abs(moved - expected).max() < 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("exchanged", [False, True])
@pytest.mark.parametrize("rho", [-0.6, 0.3, 0.9])
def test_two_features_turn_at_the_stated_rate(exchanged, rho):
    _, base, _ = example_by_hand(OURS)
    z = base @ np.array([[1, rho], [0, (1 - rho**2) ** 0.5]])
    other = z[:, ::-1].copy() if exchanged else z
    aligned = OURS.base(other, RIDGE)
    c = float(z[:, 0] @ aligned[:, 0])
    plus, minus = ((1 + sign * rho + RIDGE) ** -0.5 for sign in (1, -1))
    q = (plus + minus) / 2 if exchanged else (plus - minus) / 2
    velocity = flow(z, other, RIDGE)
    rate = velocity[:, 0] @ z[:, 1] + z[:, 0] @ velocity[:, 1]
    assert rate == pytest.approx(4 * (1 - c) * q * (1 - rho**2), rel=1e-9)
    assert rate > 0 if exchanged else rate * rho < 0


def test_descent_is_that_of_the_loss():
    views = np.random.default_rng(0).standard_normal((3, 2, 9, 4))
    all_at_once = escape._descend_all(torch.from_numpy(views), 0.01).numpy()
    for (a, b), moved in zip(views, all_at_once, strict=True):
        leaves = [torch.from_numpy(x.copy()).requires_grad_() for x in (a, b)]
        ARBLoss(eps=0.0, ridge=RIDGE)(*leaves).backward()
        expected = [x - 0.01 * leaf.grad.numpy() for x, leaf in zip((a, b), leaves, strict=True)]
        assert np.allclose(moved, expected, rtol=0, atol=1e-12)
        assert np.allclose(escape._descend(OURS, (a, b, RIDGE), 0.01)[:2], expected, rtol=0, atol=1e-12)


def test_effective_rank_is_that_of_the_evaluation():
    z = OURS.scale(np.random.default_rng(0).standard_normal((9, 4)))
    collapsed = z[:, [0, 0, 1]]
    assert escape.effective_rank(np.stack([z, z[:, ::-1]])) == pytest.approx([effective_rank(torch.from_numpy(z))] * 2)
    assert escape.effective_rank(collapsed) == pytest.approx(effective_rank(torch.from_numpy(collapsed)))
