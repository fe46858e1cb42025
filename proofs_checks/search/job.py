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
from .shrink import counterexamples

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


TALL = ((3, 2), (4, 2), (4, 3), (6, 4), (8, 6), (12, 10))
WIDE = ((2, 3), (3, 5), (3, 6), (4, 8), (6, 10), (10, 10))
FULL = Budget(200, 2000, TALL + WIDE)
QUICK = Budget(40, 120, ((3, 2), (6, 4), (3, 6)))


def has_correction(one: Inequality) -> bool:
    """Tell whether the same claim has an inequality that corrects it."""
    return one.statement != "corrected" and any((o.claim, o.statement) == (one.claim, "corrected") for o in INEQUALITIES)


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
    n, d = map(int, text.split(","))
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


def _search(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    torch.set_num_threads(1)  # the last bits of a product depend on it
    if options.shrink:
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
        raise UserError(f"none of the sizes {options.sizes} fits; d <= N - 1, or d > N - 1, may be asked for")
    write_csv(options.out, pd.DataFrame(rows))


if __name__ == "__main__":
    main()
