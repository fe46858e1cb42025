"""The job of the audit: every claim of theory and about numbers decided, every printed number audited."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from ..files import write_csv
from ..jobs import job_parser, read_resolved, run_job
from ..printed import read_printed
from .claims import claims_table
from .tables import (
    cells_table,
    places_table,
    published_table,
    rankings_table,
    redecided_table,
    settings_table,
    sizes_table,
)


def main() -> None:
    """Write the tables of the audit."""
    parser = job_parser("Audit the printed numbers: claims.csv and audit_*.csv.")
    parser.add_argument("--settings", required=True, help="settings of the suite's ARB run, as JSON")
    parser.add_argument("--paper", type=Path, required=True, help="folder of the printed numbers")
    parser.add_argument("--schema", type=Path, required=True, help="schema of these")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    run_job(_audit, parser)


def _audit(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    from proofs_checks.ledger import ledger_table  # its checks rest on this package

    printed = read_printed(options.paper, options.schema)
    report("audit: deciding the theory, about 30 seconds")
    theory = ledger_table()
    tables = {
        "audit_cells": cells_table(printed),
        "audit_sizes": sizes_table(printed),
        "audit_rankings": rankings_table(printed),
        "audit_places": places_table(printed),
        "audit_published": published_table(printed),
        "audit_redecided": redecided_table(printed),
        "audit_settings": settings_table(printed, read_resolved(options.settings)),
        "claims": pd.concat([theory, claims_table(printed)], ignore_index=True),
    }
    for name, table in tables.items():
        write_csv(options.out / f"{name}.csv", table)
    verdicts = tables["claims"]["verdict"].value_counts(sort=False)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    report(f"audit: {len(tables['claims'])} claims ({counted}), {len(tables['audit_cells'])} printed accuracies")
