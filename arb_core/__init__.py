"""The method of "Align Representations with Base" (ARB, CVPR 2022), in PyTorch.

Read in this order: `scaling` (Eq. 7), `basis` (Theorem 1, Eq. 9) and how it is computed, `inverse_root`, `loss` (Eq. 8),
`distributed` (the same over several processes). Nothing here reads files, keeps configuration or draws from global randomness.
"""

from .basis import nearest_orthonormal_basis
from .loss import ARBLoss, DirectAlignmentLoss
from .scaling import standard_scale

__all__ = ["ARBLoss", "DirectAlignmentLoss", "nearest_orthonormal_basis", "standard_scale"]
