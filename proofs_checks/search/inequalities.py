"""The inequalities of the theory, each with its two sides in torch, to be climbed by gradient ascent.

`left <= right` is what an inequality says, over a batch of cases; a violation is above 0. A claim's inequality may be there as
printed and as corrected; what is ours is so called. Cases are made from free tensors that nothing constrains.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..judge import Effort
from .ascent import ascend, pseudo_base
from .cases import COLLAPSED, COMPETITORS, TWO_RIDGES, VIEW, VIEW_RIDGE, VIEWS, VIEWS_RIDGE, Cases, of_rank

__all__ = [
    "INEQUALITIES",
    "PRINTED_RIDGE",
    "Base",
    "Inequality",
    "climb_of",
    "climb_together",
    "diagonal",
    "inequalities",
    "least_loss",
    "zero_bound",
]

PRINTED_RIDGE = 1e-4  # Eq. 9
SMALL = 1e-3  # sides below it are as good as 0
Base = Callable[..., Tensor]  # from matrices and a ridge
Sides = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Inequality:
    """
    That one side is at most the other.

    Attributes
    ----------
    claim : str
        Its ID.
    statement : str
        printed | corrected | ours | uncorrected (ours, as asked).
    part : str
        Which one of the claim's: a ridge, a reading, a bound.
    sides : callable
        From a base (of matrices and a ridge) and a case to (k,) left and right sides.
    cases : Cases
        What it is about.
    shape : str
        tall (d <= N - 1), wide (d > N - 1), wider (d > N) or any.

    """

    claim: str
    statement: str
    part: str
    sides: Callable[..., Sides]
    cases: Cases
    shape: str = "tall"

    def gap(self, base: Base, *case: Tensor) -> Tensor:
        """Return by how much the left side is above the right one."""
        return torch.sub(*self.sides(base, *case))

    def fits(self, n: int, d: int) -> bool:
        """Tell whether it is about matrices of this size."""
        about = {"tall": d <= n - 1, "wide": d > n - 1, "wider": d > n, "any": True}[self.shape]
        return about and n > 1 and d > (self.cases is COLLAPSED)

    def climb(self, starts: int, steps: int, n: int, d: int, seed: int = 0) -> tuple[Tensor, list[Tensor]]:
        """Return the largest gaps, highest first, and the free tensors there."""
        return climb_together([self], starts, steps, n, d, seed)

    def climbed(self, effort: Effort) -> Iterator[tuple[Any, ...]]:
        """Yield the cases of a `Statement`: matrices, and ridges. Where d > N - 1 is asked for, the sizes are exchanged."""
        for seed, size in enumerate(effort.sizes):
            n, d = size if self.fits(*size) else size[::-1]
            if self.fits(n, d):
                _, free = self.climb(effort.starts, effort.steps, n, d, seed)
                for case in zip(*self.cases.case(*free), strict=True):
                    yield tuple(x.numpy() if x.ndim else float(x) for x in case)


def climb_together(
    chosen: Sequence[Inequality], starts: int, steps: int, n: int, d: int, seed: int = 0
) -> tuple[Tensor, list[Tensor]]:
    """
    Climb the smallest gap of inequalities about the same free tensors, so that all of them are violated.

    Returns the largest gaps, (k,), highest first, and the free tensors there. From three starts of four the gap is
    climbed relative to both sides: by itself it is drawn to where both are 0, and there is nothing to be found.
    """
    relative = torch.arange(starts) % 4 > 0

    def objective(*free: Tensor) -> Tensor:
        gaps = []
        for one in chosen:
            left, right = one.sides(partial(pseudo_base, fast=True), *one.cases.case(*free))
            gaps.append((left - right) / torch.where(relative, left.abs() + right.abs() + SMALL, 1))
        return torch.stack(gaps).amin(0)

    free = chosen[0].cases.draw(torch.Generator().manual_seed(seed), starts, n, d)
    _, free = ascend(objective, free, steps)
    with torch.no_grad():
        gaps = torch.stack([one.gap(pseudo_base, *one.cases.case(*free)) for one in chosen]).amin(0)
    order = gaps.argsort(descending=True, stable=True)
    return gaps[order], [tensor[order] for tensor in free]


def diagonal(z: Tensor, b: Tensor) -> Tensor:
    """Return one direction of Eq. 8, the diagonal alone, or the invariance term of Barlow Twins."""
    return (1 - (z * b).sum(-2)).square().sum(-1)


def _frobenius(z: Tensor, b: Tensor) -> Tensor:
    return (torch.eye(z.shape[-1], dtype=z.dtype) - z.mT @ b).square().sum((-2, -1))


def _norm(z: Tensor) -> Tensor:
    return z.square().sum((-2, -1)).sqrt()


def _trace(z: Tensor, b: Tensor) -> Tensor:
    return (z * b).sum((-2, -1))


def _constant(value: float, like: Tensor) -> Tensor:
    return torch.full(like.shape, value, dtype=like.dtype)


def _theorem_1(unique: bool, base: Base, z: Tensor, b: Tensor) -> Sides:
    nearest = base(z, 0.0)
    if unique:
        s_min = torch.linalg.svdvals(z)[..., -1]
        return s_min * (nearest - b).square().sum((-2, -1)), ((nearest - b) * (2 * z - nearest - b)).sum((-2, -1))
    return (z - nearest).square().sum((-2, -1)), (z - b).square().sum((-2, -1))


def _theorem_2(reading: str, ridge: float, corrected: bool, base: Base, a: Tensor, b: Tensor) -> Sides:
    base_b = base(b, ridge)
    if reading == "trace":
        left, right = _trace(a, base_b), _trace(a, b)
        return ((left - right).abs(), a.shape[-1] ** 0.5 * _norm(base_b - b)) if corrected else (left, right)
    directions, norm = reading.split(".")
    term = diagonal if norm == "diag" else _frobenius
    loss, invariance = term(a, base_b), diagonal(a, b)
    if directions == "one":
        return (invariance.sqrt(), loss.sqrt() + _norm(base_b - b)) if corrected else (invariance, loss)
    base_a = base(a, ridge)
    loss = loss + term(b, base_a)
    if not corrected:
        return invariance, loss
    return invariance.sqrt(), (loss / 2).sqrt() + (_norm(base_a - a) + _norm(base_b - b)) / 2


def zero_bound(upwards: bool, one: bool, base: Base, a: Tensor, b: Tensor) -> Sides:
    """Bound the root of each loss by the other one; `one`: as if the other direction were 0."""
    d = a.shape[-1]
    first = diagonal(a, base(b, 0.0))
    eta = _norm(a.mT @ b - torch.eye(d, dtype=a.dtype))
    if not upwards:
        return first.sqrt(), 2 * eta + 2**0.5 * d**0.75 * eta.sqrt()
    second = torch.zeros_like(first) if one else diagonal(b, base(a, 0.0))
    first, second = ((2 * (d * loss).sqrt()).sqrt() for loss in (first, second))
    return eta, d**0.5 * first + second


def _both(base: Base, a: Tensor, b: Tensor, ridge: Tensor | float) -> Tensor:
    return diagonal(a, base(b, ridge)) + diagonal(b, base(a, ridge))


def least_loss(n: int, d: int, ridge: Any = 0.0) -> Any:
    """
    Return 2 d (1 - 1/sqrt(d/r + lambda))^2, r = min(d, N - 1), the least value of Eq. 8 (both directions, one base).

    At lambda = 0 that is 0 for d <= N - 1 and 2 (sqrt(d) - sqrt(N - 1))^2 beyond.
    """
    return 2 * d * (1 - (d / min(d, n - 1) + ridge) ** -0.5) ** 2


def _least(base: Base, a: Tensor, b: Tensor, ridge: Tensor) -> Sides:
    """Return 1 and the root of the loss over its bound, which may be tiny."""
    ratio = (_both(base, a, b, ridge) / least_loss(*a.shape[-2:], ridge)).sqrt()
    return torch.ones_like(ratio), ratio


def _least_printed(base: Base, a: Tensor, b: Tensor) -> Sides:
    return _least(base, a, b, torch.full(a.shape[:-2], PRINTED_RIDGE, dtype=a.dtype))


def _consistency(base: Base, z: Tensor, lower: Tensor, higher: Tensor) -> Sides:
    left, right = (_trace(z, base(z, ridge)) / _norm(z) for ridge in (higher, lower))
    return left, right


def _distance(corrected: bool, base: Base, z: Tensor, lower: Tensor, higher: Tensor) -> Sides:
    target = base(z, 0.0) if corrected else z
    left, right = (_norm(target - base(z, ridge)) / _norm(target) for ridge in (lower, higher))
    return left, right


def _largest_con(n: int, d: int) -> float:
    return d / (d / (n - 1) + PRINTED_RIDGE) ** 0.5


def _largest(most: Callable[[int, int], float], base: Base, z: Tensor) -> Sides:
    con = _trace(z, base(z, PRINTED_RIDGE))
    return con, _constant(most(*z.shape[-2:]), con)


def _not_zero(base: Base, a: Tensor, b: Tensor, ridge: Tensor) -> Sides:
    """Compare the gradient of the first feature, two being identical, before Eq. 7's Jacobian."""
    first = base(b, ridge)[..., 0]
    gradient = 2 * (1 - (a[..., 0] * first).sum(-1)).unsqueeze(-1) * first
    return (2 - 2**0.5) / (a.shape[-1] + ridge).sqrt(), gradient.norm(dim=-1)


