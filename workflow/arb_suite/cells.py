"""The printed accuracies of tables and figures in one form: a row per number, with a figure's x."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .jobs import UserError
from .printed import Row, number, read_rows

__all__ = [
    "FIGURES",
    "METHODS",
    "PLACES",
    "SIDES",
    "Cells",
    "Ordering",
    "X",
    "is_named",
    "metric_of",
    "printed_cells",
    "printed_file",
    "printed_sides",
    "title",
]

Ordering = Mapping[str, Any]  # of the configuration
Cells = Mapping[str, Sequence[Mapping[str, str]]]  # by table or figure

TABLES = ("table1", "table2", "table3", "table4", "table5")
FIGURES = ("fig3", "fig4", "fig5", "fig6", "fig7")
PLACES = TABLES + FIGURES
# The column that a figure is drawn over
X = {"fig3": "iteration", "fig4": "proj_dim", "fig5": "batch_size", "fig6": "groups", "fig7": "epoch"}
# The figures' names, and the tables'
METHODS = {"arb": "ARB", "barlow_twins": "Barlow Twins", "simclr": "SimCLR", "direct": "Direct alignment"}
METRICS = {"acc1": "linear_top1", "acc5": "linear_top5"}
_DATASETS = {"fig3": "CIFAR-100", "fig4": "ImageNet-100", "fig5": "CIFAR-100", "fig6": "CIFAR-100", "fig7": "CIFAR-100"}
SIDES = ("left", "right")  # of an ordering
_THEIRS = {"fig4": "dim", "fig5": "batch_size", "fig6": "groups", "fig7": "epoch"}  # what their files call x


def title(place: str) -> str:
    """Return what people call a place: Table 2, Fig. 4."""
    return place.replace("table", "Table ").replace("fig", "Fig. ")


def printed_file(folder: Path, place: str) -> Path:
    """Return the file of a table or figure."""
    return folder / ("tables.csv" if place in TABLES else f"{place}.csv")


def printed_cells(folder: Path, place: str) -> list[Row]:
    """
    Return what a table or figure prints.

    Returns
    -------
    list of dict
        One per number, in the order of the file: method, variant, proj_dim,
        dataset, pretrain_epochs, metric, as_printed and, of a figure, its x.

    """
    if place in TABLES:
        return [row for row in read_rows(printed_file(folder, place)) if row["table"] == place]
    cells: list[Row] = []
    for row in read_rows(printed_file(folder, place)):
        if row.get("method") == "dashed_line":  # a line of the plot, no curve
            continue
        metric = row.get("metric") or row.get("panel_label") or row["panel"]
        cell = dict.fromkeys(("method", "variant", "proj_dim", "pretrain_epochs"), "") | {
            "method": METHODS[row.get("method", "arb")],
            "dataset": _DATASETS[place],
            "metric": METRICS.get(metric, metric),
            "as_printed": number(row),
        }
        if place == "fig3":
            cell["iteration"] = str(100 * int(row["iteration_hundreds"]))
        else:
            cell[X[place]] = row[_THEIRS[place]]
        if place == "fig6":
            cell |= {"proj_dim": "2048", "variant": "with shuffle" if row["variant"] == "group_shuffle" else "without shuffle"}
        cells.append(cell)
    return cells


def is_named(cell: Mapping[str, str], columns: Mapping[str, str]) -> bool:
    """Tell whether a printed cell has these values in these columns."""
    return all(cell.get(name) == value for name, value in columns.items())


def metric_of(ordering: Ordering, side: str) -> str:
    """Return what one side of an ordering is measured in."""
    metric: str = ordering.get(f"{side}_metric", ordering["metric"])
    return metric


def printed_sides(ordering: Ordering, cells: Cells) -> list[Mapping[str, str]]:
    """
    Return the two printed cells that an ordering refers to.

    Raises
    ------
    UserError
        If its columns name no cell or several.

    """
    paper = ordering["paper"]
    found = []
    for side in SIDES:
        columns = {"metric": paper.get("metric", metric_of(ordering, side))} | paper.get("both", {}) | paper[side]
        matching = [cell for cell in cells[paper["place"]] if is_named(cell, columns)]
        if len(matching) != 1:
            asked = ", ".join(f"{name} {value}" for name, value in columns.items())
            raise UserError(f"orderings: {ordering['name']}: {len(matching)} cells of {title(paper['place'])} have {asked}")
        found += matching
    return found
