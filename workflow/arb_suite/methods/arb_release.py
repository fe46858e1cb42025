"""What the formulas of the released code do (R2, R3, R5), each a variant of ARB. R4 is direct alignment."""

from collections.abc import Callable

from arb_core import nearest_orthonormal_basis, standard_scale
from lightly.models.modules.heads import BarlowTwinsProjectionHead
from torch import Tensor, nn

from ..method import JointEmbedding, Sizes

__all__ = ["FORMULAS", "Method"]

EPS = 1e-6  # of the scaling, as in `ARBLoss`
SHRINKAGE, ADDED = 1e-4, 1e-5  # R3


class Method(JointEmbedding):
    """
    ARB with one formula of the release.

    Parameters
    ----------
    formula : str
        "divisor": the products are divided by d, where the print has the batch
        size N, so that <z, b> is N/d times that of Eq. 8 (R2); "shrinkage": the
        base takes (1 - e) Cov + e I, e = 1e-4, plus 1e-5, and covariance and standard
        deviation have N - 1, the products N (R3); "shards": scaling by the batch, base of a shard from that
        shard's rows alone, products over the shard divided by the batch size, the
        shards' losses averaged (R5).
    shard : int
        Rows of a shard; the release has 8 of 512.

    """

    def __init__(self, encoder: nn.Module, sizes: Sizes, formula: str, ridge: float = 1e-4, shard: int = 8):
        if formula not in FORMULAS:
            raise ValueError(f"formula must be one of {', '.join(FORMULAS)}, got {formula!r}")
        super().__init__(encoder, BarlowTwinsProjectionHead(sizes.features, sizes.hidden, sizes.embedding))
        self.criterion = _Release(FORMULAS[formula], ridge, shard)


class _Release(nn.Module):
    def __init__(self, products: Callable[[Tensor, Tensor, float, int], Tensor], ridge: float, shard: int):
        super().__init__()
        self.products, self.ridge, self.shard = products, ridge, shard

    def forward(self, z_a: Tensor, z_b: Tensor) -> Tensor:
        z_a, z_b = standard_scale(z_a, eps=EPS), standard_scale(z_b, eps=EPS)
        directions = (self.products(z, other.detach(), self.ridge, self.shard) for z, other in ((z_a, z_b), (z_b, z_a)))
        one, other = ((1 - c).square().sum(-1).mean() for c in directions)
        return one + other


def _divisor(z: Tensor, other: Tensor, ridge: float, shard: int) -> Tensor:
    n, d = z.shape
    return (z * nearest_orthonormal_basis(other, ridge=ridge)).sum(0) * n / d


def _shrinkage(z: Tensor, other: Tensor, ridge: float, shard: int) -> Tensor:
    # Standard deviation and covariance with N - 1: W = sqrt(N - 1) Z has Cov = W^T W / (N - 1) = Z^T Z, and the products of W
    # with its base, divided by N, are (N - 1)/N of those of Z with Z ((1 - e) Z^T Z + (e + 1e-5) I)^(-1/2).
    n, kept = len(z), 1 - SHRINKAGE
    base: Tensor = nearest_orthonormal_basis(other, ridge=(SHRINKAGE + ADDED) / kept) / kept**0.5
    return (z * base).sum(0) * (n - 1) / n


def _shards(z: Tensor, other: Tensor, ridge: float, shard: int) -> Tensor:
    # A shard's base W_s (W_s^T W_s / n_s + r I)^(-1/2) has rows of the size of W's; in units of Z the base of Z_s times
    # sqrt(n_s / N). The products over the shard are divided by N.
    n = len(z)
    if n % shard:
        raise ValueError(f"shard {shard} does not divide the batch of {n}; choose a divisor")
    parts, others = (x.view(n // shard, shard, -1) for x in (z, other))
    share = shard / n
    base: Tensor = nearest_orthonormal_basis(others, ridge=ridge * share) * share**0.5
    return (parts * base).sum(-2)


FORMULAS = {"divisor": _divisor, "shrinkage": _shrinkage, "shards": _shards}
