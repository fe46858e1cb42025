"""Statements that one thing is better than another, decided on what was measured."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .cells import PLACES, SIDES, Cells, Ordering, metric_of, printed_cells, printed_sides, title
from .files import atomic_file, write_csv
from .jobs import job_parser, read_resolved, run_job
from .measured import read_metrics, read_traces, values_of, with_choices
from .page import render_orderings, render_summary
from .settings import DATASETS
from .statistics import Comparison, holm, ordering_verdict, paired_comparison

__all__ = ["orderings", "side_title", "stated"]

COLUMNS = [
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
COMMAND = "snakemake --cores all results/orderings.csv"


def orderings(
    claims: Sequence[Ordering],
    cells: Cells,
    runs: Sequence[Mapping[str, Any]],
    metrics: pd.DataFrame,
    traces: Mapping[tuple[str, str], pd.DataFrame],
) -> pd.DataFrame:
    """
    Decide statements that one run is better than another.

    Parameters
    ----------
    claims : sequence of mapping
        The ``orderings`` of the configuration.
    cells : mapping
        The printed cells of each table and figure that they refer to.
    runs, metrics
        As for `tables.main_table`.
    traces : mapping
        From `measured.read_traces`.

    Returns
    -------
    pandas.DataFrame
        The columns of ``results/orderings.csv``, all of them strings. The
        intervals stand for themselves; the verdicts rest on p values that are
        adjusted by Holm's procedure over the orderings of one table or figure,
        which is what a name has before its dot. Where both runs have been tuned,
        the statement is decided once more for them, in a family of its own.

    """
    rows: list[dict[str, str]] = []
    families: dict[tuple[str, str], list[tuple[dict[str, str], Comparison]]] = {}
    for dataset, claim, sides in stated(claims, cells, runs):
        row = dict.fromkeys(COLUMNS, "") | {
            "claim": claim["name"],
            "dataset": dataset,
            "left": side_title(sides[0], claim, "left"),
            "right": side_title(sides[1], claim, "right"),
            "note": _note(claim, sides, cells),
        }
        if "paper" in claim:
            left, right = (Decimal(cell["as_printed"]) for cell in printed_sides(claim, cells))
            row["paper_difference"] = str(left - right)
        rows.append(row)
        values = [
            _values(metrics, traces, run, metric_of(claim, side), claim.get(f"{side}_share", 1.0)) if run else np.empty(0)
            for side, run in zip(SIDES, sides, strict=True)
        ]
        if all(len(v) for v in values):
            comparison = paired_comparison(*values)
            family = claim["name"].split(".")[0] + (" at tuned settings" if claim["name"].endswith(".tuned") else "")
            families.setdefault((dataset, family), []).append((row, comparison))
        else:
            row |= {"n_seeds": "0", "verdict": "not run", "note": f"{row['note']}one of the two was not run; {COMMAND}"}
    for (_, family), compared in families.items():
        adjusted = holm([comparison.p_value for _, comparison in compared])
        for (row, comparison), p_value in zip(compared, adjusted, strict=True):
            mean, low, high = (f"{value:z.2f}" if value == value else "" for value in comparison.difference)
            of = f"Holm over the {len(compared)} of {family}" if len(compared) > 1 else f"alone in {family}"
            row |= {
                "measured_difference": mean,
                "ci_low": low,
                "ci_high": high,
                "n_seeds": str(comparison.n_seeds),
                "verdict": ordering_verdict(comparison, p_value),
                "note": f"{row['note']}p = {p_value:.2g} (t test paired over seeds; {of})",
            }
    return pd.DataFrame(rows, columns=COLUMNS)


def stated(
    claims: Sequence[Ordering], cells: Cells, runs: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, Ordering, list[Mapping[str, Any] | None]]]:
    """
    Yield the statements to be decided: the data set, the statement with its name, and the two runs that it compares.

    Parameters are as for `orderings`. A run that is not configured is None.
    """
    datasets = list(dict.fromkeys(run["dataset"] for run in runs))
    first = {run["name"]: run for run in runs if run["dataset"] == datasets[0]} if runs else {}
    for dataset in datasets:
        by_name = {run["name"]: run for run in runs if run["dataset"] == dataset}
        tuned = {run["tuned_of"]: run["name"] for run in by_name.values() if run["tuned_of"]}
        again = [
            {**claim, "name": f"{claim['name']}.tuned", "left": tuned[claim["left"]], "right": tuned[claim["right"]]}
            for claim in claims
            if {claim["left"], claim["right"]} <= set(tuned)
        ]
        here = [*claims, *again]
        if dataset != datasets[0] and not next(iter(by_name.values()))["embedded"]:
            here = _on_the_papers_data(claims, first, by_name, cells, dataset)
        for claim in here:
            if dataset == datasets[0] or _is_about(claim, by_name):
                yield dataset, claim, [by_name.get(claim[side]) for side in SIDES]


def _on_the_papers_data(
    claims: Sequence[Ordering],
    first: Mapping[str, Mapping[str, Any]],
    here: Mapping[str, Mapping[str, Any]],
    cells: Cells,
    dataset: str,
) -> list[Ordering]:
    """
    Return the statements on rows of Table 1 for one of the paper's data sets, beside what is printed of that one.

    They name runs of the first data set, which stand for rows; here those rows are measured, where they are asked for.
    Generated images say nothing about the paper.
    """
    rows = {
        (run["label"], run["paper_dim"]): run["name"]
        for run in here.values()
        if run["paper_dim"] and run["selected"] and not run["generated"]
    }
    stated: list[Ordering] = []
    for claim in claims:
        paper = claim.get("paper", {"place": ""})
        of_sides = [first.get(claim[side], {"label": "", "paper_dim": None}) for side in SIDES]
        names = [rows.get((run["label"], run["paper_dim"])) for run in of_sides]
        printed = any(cell["dataset"] == DATASETS[dataset] for cell in cells.get("table1", ()))
        if paper["place"] == "table1" and printed and all(names):
            both = {**paper.get("both", {}), "dataset": DATASETS[dataset]}
            stated.append({**claim, **dict(zip(SIDES, names, strict=True)), "paper": {**paper, "both": both}})
    return stated


def _is_about(claim: Ordering, by_name: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether a further data set, which may have few of the runs and no snapshots, has what a statement compares."""
    names = {claim["left"], claim["right"]}
    return names <= set(by_name) and (
        all(by_name[name]["snapshots"] for name in names) or not {"left_share", "right_share"} & set(claim)
    )


