r"""
The global batch of several processes: for losses that couple its samples.

A loss of this package needs the batch for three things only: to scale it, to take bases of it, and to add up products over
its samples. `WholeBatch` and `SharedBatch` are these three, for rows that one process holds together and for rows that stay
where they are. `join_shares` chooses between them by the bytes that `sums_move_fewer_bytes` counts.

Both keep one contract. Every process returns the whole loss, and the average of the processes' parameter gradients, which
DistributedDataParallel takes, is its gradient. For the backward pass of each message adds up what all processes' losses say,
so that a process's gradient is world_size times its own rows' part of the gradient on the whole batch.
"""

from typing import Any

import torch
from torch import Tensor, distributed
from torch.linalg import LinAlgError

from .basis import TOLERANCES, nearest_orthonormal_basis
from .inverse_root import by_eigenvalues, error_of, rounding_of
from .scaling import check_embeddings, scale_by, standard_scale

__all__ = [
    "SharedBatch",
    "WholeBatch",
    "gather_rows",
    "has_several_processes",
    "join_shares",
    "sum_over_processes",
    "sums_move_fewer_bytes",
]


class WholeBatch:
    """A batch whose rows one process holds."""

    def n_rows(self, z: Tensor) -> int:
        """Count the rows of the batch."""
        return z.shape[-2]

    def standard_scale(self, z: Tensor, eps: float) -> Tensor:
        """Scale the columns of (n, d) embeddings: `standard_scale`."""
        return standard_scale(z, eps=eps)

    def nearest_orthonormal_basis(self, z: Tensor, ridge: float) -> Tensor:
        """Take one base per group of (groups, n, width) scaled embeddings: `nearest_orthonormal_basis`."""
        return nearest_orthonormal_basis(z, ridge=ridge)

    def total(self, part: Tensor) -> Tensor:
        """Complete a sum over the rows."""
        return part


class SharedBatch(WholeBatch):
    """A batch of which every process holds an equal share of the rows; arguments and results are this process's share."""

    def n_rows(self, z: Tensor) -> int:
        """Count the rows of the batch."""
        return z.shape[-2] * distributed.get_world_size()

    def standard_scale(self, z: Tensor, eps: float) -> Tensor:
        """Scale by the columns' statistics over all processes: 4 vectors of d numbers forward, 3 backward."""
        check_embeddings(z, "z")
        n = self.n_rows(z)

        def mean(x: Tensor) -> Tensor:
            return self.total(x.sum(dim=-2, keepdim=True)) / n

        def largest(x: Tensor) -> Tensor:
            return _largest(x.amax(dim=-2, keepdim=True))

        return scale_by(z, -2, eps, n, mean, largest)

    @torch.no_grad()
    def nearest_orthonormal_basis(self, z: Tensor, ridge: float) -> Tensor:
        """
        Take the bases' own rows, :math:`Z_{own} (Z^T Z + r I)^{-1/2}`, from Gram matrices summed over all processes.

        Scaled columns are at most of norm 1, so that float64 holds all their squares; the ridge must be positive, for the
        Gram matrix cannot tell a singular value of 1e-8 from 0. Raises ValueError on NaN or infinity, and
        torch.linalg.LinAlgError where the root is off by more than a base may be: its rows would have to be gathered.
        """
        z64 = z.detach().double()
        gram = z64.mT @ z64
        row, column = torch.tril_indices(*gram.shape[-2:], device=z.device)  # symmetric: one triangle is sent
        gram[..., row, column] = gram[..., column, row] = self.total(gram[..., row, column])
        if not gram.isfinite().all():
            raise ValueError("z holds NaN or infinite values in the rows of some process; it has no base")
        r = gram.new_tensor(ridge).expand(gram.shape[:-2])
        root, slope = by_eigenvalues(gram, r, rank_tolerance=0.0)
        trace = gram.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
        error = (error_of(gram, r, root) + rounding_of(trace, slope, self.n_rows(z))).amax()  # the same on every process
        if not error <= TOLERANCES[z.dtype]:
            raise LinAlgError(
                f"the base from Gram matrices added up over processes is off by about {error:.1e}, where "
                f"{TOLERANCES[z.dtype]:.0e} is allowed; take a larger ridge than {ridge}, or one process"
            )
        return (z64 @ root).to(z.dtype)

    def total(self, part: Tensor) -> Tensor:
        """Complete a sum over the rows."""
        return sum_over_processes(part)


