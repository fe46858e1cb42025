"""How far a training in float32 drifts from the same in float64, and whether it is the loss that makes the difference."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from arb_core import standard_scale
from torch import Tensor

from .determinism import compute_deterministically
from .evaluate import effective_rank, features, outputs
from .file_images import open_images
from .files import write_csv
from .images import ImageSet
from .jobs import UserError, job_parser, read_resolved, run_job
from .method import JointEmbedding, new_method
from .optimizers import build_optimizer
from .pretrain import train_epoch
from .seeds import stream_seed

__all__ = ["ARMS", "COLUMNS", "Arm", "drift"]

COLUMNS = ["run", "seed", "arm", "epoch", "loss", "loss_off", "parameters_off", "embeddings_off", "effective_rank"]


class Arm(NamedTuple):
    """
    One way to compute a training.

    Attributes
    ----------
    network, loss : torch.dtype
        In which these are computed.
    nudged : bool
        Whether the first weight begins one unit in the last place of float32 higher.

    """

    network: torch.dtype
    loss: torch.dtype
    nudged: bool = False


# The first is what the others are compared with
ARMS = {
    "float64": Arm(torch.float64, torch.float64),
    "float32": Arm(torch.float32, torch.float32),
    "float32, loss in float64": Arm(torch.float32, torch.float64),
    "float32, one weight nudged": Arm(torch.float32, torch.float32, nudged=True),
    "float64, one weight nudged": Arm(torch.float64, torch.float64, nudged=True),
}


class _State(NamedTuple):
    """What one epoch left: its mean loss, the parameters, and the scaled embeddings of the images looked at."""

    loss: float
    parameters: Tensor
    embeddings: Tensor


def drift(data: ImageSet, scored: ImageSet, settings: Mapping[str, Any], seed: int, epochs: int) -> Iterator[dict[str, Any]]:
    """
    Train a method in every one of `ARMS`, from the same parameters, on the same views in the same order.

    Parameters
    ----------
    data : ImageSet
        To train on.
    scored : ImageSet
        Whose embeddings are compared.
    settings : mapping
        The training settings of a run of a `JointEmbedding`.
    seed : int
        As in `pretrain.train`.
    epochs : int
        How many are made, of a schedule as long as the settings say.

    Yields
    ------
    dict
        Per arm and epoch, 0 for before training: ``loss``, the mean of the epoch (none for
        epoch 0); ``loss_off``, relative to that in float64; ``parameters_off`` and
        ``embeddings_off``, the distance of the parameters (of the embeddings of `scored`,
        scaled by Eq. 7) from those in float64, in the Frobenius norm, over the norm of the
        latter; ``effective_rank`` of these embeddings.

    """
    reference: list[_State] = []
    for name, arm in ARMS.items():
        for epoch, state in enumerate(_trained(data, scored, settings, seed, epochs, arm)):
            if name == next(iter(ARMS)):
                reference.append(state)
            exact = reference[epoch]
            yield {
                "arm": name,
                "epoch": epoch,
                "loss": f"{state.loss:.9g}" if epoch else "",
                "loss_off": f"{abs(state.loss / exact.loss - 1):.1e}" if epoch else "",
                "parameters_off": f"{_off(state.parameters, exact.parameters):.1e}",
                "embeddings_off": f"{_off(state.embeddings, exact.embeddings):.1e}",
                "effective_rank": f"{effective_rank(state.embeddings):.4f}",
            }


def _off(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def _trained(
    data: ImageSet, scored: ImageSet, settings: Mapping[str, Any], seed: int, epochs: int, arm: Arm
) -> Iterator[_State]:
    method = new_method(settings, data.channels, data.classes, seed)
    assert isinstance(method, JointEmbedding)
    if arm.nudged:
        with torch.no_grad():
            weights = next(method.parameters())
            first = weights[(0,) * weights.ndim]
            first.copy_(torch.nextafter(first, torch.full_like(first, np.inf)))
    method.to(arm.network)
    method.encoder.register_forward_pre_hook(lambda module, views: (views[0].to(arm.network),))
    method.criterion.register_forward_pre_hook(lambda module, pair: tuple(z.to(arm.loss) for z in pair))
    optimizer, schedule = build_optimizer(method, settings, len(data) // settings["batch_size"])
    purposes = [("order", 0), ("method", 0), *(("view", i) for i in range(len(settings["views"])))]
    streams = {f"{name}{i}": torch.Generator().manual_seed(stream_seed(seed, name, i)) for name, i in purposes}
    yield _State(np.nan, *_looked_at(method, scored))
    for epoch in range(epochs):
        method.train()
        loss = train_epoch(method, optimizer, schedule, data, settings, epoch, streams)
        yield _State(loss, *_looked_at(method, scored))


def _looked_at(method: JointEmbedding, scored: ImageSet) -> tuple[Tensor, Tensor]:
    method.eval()
    assert method.embedder is not None
    embeddings = outputs(method.embedder, features(method.encoder, scored, None)).double()
    parameters = torch.cat([parameter.detach().flatten() for parameter in method.parameters()])
    return parameters.double(), standard_scale(embeddings, eps=1e-6)


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Write the table."""
    plan = read_resolved(options.plan)
    if not plan["runs"]:
        raise UserError("no run on the digits is chosen that is evaluated along its training; choose methods=arb_d256, or all")
    rows = []
    for name, run in plan["runs"].items():
        settings = run["training"]
        compute_deterministically(settings["threads"], torch.device("cpu"))
        data = open_images(options.data, settings["dataset"], settings["fit_on"], None, settings["threads"])
        scored = open_images(options.data, settings["dataset"], [run["score_on"]], None, settings["threads"])
        assert isinstance(data, ImageSet)
        assert isinstance(scored, ImageSet)
        for row in drift(data, scored, settings, 0, min(options.epochs or settings["epochs"], settings["epochs"])):
            rows.append({"run": name, "seed": 0, **row})
            report(f"{name:20} {row['arm']:28} epoch {row['epoch']:3}  embeddings off by {row['embeddings_off']}")
    write_csv(options.out, pd.DataFrame(rows, columns=COLUMNS))


def main() -> None:
    """Run the rule ``drift``."""
    parser = job_parser("Train in float32 and in float64 and compare.")
    parser.add_argument("--plan", required=True, help="the training settings of the runs, as JSON")
    parser.add_argument("--data", type=Path, required=True, help="the npz data set")
    parser.add_argument("--epochs", type=int, help="at most so many")
    parser.add_argument("--out", type=Path, required=True, help="written: one row per run, arm and epoch")
    run_job(work, parser)
