"""The job of the ledger: every claim of theory decided, as CSV."""

import argparse
from collections.abc import Callable
from pathlib import Path

from arb_suite.files import write_csv
from arb_suite.jobs import job_parser, run_job

from .judge import DEEP, QUICK
from .ledger import ledger_table


def main() -> None:
    """Write the claims of theory with their verdicts."""
    parser = job_parser("Decide the claims of theory.")
    parser.add_argument("--deep", action="store_true", help="hundreds of starts, thousands of steps, 100,000 cases: hours")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file")
    run_job(_decide, parser)


def _decide(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    table = ledger_table(DEEP if options.deep else QUICK)
    write_csv(options.out, table)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in sorted(table["verdict"].value_counts().items()))
    report(f"theory: {len(table)} claims ({counted})")
