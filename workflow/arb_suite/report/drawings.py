"""The drawings of the theory, by name. Every number in them and in what is said of them is computed here."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import torch
from arb_core import nearest_orthonormal_basis
from matplotlib.axes import Axes
from proofs_checks.search.shrink import stored

from .bases import base, rank, ridge, scaled
from .canvas import BASE, GREY, OTHER, STYLE, VIEW, Drawing, arc, arrow, circle, new_figure, panel, svg, turned
from .collapse import collapse
from .costs import operations
from .information import shared

__all__ = ["DRAWINGS", "Drawing", "bound", "distance", "distances", "inner_products", "svg"]

LEAST, MOST = 1e-5, 10.0  # ridges drawn


def inner_products(entry: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Return <z^A_i, b^B_i> and <z^A_i, z^B_i> of a stored pair of views, without a ridge."""
    a, b = map(scaled, entry["views"])
    return (a * nearest_orthonormal_basis(b)).sum(dim=0).tolist(), (a * b).sum(dim=0).tolist()


def bound() -> Drawing:
    """Draw a pair of views at which the loss is below Barlow Twins' invariance term."""
    entry = stored("T2.one.diag")
    a, b = map(scaled, entry["views"])
    of_a, of_b, of_base = turned([a, b, nearest_orthonormal_basis(b)], 0)
    products = inner_products(entry)
    sums = [sum((1 - product) ** 2 for product in of_one) for of_one in products]
    kinds = (("ARB, one direction", "b^B", BASE, of_base), ("Barlow Twins, invariance", "z^B", OTHER, of_b))
    angles = [[abs((to[0] - start[0] + 180) % 360 - 180) for start, to in zip(of_a, kind[-1], strict=True)] for kind in kinds]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(5.8, 3.4)
        for left, (name, symbol, colour, targets), total, apart in zip((0, 2.9), kinds, sums, angles, strict=True):
            side = rf"$\Sigma_i\,(1 - \langle z^A_i, {symbol}_i \rangle)^2 = {total:.2f}$"
            axis = panel(figure, (left, 0, 2.9, 2.9), f"{name}\n{side}")
            circle(axis, 1.32)
            for i in (0, 1):
                if colour == BASE:
                    arrow(axis, of_b[i], OTHER, faint=True)
                arrow(axis, targets[i], colour, f"${symbol}_{i + 1}$", off=0.17)
                arrow(axis, of_a[i], VIEW, f"$z^A_{i + 1}$", off=0.17)
                arc(axis, of_a[i][0], targets[i][0], 0.3 + 0.16 * i, f"{apart[i]:.0f}°", off=0.17)
    said = [" and ".join(f"{round(product, 2) + 0.0:.2f}" for product in of_one) for of_one in products]
    degrees = [" and ".join(f"{angle:.0f}" for angle in apart) for apart in angles]
    return Drawing(
        figure,
        "Where the loss is below the invariance term",
        f"Two views of three samples and two features, scaled by Eq. 7; no ridge. Left, what the loss compares: features of "
        f"view A with the base of view B, {degrees[0]} degrees apart, inner products {said[0]}; pale, the features that "
        f"the base was made from. Right, what the invariance term of Barlow Twins compares: the same features with those of "
        f"view B, {degrees[1]} degrees apart, inner products {said[1]}. The loss is {sums[0]:.6f}, the invariance term "
        f"{sums[1]:.6f}.",
        "Two circles with the same two arrows, the features of view A. Left two dashed arrows, the columns of the base of "
        f"view B, at {degrees[0]} degrees from their partners: the squares of 1 less the inner product add up to "
        f"{sums[0]:.2f}. Right two dotted arrows, the features of view B, at {degrees[1]} degrees from theirs: the sum is "
        f"{sums[1]:.2f}.",
    )


def distances(entry: Mapping[str, Any], ridges: Sequence[float]) -> list[float]:
    """Return ||Z - B|| / ||Z|| of a stored embedding, for each ridge."""
    z = scaled(entry["views"][0])
    return [((z - nearest_orthonormal_basis(z, ridge)).norm() / z.norm()).item() for ridge in ridges]


