"""The main table: every printed cell of Table 1, and every row measured on the embedded data."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .files import atomic_file, write_csv
from .jobs import UserError, job_parser, run_job
from .page import render_html, render_text
from .printed import read_rows
from .settings import DATASETS
from .statistics import holm, ordering_verdict, paired_comparison, reproduction_verdict, t_interval

__all__ = ["EMBEDDED_METRICS", "main_table", "orderings", "read_cells"]

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
ORDERING_COLUMNS = [
    "claim",
    "dataset",
    "left",
    "right",
    "paper_difference",
    "measured_difference",
    "ci_low",
    "ci_high",
    "n_seeds",
    "verdict",
    "note",
]
# What is measured on the embedded data
EMBEDDED_METRICS = ("linear_top1", "knn5_top1")
TARGET = "snakemake --cores all results/table_main.csv"


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
    for cell in table1.to_dict("records"):
        run = _find(runs, short[cell["dataset"]], cell["method"], cell["proj_dim"])
        command = f"{TARGET} --config data_root=DIR datasets={short[cell['dataset']]}"
        not_run = (
            f"not run: needs the {cell['dataset']} images in DIR, and settings that this version lacks; with both: {command}"
        )
        rows.append(_row(cell, run, cell["metric"], cell["as_printed"], metrics, not_run))
    for row in table1.drop_duplicates(["method", "proj_dim"]).to_dict("records"):
        run = _find(runs, "digits", row["method"], row["proj_dim"])
        rows += _embedded_rows(row["method"], row["variant"], run, metrics)
    # Every other run is a row of its own: the references, and whatever a user has added.
    placed = {(row["method"], row["proj_dim"]) for row in table1.to_dict("records")}
    for run in runs:
        if run["dataset"] == "digits" and (run["label"], str(run["paper_dim"] or "")) not in placed:
            rows += _embedded_rows(run["label"], run["variant"], run, metrics)
    return pd.DataFrame(rows, columns=COLUMNS)


def _embedded_rows(method: str, variant: str, run: Mapping[str, Any] | None, metrics: pd.DataFrame) -> list[dict[str, str]]:
    dimension = str(run["proj_dim"] or "") if run is not None else ""
    identity = {"method": method, "variant": variant, "proj_dim": dimension, "dataset": "digits", "pretrain_epochs": ""}
    if run is None:
        not_run = "not run: this version has no settings for this method on the embedded data"
    else:
        not_run = f"not run: left out by the choice of datasets or methods; {TARGET}"
    return [_row(identity, run, metric, "", metrics, not_run) for metric in EMBEDDED_METRICS]


def _find(runs: Sequence[Mapping[str, Any]], dataset: str, label: str, paper_dim: str) -> Mapping[str, Any] | None:
    """Return the run that stands for a row of Table 1; the plan has at most one."""
    row = (dataset, label, paper_dim)
    return next((run for run in runs if (run["dataset"], run["label"], str(run["paper_dim"] or "")) == row), None)


def _row(
    identity: Mapping[str, str],
    run: Mapping[str, Any] | None,
    metric: str,
    paper: str,
    metrics: pd.DataFrame,
    not_run: str,
) -> dict[str, str]:
    row = dict.fromkeys(COLUMNS, "") | {key: identity[key] for key in COLUMNS[:5]} | {"metric": metric, "paper": paper}
    values = _values(metrics, run, metric) if run is not None else []
    if run is None or not len(values):
        return row | {"n_seeds": "0", "verdict": "not run", "note": not_run}
    interval = t_interval(values)
    note = run["protocol"]
    ranks = _values(metrics, run, "effective_rank_embeddings")
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
        "verdict": reproduction_verdict(values, paper) if paper else "not comparable",
        "note": note if paper else f"the paper has no such data: compare the order of the methods, not the level; {note}",
    }


def _values(metrics: pd.DataFrame, run: Mapping[str, Any], metric: str) -> np.ndarray:
    chosen = metrics[(metrics["dataset"] == run["dataset"]) & (metrics["run"] == run["name"]) & (metrics["metric"] == metric)]
    return chosen.sort_values("seed")["value"].to_numpy()


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"


def orderings(
    claims: Sequence[Mapping[str, Any]],
    printed: pd.DataFrame,
    runs: Sequence[Mapping[str, Any]],
    metrics: pd.DataFrame,
) -> pd.DataFrame:
    """
    Decide statements that one method is better than another.

    Parameters
    ----------
    claims : sequence of mapping
        The ``orderings`` of the configuration.
    printed, runs, metrics
        As for `main_table`.

    Returns
    -------
    pandas.DataFrame
        The columns of ``results/orderings.csv``, all of them strings. The
        intervals stand for themselves; the verdicts rest on p values that are
        adjusted together, those of the paper's orderings and the others apart.

    """
    rows, comparisons = [], []
    for dataset in dict.fromkeys(run["dataset"] for run in runs):
        by_name = {run["name"]: run for run in runs if run["dataset"] == dataset}
        for claim in claims:
            sides = [by_name.get(claim[side]) for side in ("left", "right")]
            row = dict.fromkeys(ORDERING_COLUMNS, "") | {
                "claim": claim["name"],
                "dataset": dataset,
                "left": _title(sides[0], claim["left"]),
                "right": _title(sides[1], claim["right"]),
                "paper_difference": _printed_difference(claim, printed),
                "note": _ordering_note(claim, sides),
            }
            values = [_values(metrics, run, claim["metric"]) if run else () for run in sides]
            rows.append(row)
            complete = all(len(v) for v in values)
            comparisons.append(paired_comparison(*values) if complete else None)
    # What the paper orders is one family of comparisons, what we check beside it another.
    for printed_claim in (True, False):
        family = [
            (row, comparison)
            for row, comparison in zip(rows, comparisons, strict=True)
            if comparison is not None and bool(row["paper_difference"]) == printed_claim
        ]
        adjusted = holm([comparison.p_value for _, comparison in family])
        for (row, comparison), p_value in zip(family, adjusted, strict=True):
            row |= {
                "measured_difference": f"{comparison.difference.mean:.2f}",
                "ci_low": _number(comparison.difference.low),
                "ci_high": _number(comparison.difference.high),
                "n_seeds": str(comparison.n_seeds),
                "verdict": ordering_verdict(comparison, p_value),
                "note": f"{row['note']}p = {p_value:.2g} (t test paired over seeds; Holm, {len(family)} comparisons)",
            }
    for row, comparison in zip(rows, comparisons, strict=True):
        if comparison is None:
            row |= {"n_seeds": "0", "verdict": "not run", "note": f"{row['note']}one of the two was not run; {TARGET}"}
    return pd.DataFrame(rows, columns=ORDERING_COLUMNS)


def _title(run: Mapping[str, Any] | None, name: str) -> str:
    """Name a run for people, or by its name in the configuration where it is not configured."""
    if run is None:
        return name
    return f"{run['label']} (d = {run['proj_dim']})" if run["proj_dim"] else run["label"]


def _ordering_note(claim: Mapping[str, Any], sides: Sequence[Mapping[str, Any] | None]) -> str:
    parts = [claim["metric"]]
    if "paper" in claim:
        place = claim["paper"]
        cells = " minus ".join(f"{method} {dimension}".strip() for method, dimension in (place["left"], place["right"]))
        parts.append(f"paper: Table {place['table'].removeprefix('table')}, {place['dataset']}, {cells}")
    parts += [f"{run['label']}: {run['remark']}" for run in sides if run is not None and run["remark"]]
    return "; ".join(parts) + "; "


def _printed_difference(claim: Mapping[str, Any], printed: pd.DataFrame) -> str:
    """Left minus right of the two printed cells that a claim refers to, or nothing where it refers to none."""
    if "paper" not in claim:
        return ""
    place = claim["paper"]
    cells = []
    for method, proj_dim in (place["left"], place["right"]):
        found = printed[
            (printed["table"] == place["table"])
            & (printed["dataset"] == place["dataset"])
            & (printed["metric"] == claim["metric"])
            & (printed["method"] == method)
            & (printed["proj_dim"] == proj_dim)
        ]
        if len(found) != 1:
            raise UserError(f"orderings: {claim['name']}: {len(found)} printed cells match {method} {proj_dim} in {place}")
        cells.append(found["as_printed"].item())
    return str(Decimal(cells[0]) - Decimal(cells[1]))


def _read_metrics(runs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    frames = []
    for run in runs:
        for path in run["metrics"] if run["selected"] else ():
            frame = pd.read_csv(path)
            frame.insert(0, "run", run["name"])
            frame.insert(0, "dataset", run["dataset"])
            frame["config_hash"] = run["config_hash"][:16]
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Write the tables of the measured runs and their rendering."""
    plan = json.loads(options.plan)
    printed = read_cells(options.printed)
    metrics = _read_metrics(plan["runs"])
    table = main_table(printed, plan["runs"], metrics)
    decided = orderings(plan["orderings"], printed, plan["runs"], metrics)
    write_csv(options.out / "runs.csv", metrics)
    write_csv(options.out / "orderings.csv", decided)
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
