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

from .jobs import job_parser, read_resolved, run_job
from .renders import SPLITS, write_renders

__all__ = ["N_SOURCES", "build", "split_sources"]

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


def build(settings: Mapping[str, Any], out: Path, report: Callable[[str], None]) -> None:
    """Write ``digits.npz`` and its description beside it; see `renders.write_renders`."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    sources = (digits.images / 16).astype(np.float32)
    labels = digits.target.astype(np.int64)
    rng = np.random.default_rng(settings["seed"])
    split = split_sources(labels, settings["sources"], rng)
    write_renders("digits", sources, labels, split, settings, rng, out, report)


def main() -> None:
    """Run the rule ``digits``."""
    parser = job_parser("Render the embedded data set.")
    parser.add_argument("--settings", required=True, help="the data settings, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="the npz archive to write")
    run_job(lambda options, report: build(read_resolved(options.settings), options.out, report), parser)
