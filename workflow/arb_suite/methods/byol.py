"""BYOL (Grill et al. 2020): predict the other view's embedding by a slowly moving teacher."""

from collections.abc import Sequence

import torch
from arb_core.distributed import gather_rows
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import BYOLPredictionHead, BYOLProjectionHead
from torch import Tensor, nn

from ..method import MomentumMethod, Sizes


class Method(MomentumMethod):
    """Predictor on the student's side, momentum encoder on the other; loss and heads from lightly."""

    def __init__(self, encoder: nn.Module, sizes: Sizes, prediction_hidden: int, momentum: Sequence[float]):
        super().__init__(encoder, BYOLProjectionHead(sizes.features, sizes.hidden, sizes.embedding), momentum)
        self.predictor = BYOLPredictionHead(sizes.embedding, prediction_hidden, sizes.embedding)
        self.criterion = NegativeCosineSimilarity()

    def loss(self, views: Sequence[Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return minus the cosine of prediction and target, over both directions: BYOL's Eq. 2 but for scale and constant."""
        predictions = [gather_rows(self.predictor(self.embed(view))) for view in views]
        targets = [gather_rows(self.target(view)) for view in views]
        loss: Tensor = (self.criterion(predictions[0], targets[1]) + self.criterion(predictions[1], targets[0])) / 2
        return loss
