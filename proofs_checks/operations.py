"""What the objective and the base take in operations, counted on the code as it runs and as polynomials in N, d and p.

An operation is a multiplication or an addition of a matrix product, as PyTorch's counter has it; an eigendecomposition of a
k x k matrix, with vectors, is counted as 9 k^3 (Golub and Van Loan, Matrix Computations, sec. 8.3, symmetric QR).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from arb_core import nearest_orthonormal_basis
from arb_core.inverse_root import error_of
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

__all__ = [
    "CONSTANT",
    "Size",
    "base_as_here",
    "base_as_printed",
    "formula",
    "formula_operations",
    "objective",
    "objective_operations",
    "smaller_side",
    "smaller_side_operations",
]

EIGENDECOMPOSITION = 9
CONSTANT = EIGENDECOMPOSITION + 2  # and the product of V diag with V^T


@dataclass(frozen=True)
class Size:
    """N samples of d features in p groups, p a divisor of d."""

    n: int
    d: int
    p: int = 1


def _eigendecomposition(shape: torch.Size, *args: object, **kwargs: object) -> int:
    *batch, k, _ = shape
    return EIGENDECOMPOSITION * math.prod(batch) * k**3


def _operations(run: Callable[[], object]) -> int:
    # torch.ops.aten._linalg_eigh is where torch.linalg.eigh ends up; the counter knows products only
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten._linalg_eigh: _eigendecomposition}) as counter:
        run()
    return counter.get_total_flops()


def _groups(size: Size, device: str = "meta") -> Tensor:
    """Return numbers of the shape (p, N, d/p); on the device 'meta' there is a shape and no numbers."""
    shape = size.p, size.n, size.d // size.p
    if device == "meta":
        return torch.empty(shape, device=device)
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def _inner_products(z: Tensor, b: Tensor) -> Tensor:
    """Return <z_i, b_i> of all columns, as products of 1 x N and N x 1 matrices."""
    rows, columns = (x.mT.reshape(-1, 1, x.shape[-2]) for x in (z, b))
    return rows @ columns.mT


def base_as_printed(z: Tensor) -> Tensor:
    """Return the bases of (p, N, m) groups by Eq. 9 as it stands: Z^T Z, its eigendecomposition, V diag V^T, Z times that."""
    eigenvalues, v = torch.linalg.eigh(z.mT @ z)
    return z @ ((v * (eigenvalues + 1e-4).rsqrt().unsqueeze(-2)) @ v.mT)


def base_as_here(z: Tensor) -> Tensor:
    """Return the bases of (p, N, m) groups as `arb_core` computes them: by Z Z^T where N < m, and then checked."""
    # A ridge that is small beside what is drawn here, in float64, would have the result replaced by another solver's.
    return nearest_orthonormal_basis(z, ridge=1.0, solver="gram")


def objective(size: Size) -> int:
    """Count what the d inner products of one direction of Eq. 8 (diagonal) take."""
    z = _groups(size)
    return _operations(lambda: _inner_products(z, z))


def formula(size: Size) -> int:
    """Count what `base_as_printed` takes."""
    z = _groups(size)
    return _operations(lambda: base_as_printed(z))


def smaller_side(size: Size) -> int:
    """Count what `base_as_here` takes but for the check of its result (48 k^2 a group); it is run, so for small sizes."""
    z = _groups(size, "cpu")
    k = min(z.shape[1:])
    gram, ridge = torch.empty((size.p, k, k), dtype=z.dtype, device="meta"), torch.empty(size.p, dtype=z.dtype, device="meta")
    return _operations(lambda: base_as_here(z)) - _operations(lambda: error_of(gram, ridge, gram))


def objective_operations(size: Size) -> int:
    """Return 2 N d."""
    return 2 * size.n * size.d


def formula_operations(size: Size) -> int:
    """Return p (4 N (d/p)^2 + 11 (d/p)^3)."""
    m = size.d // size.p
    return size.p * (4 * size.n * m**2 + CONSTANT * m**3)


def smaller_side_operations(size: Size) -> int:
    """Return p (4 N (d/p) k + 11 k^3) with k = min(N, d/p)."""
    k = min(size.n, size.d // size.p)
    return 4 * size.n * size.d * k + size.p * CONSTANT * k**3
