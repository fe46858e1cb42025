"""VICReg (Bardes et al. 2022): invariance, with the variance of each feature kept up and the covariances kept down."""

from lightly.loss import VICRegLoss
from lightly.models.modules.heads import VICRegProjectionHead
from torch import nn

from ..method import JointEmbedding, Sizes


class Method(JointEmbedding):
    """Loss and projector from lightly; the three weights are those of invariance, variance and covariance."""

    def __init__(self, encoder: nn.Module, sizes: Sizes, lambda_param: float, mu_param: float, nu_param: float):
        super().__init__(encoder, VICRegProjectionHead(sizes.features, sizes.hidden, sizes.embedding))
        self.criterion = VICRegLoss(lambda_param, mu_param, nu_param)
