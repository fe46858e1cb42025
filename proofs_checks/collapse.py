"""Training that starts collapsed: the suite's network, views, losses, optimiser and loop on the bundled digits, in float64.

The output features start equal up to a perturbation: row i of the projector's last layer is w_1 + epsilon (w_i - w_1), with the
w_i as initialised. With epsilon = 0 the features are equal and so are their gradients, whatever the views, so that they stay
equal in exact arithmetic. In floating point they do not: what rounding adds grows like any other perturbation.

``python -m arb_suite collapse --out FILE.csv --log FILE`` writes the effective rank and the loss at every step of the runs
in `RUNS`, in about two minutes on one core. The bytes are the same on one machine; what grows from rounding is not the same on
another.
"""

import argparse
import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from arb_suite.determinism import compute_deterministically
from arb_suite.digits import split_sources
from arb_suite.evaluate import effective_rank
from arb_suite.files import write_csv
from arb_suite.images import ImageSet
from arb_suite.jobs import job_parser, run_job
from arb_suite.method import BaseMethod, new_method

# The suite's own loop and optimiser: what is shown is its training, not one like it.
from arb_suite.optimizers import build_optimizer
from arb_suite.pretrain import train_epoch
from arb_suite.renders import SPLITS, render
from arb_suite.seeds import stream_seed

__all__ = ["RUNS", "Start", "curves", "main", "train_from", "training_images"]

SETTINGS = Path(__file__).parents[1] / "workflow/config/digits.yaml"
CONFIGURED = {"arb": "arb_d32", "direct_alignment": "direct_alignment", "barlow_twins": "barlow_twins_d32"}
DIMENSION = 32  # d, for every method
WATCHED = 256  # images whose embeddings are measured
STEPS = 100  # a quarter of the suite's training
Report = Callable[[str], None]


@dataclass(frozen=True)
class Start:
    """
    What is trained, and from where.

    Attributes
    ----------
    method : {"arb", "direct_alignment", "barlow_twins"}
        Of the suite, with its settings for digits.
    perturbation : float
        The epsilon above: 0 for equal features, 1 for the layer as initialised.
    ridge : float or None
        The lambda of Eq. 9; of ARB only.
    views : {"two", "one"}
        Two random views of each image, or one that is taken twice.

    """

    method: str
    perturbation: float
    ridge: float | None = None
    views: str = "two"


RUNS = (
    *(Start("arb", perturbation, 1e-4) for perturbation in (0.0, 1e-6, 1e-3, 1.0)),
    Start("arb", 1e-6, 1e-2),
    *(Start("arb", perturbation, 1e-4, "one") for perturbation in (0.0, 1e-3)),
    *(Start(method, perturbation) for method in ("direct_alignment", "barlow_twins") for perturbation in (1e-3, 1.0)),
)


@cache
def _configuration() -> dict[str, Any]:
    return yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))["digits"]


@cache
def training_images() -> ImageSet:
    """Render the images that the suite trains on, in memory and in float64."""
    settings = _configuration()
    known = load_digits()
    rng = np.random.default_rng(settings["data"]["seed"])
    split = split_sources(known.target, settings["data"]["sources"], rng)
    fitted = np.flatnonzero(np.isin(split, [SPLITS.index(name) for name in settings["fit_on"]]))
    pixels = (known.images / 16).astype(np.float32)
    # All are rendered, since the random numbers of one depend on how many there are.
    images = np.concatenate([render(pixels, settings["data"], rng)[fitted] for _ in range(settings["data"]["renders"])])
    source = torch.from_numpy(np.tile(fitted, settings["data"]["renders"]))
    labels = torch.from_numpy(known.target.astype(np.int64))[source]
    return ImageSet(torch.from_numpy(images).double().div(255).unsqueeze(1), labels, source, 10, "")


