"""SwAV (Caron et al. 2020): predict from every crop to which prototypes the other large view is assigned, in equal shares."""

from collections.abc import Sequence

import torch
from arb_core.distributed import gather_rows
from lightly.loss import SwaVLoss
from lightly.models.modules.heads import SwaVProjectionHead, SwaVPrototypes
from lightly.models.modules.memory_bank import MemoryBankModule
from torch import Tensor, nn
from torch.nn import functional

from ..method import N_LARGE, BaseMethod, Sizes


class Method(BaseMethod):
    """
    Prototypes, Sinkhorn-Knopp assignments and small crops; loss, heads and memory bank from lightly.

    Parameters
    ----------
    prototypes : int
        Number of prototypes, unit vectors.
    temperature : float
        Of the predictions.
    epsilon, iterations : float, int
        Of the Sinkhorn-Knopp algorithm.
    frozen : float
        Fraction of the training for which the prototypes stay as initialised.
    queue_size : int
        Earlier embeddings that are assigned together with the batch, for each
        large view; random unit vectors until batches have filled the queue.
    queue_after : float
        Fraction of the training after which they are.

    """

    def __init__(
        self,
        encoder: nn.Module,
        sizes: Sizes,
        prototypes: int,
        temperature: float,
        epsilon: float,
        iterations: int,
        frozen: float,
        queue_size: int,
        queue_after: float,
    ):
        super().__init__(encoder, SwaVProjectionHead(sizes.features, sizes.hidden, sizes.embedding))
        self.prototypes = SwaVPrototypes(sizes.embedding, prototypes)
        self.prototypes.heads[0].bias = None  # lightly's have one; prototypes are directions
        self.criterion = SwaVLoss(temperature, iterations, epsilon)
        bank = (queue_size, sizes.embedding)
        self.queues = nn.ModuleList(MemoryBankModule(bank, feature_dim_first=False) for _ in range(N_LARGE))
        self.frozen = frozen
        self.queue_after = queue_after
        self.uses_queue = False

    def begin_step(self, step: int, steps: int) -> None:
        """Put the prototypes on the sphere; let them train and use the queue once it is time."""
        self.prototypes.normalize()
        self.prototypes.requires_grad_(step >= self.frozen * steps)
        self.uses_queue = step >= self.queue_after * steps

    def loss(self, views: Sequence[Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the cross-entropy from the assignments of each large view to all other views; embeddings join the queues."""
        embeddings = [functional.normalize(gather_rows(self.embed(view))) for view in views]
        scores = [self.prototypes(z) for z in embeddings]
        with torch.no_grad():
            earlier = [queue(z, update=True)[1] for queue, z in zip(self.queues, embeddings[:N_LARGE], strict=True)]
            queued = [self.prototypes(z) for z in earlier] if self.uses_queue else None
        loss: Tensor = self.criterion(scores[:N_LARGE], scores[N_LARGE:], queued)
        return loss.squeeze()
