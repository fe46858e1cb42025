"""What `plan` asks of runs: which kinds of steps there are to time, and how many of them each run takes."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .checks import n_images
from .files import json_hash
from .settings import Run

__all__ = ["entries", "workloads"]


def workloads(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """
    Return what has to be timed for some runs.

    Returns
    -------
    dict
        By a key that runs with equally long steps share, ``name``, the first of
        them, and its ``training`` and ``evaluation`` settings.

    """
    kinds: dict[str, dict[str, Any]] = {}
    for run in runs:
        training = {name: value for name, value in run.training.items() if name not in ("code", "packages")}
        evaluation = {name: run.evaluation[name] for name in ("view", "linear", "knn")}
        kinds.setdefault(_key(run), {"name": f"{run.dataset}/{run.name}", "training": training, "evaluation": evaluation})
    return kinds


def entries(
    runs: Sequence[Run], configured: Sequence[Run], config: Mapping[str, Any], targets: Mapping[str, Collection[Run]]
) -> list[dict[str, Any]]:
    """
    Return how much each run trains and evaluates, and each choice among settings.

    Parameters
    ----------
    runs, configured : sequence of Run
        Those to count, and all that there are.
    config : mapping
        The configuration, for the sizes of the splits.
    targets : mapping
        The runs that stand in each table and figure.

    Returns
    -------
    list of dict
        See `plan.costs`.

    """
    counted = [
        {
            **_common(run, [target for target, shown in targets.items() if run in shown]),
            "name": run.name,
            "seeds": len(run.seeds),
            "train_images": n_images(config[run.dataset], run.training["fit_on"]),
            "scored_images": n_images(config[run.dataset], [run.evaluation["score_on"]]),
        }
        for run in runs
    ]
    for dataset, tried in dict.fromkeys((run.dataset, run.chosen_on) for run in runs if run.chosen_on):
        served = [run for run in configured if (run.dataset, run.chosen_on) == (dataset, tried)]
        tuned = next(run for run in served if run.variation_of == tried)
        tuning = config[dataset]["tuning"]
        counted.append(
            {
                **_common(tuned, [name for name, shown in targets.items() if any(run in shown for run in served)]),
                "name": f"{tried}, trials",
                "snapshots": 0,
                "seeds": tuning["seeds"] * len(tuned.candidates),
                "train_images": n_images(config[dataset], tuning["fit_on"]),
                "scored_images": n_images(config[dataset], [tuning["score_on"]]),
            }
        )
    return counted


def _common(run: Run, targets: Sequence[str]) -> dict[str, Any]:
    training = run.training
    return {
        "dataset": run.dataset,
        "targets": list(targets),
        "workload": _key(run),
        "epochs": training["epochs"],
        "batch_size": training["batch_size"],
        "snapshots": training["snapshots"],
        "probe": {name: run.evaluation["linear"][name] for name in ("epochs", "batch_size")},
        "from_files": run.dataset.startswith("imagenet"),
    }


def _key(run: Run) -> str:
    """Return a key of what settles how long a step of a run takes; how strong its views are does not."""
    names = ("encoder", "projector_hidden", "proj_dim", "method", "options", "batch_size", "optimizer", "compute", "threads")
    settled = {name: run.training[name] for name in (*names, "trace")}
    views = [*run.training["views"], run.evaluation["view"] or {}]
    settled["views"] = [{name: view[name] for name in ("kind", "size", "resize") if name in view} for view in views]
    settled["images"] = run.training["data"].get("size")  # of grey images
    settled["evaluation"] = [run.dataset, run.evaluation["linear"]["batch_size"]]
    return json_hash(settled | {"trained": run.training["epochs"] > 0})[:16]
