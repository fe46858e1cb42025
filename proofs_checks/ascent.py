"""Gradient ascent on the violation of an inequality over pairs of embedding matrices, from many starts at once."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .judge import Effort
from .matrices import Matrix

__all__ = ["ascend", "climb_pairs", "polar", "scale"]

RATE = 0.02


def scale(z: Tensor) -> Tensor:
    """Eq. 7 over a batch of matrices; differentiable."""
    centred = z - z.mean(-2, keepdim=True)
    return centred / centred.norm(dim=-2, keepdim=True)


def polar(z: Tensor) -> Tensor:
    """Return the polar factor of a batch of matrices; differentiable, unlike that of `arb_core`."""
    u, _, vh = torch.linalg.svd(z, full_matrices=False)
    return u @ vh


def ascend(
    gap: Callable[[Tensor, Tensor], Tensor], starts: int, steps: int, n: int, d: int, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """
    Climb a gap by Adam in float64.

    Parameters
    ----------
    gap : callable
        From two batches (k, n, d) of scaled matrices to (k,) gaps.
    starts, steps, n, d, seed : int
        Number of starting points, steps, sizes; the seed settles the starts.

    Returns
    -------
    (k,), (k, n, d) and (k, n, d) Tensor
        The largest gap of each start and the scaled matrices there, highest first.

    """
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(starts, n, d, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(2))
    optimizer = torch.optim.Adam([a, b], lr=RATE)
    best = torch.full((starts,), -torch.inf, dtype=torch.float64)
    where = [scale(z).detach() for z in (a, b)]
    for _ in range(steps):
        views = scale(a), scale(b)
        gaps = gap(*views)
        with torch.no_grad():
            higher = gaps > best
            best = torch.where(higher, gaps, best)
            for kept, view in zip(where, views, strict=True):
                kept[higher] = view[higher]
        optimizer.zero_grad()
        (-gaps.sum()).backward()
        for z in (a, b):
            z.grad.nan_to_num_(0, 0, 0)  # where singular values coincide, the factor has no derivative
        optimizer.step()
    order = best.argsort(descending=True)
    return best[order], where[0][order], where[1][order]


def climb_pairs(
    gap: Callable[[Tensor, Tensor], Tensor], least_rows: Callable[[int], int] = lambda d: d + 1
) -> Callable[[Effort], Iterator[tuple[Matrix, Matrix]]]:
    """Return the climb of a `Statement` about pairs of scaled matrices; sizes with fewer rows than asked for are left out."""

    def climb(effort: Effort) -> Iterator[tuple[Matrix, Matrix]]:
        for seed, (n, d) in enumerate(effort.sizes):
            if n >= least_rows(d):
                _, a, b = ascend(gap, effort.starts, effort.steps, n, d, seed)
                yield from zip(a.numpy(), b.numpy(), strict=True)

    return climb
