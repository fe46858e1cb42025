"""How fast ARB is pre-trained here: the suite's step in its parts, beside a plain loop with torchvision's pipeline.

A plain script, for GPU machines that have torch and torchvision and little else:

    python workflow/benchmarks/pretraining.py --out FILE.csv [--small]

For each configuration the variants take turns, round by round, so that what disturbs one disturbs all. A step is the mean of a
round: workers deliver in bursts, of which a median over steps would see the short waits alone. Of the rounds the median counts.
A CPU takes tiny batches and few steps, as --small does on a GPU: the ratios alone say something.
"""

import argparse
import csv
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT)]

import torch  # noqa: E402
from arb_core import ARBLoss, nearest_orthonormal_basis, standard_scale  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from arb_suite.determinism import compute_deterministically  # noqa: E402
from arb_suite.encoders import build_encoder, set_precision  # noqa: E402
from arb_suite.optimizers import Lars  # noqa: E402
from arb_suite.photo_views import random_photo_view  # noqa: E402
from arb_suite.reference_views import reference_pipeline  # noqa: E402

PARTS = ("views", "forward", "loss", "backward", "optimiser")
VIEW = {  # of Barlow Twins, which the paper follows; view B has blur 0.1 and solarisation 0.2
    "crop_area": [0.08, 1.0], "crop_aspect": [0.75, 1.3333333], "flip": 0.5, "jitter": [0.4, 0.4, 0.2, 0.1],
    "jitter_share": 0.8, "grey": 0.2, "blur": 1.0, "blur_sigma": [0.1, 2.0], "blur_kernel": 17, "solarise": 0.0,
    "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
}  # fmt: skip


@dataclass(frozen=True)
class Configuration:
    """What is trained: encoder, images of `sides` pixels, views of `size`, batch, widths of the projector, groups."""

    name: str
    encoder: str
    sides: tuple[int, int]
    size: int
    batch: int
    hidden: int
    dimension: int
    groups: int
    epochs: int  # of the paper, for the estimate of hours
    images: int

    def views(self) -> list[dict]:
        """Return the settings of both views."""
        return [VIEW | {"size": self.size}, VIEW | {"size": self.size, "blur": 0.1, "solarise": 0.2}]


CIFAR = Configuration("CIFAR, ResNet-18", "resnet18", (32, 32), 32, 256, 2048, 2048, 1, 1000, 50_000)
CONFIGURATIONS = [
    CIFAR,
    replace(CIFAR, name="CIFAR, ResNet-18, 8 groups", groups=8),
    Configuration("ImageNet-100, ResNet-18", "resnet18", (256, 320), 224, 128, 2048, 2048, 1, 400, 126_689),
    Configuration("ImageNet-1k, ResNet-50", "resnet50", (256, 320), 224, 512, 8192, 2048, 1, 100, 1_281_167),
]


class Clock:
    """Times the parts of a step: by events on a GPU, which does not wait for them, else by the processor's clock."""

    def __init__(self, device: torch.device):
        self.device, self.marks = device, []

    def mark(self) -> None:
        """Note the time."""
        if self.device.type == "cuda":
            self.marks.append(torch.cuda.Event(enable_timing=True))
            self.marks[-1].record()
        else:
            self.marks.append(time.perf_counter())

    def parts(self) -> list[float]:
        """Return the seconds between the marks, and forget them."""
        marks, self.marks = self.marks, []
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            return [before.elapsed_time(after) / 1000 for before, after in pairwise(marks)]
        return [after - before for before, after in pairwise(marks)]


class Model:
    """Encoder, projector, loss and optimiser of one variant."""

    def __init__(self, of: Configuration, device: torch.device, precision: torch.dtype, compiled: bool = False):
        torch.manual_seed(0)  # of this script alone: torchvision's pipeline draws from the global generator too
        encoder, features = build_encoder(3, {"kind": of.encoder, "stem": "small" if of.size == 32 else "large"})
        projector = nn.Sequential(
            nn.Linear(features, of.hidden, bias=False), nn.BatchNorm1d(of.hidden), nn.ReLU(),
            nn.Linear(of.hidden, of.hidden, bias=False), nn.BatchNorm1d(of.hidden), nn.ReLU(),
            nn.Linear(of.hidden, of.dimension),
        )  # fmt: skip
        self.network = nn.Sequential(encoder, projector).to(device, memory_format=torch.channels_last)
        set_precision(self.network, precision)
        if compiled:
            encoder.compile()
        self.loss = ARBLoss(groups=of.groups)
        self.optimizer = Lars(self.network.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4, trust_coefficient=0.02)
        self.embeddings: list[Tensor] = []

    def step(self, views: list[Tensor], clock: Clock) -> None:
        """Make one step, with a mark after each of its parts."""
        self.embeddings = [self.network(view) for view in views]
        clock.mark()
        loss = self.loss(*self.embeddings)
        clock.mark()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clock.mark()
        self.optimizer.step()
        clock.mark()


