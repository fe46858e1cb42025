"""The main table for people: as a web page and for the terminal. Only the tables go in; nothing is computed here."""

import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from rich.box import SIMPLE
from rich.console import Console, JustifyMethod
from rich.table import Table

from .settings import DATASETS

__all__ = ["interval", "render_html", "render_orderings", "render_summary", "render_text", "render_tuned"]

Column = tuple[str, JustifyMethod]
TEMPLATES = Path("workflow/report")
TEXT_WIDTH, SUMMARY_WIDTH, ORDERINGS_WIDTH = 110, 160, 200
SETTINGS = ("customary", "tuned")
VERDICTS = ("supported", "contradicted", "inconclusive", "not run")
# What a table or figure says, in the order of its orderings
MESSAGES = {
    "Table1": "P1, P2: ARB above every other symmetric row",
    "Table1_asymmetric": "P15, bold: BYOL above every other asymmetric row",
    "Table2": "P12: ARB above Barlow Twins at every d and length",
    "Table3": "P3, P16: with the base, no collapse; linear at least kNN",
    "Table4": "P9: ARB above each of its variants",
    "Table5": "P10: feature level above instance level",
    "Figure3": "P21: Z varies more with ARB than with direct alignment",
    "Figure4": "P4: ARB above Barlow Twins at every d",
    "Figure5": "P5: ARB above Barlow Twins, SimCLR at every batch size",
    "Figure6": "P6, P7: 8 groups above 1; the shuffle helps",
    "Figure7": "P8: ARB after 30% of its epochs above the two others",
    "release": "ours: the paper's formula above the release's, R2 to R5",
    "reference": "ours: supervised above ARB, trained above random",
}


