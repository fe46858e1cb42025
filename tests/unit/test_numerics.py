"""Finite in, finite out: 100,000 generated matrices, from nearly collapsed to the ends of the range of their dtype."""

import itertools

import pytest
import torch
from arb_core import ARBLoss, DirectAlignmentLoss, nearest_orthonormal_basis, standard_scale

SIZES = (1, 2, 3, 5, 8, 13)
SHAPES = tuple(itertools.product(SIZES, SIZES))
DTYPES = (torch.float32, torch.float64)
COUNT = 100_000 // (len(SHAPES) * len(DTYPES)) + 1  # of each shape and dtype
KINDS = 8
PAIRS = 24


def draw(count, n, d, dtype, seed=0):
    """
    Draw `count` matrices of KINDS kinds in turn, each then brought to a size between the ends of the range.

    The kinds: uniform; of rank 1 and noise; columns that are repeated; small whole numbers, often constant; columns of sizes
    that differ by up to 10^12; heavy tails; one entry, else zeros; equal samples and noise.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape, low=-1.0, high=1.0):
        return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)

    z = uniform(count, n, d)
    kinds = [z[i::KINDS] for i in range(KINDS)]
    noise = 10 ** uniform(count, 1, 1, low=-18.0, high=0.0)
    kinds[1][:] = uniform(len(kinds[1]), n, 1) * uniform(len(kinds[1]), 1, d) + noise[1::KINDS] * kinds[1]
    kinds[2][:] = kinds[2][:, :, torch.randint(d, (d,), generator=generator)]
    kinds[3][:] = (2 * kinds[3]).round()
    kinds[4][:] *= 10 ** uniform(len(kinds[4]), 1, d, low=-12.0, high=0.0)
    kinds[5][:] = torch.tan(torch.pi / 2 * kinds[5]).clamp(-1e9, 1e9) / 1e9
    kinds[6][:] *= torch.arange(n * d).view(n, d) == torch.randint(n * d, (len(kinds[6]), 1, 1), generator=generator)
    kinds[7][:] = kinds[7][:, :1] + noise[7::KINDS] * kinds[7]
    limits = torch.finfo(dtype)
    # From numbers below the smallest normal one to the largest that `standard_scale` admits
    low, high = (torch.tensor(x, dtype=torch.float64).log10() for x in (limits.tiny * limits.eps, limits.max / (4 * n)))
    return (z * 10 ** uniform(count, 1, 1, low=low, high=high)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_bases_and_scaled_matrices_are_finite_and_no_longer_than_they_may_be(shape, dtype):
    z, within = draw(COUNT, *shape, dtype), 2e-5 if dtype == torch.float32 else 1e-10
    assert z.isfinite().all()
    for ridge in (0.0, 1e-30, 1e-4, 1e30):
        base = nearest_orthonormal_basis(z, ridge)
        assert base.isfinite().all()
        assert torch.linalg.svdvals(base.double()).max() <= 1 + within
    if shape[0] == 1:
        return
    assert (standard_scale(z, eps=1e-6).norm(dim=-2) <= 1 + within).all()
    spread = (z.double() - z.double().mean(-2, keepdim=True)).norm(dim=-2)
    defined = (spread > 1e-3 * z.double().norm(dim=-2)).all(dim=-1)
    assert defined.any()
    torch.testing.assert_close(
        standard_scale(z[defined]).norm(dim=-2), torch.ones((), dtype=dtype).expand(int(defined.sum()), shape[1])
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "loss",
    [
        *(ARBLoss(level, reading=reading) for level in ("feature", "instance") for reading in ("diagonal", "frobenius")),
        ARBLoss(ridge=0.0),
        DirectAlignmentLoss(),
    ],
    ids=lambda loss: f"{type(loss).__name__}-{loss.extra_repr()}",
)
def test_losses_and_their_gradients_are_finite(loss, dtype):
    for n, d in itertools.product(SIZES[1:], SIZES[1:]):
        for z_a, z_b in zip(draw(PAIRS, n, d, dtype), draw(PAIRS, n, d, dtype, seed=1).flip(0), strict=True):
            pair = [z_a.requires_grad_(), z_b.requires_grad_()]
            value = loss(*pair)
            value.backward()
            assert value.isfinite()
            for z in pair:
                assert z.grad.isfinite().all(), (n, d, z)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_smallest_numbers_are_scaled_as_larger_ones(dtype):
    least = torch.finfo(dtype).tiny * torch.finfo(dtype).eps
    z = torch.tensor([[1.0, 2.0], [3.0, 2.0], [1.0, 6.0], [3.0, 6.0]], dtype=dtype)
    assert (standard_scale(z * least) == standard_scale(z)).all()
