"""The nearest orthonormal basis of an embedding matrix: Definition 1, Theorem 1 and Equation 9 of the paper."""

import math
import sys
import warnings
from typing import NamedTuple

import torch
from torch import Tensor
from torch.linalg import LinAlgError

from .inverse_root import UNIT_ROUNDOFF, by_eigenvalues, by_products, error_of, inverse_root, rounding_of, signs
from .scaling import check_embeddings

__all__ = ["SOLVERS", "Solution", "nearest_orthonormal_basis", "solve_basis"]

SOLVERS = ("auto", "gram", "products", "svd")
TOLERANCES = {torch.float32: 5e-6, torch.float64: 5e-11}  # of what a base from a Gram matrix may be off by
LONG = 4  # times the shorter side: from there on a QR decomposition before the singular values pays
FAR = 1e30  # times the square of z's largest entry: beside such a ridge z^2 does not show in float64


class Solution(NamedTuple):
    r"""
    A base, and how it was computed.

    Attributes
    ----------
    basis : (..., N, d) Tensor
        See `nearest_orthonormal_basis`.
    route : {"gram", "products", "svd"}
        What computed it, but for what was replaced.
    error : float
        What it may be off by, in the Frobenius norm and relative, the largest of a batch;
        mostly far more than what it is off by. For "gram" and "products" it is what their
        root misses (`inverse_root.error_of`) and what the rounding of the Gram matrix may
        do (`inverse_root.rounding_of`). For "svd" it is what its factors miss, as a change
        of Z, times the condition of the base, :math:`\|Z\|_F / (\|B\|_F \sqrt{s_{min}^2 + r})`
        with the smallest singular value that counts: where that exceeds what is wanted, Z
        does not determine its base so far. Both with the rounding to the dtype of `z`.
    replaced : int
        How many matrices of the batch were found to be off by more than the tolerance,
        5e-6 for float32 and 5e-11 for float64, and have their base from "svd" instead.

    """

    basis: Tensor
    route: str
    error: float
    replaced: int