def render_html(table: pd.DataFrame, orderings: pd.DataFrame) -> str:
    """Return a self-contained page of the main table and the orderings."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("table_main.html.j2").render(
        measured=_measured(table),
        orderings=_orderings(orderings),
        datasets=list(dict.fromkeys(_printed(table)["dataset"])),
        printed=_table1(table),
        commands=list(dict.fromkeys(table.loc[table["verdict"] == "not run", "note"])),
    )


def render_text(table: pd.DataFrame, orderings: pd.DataFrame) -> str:
    """Return the measured part of the table and the orderings as plain text."""
    console = _console(TEXT_WIDTH)
    for block in _measured(table):
        shown = Table(title=f"Measured on {block['on']}: accuracy in % [95% t interval over seeds]", box=SIMPLE)
        linear_top1: list[Column] = [("linear top-1", "right")]
        if block["beside_paper"]:
            linear_top1 = [("paper", "right"), *linear_top1, ("verdict", "left")]
        numbers: list[Column] = [("kNN, k = 5", "right"), ("effective rank", "right")]
        _add_columns(shown, [("method", "left"), ("d", "right"), *linear_top1, *numbers])
        for row in block["rows"]:
            linear, knn = (f"{row[key]} {row[key + '_interval']}".strip() for key in ("linear", "knn"))
            beside = (row["paper"], linear, row["verdict"]) if block["beside_paper"] else (linear,)
            shown.add_row(row["method"], row["proj_dim"], *beside, knn, row["effective_rank"])
        console.print(shown)
    decided = _orderings(orderings)
    for block in decided:
        title = f"Which is better on {block['on']}: left minus right in points [95% t interval]"
        shown = Table(title=title, box=SIMPLE)
        _add_columns(
            shown, [("left", "left"), ("right", "left"), ("paper", "right"), ("measured", "right"), ("verdict", "left")]
        )
        for row in block["rows"]:
            difference = f"{row['measured_difference']} {row['interval']}".strip()
            shown.add_row(row["left"], row["right"], row["paper_difference"], difference, row["verdict"])
        console.print(shown)
    if decided:
        console.print("paper: on the cells that the note in orderings_main.csv names, with their dimensions.")
        console.print("measured: mean difference, paired over seeds.")
        console.print("verdict: from p values adjusted by Holm's procedure over the orderings of one table of the paper;")
        console.print("an interval without 0 can be inconclusive.")
    printed = _printed(table)
    verdicts = printed["verdict"].value_counts()
    if generated := verdicts.get("not comparable", 0):
        console.print(
            f"{generated} of the {len(printed)} printed cells of Table 1 stand beside GENERATED images, not the paper's."
        )
    console.print(
        f"{verdicts.get('not run', 0)} of the {len(printed)} printed cells of Table 1 were not run; their rows say how."
    )
    return _text(console)


def render_tuned(table: pd.DataFrame, trials: pd.DataFrame) -> str:
    """Return the table of tuned settings as plain text, the best tuned first."""
    console = _console(TEXT_WIDTH)
    shown = Table(
        title="Customary settings and those chosen on the validation split: linear top-1 [95% t interval] and kNN, in %",
        box=SIMPLE,
    )
    numbers: list[Column] = [("d", "right"), ("customary", "right"), ("tuned", "right"), ("kNN", "right"), ("tuned", "right")]
    _add_columns(shown, [("method", "left"), *numbers, ("chosen", "left")], no_wrap=True)
    chosen = trials[trials["chosen"] == "yes"].drop_duplicates("run")
    settings: dict[Any, str] = {
        (row["method"], str(row["proj_dim"] or "")): row["setting"] for row in chosen.to_dict("records")
    }
    rows = []
    for identity, cells in table.groupby(["method", "proj_dim"], sort=False):
        by_setting = {(cell["metric"], cell["setting"]): cell for cell in cells.to_dict("records", into=dict)}
        linear, knn = ([by_setting[metric, setting] for setting in SETTINGS] for metric in ("linear_top1", "knn5_top1"))
        written = [f"{cell['measured']} {interval(cell)}".strip() or "not run" for cell in linear]
        best = float(linear[1]["measured"] or 0)
        rows.append((best, [*identity, *written, *(cell["measured"] for cell in knn), settings.get(identity, "")]))
    for _, row in sorted(rows, key=lambda entry: -entry[0]):
        shown.add_row(*row)
    console.print(shown)
    return _text(console)


def render_summary(orderings: pd.DataFrame) -> str:
    """Return how many of the orderings of each table and figure were supported, at which settings, as plain text."""
    console = _console(SUMMARY_WIDTH)
    counted = Table(title="How many of the orderings that a table or figure claims are found on the bundled data", box=SIMPLE)
    for heading in ("in", "what it says", "data", "settings"):
        counted.add_column(heading, no_wrap=True)
    for heading in VERDICTS:
        counted.add_column(heading, justify="right")
    family = orderings["claim"].str.split(".").str[0]
    settings = orderings["claim"].str.endswith(".tuned").map({False: SETTINGS[0], True: SETTINGS[1]})
    for dataset, of_data in orderings.groupby("dataset", sort=False):
        for (name, setting), rows in of_data.groupby([family, settings], sort=False):
            counts = [(rows["verdict"] == verdict).sum() for verdict in VERDICTS]
            place = str(name).replace("Table", "Table ").replace("Figure", "Fig. ").replace("_", ", ")
            identity = (place, MESSAGES.get(str(name), ""), str(dataset), str(setting))
            counted.add_row(*identity, *(str(count or "") for count in counts))
    console.print(counted)
    return _text(console)


def render_orderings(orderings: pd.DataFrame) -> str:
    """Return all orderings as plain text, with their summary above."""
    console = _console(ORDERINGS_WIDTH)
    decided = Table(
        title="Left minus right in percentage points, Fig. 3 in units of Z [95% t interval, paired over seeds]; the paper's",
        box=SIMPLE,
    )
    texts: list[Column] = [("claim", "left"), ("data", "left"), ("left", "left"), ("right", "left")]
    _add_columns(decided, [*texts, ("paper", "right"), ("measured", "right"), ("verdict", "left")])
    for row in orderings.to_dict("records", into=dict):
        difference = f"{row['measured_difference']} {interval(row)}".strip()
        decided.add_row(
            row["claim"], row["dataset"], row["left"], row["right"], row["paper_difference"], difference, row["verdict"]
        )
    console.print(decided)
    return render_summary(orderings) + _text(console)


def _add_columns(table: Table, columns: Iterable[Column], no_wrap: bool = False) -> None:
    for heading, side in columns:
        table.add_column(heading, justify=side, no_wrap=no_wrap)


def _console(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, color_system=None)


def _text(console: Console) -> str:
    """Return what was printed, without blanks at the ends of lines."""
    console.file.seek(0)
    return "\n".join(line.rstrip() for line in console.file.read().splitlines()) + "\n"


def _printed(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["paper"] != ""]


def _measured(table: pd.DataFrame) -> list[dict[str, Any]]:
    """
    Return, by data set, one entry per method, best first, those that were not run last.

    Without the data sets of which nothing was measured; of the paper's, also without the methods.
    """
    blocks = []
    for dataset, rows in table.groupby("dataset", sort=False):
        measured = rows[rows["measured"] != ""]
        if measured.empty:
            continue
        on_paper = dataset != "digits"
        on = "the bundled digits"
        if on_paper:
            generated = measured["note"].str.contains("GENERATED").any()
            on = f"GENERATED images in the format of {dataset}" if generated else str(dataset)
        methods = _by_method(measured if on_paper else rows)
        blocks.append({"on": on, "beside_paper": on_paper, "rows": sorted(methods, key=lambda row: -float(row["sort"] or 0))})
    return blocks


def _by_method(rows: pd.DataFrame) -> list[dict[str, Any]]:
    entries: dict[Any, dict[str, Any]] = {}
    counts: dict[Any, int] = {}
    shown = ("paper", "verdict", "linear", "linear_interval", "knn", "knn_interval", "sort", "effective_rank")
    for row in rows[rows["metric"] != "linear_top5"].to_dict("records", into=dict):
        identity = (row["method"], row["proj_dim"], row["metric"])
        counts[identity] = counts.get(identity, 0) + 1  # two rows of one method may both lack a dimension
        key = (row["method"], row["proj_dim"], counts[identity])
        entry = entries.setdefault(
            key, dict.fromkeys(shown, "") | {name: row[name] for name in ("method", "proj_dim", "n_seeds")}
        )
        name = row["metric"].split("_")[0].removesuffix("5")
        entry |= {name: row["measured"] or "not run", f"{name}_interval": interval(row)}
        if name == "linear":
            entry |= {"sort": row["measured"], "paper": row["paper"], "verdict": row["verdict"] if row["paper"] else ""}
        if rank := re.search(r"effective rank of the embeddings ([\d.]+)", row["note"]):
            entry["effective_rank"] = rank[1]
    return list(entries.values())


def _orderings(orderings: pd.DataFrame) -> list[dict[str, Any]]:
    """Return, by data set of which anything was compared, the orderings."""
    blocks = []
    for dataset, rows in orderings.groupby("dataset", sort=False):
        if (rows["verdict"] == "not run").all():
            continue
        on = "the bundled digits" if dataset == "digits" else DATASETS[str(dataset)]
        blocks.append({"on": on, "rows": [row | {"interval": interval(row)} for row in rows.to_dict("records", into=dict)]})
    return blocks


def _table1(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for (method, proj_dim), cells in _printed(table).groupby(["method", "proj_dim"], sort=False):
        records = [cell | {"interval": interval(cell)} for cell in cells.to_dict("records", into=dict)]
        rows.append({"method": method, "proj_dim": proj_dim, "cells": records})
    return rows


def interval(row: Mapping[str, Any]) -> str:
    """Return the interval of a row, if it has one."""
    return f"[{row['ci_low']}, {row['ci_high']}]" if row["ci_low"] else ""
