"""MoCo V2 (Chen et al. 2020): tell the teacher's key of the other view from a queue of earlier keys."""

from collections.abc import Sequence

import torch
from arb_core.distributed import gather_rows
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import MoCoProjectionHead
from torch import Tensor, nn

from ..method import MomentumMethod, Sizes


class Method(MomentumMethod):
    """
    Momentum encoder and queue; loss, memory bank and head from lightly.

    In both directions, with a queue for each, as in solo-learn's "MoCo V2+".

    """

    def __init__(self, encoder: nn.Module, sizes: Sizes, temperature: float, queue_size: int, momentum: Sequence[float]):
        super().__init__(encoder, MoCoProjectionHead(sizes.features, sizes.hidden, sizes.embedding), momentum)
        bank = (queue_size, sizes.embedding)
        self.criteria = nn.ModuleList(NTXentLoss(temperature, memory_bank_size=bank) for _ in range(2))

    def loss(self, views: Sequence[Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean over both directions of the contrastive loss; the keys join their queues."""
        queries = [gather_rows(self.embed(view)) for view in views]
        keys = [gather_rows(self.target(view)) for view in views]
        loss: Tensor = (self.criteria[0](queries[0], keys[1]) + self.criteria[1](queries[1], keys[0])) / 2
        return loss
