"""What to say when a batch does not fit into the memory of a GPU: which one would."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .jobs import UserError
from .method import BaseMethod
from .processes import world_size

__all__ = ["out_of_memory"]


def out_of_memory(method: BaseMethod, views: Sequence[Tensor], labels: Tensor, generator: torch.Generator) -> UserError:
    """
    Return the error for a batch that does not fit, after trying halves of it.

    Parameters
    ----------
    method : BaseMethod
        Not to be used afterwards.
    views, labels, generator
        Of the step that failed; see `BaseMethod.loss`.

    Returns
    -------
    UserError
        With the largest of the halves, quarters, ... whose loss and gradient could be
        computed, times the number of processes. With several processes nothing can be
        tried, since the others would have to try it too.

    """
    size, processes = len(labels), world_size()
    advice = "choose a smaller batch_size, with learning rates in proportion, or share it by processes on GPUs of their own"
    fitting = None if processes > 1 else _fitting(method, views, labels, generator)
    found = "" if fitting is None else f"; {fitting} would fit here"
    return UserError(f"batch_size {size * processes} does not fit into the memory of the device{found}; {advice}")


def _fitting(method: BaseMethod, views: Sequence[Tensor], labels: Tensor, generator: torch.Generator) -> int | None:
    size = len(labels)
    while size > 2:
        size //= 2
        method.zero_grad(set_to_none=True)
        momenta = []
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            momenta += [torch.empty_like(parameter) for parameter in method.parameters() if parameter.requires_grad]
            method.loss([view[:size] for view in views], labels[:size], generator).backward()
        except torch.OutOfMemoryError:
            continue
        except (ValueError, RuntimeError):  # of a method that takes no such batch
            return None
        return size
    return None
