"""How torch computes in every job, so that two runs on one machine give the same bytes."""

import torch

__all__ = ["compute_deterministically"]


def compute_deterministically(threads: int) -> None:
    """
    Settle the algorithms and the number of threads of this process.

    Parameters
    ----------
    threads : int
        The order in which sums are taken, and so their last bits, depends on it.

    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # What nothing has been written to is not read here; filling it costs time in every operation.
    torch.utils.deterministic.fill_uninitialized_memory = False