class _Watched(BaseMethod):
    """A method, its losses, and the effective rank of its embeddings of some images before each step."""

    def __init__(self, method: BaseMethod, images: Tensor, loss_divisor: float):
        super().__init__(method.encoder, method.projector)
        self.method = method
        self.images = images
        self.loss_divisor = loss_divisor
        self.ranks: list[float] = []
        self.losses: list[float] = []

    def begin_step(self, step: int, steps: int) -> None:
        self.method.begin_step(step, steps)
        self.measure()

    def loss(self, views: Sequence[Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        loss = self.method.loss(views, labels, generator)
        self.losses.append(loss.item() / self.loss_divisor)
        return loss

    @torch.no_grad()
    def measure(self) -> None:
        """Embed the images, unaugmented, with their own batch statistics; a copy does it, as the running ones would change."""
        self.ranks.append(effective_rank(copy.deepcopy(nn.Sequential(self.encoder, self.projector))(self.images)))


def train_from(start: Start, steps: int = STEPS) -> tuple[list[float], list[float]]:
    """
    Train for some steps of the suite's schedule.

    Parameters
    ----------
    start : Start
        What is trained, and from where.
    steps : int, optional
        How many of the suite's 400 steps; each pass takes up to 20, over so many
        batches of the training images.

    Returns
    -------
    ranks : list of float
        The effective rank of the embeddings of 256 training images before each
        step and after the last: steps + 1 values.
    losses : list of float
        The loss of each step, divided by d: `steps` values.

    """
    configured, data = _configuration(), training_images()
    run = configured["runs"][CONFIGURED[start.method]]
    options = run.get("options", {}) | ({} if start.ridge is None else {"ridge": start.ridge})
    names = {name: configured[name] for name in ("encoder", "projector_hidden")}
    views = [configured["views"][name] for name in configured["default_views"]]
    of_run = {"method": start.method, "options": options, "proj_dim": DIMENSION, "loss_divisor": DIMENSION, "views": views}
    settings = configured["training"] | names | of_run

    method = new_method(settings, data.images.shape[1], data.classes, seed=0).double()
    with torch.no_grad():
        for parameter in method.projector.layers[-1].parameters():
            parameter.copy_(parameter[:1] + start.perturbation * (parameter - parameter[:1]))
    watched = _Watched(method, data.images[:WATCHED], DIMENSION).train()
    each = len(data.images) // settings["batch_size"]
    optimizer, schedule = build_optimizer(method, settings, each)
    purposes = {"order0": ("order", 0), "method0": ("method", 0), "view0": ("view", 0)}
    purposes["view1"] = ("view", 0 if start.views == "one" else 1)
    streams = {name: torch.Generator().manual_seed(stream_seed(0, *purpose)) for name, purpose in purposes.items()}

    with threadpool_limits(1):  # the last bits of a sum depend on the number of threads
        for epoch, first in enumerate(range(0, steps, each)):
            images = settings["batch_size"] * min(each, steps - first)
            part = ImageSet(data.images[:images], data.labels[:images], data.source[:images], data.classes, "")
            train_epoch(watched, optimizer, schedule, part, settings, epoch, streams)
        watched.measure()
    return watched.ranks, watched.losses


def curves(report: Report, runs: Sequence[Start] = RUNS, steps: int = STEPS) -> pd.DataFrame:
    """
    Train from several starts.

    Returns
    -------
    DataFrame
        One row per run and step: method, views, perturbation, ridge, step,
        effective_rank before that step, and its loss, which the last row of a run
        has not; text, with four decimals.

    """
    rows = []
    for start in runs:
        began = time.monotonic()
        ranks, losses = train_from(start, steps)
        what = {
            "method": start.method,
            "views": start.views,
            "perturbation": f"{start.perturbation:g}",
            "ridge": "" if start.ridge is None else f"{start.ridge:g}",
        }
        for step, (rank, loss) in enumerate(zip(ranks, [*(f"{loss:.4f}" for loss in losses), ""], strict=True)):
            rows.append(what | {"step": step, "effective_rank": f"{rank:.4f}", "loss": loss})
        report(f"{what}: {ranks[0]:.2f} to {ranks[-1]:.2f}, {time.monotonic() - began:.0f} s")
    return pd.DataFrame(rows)


def main() -> None:
    """Write the curves."""
    parser = job_parser("Train from collapsed starts and write the effective rank at every step.")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file")
    run_job(_write, parser)


def _write(options: argparse.Namespace, report: Report) -> None:
    compute_deterministically(threads=1)
    write_csv(options.out, curves(report))


if __name__ == "__main__":
    main()
