"""The few other settings of a run, tried on images that are neither those of the training nor those of the results."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .compute import held_for
from .determinism import compute_deterministically
from .evaluate import evaluate
from .files import exclusive, json_hash, write_json
from .images import load_images
from .jobs import UserError, job_parser, read_resolved, run_job
from .method import new_method
from .pretrain import DivergedError, train
from .progress import Progress
from .settings import checkpoint_path

__all__ = ["choose"]


def choose(scores: dict[str, list[float]]) -> str:
    """
    Return the setting with the best mean score, the first of several.

    Parameters
    ----------
    scores : dict
        By setting, one score per seed; minus infinity where training failed.

    Raises
    ------
    UserError
        If no setting could be trained with every seed.

    Examples
    --------
    >>> choose({"as configured": [80.0, 82.0], "rates x 2": [81.0, 81.0], "rates x 0.5": [70.0, 75.0]})
    'as configured'

    """
    best = max(scores, key=lambda setting: np.mean(scores[setting]))
    if np.isinf(scores[best]).any():
        raise UserError(f"none of these settings could be trained with every seed: {'; '.join(scores)}; choose lower rates")
    return best


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Train and evaluate every setting and write the trials and which is the best."""
    grid = read_resolved(options.grid)
    with held_for(grid["candidates"][0]["training"]["compute"], 1, report) as compute:
        _try_all(grid, compute.device, options, report)


def _try_all(grid: Mapping[str, Any], device: torch.device, options: argparse.Namespace, report: Callable[[str], None]) -> None:
    scores: dict[str, list[float]] = {}
    trials = []
    shared = grid["candidates"][0]["training"]  # in threads and images, as in the device
    compute_deterministically(shared["threads"], device)
    fitted = load_images(options.data, shared["fit_on"]).to(device)
    scored = load_images(options.data, [grid["evaluation"]["score_on"]]).to(device)
    for candidate in grid["candidates"]:  # an option that the method does not know is to stop this now, not after other trials
        new_method(candidate["training"], fitted.channels, fitted.classes, seed=0)
    seeds = range(grid["seeds"])
    for setting, training in ((candidate["setting"], candidate["training"]) for candidate in grid["candidates"]):
        progress = Progress(f"{options.name}, {setting}", training["epochs"], seeds, report)
        for seed in seeds:
            progress.seed(seed)
            checkpoint = checkpoint_path(json_hash(training), seed)
            trial = {"setting": setting, "seed": seed, "config_hash": json_hash(training)}
            try:
                with exclusive(checkpoint.with_suffix(".lock")):
                    method, _, _ = train(fitted, training, seed, checkpoint, progress)
            except DivergedError as error:  # that is what was found of this setting
                report(f"{options.name}, {setting}, seed {seed}: {error}")
                scores.setdefault(setting, []).append(-np.inf)
                trials.append(trial | {"failed": str(error)})
                continue
            _, measured, _ = evaluate(method, fitted, scored, grid["evaluation"], seed)
            scores.setdefault(setting, []).append(measured[grid["metric"]])
            trials.append(trial | {metric: round(value, 6) for metric, value in measured.items()})
    chosen = choose(scores)
    write_json(
        options.out,
        {
            "run": options.name,
            "metric": grid["metric"],
            "chosen": chosen,
            "trials": trials,
            "fit_on": shared["fit_on"],
            "score_on": grid["evaluation"]["score_on"],
            "n_eval": len(scored.source.unique()),  # renders of one source are one cluster
            "data_hash": scored.data_hash,
        },
    )
    report(f"{options.name:32} " + "  ".join(f"{name} {np.mean(score):.2f}" for name, score in scores.items()) + f": {chosen}")


def main() -> None:
    """Run the rule ``tune``."""
    parser = job_parser("Try a run with other settings.")
    parser.add_argument("--grid", required=True, help="the settings to try and how to judge them, as JSON")
    parser.add_argument("--name", required=True, help="dataset/run, for messages")
    parser.add_argument("--data", type=Path, required=True, help="the npz data set")
    parser.add_argument("--out", type=Path, required=True, help="written: the trials and the choice, as JSON")
    run_job(work, parser)
