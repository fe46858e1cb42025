"""Encoded images decoded to RGB: each by itself with Pillow, or the JPEGs of a batch with torchvision, on a GPU if asked to."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from .image_files import FORMATS
from .jobs import UserError

__all__ = ["DECODERS", "alone_on", "decode", "decode_jpegs", "is_common_jpeg"]

DECODERS = ("pillow", "torchvision")
# In messages of errors that are not those of an image
OF_THE_MACHINE = ("not compiled", "out of memory", "CUDA error")
ONE_AT_A_TIME = Lock()


def decode(file: Path | BinaryIO, longest: int | None = None) -> Tensor:
    """
    Decode an image to RGB as the loader of torchvision's ImageFolder does.

    Parameters
    ----------
    file : Path or binary file
        In any format and colour space that Pillow reads.
    longest : int, optional
        Where the shorter side has more pixels than this, the image is reduced to it.

    Returns
    -------
    (3, H, W) uint8 Tensor
        Contiguous. What Pillow raises, of many kinds, is passed on.

    """
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    sides = _reduced(image.size, longest)
    if sides != [*image.size]:
        # torchvision's default filter, which Pillow widens where an image shrinks
        image = image.resize(sides, Image.Resampling.BILINEAR)
    # numpy's copy, unlike that of torch, starts no threads of its own from each thread that decodes
    return torch.from_numpy(np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)))


def is_common_jpeg(content: bytes) -> bool:
    """
    Tell a JPEG that `decode_jpegs` can take from what is left to Pillow, by its header and its end.

    Left are other formats, CMYK and YCCK, RGB that is not stored as YCbCr, and what ends otherwise than with the end
    marker: a decoder on a GPU may not notice that an image is cut off, or in which colours it is stored. What Pillow
    raises of a header is passed on.
    """
    with Image.open(io.BytesIO(content)) as opened:
        common = opened.format == "JPEG" and opened.mode in ("RGB", "L") and opened.info.get("adobe_transform") != 0
    return common and content.endswith(FORMATS["JPEG"][1])


def decode_jpegs(contents: Sequence[bytes], longest: int | None, device: torch.device | str) -> list[Tensor | None]:
    """
    Decode JPEGs to RGB with torchvision.

    torchvision 0.29 announces that its decoders will be removed, in favour of TorchCodec's.

    Parameters
    ----------
    contents : sequence of bytes
        One or more of which `is_common_jpeg` is true.
    longest : int or None
        As for `decode`, to the same sides; the pixels can differ by 1 or 2 of 255.
    device : torch.device or str
        CUDA: nvJPEG decodes them there. Where colours are stored at half the resolution, as
        mostly, it takes the nearest and libjpeg interpolates: about one of 255 levels in the
        mean of photographs, and tens at edges of colour. Anything else: libjpeg decodes them
        on the CPU, to the pixels of `decode` where Pillow has a libjpeg of the same kind.

    Returns
    -------
    list of (3, H, W) uint8 Tensor or None
        On that device or the CPU. None is what torchvision cannot decode.

    Raises
    ------
    UserError
        If it is not for an image that torchvision cannot decode, but for the machine.

    """
    encoded = [torch.frombuffer(bytearray(content), dtype=torch.uint8) for content in contents]
    place = torch.device(device if torch.device(device).type == "cuda" else "cpu")
    try:
        images = torchvision.io.decode_jpeg(encoded, torchvision.io.ImageReadMode.RGB, place)
    except RuntimeError:  # one image fails all; the others shall not depend on it
        images = [_decode_jpeg(image, place) for image in encoded]
    return [
        image if image is None else functional.resize(image, _reduced(image.shape[1:], longest), antialias=True)
        for image in images
    ]


def _decode_jpeg(encoded: Tensor, place: torch.device) -> Tensor | None:
    try:
        image: Tensor = torchvision.io.decode_jpeg(encoded, torchvision.io.ImageReadMode.RGB, place)
        return image
    except RuntimeError as error:
        if any(words in str(error) for words in OF_THE_MACHINE):
            reason = str(error).splitlines()[0]
            raise UserError(f"torchvision cannot decode JPEGs on {place} ({reason}); choose decoder: pillow") from error
        return None


@contextmanager
def alone_on(device: torch.device | str) -> Iterator[None]:
    """
    Let a thread decode with torchvision on a GPU, on a stream of its own, and wait until that is done.

    One thread at a time, with nothing left on the stream: torchvision's decoder writes to memory that the stream has
    freed, without waiting for what is still queued there (see its pull request 9606). It decodes for one at a time anyway.
    There is one stream for good, as memory that was freed serves the stream that it was taken on.
    """
    with ONE_AT_A_TIME, torch.cuda.stream(_stream(device)):
        try:
            yield
        finally:
            torch.cuda.current_stream().synchronize()


@cache
def _stream(device: torch.device | str) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


def _reduced(sides: Sequence[int], longest: int | None) -> list[int]:
    """Return the sides that torchvision's Resize gives where the shorter one has more than `longest` pixels."""
    shorter = min(sides)
    return [*sides] if longest is None or shorter <= longest else [side * longest // shorter for side in sides]
