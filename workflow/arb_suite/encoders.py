"""The encoders that are trained."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

__all__ = ["conv_encoder"]


def conv_encoder(in_channels: int, widths: Sequence[int], strides: Sequence[int]) -> nn.Sequential:
    """
    Build the small convolutional encoder of the embedded data.

    Parameters
    ----------
    in_channels : int
        Channels of the images.
    widths, strides : sequence of int
        Output channels and stride of each 3 x 3 convolution, which is followed by
        batch normalisation and ReLU; the last feature map is averaged.

    Returns
    -------
    nn.Sequential
        Maps (B, in_channels, H, W) to (B, widths[-1]).

    """
    blocks = []
    for (narrow, wide), stride in zip(pairwise([in_channels, *widths]), strides, strict=True):
        blocks += [
            nn.Conv2d(narrow, wide, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
