"""Supervised reference: cross-entropy on the labels, with the same views and training length."""

from collections.abc import Sequence

import torch
from arb_core.distributed import sum_over_processes
from torch import Tensor, nn
from torch.nn import functional

from ..method import BaseMethod, Sizes
from ..processes import world_size


class Method(BaseMethod):
    """The encoder with a linear classifier, which is thrown away before evaluation like a projector."""

    def __init__(self, encoder: nn.Module, sizes: Sizes):
        super().__init__(encoder)
        self.classifier = nn.Linear(sizes.features, sizes.classes)

    def loss(self, views: Sequence[Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean cross-entropy over both views."""
        losses = [functional.cross_entropy(self.classifier(self.encoder(view)), labels) for view in views]
        return sum_over_processes(torch.stack(losses).mean()) / world_size()
