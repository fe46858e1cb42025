"""The main table: every printed cell of Table 1, every row measured on the embedded data, and what else was measured."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .files import atomic_file, write_csv
from .jobs import UserError, job_parser, run_job
from .measured import read_metrics, values_of
from .orderings import orderings
from .page import render_html, render_text
from .printed import read_rows
from .settings import DATASETS
from .statistics import reproduction_verdict, t_interval

__all__ = ["COLUMNS", "EMBEDDED_METRICS", "main_table", "measured_row", "read_cells"]

COLUMNS = [
    "method",
    "variant",
    "proj_dim",
    "dataset",
    "pretrain_epochs",
    "metric",
    "paper",
    "measured",
    "ci_low",
    "ci_high",
    "n_seeds",
    "n_eval",
    "verdict",
    "note",
]
# What is measured on the embedded data, and on the paper's
EMBEDDED_METRICS = ("linear_top1", "knn5_top1")
PAPER_METRICS = ("linear_top1", "linear_top5", "knn5_top1")
TARGET = "snakemake --cores all results/table_main.csv"
# Why a number has none of the paper beside it: on embedded data, and on the paper's
_UNPRINTED = {
    True: "the paper has no such data: compare the order of the methods, not the level",
    False: "the paper's table has no such number",
}


def read_cells(path: Path) -> pd.DataFrame:
    """
    Read the printed tables; every field stays the string that was printed.

    Raises
    ------
    UserError
        If the file cannot be read or a column is missing.

    """
    printed = pd.DataFrame(read_rows(path))
    needed = {"table", "method", "variant", "proj_dim", "dataset", "pretrain_epochs", "metric", "as_printed"}
    if missing := sorted(needed - set(printed.columns)):
        raise UserError(f"{path} has no column {', '.join(missing)}; restore it from the repository")
    return printed


def main_table(printed: pd.DataFrame, runs: Sequence[Mapping[str, Any]], metrics: pd.DataFrame) -> pd.DataFrame:
    """
    Set the printed cells of Table 1 and the embedded data's rows beside what was measured.

    On the paper's data sets, whatever was measured and is not printed (kNN, runs that
    Table 1 does not have) follows in rows without a number of the paper.

    Parameters
    ----------
    printed : pandas.DataFrame
        From `read_cells`.
    runs : sequence of mapping
        The runs of the plan: ``dataset``, ``name``, ``label``, ``variant``,
        ``paper_dim``, ``proj_dim``, ``epochs``, ``n_eval``, ``protocol``,
        ``remark`` and ``selected``.
    metrics : pandas.DataFrame
        One row per dataset, run, seed and metric.

    Returns
    -------
    pandas.DataFrame
        The columns of ``results/table_main.csv``, all of them strings.

    """
    table1 = printed[printed["table"] == "table1"]
    short = {long: short for short, long in DATASETS.items()}
    rows = []
    for cell in table1.to_dict("records", into=dict):
        run = _find(runs, short[cell["dataset"]], cell["method"], cell["proj_dim"])
        command = f"{TARGET} --config data_root=DIR datasets={short[cell['dataset']]}"
        not_run = f"not run: needs the {cell['dataset']} images in DIR; with them: {command}"
        rows.append(measured_row(cell, run, cell["metric"], cell["as_printed"], metrics, not_run))
    for row in table1.drop_duplicates(["method", "proj_dim"]).to_dict("records"):
        run = _find(runs, "digits", row["method"], row["proj_dim"])
        rows += _embedded_rows(row["method"], row["variant"], run, metrics)
    # Every other run is a row of its own: the references, and whatever a user has added.
    placed = {(row["method"], row["proj_dim"]) for row in table1.to_dict("records")}
    for run in runs:
        if run["dataset"] == "digits" and (run["label"], str(run["paper_dim"] or "")) not in placed:
            rows += _embedded_rows(run["label"], run["variant"], run, metrics)
    for run in runs:
        if not run["embedded"]:
            rows += _unprinted_rows(run, table1, metrics)
    return pd.DataFrame(rows, columns=COLUMNS)


def _embedded_rows(method: str, variant: str, run: Mapping[str, Any] | None, metrics: pd.DataFrame) -> list[dict[str, str]]:
    dimension = str(run["proj_dim"] or "") if run is not None else ""
    identity = {"method": method, "variant": variant, "proj_dim": dimension, "dataset": "digits", "pretrain_epochs": ""}
    if run is None:
        not_run = "not run: this version has no settings for this method on the bundled data"
    else:
        not_run = f"not run: left out by the choice of datasets or methods; {TARGET}"
    return [measured_row(identity, run, metric, "", metrics, not_run) for metric in EMBEDDED_METRICS]


def _unprinted_rows(run: Mapping[str, Any], table1: pd.DataFrame, metrics: pd.DataFrame) -> list[dict[str, str]]:
    """Return what was measured on one of the paper's data sets and stands in no cell of Table 1."""
    identity = {
        "method": run["label"],
        "variant": run["variant"],
        "proj_dim": str(run["paper_dim"] or run["proj_dim"] or ""),
        "dataset": DATASETS[run["dataset"]],
        "pretrain_epochs": "",
    }
    same = [table1[column] == identity[column] for column in ("method", "proj_dim", "dataset")]
    printed = set(table1.loc[np.logical_and.reduce(same), "metric"]) if run["paper_dim"] else set()
    measured = [metric for metric in PAPER_METRICS if metric not in printed and len(values_of(metrics, run, metric))]
    return [measured_row(identity, run, metric, "", metrics, "") for metric in measured]


