"""The tables of results as the report shows them: printed and measured side by side, a row per run."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ..page import interval
from .beside import Beside

__all__ = ["METRICS", "blocks", "effective_ranks", "run_of", "side_by_side", "take_remarks"]

METRICS = {
    "linear_top1": "linear top-1",
    "linear_top5": "linear top-5",
    "knn5_top1": "kNN top-1",
    "knn5_top5": "kNN top-5",
    "embedding_std": "standard deviation of the embeddings before Eq. 7",
}
SEVERAL = 3  # rows that share a remark, from which on it is said once
IDENTITY = {"method": "method", "variant": "variant", "setting": "setting", "proj_dim": "d", "pretrain_epochs": "epochs"}


def blocks(
    table: pd.DataFrame,
    cells: pd.DataFrame | None = None,
    ranks: Mapping[str, str] | None = None,
    bold: Iterable[Mapping[str, str]] = (),
    beside: Beside | None = None,
) -> list[dict[str, Any]]:
    """
    Turn a table of one row per number into blocks of one row per run.

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns of ``results/table_main.csv``, strings.
    cells : pandas.DataFrame, optional
        ``results/audit_cells.csv``: which printed numbers cannot be.
    ranks : mapping, optional
        From `effective_ranks`.
    bold : iterable of mapping, optional
        The cells that the paper prints so.
    beside : Beside, optional
        What the paper prints in the place of the runs.

    Returns
    -------
    list of dict
        By data set: ``dataset``; ``epochs``, by number of epochs of pre-training its data
        sets, where no column says so; ``generated``, whether its images are; ``columns``, the
        headings of what tells the rows apart; ``variants``, by variant its methods where
        each method has one, so that it needs no column; ``metrics``, and ``of``, the data
        set of each where a block has several; ``beside``, data set and metric of the
        paper's numbers there are for rows; ``printed`` and ``measured``, whether there is
        any such number; ``ranked``, whether the effective rank is known of each run that
        has a dimension; ``rows`` with ``names``, ``cells`` (None where there is no such
        number), ``beside``, likewise, ``paper_dim``, the dimension of these, ``run``, ``rank``,
        ``notes`` and ``remarks``; ``shared`` and ``remarks``, see `take_remarks`; ``notes`` of
        all rows, where nothing was measured; ``impossible`` and ``bold``, whether any cell is
        marked so.

    """
    found: list[dict[str, Any]] = []
    audited = [] if cells is None else cells.to_dict("records", into=dict)
    impossible = {_identity(cell, "as_printed") for cell in audited if cell["attainable"] == "no"}
    in_bold = {_identity(cell, "as_printed") for cell in bold}

    def marked(cell: Mapping[str, str]) -> dict[str, Any]:
        own = _identity(cell, "paper")
        return {**cell, "impossible": own in impossible, "bold": own in in_bold}

    for dataset, of_data in table.groupby("dataset", sort=False):
        if (of_data["variant"] == "tuned").any():
            of_data = of_data.assign(variant=of_data["variant"].replace("", "customary"))
        variants = _variants(of_data)
        columns = [
            name for name in IDENTITY if name in of_data and _tells(name, of_data[name]) and (name != "variant" or not variants)
        ]
        metrics = [metric for metric in METRICS if (of_data["metric"] == metric).any()]
        epochs = of_data["pretrain_epochs"].unique()
        rows: list[dict[str, Any]] = []
        for names, of_run in of_data.groupby(columns, sort=False, dropna=False):
            repeats = of_run.groupby("metric").cumcount()  # two rows of one method may both lack a dimension
            for _, of_row in of_run.groupby(repeats):
                by_metric = {
                    cell["metric"]: marked(cell) | {"interval": interval(cell)} for cell in of_row.to_dict("records", into=dict)
                }
                notes: list[str] = list(dict.fromkeys(cell["note"] for cell in by_metric.values() if cell["note"]))
                shown = [by_metric.get(metric) for metric in metrics]
                run = run_of(notes, str(dataset))
                row = {"names": names, "cells": shown, "notes": notes, "run": run, "rank": (ranks or {}).get(run or "", "")}
                there = beside.cells.get(run or "", [None] * len(beside.headings)) if beside else []
                marks = [cell and marked({**cell, "paper": cell["as_printed"]}) for cell in there]
                dims = {cell["proj_dim"] for cell in there if cell and cell["proj_dim"]}
                rows.append(row | {"beside": marks, "paper_dim": dims.pop() if len(dims) == 1 else ""})
        measured = bool((of_data["measured"] != "").any())
        with_dimension = [row for row in rows if "proj_dim" in columns and row["names"][columns.index("proj_dim")]]
        ranked = bool(with_dimension) and all(row["rank"] for row in with_dimension)
        found.append(
            {
                "dataset": dataset,
                "epochs": {epochs[0]: [dataset]} if len(epochs) == 1 and epochs[0] else {},
                "generated": bool(of_data["note"].str.contains("GENERATED").any()),
                "columns": [IDENTITY[name] for name in columns],
                "metrics": [METRICS[metric] for metric in metrics],
                "of": [""] * len(metrics),
                "beside": [],
                "printed": bool((of_data["paper"] != "").any()),
                "measured": measured,
                "rows": rows,
                "impossible": any(cell and cell["impossible"] for row in rows for cell in row["cells"] + row["beside"]),
                "bold": any(cell and cell["bold"] for row in rows for cell in row["cells"] + row["beside"]),
                "notes": [] if measured else list(dict.fromkeys(note for row in rows for note in row["notes"])),
                "variants": variants,
                "ranked": ranked,
            }
            | take_remarks([_in_parts(row, ranked) for row in rows] if measured else [])
        )
        if beside and any(any(row["beside"]) for row in rows):
            found[-1]["beside"] = [(data, METRICS[metric]) for data, metric in beside.headings]
    return found


def side_by_side(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make one of `blocks` that follow each other, have the same rows and hold nothing but what is printed."""
    joined: list[dict[str, Any]] = []
    for block in found:
        last = joined[-1] if joined else None
        if last is None or last["measured"] or block["measured"] or _rows_of(last) != _rows_of(block):
            joined.append(block)
            continue
        of = [each or last["dataset"] for each in last["of"]]
        both = last["epochs"] | block["epochs"]
        epochs = {number: last["epochs"].get(number, []) + block["epochs"].get(number, []) for number in both}
        rows = [row | {"cells": [*row["cells"], *more["cells"]]} for row, more in zip(last["rows"], block["rows"], strict=True)]
        joined[-1] = last | {
            "dataset": f"{last['dataset']}, {block['dataset']}",
            "epochs": epochs,
            "metrics": last["metrics"] + block["metrics"],
            "of": of + [block["dataset"]] * len(block["metrics"]),
            "rows": rows,
            "notes": last["notes"] + block["notes"],
            "impossible": last["impossible"] or block["impossible"],
            "bold": last["bold"] or block["bold"],
        }
    return joined


