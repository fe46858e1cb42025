"""What was measured on the second embedded data set: a row per run and metric."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .files import write_csv
from .jobs import job_parser, run_job
from .measured import read_metrics
from .tables import COLUMNS, EMBEDDED_METRICS, measured_row

__all__ = ["embedded_table"]

TARGET = "snakemake --cores all results/table_glyphs.csv"


def embedded_table(runs: Sequence[Mapping[str, Any]], metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the main table, all of them strings, for runs of the plan; the paper has no such data."""
    rows = []
    for run in runs:
        identity = {"method": run["label"], "variant": run["variant"], "proj_dim": str(run["proj_dim"] or "")}
        identity |= {"dataset": run["dataset"], "pretrain_epochs": ""}
        not_run = f"not run: left out by the choice of datasets or methods; {TARGET}"
        rows += [measured_row(identity, run, metric, "", metrics, not_run) for metric in EMBEDDED_METRICS]
    return pd.DataFrame(rows, columns=COLUMNS)


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Write the table."""
    runs = json.loads(options.plan)["runs"]
    table = embedded_table(runs, read_metrics(runs))
    write_csv(options.out, table)
    report(f"{len(table)} rows, {(table['measured'] != '').sum()} of them measured, in {options.out}")


def main() -> None:
    """Run the rule ``table_glyphs``."""
    parser = job_parser("Tabulate what was measured on the second embedded data set.")
    parser.add_argument("--plan", required=True, help="the runs, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file")
    run_job(work, parser)
