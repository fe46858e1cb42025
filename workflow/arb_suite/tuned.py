"""Every method at its customary setting and at the best of a few that were tried on the validation split."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .files import atomic_file, read_choice, write_csv
from .jobs import job_parser, run_job
from .measured import read_metrics, with_choices
from .page import render_tuned
from .tables import COLUMNS, EMBEDDED_METRICS, measured_row

__all__ = ["read_trials", "tuned_table"]

TRIALS = ["run", "method", "proj_dim", "setting", "chosen", "seed", "linear_top1", "knn5_top1", "effective_rank_embeddings"]
TRIALS += ["n_eval", "config_hash", "note"]
TARGET = "snakemake --cores all results/table_tuned.csv"


def tuned_table(runs: Sequence[Mapping[str, Any]], metrics: pd.DataFrame) -> pd.DataFrame:
    """
    Set what was measured at tuned settings beside the customary ones.

    Parameters
    ----------
    runs : sequence of mapping
        Of the plan, from `measured.with_choices`: each that has a grid, and the
        same tuned.
    metrics : pandas.DataFrame
        One row per dataset, run, seed, epoch and metric.

    Returns
    -------
    pandas.DataFrame
        The columns of the main table and ``setting``, customary or tuned; all of
        them strings.

    """
    rows = []
    for customary in (run for run in runs if not run["tuned_of"]):
        (tuned,) = (run for run in runs if (run["dataset"], run["tuned_of"]) == (customary["dataset"], customary["name"]))
        identity = {"method": customary["label"], "variant": customary["variant"], "dataset": customary["dataset"]}
        identity |= {"proj_dim": str(customary["proj_dim"] or ""), "pretrain_epochs": ""}
        not_run = f"not run: left out by the choice of datasets or methods; {TARGET}"
        rows += [
            measured_row(identity, run, metric, "", metrics, not_run) | {"setting": setting}
            for metric in EMBEDDED_METRICS
            for setting, run in (("customary", customary), ("tuned", tuned))
        ]
    at = COLUMNS.index("metric") + 1
    return pd.DataFrame(rows, columns=[*COLUMNS[:at], "setting", *COLUMNS[at:]])


def read_trials(runs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per run, setting and seed that was tried; which setting was chosen says yes or no."""
    rows = []
    for run in runs:
        for path in run["choice"] if run["selected"] else ():
            choice = read_choice(Path(path))
            shared = {"run": run["tuned_of"], "method": run["label"], "proj_dim": run["proj_dim"], "n_eval": choice["n_eval"]}
            rows += [
                shared
                | trial
                | {"chosen": "yes" if trial["setting"] == choice["chosen"] else "no"}
                | {"config_hash": trial["config_hash"][:16], "note": trial.get("failed", "")}
                for trial in choice["trials"]
            ]
    return pd.DataFrame(rows, columns=TRIALS)


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Write the table of tuned settings, its rendering and the trials."""
    runs = with_choices(json.loads(options.plan)["runs"])
    table, trials = tuned_table(runs, read_metrics(runs)), read_trials(runs)
    write_csv(options.out / "tuning.csv", trials)
    text = render_tuned(table, trials)
    with atomic_file(options.out / "table_tuned.txt") as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_csv(options.out / "table_tuned.csv", table)
    report("\n" + text)


def main() -> None:
    """Run the rule ``table_tuned``."""
    parser = job_parser("Set tuned settings beside the customary ones.")
    parser.add_argument("--plan", required=True, help="the runs, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the tables")
    run_job(work, parser)
