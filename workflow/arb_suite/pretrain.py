"""The training loop: it draws views, asks a method for its loss and steps the optimiser, and knows no method by name."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arb_core.distributed import gather_rows
from lightly.utils.scheduler import CosineWarmupScheduler

from .checkpoints import load_state, save_state
from .code_version import commit
from .compute import compute_on
from .encoders import set_precision
from .file_images import FileSet
from .files import json_hash
from .global_batch_norm import globalise_batch_norm
from .images import ImageSet
from .jobs import UserError, asked_to_end
from .memory import out_of_memory
from .method import BaseMethod, JointEmbedding, new_method
from .optimizers import build_optimizer
from .processes import anywhere, average_gradients, barrier, rank, share, world_size
from .progress import Progress
from .seeds import stream_seed
from .trace import trace
from .views import draw_view

__all__ = ["DivergedError", "snapshot_epochs", "train", "train_epoch"]

PACKAGES = ("arb-audit-suite", "lightly", "numpy", "scikit-learn", "torch", "torchvision")  # whose versions are recorded
SAVE_SECONDS = 10  # at least, between two savings of the state
SAVE_SHARE = 0.02  # of the time, at most, goes into them
LOOK_EVERY = 20  # steps on a GPU; a cluster that takes its machine back waits for half a minute


class DivergedError(UserError):
    """Training that cannot go on: its loss is not finite, or cannot be computed of such embeddings."""


def snapshot_epochs(epochs: int, count: int) -> list[int]:
    """Return the epochs after which the state is kept: the last, and `count` equidistant ones before it."""
    return sorted({epochs} | {round(i * epochs / count) for i in range(count)})


def train(
    data: ImageSet | FileSet, settings: Mapping[str, Any], seed: int, checkpoint: Path, progress: Progress
) -> tuple[BaseMethod, dict[str, Any], dict[int, dict[str, torch.Tensor]]]:
    """
    Train one method with one seed, or take up its training where a checkpoint left it.

    Several processes share every batch and compute what one would, but for rounding;
    rank 0 alone writes.

    Parameters
    ----------
    data : ImageSet or FileSet
        The images to train on; labels reach only the methods that use them.
    settings : mapping
        The training settings of a run.
    seed : int
        Settles the initial parameters, the order of the images and the views: with
        one seed all methods see the same images in the same order, and for views of
        the same settings, the same views.
    checkpoint : Path
        The state is kept here, also when training is complete.
    progress : Progress
        Told of every epoch.

    Returns
    -------
    BaseMethod
        With trained parameters.
    dict
        ``losses``, the mean loss of each epoch; ``trace``, if the settings ask for
        it, what `trace.trace` says of each step; ``wall_seconds``, over all
        interrupted attempts; ``began`` and ``ended``, in UTC; ``computed_on``, the devices, precisions and numbers of
        processes of these;
        the hash of the data, and with what the training began: platform, versions.
    dict
        The parameters after each of the `snapshot_epochs`.

    Raises
    ------
    UserError
        If there are fewer images than a batch, or the loss is not finite.
    KeyboardInterrupt
        After SIGTERM, when the state has been saved.

    """
    n, batch_size = len(data), settings["batch_size"]
    if batch_size > n:
        raise UserError(f"batch_size {batch_size} is larger than the {n} training images; choose less")
    compute = compute_on(settings["compute"])
    method = new_method(settings, data.channels, data.classes, seed).to(compute.device)
    if settings["trace"] and not isinstance(method, JointEmbedding):
        raise UserError(f"method {settings['method']} has no two embeddings to trace; leave trace out")
    set_precision(method, compute.precision)
    if world_size() > 1:
        globalise_batch_norm(method)  # in place
    optimizer, schedule = build_optimizer(method, settings, n // batch_size)
    # What a method draws comes from a stream of its own, so that it does not touch order and views; and each view from one of
    # its own, so that more views do not change the first. All of them are on CPU, so that a GPU sees the same views.
    purposes = [("order", 0), ("method", 0), *(("view", i) for i in range(len(settings["views"])))]
    streams = {f"{name}{i}": torch.Generator().manual_seed(stream_seed(seed, name, i)) for name, i in purposes}
    record: dict[str, Any] = {
        "losses": [],
        "wall_seconds": 0.0,
        "began": _now(),
        "ended": _now(),
        "data_hash": data.data_hash,
        "computed_on": [],
        **_provenance(),
    }
    if settings["trace"]:
        record["trace"] = []
    kept = snapshot_epochs(settings["epochs"], settings["snapshots"])
    snapshots: dict[int, dict[str, torch.Tensor]] = {}
    begun: list[float] = []  # losses of an epoch that is not complete

    config_hash = json_hash(dict(settings))
    state = _resumable(checkpoint, config_hash, data.data_hash, progress) if rank() == 0 else None
    barrier()  # what is damaged has been moved away when the others look
    if rank() > 0:
        state = _resumable(checkpoint, config_hash, data.data_hash, progress)
    if state is not None:
        method.load_state_dict(state["method"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        for name, stream in streams.items():
            stream.set_state(state["streams"][name])
        record, snapshots, begun = state["record"], state["snapshots"], state["begun"]
        progress.found(len(record["losses"]))
    unfinished = len(record["losses"]) < settings["epochs"] or not record["computed_on"]
    where = compute.name + (f", {world_size()} processes" if world_size() > 1 else "")
    if unfinished and where not in record["computed_on"]:
        record["computed_on"].append(where)

    def keep(epoch: int) -> None:
        if epoch in kept:
            snapshots[epoch] = {name: value.detach().to("cpu", copy=True) for name, value in method.state_dict().items()}

    def save(order: torch.Tensor, losses: Sequence[float] = ()) -> None:
        """Write everything; `order` is the state of the stream from which the order of the epoch begun is drawn again."""
        if rank() > 0:
            return
        save_state(
            checkpoint,
            {
                "config_hash": config_hash,
                "method": method.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "streams": {name: stream.get_state() for name, stream in streams.items()} | {"order0": order},
                "record": record,
                "snapshots": snapshots,
                "begun": list(losses),
            },
        )

    if not record["losses"] and not begun:
        keep(0)
    method.train()
    look_every = 1 if compute.device.type == "cpu" else LOOK_EVERY
    saving = _Saving()
    with asked_to_end() as ending:
        for epoch in range(len(record["losses"]), settings["epochs"]):
            order = streams["order0"].get_state()

            def after_step(losses: Sequence[float], order: torch.Tensor = order) -> None:
                if anywhere(ending() or saving.due()):
                    record["wall_seconds"] += saving.lap()
                    saving.do(save, order, losses)
                if anywhere(ending()):
                    raise KeyboardInterrupt

            traced = record.get("trace")
            loss = train_epoch(
                method, optimizer, schedule, data, settings, epoch, streams, traced, begun, after_step, look_every
            )
            begun = []
            keep(epoch + 1)
            record["losses"].append(loss)
            record["ended"] = _now()
            record["wall_seconds"] += saving.lap()
            if anywhere(epoch + 1 == settings["epochs"] or saving.due() or ending()):
                saving.do(save, streams["order0"].get_state())
            progress.epoch(epoch + 1, loss)
            if anywhere(ending()):
                raise KeyboardInterrupt
    return method.eval(), record, snapshots


class _Saving:
    """When the state was saved, and how long that took."""

    def __init__(self) -> None:
        self.last = self.marked = time.monotonic()
        self.took = 0.0

    def due(self) -> bool:
        return time.monotonic() - self.last > max(SAVE_SECONDS, self.took / SAVE_SHARE)

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        before, self.marked = self.marked, time.monotonic()
        return self.marked - before

    def do(self, save: Callable[..., None], *arguments: Any) -> None:
        started = time.monotonic()
        save(*arguments)
        self.last = time.monotonic()
        self.took = self.last - started


def train_epoch(
    method: BaseMethod,
    optimizer: torch.optim.Optimizer,
    schedule: CosineWarmupScheduler,
    data: ImageSet | FileSet,
    settings: Mapping[str, Any],
    epoch: int,
    streams: Mapping[str, torch.Generator],
    traced: list[dict[str, float]] | None = None,
    begun: Sequence[float] = (),
    after_step: Callable[[Sequence[float]], None] = lambda losses: None,
    look_every: int = 1,
) -> float:
    """
    Run one pass over the images, the last incomplete batch left out, and return the mean loss.

    `traced` gets what is recorded of its steps, `begun` has the losses of those that were made before, and `after_step`
    is called with the losses so far, every `look_every` steps: to look at a loss, a GPU has to be waited for.
    """
    batch_size = settings["batch_size"]
    order = torch.randperm(len(data), generator=streams["order0"])
    steps = len(order) // batch_size
    losses, unseen = list(begun), []
    to_come = order[: steps * batch_size].view(steps, batch_size)[len(begun) :]
    for step, batch in enumerate(data.batches(map(share, to_come)), len(begun)):
        views = [draw_view(batch, view, streams[f"view{i}"]) for i, view in enumerate(settings["views"])]
        method.begin_step(epoch * steps + step, settings["epochs"] * steps)
        fits = True
        try:
            loss = method.loss(views, batch.labels, streams["method0"])
        except torch.OutOfMemoryError:
            fits = False  # until this clause has ended, the error holds all that the step has put into memory
        except (ValueError, torch.linalg.LinAlgError) as error:  # of a loss that checks its input or decomposes it
            where = f"epoch {epoch + 1}, step {step + 1}"
            raise DivergedError(f"{where}: {error}; if the training diverged, choose a smaller learning_rate") from error
        if not fits:
            raise out_of_memory(method, views, batch.labels, streams["method0"])
        if not (isinstance(loss, torch.Tensor) and loss.shape == () and loss.requires_grad):
            raise UserError(f"method {settings['method']}: loss must return a scalar tensor with a gradient, not {loss!r:.100}")
        if traced is not None and isinstance(method, JointEmbedding):  # which `train` sees to
            traced.append({**trace(*map(gather_rows, method.seen)), "loss": loss.item()})
        loss = loss / settings["loss_divisor"]
        unseen.append(loss.detach())
        looks = (step + 1) % look_every == 0 or step + 1 == steps
        if looks:
            losses += _finite(unseen, epoch, len(losses))
            unseen = []
        optimizer.zero_grad(set_to_none=True)
        try:
            loss.backward()
            average_gradients(method.parameters())
            optimizer.step()
        except torch.OutOfMemoryError:
            fits = False
        if not fits:
            del loss
            raise out_of_memory(method, views, batch.labels, streams["method0"])
        schedule.step()
        if looks and step + 1 < steps:
            after_step(losses)
    return float(np.mean(losses))


def _finite(unseen: Sequence[torch.Tensor], epoch: int, step: int) -> list[float]:
    """Return the losses of some steps of an epoch, from `step` on, as numbers."""
    losses = torch.stack(list(unseen)).tolist()
    for i, loss in enumerate(losses, step + 1):
        if not np.isfinite(loss):
            raise DivergedError(
                f"the loss is {loss} in epoch {epoch + 1}, step {i};"
                " choose a smaller learning_rate, or look at what the method makes of its input"
            )
    return losses


def _resumable(checkpoint: Path, config_hash: str, data_hash: str, progress: Progress) -> dict[str, Any] | None:
    if not checkpoint.exists():
        return None
    try:
        state = load_state(checkpoint)
    except ValueError as error:
        _set_aside(checkpoint, "damaged", str(error), progress)
        return None
    if not isinstance(state, dict) or state.get("config_hash") != config_hash:
        _set_aside(checkpoint, "other_settings", f"{checkpoint} was trained with other settings", progress)
        return None
    if state["record"]["data_hash"] != data_hash:
        _set_aside(checkpoint, "other_data", f"{checkpoint} was trained on other data", progress)
        return None
    return state


def _set_aside(checkpoint: Path, suffix: str, reason: str, progress: Progress) -> None:
    aside = checkpoint.with_suffix(f".{suffix}")
    checkpoint.replace(aside)
    progress.say(f"{reason}; moved to {aside}, training from the start")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _provenance() -> dict[str, Any]:
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES},
    }
