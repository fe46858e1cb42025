"""The drawing of collapse: where gradient descent takes two features of two views."""

import math
from typing import Any

import matplotlib
import torch
from arb_core import ARBLoss, DirectAlignmentLoss, nearest_orthonormal_basis, standard_scale
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap
from matplotlib.lines import Line2D
from torch import Tensor

from .bases import PRINTED_RIDGE
from .canvas import BASE, GREY, INK, OTHER, PLANE, STYLE, VIEW, Drawing, new_figure, panel

__all__ = ["collapse", "descend", "embeddings", "gradients", "misfit", "rates"]

REACH = 135  # degrees drawn
LARGE_RIDGE = 1e-2
STEP, STEPS = 0.02, 400  # of the curves
STARTS = ((14, 2), (2, 14), (110, -75), (75, -110))  # in degrees; those opposite them too
LEVELS = (0, 0.02, 0.1, 0.3, 0.6, 1, 1.5, 2, 3, 4, 5, 6, 7)  # of the loss
AT_REST = 1e-9
GRID = 49


def embeddings(angle: Tensor) -> Tensor:
    """
    Make two features of three samples that include an angle.

    Parameters
    ----------
    angle : (k,) Tensor
        In radians, from the first feature to the second.

    Returns
    -------
    (3, 2 k) Tensor
        Centred columns of norm 1, two and two, and the direction halfway between the
        two is the same for all. Differentiable.

    """
    places = torch.stack([-angle / 2, angle / 2], dim=1).flatten()
    return PLANE.mT @ torch.stack([places.cos(), places.sin()])


def gradients(in_a: Tensor, in_b: Tensor, ridge: float | None) -> tuple[Tensor, Tensor]:
    """
    Return the gradients of the loss, through Eq. 7 and with bases held constant.

    Parameters
    ----------
    in_a, in_b : (k,) Tensor
        The angle in view A and in view B, in radians.
    ridge : float or None
        Of the loss of Eq. 8; None takes direct alignment.

    Returns
    -------
    (3, 2 k) Tensor, (3, 2 k) Tensor
        With respect to the raw embeddings of each view, which are those of `embeddings`.

    Notes
    -----
    Each pair of features is a group of one batch, so that all gradients come at once.

    """
    views = [embeddings(angle).requires_grad_() for angle in (in_a, in_b)]
    loss = DirectAlignmentLoss(eps=0) if ridge is None else ARBLoss(groups=len(in_a), ridge=ridge, eps=0)
    of_a, of_b = torch.autograd.grad(loss(*views), views)
    return of_a, of_b


def rates(in_a: Tensor, in_b: Tensor, ridge: float | None) -> tuple[Tensor, Tensor]:
    """
    Return how fast gradient descent opens the angle between two features, in each view.

    Parameters
    ----------
    in_a, in_b, ridge
        Those of `gradients`.

    Returns
    -------
    (k,) Tensor, (k,) Tensor
        Radians per unit of time.

    Notes
    -----
    The features are mirror images, as are their gradients: nothing is lost by looking
    at the angle alone. Each of the two moves by half of it, so that its speed is twice
    the negative derivative.

    """
    found = []
    for angle, gradient in zip((in_a, in_b), gradients(in_a, in_b, ridge), strict=True):
        leaf = angle.clone().requires_grad_()
        found.append(-2 * torch.autograd.grad(embeddings(leaf), leaf, gradient)[0])
    return found[0], found[1]


def misfit(in_a: Tensor, in_b: Tensor, ridge: float | None) -> Tensor:
    """Return the loss at each pair of angles; arguments as of `gradients`."""
    a, b = (standard_scale(embeddings(angle)).unflatten(1, (-1, 2)).movedim(1, 0) for angle in (in_a, in_b))
    targets = (b, a) if ridge is None else (nearest_orthonormal_basis(b, ridge), nearest_orthonormal_basis(a, ridge))
    loss: Tensor = sum((1 - (z * target).sum(dim=-2)).square().sum(dim=-1) for z, target in zip((a, b), targets, strict=True))
    return loss


