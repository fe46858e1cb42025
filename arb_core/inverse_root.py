r"""Inverse square roots of Gram matrices, :math:`(G + r I)^{-1/2}`: by eigenvalues, or by products of matrices alone."""

import math
from functools import cache

import torch
from torch import Tensor

__all__ = [
    "by_eigenvalues",
    "by_products",
    "error_of",
    "inverse_root",
    "minimax_polynomials",
    "rounding_of",
    "signs",
    "slope_of",
]

LEAST = 1e-8  # the square root of float64's rounding: below it there is nothing to be found
PROBES = 4
UNIT_ROUNDOFF = torch.finfo(torch.float64).eps / 2
CONVERGED = 1e-14  # how far from 1 the last polynomial may leave a value: below what rounding adds


def by_eigenvalues(gram: Tensor, ridge: Tensor, rank_tolerance: float) -> tuple[Tensor, Tensor]:
    """
    Take the inverse square root by a decomposition.

    Parameters
    ----------
    gram : (..., k, k) float64 Tensor
        Symmetric and positive semidefinite; the lower triangle is read.
    ridge : (...) float64 Tensor
        0 or more.
    rank_tolerance : float
        Without a ridge, the square root of an eigenvalue counts as zero below this
        part of the largest one, and its direction is left out.

    Returns
    -------
    root : (..., k, k) float64 Tensor
        NaN where a direction would be left out that G cannot tell from zero: without a
        ridge, and with a `rank_tolerance` below 1e-8, the square root of G's rounding.
    slope : (...) float64 Tensor
        `slope_of` the base.

    Raises
    ------
    torch.linalg.LinAlgError
        If the decomposition does not converge.

    """
    eigenvalues, v = torch.linalg.eigh(gram)
    s = eigenvalues.clamp(min=0).sqrt()
    f = inverse_root(s, ridge, rank_tolerance)
    if rank_tolerance < LEAST:
        f = torch.where(f > 0, f, math.nan)
    return (v * f.unsqueeze(-2)) @ v.mT, slope_of(s, f)


def inverse_root(s: Tensor, ridge: Tensor, rank_tolerance: float) -> Tensor:
    """Return (s^2 + r)^(-1/2) of the singular values (..., k); without a ridge 1 / s, and 0 where s counts as zero."""
    nonzero = s > rank_tolerance * s.amax(dim=-1, keepdim=True)
    return torch.where(ridge.unsqueeze(-1) > 0, (s.square() + ridge.unsqueeze(-1)).rsqrt(), torch.where(nonzero, 1 / s, 0.0))


def by_products(gram: Tensor, ridge: Tensor) -> tuple[Tensor, Tensor]:
    r"""
    Take the inverse square root by a coupled iteration of matrix products, all matrices of a batch at once.

    With A = (G + r I) / b, whose eigenvalues lie in :math:`[\ell^2, 1]`,

    .. math:: P_k = p_k(X_k Y_k), \quad Y_{k+1} = Y_k P_k, \quad X_{k+1} = P_k X_k, \quad Y_0 = A, \quad X_0 = I,

    takes X to :math:`A^{-1/2}` and Y to :math:`A^{1/2}`, where :math:`x\,p_k(x^2)` are the polynomials of
    `minimax_polynomials`. What the ridge guarantees settles :math:`\ell` and with it all steps, so that a GPU is
    waited for once, at the start.

    Parameters
    ----------
    gram : (..., k, k) float64 Tensor
        Symmetric and positive semidefinite.
    ridge : (...) float64 Tensor
        More than 0.

    Returns
    -------
    root : (..., k, k) float64 Tensor
        Symmetric. 4 products for each step but the first and the last, which take 2
        and 3: 25 for a condition number of 1e5. The error is about 1e-16 times the
        condition number; `error_of` tells. All matrices of a batch take the steps that
        its worst condition needs, so that they differ by rounding from those alone.
    slope : (...) float64 Tensor
        A bound of `slope_of` the base from above: 0.3 / r, or :math:`\|X\|_F^2 / 2`.

    References
    ----------
    .. [1] N. J. Higham, "Functions of Matrices: Theory and Computation", SIAM, 2008,
       sec. 6.7 (the coupled iteration, and why it is stable).
    .. [2] N. Amsel et al., "The Polar Express: Optimal Matrix Sign Methods and Their
       Application to the Muon Algorithm", 2025 (the polynomials).

    """
    shifted = gram + ridge[..., None, None] * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    square = shifted @ shifted
    # (sum of the eigenvalues' fourth powers)^(1/4): nearer to the largest than the Frobenius norm, and the square is needed
    bound = torch.linalg.matrix_norm(square).sqrt() * (1 + 1e-6)
    least = max(math.sqrt(float((ridge / bound).amin())), LEAST)
    unit = bound[..., None, None]
    product, square, y, x = shifted / unit, square / unit.square(), shifted / unit, None
    steps = minimax_polynomials(2.0 ** (math.floor(2 * math.log2(least)) / 2))
    for step, (a, b, c) in enumerate(steps):
        if x is not None:
            product = x @ y
            square = product @ product
        p = torch.add(b * product, square, alpha=c)
        p.diagonal(dim1=-2, dim2=-1).add_(a)
        x = p if x is None else p @ x
        if step + 1 < len(steps):
            y = y @ p
    root = x / unit.sqrt()
    root = (root + root.mT) / 2
    return root, torch.minimum(0.3 / ridge, torch.linalg.matrix_norm(root).square() / 2)


