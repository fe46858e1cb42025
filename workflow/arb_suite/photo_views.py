"""Views of photographs for pre-training and evaluation, drawn per sample on the device where the batch lies."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from .jobs import UserError
from .photo_operations import blur, crop_resize, jitter, luminance, resize_centre, solarise
from .photo_parameters import PhotoParameters, draw_parameters

__all__ = ["central_view", "photo_view", "random_photo_view"]

LARGEST_PART = 2**28  # values of a batch that are in float32 at a time, 1 GiB; padded images from files are more than that


def random_photo_view(
    images: Tensor, settings: Mapping[str, Any], generator: torch.Generator, sizes: Tensor | None = None
) -> Tensor:
    """
    Draw one random view of each photograph with the augmentation of Barlow Twins, which the paper follows.

    Parameters
    ----------
    images : (B, 3, H, W) uint8 or float Tensor
        RGB in 0 .. 255 or in [0, 1].
    settings : mapping
        With ``kind: photo``: ``size``, side of the view in pixels; ``crop_area`` and
        ``crop_aspect`` as [low, high] (fraction of the image, uniform; width over
        height, log-uniform);
        ``flip``, the share of mirrored views; ``jitter``, the strengths s of
        brightness, contrast and saturation (factors in 1 +- s) and of hue (a shift of
        +- s turns); ``jitter_share``; ``grey``, the share of views without colour;
        ``blur``, the share of blurred views; ``blur_sigma`` as [low, high] in pixels of
        the view; ``blur_kernel``, to how many pixels the Gaussian is cut, odd;
        ``solarise``, the share of solarised views; ``mean`` and ``std`` of the three
        channels, by which the view is normalised.
    generator : torch.Generator
        Source of all of it, on any device: on CPU, it draws the same views for images
        on a GPU.
    sizes : (B, 2) int64 Tensor, optional
        On the device of `generator`: heights and widths where images of several sizes are padded, to the right and
        below, to H x W. By default all of them are H x W.

    Returns
    -------
    (B, 3, size, size) float32 Tensor
        The normalised views, on the device of `images`.

    Raises
    ------
    UserError
        If the images have another form, or the kernel of the blur does not fit the
        view.

    Notes
    -----
    Equal to torchvision's transforms on 8-bit images but for their rounding after
    each of them. Share 0 or 1 means never or always. Call it outside autocast, whose
    products of 16 bits are too coarse to resample by.

    """
    _check(images)
    sizes = _sizes_of(images, generator.device) if sizes is None else sizes
    return photo_view(images, settings, draw_parameters(sizes, settings, generator))


def photo_view(images: Tensor, settings: Mapping[str, Any], drawn: PhotoParameters) -> Tensor:
    """Return the view of each photograph that the parameters, on any device, describe; see `random_photo_view`."""
    _check(images)
    drawn = drawn.to(images.device)

    def where(chosen: Tensor, changed: Tensor, kept: Tensor) -> Tensor:
        return torch.where(chosen[:, None, None, None], changed, kept)

    parts = _parts(images, drawn.boxes, drawn.flipped)
    view = torch.cat([crop_resize(some, boxes, flipped, settings["size"]) for some, boxes, flipped in parts])
    view = where(drawn.jittered, jitter(view, drawn.factors, drawn.order), view)
    view = where(drawn.grey, luminance(view), view)
    view = where(drawn.blurred, blur(view, drawn.sigma, settings["blur_kernel"]), view)
    view = where(drawn.solarised, solarise(view), view)
    return _normalise(view, settings)


def central_view(images: Tensor, settings: Mapping[str, Any], sizes: Tensor | None = None) -> Tensor:
    """
    Return the view of each photograph on which an encoder is evaluated.

    Parameters
    ----------
    images : (B, 3, H, W) uint8 or float Tensor
        As in `random_photo_view`.
    settings : mapping
        ``size``, ``mean``, ``std``; and ``resize``, the length in pixels to which the
        shorter side is brought before the central square is cut out. Without it the
        images are taken as they are and must be size x size.
    sizes : (B, 2) int64 Tensor, optional
        As in `random_photo_view`, on any device.

    Returns
    -------
    (B, 3, size, size) float32 Tensor
        The normalised views.

    Raises
    ------
    UserError
        If the images have another form, or there is no ``resize`` and they are not
        size x size, or ``resize`` is less than ``size``.

    """
    _check(images)
    size, shorter = settings["size"], settings.get("resize")
    if shorter is None:
        if tuple(images.shape[2:]) != (size, size) or sizes is not None:
            raise UserError(
                f"images of {images.shape[2]} x {images.shape[3]} pixels, where the settings ask for {size} x {size} and no "
                "resizing; give `resize`, the length of the shorter side from which the centre is taken"
            )
        return _normalise(_unit_range(images), settings)
    if shorter < size:
        raise UserError(f"resize is {shorter}, which leaves no central square of size {size}; it must be {size} or more")
    sizes = _sizes_of(images, images.device) if sizes is None else sizes.to(images.device)
    return _normalise(torch.cat([resize_centre(some, of, shorter, size) for some, of in _parts(images, sizes)]), settings)


def _check(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or not (images.dtype == torch.uint8 or images.is_floating_point()):
        raise UserError(
            f"a batch of photographs of shape {tuple(images.shape)} and type {images.dtype}; "
            "it must be (B, 3, H, W), uint8 or float: convert it to RGB first"
        )


def _parts(images: Tensor, *of_each: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield some images at a time, in [0, 1], with what belongs to each, so that not all are in float32 at once."""
    together = max(1, LARGEST_PART // max(1, images[:1].numel()))
    for some, *others in zip(images.split(together), *(each.split(together) for each in of_each), strict=True):
        yield _unit_range(some), *others


def _unit_range(images: Tensor) -> Tensor:
    """Return RGB images as float32 in [0, 1]."""
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def _sizes_of(images: Tensor, device: torch.device) -> Tensor:
    # filled on the device: a tensor made from a list would be copied there, and waited for
    return torch.stack([torch.full((len(images),), side, device=device) for side in images.shape[2:]], dim=1)


def _normalise(images: Tensor, settings: Mapping[str, Any]) -> Tensor:
    channels = zip(images.unbind(1), settings["mean"], settings["std"], strict=True)
    return torch.stack([(channel - mean) / std for channel, mean, std in channels], dim=1)