def _rows_of(block: Mapping[str, Any]) -> tuple[Any, ...]:
    return block["columns"], [row["names"] for row in block["rows"]], block["variants"], block["generated"]


def _tells(name: str, values: pd.Series) -> bool:
    """Tell whether a column is shown: that of the method, a dimension where there is any, others where rows differ."""
    return name == "method" or values.nunique() > 1 or (name == "proj_dim" and bool(values.any()))


def _variants(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return, by variant, the methods that have no other, or nothing if any method has several or all have the same one."""
    by_method = table.groupby("method", sort=False)["variant"].unique()
    if (by_method.str.len() > 1).any() or table["variant"].nunique() < 2:
        return {}
    found: dict[str, list[str]] = {}
    for method, (variant,) in by_method.items():
        found.setdefault(variant, []).append(str(method))
    return {variant: methods for variant, methods in found.items() if variant}


def take_remarks(rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """
    Take out of the ``notes`` of rows what several of them share, so that it is said once.

    Parameters
    ----------
    rows : sequence of dict
        Of a table, with ``notes``, which keep what is of the row alone; the numbers of
        the remarks that it shares become ``remarks``.

    Returns
    -------
    dict
        ``shared``, what is said of all rows, and ``remarks``, what is said of several.

    """
    parts = [list(dict.fromkeys(row["notes"])) for row in rows]
    count = Counter(part for of_row in parts for part in of_row)
    shared = [part for part, times in count.items() if times == len(rows) > 1]
    remarks = [part for part, times in count.items() if SEVERAL <= times < len(rows)]
    for row, of_row in zip(rows, parts, strict=True):
        row["notes"] = [part for part in of_row if part not in shared and part not in remarks]
        row["remarks"] = [remarks.index(part) + 1 for part in of_row if part in remarks]
    return {"shared": shared, "remarks": remarks}


def _in_parts(row: dict[str, Any], ranked: bool) -> dict[str, Any]:
    """Split the notes of a row: which run it was is one part, what was averaged another; a rank with its own column is none."""
    parts = (part for note in row["notes"] for part in re.split(r"; (?![^()]*\))|(?<=[\w)]): (?=mean over seeds)", note))
    row["notes"] = [part for part in parts if not (ranked and part.startswith("effective rank"))]
    return row


def effective_ranks(tables: Iterable[pd.DataFrame | None]) -> dict[str, str]:
    """Return, by the place of a run, the effective rank of its embeddings and their dimension, as notes tell them."""
    found = {}
    for table in tables:
        for row in () if table is None else table.to_dict("records"):
            told = re.search(r"effective rank of the embeddings ([\d.]+ of \d+)", row["note"])
            if told and (place := run_of([row["note"]], row["dataset"])):
                found[place] = told[1]
    return found


def _identity(cell: Mapping[str, str], number: str) -> tuple[str, ...]:
    """Return what tells a printed cell from all others, whatever table it stands in."""
    return tuple(cell[name] for name in ("method", "proj_dim", "dataset", "metric", number))


def run_of(notes: Sequence[str], dataset: str) -> str | None:
    """Return the place, data set and name, of the run that notes name."""
    data = dataset.lower().replace("-", "")
    named = (re.search(r"\brun ([a-z0-9_]+)\b", note) for note in notes)
    return next((f"{data}/{found[1]}" for found in named if found), None)