def _frame(distance: bool, base: Base, a: Tensor, b: Tensor) -> Sides:
    """O1: that the loss is bounded, or that it bounds the distance from a tight frame."""
    (n, d), base_b = a.shape[-2:], base(b, 0.0)
    root = diagonal(a, base_b).sqrt()
    excess = root - d**0.5 + (n - 1) ** 0.5
    if distance:
        t = (d / (n - 1)) ** 0.5
        return (a - t * base_b).square().sum((-2, -1)), 2 * t * d**0.5 * excess
    return _constant(d**0.5 - (n - 1) ** 0.5, root), root


def _least_frobenius(corrected: bool, base: Base, a: Tensor, b: Tensor) -> Sides:
    """O4: the least Frobenius loss is that of tight frames; corrected: or that of views of rank N - 2."""
    n, d = a.shape[-2:]
    loss = _frobenius(a, base(b, 0.0)) + _frobenius(b, base(a, 0.0))
    frames = 4 * d - 4 * (d * (n - 1)) ** 0.5
    return _constant(min(frames, 2 * (d - n + 2)) if corrected and n > 2 else frames, loss), loss


def _two_readings(base: Base, a: Tensor, b: Tensor) -> Sides:
    base_b = base(b, 0.0)
    return _frobenius(a, base_b), 2 * (a.shape[-1] * diagonal(a, base_b)).sqrt()


