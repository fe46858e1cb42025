"""Tables 2 to 5 and Figures 3 to 7: what is printed, what is measured of it, and what the embedded data gives in its place."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from .cells import X, is_named, printed_cells, title
from .files import write_csv
from .jobs import job_parser, run_job
from .measured import read_metrics, read_traces, values_of, with_choices
from .settings import DATASETS
from .statistics import t_interval
from .tables import COLUMNS, EMBEDDED_METRICS, measured_row

__all__ = ["counterpart"]

PANELS = ("embedding_distance", "base_distance", "loss", "embedding_std")
EVERY = 4  # steps of Fig. 3 between two points


def counterpart(
    place: str,
    printed: Sequence[Mapping[str, str]],
    entries: Sequence[Mapping[str, Any]],
    runs: Sequence[Mapping[str, Any]],
    metrics: pd.DataFrame,
    traces: Mapping[tuple[str, str], pd.DataFrame],
) -> pd.DataFrame:
    """
    Set a table or figure beside what was measured in its place.

    Parameters
    ----------
    place : str
        "table2" to "fig7".
    printed : sequence of mapping
        Its cells, from `printed_cells`.
    entries : sequence of mapping
        ``run``, and ``printed``, the columns of the cells that it stands for.
    runs : sequence of mapping
        The plan's runs that stand there; see `tables.main_table`. On the paper's data
        ``cells`` says which numbers one measures.
    metrics : pandas.DataFrame
        One row per run, seed, epoch and metric.
    traces : mapping
        From `measured.read_traces`, with the panels of Fig. 3.

    Returns
    -------
    pandas.DataFrame
        The columns of the main table and the figure's x, all of them strings: first
        the printed numbers, then the embedded data's.

    """
    x = X.get(place)
    columns = COLUMNS if x in (None, "proj_dim") else [*COLUMNS, x]
    short = {long: name for name, long in DATASETS.items()}
    rows = []
    for cell in printed:
        dataset = short[cell["dataset"]]
        not_run = (
            f"not run: needs the {cell['dataset']} images in DIR; with them: snakemake"
            f" --cores all results/{place}.csv --config data_root=DIR datasets={dataset}"
        )
        identity = {name: cell.get(name, "") for name in columns}
        run = _measuring(place, cell, dataset, runs)
        values = np.empty(0) if run is None else _values(place, cell, run, metrics, traces)
        rows.append(identity | measured_row(identity, run, cell["metric"], cell["as_printed"], metrics, not_run, values))
    on_digits = {run["name"]: run for run in runs if run["dataset"] == "digits"}
    for entry in entries:
        run = on_digits[entry["run"]]
        named = entry["printed"]
        stands_for = ", ".join(f"{name} {value}".replace("_", " ") for name, value in named.items() if name != "method")
        variant = "tuned" if run["tuned_of"] else named.get("variant", "")
        identity = {"method": named["method"], "variant": variant, "dataset": "digits"}
        identity |= {"proj_dim": str(run["proj_dim"] or ""), "pretrain_epochs": str(run["epochs"])}
        if x in ("batch_size", "groups"):
            identity[x] = str(run[x])
        remark = f"; {run['remark']}" if run["remark"] else ""
        beside = f"; {title(place)} has it at {stands_for}" if stands_for else ""
        note = f"the paper has no such data: compare the order, not the level; {run['protocol']}{beside}{remark}"
        measured = _points(place, run, metrics, traces)
        for metric, at, by_seed in measured:
            rows.append(identity | ({x: str(at)} if x and at is not None else {}) | _measured(metric, by_seed, run, note))
        if not run["selected"]:
            left_out = "not run: left out by the choice of datasets or methods"
            rows.append(identity | {"metric": EMBEDDED_METRICS[0], "n_seeds": "0", "verdict": "not run", "note": left_out})
    return pd.DataFrame(rows, columns=columns).fillna("")


def _measuring(
    place: str, cell: Mapping[str, str], dataset: str, runs: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """Return the run on the paper's data that measures a printed cell, if there is one; the plan has at most one."""
    of_place = (run for run in runs if run["dataset"] == dataset and place in run["cells"])
    return next((run for run in of_place if is_named(cell, run["cells"][place])), None)


def _values(
    place: str,
    cell: Mapping[str, str],
    run: Mapping[str, Any],
    metrics: pd.DataFrame,
    traces: Mapping[tuple[str, str], pd.DataFrame],
) -> np.ndarray:
    """Return what a run measured of a cell, by seed."""
    if place == "fig3":
        trace = traces.get((run["dataset"], run["name"]))
        return np.empty(0) if trace is None else trace[trace["iteration"] == int(cell["iteration"])][cell["metric"]].to_numpy()
    share = int(cell["epoch"]) / run["epochs"] if place == "fig7" else 1.0
    return values_of(metrics, run, cell["metric"], share)


def _points(
    place: str, run: Mapping[str, Any], metrics: pd.DataFrame, traces: Mapping[tuple[str, str], pd.DataFrame]
) -> Iterator[tuple[str, int | None, Sequence[float]]]:
    """Yield metric, x where it is not one for the whole run, and the values by seed."""
    if place == "fig3":
        if (trace := traces.get((run["dataset"], run["name"]))) is not None:
            for panel in PANELS:
                for iteration, of in trace[trace["iteration"] % EVERY == 0].groupby("iteration"):
                    yield panel, cast(int, iteration), of[panel].to_list()
        return
    own = metrics[(metrics["dataset"] == run["dataset"]) & (metrics["run"] == run["name"])]
    for metric in EMBEDDED_METRICS:
        of_metric = own[own["metric"] == metric]
        epochs = sorted(of_metric["epoch"].unique()) if place == "fig7" else [run["epochs"]]
        for epoch in epochs:
            values = of_metric[of_metric["epoch"] == epoch].sort_values("seed")["value"].to_list()
            if values:
                yield metric, int(epoch) if place == "fig7" else None, values


def _measured(metric: str, values: Sequence[float], run: Mapping[str, Any], note: str) -> dict[str, str]:
    interval = t_interval(values)
    digits = 4 if metric == "embedding_std" else 2
    mean, low, high = (f"{value:.{digits}f}" if value == value else "" for value in interval)  # NaN with one seed
    return {
        "metric": metric,
        "paper": "",
        "measured": mean,
        "ci_low": low,
        "ci_high": high,
        "n_seeds": str(len(values)),
        "n_eval": str(run["n_eval"]) if metric in EMBEDDED_METRICS else "",
        "verdict": "not comparable",
        "note": note,
    }


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Write the counterpart of one table or figure."""
    plan = json.loads(options.plan)
    runs = with_choices(plan["runs"])
    table = counterpart(
        options.place,
        printed_cells(options.paper, options.place),
        plan["entries"],
        runs,
        read_metrics(runs),
        read_traces(runs),
    )
    write_csv(options.out, table)
    measured = (table["measured"] != "").sum()
    report(f"{title(options.place)}: {len(table)} rows, {measured} of them measured, in {options.out}")


def main() -> None:
    """Run the rule ``counterpart``."""
    parser = job_parser("Set measured accuracies beside those of a table or figure.")
    parser.add_argument("--place", required=True, help="table2 to fig7")
    parser.add_argument("--plan", required=True, help="the runs, and which stands where, as JSON")
    parser.add_argument("--paper", type=Path, required=True, help="the folder of the printed numbers")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file")
    run_job(work, parser)
