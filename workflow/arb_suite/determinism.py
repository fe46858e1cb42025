"""How torch computes in every job, so that two runs on one machine give the same bytes."""

import os

import torch

__all__ = ["compute_deterministically"]


def compute_deterministically(threads: int, device: torch.device | None = None) -> None:
    """
    Settle the algorithms and the number of threads of this process.

    Parameters
    ----------
    threads : int
        The order in which sums are taken, and so their last bits, depends on it.
    device : torch.device, optional
        Where it computes; CPU by default, where an operation without a deterministic
        algorithm raises. On a GPU it warns: torch has none there for some layers'
        gradients; and convolutions of float32 are not reduced to TF32.

    """
    on_gpu = device is not None and device.type == "cuda"
    torch.set_num_threads(threads)
    if on_gpu:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the library is first used
        # float32 is meant where it is said: by default convolutions on a GPU round their factors to 11 bits (TF32)
        torch.backends.cudnn.allow_tf32 = False
    torch.use_deterministic_algorithms(True, warn_only=on_gpu)
    # What nothing has been written to is not read here; filling it costs time in every operation.
    # torch makes the attribute when it is imported, where mypy does not see it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