@cache
def minimax_polynomials(least: float) -> list[tuple[float, float, float]]:
    r"""
    Return polynomials whose composition takes all of [least, 1] to 1.

    Parameters
    ----------
    least : float
        More than 0, at most 1.

    Returns
    -------
    list of (a, b, c)
        Each :math:`a x + b x^3 + c x^5` is the one of its degree that is nearest to 1
        on the whole interval to which those before it take [least, 1]. They end where
        that is 1 to 1e-14.

    """
    low, high = least, 1.0
    polynomials = []
    while 1 - low > CONVERGED:
        a, b, c = _nearest_to_one(low, high)
        polynomials.append((a, b, c))
        low = a * low + b * low**3 + c * low**5
        high = 2 - low
    return polynomials or [_nearest_to_one(low, high)]


def _nearest_to_one(low: float, high: float) -> tuple[float, float, float]:
    """Find a x + b x^3 + c x^5 whose distance from 1 alternates at both ends of the interval and two points in it (Remez)."""
    if high - low < 1e-3:  # the points are too near to each other to tell the coefficients; this is right to third order
        return 15 / 8, -10 / 8, 3 / 8
    points = [low, (3 * low + high) / 4, (low + 3 * high) / 4, high]
    error, before = math.inf, None
    while before is None or abs(before - error) > 1e-14:
        before = error
        rows = [[x, x**3, x**5, sign] for x, sign in zip(points, (1, -1, 1, -1), strict=True)]
        system = torch.tensor(rows, dtype=torch.float64, device="cpu")
        a, b, c, error = torch.linalg.solve(system, torch.ones(4, dtype=torch.float64, device="cpu")).tolist()
        spread = math.sqrt(9 * b * b - 20 * a * c)  # the extrema: a + 3 b x^2 + 5 c x^4 = 0
        points[1:3] = (math.sqrt((-3 * b + side * spread) / (10 * c)) for side in (-1, 1))
    return a, b, c


def error_of(gram: Tensor, ridge: Tensor, root: Tensor) -> Tensor:
    r"""
    Estimate the relative error of the base that a root gives, from what the root should be: the positive one of
    :math:`X (G + r I) X = I`. What the rounding of G itself does to it is not in that (`rounding_of`).

    Parameters
    ----------
    gram, ridge
        As in `by_eigenvalues`.
    root : (..., k, k) float64 Tensor
        X.

    Returns
    -------
    (...) float64 Tensor
        Infinity where X is not positive semidefinite, to 1e-12 of its norm; NaN where
        X is. Else the sum of :math:`\|X - X^T\|_F / \|X\|_F` and of half of
        :math:`\|(X (G + r I) X - I) V\|_F / \|V\|_F` for :math:`V = X G X S` and four
        fixed vectors S of signs. X G X is the Gram matrix of the base, so that
        directions without a part in it, where a small eigenvalue of G is nothing but
        rounding, do not count.

    """
    v = root @ (gram @ (root @ signs(gram.shape[-1], gram.device)))
    mapped = root @ v
    missed = torch.linalg.matrix_norm(root @ (gram @ mapped + ridge[..., None, None] * mapped) - v)
    size, largest = torch.linalg.matrix_norm(gram), torch.linalg.matrix_norm(root)
    told = torch.where(size == 0, 0.0, missed / torch.linalg.matrix_norm(v) / 2)
    told = told + torch.linalg.matrix_norm(root - root.mT) / torch.where(largest > 0, largest, 1.0)
    shift = (1e-12 * largest)[..., None, None] * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    positive = torch.linalg.cholesky_ex(root + shift).info == 0
    return torch.where(positive | (largest == 0) | told.isnan(), told, math.inf)


def slope_of(s: Tensor, f: Tensor) -> Tensor:
    r"""
    Return how far a change of the Gram matrix moves the base, to first order: :math:`\|\Delta B\|_F / \|\Delta G\|_F` at most.

    Parameters
    ----------
    s, f : (..., k) float64 Tensor
        The singular values of Z and :math:`f_i = (s_i^2 + r)^{-1/2}`.

    Returns
    -------
    (...) float64 Tensor
        The largest :math:`s_i f_i^2 f_j^2 / (f_i + f_j)`, which grows with :math:`f_j`.
        It is at most 0.3 / r, and at most half of the largest :math:`f^2`.

    """
    largest = f.amax(dim=-1, keepdim=True)
    slopes = s * f.square() * largest.square() / torch.where(largest > 0, f + largest, 1.0)
    return slopes.amax(dim=-1)


def rounding_of(trace: Tensor | float, slope: Tensor | float, summed: int) -> Tensor | float:
    r"""
    Bound what the rounding of a Gram matrix moves its base by: :math:`m u \operatorname{tr}(G)` times the slope.

    Parameters
    ----------
    trace, slope
        tr(G), that is :math:`\|Z\|_F^2`, and `slope_of` the base.
    summed : int
        How many products m each entry of G is the sum of. Errors of sums mostly cancel,
        but those of sums of equal products do not; u is 1.1e-16.

    """
    return summed * UNIT_ROUNDOFF * trace * slope


@cache
def signs(k: int, device: torch.device) -> Tensor:
    """Draw the vectors of `error_of`, once for every size: a copy to a GPU in each step would have it wait."""
    drawn = torch.randint(2, (k, PROBES), generator=torch.Generator("cpu").manual_seed(0), dtype=torch.float64, device="cpu")
    return drawn.to(device) * 2 - 1
