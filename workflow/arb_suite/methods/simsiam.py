"""SimSiam (Chen and He 2021): predict the other view's embedding, through which no gradient flows."""

from collections.abc import Sequence

import torch
from arb_core.distributed import gather_rows
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import SimSiamPredictionHead, SimSiamProjectionHead
from torch import Tensor, nn

from ..method import BaseMethod, Sizes


class Method(BaseMethod):
    """Predictor and stop-gradient; loss and heads from lightly. The predictor's rate decays like every other."""

    def __init__(self, encoder: nn.Module, sizes: Sizes, prediction_hidden: int):
        super().__init__(encoder, SimSiamProjectionHead(sizes.features, sizes.hidden, sizes.embedding))
        self.predictor = SimSiamPredictionHead(sizes.embedding, prediction_hidden, sizes.embedding)
        self.criterion = NegativeCosineSimilarity()

    def loss(self, views: Sequence[Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return minus the cosine of prediction and target, the mean of both directions (Eq. 4 of SimSiam)."""
        embeddings = [self.embed(view) for view in views]
        predictions = [gather_rows(self.predictor(z)) for z in embeddings]
        targets = [gather_rows(z.detach()) for z in embeddings]
        loss: Tensor = (self.criterion(predictions[0], targets[1]) + self.criterion(predictions[1], targets[0])) / 2
        return loss