def _find(runs: Sequence[Mapping[str, Any]], dataset: str, label: str, paper_dim: str) -> Mapping[str, Any] | None:
    """Return the run that stands for a row of Table 1; the plan has at most one."""
    row = (dataset, label, paper_dim)
    return next((run for run in runs if (run["dataset"], run["label"], str(run["paper_dim"] or "")) == row), None)


def measured_row(
    identity: Mapping[str, str],
    run: Mapping[str, Any] | None,
    metric: str,
    paper: str,
    metrics: pd.DataFrame,
    not_run: str,
    values: np.ndarray | None = None,
) -> dict[str, str]:
    """
    Return the row of a run and a metric beside the number `paper`.

    `values` by seed are those at the end of the run if not given; without any,
    `not_run` is its note. Generated images are never compared with the paper.
    """
    row = dict.fromkeys(COLUMNS, "") | {key: identity[key] for key in COLUMNS[:5]} | {"metric": metric, "paper": paper}
    if values is None:
        values = values_of(metrics, run, metric) if run is not None else np.empty(0)
    if run is None or not len(values):
        return row | {"n_seeds": "0", "verdict": "not run", "note": not_run}
    interval = t_interval(values)
    note = run["protocol"]
    ranks = values_of(metrics, run, "effective_rank_embeddings")
    if run["remark"]:
        note += f"; {run['remark']}"
    if len(ranks):
        note += f"; effective rank of the embeddings {np.mean(ranks):.1f} of {run['proj_dim']}"
    return row | {
        "pretrain_epochs": str(run["epochs"]),
        "measured": f"{interval.mean:.2f}",
        "ci_low": _number(interval.low),
        "ci_high": _number(interval.high),
        "n_seeds": str(len(values)),
        "n_eval": str(run["n_eval"]),
        "verdict": reproduction_verdict(values, paper) if paper and not run["generated"] else "not comparable",
        "note": note if paper else f"{_UNPRINTED[run['embedded']]}; {note}",
    }


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Write the tables of the measured runs and their rendering."""
    plan = json.loads(options.plan)
    printed = read_cells(options.printed)
    cells = {str(place): of.to_dict("records", into=dict) for place, of in printed.groupby("table")}
    metrics = read_metrics(plan["runs"])
    table = main_table(printed, plan["runs"], metrics)
    decided = orderings(plan["orderings"], cells, plan["runs"], metrics, {})
    write_csv(options.out / "runs.csv", metrics)
    write_csv(options.out / "orderings_main.csv", decided)
    text = render_text(table, decided)
    for name, content in (("table_main.txt", text), ("table_main.html", render_html(table, decided))):
        with atomic_file(options.out / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    write_csv(options.out / "table_main.csv", table)
    report("\n" + text)


def main() -> None:
    """Run the rule ``table_main``."""
    parser = job_parser("Set measured accuracies beside the printed ones.")
    parser.add_argument("--plan", required=True, help="the runs and the orderings to decide, as JSON")
    parser.add_argument("--printed", type=Path, required=True, help="the printed tables, CSV")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the tables")
    run_job(work, parser)
