"""Renders of drawn sources with random jitter, and the file that holds them: what the embedded data sets have in common."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .files import write_archive

__all__ = ["SPLITS", "class_counts", "render", "write_renders"]

SPLITS = ("train", "validation", "test")


def class_counts(labels: np.ndarray, split: np.ndarray, classes: int) -> dict[str, list[int]]:
    """
    Count the images of each class in each split.

    Parameters
    ----------
    labels, split : (n,) int ndarray
        Class of each image, and its split as an index into `SPLITS`.
    classes : int
        Number of classes.

    Returns
    -------
    dict
        For each of `SPLITS` the counts in the order of the classes.

    """
    return {part: np.bincount(labels[split == i], minlength=classes).tolist() for i, part in enumerate(SPLITS)}


def render(sources: np.ndarray, settings: Mapping[str, Any], rng: np.random.Generator) -> np.ndarray:
    """
    Render each source once with random jitter.

    Parameters
    ----------
    sources : (n, h, w) float32 ndarray
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
    low, high = settings["inverse_scale"]
    scale = rng.uniform(low, high, n)
    angle = np.radians(rng.uniform(-settings["rotation_degrees"], settings["rotation_degrees"], n))
    shift = rng.uniform(-settings["shift"], settings["shift"], (n, 2)) * scale[:, None]
    low, high = settings["background"]
    background = rng.uniform(low, high, (n, 1, 1))
    low, high = settings["ink"]
    ink = rng.uniform(low, high, (n, 1, 1))
    noise = rng.normal(0, settings["noise"], (n, settings["size"], settings["size"]))

    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    theta = np.stack([np.stack([cos, -sin, shift[:, 0]], -1), np.stack([sin, cos, shift[:, 1]], -1)], 1)
    grid = functional.affine_grid(torch.from_numpy(theta), [n, 1, settings["size"], settings["size"]], align_corners=False)
    ink_coverage = torch.from_numpy(sources.astype(np.float64))[:, None]
    coverage = functional.grid_sample(ink_coverage, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    grey: np.ndarray = background + (ink - background) * coverage[:, 0].numpy() + noise
    # Rounding to 256 levels makes the stored bytes insensitive to the last digit of the floating-point arithmetic.
    return np.round(255 * grey.clip(0, 1)).astype(np.uint8)


def write_renders(
    name: str,
    sources: np.ndarray,
    labels: np.ndarray,
    split: np.ndarray,
    settings: Mapping[str, Any],
    rng: np.random.Generator,
    out: Path,
    report: Callable[[str], None],
) -> None:
    """
    Render every source as often as the settings say and write the data set.

    Parameters
    ----------
    name : str
        Of the data set; what its sources are called.
    sources, labels, split : (n, h, w) float32, (n,) int64 and (n,) int8 ndarray
        Ink coverage, class and split of every source.
    settings : mapping
        ``renders``, how often, and what `render` needs.
    rng : numpy.random.Generator
        Source of the jitter.
    out : Path
        The npz archive: images, labels, source, split; its description is written
        beside it.
    report : callable
        Receives a line.

    """
    import torch

    torch.set_num_threads(1)
    images = np.concatenate([render(sources, settings, rng) for _ in range(settings["renders"])])
    arrays = {
        "images": images,
        "labels": np.tile(labels, settings["renders"]),
        "source": np.tile(np.arange(len(labels)), settings["renders"]),
        "split": np.tile(split, settings["renders"]),
    }
    classes = int(labels.max()) + 1
    by_class = class_counts(labels, split, classes)
    counts = {part: sum(of_class) for part, of_class in by_class.items()}
    digest = write_archive(
        out,
        arrays,
        {
            "sources": counts,
            "renders_per_source": settings["renders"],
            "image_shape": list(images.shape[1:]),
            "classes": classes,
            "class_counts_per_split": by_class,
            "settings": dict(settings),
        },
    )
    report(f"{name}: {len(images)} renders of {len(labels)} {name}, {counts}, sha256 {digest[:12]}")