def descend(in_a: Tensor, in_b: Tensor, ridge: float | None) -> Tensor:
    """Return the path of descent from pairs of angles, (steps + 1, 2, k) in radians, slow stretches passed more quickly."""
    path = [torch.stack([in_a, in_b])]
    for _ in range(STEPS):
        in_a, in_b = path[-1]
        way = torch.stack(rates(in_a, in_b, ridge))
        path.append(path[-1] + STEP * way / (way.norm(dim=0) + STEP))
    return torch.stack(path)


def collapse() -> Drawing:
    """Draw the flow of gradient descent around the collapsed state."""
    with matplotlib.rc_context(STYLE):
        figure = new_figure(5.8, 5.35)
        arb = panel(figure, (0.68, 2.45, 2.3, 2.3), r"ARB, $\lambda = 10^{-4}$")
        direct = panel(figure, (3.4, 2.45, 2.3, 2.3), "direct alignment")
        speed = panel(figure, (0.68, 0.5, 5.02, 1.35))
        _flow(arb, PRINTED_RIDGE)
        _flow(direct, None)
        _speed(speed)
        arb.set_ylabel("angle in view B")
        for sign in (-1, 1):
            arb.plot(90 * sign, 90 * sign, "o", color=OTHER, markersize=8, markeredgecolor="white", zorder=6)
        end = Line2D([], [], linestyle="", marker="o", color=OTHER, markersize=8, label="orthogonal")
        points = [arb.get_lines()[-3], end]
        drawn = [axis.get_lines()[0] for axis in (arb, direct)]
        figure.legend(handles=[*points, *drawn], loc="upper center", ncols=4, columnspacing=1.4, handletextpad=0.6)
    return Drawing(figure, "Collapse is an unstable point of rest", *_said())


def _flow(axis: Axes, ridge: float | None) -> None:
    """Draw the loss, the direction of descent and some of its paths over the angles of both views."""
    fine = torch.linspace(-REACH, REACH, GRID, dtype=torch.float64)
    grid = torch.cartesian_prod(fine, fine).deg2rad()
    loss = misfit(grid[:, 0], grid[:, 1], ridge).reshape(GRID, GRID).mT
    shades = LinearSegmentedColormap.from_list("loss", ["#FFFFFF", "#A8ADB3"])
    axis.contourf(
        fine.numpy(),
        fine.numpy(),
        loss.numpy(),
        levels=LEVELS,
        norm=BoundaryNorm(LEVELS, 256, extend="max"),
        cmap=shades,
        extend="max",
    )
    coarse = torch.linspace(-REACH + 15, REACH - 15, 9, dtype=torch.float64)
    points = torch.cartesian_prod(coarse, coarse)
    in_a, in_b = points.deg2rad().mT
    way = torch.stack(rates(in_a, in_b, ridge))
    moving = way.norm(dim=0) > AT_REST
    way = (way / way.norm(dim=0))[:, moving]
    axis.quiver(
        *points[moving].mT.numpy(), *way.numpy(), color=GREY, pivot="mid", angles="xy", scale=13, width=0.006, headwidth=4.5
    )
    ends = [-REACH, REACH]
    look: dict[str, Any] = (
        {"linewidth": 1.1, "linestyle": ":", "label": "equal views"} if ridge else {"linewidth": 2.5, "label": "at rest"}
    )
    axis.plot(ends, ends, color=INK, **look)
    starts = torch.tensor([[a * sign, b * sign] for a, b in STARTS for sign in (-1, 1)], dtype=torch.float64)
    in_a, in_b = starts.deg2rad().mT
    path = descend(in_a, in_b, ridge).rad2deg().numpy()
    for i in range(len(starts)):
        axis.plot(path[::4, 0, i], path[::4, 1, i], color=VIEW, linewidth=1.6)
        axis.plot(*path[0, :, i], "o", color=VIEW, markersize=3)
    look = {"color": BASE, "markerfacecolor": "white", "markersize": 8, "markeredgewidth": 1.8, "zorder": 6}
    axis.plot(0, 0, "o", label="collapse", **look)
    axis.set(xlim=ends, ylim=ends, xticks=[-90, 0, 90], yticks=[-90, 0, 90], xlabel="angle in view A")
    axis.xaxis.set_major_formatter("{x:.0f}°")
    axis.yaxis.set_major_formatter("{x:.0f}°")
    axis.set_aspect("equal")


