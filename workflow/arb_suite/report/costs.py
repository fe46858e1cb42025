"""The drawing of the cost: operations of a base, by Eq. 9 as it stands and on the smaller side, over features and groups."""

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from proofs_checks.operations import Size, formula_operations, objective_operations, smaller_side_operations

from .canvas import BASE, GREY, INK, STYLE, VIEW, Drawing, new_figure, panel

__all__ = ["FEATURES", "GROUPS", "operations"]

SAMPLES, PRINTED = 256, 2048  # N and d of the paper
FEATURES = tuple(2**k for k in range(5, 14))
GROUPS = tuple(2**k for k in range(6))
Count = Callable[[Size], int]
DASHED, DOTTED = (0, (5, 1.4)), (0, (1.2, 1.0))


def operations() -> Drawing:
    """Draw what a base and the objective take in operations."""
    with matplotlib.rc_context(STYLE):
        figure = new_figure(5.8, 3.0)
        left = panel(figure, (0.65, 0.5, 2.35, 2.15), f"one base, $N = {SAMPLES}$")
        right = panel(figure, (3.35, 0.5, 2.35, 2.15), f"groups, $N = {SAMPLES}$, $d = {PRINTED}$")
        over_features = [Size(SAMPLES, d) for d in FEATURES]
        over_groups = [Size(SAMPLES, PRINTED, p) for p in GROUPS]
        for axis, x, sizes in ((left, FEATURES, over_features), (right, GROUPS, over_groups)):
            _curve(axis, x, sizes, smaller_side_operations, VIEW, "-", "o")
            _curve(axis, x, sizes, formula_operations, BASE, DASHED, "s")
            _curve(axis, x, sizes, objective_operations, INK, DOTTED, "")
            axis.set(xscale="log", yscale="log", ylim=(1e4, 2e13))
            axis.minorticks_off()
        for axis, at, name in ((left, SAMPLES, "$d = N$"), (right, PRINTED // SAMPLES, "$d/p = N$")):
            axis.axvline(at, color=GREY, linewidth=0.8, linestyle=":")
            axis.text(at * 1.15, 2e4, name, color=GREY)
            axis.xaxis.set_major_formatter("{x:.0f}")
        left.text(33, 1e10, "Eq. 9\nas it stands", color=BASE, va="center", fontsize=9)
        left.text(FEATURES[-1] * 1.2, 2e7, "on the smaller side", color=VIEW, ha="right", fontsize=9)
        left.text(FEATURES[-1] * 1.2, 1.5e5, "objective", color=INK, ha="right", fontsize=9)
        left.set(xlabel="features $d$", ylabel="operations", xticks=[32, 256, 2048, 8192])
        right.set(xlabel="groups $p$", xticks=GROUPS, yticklabels=[])
    whole, grouped = Size(SAMPLES, PRINTED), Size(SAMPLES, PRINTED, PRINTED // SAMPLES)
    formula, smaller = ([count(size) for size in (whole, grouped)] for count in (formula_operations, smaller_side_operations))
    ends = [_large(count(Size(SAMPLES, FEATURES[-1]))) for count in (formula_operations, smaller_side_operations)]
    return Drawing(
        figure,
        "What a base takes, and what groups save",
        "Multiplications and additions, as counted for X1, on logarithmic scales. Left: Eq. 9 as it stands decomposes a matrix "
        f"of d rows and columns; where d > N, the same base is had from one of N rows and columns. At N = {SAMPLES} and "
        f"d = {PRINTED} the one takes {_large(formula[0])} operations and the other {_large(smaller[0])}. Right: {grouped.p} "
        f"groups make Eq. 9 as it stands {formula[0] / formula[1]:.0f} times cheaper and the base on the smaller side "
        f"{smaller[1] / smaller[0]:.1f} times costlier. There d/p = N, and from there on both are one. The objective takes "
        f"{_large(objective_operations(whole))}.",
        f"Two panels of operations on logarithmic axes. Left over the features, {FEATURES[0]} to {FEATURES[-1]}: up to d = "
        f"{SAMPLES} one curve for both ways to a base; from there Eq. 9 as it stands rises steeply to {ends[0]} and the "
        f"smaller side slowly to {ends[1]}; the objective is far below. Right over the groups, {GROUPS[0]} to {GROUPS[-1]}: "
        f"Eq. 9 as it stands falls, the smaller side rises a little, both meet at {grouped.p} groups, at "
        f"{_large(smaller[1])}, and fall.",
    )


def _large(count: int) -> str:
    """Write a count in words."""
    names = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"))
    size, name = next((size, name) for size, name in names if count >= size)
    return f"{count / size:.3g} {name}"


def _curve(axis: Axes, x: Sequence[int], sizes: Sequence[Size], count: Count, colour: str, line: object, marker: str) -> None:
    """Draw a count over its sizes."""
    look: dict[str, Any] = {"marker": marker, "markersize": 4} if marker else {}
    axis.plot(x, [count(size) for size in sizes], color=colour, linestyle=line, **look)
