"""SimCLR (Chen et al. 2020): tell the other view of an image from all other images of the batch."""

from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from torch import nn

from ..method import JointEmbedding, Sizes


class Method(JointEmbedding):
    """NT-Xent loss and two-layer projector from lightly, which has batch normalisation after both layers."""

    def __init__(self, encoder: nn.Module, sizes: Sizes, temperature: float):
        super().__init__(encoder, SimCLRProjectionHead(sizes.features, sizes.hidden, sizes.embedding))
        self.criterion = NTXentLoss(temperature=temperature)
