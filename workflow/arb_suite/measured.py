"""What was measured, read back from the runs of the plan."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .files import read_choice
from .jobs import UserError

__all__ = ["read_metrics", "read_traces", "values_of", "with_choices"]

METRICS = ["seed", "epoch", "metric", "value", "config_hash", "data_hash"]
Run = Mapping[str, Any]  # of the plan, as `workflow.Plan` hands it to the jobs


def with_choices(runs: Sequence[Run]) -> list[Run]:
    """Return the runs, those at a chosen setting with a remark that says which."""
    resolved = []
    for run in runs:
        for path in run["choice"] if run["selected"] else ():
            choice = read_choice(Path(path))
            count = len({trial["setting"] for trial in choice["trials"]})
            own = run["chosen_on"] == run["tuned_of"]
            setting = f"chosen of {count} settings on the {choice['score_on']} split: {choice['chosen']}"
            remark = setting if own else f"as {run['chosen_on']}, whose setting was {setting}"
            run = {**run, "remark": f"{remark}; otherwise as {run['tuned_of']}"}
        resolved.append(run)
    return resolved


def read_metrics(runs: Sequence[Run]) -> pd.DataFrame:
    """Return one row per dataset, run, seed, epoch and metric of the selected runs, with the hashes of settings and images."""
    frames = [pd.DataFrame(columns=["dataset", "run", *METRICS])]
    for run in runs:
        for path in run["metrics"] if run["selected"] else ():
            try:
                frame = pd.read_csv(path)
            except (OSError, ValueError) as error:
                raise UserError(f"{path} cannot be read ({error}); delete its folder and give the command again") from error
            if missing := [name for name in METRICS if name not in frame]:
                raise UserError(f"{path} has no column {', '.join(missing)}; delete its folder and give the command again")
            if not _complete(frame, Path(path).parent.name):
                raise UserError(f"{path} lacks rows or values; delete its folder and give the command again")
            frame.insert(0, "run", run["name"])
            frame.insert(0, "dataset", run["dataset"])
            frames.append(frame)
    return pd.concat(frames[1:] or frames, ignore_index=True)


def _complete(frame: pd.DataFrame, folder: str) -> bool:
    """Tell whether no value is missing, all seeds have the same rows, and they are those that the folder is named after."""
    if frame[METRICS].isna().any(axis=None):
        return False
    rows = {seed: list(zip(each["epoch"], each["metric"], strict=True)) for seed, each in frame.groupby("seed")}
    named = re.fullmatch(r"seeds(\d+)-(\d+)", folder)
    seeds = set(range(int(named[1]), int(named[2]) + 1)) if named else set(rows)
    return set(rows) == seeds and all(each == next(iter(rows.values())) for each in rows.values())


def values_of(metrics: pd.DataFrame, run: Run, metric: str, share: float = 1.0) -> np.ndarray:
    """Return the values of one metric by seed, after a share of the epochs; nothing where it was not measured."""
    of_run = (metrics["dataset"] == run["dataset"]) & (metrics["run"] == run["name"])
    chosen = metrics[of_run & (metrics["metric"] == metric) & (metrics["epoch"] == round(share * run["epochs"]))]
    values: np.ndarray = chosen.sort_values("seed")["value"].to_numpy(float)
    return values


def read_traces(runs: Sequence[Run]) -> dict[tuple[str, str], pd.DataFrame]:
    """Return what `trace.trace` said of the selected runs, by data set and name: one row per seed and iteration."""
    traces = {}
    for run in runs:
        frames = []
        for path in run["trainings"] if run["selected"] and run["trace"] else ():
            for seed, record in json.loads(Path(path).read_text(encoding="utf-8"))["seeds"].items():
                frame = pd.DataFrame(record["trace"])
                frames.append(frame.assign(seed=int(seed), iteration=range(len(frame))))
        if frames:
            traces[run["dataset"], run["name"]] = pd.concat(frames, ignore_index=True)
    return traces