def join_shares(
    z_a: Tensor, z_b: Tensor, width: int, ridge: float = 0.0, reading: str = "diagonal"
) -> tuple[Tensor, Tensor, WholeBatch]:
    """
    Make one batch of the shares of all processes, by the messages that take fewer bytes.

    Parameters
    ----------
    z_a, z_b : (n, d) Tensor
        This process's share of the two views; the same shape and dtype on every
        process.
    width : int
        Columns of a group, d / groups; 0 where no base is taken.
    ridge, reading
        As in `ARBLoss`.

    Returns
    -------
    z_a, z_b : Tensor
        The rows to go on with: all rows, or the own share.
    batch : WholeBatch
        What to scale, take bases and add up with; a `SharedBatch` for the own
        share. Outside an initialised process group, or with one process, the
        views as they are and a `WholeBatch`.

    Raises
    ------
    ValueError
        On every process, if their shares differ in shape or size of the dtype.

    """
    if not has_several_processes():
        return z_a, z_b, WholeBatch()
    _check_equal_shares(z_a)
    batch = SharedBatch()
    if sums_move_fewer_bytes(batch.n_rows(z_a), width, z_a.dtype, ridge, reading):
        return z_a, z_b, batch
    return _GatherRows.apply(z_a), _GatherRows.apply(z_b), WholeBatch()


def sums_move_fewer_bytes(n: int, width: int, dtype: torch.dtype, ridge: float, reading: str = "diagonal") -> bool:
    r"""
    Decide whether to add up statistics and Gram matrices, or to gather the rows.

    Of a tensor of M bytes, each of W processes receives (W - 1)/W M in an all-gather and in a reduce-scatter, and twice that
    in an all-reduce. In units of 2 (W - 1)/W bytes, with e the bytes of a number (4 or 8), one view and one of its d columns
    cost, forward and backward together,

    * gathering the rows: the rows and their gradient, :math:`N e`;
    * adding up: the statistics of the scaling, 7 e (two means, the variance and their gradients, the largest entry; ``eps=0``
      takes one vector more, which is left out); one triangle of the group's Gram matrix in float64, 4 (width + 1); the
      products with the base and their gradient, 2 e, or 2 e width under the Frobenius reading.

    So in float32, under the diagonal reading, adding up is cheaper if :math:`N > d / groups + 10`.

    The Gram matrix G is not used where its rounding could show: by `rounding_of` it, as its trace is at most `width` and the
    slope 0.3 / ridge, it moves the base by at most :math:`0.3 u N width / ridge`. If that exceeds half of what a base may be
    off by, 5e-6 in float32 and 5e-11 in float64 (for a ridge of 1e-4: beyond N width = 7.5 million and 75), and so always for
    ``ridge=0``, the rows are gathered.
    """
    if width and (ridge == 0 or rounding_of(width, 0.3 / ridge, n) > TOLERANCES[dtype] / 2):
        return False
    e = dtype.itemsize
    products = 2 * e * (width if reading == "frobenius" else 1)
    gram = 4 * (width + 1) if width else 0
    return 7 * e + gram + products < n * e


def gather_rows(z: Tensor) -> Tensor:
    """
    Stack the rows of all processes, in the order of their ranks.

    Parameters
    ----------
    z : (n, d) Tensor
        This process's share; the same shape on every process.

    Returns
    -------
    (n * world_size, d) Tensor
        Differentiable: the backward pass adds up what every process's loss says
        about these rows. If each process computes the whole loss, the gradient is
        world_size times that of one process on the whole batch, which the
        averaging of DistributedDataParallel undoes. Outside an initialised
        process group, `z` itself.

    Raises
    ------
    ValueError
        On every process, if their shares differ in shape or size of the dtype.

    """
    if not has_several_processes():
        return z
    _check_equal_shares(z)
    rows: Tensor = _GatherRows.apply(z)
    return rows


def sum_over_processes(part: Tensor) -> Tensor:
    """
    Add up a tensor of the same shape over all processes.

    Differentiable: the backward pass adds up what every process's loss says about
    the sum. Outside an initialised process group, `part` itself.
    """
    return _Sum.apply(part) if has_several_processes() else part


def has_several_processes() -> bool:
    """Tell whether the default process group is initialised and has more than one process."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def _check_equal_shares(z: Tensor) -> None:
    # A collective on unequal shares hangs or mixes memory. Their sizes are three numbers a process.
    if z.ndim != 2:
        raise ValueError(f"a share of the batch must have shape (n, d), got {tuple(z.shape)}")
    own = torch.tensor([*z.shape, z.dtype.itemsize], device=z.device)
    sizes = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(sizes, own)
    sizes = torch.stack(sizes).tolist()
    if any(size != sizes[0] for size in sizes):
        listed = ", ".join(f"process {rank} ({n}, {d}) in {8 * size} bits" for rank, (n, d, size) in enumerate(sizes))
        raise ValueError(
            f"the processes' shares of the batch must have one shape (n, d) and dtype, got {listed}; "
            "give every process equally many samples, for example with drop_last=True in its loader"
        )


def _largest(part: Tensor) -> Tensor:
    largest = part.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(largest, distributed.ReduceOp.MAX)
    return largest


# Collectives send memory as it lies: a transposed or expanded tensor has to be laid out first.


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        total = part.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradient)


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        rows = z.new_empty(len(z) * distributed.get_world_size(), z.shape[1])
        distributed.all_gather_into_tensor(rows, z.contiguous())
        return rows

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        own = gradient.new_empty(len(gradient) // distributed.get_world_size(), gradient.shape[1])
        distributed.reduce_scatter_tensor(own, gradient.contiguous())
        return own
