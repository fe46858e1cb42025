"""The optimisers that the training loop steps, and the schedule of their rates."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .jobs import UserError

if TYPE_CHECKING:
    from lightly.utils.scheduler import CosineWarmupScheduler

__all__ = ["Lars", "build_optimizer"]


class Lars(torch.optim.Optimizer):
    """
    Gradient descent with momentum and a rate adapted to each parameter (LARS).

    A step is v <- momentum v + r (g + weight_decay p), p <- p - lr v, where the ratio
    r = trust_coefficient |p| / (|g| + weight_decay |p| + eps). A parameter that is not
    adapted, or of which p or g is zero, is not decayed either: v <- momentum v + g.

    Parameters
    ----------
    params : iterable
        Real floating-point parameters, or groups of them.
    lr : float
        Learning rate, 0 or more.
    momentum, weight_decay : float
        0 or more.
    trust_coefficient : float
        Of the ratio.
    eps : float
        Keeps the ratio finite.
    clip : bool
        Use min(r / lr, 1) in place of r, so that p moves by at most lr (g + weight_decay p)
        and, below that, by a length that does not depend on lr. Adapted are then the
        parameters of 2 or more dimensions; without `clip`, those of groups with weight
        decay.

    Raises
    ------
    ValueError
        If lr, momentum or weight_decay is negative.

    Notes
    -----
    The host never waits for the device: what to adapt is decided there. Without `clip`
    a step on CPU is bit for bit that of `lightly.utils.lars.LARS`, with it that of
    solo-learn's LARS with clip_lars_lr and exclude_bias_n_norm_lars, except that the
    latter adapts scalars. Neither dampening nor Nesterov's momentum is here.

    References
    ----------
    Y. You, I. Gitman and B. Ginsburg, Large Batch Training of Convolutional Networks,
    2017, Eq. 6. The clipping is that of NVIDIA's apex.

    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
        eps: float = 1e-8,
        clip: bool = False,
    ):
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        for name, value in defaults.items():
            if value < 0:
                raise ValueError(f"{name} must be 0 or more, got {value}")
        super().__init__(params, {**defaults, "trust_coefficient": trust_coefficient, "eps": eps, "clip": clip})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; return what `closure`, called first, returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            adapted = [p for p in moved if (p.ndim > 1 if group["clip"] else group["weight_decay"] != 0)]
            directions = {p: p.grad for p in moved}
            directions |= dict(zip(adapted, _adapted_gradients(adapted, group), strict=True))
            if group["momentum"] != 0:
                directions = self._velocities(directions, group["momentum"])
            if moved:
                torch._foreach_add_(moved, list(directions.values()), alpha=-group["lr"])
        return loss

    def _velocities(self, directions: Mapping[Tensor, Tensor], momentum: float) -> dict[Tensor, Tensor]:
        """Return the momentum buffers, brought up to date; a buffer starts as the first direction."""
        buffers = {p: self.state[p]["momentum_buffer"] for p in directions if "momentum_buffer" in self.state[p]}
        if buffers:
            torch._foreach_mul_(list(buffers.values()), momentum)
            torch._foreach_add_(list(buffers.values()), [directions[p] for p in buffers])
        for p, direction in directions.items():
            if p not in buffers:
                self.state[p]["momentum_buffer"] = direction.clone()
        return {p: self.state[p]["momentum_buffer"] for p in directions}


def _adapted_gradients(parameters: list[Tensor], group: Mapping[str, Any]) -> list[Tensor]:
    """Return r (g + weight_decay p) of each parameter, and g where p or g is zero."""
    if not parameters:
        return []
    gradients = [p.grad for p in parameters if p.grad is not None]  # which all of them have
    parameter_norms, gradient_norms = torch._foreach_norm(parameters), torch._foreach_norm(gradients)
    # The order of these operations settles the last bits.
    divisors = torch._foreach_mul(parameter_norms, group["weight_decay"])
    divisors = torch._foreach_add(gradient_norms, divisors)
    torch._foreach_add_(divisors, group["eps"])
    ratios = torch._foreach_div(parameter_norms, divisors)
    torch._foreach_mul_(ratios, group["trust_coefficient"])
    if group["clip"]:  # at rate 0 the ratio is 1
        torch._foreach_div_(ratios, group["lr"])
        torch._foreach_clamp_max_(ratios, 1.0)
    scaled = torch._foreach_add(gradients, parameters, alpha=group["weight_decay"])
    torch._foreach_mul_(scaled, ratios)
    neither_is_zero = map(torch.logical_and, parameter_norms, gradient_norms)
    return [torch.where(*of_one) for of_one in zip(neither_is_zero, scaled, gradients, strict=True)]


def build_optimizer(
    method: nn.Module, settings: Mapping[str, Any], steps_per_epoch: int
) -> "tuple[torch.optim.Optimizer, CosineWarmupScheduler]":
    """
    Build the optimiser of a method and the schedule of its rates: linear warm-up, then cosine decay.

    Parameters
    ----------
    method : nn.Module
        What requires no gradient is left out. Biases and batch normalisation have a
        rate of their own and no weight decay.
    settings : mapping
        The training settings of a run.
    steps_per_epoch : int
        The rates change with every step.

    Raises
    ------
    UserError
        If the optimiser is unknown, or is not LARS and told to clip.

    """
    from lightly.utils.scheduler import CosineWarmupScheduler  # `Lars` is also of machines without it, see workflow/benchmarks

    trained = [p for p in method.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "lr": settings["learning_rate"]},
        # LARS leaves the rate of a group without weight decay as it is.
        {"params": [p for p in trained if p.ndim <= 1], "lr": settings["bias_learning_rate"], "weight_decay": 0.0},
    ]
    common = {"lr": settings["learning_rate"], "weight_decay": settings["weight_decay"]}
    clip = settings.get("clip", False)
    if clip and settings["optimizer"] != "lars":
        raise UserError(
            f"training: clip is for lars, but optimizer is {settings['optimizer']!r}; leave clip out, or choose lars"
        )
    optimizer: torch.optim.Optimizer
    match settings["optimizer"]:
        case "lars":
            trust = settings["trust_coefficient"]
            optimizer = Lars(groups, momentum=settings["momentum"], trust_coefficient=trust, clip=clip, **common)
        case "sgd":
            optimizer = torch.optim.SGD(groups, momentum=settings["momentum"], **common)
        case "adam":
            optimizer = torch.optim.Adam(groups, **common)
        case other:
            raise UserError(f"unknown optimizer {other!r}; known are lars, sgd, adam")
    steps = settings["epochs"] * steps_per_epoch
    warmup = round(settings["warmup_fraction"] * steps)
    schedule = CosineWarmupScheduler(optimizer, warmup, steps, end_value=settings["final_rate_fraction"])
    return optimizer, schedule