def nearest_orthonormal_basis(z: Tensor, ridge: float = 0.0, solver: str = "auto") -> Tensor:
    r"""
    Compute the orthonormal basis nearest to the columns of a matrix.

    For Z of full column rank this is the only solution of

    .. math:: \min_B \|Z - B\|_F^2 \quad \text{subject to} \quad B^T B = I,

    namely the polar factor :math:`B = Z (Z^T Z)^{-1/2}` (Theorem 1). With the
    singular value decomposition :math:`Z = U \operatorname{diag}(s) V^T` and a
    ridge r (Eq. 9, where it is called lambda),

    .. math::
        B = Z (Z^T Z + r I)^{-1/2}
          = U \operatorname{diag}\!\left(\frac{s_i}{\sqrt{s_i^2 + r}}\right) V^T
          = (Z Z^T + r I)^{-1/2} Z .

    The base keeps the directions of Z and pushes every singular value towards 1.
    It is a decomposition, not a layer: nothing is learnt, and no gradient flows.

    Parameters
    ----------
    z : (..., N, d) Tensor
        Embeddings, float32 or float64, scaled or not; N < d, N = d and N > d are
        all allowed, leading dimensions are a batch of matrices.
    ridge : float, optional
        0 for the polar factor; r > 0 for Eq. 9 (the paper uses 1e-4), in the
        units of `z` squared.
    solver : {"auto", "gram", "products", "svd"}, optional
        How to compute it. All work in float64 whatever the dtype of `z`, which neither
        autocast nor TF32 touches. With k the shorter and m the longer side, and p the
        trace of the Gram matrix, :math:`\|Z\|_F^2`:

        * "gram", about 4 m k^2 + 10 k^3 operations: eigendecomposition of the Gram matrix
          of the shorter side. It squares the condition number, so that its error may be
          m p 1e-16 / (s_min^2 + r) at worst: with a ridge of 1e-4 below 5e-6 for up to
          m p = 10^7, but not without one near rank deficiency.
        * "products", about 4 m k^2 + 50 k^3: the same root of the same matrix by products of
          matrices alone, some 25 of them (`inverse_root.by_products`); as accurate.
          Needs a ridge. For GPUs, where a decomposition is slow.
        * "svd", about 8 m k^2 + 20 k^3, without a Gram matrix: singular value decomposition,
          of the triangular factor where m >= 4 k. Backward stable.
        * "auto": for float32 "gram", or with a ridge on a CUDA device "products"; for
          float64 always "svd", since who takes float64 wants its accuracy.

        What each finds is checked (`Solution.error`). A base from "gram" or "products"
        that misses the tolerance is replaced by that of "svd", alone of its batch;
        `solve_basis` tells, and a route that was asked for by name is not replaced without
        a RuntimeWarning.

    Returns
    -------
    (..., N, d) Tensor
        Same dtype and device as `z`, detached from the graph.

    Raises
    ------
    TypeError
        If `z` is not a float32 or float64 tensor.
    ValueError
        If `z` is empty, has fewer than two dimensions or holds NaN or infinity,
        if `ridge` is negative or not finite, if `solver` is unknown, or if it is
        "products" and there is no ridge.
    torch.linalg.LinAlgError
        If a decomposition does not converge, or its factors are wrong.

    Notes
    -----
    What is NOT computed: for a rank-deficient Z and ``ridge=0`` the minimiser is
    not unique, and none of them is returned. The result is then the partial
    isometry :math:`U_r V_r^T` over the r nonzero singular values, the limit of
    Eq. 9 as the ridge goes to 0, whose Gram matrix is the projector
    :math:`V_r V_r^T` and not the identity. `scipy.linalg.polar` completes it to an
    orthonormal matrix instead. This is always the case for d > N, and for a
    standard-scaled Z (centred, so of rank N - 1 at most) already for d = N. A
    singular value counts as zero if it is at most max(N, d) * eps * s_max, with
    eps the machine epsilon of the dtype of `z`, as in `numpy.linalg.matrix_rank`.

    With a ridge the Gram matrix is
    :math:`V \operatorname{diag}(s_i^2 / (s_i^2 + r)) V^T`: close to the identity
    only where :math:`s_i^2 \gg r`.

    References
    ----------
    .. [1] S. Zhang et al., "Align Representations with Base", CVPR 2022,
       Definition 1 (Eq. 2), Theorem 1, Eq. 9.
    .. [2] N. J. Higham, "Functions of Matrices: Theory and Computation", SIAM,
       2008, Chapter 8 (the polar decomposition).
    .. [3] P. H. Schonemann, "A generalized solution of the orthogonal Procrustes
       problem", Psychometrika 31, 1966.

    Examples
    --------
    >>> import torch
    >>> from arb_core import nearest_orthonormal_basis
    >>> z = torch.tensor([[3.0, 0.0], [0.0, 0.5], [4.0, 0.0]])
    >>> nearest_orthonormal_basis(z)
    tensor([[0.6000, 0.0000],
            [0.0000, 1.0000],
            [0.8000, 0.0000]])

    Two equal columns: the partial isometry splits the one direction between them.

    >>> nearest_orthonormal_basis(torch.tensor([[1.0, 1.0], [0.0, 0.0]], dtype=torch.float64))
    tensor([[0.7071, 0.7071],
            [0.0000, 0.0000]], dtype=torch.float64)

    """
    return solve_basis(z, ridge, solver).basis