def _values(
    metrics: pd.DataFrame, traces: Mapping[tuple[str, str], pd.DataFrame], run: Mapping[str, Any], metric: str, share: float
) -> np.ndarray:
    trace = traces.get((run["dataset"], run["name"]))
    if trace is not None and metric in trace:  # the last steps of Fig. 3
        last = trace[trace["iteration"] >= 0.9 * (trace["iteration"].max() + 1)]
        values: np.ndarray = last.groupby("seed")[metric].mean().to_numpy()
        return values
    return values_of(metrics, run, metric, share)


def side_title(run: Mapping[str, Any] | None, claim: Ordering, side: str) -> str:
    """Name a run for people, or by its name in the configuration where it is not configured."""
    name: str = claim[side]
    if run is None:
        return name
    name = f"{run['label']} (d = {run['proj_dim']})" if run["proj_dim"] else run["label"]
    what = ["tuned"] if run["tuned_of"] else []
    what += [claim[f"{side}_is"]] if f"{side}_is" in claim else []
    if f"{side}_share" in claim:
        what.append(f"after {100 * claim[f'{side}_share']:.0f}% of the epochs")
    return ", ".join([name, *what])


def _note(claim: Ordering, sides: Sequence[Mapping[str, Any] | None], cells: Cells) -> str:
    parts = [" minus ".join(dict.fromkeys(metric_of(claim, side) for side in SIDES))]
    if "paper" in claim:
        place = claim["paper"]["place"]
        differing = [" ".join(f"{value}" for name, value in claim["paper"][side].items()) for side in SIDES]
        differing = list(dict.fromkeys(differing))
        dataset = printed_sides(claim, cells)[0]["dataset"]
        parts.append(f"paper: {title(place)}, {dataset}, {' minus '.join(differing)}")
    parts += dict.fromkeys(f"{run['label']}: {run['remark']}" for run in sides if run is not None and run["remark"])
    return "; ".join(parts) + "; "


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Decide all orderings."""
    plan = read_resolved(options.plan)
    cells = {place: printed_cells(options.paper, place) for place in PLACES}
    runs = with_choices(plan["runs"])
    decided = orderings(plan["orderings"], cells, runs, read_metrics(runs), read_traces(runs))
    with atomic_file(options.text) as temporary:
        temporary.write_text(render_orderings(decided), encoding="utf-8")
    write_csv(options.out, decided)
    report("\n" + render_summary(decided))


def main() -> None:
    """Run the rule ``orderings``."""
    parser = job_parser("Decide what is better than what.")
    parser.add_argument("--plan", required=True, help="the runs and the orderings to decide, as JSON")
    parser.add_argument("--paper", type=Path, required=True, help="the folder of the printed numbers")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file")
    parser.add_argument("--text", type=Path, required=True, help="the same for the terminal")
    run_job(work, parser)
