"""Independent random streams from one seed."""

import numpy as np

__all__ = ["stream_seed"]

PURPOSES = ("parameters", "order", "method", "probe", "view")


def stream_seed(seed: int, purpose: str, index: int = 0) -> int:
    """
    Derive the seed of one stream of randomness, so that no two streams of any seeds coincide.

    Parameters
    ----------
    seed : int
        Of the run.
    purpose : {"parameters", "order", "method", "probe", "view"}
        Initial parameters; order of the images; what a method draws itself; order
        of the images in the linear probe; random views.
    index : int
        Which of several streams of one purpose.

    """
    sequence = np.random.SeedSequence([seed, PURPOSES.index(purpose), index])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
