"""Batch normalisation over the global batch of several processes, on CPU too, where `torch.nn.SyncBatchNorm` refuses to run."""

import torch
from arb_core.distributed import has_several_processes, sum_over_processes
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["GlobalBatchNorm", "globalise_batch_norm"]


def globalise_batch_norm(model: nn.Module) -> nn.Module:
    """
    Let the batch normalisation of a model see the batches of all processes.

    Parameters
    ----------
    model : nn.Module
        Before it is wrapped in DistributedDataParallel, on the device it will be
        trained on.

    Returns
    -------
    nn.Module
        `model` with its `nn.BatchNorm1d`, `2d` and `3d` layers replaced, or, if it
        is such a layer itself, the replacement. Parameters, buffers and the keys
        of the state dict stay. On CPU the layers are `GlobalBatchNorm`, elsewhere
        `torch.nn.SyncBatchNorm`.

    """
    if any(parameter.device.type != "cpu" for parameter in model.parameters()):
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return converted
    if isinstance(model, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        return GlobalBatchNorm(model)
    for name, child in model.named_children():
        setattr(model, name, globalise_batch_norm(child))
    return model


class GlobalBatchNorm(_BatchNorm):
    """
    A layer of batch normalisation whose statistics in training are those of all processes.

    In evaluation, outside an initialised process group or with one process it
    computes what the plain layer does.

    Parameters
    ----------
    layer : nn.BatchNorm1d, nn.BatchNorm2d or nn.BatchNorm3d
        Taken over with its parameters, buffers and settings.

    Raises
    ------
    ValueError
        In the forward pass, on input of fewer than 2 dimensions, or if all
        processes together hold one value per channel.

    Notes
    -----
    Gradients add up what the losses of all processes say, as with
    `torch.nn.SyncBatchNorm`; the processes' shares may differ in size.

    """

    def __init__(self, layer: _BatchNorm):
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean, self.running_var = layer.running_mean, layer.running_var
        self.num_batches_tracked = layer.num_batches_tracked
        self.training = layer.training

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (n, channels, ...), this process's share of the batch; statistics are in float32 or more."""
        if not (self.training and has_several_processes()):
            return super().forward(x)
        self._check_input_dim(x)
        # channels last: (n, ..., channels); under autocast x may have 16 bits, in which not even the rows can be counted
        x_rows = x.movedim(1, -1).to(torch.promote_types(x.dtype, torch.float32))
        others = tuple(range(x.ndim - 1))
        own_count = x_rows.new_tensor([x_rows[..., 0].numel()])
        sums = sum_over_processes(torch.cat([x_rows.sum(others), own_count]))
        count = sums[-1].detach()
        if count < 2:
            raise ValueError(
                f"batch normalisation in training needs more than 1 value per channel, all processes hold {int(count)}"
            )
        mean = sums[:-1] / count
        centred = x_rows - mean
        variance = sum_over_processes(centred.square().sum(others)) / count
        if self.track_running_stats:
            self._follow(mean.detach(), variance.detach() * count / (count - 1))
        normal = centred * (variance + self.eps).rsqrt()
        if self.weight is not None:
            normal = normal * self.weight
        if self.bias is not None:
            normal = normal + self.bias
        return normal.movedim(-1, 1).to(x.dtype)

    def _follow(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        count = self.get_buffer("num_batches_tracked").add_(1)
        share = 1 / count.item() if self.momentum is None else self.momentum  # None: the average of all
        self.get_buffer("running_mean").lerp_(mean, share)
        self.get_buffer("running_var").lerp_(unbiased_variance, share)

    def _check_input_dim(self, x: Tensor) -> None:
        if x.ndim < 2:
            raise ValueError(f"input must have shape (n, channels, ...), got {tuple(x.shape)}")
