"""What gradient ascent starts at: free tensors that nothing constrains, and the cases that are made from them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .ascent import pseudo_base, scale

__all__ = [
    "COLLAPSED",
    "COMPETITORS",
    "TWO_RIDGES",
    "VIEW",
    "VIEWS",
    "VIEWS_RIDGE",
    "VIEW_RIDGE",
    "Cases",
    "of_rank",
    "raw_views",
]


def raw_views(generator: torch.Generator, count: int, n: int, d: int) -> list[Tensor]:
    """
    Draw raw embeddings of two views, of five kinds in turn, at magnitudes from 1e-3 to 1.

    Unrelated; the second one near the first; both near collapse; both near one orthonormal basis; both with one base.
    """
    draw = partial(torch.randn, dtype=torch.float64, generator=generator)
    noise = draw(2, count, n, d)
    size = 10.0 ** (-3 * torch.rand(count, 1, 1, dtype=torch.float64, generator=generator))
    base = pseudo_base(scale(draw(count, n, d))) * n**0.5
    roots = draw(2, count, d, d)
    kinds = (
        noise,
        torch.stack([noise[0], noise[0] + size * noise[1]]),
        draw(2, count, n, 1) + size * noise,
        base + size * noise,
        base @ (roots @ roots.mT / d + size * torch.eye(d, dtype=torch.float64)),
    )
    kind = torch.arange(count) % len(kinds)
    return list(torch.stack(kinds)[kind, :, torch.arange(count)].movedim(1, 0))


def _within(x: Tensor, least: float, most: float) -> Tensor:
    """Map free numbers to ridges between two powers of ten."""
    return 10.0 ** (least + (most - least) * x.sigmoid())


def _with_numbers(keep: int, numbers: int, *size: Any) -> list[Tensor]:
    free = raw_views(*size)[:keep]
    return free + [2 * torch.randn(size[1], dtype=torch.float64, generator=size[0]) for _ in range(numbers)]


def _factors(rank_of: Callable[[int, int], int], generator: torch.Generator, count: int, n: int, d: int) -> list[Tensor]:
    rank = rank_of(n, d)
    draw = partial(torch.randn, dtype=torch.float64, generator=generator)
    size = 10.0 ** (-3 * torch.rand(count, 1, 1, dtype=torch.float64, generator=generator))
    left, right = draw(2, count, n, rank), draw(count, rank, d)
    return [left[0], right, left[1], right + size * draw(count, rank, d)]


@dataclass(frozen=True)
class Cases:
    """
    What an inequality is about.

    Attributes
    ----------
    draw : callable
        From a generator, a count k, N and d to free tensors of k starts.
    case : callable
        From free tensors to the arguments of the inequality: (k, N, d) matrices and (k,) ridges.

    """

    draw: Callable[..., list[Tensor]]
    case: Callable[..., tuple[Tensor, ...]]


VIEWS = Cases(raw_views, lambda a, b: (scale(a), scale(b)))
VIEW = Cases(partial(_with_numbers, 1, 0), lambda z: (scale(z),))
VIEW_RIDGE = Cases(partial(_with_numbers, 1, 1), lambda z, x: (scale(z), _within(x, -8, 1)))
VIEWS_RIDGE = Cases(partial(_with_numbers, 2, 1), lambda a, b, x: (scale(a), scale(b), _within(x, -4, 0)))
TWO_RIDGES = Cases(
    partial(_with_numbers, 1, 2),
    lambda z, x, y: (scale(z), _within(x, -6, 1), _within(x, -6, 1) * _within(y, 0.1, 3)),
)
COMPETITORS = Cases(raw_views, lambda z, b: (scale(z), pseudo_base(b)))


def _twice(a: Tensor, b: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    """Make the first two features of each view identical."""
    return *(torch.cat([z[..., :1], z], -1)[..., :-1] for z in (scale(a), scale(b))), _within(x, -8, 0)


COLLAPSED = Cases(partial(_with_numbers, 2, 1), _twice)


def of_rank(rank: Callable[[int, int], int]) -> Cases:
    """Return views that are products of two free factors, of a rank that depends on N and d."""
    return Cases(partial(_factors, rank), lambda x, y, v, w: (scale(x @ y), scale(v @ w)))
