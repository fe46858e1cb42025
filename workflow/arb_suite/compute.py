"""On which device a job computes, held for it alone, and in what precision its networks."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch

from .gpus import held, visible_gpus
from .jobs import UserError

__all__ = ["Compute", "compute_on", "held_for", "wants_gpu"]

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


@contextlib.contextmanager
def held_for(settings: Mapping[str, str], processes: int, report: Callable[[str], None]) -> Iterator[Compute]:
    """
    Hold as many GPUs as a job has processes, where it computes on GPUs, while the block lasts.

    Parameters
    ----------
    settings : mapping
        See `compute_on`.
    processes : int
        Of the job, with one GPU each.
    report : callable
        Receives a line where other jobs have to be waited for, and where torch sees a
        GPU that cannot be held.

    Yields
    ------
    Compute
        Where and how to compute.

    Raises
    ------
    UserError
        If there are fewer GPUs, or torch cannot use what ``nvidia-smi`` lists: hours
        on a CPU beside a GPU are not what was meant. If the block runs out of a GPU's
        memory.

    """
    wanted = wants_gpu(settings)
    with held(processes if wanted else 0, report):
        compute = compute_on(settings)
        _check_held(compute.device, wanted, report)
        try:
            yield compute
        except torch.OutOfMemoryError as error:  # outside a step, which says more: `memory.out_of_memory`
            said = ". ".join(str(error).split(". ")[:2])
            raise UserError(
                f"the memory of the GPU is full ({said}); free it of what else is there, choose a smaller batch_size,"
                " or a GPU with more; what has been trained is kept"
            ) from error


def wants_gpu(settings: Mapping[str, str]) -> bool:
    """Tell whether to compute on a GPU, without a word to CUDA, which settles which ones it sees when it is first asked."""
    return settings["device"] == "cuda" or (settings["device"] == "auto" and bool(visible_gpus()))


def _check_held(device: torch.device, wanted: bool, report: Callable[[str], None]) -> None:
    if device.type == "cuda" and not wanted:
        report("torch sees a GPU that nvidia-smi does not list, so it is not held: other jobs may take the same one")
    if device.type == "cpu" and wanted:
        raise UserError(
            "nvidia-smi lists a GPU, but torch cannot use it, perhaps because the driver is older than torch needs;"
            " mend that, or set compute: {device: cpu} of the data set"
        )
