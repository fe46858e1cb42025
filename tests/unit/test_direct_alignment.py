"""Direct alignment, the collapse baseline: a literal reference, its gradient, collapse, a training step and errors."""

import re

import numpy as np
import pytest
import torch
from arb_core import ARBLoss, DirectAlignmentLoss, standard_scale


def views(shape=(12, 6), dtype=torch.float64):
    common, noise_a, noise_b = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (3 * common + noise_a + 2).to(dtype), (common + 0.5 * noise_b - 1).to(dtype)


@pytest.mark.parametrize("shape", [(6, 12), (8, 8), (12, 6)])
def test_equals_the_literal_reference(shape):
    z_a, z_b = views(shape)
    expected = sum(2 * (1 - np.corrcoef(z_a[:, i], z_b[:, i])[0, 1]) ** 2 for i in range(shape[1]))
    assert DirectAlignmentLoss()(z_a, z_b).item() == pytest.approx(expected, rel=1e-9)
    assert DirectAlignmentLoss()(z_a.float(), z_b.float()).item() == pytest.approx(expected, rel=1e-4)


def test_gradient_is_that_of_one_term_without_a_constant_factor():
    pair = [z.requires_grad_() for z in views()]

    def one_term(z_a, z_b):
        return (1 - (standard_scale(z_a) * standard_scale(z_b)).sum(dim=0)).square().sum()

    assert torch.autograd.gradcheck(one_term, pair)
    expected = torch.autograd.grad(one_term(*pair), pair)
    for actual, wanted in zip(torch.autograd.grad(DirectAlignmentLoss(eps=0.0)(*pair), pair), expected, strict=True):
        torch.testing.assert_close(actual, wanted)
        assert wanted.abs().max() > 0.01


def test_vanishes_with_its_gradient_at_a_collapse_on_which_the_views_agree_where_arb_does_not():
    z_a = views()[0][:, [0, 0, 0]].requires_grad_()
    z_b = (2 * z_a + 1).detach()
    loss = DirectAlignmentLoss()(z_a, z_b)
    loss.backward()
    assert loss.item() < 1e-20
    assert z_a.grad.abs().max() < 1e-10
    assert ARBLoss()(z_a, z_b) > 0.5


def test_value_is_symmetric_and_the_input_is_not_modified():
    z_a, z_b = views()
    before = z_a.clone(), z_b.clone()
    torch.testing.assert_close(DirectAlignmentLoss()(z_a, z_b), DirectAlignmentLoss()(z_b, z_a))
    assert torch.equal(z_a, before[0])
    assert torch.equal(z_b, before[1])


def test_shift_and_positive_scale_of_the_raw_columns_do_not_matter():
    z_a, z_b = views()
    scale = torch.linspace(0.5, 8, 6, dtype=torch.float64)
    torch.testing.assert_close(DirectAlignmentLoss()(z_a * scale + 5, z_b / scale - scale), DirectAlignmentLoss()(z_a, z_b))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32_also_under_autocast(dtype):
    z_a, z_b = (z.requires_grad_() for z in views(dtype=dtype))
    with torch.autocast("cpu", torch.bfloat16):
        loss = DirectAlignmentLoss()(z_a, z_b)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.equal(loss, DirectAlignmentLoss()(z_a.float(), z_b.float()))
    assert z_a.grad.isfinite().all()


def test_constant_column_costs_one_per_direction_and_the_gradient_stays_finite():
    z_a, z_b = views()
    rest = DirectAlignmentLoss()(z_a[:, 1:], z_b[:, 1:])
    z_a[:, 0] = 1.0
    z_a.requires_grad_()
    loss = DirectAlignmentLoss()(z_a, z_b)
    loss.backward()
    torch.testing.assert_close(loss, rest + 2)
    assert z_a.grad.isfinite().all()


def test_a_training_step_lowers_the_loss():
    torch.manual_seed(0)
    model = torch.nn.Linear(6, 3)
    pair = views(dtype=torch.float32)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(2):
        loss = DirectAlignmentLoss()(*(model(z) for z in pair))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[1] < losses[0]


@pytest.mark.parametrize("eps", [-1e-6, float("nan"), float("inf")])
def test_bad_eps_is_refused(eps):
    with pytest.raises(ValueError, match=f"eps must be a finite number >= 0, got {eps!r}"):
        DirectAlignmentLoss(eps=eps)


ONES = torch.ones(4, 2)


@pytest.mark.parametrize(
    ("eps", "z_a", "z_b", "error", "message"),
    [
        (1e-6, ONES, torch.ones(4, 3), ValueError, "one shape (N, d), got (4, 2) and (4, 3)"),
        (1e-6, ONES[0], ONES[0], ValueError, "one shape (N, d), got (2,) and (2,)"),
        (1e-6, ONES, ONES.double(), ValueError, "one dtype, got torch.float32 and torch.float64"),
        (1e-6, ONES.int(), ONES.int(), TypeError, "float32 or float64, got torch.int32"),
        (1e-6, ONES[:1], ONES[:1], ValueError, "at least 2 samples"),
        (0.0, ONES, ONES, ValueError, "column 0 of z has the standard deviation 0"),
    ],
)
def test_bad_views_are_refused(eps, z_a, z_b, error, message):
    with pytest.raises(error, match=re.escape(message)):
        DirectAlignmentLoss(eps=eps)(z_a, z_b)