class Suite:
    """The suite's loop: images on the device as bytes, both views drawn there for the whole batch."""

    DETERMINISTIC = True

    def __init__(self, of: Configuration, device: torch.device, precision: torch.dtype, compiled: bool = False):
        self.of, self.device, self.model = of, device, Model(of, device, precision, compiled)
        stream = torch.Generator().manual_seed(0)
        self.images = torch.randint(256, (2 * of.batch, 3, *of.sides), generator=stream, dtype=torch.uint8).to(device)
        self.streams = [torch.Generator().manual_seed(i) for i in (1, 2, 3)]

    def steps(self, count: int) -> Iterator[list[float]]:
        """Make steps; give the seconds of the parts of each."""
        clock = Clock(self.device)
        for _ in range(count):
            clock.mark()
            chosen = torch.randperm(len(self.images), generator=self.streams[2])[: self.of.batch].to(self.device)
            images = self.images[chosen]
            views = [random_photo_view(images, view, s) for view, s in zip(self.of.views(), self.streams, strict=False)]
            clock.mark()
            self.model.step(views, clock)
            yield clock.parts()

    def try_out(self) -> None:
        """Make what a first step makes, and is not to be counted."""
        steps_of(self, 3)

    def base_seconds(self) -> float:
        """Return what the bases take of the loss, of the embeddings of the last step."""
        clock, groups = Clock(self.device), self.of.groups
        scaled = [standard_scale(z.detach(), eps=1e-6).unflatten(1, (groups, -1)).movedim(1, 0) for z in self.model.embeddings]
        took = []
        for _ in range(4):
            clock.mark()
            for z in scaled:
                nearest_orthonormal_basis(z, ridge=1e-4)
            clock.mark()
            took += clock.parts()
        return statistics.median(took[1:])


class RandomPhotographs(Dataset):
    """Images in memory, each with two views by torchvision's transforms."""

    def __init__(self, of: Configuration, count: int):
        stream = torch.Generator().manual_seed(0)
        self.images = torch.randint(256, (2 * of.batch, 3, *of.sides), generator=stream, dtype=torch.uint8)
        self.pipelines = [reference_pipeline(view) for view in of.views()]
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> list[Tensor]:
        image = self.images[index % len(self.images)]
        return [pipeline(image) for pipeline in self.pipelines]


