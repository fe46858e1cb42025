"""How fast JPEGs of ImageNet's size are decoded here: whether reading files can feed a GPU.

A plain script, for GPU machines that have torch and torchvision and little else:

    python workflow/benchmarks/decoding.py --out FILE.csv [--threads N]

Decoders take turns, round by round; of the rounds the median counts. The images are smooth noise, which costs as much as a
photograph of as many bytes. Nothing is read from a disk.
"""

import argparse
import csv
import io
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT)]

import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torch.nn import functional  # noqa: E402

from arb_suite.decoders import decode, decode_jpegs  # noqa: E402

SIDES = (375, 500)  # of most of ImageNet's images
QUALITY = 95
BATCH = 128


def jpegs(count: int, sides: tuple[int, int] = SIDES) -> list[bytes]:
    """Return so many JPEGs of smooth noise, the same each time."""
    stream = torch.Generator().manual_seed(0)
    found = []
    for _ in range(count):
        coarse = torch.rand(1, 3, sides[0] // 6, sides[1] // 6, generator=stream)
        fine = functional.interpolate(coarse, sides, mode="bicubic", align_corners=False)[0]
        fine += 0.05 * torch.randn(fine.shape, generator=stream)
        buffer = io.BytesIO()
        Image.fromarray((fine.clamp(0, 1) * 255).byte().movedim(0, 2).numpy()).save(buffer, "JPEG", quality=QUALITY)
        found.append(buffer.getvalue())
    return found


def measure(images: list[bytes], threads: int, rounds: int, gpu: bool) -> list[tuple[str, int, float]]:
    """Return (decoder, threads, images per second), by the median of the rounds."""

    def with_pillow(pool: ThreadPoolExecutor) -> None:
        list(pool.map(lambda content: decode(io.BytesIO(content)), images))

    def with_torchvision(device: str) -> None:
        decode_jpegs(images, None, device)
        if device == "cuda":
            torch.cuda.synchronize()

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(threads) as all_of_them:
        decoders: dict[tuple[str, int], Callable[[], None]] = {
            ("pillow", 1): lambda: with_pillow(one),
            ("pillow", threads): lambda: with_pillow(all_of_them),
            ("torchvision, libjpeg", 1): lambda: with_torchvision("cpu"),
        }
        if gpu:
            decoders["torchvision, nvJPEG", 1] = lambda: with_torchvision("cuda")
        took: dict[tuple[str, int], list[float]] = {name: [] for name in decoders}
        for round_ in range(rounds + 1):
            for name, run in decoders.items():
                started = time.perf_counter()
                run()
                if round_:  # the first one makes threads and contexts
                    took[name].append(time.perf_counter() - started)
    return [(*name, len(images) / statistics.median(seconds)) for name, seconds in took.items()]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description="Benchmark the decoding of JPEGs.")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of Pillow")
    parser.add_argument("--images", type=int, default=BATCH, help="in a round")
    options = parser.parse_args()
    if options.threads < 1 or options.images < 1:
        sys.exit("error: --threads and --images must be 1 or more")
    torch.set_num_threads(1)
    images = jpegs(options.images)
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["decoder", "threads", "images_per_second", "bytes_per_image", "device", "torch"])
        for decoder, threads, rate in measure(images, options.threads, 5, torch.cuda.is_available()):
            mean = sum(map(len, images)) // len(images)
            writer.writerow([decoder, threads, f"{rate:.4g}", mean, name, torch.__version__])
            print(f"{decoder:24} {threads:3} thread(s) {rate:10.0f} images/s of {mean} bytes", flush=True)


if __name__ == "__main__":
    main()
