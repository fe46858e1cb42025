"""Small counterexamples: whole numbers near what gradient ascent has found, the smallest size and entries first.

`python -m arb_suite search --shrink` writes the file; the checks read it, and a test certifies each of its lines in ball
arithmetic, by formulas of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from arb_suite.jobs import UserError

from .ascent import pseudo_base, scale
from .cases import VIEW
from .inequalities import INEQUALITIES, PRINTED_RIDGE, Inequality, climb_together

__all__ = ["COUNTEREXAMPLES", "Small", "counterexamples", "smallest", "stored", "to_shrink", "whole_numbers"]

COUNTEREXAMPLES = Path(__file__).with_name("counterexamples.yaml")
HEAD = """\
# Found by gradient ascent, then made small, by `python -m arb_suite search --shrink`: raw embeddings, rows are samples.
# To check one by hand: centre each column and divide it by its norm (Eq. 7); the base of Z = U diag(s) V^T is
# U diag(s / sqrt(s^2 + lambda)) V^T; the left side is above the right one, which the paper denies. The sides: of Theorem 2
# the invariance term and the loss; T2.trace: tr((Z^A)^T B^B) and tr((Z^A)^T Z^B); T4.distance: ||Z - B|| / ||Z|| at the
# lower and at the higher lambda; T4.max: con(Z, B) at lambda = 0.0001, and what is stated to be the largest.

"""
CLEAR = 1e-3  # of a gap: far above rounding
CONDITION = 1e3  # at most, of a view: far from a lower rank
KEPT, VARIANTS = 20, 8  # optima, and roundings of each
Gap = Callable[..., Tensor]  # from (k, N, d) raw embeddings of each view to (k,) gaps


@dataclass(frozen=True)
class Small:
    """
    A counterexample in whole numbers.

    Attributes
    ----------
    gap : float
        By how much the left side is above the right one.
    views : list of (N, d) Tensor
        Raw embeddings, int64.

    """

    gap: float
    views: list[Tensor]


def _admissible(views: Sequence[Tensor]) -> Tensor:
    """Tell which raw embeddings can be scaled and have the largest rank that centred matrices can have, clearly."""
    fine = torch.ones(len(views[0]), dtype=torch.bool)
    for z in views:
        scaled = scale(z)
        defined = scaled.isfinite().all(-1).all(-1)
        s = torch.linalg.svdvals(torch.where(defined[:, None, None], scaled, 0))
        rank = min(z.shape[-2] - 1, z.shape[-1])
        fine &= defined & (s[:, 0] < CONDITION * s[:, rank - 1])
    return fine


def _evaluate(gap: Gap, views: Tensor) -> Tensor:
    """Return the gaps of (views, k, N, d) whole numbers, minus infinity where they are not admissible."""
    raw = list(views.to(torch.float64))
    fine = _admissible(raw)
    gaps = torch.full(fine.shape, -torch.inf, dtype=torch.float64)
    if fine.any():
        gaps[fine] = gap(*(z[fine] for z in raw))
    return gaps


def _better(gap: Gap, views: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Change one entry at a time by 1, the one that raises the gap most, until none does; no entry is above `most`."""
    count = views.shape[1]
    gaps = _evaluate(gap, views)
    steps = torch.eye(views[:, 0].numel(), dtype=torch.int64).reshape(-1, *views[:, 0].shape)
    steps = torch.cat([steps, -steps]).movedim(0, 1)  # (views, moves, N, d)
    while True:
        moved = (views[:, :, None] + steps[:, None]).clamp(-most, most)  # (views, k, moves, N, d)
        after, move = _evaluate(gap, moved.flatten(1, 2)).reshape(count, -1).max(1)
        higher = after > gaps + 1e-12
        if not higher.any():
            return gaps, views
        views = torch.where(higher[:, None, None], moved[:, torch.arange(count), move], views)
        gaps = torch.where(higher, after, gaps)


def whole_numbers(gap: Gap, optima: Sequence[Tensor], most: int) -> Small | None:
    """
    Look for whole numbers near given embeddings that have a clear gap, the smallest largest entry first.

    Parameters
    ----------
    gap : callable
        From raw embeddings, a (k, N, d) tensor for each view, to (k,) gaps.
    optima : sequence of (k, N, d) Tensor
        Embeddings to start at; columns may be multiplied and shifted, as Eq. 7 takes that out.
    most : int
        The largest entry that is tried.

    Returns
    -------
    Small or None

    """
    generator = torch.Generator().manual_seed(0)
    scaled = scale(torch.stack(list(optima))).repeat(1, VARIANTS, 1, 1)
    columns = 0.6 + 0.4 * torch.rand(*scaled.shape[:2], 1, scaled.shape[-1], dtype=torch.float64, generator=generator)
    columns[:, : len(optima[0])] = 1  # once with the largest entry itself
    for largest in range(1, most + 1):
        rounded = (largest * columns * scaled / scaled.abs().amax(-2, keepdim=True)).round().long()
        gaps, views = _better(gap, rounded, largest)
        best = int(gaps.argmax())
        if gaps[best] > CLEAR:
            return Small(float(gaps[best]), list(views[:, best]))
    return None


