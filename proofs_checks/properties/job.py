"""The job of the properties: what is true, on 100,000 cases each that Hypothesis draws. Hours."""

import argparse
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from arb_suite.files import write_csv
from arb_suite.jobs import job_parser, run_job

from .statement import PROPERTIES, tally
from .strategies import EXTREMES, SHAPES

CASES = 100_000
SUBJECTS = ("bases", "losses", "sizes")
Report = Callable[[str], None]


def main() -> None:
    """Write the tally of one module."""
    parser = job_parser("Try what is true on many cases.")
    parser.add_argument("subject", choices=SUBJECTS, help="of which properties")
    parser.add_argument("--quick", action="store_true", help="a little of it, to see that it works")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file")
    run_job(_write, parser)


def _write(options: argparse.Namespace, report: Report) -> None:
    with threadpool_limits(1):  # the last bits of a product depend on the number of threads
        table = pd.DataFrame(list(_tallies(options.subject, options.quick, report)))
    write_csv(options.out, table)
    report(f"properties: {len(table)} rows in {options.out}")


def _tallies(subject: str, quick: bool, report: Report) -> Iterator[dict[str, str | int]]:
    """Count the cases that every property of a module survives, and of what kinds they are."""
    module = importlib.import_module(f".of_{subject}", __package__)
    for name, found in PROPERTIES.items():
        if found.check.__module__ != module.__name__:
            continue
        try:
            counted, example = tally(name, 50 if quick else CASES), ""
        except AssertionError as error:
            counted, example = {}, " ".join(str(error).split())
        report(f"{name}: {counted.get('cases', 'broken')}")
        kinds = {kind: counted.get(kind, 0) for kind in ("cases", *SHAPES, *EXTREMES)}
        yield {"property": name, "claims": found.claims, **kinds, "violations": int(not counted), "example": example}