class Reference:
    """A plain loop: torchvision's pipeline in as many workers as there are cores, the network in float32, torch's defaults."""

    DETERMINISTIC = False
    AHEAD = 2  # batches that each worker makes ahead, as is DataLoader's default

    def __init__(self, of: Configuration, device: torch.device, count: int, workers: int):
        self.device, self.model = device, Model(of, device, torch.float32)
        # Neither the batches of the start, which come at once after a wait, nor a part of a burst: that would be no rate
        self.warm, counted = self.AHEAD * max(workers, 1), -(-count // max(workers, 1)) * max(workers, 1)
        data = RandomPhotographs(of, of.batch * (self.warm + counted))
        on_gpu = device.type == "cuda"
        self.loader = DataLoader(data, of.batch, num_workers=workers, persistent_workers=workers > 0, pin_memory=on_gpu)
        self.shape = (of.batch, 3, of.size, of.size)

    def try_out(self) -> None:
        """Make what a first step makes; the loader's own first batches are left out of the count elsewhere."""
        self.model.step([torch.zeros(self.shape, device=self.device)] * 2, Clock(self.device))

    def steps(self, count: int) -> Iterator[list[float]]:
        """Make steps over a pass through the loader; give the seconds of the parts of each but the first ones."""
        clock = Clock(self.device)
        clock.mark()
        for i, views in enumerate(self.loader):
            on_device = [view.to(self.device, non_blocking=True) for view in views]
            clock.mark()
            self.model.step(on_device, clock)
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            parts = clock.parts()
            if i >= self.warm:
                yield parts
            clock.mark()


def steps_of(variant: Suite | Reference, count: int) -> list[list[float]]:
    """Make steps of a variant with the algorithms that it would have: as in the suite's jobs, or torch's defaults."""
    torch.use_deterministic_algorithms(variant.DETERMINISTIC, warn_only=variant.device.type == "cuda")
    torch.backends.cudnn.allow_tf32 = not variant.DETERMINISTIC
    return list(variant.steps(count))


def fitting(make: Callable[[], Suite | Reference]) -> Suite | Reference | None:
    """Return a variant that has made a step, or None if there is no memory for them: another one may need less."""
    try:
        variant = make()
        variant.try_out()
        return variant
    except torch.OutOfMemoryError:
        pass  # what it held is free when this clause has ended
    torch.cuda.empty_cache()
    return None


def measure(of: Configuration, device: torch.device, rounds: int, count: int, workers: int, compiled: bool) -> list[tuple]:
    """Return (variant, quantity, value, unit, n) of one configuration."""
    makers: dict[str, Callable[[], Suite | Reference]] = {
        "reference": lambda: Reference(of, device, count, workers),
        "suite, float32": lambda: Suite(of, device, torch.float32),
    }
    if device.type == "cuda":
        makers["suite, bfloat16"] = lambda: Suite(of, device, torch.bfloat16)
        if compiled:
            makers["suite, bfloat16, compiled"] = lambda: Suite(of, device, torch.bfloat16, compiled=True)
    variants = {name: variant for name, make in makers.items() if (variant := fitting(make)) is not None}
    took: dict[str, list[list[float]]] = {name: [] for name in variants}
    means: dict[str, list[float]] = {name: [] for name in variants}
    peak = dict.fromkeys(variants, 0)
    for _ in range(rounds):
        for name, variant in variants.items():
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            steps = steps_of(variant, count)
            took[name] += steps
            means[name].append(statistics.mean(map(sum, steps)))
            peak[name] = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    rows: list[tuple] = [(name, "out of memory", "", "", 0) for name in makers if name not in variants]
    seconds = {name: statistics.median(of_rounds) for name, of_rounds in means.items()}
    for name, steps in took.items():
        n = len(steps)
        rows.append((name, "step", seconds[name], "s", n))
        rows.append((name, "views per second", 2 * of.batch / seconds[name], "1/s", n))
        total = sum(map(sum, steps))
        rows += [(name, f"share of {part}", sum(s[i] for s in steps) / total, "", n) for i, part in enumerate(PARTS)]
        if "reference" in seconds:
            rows.append((name, "times the reference", seconds["reference"] / seconds[name], "", n))
        hours = of.epochs * (of.images // of.batch) * seconds[name] / 3600
        rows.append((name, f"estimated hours of {of.epochs} epochs", hours, "h", n))
        if device.type == "cuda":
            rows.append((name, "peak memory, all variants' parameters in it", peak[name] / 1e9, "GB", n))
        if isinstance(variants[name], Suite):
            rows.append((name, "base as share of the step", variants[name].base_seconds() / seconds[name], "", 3))
    return rows


def main() -> None:
    """Measure every configuration and write the table."""
    parser = argparse.ArgumentParser(description="Benchmark pre-training.")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="tiny batches and few steps, as always on a CPU")
    parser.add_argument("--compile", action="store_true", help="also with the encoder compiled, on a GPU")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of the reference's loader")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: --device cuda, but torch sees no GPU here; choose cpu")
    device = torch.device(options.device)
    compute_deterministically(torch.get_num_threads() if device.type == "cuda" else 1, device)  # as the jobs do
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, one thread"
    configurations, rounds, count = CONFIGURATIONS, 3, 15
    if options.small or device.type == "cpu":
        small = {"batch": 16, "hidden": 128, "dimension": 128}
        configurations, rounds, count = [replace(CIFAR, **small)], 3, 3
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        columns = ["configuration", "batch", "dimension", "variant", "quantity", "value", "unit", "n", "device", "torch"]
        writer.writerow(columns)
        for of in configurations:
            rows = measure(of, device, rounds, count, options.workers, options.compile)
            for variant, quantity, value, unit, n in rows:
                shown = f"{value:.4g}" if value != "" else ""
                writer.writerow([of.name, of.batch, of.dimension, variant, quantity, shown, unit, n, name, torch.__version__])
                print(f"{of.name:30} {variant:26} {quantity:32} {shown:>10} {unit}", flush=True)
            handle.flush()
            if device.type == "cuda":
                torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
