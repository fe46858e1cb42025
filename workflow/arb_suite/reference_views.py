"""The paper's augmentation as torchvision's own transforms, one image at a time: what `photo_views` is measured against."""

from collections.abc import Mapping
from typing import Any

import torch
from torchvision.transforms import v2

__all__ = ["reference_pipeline"]


def reference_pipeline(settings: Mapping[str, Any]) -> v2.Compose:
    """
    Return the transforms that make one random view of a photograph.

    Parameters
    ----------
    settings : mapping
        As `photo_views.random_photo_view` takes them.

    Returns
    -------
    torchvision.transforms.v2.Compose
        Takes an RGB image of Pillow or a (3, H, W) uint8 Tensor and returns a
        (3, size, size) float32 Tensor. It draws from the global generator of
        torch, as all of torchvision does.

    Notes
    -----
    Order and parameters are those of Barlow Twins, which the paper follows, with one
    difference: the blur is torchvision's, a Gaussian cut at the kernel's size, where
    the code of Barlow Twins calls Pillow's filter.

    """
    bicubic = v2.InterpolationMode.BICUBIC
    area, aspect = settings["crop_area"], settings["crop_aspect"]
    return v2.Compose(
        [
            v2.RandomResizedCrop(settings["size"], scale=area, ratio=aspect, interpolation=bicubic, antialias=True),
            v2.RandomHorizontalFlip(p=settings["flip"]),
            v2.RandomApply([v2.ColorJitter(*settings["jitter"])], p=settings["jitter_share"]),
            v2.RandomGrayscale(p=settings["grey"]),
            v2.RandomApply([v2.GaussianBlur(settings["blur_kernel"], settings["blur_sigma"])], p=settings["blur"]),
            v2.RandomSolarize(threshold=128, p=settings["solarise"]),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(settings["mean"], settings["std"]),
        ]
    )
