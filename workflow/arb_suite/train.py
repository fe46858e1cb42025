"""Train the seeds of one run and evaluate them, in one process: importing the libraries takes as long as some epochs."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd

from .checkpoints import save_state
from .compute import held_for
from .determinism import compute_deterministically
from .evaluate import evaluate
from .file_images import FileSet, open_images
from .files import exclusive, json_hash, read_choice, write_csv, write_json, write_npz
from .images import ImageSet
from .jobs import job_parser, read_resolved, run_job
from .method import new_method
from .pretrain import train
from .processes import joined, rank
from .progress import Progress
from .settings import checkpoint_path
from .spectra import spectrum_name

__all__: list[str] = []


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Write the encoders, how they came about, what they measure and the class that they predict of every image."""
    settings, evaluation = _chosen(options), read_resolved(options.evaluation)
    config_hash = json_hash(settings)
    first, last = map(int, options.seeds.split("-"))
    seeds = range(first, last + 1)
    progress = Progress(options.name, settings["epochs"], seeds, report)
    states, records, rows = {}, {}, []
    with held_for(settings["compute"], options.processes, report) as compute:
        device = compute.device
        if options.processes > 1:
            report(f"{options.name:32} starts {options.processes} processes that share every batch")
        with joined(options.processes, device.type, options.log, report):
            compute_deterministically(settings["threads"], device)
            fitted = _images(options, settings, settings["fit_on"]).to(device)
            own = rank()
            for seed in seeds:
                progress.seed(seed)
                checkpoint = checkpoint_path(config_hash, seed)
                # An orphan of a killed run may still be about to end
                with exclusive(checkpoint.with_suffix(".lock")) if own == 0 else nullcontext():
                    _, records[seed], states[seed] = train(fitted, settings, seed, checkpoint, progress)
        if own > 0:
            return
        scored = _images(options, settings, [evaluation["score_on"]]).to(device)
        predictions = {"labels": scored.labels.cpu().numpy(), "source": scored.source.numpy()}
        for seed in seeds:
            method = new_method(settings, fitted.channels, fitted.classes, seed).to(device)
            for epoch, state in states[seed].items():
                method.load_state_dict(state)
                predicted, measured, spectrum = evaluate(method, fitted, scored, evaluation, seed)
                rows += [(seed, epoch, metric, value) for metric, value in measured.items()]
                if spectrum is not None:
                    predictions[spectrum_name(seed, epoch)] = spectrum
            predictions |= {f"{metric}_seed{seed}": classes for metric, classes in predicted.items()}  # of the last epoch
    metrics = pd.DataFrame(rows, columns=["seed", "epoch", "metric", "value"]).round({"value": 6})
    metrics["config_hash"], metrics["data_hash"] = config_hash[:16], fitted.data_hash[:16]
    save_state(options.encoders, states)
    write_json(options.training, {"run": options.name, "config_hash": config_hash, "settings": settings, "seeds": records})
    write_npz(options.predictions, **predictions)
    write_csv(options.metrics, metrics)
    means = metrics[metrics["epoch"] == settings["epochs"]].groupby("metric", sort=False)["value"].mean()
    report(f"{options.name:32} " + "  ".join(f"{name} {value:.1f}" for name, value in means.items()))


def _images(options: argparse.Namespace, settings: Mapping[str, Any], splits: Sequence[str]) -> ImageSet | FileSet:
    files = {name: settings["data"][name] for name in ("longest", "decoder") if name in settings["data"]}
    return open_images(options.data, settings["dataset"], splits, options.root, settings["threads"], **files)


def _chosen(options: argparse.Namespace) -> Mapping[str, Any]:
    """Return the training settings; of several, those that were chosen."""
    settings = read_resolved(options.settings)
    for choice in options.choice:
        settings = settings[read_choice(choice)["chosen"]]
    return settings


def main() -> None:
    """Run the rule ``train``."""
    parser = job_parser("Train the seeds of one run and evaluate them.")
    parser.add_argument("--settings", required=True, help="the training settings, or several by what is changed, as JSON")
    parser.add_argument("--choice", type=Path, nargs="*", default=[], help="the file that says which of several was chosen")
    parser.add_argument("--evaluation", required=True, help="the evaluation settings, as JSON")
    parser.add_argument("--name", required=True, help="dataset/run, for messages")
    parser.add_argument("--seeds", required=True, help="first-last")
    parser.add_argument("--processes", type=int, default=1, help="that share every batch, on a GPU each where there are GPUs")
    parser.add_argument("--data", type=Path, required=True, help="the npz data set")
    parser.add_argument("--root", type=Path, help="the folder of the paper's data sets, for files that --data lists")
    parser.add_argument("--encoders", type=Path, required=True, help="written: the trained parameters per seed")
    parser.add_argument("--training", type=Path, required=True, help="written: settings, losses and provenance, as JSON")
    parser.add_argument("--metrics", type=Path, required=True, help="written: one row per seed, epoch and metric")
    parser.add_argument("--predictions", type=Path, required=True, help="written: the predicted class of every image")
    run_job(work, parser)
