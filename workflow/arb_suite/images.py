"""Images in memory, as the rules of the data stage leave them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .files import read_archive
from .renders import SPLITS

__all__ = ["Batch", "ImageSet", "load_images"]


class Batch(NamedTuple):
    """
    Some images.

    Attributes
    ----------
    images : (B, C, H, W) Tensor
        float32 in [0, 1], or uint8.
    labels : (B,) int64 Tensor
        Their classes, on the device of `images`.
    sizes : (B, 2) int64 Tensor or None
        Heights and widths, on CPU, where images of several sizes are padded to H x W.

    """

    images: Tensor
    labels: Tensor
    sizes: Tensor | None = None


@dataclass(frozen=True)
class ImageSet:
    """
    Images of one or several splits.

    Attributes
    ----------
    images : (n, C, H, W) float32 or uint8 Tensor
        Grey values in [0, 1], or photographs in 0 .. 255.
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

    def __len__(self) -> int:
        return len(self.images)

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return self.images.shape[1]

    def to(self, device: torch.device) -> "ImageSet":
        """Return the same images, all of them, on a device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def batches(self, order: Iterable[Tensor]) -> Iterator[Batch]:
        """Yield the images of each tensor of indices."""
        for chosen in order:
            index = chosen.to(self.images.device, non_blocking=True)  # or a GPU would be waited for in every step
            yield Batch(self.images[index], self.labels[index])


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
    images = torch.from_numpy(arrays["images"][chosen])
    # Photographs stay as they are stored, (n, H, W, 3) bytes; there is room for them on a GPU.
    photographs = images.ndim == 4
    return ImageSet(
        images=images.movedim(3, 1).contiguous() if photographs else images.float().div(255).unsqueeze(1),
        labels=torch.from_numpy(arrays["labels"][chosen]),
        source=torch.from_numpy(arrays["source"][chosen]),
        classes=description["classes"],
        data_hash=description["data_hash"],
    )
