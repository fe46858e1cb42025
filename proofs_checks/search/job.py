"""The adversarial search: gradient ascent on the violation of every inequality of the theory, at many sizes, as a table.

Run as ``python -m arb_suite search --out FILE.csv --log FILE``; with ``--shrink`` it writes `counterexamples.yaml` instead.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from arb_suite.files import atomic_file, write_csv
from arb_suite.jobs import UserError, job_parser, run_job

from ..judge import TOLERANCE
from .inequalities import INEQUALITIES, Inequality
from .shrink import counterexamples, to_shrink

__all__ = ["FULL", "QUICK", "Budget", "has_correction", "search", "search_one"]


@dataclass(frozen=True)
class Budget:
    """
    How long is searched.

    Attributes
    ----------
    starts, steps : int
        Of the ascent, per inequality and size.
    sizes : tuple of (int, int)
        N and d; each inequality takes those that it is about.

    """

    starts: int
    steps: int
    sizes: tuple[tuple[int, int], ...]


SHAPES = {"tall": "d <= N - 1", "wide": "d > N - 1", "wider": "d > N", "any": "any size from N = 2 on"}
TALL = ((3, 2), (4, 2), (4, 3), (6, 4), (8, 6), (12, 10))
WIDE = ((2, 3), (3, 5), (3, 6), (4, 8), (6, 10), (10, 10))
FULL = Budget(200, 2000, TALL + WIDE)
QUICK = Budget(40, 120, ((3, 2), (6, 4), (3, 6)))


def has_correction(one: Inequality) -> bool:
    """Tell whether the same claim has an inequality that corrects it."""
    corrected = any((other.claim, other.statement) == (one.claim, "corrected") for other in INEQUALITIES)
    return corrected and one.statement in ("printed", "uncorrected")


def search_one(one: Inequality, n: int, d: int, starts: int, steps: int) -> dict[str, str | int]:
    """
    Climb one inequality at one size and return its row.

    Where a corrected statement exists a quarter of the steps is tried first, and is enough if half of the starts end in a
    violation.
    """
    tried = (steps // 4, steps) if has_correction(one) else (steps,)
    for taken in tried:
        gaps, _ = one.climb(starts, taken, n, d)
        violated = int((gaps > TOLERANCE).sum())
        if 2 * violated >= starts:
            break
    return {
        "claim": one.claim,
        "statement": one.statement,
        "part": one.part,
        "n": n,
        "d": d,
        "starts": starts,
        "steps": taken,
        "largest_gap": f"{float(gaps[0]):z.6f}",
        "violated": violated,
    }


def search(budget: Budget, chosen: Sequence[Inequality] = INEQUALITIES) -> Iterator[dict[str, str | int]]:
    """Yield the rows of the table, inequality by inequality."""
    for one in chosen:
        for n, d in budget.sizes:
            if one.fits(n, d):
                yield search_one(one, n, d, budget.starts, budget.steps)


def _size(text: str) -> tuple[int, int]:
    try:
        n, d = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; give N,d, such as 6,4") from None
    return n, d


def main() -> None:
    """Write the table of the search, or the small counterexamples."""
    parser = job_parser("Search for violations of the inequalities of the theory by gradient ascent.")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file, or with --shrink the YAML file")
    parser.add_argument("--quick", action="store_true", help="few starts and steps, three sizes: under a minute")
    parser.add_argument("--claim", nargs="+", default=[], help="these claims alone")
    parser.add_argument("--sizes", nargs="+", type=_size, default=[], help="other sizes, as N,d")
    parser.add_argument("--shrink", action="store_true", help="make the counterexamples small instead")
    run_job(_search, parser)


def _check_shrink(options: argparse.Namespace) -> None:
    """Refuse what --shrink does not do."""
    if options.quick or options.sizes:
        raise UserError("--shrink goes through sizes of its own, the small ones first; leave --quick and --sizes out")
    known = [claim for claim, _ in to_shrink()]
    if unknown := [claim for claim in options.claim if claim not in known]:
        raise UserError(
            f"--shrink has no counterexample of {', '.join(unknown)} to look for; there are those of {', '.join(known)}"
        )


def _search(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    torch.set_num_threads(1)  # the last bits of a product depend on it
    if options.out.is_dir() or not options.out.parent.is_dir():  # before the search, which takes minutes
        raise UserError(f"--out {options.out} cannot be written; give the name of a file in a folder that exists")
    if options.shrink:
        _check_shrink(options)
        with atomic_file(options.out) as temporary:
            temporary.write_text(counterexamples(options.claim, report=report), encoding="utf-8")
        return
    chosen = [one for one in INEQUALITIES if not options.claim or one.claim in options.claim]
    unknown = set(options.claim) - {one.claim for one in chosen}
    if unknown:
        known = ", ".join(dict.fromkeys(one.claim for one in INEQUALITIES))
        raise UserError(f"no inequality of {', '.join(sorted(unknown))}; there are those of {known}")
    budget = QUICK if options.quick else FULL
    budget = Budget(budget.starts, budget.steps, tuple(options.sizes) or budget.sizes)
    rows = []
    for row in search(budget, chosen):
        rows.append(row)
        report(" ".join(str(value) for value in row.values() if value != ""))
    if not rows:
        shapes = ", ".join(dict.fromkeys(f"{one.claim} is about {SHAPES[one.shape]}" for one in chosen))
        raise UserError(f"none of the sizes {options.sizes} fits: {shapes}")
    write_csv(options.out, pd.DataFrame(rows))


if __name__ == "__main__":
    main()
