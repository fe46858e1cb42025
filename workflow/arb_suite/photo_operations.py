"""
The operations on photographs, per sample with parameters of its own, equal to torchvision's.

Images are (B, 3, H, W) float32 Tensors in [0, 1] throughout, and stay in [0, 1] as 8-bit images do. Nothing waits for the
device: no value is read back, no operation selects by a mask.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .jobs import UserError
from .photo_parameters import CONTRAST, HUE, SATURATION

__all__ = ["blur", "crop_resize", "jitter", "luminance", "resize_centre", "shift_hue", "solarise"]

# A threshold of 128 on 8-bit values, 127 staying and 128 being inverted, is one anywhere between the two; half-way, the
# rounding of 32-bit arithmetic cannot move a value across it.
SOLARISE_FROM = 127.5 / 255


def crop_resize(images: Tensor, boxes: Tensor, flipped: Tensor, size: int) -> Tensor:
    """
    Crop each image, resize the crop to a square and mirror it where asked.

    Parameters
    ----------
    images : (B, 3, H, W) float32 Tensor
        Values in [0, 1].
    boxes : (B, 4) int64 Tensor
        Top, left, height and width of the crops.
    flipped : (B,) bool Tensor
        Which crops are mirrored from left to right.
    size : int
        Side of the result.

    Returns
    -------
    (B, 3, size, size) float32 Tensor
        Bicubic resampling of the crop as by torchvision on 8-bit images, but for the
        rounding: Keys' kernel with a = -1/2, widened where the crop shrinks, cut at the
        crop's border and normalised; clamped after the horizontal pass, which comes
        first, and after the vertical one.

    Notes
    -----
    Pillow does the same up to version 12. From 13 on it begins with the vertical pass
    where the height shrinks much more than the width, which shows only where a clamp
    acts between the passes.

    """
    top, left, height, width = boxes.unbind(1)
    grid = torch.arange(size, device=images.device).expand(len(images), size)
    columns = torch.where(flipped[:, None], size - 1 - grid, grid)
    # the crop shows `size` points of a grid of `size` points
    points = torch.full_like(top, size)
    return _apply(
        images,
        _resampling(images.shape[2], top, height, grid, points, _cubic),
        _resampling(images.shape[3], left, width, columns, points, _cubic),
    )


def resize_centre(images: Tensor, sizes: Tensor, shorter: int, size: int) -> Tensor:
    """
    Resize the shorter side of each image and take the central square, as ``Resize`` and ``CenterCrop`` do.

    Parameters
    ----------
    images : (B, 3, H, W) float32 Tensor
        Values in [0, 1].
    sizes : (B, 2) int64 Tensor
        Heights and widths of the images; beyond them lies padding.
    shorter : int
        Length of the shorter side after resizing.
    size : int
        Side of the square, at most `shorter`.

    Returns
    -------
    (B, 3, size, size) float32 Tensor
        Resampled bilinearly, the kernel widened where the image shrinks (the default of
        ``Resize``, and what the evaluation of Barlow Twins does).

    """
    points = sizes * shorter // sizes.amin(dim=1, keepdim=True)
    first = ((points - size) / 2).round().long()
    grid = first[..., None] + torch.arange(size, device=images.device)
    start = torch.zeros_like(sizes)
    seen = zip(images.shape[2:], start.unbind(1), sizes.unbind(1), grid.unbind(1), points.unbind(1), strict=True)
    return _apply(images, *(_resampling(*axis, _hat) for axis in seen))


def jitter(images: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """
    Change brightness, contrast, saturation and hue of each image, in the order of its own.

    Parameters
    ----------
    images : (B, 3, H, W) float32 Tensor
    factors : (B, 4) float32 Tensor
        Factors of brightness, contrast and saturation; shift of the hue in turns.
    order : (B, 4) int64 Tensor
        `BRIGHTNESS`, ... of `photo_parameters` in the order of their application.

    Returns
    -------
    (B, 3, H, W) float32 Tensor

    Notes
    -----
    The hue is the costly one. It is computed once for the batch, between what comes
    before it in a sample's order and what comes after: three steps each, in which a
    factor of 1 keeps the samples as they are whose turn it is not.

    """
    turn_of_hue = (order == HUE).int().argmax(dim=1)
    by_turn = factors.gather(1, order)
    for turn in (0, 1, 2):
        images = _blend(images, order[:, turn], torch.where(turn < turn_of_hue, by_turn[:, turn], 1.0))
    images = shift_hue(images, factors[:, HUE])
    for turn in (1, 2, 3):
        images = _blend(images, order[:, turn], torch.where(turn > turn_of_hue, by_turn[:, turn], 1.0))
    return images


def _blend(images: Tensor, operation: Tensor, factor: Tensor) -> Tensor:
    """Return factor x image + (1 - factor) x other; by `operation` the other is black, the mean grey or the grey image."""
    operation, factor = operation[:, None, None, None], factor[:, None, None, None]
    of_mean, of_grey = ((1 - factor) * (operation == chosen) for chosen in (CONTRAST, SATURATION))
    grey = luminance(images)
    share = of_mean * grey.mean(dim=(2, 3), keepdim=True) + of_grey * grey
    return (images * factor).add_(share).clamp_(0, 1)


def luminance(images: Tensor) -> Tensor:
    """Return the grey image, (B, 1, H, W), with torchvision's weights, which add up to 0.9999."""
    red, green, blue = images.split(1, dim=1)
    grey: Tensor = (red * 0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    return grey


def shift_hue(images: Tensor, shift: Tensor) -> Tensor:
    """
    Turn the hue of each image.

    Parameters
    ----------
    images : (B, 3, H, W) float32 Tensor
    shift : (B,) float32 Tensor
        In turns: 1/3 makes red green.

    Returns
    -------
    (B, 3, H, W) float32 Tensor

    """
    red, green, blue = images.unbind(1)
    low, value = images.aminmax(dim=1)
    chroma = value - low
    divisor = torch.where(chroma > 0, chroma, 1.0)  # without chroma the hue does not matter
    # In sixths of a turn, by which of the three is the largest: red before green before blue
    green_or_blue = torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    hue = torch.where(value == red, (green - blue) / divisor, green_or_blue)
    hue += 6 * shift[:, None, None]
    # Each channel falls from the value to the lowest one as the hue leaves its own third of the circle
    turned = []
    for offset in (5, 3, 1):
        place = (hue + offset).remainder_(6)
        turned.append(value - chroma * torch.minimum(place, 4 - place).clamp_(0, 1))
    return torch.stack(turned, dim=1).clamp_(0, 1)


def blur(images: Tensor, sigma: Tensor, kernel_size: int) -> Tensor:
    """
    Blur each image with a Gaussian, the image being reflected at its border.

    Parameters
    ----------
    images : (B, 3, S, S) float32 Tensor
    sigma : (B,) float32 Tensor
        Standard deviations in pixels.
    kernel_size : int
        The Gaussian is cut to that many pixels and normalised; odd, less than 2 S.

    Returns
    -------
    (B, 3, S, S) float32 Tensor

    Raises
    ------
    UserError
        If the kernel is even or reaches beyond the reflected image.

    """
    size = images.shape[-1]
    if kernel_size % 2 == 0 or not 0 < kernel_size < 2 * size:
        raise UserError(f"blur_kernel is {kernel_size}; it must be odd and below {2 * size}, twice the view's side")
    pixel = torch.arange(size, device=images.device)
    offset = torch.arange(kernel_size, device=images.device) - kernel_size // 2
    weights = torch.softmax(-((offset / sigma[:, None]) ** 2) / 2, dim=1)
    seen = (pixel[:, None] + offset).abs()  # row by row, the pixel that each weight falls on; the border is not repeated
    seen = torch.where(seen < size, seen, 2 * (size - 1) - seen)
    falls_on = (seen.T[..., None] == pixel).to(images.dtype)  # (kernel_size, S, S)
    matrix = (weights @ falls_on.flatten(1)).view(-1, size, size)
    return _apply(images, matrix, matrix)


def solarise(images: Tensor) -> Tensor:
    """Invert the values of the upper half, from 128 of 255 on."""
    return torch.where(images >= SOLARISE_FROM, 1 - images, images)


# --- separable resampling ---------------------------------------------------------------------------------------------


def _apply(images: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Return vertical @ image @ horizontal^T, clamped after each product; matrices (B, S, H) and (B, S, W)."""
    n, channels, height, width = images.shape
    rows = (images.reshape(n, channels * height, width) @ horizontal.mT).clamp_(0, 1).view(n, channels, height, -1)
    # by channel, or the matrices would be copied three times
    return torch.stack([vertical @ channel for channel in rows.unbind(1)], dim=1).clamp_(0, 1)


def _resampling(
    pixels: int, start: Tensor, length: Tensor, places: Tensor, points: Tensor, kernel: Callable[[Tensor], Tensor]
) -> Tensor:
    """
    Return the matrices that resample a part of a line of pixels.

    Parameters
    ----------
    pixels : int
        Pixels of the line.
    start, length : (B,) int64 Tensor
        The part that is seen, in pixels.
    places : (B, S) int64 Tensor
        Which of the new points are wanted.
    points : (B,) int64 Tensor
        New points on the part.
    kernel : callable
        The interpolating function of the distance in points, or in pixels where they are wider.

    Returns
    -------
    (B, S, pixels) float32 Tensor
        Rows add up to 1.

    """
    step = (length / points)[:, None]
    place = (torch.arange(pixels, device=places.device) - start[:, None])[:, None]
    distance = (place + 0.5 - ((places + 0.5) * step)[..., None]) / step.clamp(min=1)[..., None]
    weights = kernel(distance) * ((place >= 0) & (place < length[:, None, None]))
    return weights / weights.sum(dim=-1, keepdim=True)


def _cubic(distance: Tensor, a: float = -0.5) -> Tensor:
    """Return Keys' cubic kernel; a = -1/2 is Pillow's and torch's with antialiasing, -3/4 torch's without it."""
    x = distance.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _hat(distance: Tensor) -> Tensor:
    return (1 - distance.abs()).clamp_(min=0)
