"""On which device a job computes, and in what precision its networks."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from .jobs import UserError

__all__ = ["Compute", "compute_on"]

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Compute:
    """
    Where and how a job computes.

    Attributes
    ----------
    device : torch.device
        Of images, networks and losses.
    precision : torch.dtype
        Of the encoder's products. All else, the bases and losses among it, is
        computed in float32 or more.
    name : str
        What the record says of it.

    """

    device: torch.device
    precision: torch.dtype

    @property
    def name(self) -> str:
        """The device as its maker calls it, and the precision."""
        device = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return f"{device}, {str(self.precision).removeprefix('torch.')}"


def compute_on(settings: Mapping[str, str]) -> Compute:
    """
    Return where and how to compute.

    Parameters
    ----------
    settings : mapping
        ``device``: "cpu", "cuda", or "auto" for a GPU where there is one.
        ``precision``: "float32", "bfloat16", or "auto" for bfloat16 on a GPU that has
        it (from NVIDIA's Ampere on; torch emulates it on others, which is slower than
        float32).

    Raises
    ------
    UserError
        If a GPU is asked for and torch sees none.

    """
    found = torch.cuda.is_available()
    if settings["device"] == "cuda" and not found:
        raise UserError("compute.device is cuda, but torch sees no GPU here; choose auto or cpu, or a machine that has one")
    device = torch.device("cuda" if settings["device"] == "cuda" or (settings["device"] == "auto" and found) else "cpu")
    precision = settings["precision"]
    if precision == "auto":
        precision = (
            "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
        )
    return Compute(device, PRECISIONS[precision])
