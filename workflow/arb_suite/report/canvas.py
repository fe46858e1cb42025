"""What all drawings share: their style, their text form, and pictures of unit vectors on a circle."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..plots import STYLE as PLOTS

__all__ = [
    "BASE",
    "FRAME",
    "GREY",
    "INK",
    "OTHER",
    "PAPER",
    "PLANE",
    "STYLE",
    "VIEW",
    "Drawing",
    "arc",
    "arrow",
    "at",
    "circle",
    "new_figure",
    "panel",
    "right_angle",
    "svg",
    "turned",
]

# Of Okabe and Ito. A view, the other view and a base differ in line and head too, for prints in grey.
VIEW, OTHER, BASE = "#0072B2", "#009E73", "#D55E00"
INK, GREY = "#222222", "#767676"
STYLE = PLOTS | {
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.titlesize": 10,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.fontsize": 9,
    "figure.facecolor": "white",
    "lines.linewidth": 1.8,
    "mathtext.fontset": "dejavusans",
}
PLANE = torch.tensor([[1.0, -1.0, 0.0], [1.0, 1.0, -2.0]], dtype=torch.float64)
PLANE /= PLANE.norm(dim=1, keepdim=True)  # of centred features of three samples: orthogonal to (1, 1, 1)
PAPER, FRAME = "#F5F6F7", "#B5B9BD"
LINES = {VIEW: "-", OTHER: (0, (1.2, 1.0)), BASE: (0, (5, 1.4))}


@dataclass(frozen=True)
class Drawing:
    """
    A drawing and what is said of it.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        What is drawn.
    title : str
        A short heading.
    caption : str
        What is seen and what it shows, in plain sentences, with the numbers computed.
    alt : str
        What the picture shows, for those who do not see it.

    """

    figure: Figure
    title: str
    caption: str
    alt: str


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, which pyplot does not hold; its axes are placed by `panel`."""
    return Figure(figsize=(width, height))


def panel(figure: Figure, place: Sequence[float], title: str = "") -> Axes:
    """Add an axis at left, bottom, width and height, in inches, and its title, on one line for all of a height."""
    width, height = figure.get_size_inches()
    left, bottom, wide, high = place
    axis = figure.add_axes((left / width, bottom / height, wide / width, high / height))
    middle, top = (left + wide / 2) / width, (bottom + high + 0.04) / height
    figure.text(middle, top, title, ha="center", va="bottom", color=INK, linespacing=1.35)
    return axis


def svg(figure: Figure) -> str:
    """
    Write a figure as SVG text.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Of a drawing.

    Returns
    -------
    str
        The same for the same figure: no date, letters as paths, a white background.

    """
    text = StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def turned(matrices: Sequence[Tensor], start: float) -> list[list[tuple[float, float]]]:
    """
    Turn centred columns of three samples into points of a plane.

    Such columns lie in the plane orthogonal to (1, 1, 1). Which way it is turned is free,
    and it is seen from the side from which the second column of the first matrix is less
    than half a turn counterclockwise of the first one.

    Parameters
    ----------
    matrices : sequence of (3, d) Tensor
        Their columns are centred.
    start : float
        Where the first column of the first matrix is to be, in degrees.

    Returns
    -------
    list of list of (float, float)
        For each matrix and each column its angle, in degrees from -180 to 180, and its length.

    """
    points = [PLANE @ matrix for matrix in matrices]
    angles = [torch.atan2(point[1], point[0]).rad2deg() for point in points]
    first = angles[0][0].item()
    side = 1 if (angles[0][1].item() - first) % 360 <= 180 else -1
    return [
        [
            ((start + side * (angle - first) + 180) % 360 - 180, length)
            for angle, length in zip(of.tolist(), point.norm(dim=0).tolist(), strict=True)
        ]
        for of, point in zip(angles, points, strict=True)
    ]


def at(angle: float, radius: float = 1.0) -> tuple[float, float]:
    """Return the point at an angle in degrees."""
    return radius * math.cos(math.radians(angle)), radius * math.sin(math.radians(angle))


def circle(axis: Axes, reach: float) -> None:
    """Draw the unit circle on an axis that reaches so far from its centre."""
    axis.set_aspect("equal")
    axis.set_axis_off()
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach))
    turn = [at(degree) for degree in range(0, 361, 3)]
    axis.fill(*zip(*turn, strict=True), color=PAPER, zorder=0)
    axis.plot(*zip(*turn, strict=True), color=FRAME, linewidth=1, zorder=1)
    axis.plot(0, 0, "o", color=INK, markersize=3, zorder=6)


def arrow(
    axis: Axes, to: tuple[float, float], colour: str, label: str = "", off: float = 0.14, faint: bool = False, beside: float = 0
) -> None:
    """
    Draw a vector from the centre.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
        Of a `circle`.
    to : (float, float)
        Its angle, in degrees, and its length.
    colour : str
        That of a view or of a base; the line goes with it.
    label : str, optional
        Its name.
    off : float, optional
        How far beyond its end the name stands.
    faint : bool, optional
        Whether it is only there for comparison.
    beside : float, optional
        How far to the left of its place it is drawn, so that another vector is seen.

    """
    angle, length = to
    (right, up), size = at(angle + 90), 0.1

    def point(along: float, across: float) -> tuple[float, float]:
        x, y = at(angle, along)
        return x + across * right, y + across * up

    line, head = ((0, beside), (length - 1.3 * size, beside)), ((0, 0), (-1.4 * size, 0.5 * size), (-1.4 * size, -0.5 * size))
    look: dict[str, Any] = {"color": colour, "alpha": 0.45 if faint else 1.0, "zorder": 3 if faint else 4}
    axis.plot(*zip(*(point(*of) for of in line), strict=True), linestyle=LINES[colour], linewidth=2, **look)
    axis.fill(*zip(*(point(length + x, beside + y) for x, y in head), strict=True), linewidth=0, **look)
    if label:
        axis.text(*point(length + off, beside), label, color=colour, ha="center", va="center", zorder=8)


def arc(axis: Axes, start: float, end: float, radius: float, label: str, colour: str = INK, off: float = 0.13) -> None:
    """Mark the angle between two directions, the shorter way round, its label `off` outside the arc."""
    way = (end - start + 180) % 360 - 180
    line = [at(start + way * i / 60, radius) for i in range(61)]
    axis.plot(*zip(*line, strict=True), color=colour, linewidth=1.1, zorder=3)
    axis.text(*at(start + way / 2, radius + off), label, color=colour, ha="center", va="center", fontsize=9, zorder=8)


def right_angle(axis: Axes, first: float, second: float, size: float = 0.13, colour: str = INK) -> None:
    """Mark two directions as orthogonal."""
    (x, y), (u, v) = at(first, size), at(second, size)
    axis.plot([x, x + u, u], [y, y + v, v], color=colour, linewidth=1.1, zorder=3)
