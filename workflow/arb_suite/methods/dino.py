"""DINO (Caron et al. 2021): predict from every crop the teacher's centred and sharpened distribution over prototypes."""

import warnings
from collections.abc import Sequence

import torch
from arb_core.distributed import gather_rows
from lightly.loss import DINOLoss
from lightly.models.modules.heads import DINOProjectionHead
from torch import Tensor, nn

from ..method import N_LARGE, MomentumMethod, Sizes


class Method(MomentumMethod):
    """
    Momentum encoder, centring, sharpening and small crops; loss and head from lightly.

    The embedding is the bottleneck before the prototypes, which is what other
    methods' output dimension corresponds to.

    Parameters
    ----------
    prototypes : int
        Number of outputs.
    student_temperature, teacher_temperature : float
        The second is reached from `first_teacher_temperature`, linearly over the
        first `temperature_warmup` (fraction) of the training.
    frozen : float
        Fraction of the training for which the prototypes stay as initialised.
    momentum : (float, float)
        Of the teacher.

    """

    projector: DINOProjectionHead

    def __init__(
        self,
        encoder: nn.Module,
        sizes: Sizes,
        prototypes: int,
        student_temperature: float,
        teacher_temperature: float,
        first_teacher_temperature: float,
        temperature_warmup: float,
        frozen: float,
        momentum: Sequence[float],
    ):
        # Without a gradient, since torch cannot copy the normalised weights with one, as the teacher does.
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*weight_norm.* is deprecated", FutureWarning)
            head = DINOProjectionHead(sizes.features, sizes.hidden, sizes.embedding, prototypes, batch_norm=True)
        super().__init__(encoder, head, momentum)
        self.criterion = DINOLoss(prototypes, student_temp=student_temperature)
        self.temperatures = (first_teacher_temperature, teacher_temperature)
        self.temperature_warmup = temperature_warmup
        self.frozen = frozen
        self.temperature = first_teacher_temperature

    @property
    def embedder(self) -> nn.Module:
        """The layers up to the bottleneck."""
        layers: nn.Module = self.projector.layers
        return layers

    def begin_step(self, step: int, steps: int) -> None:
        """Move the teacher, raise its temperature and, once it is time, let the prototypes train."""
        super().begin_step(step, steps)
        first, last = self.temperatures
        warmup = self.temperature_warmup * steps
        self.temperature = last if step >= warmup else first + (last - first) * step / warmup
        self.projector.last_layer.weight_v.requires_grad_(step >= self.frozen * steps)

    def loss(self, views: Sequence[Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the cross-entropy from the teacher's large views to all other views of the student; the centre moves."""
        targets = [gather_rows(self.target(view)) for view in views[:N_LARGE]]
        scores = [gather_rows(self.projector(self.encoder(view))) for view in views]
        loss: Tensor = self.criterion(targets, scores, teacher_temp=self.temperature)
        return loss
