"""The losses of the paper: Equation 8 with its groups, levels and readings, and direct alignment."""

import math

import torch
from torch import Tensor, nn

from .distributed import WholeBatch, gather_rows, join_shares

__all__ = ["ARBLoss", "DirectAlignmentLoss"]

LEVELS = ("feature", "instance")
READINGS = ("diagonal", "frobenius")


class ARBLoss(nn.Module):
    r"""
    Align each view with the nearest orthonormal basis of the other.

    With both views standard-scaled (Eq. 7) and :math:`B^A = M(Z^A)`,
    :math:`B^B = M(Z^B)` their bases (Theorem 1, Eq. 9), held constant,

    .. math::
        L = \sum_{i=1}^{d} \left(1 - \langle z_i^A, b_i^B \rangle\right)^2
          + \sum_{i=1}^{d} \left(1 - \langle z_i^B, b_i^A \rangle\right)^2 .

    This is the *diagonal* reading of Eq. 8, linear in d and the one the released
    code takes. The *frobenius* reading keeps the off-diagonal products,
    :math:`L = \|I - (Z^A)^T B^B\|_F^2 + \|I - (Z^B)^T B^A\|_F^2`.

    Parameters
    ----------
    level : {"feature", "instance"}, optional
        "feature" aligns the d columns of Z, "instance" (ARB(ins), sec. 3.3) its N
        rows: the instance level on Z is the feature level on :math:`Z^T`, scaling
        included.
    groups : int, optional
        Split the aligned vectors into this many groups of equal size, take one
        base per group and sum the losses (sec. 3.2.4). Must divide d (feature
        level) or N (instance level).
    shuffle : bool, optional
        Permute the aligned vectors at random, the same way in both views, before
        they are split. Needs the `generator` argument of the call, in the same
        state on every process where the batch is gathered.
    ridge : float, optional
        The lambda of Eq. 9, in units of squared norms of scaled columns; 0 takes
        the polar factor (see `nearest_orthonormal_basis` for rank deficiency).
    reading : {"diagonal", "frobenius"}, optional
        Which of the two readings of Eq. 8.
    eps : float, optional
        Passed to `standard_scale`, in the units of the embeddings: a constant
        column is mapped near zero, where it costs 1 per direction, instead of
        stopping the training run. At a standard deviation of 1 the default
        changes a column's norm by 5e-13.
    gather_distributed : bool, optional
        Take the batches of all processes of the default `torch.distributed` group
        as one: scaling, base and products are those of the global batch. Every
        process holds an equal share and returns the whole loss, and the average of
        the processes' parameter gradients, which DistributedDataParallel takes, is
        its gradient. At the feature level either Gram matrices are added up or the
        rows gathered, whichever moves fewer bytes (see
        `arb_core.distributed.sums_move_fewer_bytes`); at the instance level, whose
        groups of samples lie across the processes, rows are gathered. Without an
        initialised group, or with one process, it changes nothing.

    Raises
    ------
    ValueError
        If an argument is outside what is listed above.

    Notes
    -----
    The sums are those of Eq. 8: nothing is divided by d, N or the number of
    groups, and a scale factor belongs to the training code. Float16 and bfloat16
    input is converted to float32, and autocast is off inside.

    It stands where lightly's `BarlowTwinsLoss` would in a training loop:
    ``criterion = ARBLoss()``, then ``criterion(z_a, z_b).backward()``.

    References
    ----------
    .. [1] S. Zhang et al., "Align Representations with Base", CVPR 2022, Eqs. 7-9,
       secs. 3.2.3, 3.2.4 and 3.3.

    Examples
    --------
    Two identical views whose scaled columns are orthonormal already are their own
    base, so that nothing is left to align:

    >>> import torch
    >>> from arb_core import ARBLoss
    >>> z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> loss = ARBLoss(ridge=0.0)
    >>> bool(loss(z, z).abs() < 1e-9)
    True

    Collapsed to one feature (two equal columns, each its own partner), every product is
    :math:`1 / \sqrt{2}`, and the loss is :math:`4 (1 - 1/\sqrt{2})^2`:

    >>> collapsed = z[:, [0, 0]]
    >>> print(f"{loss(collapsed, collapsed).item():.4f}")
    0.3431

    """

    def __init__(
        self,
        level: str = "feature",
        groups: int = 1,
        shuffle: bool = False,
        ridge: float = 1e-4,
        reading: str = "diagonal",
        eps: float = 1e-6,
        gather_distributed: bool = False,
    ):
        super().__init__()
        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}, got {level!r}")
        if reading not in READINGS:
            raise ValueError(f"reading must be one of {', '.join(READINGS)}, got {reading!r}")
        if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
            raise ValueError(f"groups must be a whole number >= 1, got {groups!r}")
        for name, value in (("ridge", ridge), ("eps", eps)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number >= 0, got {value!r}")
        self.level = level
        self.groups = groups
        self.shuffle = shuffle
        self.ridge = ridge
        self.reading = reading
        self.eps = eps
        self.gather_distributed = gather_distributed

    def forward(self, z_a: Tensor, z_b: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """
        Return the loss of one batch.

        Parameters
        ----------
        z_a, z_b : (N, d) Tensor
            Raw projector outputs of the two views; they are scaled here.
        generator : torch.Generator, optional
            Source of the permutation; needed if `shuffle` is set, else not used.

        Returns
        -------
        () Tensor
            The sum of Eq. 8, differentiable with respect to the embeddings but
            not through the bases.

        Raises
        ------
        TypeError
            If the views are not floating-point tensors.
        ValueError
            If the shapes differ or are not (N, d), if the number of groups does
            not divide the number of aligned vectors, if `shuffle` is set and no
            generator is given, or where `standard_scale` and
            `nearest_orthonormal_basis` raise it (constant column with ``eps=0``,
            NaN or infinity), or, on every process, if their shares differ in size.

        """
        z_a, z_b, batch = self._join(*_matched_views(z_a, z_b))
        with torch.autocast(z_a.device.type, enabled=False):
            if self.level == "instance":
                z_a, z_b = z_a.mT, z_b.mT
            z_a, z_b = batch.standard_scale(z_a, self.eps), batch.standard_scale(z_b, self.eps)
            if self.shuffle:
                order = self._permutation(z_a, generator)
                z_a, z_b = z_a[:, order], z_b[:, order]
            z_a, z_b = self._split(z_a), self._split(z_b)
            b_a, b_b = batch.nearest_orthonormal_basis(z_a, self.ridge), batch.nearest_orthonormal_basis(z_b, self.ridge)
            misfit = _diagonal_misfit if self.reading == "diagonal" else _frobenius_misfit
            return misfit(z_a, b_b, batch) + misfit(z_b, b_a, batch)

    def _join(self, z_a: Tensor, z_b: Tensor) -> tuple[Tensor, Tensor, WholeBatch]:
        """Return the rows that this process computes with, and the batch they belong to."""
        if not self.gather_distributed:
            return z_a, z_b, WholeBatch()
        if self.level == "instance":
            return gather_rows(z_a), gather_rows(z_b), WholeBatch()
        return join_shares(z_a, z_b, z_a.shape[1] // self.groups, self.ridge, self.reading)

    def _permutation(self, z: Tensor, generator: torch.Generator | None) -> Tensor:
        if generator is None:
            raise ValueError(
                "shuffle=True draws a permutation per batch and never from global state: "
                "pass generator=torch.Generator().manual_seed(seed), the same object for every batch"
            )
        return torch.randperm(z.shape[1], generator=generator, device=generator.device).to(z.device)

    def _split(self, z: Tensor) -> Tensor:
        """Turn m columns into a batch of groups: (n, m) to (groups, n, m / groups)."""
        m = z.shape[1]
        if m % self.groups:
            what = "features (d)" if self.level == "feature" else "samples (N)"
            raise ValueError(f"groups={self.groups} does not divide the {m} {what}; choose a divisor of {m}")
        return z.reshape(len(z), self.groups, m // self.groups).movedim(1, 0)

    def extra_repr(self) -> str:
        """Show the settings in the module's printed form."""
        return (
            f"level={self.level!r}, groups={self.groups}, shuffle={self.shuffle}, ridge={self.ridge}, "
            f"reading={self.reading!r}, eps={self.eps}, gather_distributed={self.gather_distributed}"
        )


class DirectAlignmentLoss(nn.Module):
    r"""
    Align each view with the other view itself: the paper's collapse baseline.

    The base of Eq. 8 is replaced by the embedding it was made from, held constant,

    .. math::
        L = \sum_{i=1}^{d} \left(1 - \langle z_i^A, z_i^B \rangle\right)^2
          + \sum_{i=1}^{d} \left(1 - \langle z_i^B, z_i^A \rangle\right)^2 ,

    over standard-scaled views. It vanishes wherever the two views agree, however
    few directions they use: nothing opposes dimensional collapse.

    Parameters
    ----------
    eps : float, optional
        Passed to `standard_scale`, as in `ARBLoss`.
    gather_distributed : bool, optional
        As in `ARBLoss`.

    Raises
    ------
    ValueError
        If `eps` is negative or not finite.

    Notes
    -----
    Both terms have the same value, and with the other factor held constant their
    gradients add up to that of one term without that restriction, the invariance
    term of Barlow Twins (Eq. 1).

    References
    ----------
    .. [1] S. Zhang et al., "Align Representations with Base", CVPR 2022, sec. 4.3,
       Fig. 3 and Table 3.

    Examples
    --------
    >>> import torch
    >>> from arb_core import DirectAlignmentLoss
    >>> z = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    >>> collapsed = z[:, [0, 0, 0]]
    >>> bool(DirectAlignmentLoss()(collapsed, collapsed).abs() < 1e-9)
    True

    """

    def __init__(self, eps: float = 1e-6, gather_distributed: bool = False):
        super().__init__()
        if not (math.isfinite(eps) and eps >= 0):
            raise ValueError(f"eps must be a finite number >= 0, got {eps!r}")
        self.eps = eps
        self.gather_distributed = gather_distributed

    def forward(self, z_a: Tensor, z_b: Tensor) -> Tensor:
        """Return the loss of one batch: z_a, z_b (N, d) raw projector outputs; a scalar; errors as in `ARBLoss`."""
        z_a, z_b = _matched_views(z_a, z_b)
        z_a, z_b, batch = join_shares(z_a, z_b, width=0) if self.gather_distributed else (z_a, z_b, WholeBatch())
        with torch.autocast(z_a.device.type, enabled=False):
            z_a, z_b = batch.standard_scale(z_a, self.eps), batch.standard_scale(z_b, self.eps)
            return _diagonal_misfit(z_a, z_b.detach(), batch) + _diagonal_misfit(z_b, z_a.detach(), batch)


def _matched_views(z_a: Tensor, z_b: Tensor) -> tuple[Tensor, Tensor]:
    for z in (z_a, z_b):
        if not isinstance(z, Tensor):
            raise TypeError(f"both views must be torch.Tensor, got {type(z).__name__}")
    if z_a.ndim != 2 or z_a.shape != z_b.shape:
        raise ValueError(f"both views must have one shape (N, d), got {tuple(z_a.shape)} and {tuple(z_b.shape)}")
    half = (torch.float16, torch.bfloat16)
    z_a, z_b = (z.float() if z.dtype in half else z for z in (z_a, z_b))
    if z_a.dtype != z_b.dtype:
        raise ValueError(f"both views must have one dtype, got {z_a.dtype} and {z_b.dtype}")
    return z_a, z_b


def _diagonal_misfit(z: Tensor, b: Tensor, batch: WholeBatch) -> Tensor:
    """Sum of (1 - <z_i, b_i>)^2 over the columns of (..., n, m) matrices."""
    return (1 - batch.total((z * b).sum(dim=-2))).square().sum()


def _frobenius_misfit(z: Tensor, b: Tensor, batch: WholeBatch) -> Tensor:
    """Sum of ||I - Z^T B||_F^2 over (..., n, m) matrices, on the smaller side; a shared batch always has m <= n."""
    n, m = batch.n_rows(z), z.shape[-1]
    if m <= n:
        return (torch.eye(m, dtype=z.dtype, device=z.device) - batch.total(z.mT @ b)).square().sum()
    # ||I - Z^T B||^2 = m - 2 tr(Z^T B) + tr(Z Z^T B B^T). The sum is at least m - n there, so nothing cancels.
    groups = z.numel() // (n * m)
    return groups * m - 2 * (z * b).sum() + ((z @ z.mT) * (b @ b.mT)).sum()
