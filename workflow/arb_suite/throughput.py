"""How long the steps of each run and of its evaluation take on this machine, and what memory, measured on random images."""

import argparse
import contextlib
import ctypes
import gc
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import cifar, imagefolder
from .compute import Compute, compute_on, wants_gpu
from .determinism import compute_deterministically
from .encoders import set_precision
from .evaluate import features, knn_classes, linear_probe
from .files import write_json
from .gpus import held
from .images import ImageSet
from .jobs import UserError, job_parser, read_resolved, run_job
from .method import BaseMethod, new_method
from .optimizers import build_optimizer
from .pretrain import DivergedError, train_epoch

__all__ = ["measure"]

CLASSES = {"digits": 10, "glyphs": 100}
CLASSES |= {name: published.classes for of in (cifar, imagefolder) for name, published in of.PUBLISHED.items()}
MOST_STEPS = 200
PROBE_STEPS = 10  # of the linear probe
BANK, QUERIES = 4096, 512  # of kNN
STATUS = Path("/proc/self/status")  # on Linux
PROBE = 32  # images of a step in the place of the whole batch, where that takes too long


def measure(training: Mapping[str, Any], evaluation: Mapping[str, Any], seconds: float, compute: Compute) -> dict[str, Any]:
    """
    Time the training of a run on random images, with the loop that trains it, and what its evaluation is made of.

    Parameters
    ----------
    training, evaluation : mapping
        Its settings.
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
        proportion to the batch; ``image_seconds``, of the encoder in evaluation, an
        image; ``probe_seconds``, of a step of the linear probe; ``pair_seconds``, of kNN
        an image to classify and an image of the bank; ``feature_bytes``, of an image;
        ``state_bytes`` and ``snapshot_bytes``; ``memory_bytes``, the most that torch
        held on a GPU, or the process on CPU, None where that is not to be had. Or
        ``failed``, why there is none of it: a batch that does not fit.

    """
    batch_size = timed_batch = training["batch_size"]
    view = evaluation["view"]
    probes = compute.device.type == "cpu" and batch_size > PROBE
    _forget_peak(compute.device)
    images = _random_images(training, view, PROBE if probes else batch_size).to(compute.device)
    method = new_method(training, images.channels, images.classes, seed=0).to(compute.device)
    set_precision(method, compute.precision)
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
    images = _as_evaluated(images, view)
    set_precision(method, torch.float32)  # as runs are evaluated
    found, forward = _timed(lambda: features(method.encoder, images, view))
    memory = _peak(compute.device) if timed_batch == batch_size else None
    return {
        "step_seconds": float(np.median(took)) * batch_size / timed_batch if took else 0.0,
        "steps": len(took),
        "timed_batch": timed_batch,
        "image_seconds": forward / len(images),
        **_after_the_encoder(found, CLASSES[training["dataset"]], evaluation),
        "state_bytes": _bytes_of(state),
        "snapshot_bytes": _bytes_of(method.state_dict()),
        "memory_bytes": memory,
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


def _timed(compute: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """Return what is computed, and the seconds that it takes a second time."""
    compute()
    started = time.perf_counter()
    result = compute()
    result.sum().item()  # which waits for a GPU
    return result, time.perf_counter() - started


def _after_the_encoder(found: Tensor, classes: int, evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Time the linear probe and kNN on random features of the width and kind of those found."""
    stream = torch.Generator().manual_seed(0)
    settings = {**evaluation["linear"], "epochs": 1}
    n = PROBE_STEPS * settings["batch_size"]
    drawn = torch.randn(max(n, BANK), found.shape[1], generator=stream).to(found)
    labels = torch.arange(len(drawn), device=found.device) % classes
    _, probe = _timed(lambda: linear_probe(drawn[:n], labels[:n], classes, settings, stream).weight.detach())
    bank, queries = drawn[:BANK], drawn[:QUERIES]
    _, neighbours = _timed(lambda: knn_classes(bank, labels[:BANK], queries, classes, **evaluation["knn"]))
    return {
        "probe_seconds": probe / PROBE_STEPS,
        "pair_seconds": neighbours / (BANK * QUERIES),
        "feature_bytes": found.shape[1] * found.element_size(),
    }


def _forget_peak(device: torch.device) -> None:
    """Let the next `_peak` be that from now on, without what earlier measurements have left."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif STATUS.exists():
        allocator = ctypes.CDLL(None)
        if hasattr(allocator, "malloc_trim"):  # glibc's keeps gigabytes of what is free already
            allocator.malloc_trim(0)
        with contextlib.suppress(OSError):  # in a system that does not allow it; then `_peak` is that of all before, too
            STATUS.with_name("clear_refs").write_text("5", encoding="ascii")


def _peak(device: torch.device) -> int | None:
    """Return the most bytes that torch has held on a GPU, or that the process has had in memory, where the system tells."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    lines = STATUS.read_text(encoding="utf-8").splitlines() if STATUS.exists() else []
    peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    return peaks[0] if peaks else None


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


def _as_evaluated(images: ImageSet, view: Mapping[str, Any] | None) -> ImageSet:
    """Return images of the size to which files are reduced when an encoder is evaluated; see `evaluate.features`."""
    if view is None or "resize" not in view:
        return images
    return replace(images, images=images.images[:, :, : view["resize"], : view["resize"] * 3 // 2])


def _bytes_of(state: Any) -> int:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return len(buffer.getvalue())


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Measure every kind of run in turn."""
    workloads = read_resolved(options.workloads)["workloads"]
    wanted = any(wants_gpu(workload["training"]["compute"]) for workload in workloads.values())
    measured = {}
    with held(1 if wanted else 0, report):
        for i, (key, workload) in enumerate(workloads.items(), 1):
            training = workload["training"]
            compute = compute_on(training["compute"])
            compute_deterministically(training["threads"], compute.device)
            try:
                measured[key] = measure(training, workload["evaluation"], options.seconds / len(workloads), compute)
            except torch.OutOfMemoryError:  # outside a step, which says more
                measured[key] = {"failed": f"batch_size {training['batch_size']} does not fit into the memory of the device"}
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