def _limit(base: Base, z: Tensor, ridge: Tensor) -> Sides:
    n, d = z.shape[-2:]
    s_min = torch.linalg.svdvals(z)[..., min(n - 1, d) - 1]  # the smallest that is not 0
    distance = torch.linalg.matrix_norm(base(z, ridge) - base(z, 0.0), ord=2)
    return distance, ridge / (2 * s_min.square())


def _all() -> Iterator[Inequality]:
    yield Inequality("T1.argmin", "printed", "", partial(_theorem_1, False), COMPETITORS)
    yield Inequality("T1.unique", "printed", "", partial(_theorem_1, True), COMPETITORS)
    for reading in ("one.diag", "sum.diag", "one.fro", "sum.fro", "trace"):
        for corrected in (False, True):
            for ridge in (0.0, PRINTED_RIDGE):
                sides = partial(_theorem_2, reading, ridge, corrected)
                yield Inequality(f"T2.{reading}", ("printed", "corrected")[corrected], f"lambda = {ridge:g}", sides, VIEWS)
    yield Inequality("T2.zero", "ours", "L_BT by L_ARB", partial(zero_bound, True, False), VIEWS)
    yield Inequality("T2.zero", "ours", "L_ARB by L_BT", partial(zero_bound, False, False), VIEWS)
    for part, shape in (("d > N - 1", "wide"), ("d <= N - 1", "tall")):
        yield Inequality("T2.zero.ridge", "corrected", part, _least, VIEWS_RIDGE, shape)
        yield Inequality("T2.zero.ridge", "corrected", f"{part}, lambda = 0.0001", _least_printed, VIEWS, shape)
    yield Inequality("T4.con", "printed", "", _consistency, TWO_RIDGES, "any")
    yield Inequality("T4.distance", "printed", "", partial(_distance, False), TWO_RIDGES, "any")
    yield Inequality("T4.distance", "corrected", "", partial(_distance, True), TWO_RIDGES)
    for part, most in (
        ("sqrt(d) + N lambda", lambda n, d: (d * n / (d**0.5 + n * PRINTED_RIDGE)) ** -0.5),
        ("sqrt(d + N lambda)", lambda n, d: (d * n / (d + n * PRINTED_RIDGE) ** 0.5) ** -0.5),
    ):
        yield Inequality("T4.max", "printed", part, partial(_largest, most), VIEW, "wider")
    yield Inequality("T4.max", "corrected", "", partial(_largest, _largest_con), VIEW, "wider")
    yield Inequality("T5.nonzero", "corrected", "before Eq. 7's Jacobian", _not_zero, COLLAPSED, "any")
    yield Inequality("O1", "ours", "bound", partial(_frame, False), VIEWS, "wide")
    yield Inequality("O1", "ours", "distance", partial(_frame, True), VIEWS, "wide")
    for lost in (1, 2):
        cases = of_rank(lambda n, d, lost=lost: max(n - lost, 1))
        for corrected in (False, True):
            sides = partial(_least_frobenius, corrected)
            statement = ("uncorrected", "corrected")[corrected]
            yield Inequality("O4", statement, f"least, rank N - {lost}", sides, cases, "wide")
    yield Inequality("O4", "ours", "readings", _two_readings, VIEWS, "any")
    yield Inequality("O5", "ours", "", _limit, VIEW_RIDGE, "any")


INEQUALITIES = tuple(_all())


def inequalities(claim: str, statement: str | None = None) -> list[Inequality]:
    """Return those of a claim, all or as printed, as corrected, or ours; at least one."""
    found = [one for one in INEQUALITIES if one.claim == claim and statement in (None, one.statement)]
    if not found:
        raise LookupError(f"no inequality of {claim} is {statement or 'known'}")
    return found


def climb_of(chosen: Sequence[Inequality]) -> Callable[[Effort], Iterator[tuple[Any, ...]]]:
    """Return the climb of a `Statement`: the cases of the ascent on each of the inequalities."""
    return lambda effort: (case for one in chosen for case in one.climbed(effort))
