"""Gradient ascent in float64 from many starts at once, and the pieces of an inequality that it has to differentiate."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["ascend", "pseudo_base", "scale"]

RATE = 0.2
NEGLIGIBLE = 1e-20  # the square of a singular value, next to the largest
UNRESOLVED = 1e-13  # the same, where it is an eigenvalue of Z^T Z


def scale(z: Tensor) -> Tensor:
    """Eq. 7 over a batch of matrices; differentiable."""
    centred = z - z.mean(-2, keepdim=True)
    return centred / centred.norm(dim=-2, keepdim=True)


class _PseudoBase(torch.autograd.Function):
    """B = Z h(Z^T Z), h(x) = (x + ridge)^(-1/2), for N >= d."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, ridge: Tensor, fast: bool) -> Tensor:
        if fast:
            squares, v = torch.linalg.eigh(z.mT @ z)
            negligible = UNRESOLVED * squares[..., -1:]
        else:
            u, s, vh = torch.linalg.svd(z, full_matrices=False)
            squares, v = s.square(), vh.mT
            negligible = NEGLIGIBLE * squares[..., :1]
        total = squares + ridge
        inverse = torch.where(total > negligible, total.rsqrt(), 0)
        ctx.save_for_backward(z, inverse, v)
        return z @ (v * inverse.unsqueeze(-2)) @ v.mT if fast else (u * (s * inverse).unsqueeze(-2)) @ vh

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        # h(Z^T Z) changes by V (D * (V^T dG V)) V^T, D the divided differences of h at the squares of s: -1/(q q' (q + q')),
        # also where two coincide, and 1/s^3 between one that is kept and one that is not, as the rank stays what it is.
        (gradient,) = upstream
        z, inverse, v = ctx.saved_tensors
        of_root = v.mT @ (z.mT @ gradient) @ v
        one, other = inverse.unsqueeze(-1), inverse.unsqueeze(-2)
        both = (one > 0) & (other > 0)
        differences = torch.where(both, -one.square() * other.square() / (one + other), one**3 + other**3)
        of_gram = v @ (differences * of_root) @ v.mT
        of_ridge = -0.5 * (inverse**3 * of_root.diagonal(dim1=-2, dim2=-1))
        return gradient @ (v * other) @ v.mT + z @ (of_gram + of_gram.mT), of_ridge, None


def pseudo_base(z: Tensor, ridge: Tensor | float = 0.0, fast: bool = False) -> Tensor:
    """
    Eq. 9 over a batch of matrices; differentiable, unlike that of `arb_core`.

    The derivative is that of a function of Z^T Z by its divided differences
    (Daleckii and Krein), so that singular values may coincide; where
    some are 0 it is the one along matrices of the same rank.

    Parameters
    ----------
    z : (..., N, d) Tensor
        Float64, of any rank.
    ridge : (...) Tensor or float
        At least 0; for 0 the base is the partial isometry U_r V_r^T.
    fast : bool
        Decompose Z^T Z, which loses half of the digits of a small singular value:
        for the way, not for what is found.

    Returns
    -------
    (..., N, d) Tensor

    """
    ridge = torch.as_tensor(ridge, dtype=z.dtype).unsqueeze(-1).expand(*z.shape[:-2], min(z.shape[-2:]))
    if z.shape[-2] < z.shape[-1]:
        return _PseudoBase.apply(z.mT, ridge, fast).mT
    return _PseudoBase.apply(z, ridge, fast)


def ascend(gap: Callable[..., Tensor], starts: Sequence[Tensor], steps: int) -> tuple[Tensor, list[Tensor]]:
    """
    Climb a gap by Adam, its rate falling to 0 on a cosine.

    Parameters
    ----------
    gap : callable
        From the free tensors to (k,) gaps, each of its own start alone.
    starts : sequence of (k, ...) Tensor
        The free tensors at k starts, float64; they are not changed.
    steps : int
        How many.

    Returns
    -------
    (k,) Tensor and list of (k, ...) Tensor
        The largest gap on the way from each start, and where; highest first.

    """
    free = [start.clone().requires_grad_() for start in starts]
    kept = [start.clone() for start in starts]
    best = torch.full((len(kept[0]),), -torch.inf, dtype=torch.float64)
    optimizer = torch.optim.Adam(free, lr=RATE, foreach=False)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        gaps = gap(*free)
        with torch.no_grad():
            higher = gaps > best
            best[higher] = gaps[higher]
            for where, tensor in zip(kept, free, strict=True):
                where[higher] = tensor[higher]
        optimizer.zero_grad()
        (-gaps.sum()).backward()
        for tensor in free:
            tensor.grad.nan_to_num_(0, 0, 0)  # a root or a norm has no derivative at 0
        optimizer.step()
        schedule.step()
    order = best.argsort(descending=True, stable=True)
    return best[order], [where[order] for where in kept]
