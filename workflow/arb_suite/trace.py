"""What Figure 3 of the paper draws of a training step."""

import torch
from arb_core import nearest_orthonormal_basis, standard_scale
from torch import Tensor

__all__ = ["RIDGE", "trace"]

EPS, RIDGE = 1e-6, 1e-4  # of Eq. 7, as in `ARBLoss`; of Eq. 9


@torch.no_grad()
def trace(z_a: Tensor, z_b: Tensor) -> dict[str, float]:
    """
    Describe the embeddings of one batch.

    Parameters
    ----------
    z_a, z_b : (N, d) Tensor
        Raw embeddings of the two views.

    Returns
    -------
    dict
        ``embedding_distance`` and ``base_distance``, the squared Frobenius norms of
        the difference of the views, standard-scaled (Eq. 7), and of their bases
        (Eq. 9); ``embedding_std``, the mean over features and views of the standard
        deviation before Eq. 7. The scale of the distances is that of Fig. 3, of the
        standard deviation too (P20 of the audit).

    """
    scaled = [standard_scale(z, eps=EPS) for z in (z_a, z_b)]
    bases = [nearest_orthonormal_basis(z, ridge=RIDGE) for z in scaled]
    return {
        "embedding_distance": (scaled[0] - scaled[1]).square().sum().item(),
        "base_distance": (bases[0] - bases[1]).square().sum().item(),
        "embedding_std": torch.stack([z.std(dim=0, correction=0).mean() for z in (z_a, z_b)]).mean().item(),
    }
