"""How long a step of each run takes on this machine, and how large its state is, measured on random images."""

import argparse
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .compute import Compute, compute_on
from .determinism import compute_deterministically
from .encoders import set_precision
from .evaluate import features
from .files import write_json
from .gpus import held, visible_gpus
from .images import ImageSet
from .jobs import UserError, job_parser, read_resolved, run_job
from .method import BaseMethod, new_method
from .optimizers import build_optimizer
from .pretrain import DivergedError, train_epoch

__all__ = ["measure"]

MOST_STEPS = 200
PROBE = 32  # images of a step in the place of the whole batch, where that takes too long


def measure(training: Mapping[str, Any], view: Mapping[str, Any] | None, seconds: float, compute: Compute) -> dict[str, Any]:
    """
    Time the training of a run on random images, with the loop that trains it.

    Parameters
    ----------
    training : mapping
        Its training settings.
    view : mapping or None
        Its evaluation's; see `views.evaluation_view`.
    seconds : float
        After so long no further step is begun; there are two at least, of which the
        first is not counted. On CPU, a batch two steps of which would take longer is
        not timed: its step is put at that of `PROBE` images in proportion.
    compute : Compute
        Where and how to compute.

    Returns
    -------
    dict
        ``step_seconds``, the median over ``steps`` of ``timed_batch`` images, in
        proportion to the batch; ``image_seconds``, of the encoder in evaluation;
        ``state_bytes`` and ``snapshot_bytes``; ``memory_bytes``, the most that torch
        held on a GPU, None on CPU. Or ``failed``, why there is none of it: a batch that
        does not fit.

    """
    batch_size = timed_batch = training["batch_size"]
    on_gpu = compute.device.type == "cuda"
    probes = not on_gpu and batch_size > PROBE
    images = _random_images(training, view, PROBE if probes else batch_size).to(compute.device)
    method = new_method(training, images.channels, images.classes, seed=0).to(compute.device)
    set_precision(method, compute.precision)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    took: list[float] = []
    state = {"method": method.state_dict()}
    if training["epochs"]:
        steps = _Steps(method, training)
        try:
            took = _probe(steps, images) if probes else []
            if took and 2 * np.median(took) * batch_size / PROBE > seconds:
                timed_batch = PROBE
            else:
                images = _random_images(training, view, batch_size).to(compute.device) if probes else images
                took = steps.take(images, seconds)
        except UserError as error:
            return {"failed": str(error)}
        state["optimizer"] = steps.optimizer.state_dict()
    features(method.encoder, images, view)
    started = time.perf_counter()
    features(method.encoder, images, view).sum().item()
    forward = time.perf_counter() - started
    return {
        "step_seconds": float(np.median(took)) * batch_size / timed_batch if took else 0.0,
        "steps": len(took),
        "timed_batch": timed_batch,
        "image_seconds": forward / len(images),
        "state_bytes": _bytes_of(state),
        "snapshot_bytes": _bytes_of(method.state_dict()),
        "memory_bytes": torch.cuda.max_memory_allocated() if on_gpu else None,
    }


class _Steps:
    """Training steps of a method, with what they need."""

    def __init__(self, method: BaseMethod, training: Mapping[str, Any]):
        self.settings = {**training, "epochs": MOST_STEPS + 10}
        self.method = method.train()
        self.optimizer, self.schedule = build_optimizer(method, self.settings, 1)
        self.streams = {name: torch.Generator().manual_seed(0) for name in ("order0", "method0")}
        self.streams |= {f"view{i}": torch.Generator().manual_seed(i) for i in range(len(training["views"]))}
        self.taken = 0

    def take(self, images: ImageSet, seconds: float) -> list[float]:
        """Return how long each step on all images took, but for the first; no further one is begun after some seconds."""
        settings = {**self.settings, "batch_size": len(images)}
        took: list[float] = []
        begun = time.monotonic()
        while len(took) < 2 or (time.monotonic() - begun < seconds and len(took) <= MOST_STEPS):
            started = time.perf_counter()
            # an epoch of one step, which ends by reading its loss
            train_epoch(self.method, self.optimizer, self.schedule, images, settings, self.taken, self.streams)
            if images.images.is_cuda:
                torch.cuda.synchronize()
            took.append(time.perf_counter() - started)
            self.taken += 1
        return took[1:]


def _probe(steps: _Steps, images: ImageSet) -> list[float]:
    """Time one step of few images; nothing is returned where the method does not take so few."""
    try:
        return steps.take(images, 0)
    except DivergedError:
        return []


def _random_images(training: Mapping[str, Any], view: Mapping[str, Any] | None, n: int) -> ImageSet:
    stream = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 10
    if view is None:
        size = training["data"]["size"]
        images = torch.rand(n, 1, size, size, generator=stream)
    else:
        # in the place of files, a batch of which is as large as its largest image
        longest = training["data"].get("longest", view["size"])
        sides = (longest, longest * 3 // 2) if "resize" in view else (view["size"], view["size"])
        images = torch.randint(256, (n, 3, *sides), generator=stream, dtype=torch.uint8)
    return ImageSet(images, labels, torch.arange(n), 10, "random")


def _bytes_of(state: Any) -> int:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return len(buffer.getvalue())


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Measure every kind of run in turn."""
    workloads = read_resolved(options.workloads)["workloads"]
    wanted = {workload["training"]["compute"]["device"] for workload in workloads.values()}
    measured = {}
    with held(1 if "cuda" in wanted or (wanted != {"cpu"} and visible_gpus()) else 0, report):
        for i, (key, workload) in enumerate(workloads.items(), 1):
            training = workload["training"]
            compute = compute_on(training["compute"])
            compute_deterministically(training["threads"], compute.device)
            measured[key] = measure(training, workload["view"], options.seconds / len(workloads), compute)
            measured[key]["computed_on"] = compute.name
            found = measured[key].get("failed") or f"{measured[key]['step_seconds']:.3f} s a step of {training['batch_size']}"
            report(f"{i} of {len(workloads)}: {workload['name']}: {found}")
    write_json(options.out, {"workloads": measured, "seconds": options.seconds})


def main() -> None:
    """Run the rule ``throughput``."""
    parser = job_parser("Measure how long the steps of runs take.")
    parser.add_argument("--workloads", required=True, help="what to measure, by a key, as JSON")
    parser.add_argument("--seconds", type=float, default=60, help="for all of them; each takes two steps at least")
    parser.add_argument("--out", type=Path, required=True, help="written: the measurement, as JSON")
    run_job(work, parser)
