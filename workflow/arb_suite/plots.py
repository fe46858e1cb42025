"""Figures 3 to 7 drawn: the paper's curves beside those of the bundled data, with a band for the 95% interval over seeds.

And, of this suite's own, the singular values of embeddings along the training.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import matplotlib
import pandas as pd

from .cells import X, title
from .files import atomic_file
from .jobs import job_parser, run_job

matplotlib.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["draw", "draw_spectra"]

LABELS = {
    "iteration": "iteration",
    "proj_dim": "output dimension d",
    "batch_size": "batch size",
    "groups": "groups",
    "epoch": "epoch of pre-training",
    "linear_top1": "linear top-1, %",
    "linear_top5": "linear top-5, %",
    "knn5_top1": "kNN top-1, %",
    "embedding_distance": r"$\|Z^A - Z^B\|_F^2$",
    "base_distance": r"$\|B^A - B^B\|_F^2$",
    "loss": "loss, Eq. 8",
    "embedding_std": "std of the embeddings",
}
# By level these are top-5 both (P5 of the audit)
AS_LABELLED = {("fig5", "paper", f"linear_top{k}"): f"labelled ACC@{k}, %" for k in (1, 5)}
# To be told apart in print and by the colour-blind (Okabe and Ito)
STYLES: dict[str, dict[str, Any]] = {
    "ARB": {"color": "#0072B2", "marker": "o"},
    "ARB, with shuffle": {"color": "#0072B2", "marker": "o"},
    "ARB, without shuffle": {"color": "#56B4E9", "marker": "s", "linestyle": "--"},
    "Barlow Twins": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    "SimCLR": {"color": "#009E73", "marker": "^", "linestyle": "-."},
    "Direct alignment": {"color": "#CC79A7", "marker": "D", "linestyle": "--"},
}
STYLE: dict[Any, object] = {  # with keys of a type that older versions of matplotlib do not name
    "font.size": 9,
    "xtick.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "svg.hashsalt": "arb_suite",  # the same bytes each time
    "svg.fonttype": "path",
}
WIDE, NARROW = (3.1, 2.4), (1.9, 2.1)  # inches of a panel
AT_POINTS = ("fig4", "fig5", "fig6")  # whose x has few values, in powers of two
MANY = 30  # points from which on a curve has no markers


def draw(place: str, table: pd.DataFrame, narrow: bool = False) -> Figure:
    """
    Draw a figure's table.

    Parameters
    ----------
    place : str
        "fig3" to "fig7".
    table : pandas.DataFrame
        From `counterparts.counterpart`, all strings.
    narrow : bool
        Whether it is for a screen that has room for two panels side by side.

    Returns
    -------
    matplotlib.figure.Figure
        A column of panels for each metric: above the printed curves, below those
        measured on the bundled data, and, where there are any, those at tuned
        settings. Narrow, and with more than two metrics, a row for each metric.

    """
    printed, measured = table[table["paper"] != ""], table[table["measured"] != ""]
    parts = [(f"{title(place)} of the paper ({printed['dataset'].iloc[0]})", printed, "paper")]
    for tuned, of in measured.groupby(measured["variant"] == "tuned"):
        parts.append((f"measured, bundled digits{', tuned settings' if tuned else ''}", of, "measured"))
    columns = _metrics(printed, measured)
    turned = narrow and len(columns) > 2
    width, height = NARROW if narrow else WIDE
    shape = (len(columns), len(parts)) if turned else (len(parts), len(columns))
    with plt.rc_context(STYLE):
        size = (width * shape[1], height * shape[0])
        figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
        for row, (heading, points, column) in zip(axes.T if turned else axes, parts, strict=True):
            for axis, (theirs, ours) in zip(row, columns, strict=True):
                metric = theirs if column == "paper" else ours
                _panel(axis, place, points[points["metric"] == metric], metric, column)
                if narrow:
                    _few_ticks(axis, place)
            row[0].set_title(heading.replace(" (", "\n(").replace(", ", ",\n", 1) if turned else heading, loc="left")
        if narrow:
            figure.legend(*axes[0, -1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        else:
            axes[0, -1].legend()
    return figure


def _few_ticks(axis: Axes, place: str) -> None:
    """Make room for the numbers below a small panel."""
    if place in AT_POINTS:
        axis.tick_params(axis="x", labelrotation=60)
    else:
        axis.locator_params(axis="x", nbins=3)


def draw_spectra(table: pd.DataFrame, narrow: bool = False) -> Figure:
    """
    Draw how the embeddings of each run spread over their dimensions along the training.

    Parameters
    ----------
    table : pandas.DataFrame
        From `spectra.spectra`.
    narrow : bool
        Whether it is for a screen that has room for two panels side by side.

    Returns
    -------
    matplotlib.figure.Figure
        A panel a run: singular values over their rank, a curve an epoch, from light
        to dark. Below a thousandth of the largest nothing is drawn.

    """
    runs = list(table.groupby(["method", "proj_dim"], sort=False))
    with plt.rc_context(STYLE):
        columns = min(len(runs), 2 if narrow else 4)
        rows = -(-len(runs) // columns)
        width, height = NARROW if narrow else (2.5, 2.5)
        size = (width * columns, height * rows)
        figure, axes = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained")
        for axis in axes.flat[len(runs) :]:
            axis.set_axis_off()
        for axis, ((method, proj_dim), of_run) in zip(axes.flat, runs, strict=False):
            last = of_run["epoch"].max()
            for epoch, curve in of_run.groupby("epoch"):
                shade = matplotlib.colormaps["viridis_r"](0.1 + 0.9 * cast(int, epoch) / last)
                first_or_last = epoch in (0, last)
                axis.plot(
                    curve["index"],
                    curve["singular_value"].where(curve["singular_value"] > 0),
                    color=shade,
                    linewidth=1.8 if first_or_last else 0.8,
                    linestyle=":" if epoch == 0 else "-",
                    label=f"epoch {epoch}" if first_or_last else None,
                )
            axis.set_xscale("log", base=2)
            axis.set_yscale("log")
            axis.set_ylim(table["singular_value"].max() / 1000, table["singular_value"].max() * 1.5)
            axis.set_title(f"{method}, d = {proj_dim}", loc="left")
            axis.set_xlabel("rank of the singular value")
            axis.xaxis.set_major_formatter("{x:g}")
            axis.grid(alpha=0.25, linewidth=0.5)
        for row in axes:
            row[0].set_ylabel("singular value of Z, Eq. 7")
        axes[0, 0].legend()
    return figure


def _metrics(printed: pd.DataFrame, measured: pd.DataFrame) -> list[tuple[str, str]]:
    """Return which printed metric is drawn above which measured one."""
    theirs, ours = (list(dict.fromkeys(part["metric"])) for part in (printed, measured))
    if not ours or set(ours) == set(theirs):
        return [(metric, metric) for metric in theirs]
    return [("linear_top1", "linear_top1"), ("linear_top5", "knn5_top1")]


def _panel(axis: Axes, place: str, points: pd.DataFrame, metric: str, column: str) -> None:
    x = X[place]
    for name, curve in points.groupby(_names(points), sort=False):
        at = curve[x].astype(float)
        style = STYLES[name] | ({"marker": ""} if len(curve) > MANY else {})
        axis.plot(at, curve[column].astype(float), label=name, **style)
        if column == "measured" and (curve["ci_low"] != "").all():
            low, high = (curve[bound].astype(float) for bound in ("ci_low", "ci_high"))
            axis.fill_between(at, low, high, color=style["color"], alpha=0.15, linewidth=0)
    axis.set_ylabel(AS_LABELLED.get((place, column, metric), LABELS[metric]))
    axis.set_xlabel(LABELS[x])
    if place in AT_POINTS:
        ticks = sorted({float(value) for value in points[x]})
        axis.set_xscale("log", base=2)
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    axis.grid(alpha=0.25, linewidth=0.5)


def _names(points: pd.DataFrame) -> pd.Series:
    """Name the curves: by the method, and its variant where there are several."""
    if points.groupby("method")["variant"].nunique().max() > 1:
        return points["method"] + ", " + points["variant"]
    return points["method"]


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Draw the figure of one table, as SVG."""
    if options.place == "spectra":
        figure = draw_spectra(pd.read_csv(options.table))
    else:
        figure = draw(options.place, pd.read_csv(options.table, dtype=str, keep_default_na=False))
    with atomic_file(options.out) as temporary, plt.rc_context(STYLE):
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    report(f"drawn: {options.out}")


def main() -> None:
    """Run the rule ``plot``."""
    parser = job_parser("Draw a figure.")
    parser.add_argument("--place", required=True, help="fig3 to fig7, or spectra")
    parser.add_argument("--table", type=Path, required=True, help="its CSV file")
    parser.add_argument("--out", type=Path, required=True, help="the SVG file")
    run_job(work, parser)
