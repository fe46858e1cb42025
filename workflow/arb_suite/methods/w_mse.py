"""W-MSE (Ermolov et al. 2021): bring the whitened embeddings of both views together."""

from collections.abc import Sequence

import torch
from arb_core.distributed import gather_rows
from lightly.loss import WMSELoss
from lightly.models.modules.heads import BYOLProjectionHead
from torch import Tensor, nn

from ..method import JointEmbedding, Sizes


class Method(JointEmbedding):
    """
    Whitening and loss from lightly.

    Parameters
    ----------
    whitening_size : int
        Embeddings that are whitened together, drawn at random from the batch;
        divides the batch, and is at least twice the dimension.

    """

    def __init__(self, encoder: nn.Module, sizes: Sizes, whitening_size: int):
        # Two layers with batch normalisation between, as in W-MSE's paper; they are BYOL's.
        super().__init__(encoder, BYOLProjectionHead(sizes.features, sizes.hidden, sizes.embedding))
        self.criterion = WMSELoss(sizes.embedding, w_size=whitening_size)

    def loss(self, views: Sequence[Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return 2 - 2 cos of the whitened embeddings; the generator draws who is whitened with whom."""
        embeddings = torch.cat([gather_rows(self.embed(view)) for view in views])
        # lightly draws from torch's global generator, which is put back afterwards.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            loss: Tensor = self.criterion(embeddings)
        return loss