def distance() -> Drawing:
    """Draw how far the pseudo base is from an embedding, over the ridge."""
    entry = stored("T4.distance")
    z = scaled(entry["views"][0])
    marked = sorted({float(text) for side in entry["sides"] for text in side["part"].removeprefix("lambda = ").split(" and ")})
    value = dict(zip(marked, distances(entry, marked), strict=True))
    ridges = torch.logspace(math.log10(LEAST), math.log10(MOST), 181, dtype=torch.float64).tolist()
    curve = distances(entry, ridges)
    nearest = ridges[curve.index(min(curve))]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(5.8, 2.9)
        left = panel(figure, (0.4, 0.5, 2.35, 2.1), r"$\|Z - B\|\,/\,\|Z\|$")
        right = panel(figure, (3.35, 0.5, 2.35, 2.1), "singular values")
        left.plot(ridges, curve, color=VIEW)
        for ridge, far in value.items():
            if ridge:
                left.plot(ridge, far, "o", color=BASE, markersize=6, markeredgecolor="white", zorder=5)
                left.text(
                    ridge, far - 0.03, f"$\\lambda = {ridge:g}$\n{far:.4f}", ha="center", va="top", color=BASE, fontsize=9
                )
            else:
                left.axhline(far, color=GREY, linewidth=1, linestyle=":")
                left.text(1.3 * LEAST, far + 0.025, f"$\\lambda = 0$: {far:.4f}", color=GREY, fontsize=9)
        _values(right, z, ridges)
        for axis, top in ((left, 0.8), (right, 1.6)):
            axis.set(xscale="log", xlim=(LEAST, MOST), ylim=(0, top), xlabel=r"ridge $\lambda$", xticks=[1e-4, 1e-2, 1])
    s = torch.linalg.svdvals(z).tolist()
    said = ", ".join(f"{far:.4f} at lambda = {ridge:g}" for ridge, far in value.items())
    return Drawing(
        figure,
        "How far the pseudo base is from the embedding",
        f"An embedding of three samples and two features, scaled by Eq. 7. Left: the relative distance to its pseudo base, "
        f"||Z - B|| / ||Z||, is {said}. Of the ridges drawn, {nearest:.2g} gives the least, {min(curve):.4f}: the distance is "
        f"not monotone in lambda. Right, why: a ridge shrinks the singular values of B, the smaller one first, and brings it "
        f"nearer to that of Z, {s[1]:.2f}; with larger ridges both are below those of Z and fall.",
        f"Left the relative distance, a curve over lambda from {LEAST:.5f} to {MOST:g} on a logarithmic axis, which starts "
        f"at {curve[0]:.4f}, falls to {min(curve):.4f} at {nearest:.2g} and rises to {curve[-1]:.4f}; marked are {said}. "
        f"Right the two singular values of B, both near 1 for small lambda and falling, and as level lines those of Z, "
        f"{s[0]:.2f} and {s[1]:.2f}.",
    )


def _values(axis: Axes, z: torch.Tensor, ridges: Sequence[float]) -> None:
    """Draw the singular values of the pseudo base over the ridge, and those of the embedding."""
    of_base = torch.stack([torch.linalg.svdvals(nearest_orthonormal_basis(z, ridge)) for ridge in ridges])
    axis.plot(ridges, of_base.numpy(), color=BASE, linestyle=(0, (5, 1.4)))
    axis.text(1.3 * LEAST, of_base[0, 0].item() - 0.04, "of $B$", color=BASE, va="top")
    for s in torch.linalg.svdvals(z).tolist():
        axis.axhline(s, color=VIEW, linewidth=1.4)
        axis.text(1.3 * LEAST, s - 0.04, f"of $Z$: {s:.2f}", color=VIEW, va="top")


DRAWINGS: Mapping[str, Callable[[], Drawing]] = {
    "base": base,
    "ridge": ridge,
    "T1.rank": rank,
    "T2": bound,
    "T4.distance": distance,
    "T3": shared,
    "T5": collapse,
    "X1": operations,
}
