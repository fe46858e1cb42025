"""The variants of ARB in the paper's Table 4."""

from collections.abc import Callable
from itertools import pairwise
from typing import cast

from arb_core import ARBLoss, nearest_orthonormal_basis, standard_scale
from lightly.models.modules.heads import BarlowTwinsProjectionHead
from torch import Tensor, nn
from torch.nn import functional

from ..method import JointEmbedding, Sizes

__all__ = ["ABLATIONS", "Method"]

EPS = 1e-6  # of the scaling, as in `ARBLoss`


class Method(JointEmbedding):
    """
    ARB with one thing changed.

    Parameters
    ----------
    ablation : str
        "off_diagonal": C = (Z^A)^T B^B goes into the loss of Barlow Twins (Eq. 1),
        both directions added; "no_batch_norm": the projector has no batch
        normalisation; "no_scaling": nor are the embeddings scaled by Eq. 7; "l2":
        the squared distance of the columns of Z and of the base, each divided by
        its norm, neither centred.
    ridge : float
        Eq. 9.
    lambda_param : float
        Weight of the off-diagonal terms; the paper does not print it.

    """

    def __init__(self, encoder: nn.Module, sizes: Sizes, ablation: str, ridge: float = 1e-4, lambda_param: float = 0.0051):
        if ablation not in ABLATIONS:
            raise ValueError(f"ablation must be one of {', '.join(ABLATIONS)}, got {ablation!r}")
        head = BarlowTwinsProjectionHead(sizes.features, sizes.hidden, sizes.embedding)
        if ablation in ("no_batch_norm", "no_scaling"):
            head = _without_batch_norm(sizes)
        super().__init__(encoder, head)
        self.criterion = ABLATIONS[ablation](ridge, lambda_param)


def _without_batch_norm(sizes: Sizes) -> nn.Module:
    widths = (sizes.features, sizes.hidden, sizes.hidden, cast(int, sizes.embedding))
    linear = [nn.Linear(*pair) for pair in pairwise(widths)]
    return nn.Sequential(linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2])


class _BothDirections(nn.Module):
    """The sum of a misfit of each view and of the base of the other one."""

    def __init__(self, ridge: float, scale: Callable[[Tensor], Tensor], misfit: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.ridge, self.scale, self.misfit = ridge, scale, misfit

    def forward(self, z_a: Tensor, z_b: Tensor) -> Tensor:
        z_a, z_b = self.scale(z_a), self.scale(z_b)
        b_a, b_b = (nearest_orthonormal_basis(z, ridge=self.ridge) for z in (z_a, z_b))
        return self.misfit(z_a, b_b) + self.misfit(z_b, b_a)


def _scaled(z: Tensor) -> Tensor:
    return standard_scale(z, eps=EPS)


def _diagonal(z: Tensor, b: Tensor) -> Tensor:
    return (1 - (z * b).sum(0)).square().sum()


def _off_diagonal(ridge: float, lambda_param: float) -> nn.Module:
    def misfit(z: Tensor, b: Tensor) -> Tensor:
        c = z.mT @ b
        diagonal = (1 - c.diagonal()).square().sum()
        return diagonal + lambda_param * (c.square().sum() - c.diagonal().square().sum())

    return _BothDirections(ridge, _scaled, misfit)


def _l2(ridge: float, lambda_param: float) -> nn.Module:
    def misfit(z: Tensor, b: Tensor) -> Tensor:
        return (functional.normalize(z, dim=0) - functional.normalize(b, dim=0)).square().sum()

    return _BothDirections(ridge, lambda z: z, misfit)


ABLATIONS: dict[str, Callable[[float, float], nn.Module]] = {
    "off_diagonal": _off_diagonal,
    "no_batch_norm": lambda ridge, lambda_param: ARBLoss(ridge=ridge),
    "no_scaling": lambda ridge, lambda_param: _BothDirections(ridge, lambda z: z, _diagonal),
    "l2": _l2,
}
