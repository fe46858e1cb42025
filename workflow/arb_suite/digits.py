"""The embedded data set: real handwritten digits, jittered so that invariance has to be learnt.

The 1797 images of scikit-learn (Alpaydin and Kaynak, UCI optical recognition of handwritten digits, 8 x 8 grey) are split
by image into training, validation and test, stratified by class, BEFORE each is rendered several times at a random
scale, place, angle, background, ink and noise. So no digit that is tested was seen in training in any rendering, and
the renders of one digit form one cluster in the statistics.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .files import array_hash, write_json, write_npz
from .jobs import job_parser, read_resolved, run_job

__all__ = ["N_SOURCES", "SPLITS", "render_digits", "split_sources"]

SPLITS = ("train", "validation", "test")
N_SOURCES = 1797  # images of scikit-learn's load_digits


def split_sources(labels: np.ndarray, sizes: Mapping[str, int], rng: np.random.Generator) -> np.ndarray:
    """
    Assign every source image to a split, stratified by class.

    Parameters
    ----------
    labels : (n,) ndarray
        Class of each source.
    sizes : mapping
        Number of sources of each of `SPLITS`; they add up to n.
    rng : numpy.random.Generator
        Source of the assignment.

    Returns
    -------
    (n,) int8 ndarray
        Index into `SPLITS`.

    Raises
    ------
    ValueError
        If the sizes do not add up to n.

    """
    from sklearn.model_selection import train_test_split

    if sum(sizes.values()) != len(labels):
        raise ValueError(f"split sizes {dict(sizes)} add up to {sum(sizes.values())}, but there are {len(labels)} digits")
    split = np.zeros(len(labels), dtype=np.int8)
    rest = np.arange(len(labels))
    for index in (2, 1):
        state = int(rng.integers(2**31))
        rest, chosen = train_test_split(rest, test_size=sizes[SPLITS[index]], stratify=labels[rest], random_state=state)
        split[chosen] = index
    return split


def render_digits(sources: np.ndarray, settings: Mapping[str, Any], rng: np.random.Generator) -> np.ndarray:
    """
    Render each source once with random jitter.

    Parameters
    ----------
    sources : (n, 8, 8) float32 ndarray
        Ink coverage in [0, 1].
    settings : mapping
        ``size`` of the render in pixels; ranges ``inverse_scale``, ``background``
        and ``ink`` as [low, high]; ``shift`` as a fraction of half the render at
        inverse scale 1; ``rotation_degrees``; ``noise``, a standard deviation.
    rng : numpy.random.Generator
        Source of the jitter.

    Returns
    -------
    (n, size, size) uint8 ndarray
        Grey values; 0 is black.

    """
    import torch
    from torch.nn import functional

    n = len(sources)
    scale = rng.uniform(*settings["inverse_scale"], n)
    angle = np.radians(rng.uniform(-settings["rotation_degrees"], settings["rotation_degrees"], n))
    shift = rng.uniform(-settings["shift"], settings["shift"], (n, 2)) * scale[:, None]
    background = rng.uniform(*settings["background"], (n, 1, 1))
    ink = rng.uniform(*settings["ink"], (n, 1, 1))
    noise = rng.normal(0, settings["noise"], (n, settings["size"], settings["size"]))

    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    theta = np.stack([np.stack([cos, -sin, shift[:, 0]], -1), np.stack([sin, cos, shift[:, 1]], -1)], 1)
    grid = functional.affine_grid(torch.from_numpy(theta), [n, 1, settings["size"], settings["size"]], align_corners=False)
    ink_coverage = torch.from_numpy(sources.astype(np.float64))[:, None]
    coverage = functional.grid_sample(ink_coverage, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    grey = background + (ink - background) * coverage[:, 0].numpy() + noise
    # Rounding to 256 levels makes the stored bytes insensitive to the last digit of the floating-point arithmetic.
    return np.round(255 * grey.clip(0, 1)).astype(np.uint8)


def build(settings: Mapping[str, Any], out: Path, report: Callable[[str], None]) -> None:
    """Write ``digits.npz`` (images, labels, source, split) and its description beside it."""
    import torch
    from sklearn.datasets import load_digits

    torch.set_num_threads(1)
    digits = load_digits()
    sources = (digits.images / 16).astype(np.float32)
    labels = digits.target.astype(np.int64)
    rng = np.random.default_rng(settings["seed"])
    split = split_sources(labels, settings["sources"], rng)
    images = np.concatenate([render_digits(sources, settings, rng) for _ in range(settings["renders"])])
    arrays = {
        "images": images,
        "labels": np.tile(labels, settings["renders"]),
        "source": np.tile(np.arange(len(labels)), settings["renders"]),
        "split": np.tile(split, settings["renders"]),
    }
    digest = array_hash(**arrays)
    write_npz(out, **arrays)
    counts = {name: int((split == i).sum()) for i, name in enumerate(SPLITS)}
    write_json(
        out.with_suffix(".json"),
        {
            "data_hash": digest,
            "sources": counts,
            "renders_per_source": settings["renders"],
            "image_shape": list(images.shape[1:]),
            "classes": int(labels.max()) + 1,
            "class_counts_per_split": {name: np.bincount(labels[split == i]).tolist() for i, name in enumerate(SPLITS)},
            "settings": dict(settings),
        },
    )
    report(f"digits: {len(images)} renders of {len(labels)} handwritten digits, {counts}, sha256 {digest[:12]}")


def main() -> None:
    """Run the rule ``digits``."""
    parser = job_parser("Render the embedded data set.")
    parser.add_argument("--settings", required=True, help="the data settings, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="the npz archive to write")
    run_job(lambda options, report: build(read_resolved(options.settings), options.out, report), parser)
