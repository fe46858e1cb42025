"""What is random in a view of a photograph, drawn for a whole batch at once, distributed as torchvision draws it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

__all__ = ["BRIGHTNESS", "CONTRAST", "HUE", "SATURATION", "PhotoParameters", "draw_parameters", "draw_uniforms", "settle"]

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)  # places in `factors`, values in `order`; torchvision's numbering

ATTEMPTS = 10  # at a crop that fits the image, as in torchvision
# Uniform numbers that one sample takes, by what they settle
DRAWS = {
    "area": ATTEMPTS,
    "aspect": ATTEMPTS,
    "place": 2,
    "flip": 1,
    "jitter": 1,
    "factors": 4,
    "order": 4,
    "grey": 1,
    "blur": 1,
    "sigma": 1,
    "solarise": 1,
}


@dataclass(frozen=True)
class PhotoParameters:
    """
    Random parameters of the views of B images.

    Attributes
    ----------
    boxes : (B, 4) int64 Tensor
        Top, left, height and width of the crop in pixels of the image.
    flipped, jittered, grey, blurred, solarised : (B,) bool Tensor
        Which samples undergo the operation.
    factors : (B, 4) float32 Tensor
        Factors of brightness, contrast and saturation, and the shift of the hue in
        turns; they are drawn whether or not the sample is jittered.
    order : (B, 4) int64 Tensor
        Which of `BRIGHTNESS`, `CONTRAST`, `SATURATION`, `HUE` comes first, second, ...
    sigma : (B,) float32 Tensor
        Standard deviation of the blur in pixels of the view, drawn for every sample.

    """

    boxes: Tensor
    flipped: Tensor
    jittered: Tensor
    factors: Tensor
    order: Tensor
    grey: Tensor
    blurred: Tensor
    sigma: Tensor
    solarised: Tensor

    def to(self, device: torch.device) -> "PhotoParameters":
        """Return the same parameters on a device, without waiting for the copy."""
        return PhotoParameters(
            **{field.name: getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)}
        )


def draw_parameters(sizes: Tensor, settings: Mapping[str, Any], generator: torch.Generator) -> PhotoParameters:
    """
    Draw the parameters of one random view of each image.

    Parameters
    ----------
    sizes : (B, 2) int64 Tensor
        Heights and widths of the images in pixels, on the device of `generator`.
    settings : mapping
        See `photo_views.random_photo_view`.
    generator : torch.Generator
        Gives 36 uniform numbers to each sample, whatever comes of them.

    Returns
    -------
    PhotoParameters
        On the device of `generator`. Sample i depends on the generator and on
        ``sizes[i]`` alone.

    Notes
    -----
    The distributions are those of ``RandomResizedCrop``, ``ColorJitter``,
    ``GaussianBlur`` and the ``p`` of the other transforms of torchvision; the numbers
    drawn for one seed are not.

    """
    return settle(draw_uniforms(len(sizes), generator), sizes, settings)


def draw_uniforms(n: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw what settles the views of n images: for each of `DRAWS` (n, k) numbers, uniform in [0, 1), float64."""
    drawn = torch.rand(n, sum(DRAWS.values()), generator=generator, device=generator.device, dtype=torch.float64)
    return dict(zip(DRAWS, drawn.split(list(DRAWS.values()), dim=1), strict=True))


def settle(uniform: Mapping[str, Tensor], sizes: Tensor, settings: Mapping[str, Any]) -> PhotoParameters:
    """Return what the numbers of `draw_uniforms` mean for images of some sizes (n, 2); see `draw_parameters`."""
    hue = settings["jitter"][HUE]
    spread = [(max(0.0, 1 - strength), 1 + strength) for strength in settings["jitter"][:HUE]] + [(-hue, hue)]
    factors = [_between(u, *bounds) for u, bounds in zip(uniform["factors"].unbind(1), spread, strict=True)]
    return PhotoParameters(
        boxes=_crop_boxes(uniform["area"], uniform["aspect"], uniform["place"], sizes, settings),
        flipped=uniform["flip"][:, 0] < settings["flip"],
        jittered=uniform["jitter"][:, 0] < settings["jitter_share"],
        factors=torch.stack(factors, dim=1).float(),
        order=uniform["order"].argsort(dim=1),  # places of independent uniform numbers: each permutation is as likely
        grey=uniform["grey"][:, 0] < settings["grey"],
        blurred=uniform["blur"][:, 0] < settings["blur"],
        sigma=_between(uniform["sigma"][:, 0], *settings["blur_sigma"]).float(),
        solarised=uniform["solarise"][:, 0] < settings["solarise"],
    )


def _between(uniform: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * uniform


def _crop_boxes(area: Tensor, aspect: Tensor, place: Tensor, sizes: Tensor, settings: Mapping[str, Any]) -> Tensor:
    """
    Return the crops that torchvision's ``RandomResizedCrop`` takes, (n, 4) int64: top, left, height, width.

    The first attempt that fits counts; after ten that do not, the largest central crop of an
    aspect within the bounds. `area`, `aspect` (n, 10) and `place` (n, 2) are uniform in [0, 1).
    """
    low, high = settings["crop_aspect"]
    height, width = sizes.double().unbind(1)
    # Area in pixels, uniform; width over height, log-uniform. Halves are rounded to even, as Python does it.
    pixels = (height * width)[:, None] * _between(area, *settings["crop_area"])
    ratio = _between(aspect, math.log(low), math.log(high)).exp()
    heights, widths = (pixels / ratio).sqrt().round(), (pixels * ratio).sqrt().round()

    fits = (heights > 0) & (heights <= height[:, None]) & (widths > 0) & (widths <= width[:, None])
    first = fits.int().argmax(dim=1, keepdim=True)
    found = fits.any(dim=1)
    crop_height = torch.where(found, heights.gather(1, first)[:, 0], torch.minimum(height, (width / low).round()))
    crop_width = torch.where(found, widths.gather(1, first)[:, 0], torch.minimum(width, (height * high).round()))

    corner = []
    for room, u in zip((height - crop_height, width - crop_width), place.unbind(1), strict=True):
        anywhere = torch.minimum((u * (room + 1)).floor(), room)  # a product can be rounded up to room + 1
        corner.append(torch.where(found, anywhere, (room / 2).floor()))
    return torch.stack([*corner, crop_height, crop_width], dim=1).long()
