"""The tables of results as the report shows them: printed and measured side by side, a row per run."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ..page import interval

__all__ = ["METRICS", "blocks", "ordering_rows", "ordering_tally", "run_of"]

METRICS = {
    "linear_top1": "linear top-1",
    "linear_top5": "linear top-5",
    "knn5_top1": "kNN top-1",
    "knn5_top5": "kNN top-5",
}
IDENTITY = {"method": "method", "variant": "variant", "setting": "setting", "proj_dim": "d", "pretrain_epochs": "epochs"}


def blocks(table: pd.DataFrame, cells: pd.DataFrame | None = None) -> list[dict[str, Any]]:
    """
    Turn a table of one row per number into blocks of one row per run.

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns of ``results/table_main.csv``, strings.
    cells : pandas.DataFrame, optional
        ``results/audit_cells.csv``: which printed numbers cannot be.

    Returns
    -------
    list of dict
        By data set: ``dataset``; ``generated``, whether its images are; ``columns``, the headings of what tells the rows apart;
        ``metrics``; ``printed`` and ``measured``, whether there is any such number;
        ``rows`` with ``names``, ``cells`` (None where there is no such number), ``run``
        and ``notes``; ``notes`` of all rows, where nothing was measured;
        ``impossible``, whether any cell is marked so.

    """
    found = []
    audited = [] if cells is None else cells.to_dict("records")
    impossible = {_identity(cell, "as_printed") for cell in audited if cell["attainable"] == "no"}
    for dataset, of_data in table.groupby("dataset", sort=False):
        columns = [
            name for name in IDENTITY if name in of_data and (name in ("method", "proj_dim") or of_data[name].nunique() > 1)
        ]
        metrics = [metric for metric in METRICS if (of_data["metric"] == metric).any()]
        rows = []
        for names, of_run in of_data.groupby(columns, sort=False, dropna=False):
            repeats = of_run.groupby("metric").cumcount()  # two rows of one method may both lack a dimension
            for _, of_row in of_run.groupby(repeats):
                by_metric = {
                    cell["metric"]: cell | {"interval": interval(cell), "impossible": _identity(cell, "paper") in impossible}
                    for cell in of_row.to_dict("records")
                }
                notes = list(dict.fromkeys(cell["note"] for cell in by_metric.values() if cell["note"]))
                shown = [by_metric.get(metric) for metric in metrics]
                rows.append({"names": names, "cells": shown, "notes": notes, "run": run_of(notes, dataset)})
        measured = bool((of_data["measured"] != "").any())
        found.append(
            {
                "dataset": dataset,
                "generated": bool(of_data["note"].str.contains("GENERATED").any()),
                "columns": [IDENTITY[name] for name in columns],
                "metrics": [METRICS[metric] for metric in metrics],
                "printed": bool((of_data["paper"] != "").any()),
                "measured": measured,
                "rows": rows,
                "impossible": any(cell and cell["impossible"] for row in rows for cell in row["cells"]),
                "notes": [] if measured else list(dict.fromkeys(note for row in rows for note in row["notes"])),
            }
        )
    return found


def _identity(cell: Mapping[str, str], number: str) -> tuple[str, ...]:
    """Return what tells a printed cell from all others, whatever table it stands in."""
    return tuple(cell[name] for name in ("method", "proj_dim", "dataset", "metric", number))


def run_of(notes: Sequence[str], dataset: str) -> str | None:
    """Return the place, data set and name, of the run that notes name."""
    data = dataset.lower().replace("-", "")
    named = (re.search(r"\brun ([a-z0-9_]+)\b", note) for note in notes)
    return next((f"{data}/{found[1]}" for found in named if found), None)


def ordering_rows(orderings: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the orderings, each with its interval and the settings that it compares."""
    return [
        row
        | {
            "interval": interval(row),
            "settings": "tuned" if row["claim"].endswith(".tuned") else "customary",
        }
        for row in orderings.to_dict("records")
    ]


def ordering_tally(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many orderings of the paper's claims have each verdict, by data set and settings, and those contradicted."""
    printed = [row for row in rows if row["claim"].startswith(("Table", "Figure")) and row["verdict"] != "not run"]
    counted: dict[tuple[str, str], Counter] = {}
    for row in printed:
        counted.setdefault((row["dataset"], row["settings"]), Counter())[row["verdict"]] += 1
    return {"counts": counted, "contradicted": [row for row in printed if row["verdict"] == "contradicted"]}
