"""ARB: align each view with the nearest orthonormal basis of the other (Eq. 8)."""

from collections.abc import Sequence
from typing import Any

import torch
from arb_core import ARBLoss
from lightly.models.modules.heads import BarlowTwinsProjectionHead
from torch import Tensor, nn

from ..method import JointEmbedding, Sizes


class Method(JointEmbedding):
    """ARB with the projector of Barlow Twins; the options are those of `arb_core.ARBLoss`."""

    def __init__(self, encoder: nn.Module, sizes: Sizes, **options: Any):
        super().__init__(encoder, BarlowTwinsProjectionHead(sizes.features, sizes.hidden, sizes.embedding))
        self.criterion = ARBLoss(gather_distributed=True, **options)

    def loss(self, views: Sequence[Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return Eq. 8; the generator draws the permutation where shuffle is set."""
        loss: Tensor = self.criterion(*self.embed_all(views), generator=generator)
        return loss
