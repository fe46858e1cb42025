"""The encoders that are trained."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from .jobs import UserError

__all__ = ["Encoder", "build_encoder", "conv_encoder", "resnet_encoder", "set_precision"]

RESNETS: dict[str, Callable[..., models.ResNet]] = {"resnet18": models.resnet18, "resnet50": models.resnet50}
STEMS = ("small", "large")


class Encoder(nn.Sequential):
    """
    Layers that compute their products in a precision of their own and give float32.

    Attributes
    ----------
    precision : torch.dtype
        float32, or bfloat16 under autocast; see `set_precision`.

    """

    precision = torch.float32

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) images to (B, features), float32."""
        forward: Callable[[Tensor], Tensor] = super().forward
        if self.precision == torch.float32:
            return forward(images)
        with torch.autocast(images.device.type, self.precision):
            return forward(images).float()


def set_precision(model: nn.Module, precision: torch.dtype) -> None:
    """Let every encoder in a model, a teacher's among them, compute in a precision."""
    for part in model.modules():
        if isinstance(part, Encoder):
            part.precision = precision


def build_encoder(in_channels: int, settings: Mapping[str, Any]) -> tuple[Encoder, int]:
    """
    Build the encoder that the settings describe; parameters are drawn from torch's global generator.

    Parameters
    ----------
    in_channels : int
        Channels of the images.
    settings : mapping
        ``kind``, and what goes with it: "conv" has the parameters of `conv_encoder`,
        "resnet18" and "resnet50" those of `resnet_encoder`.

    Returns
    -------
    Encoder
        Maps (B, in_channels, H, W) to (B, features).
    int
        The number of features.

    Raises
    ------
    UserError
        If the kind is unknown, or the rest does not go with it.

    """
    options = dict(settings)
    kind = options.pop("kind", None)
    try:
        if kind == "conv":
            return conv_encoder(in_channels, **options), options["widths"][-1]
        if kind in RESNETS:
            resnet, features = resnet_encoder(kind, in_channels, **options)
            return Encoder(resnet), features
    except (TypeError, ValueError) as error:
        raise UserError(f"encoder {kind} cannot be built with {options}: {error}; change the encoder settings") from error
    raise UserError(f"encoder: kind {kind!r} is unknown; known are conv, {', '.join(RESNETS)}")


def conv_encoder(in_channels: int, widths: Sequence[int], strides: Sequence[int]) -> Encoder:
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
    Encoder
        Maps (B, in_channels, H, W) to (B, widths[-1]).

    """
    blocks = []
    for (narrow, wide), stride in zip(pairwise([in_channels, *widths]), strides, strict=True):
        blocks += [
            nn.Conv2d(narrow, wide, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(inplace=True),
        ]
    return Encoder(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def resnet_encoder(
    kind: str, in_channels: int, stem: str, padding: int | None = None, zero_init_residual: bool = False
) -> tuple[models.ResNet, int]:
    """
    Build a ResNet without its classifier, freshly initialised.

    Parameters
    ----------
    kind : str
        "resnet18" or "resnet50", as in torchvision (which has the stride of a
        bottleneck in its 3 x 3 convolution).
    in_channels : int
        Channels of the images: 3.
    stem : str
        "large": torchvision's, a 7 x 7 convolution and max-pooling, each of stride 2.
        "small", for images of 32 x 32 pixels: a 3 x 3 convolution of stride 1.
    padding : int, optional
        Of the convolution of the small stem; 1 where it is not given. The paper's
        code has 2.
    zero_init_residual : bool
        Start with the last batch normalisation of each residual branch at zero.

    Returns
    -------
    models.ResNet
        Maps (B, 3, H, W) to (B, features); ``fc`` is an identity.
    int
        The number of features: 512 or 2048.

    Raises
    ------
    UserError
        If there are other than 3 channels.
    ValueError
        If the stem is unknown, or a padding is given that it does not take.

    """
    if in_channels != 3:
        raise UserError(f"encoder {kind} takes images of 3 channels, these have {in_channels}; choose the kind conv")
    if stem not in STEMS:
        raise ValueError(f"stem {stem!r} is unknown; known are {', '.join(STEMS)}")
    if stem == "large" and padding is not None:
        raise ValueError(f"padding {padding} is of the small stem; leave it out for the large one")
    if padding is not None and padding < 0:
        raise ValueError(f"padding must be 0 or more, got {padding}")
    encoder = RESNETS[kind](weights=None, zero_init_residual=zero_init_residual)
    features = encoder.fc.in_features
    encoder.fc = nn.Identity()
    if stem == "small":
        encoder.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1 if padding is None else padding, bias=False)
        nn.init.kaiming_normal_(encoder.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's convolutions
        encoder.maxpool = nn.Identity()
    return encoder, features