def smallest(parts: Sequence[Inequality], sizes: Sequence[tuple[int, int]], starts: int, steps: int, most: int) -> Small | None:
    """Find the smallest whole numbers that violate each of the inequalities, which are about raw embeddings alone."""

    def gap(*raw: Tensor) -> Tensor:
        return torch.stack([part.gap(pseudo_base, *part.cases.case(*raw)) for part in parts]).amin(0)

    for n, d in sizes:
        if not parts[-1].fits(n, d):
            continue
        gaps, optima = climb_together(parts, starts, steps, n, d)
        kept = int((gaps[:KEPT] > CLEAR).sum())
        if kept:
            with torch.no_grad():
                found = whole_numbers(gap, [z[:kept] for z in optima], most)
            if found:
                return found
    return None


def _with_ridges(one: Inequality, lower: float, higher: float) -> Inequality:
    """Fix both ridges of an inequality."""

    def sides(base: Any, z: Tensor) -> tuple[Tensor, Tensor]:
        return one.sides(base, z, *(torch.full(z.shape[:-2], ridge, dtype=z.dtype) for ridge in (lower, higher)))

    return Inequality(one.claim, one.statement, f"lambda = {lower:g} and {higher:g}", sides, VIEW, "tall")


def to_shrink() -> Iterator[tuple[str, list[Inequality]]]:
    """Yield the claims with a correction, and what a counterexample has to violate: at lambda = 0 and at the paper's ridge."""
    corrected = {one.claim for one in INEQUALITIES if one.statement == "corrected"}
    for claim in dict.fromkeys(one.claim for one in INEQUALITIES if one.statement == "printed"):
        if claim in corrected:
            parts = [one for one in INEQUALITIES if (one.claim, one.statement) == (claim, "printed")]
            if claim == "T4.distance":  # the ridge that the example by hand has
                parts = [_with_ridges(parts[0], lower, 0.6) for lower in (0.0, PRINTED_RIDGE)]
            yield claim, parts


def counterexamples(
    chosen: Sequence[str] = (),
    starts: int = 200,
    steps: int = 1000,
    most: int = 20,
    up_to: int = 10,
    report: Callable[[str], None] = lambda line: None,
) -> str:
    """
    Search and shrink, for every claim that has a correction.

    Parameters
    ----------
    chosen : sequence of str
        Claims; without any, all.
    starts, steps : int
        Of the ascent, per size.
    most : int
        The largest entry that is tried.
    up_to : int
        N + d at most.
    report : callable
        Receives a line on each claim.

    Returns
    -------
    str
        YAML: of each claim the raw embeddings, and both sides of what they violate.

    """
    sizes = [(n, total - n) for total in range(3, up_to + 1) for n in range(2, total)]
    entries = []
    for claim, parts in to_shrink():
        if chosen and claim not in chosen:
            continue
        found = smallest(parts, sizes, starts, steps, most)
        report(f"{claim}: {'nothing found' if found is None else [z.tolist() for z in found.views]}")
        if found is None:
            continue
        case = parts[0].cases.case(*(z.to(torch.float64)[None] for z in found.views))
        sides = [(part.part, *(f"{float(side):z.6f}" for side in part.sides(pseudo_base, *case))) for part in parts]
        n, d = found.views[0].shape
        entry = {"claim": claim, "statement": "printed", "n": n, "d": d, "views": [z.tolist() for z in found.views]}
        entries.append({**entry, "sides": [dict(zip(("part", "left", "right"), side, strict=True)) for side in sides]})
    return HEAD + yaml.safe_dump(entries, sort_keys=False, default_flow_style=None, width=128)


@cache
def stored(claim: str) -> dict[str, Any]:
    """
    Return the stored counterexample of a claim.

    Raises
    ------
    UserError
        If the file cannot be read or has none.

    """
    try:
        entries = {entry["claim"]: entry for entry in yaml.safe_load(COUNTEREXAMPLES.read_text(encoding="utf-8"))}
        return entries[claim]
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        what = "has no entry for it" if isinstance(error, KeyError) else "cannot be read"
        raise UserError(f"the counterexample to {claim}: {COUNTEREXAMPLES} {what}; restore it from the repository") from error
