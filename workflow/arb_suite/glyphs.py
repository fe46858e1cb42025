"""A second embedded data set, generated: invented characters, each drawn a little differently every time.

A class is a few strokes, quadratic Bezier curves with random control points; a source is the class with every point moved a
little, and is rendered with the jitter of the digits. There can be more classes than there are digits, and nothing but the
shape tells them apart: grey, scale, place and angle are drawn alike for all.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .jobs import job_parser, read_resolved, run_job
from .renders import SPLITS, write_renders

__all__ = ["build", "draw", "draw_glyphs"]

POINTS = 24  # on a stroke
EXTENT = 0.8  # of the control points, where the sides of the drawing are at -1 and 1


def draw(strokes: np.ndarray, size: int, width: float) -> np.ndarray:
    """
    Draw quadratic Bezier curves.

    Parameters
    ----------
    strokes : (n, 3, 2) ndarray
        Control points (x, y) of n strokes; the drawing reaches from -1 to 1.
    size : int
        Side of the drawing in pixels.
    width : float
        Up to half of it from a stroke the ink covers a pixel wholly, from one and a
        half of it on not at all.

    Returns
    -------
    (size, size) ndarray
        Ink coverage in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> print(draw(np.array([[[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]]), 3, 0.5))
    [[0. 0. 0.]
     [1. 1. 1.]
     [0. 0. 0.]]

    """
    t = np.linspace(0, 1, POINTS)[:, None, None]
    first, middle, last = strokes[:, 0], strokes[:, 1], strokes[:, 2]
    curves = ((1 - t) ** 2 * first + 2 * t * (1 - t) * middle + t**2 * last).reshape(-1, 2)
    axis = np.linspace(-1, 1, size)
    pixels = np.stack(np.meshgrid(axis, axis), axis=-1)
    distance = np.linalg.norm(pixels[:, :, None] - curves, axis=-1).min(axis=-1)
    ink: np.ndarray = np.clip(1.5 - distance / width, 0, 1)
    return ink


def draw_glyphs(settings: Mapping[str, Any], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Invent the classes and draw their sources.

    Parameters
    ----------
    settings : mapping
        ``classes``; ``sources``, how many of each of `renders.SPLITS`, the same
        number of every class; ``strokes`` of a class as [low, high]; ``deformation``,
        the standard deviation of the moves of the control points; ``width`` and
        ``glyph_size``, see `draw`.
    rng : numpy.random.Generator
        Source of all of it.

    Returns
    -------
    sources : (n, glyph_size, glyph_size) float32 ndarray
    labels : (n,) int64 ndarray
    split : (n,) int8 ndarray

    """
    low, high = settings["strokes"]
    classes = [rng.uniform(-EXTENT, EXTENT, (rng.integers(low, high + 1), 3, 2)) for _ in range(settings["classes"])]
    each = [settings["sources"][name] // settings["classes"] for name in SPLITS]
    sources = [
        draw(strokes + rng.normal(0, settings["deformation"], strokes.shape), settings["glyph_size"], settings["width"])
        for strokes in classes
        for _ in range(sum(each))
    ]
    labels = np.repeat(np.arange(settings["classes"]), sum(each))
    split = np.tile(np.repeat(np.arange(len(SPLITS), dtype=np.int8), each), settings["classes"])
    return np.stack(sources).astype(np.float32), labels, split


def build(settings: Mapping[str, Any], out: Path, report: Callable[[str], None]) -> None:
    """Write ``glyphs.npz`` and its description beside it; see `renders.write_renders`."""
    rng = np.random.default_rng(settings["seed"])
    sources, labels, split = draw_glyphs(settings, rng)
    write_renders("glyphs", sources, labels, split, settings, rng, out, report)


def main() -> None:
    """Run the rule ``glyphs``."""
    parser = job_parser("Draw the second embedded data set.")
    parser.add_argument("--settings", required=True, help="the data settings, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="the npz archive to write")
    run_job(lambda options, report: build(read_resolved(options.settings), options.out, report), parser)
