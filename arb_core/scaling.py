"""Standard scaling of an embedding matrix: Equation 7 of the paper."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["standard_scale"]


def standard_scale(z: Tensor, dim: int = -2, eps: float = 0.0) -> Tensor:
    r"""
    Centre the columns of an embedding matrix and give each the norm 1.

    For a column :math:`z_j` of a batch of N samples with mean :math:`\mu_j` and
    population standard deviation :math:`\sigma_j` (divisor N),

    .. math:: \tilde z_j = \frac{z_j - \mu_j}{\sqrt{N}\,\sigma_j},

    so that :math:`\langle \tilde z_j, 1 \rangle = 0`, :math:`\|\tilde z_j\| = 1`
    and :math:`\operatorname{tr}(\tilde Z^T \tilde Z) = d`: the Gram matrix of the
    result is the correlation matrix of the features.

    Parameters
    ----------
    z : (..., N, d) Tensor
        Embeddings, float32 or float64, N samples of d features; leading
        dimensions are a batch of matrices.
    dim : int, optional
        The dimension that counts the samples. The default, -2, is Equation 7;
        -1 scales the rows instead.
    eps : float, optional
        Replaces :math:`\sigma_j` by :math:`\sqrt{\sigma_j^2 + \epsilon^2}`, in the
        units of `z`. A column with :math:`\sigma_j \gg \epsilon` then has the norm
        :math:`1 - \epsilon^2 / 2\sigma_j^2`, a constant column becomes (close to)
        zero, and the gradient stays below :math:`1 / (\sqrt{N} \epsilon)`.

    Returns
    -------
    Tensor
        Same shape, dtype and device as `z`; differentiable.

    Raises
    ------
    TypeError
        If `z` is not a float32 or float64 tensor.
    ValueError
        If `z` has fewer than two dimensions, fewer than two samples or no
        feature, if `eps` is negative or not finite, or if, with ``eps=0``, a
        column is constant to rounding, NaN or infinite: Equation 7 is not defined
        there. The message names the column.

    Notes
    -----
    Centring costs one rank: the columns of the result lie in the (N - 1)
    dimensional space orthogonal to the vector of ones, so that a scaled matrix
    has full column rank only if d <= N - 1.

    Every finite column has a finite result as long as its sum stays inside the range of
    the dtype, that is for entries up to its largest number over 2 N.

    References
    ----------
    .. [1] S. Zhang et al., "Align Representations with Base", CVPR 2022, Eq. 7.

    Examples
    --------
    >>> import torch
    >>> from arb_core import standard_scale
    >>> standard_scale(torch.tensor([[1.0, 0.0], [3.0, 0.0], [1.0, 2.0], [3.0, 2.0]]))
    tensor([[-0.5000, -0.5000],
            [ 0.5000, -0.5000],
            [-0.5000,  0.5000],
            [ 0.5000,  0.5000]])

    """
    check_embeddings(z, "z")
    if not (math.isfinite(eps) and eps >= 0):
        raise ValueError(f"eps must be a finite number >= 0, got {eps!r}")
    if not -z.ndim <= dim < z.ndim:
        raise ValueError(f"dim must be a dimension of z, which has {z.ndim}; got {dim}")
    n = z.shape[dim]
    if n < 2:
        raise ValueError(f"standard scaling needs at least 2 samples, z of shape {tuple(z.shape)} has {n} in dim {dim}")
    return scale_by(
        z, dim, eps, n, mean=lambda x: x.mean(dim=dim, keepdim=True), largest=lambda x: x.amax(dim=dim, keepdim=True)
    )


def scale_by(
    z: Tensor, dim: int, eps: float, n: int, mean: Callable[[Tensor], Tensor], largest: Callable[[Tensor], Tensor]
) -> Tensor:
    """Equation 7 over n samples, by a `mean` and a `largest` entry over all of them, whichever process holds them."""
    centred = z - mean(z)
    # The mean is rounded; what that leaves along the vector of ones would count as one more rank.
    centred = centred - mean(centred)
    # In units of the column's largest entry, the square of no entry leaves the range of the dtype.
    unit = largest(centred.detach().abs())
    unit = torch.where(unit > 0, unit, eps if eps > 0 else 1.0)
    centred = centred / unit
    variance = mean(centred.square())
    if eps == 0:
        _refuse_constant(z, variance.detach().sqrt(), unit, largest(z.detach().abs()), dim)
    if eps > 0:  # not 0 / unit, which torch takes for a product with a reciprocal: infinite for the smallest numbers
        variance = variance + (eps / unit).square()
    return centred / (n * variance).sqrt()


def check_embeddings(z: Tensor, name: str) -> None:
    """Raise unless `z` is a non-empty float32 or float64 matrix, or a batch of them."""
    if not isinstance(z, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor of dtype float32 or float64, got {type(z).__name__}")
    if z.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name} must be float32 or float64, got {z.dtype}; convert it first, e.g. {name}.float()")
    if z.layout != torch.strided:
        raise TypeError(f"{name} must be a dense tensor, got {z.layout}; convert it first: {name}.to_dense()")
    if z.ndim < 2:
        raise ValueError(f"{name} must have shape (..., N, d), got {tuple(z.shape)}")
    if z.numel() == 0:
        raise ValueError(f"{name} must not be empty, got shape {tuple(z.shape)}")


def _refuse_constant(z: Tensor, sigma: Tensor, unit: Tensor, magnitude: Tensor, dim: int) -> None:
    # The mean of N equal numbers is itself rounded, so a constant column shows a standard deviation of a few units in
    # the last place of its magnitude rather than 0. Written as 'not greater', the test catches NaN as well. Both are compared
    # in the column's unit, where the smallest numbers do not vanish.
    rounding = 4 * torch.finfo(z.dtype).eps * (magnitude / unit)
    undefined = ~((sigma > rounding) & sigma.isfinite())
    if undefined.any():
        index = tuple(undefined.movedim(dim, -1).squeeze(-1).nonzero()[0].tolist())
        where = str(index[0]) if len(index) == 1 else str(index)
        value = (sigma * unit).movedim(dim, -1).squeeze(-1)[index].item()
        raise ValueError(
            f"column {where} of z has the standard deviation {value:.3g}, constant to rounding or not finite, so Eq. 7 "
            f"is not defined there ({int(undefined.sum())} such column(s)); drop it, or pass eps > 0 to map it near zero"
        )