@torch.no_grad()
def solve_basis(z: Tensor, ridge: float = 0.0, solver: str = "auto") -> Solution:
    """
    Compute the nearest orthonormal basis and tell how.

    Parameters, errors
        Those of `nearest_orthonormal_basis`.

    Returns
    -------
    Solution

    Examples
    --------
    >>> import torch
    >>> from arb_core.basis import solve_basis
    >>> z = torch.eye(3)[:2]
    >>> solve_basis(z, ridge=1e-4).route
    'gram'

    """
    check_embeddings(z, "z")
    if not (isinstance(ridge, (int, float)) and 0 <= ridge <= sys.float_info.max):
        raise ValueError(f"ridge must be a finite number >= 0, got {ridge!r}")
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {', '.join(SOLVERS)}, got {solver!r}")
    if solver == "products" and ridge == 0:
        raise ValueError('solver "products" needs a ridge, got ridge=0; take "gram" or "svd"')
    # Scaling by the largest entry keeps the squares of very large and very small input inside the range of float64.
    size = z.detach().abs().amax(dim=(-2, -1), keepdim=True)
    if not size.isfinite().all():
        raise ValueError(f"z holds {int((~z.isfinite()).sum())} NaN or infinite value(s) of {z.numel()}; it has no base")
    route = _best(z, ridge) if solver == "auto" else solver
    rank_tolerance = max(z.shape[-2:]) * torch.finfo(z.dtype).eps
    z64 = z.detach().to("cpu" if z.device.type == "mps" else z.device, torch.float64)  # mps has no float64
    size = torch.where(size > 0, size.to(z64), 1.0)
    z64 = z64 / size
    # Not ridge / size^2, which may overflow, nor a number over a tensor, which torch takes for a product with a reciprocal
    r = (torch.full_like(size, math.sqrt(ridge)) / size).square()[..., 0, 0]
    far = r > FAR
    r = torch.where(far, 1.0, r)
    rounding = torch.finfo(z.dtype).eps / 2
    replaced = 0
    if route == "svd":
        basis, error = _by_svd(z64, r, rank_tolerance)
    else:
        basis, error = _by_gram(z64, r, rank_tolerance, route)
        off = ~(error <= TOLERANCES[z.dtype]) & ~far
        replaced = int(off.sum())
    if replaced:
        if solver != "auto":
            found = f"up to {float(error[off].amax()):.1e}" if error[off].isfinite().all() else "an unknown part"
            of = f" for {replaced} matrices of {off.numel()}" if off.numel() > 1 else ""
            message = f"solver {solver!r} may be off by {found}{of}; the base returned is that of 'svd'"
            warnings.warn(message, RuntimeWarning, stacklevel=4)  # who called nearest_orthonormal_basis
        basis[off], error[off] = _by_svd(z64[off], r[off], rank_tolerance)
    if far.any():
        basis = torch.where(far[..., None, None], z64 * (size / math.sqrt(ridge)), basis)
        error = torch.where(far, UNIT_ROUNDOFF, error)
    return Solution(basis.to(z.device, z.dtype).contiguous(), route, float(error.amax()) + rounding, replaced)


def _best(z: Tensor, ridge: float) -> str:
    if z.dtype == torch.float64:
        return "svd"
    return "products" if z.device.type == "cuda" and ridge else "gram"


def _by_svd(z: Tensor, ridge: Tensor, rank_tolerance: float) -> tuple[Tensor, Tensor]:
    if z.shape[-2] < z.shape[-1]:
        basis, error = _by_svd(z.mT, ridge, rank_tolerance)
        return basis.mT, error
    k = z.shape[-1]
    q, square = torch.linalg.qr(z) if z.shape[-2] >= LONG * k else (None, z)
    u, s, vh = torch.linalg.svd(square, full_matrices=False)
    u = u if q is None else q @ u
    f = inverse_root(s, ridge, rank_tolerance)
    basis = (u * (s * f).unsqueeze(-2)) @ vh

    norm, probes = torch.linalg.matrix_norm, signs(k, z.device)
    mapped, size = vh @ probes, norm(z)
    off = norm(u @ (s.unsqueeze(-1) * mapped) - z @ probes) / torch.where(size > 0, size, 1.0)
    off = (off + norm(u.mT @ (u @ probes) - probes) + norm(vh.mT @ mapped - probes)) / norm(probes) + UNIT_ROUNDOFF
    wrong = 1e-12 + 10 * UNIT_ROUNDOFF * z.shape[-2]  # columns of equal entries lose a rounding for each
    if not (off <= wrong).all():
        raise LinAlgError(
            f"the singular value decomposition of {z.shape[-2]} x {k} (N x d, or d x N where N < d) is wrong by "
            f"{float(off.amax()):.1e}, relative: the linear algebra library of this torch failed; report the matrix to it"
        )
    weight = norm(basis)
    return basis, off * size * f.amax(dim=-1) / torch.where(weight > 0, weight, 1.0)


def _by_gram(z: Tensor, ridge: Tensor, rank_tolerance: float, route: str) -> tuple[Tensor, Tensor]:
    n, d = z.shape[-2:]
    gram = z.mT @ z if d <= n else z @ z.mT
    root, slope = by_products(gram, ridge) if route == "products" else by_eigenvalues(gram, ridge, rank_tolerance)
    basis = z @ root if d <= n else root @ z
    # No singular value of a base exceeds 1: what does is the rounding of G, which is not to hide itself
    weight = torch.linalg.matrix_norm(basis).clamp(max=math.sqrt(min(n, d)))
    trace = gram.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    rounding = rounding_of(trace, slope, max(n, d)) / torch.where(weight > 0, weight, 1.0)
    return basis, error_of(gram, ridge, root) + rounding