def _speed(axis: Axes) -> None:
    """Draw how fast equal views leave collapse, over how far from it they are."""
    degrees = torch.logspace(-3, math.log10(90), 181, dtype=torch.float64)
    looks = ((PRINTED_RIDGE, VIEW, "-"), (LARGE_RIDGE, OTHER, (0, (5, 1.4))), (None, INK, (0, (1.2, 1))))
    for ridge, colour, line in looks:
        rate = rates(degrees.deg2rad(), degrees.deg2rad(), ridge)[0]
        axis.plot(degrees.numpy(), rate.numpy(), color=colour, linestyle=line)
    axis.text(0.42, 0.5, r"$\lambda = 10^{-4}$", color=VIEW, ha="right")
    axis.text(3.2, 0.27, r"$\lambda = 10^{-2}$", color=OTHER, ha="right")
    axis.text(0.0012, 0.03, "direct alignment", color=INK)
    axis.set(xscale="log", xlim=(1e-3, 100), ylim=(-0.03, None))
    axis.set(xticks=[1e-3, 1e-2, 0.1, 1, 10, 90], yticks=[0, 0.25, 0.5, 0.75])
    axis.xaxis.set_major_formatter("{x:g}°")
    axis.minorticks_off()
    axis.set(xlabel="angle between the two features, equal views", ylabel="speed of the angle")


def _said() -> tuple[str, str]:
    """Return the caption and the text for those who do not see it."""
    degrees = torch.tensor([[0.01, 0.01], [1, 1], [1, -1]], dtype=torch.float64)
    in_a, in_b = degrees.deg2rad().mT
    near, alike, opposite = rates(in_a, in_b, PRINTED_RIDGE)[0].tolist()
    of_direct = rates(in_a, in_b, None)[0][1].item()
    zero = torch.zeros(1, dtype=torch.float64)
    norm = torch.stack(gradients(zero, zero, PRINTED_RIDGE)).norm().item()
    loss = [misfit(zero, zero, ridge).item() for ridge in (PRINTED_RIDGE, None)]
    starts = torch.tensor(STARTS, dtype=torch.float64)[::2]
    in_a, in_b = starts.deg2rad().mT
    ways = []
    for ridge in (PRINTED_RIDGE, None):
        ends = descend(in_a, in_b, ridge)[-1].rad2deg().mT
        pairs = zip(starts.tolist(), ends.tolist(), strict=True)
        ways.append(" and ".join(f"({a:.0f}, {b:.0f}) to ({x:.0f}, {y:.0f})" for (a, b), (x, y) in pairs))
    return (
        f"Two features of three samples in two views. Above: the angle between the two features in view A and in view B; "
        f"darker is a larger loss, arrows point the way of descent, curves are its paths from the dots. At (0, 0), where all "
        f"features coincide, the gradient of ARB is {_size(norm)}. At (1, 1) degree both angles open at the speed {alike:.2f} "
        f"(radians per unit of time), by direct alignment at {_size(of_direct)}; at (1, -1) that of view A at {opposite:.2f}: "
        f"with ARB, deviations that both views share grow and opposite ones shrink. Below: the speed for equal views.",
        f"Two maps of the flow, from -{REACH} to {REACH} degrees on both axes. By ARB descent goes from {ways[0]}, by direct "
        f"alignment from {ways[1]}. The loss at (0, 0) is {_size(loss[0])} and {_size(loss[1])}. Below, the speed with which "
        f"the angle opens for equal views, lambda = 1e-4: {near:.4f} at 0.01 degrees, {alike:.4f} at 1 degree.",
    )


def _size(value: float) -> str:
    """Write a number that rounding may have kept from being 0."""
    return "0" if abs(value) < AT_REST else f"{value:.4f}"
