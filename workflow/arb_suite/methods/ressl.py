"""ReSSL (Zheng et al. 2021): relate a strong view to a queue of images as the teacher relates a weak view of the same image."""

from collections.abc import Sequence

import torch
from arb_core.distributed import gather_rows
from lightly.models.modules.heads import MoCoProjectionHead
from lightly.models.modules.memory_bank import MemoryBankModule
from torch import Tensor, nn
from torch.nn import functional

from ..method import MomentumMethod, Sizes


class RelationalLoss(nn.Module):
    r"""
    Cross-entropy between the relations of teacher and student to other images.

    .. math:: L = -\frac{1}{B} \sum_{i,k} p_{ik} \log q_{ik}, \quad
              p_i = \mathrm{softmax}(t_i^T b_k / \tau_t), \quad q_i = \mathrm{softmax}(s_i^T b_k / \tau_s)

    Parameters
    ----------
    student_temperature, teacher_temperature : float
        :math:`\tau_s` and :math:`\tau_t`; the teacher's is the lower one, so that
        its relations are sharper.

    References
    ----------
    .. [1] M. Zheng et al., "ReSSL: Relational Self-Supervised Learning with Weak
       Augmentation", NeurIPS 2021.

    """

    def __init__(self, student_temperature: float, teacher_temperature: float):
        super().__init__()
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature

    def forward(self, student: Tensor, teacher: Tensor, bank: Tensor) -> Tensor:
        """Return the loss of unit vectors: student and teacher (B, d), bank (d, K); a gradient flows to the student alone."""
        sharp = functional.softmax(teacher.detach() @ bank / self.teacher_temperature, dim=1)
        return functional.cross_entropy(student @ bank / self.student_temperature, sharp)


class Method(MomentumMethod):
    """Momentum encoder and queue from lightly, and the loss above. The first view is the weak one, the second strong."""

    def __init__(
        self,
        encoder: nn.Module,
        sizes: Sizes,
        student_temperature: float,
        teacher_temperature: float,
        queue_size: int,
        momentum: Sequence[float],
    ):
        # Two layers without batch normalisation, as solo-learn gives ReSSL; they are MoCo's.
        super().__init__(encoder, MoCoProjectionHead(sizes.features, sizes.hidden, sizes.embedding), momentum)
        self.criterion = RelationalLoss(student_temperature, teacher_temperature)
        self.queue = MemoryBankModule((queue_size, sizes.embedding))

    def loss(self, views: Sequence[Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the relational loss to what was in the queue before; the teacher's embeddings join it."""
        weak, strong = views
        teacher, bank = self.queue(functional.normalize(gather_rows(self.target(weak))), update=True)
        loss: Tensor = self.criterion(functional.normalize(gather_rows(self.embed(strong))), teacher, bank)
        return loss
