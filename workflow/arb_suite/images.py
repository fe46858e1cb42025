"""Images in memory, as the rules of the data stage leave them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .files import read_archive
from .renders import SPLITS

__all__ = ["ImageSet", "load_images"]


@dataclass(frozen=True)
class ImageSet:
    """
    Images of one or several splits.

    Attributes
    ----------
    images : (n, C, H, W) float32 Tensor
        Values in [0, 1].
    labels, source : (n,) int64 Tensor
        Class, and the original image that each is a render of.
    classes : int
        Number of classes of the whole data set.
    data_hash : str
        SHA-256 of the whole data set.

    """

    images: Tensor
    labels: Tensor
    source: Tensor
    classes: int
    data_hash: str


def load_images(path: Path, splits: Sequence[str]) -> ImageSet:
    """
    Load some splits of an npz data set and the description beside it.

    Raises
    ------
    UserError
        If either file is missing, cannot be read, or is not what was made.

    """
    arrays, description = read_archive(path)
    chosen = np.isin(arrays["split"], [SPLITS.index(name) for name in splits])
    return ImageSet(
        images=torch.from_numpy(arrays["images"][chosen]).float().div(255).unsqueeze(1),
        labels=torch.from_numpy(arrays["labels"][chosen]),
        source=torch.from_numpy(arrays["source"][chosen]),
        classes=description["classes"],
        data_hash=description["data_hash"],
    )
