"""Random views of a batch of images, drawn per sample on the device where the batch lies."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .images import Batch
from .photo_parameters import draw_uniforms, settle
from .photo_views import central_view, photo_view
from .processes import share, world_size

__all__ = ["draw_view", "evaluation_view", "random_view"]


def draw_view(batch: Batch, settings: Mapping[str, Any], generator: torch.Generator) -> Tensor:
    """
    Draw one random view of each image, of the kind that the settings name; see `random_view`, `photo_views.random_photo_view`.

    Where the batch is this process's share of photographs, every process draws for all of them and takes its own, so that
    they are the views that one process would see.
    """
    if settings.get("kind") != "photo":
        return random_view(batch.images, settings, generator)
    n, _, *sides = batch.images.shape
    sizes = torch.tensor(sides).expand(n, 2) if batch.sizes is None else batch.sizes
    drawn = {name: share(numbers) for name, numbers in draw_uniforms(n * world_size(), generator).items()}
    return photo_view(batch.images, settings, settle(drawn, sizes, settings))


def evaluation_view(batch: Batch, settings: Mapping[str, Any] | None) -> Tensor:
    """Return the view of each image on which an encoder is evaluated: `central_view`; without settings the image itself."""
    return batch.images if settings is None else central_view(batch.images, settings, batch.sizes)


def random_view(images: Tensor, settings: Mapping[str, Any], generator: torch.Generator) -> Tensor:
    """
    Draw one random view of each image: crop, rotation, contrast, brightness and noise.

    Parameters
    ----------
    images : (B, C, H, W) float Tensor
        Images in [0, 1].
    settings : mapping
        ``scale``, sides of the view over sides of the image, in pixels;
        ``crop_area`` and ``crop_aspect`` as [low, high] (fraction of the image;
        width over height, drawn log-uniformly); ``rotation_degrees``; ``contrast``
        c for a factor in 1 +- c about each image's mean; ``brightness`` b for a
        shift in +- b; ``noise``, the largest of the per-image standard deviations,
        which are uniform from 0.
    generator : torch.Generator
        Source of all of it, on any device; what it draws is moved to that of
        `images`.

    Returns
    -------
    (B, C, round(scale H), round(scale W)) float Tensor
        The views; values may leave [0, 1] a little. What a crop needs beyond the
        border is reflected. There is no flip: a mirrored digit is another sign.

    """
    n, channels, *sides = images.shape
    shape = [n, channels, *(round(settings["scale"] * side) for side in sides)]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand(n, *shape, generator=generator, device=generator.device, dtype=images.dtype)
        return low + (high - low) * drawn.to(images.device)

    area = uniform(*settings["crop_area"])
    narrow, wide = map(math.log, settings["crop_aspect"])
    aspect = uniform(narrow, wide).exp()
    width, height = (area * aspect).sqrt(), (area / aspect).sqrt()
    angle = torch.deg2rad(uniform(-settings["rotation_degrees"], settings["rotation_degrees"]))
    # The crop stays inside the image where it fits; a side longer than the image is centred and reflected.
    x = uniform(-1, 1) * (1 - width).clamp(min=0)
    y = uniform(-1, 1) * (1 - height).clamp(min=0)
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack([torch.stack([cos * width, -sin * height, x], -1), torch.stack([sin * width, cos * height, y], -1)], 1)
    grid = functional.affine_grid(theta, shape, align_corners=False)
    view = functional.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    mean = view.mean(dim=(1, 2, 3), keepdim=True)
    contrast = uniform(1 - settings["contrast"], 1 + settings["contrast"], 1, 1, 1)
    brightness = uniform(-settings["brightness"], settings["brightness"], 1, 1, 1)
    sigma = uniform(0, settings["noise"], 1, 1, 1)
    noise = torch.randn(view.shape, generator=generator, device=generator.device, dtype=view.dtype).to(view.device)
    return mean + contrast * (view - mean) + brightness + sigma * noise
