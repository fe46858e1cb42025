"""Cells and points that stand in several places, marks that follow from numbers, orders that a table shows."""

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import NamedTuple

from scipy import stats

from ..printed import Printed, Row, Rows, number, only, value, where
from .finding import Finding, decides, holds_if, listed, title
from .rankings import sampling_note

__all__ = ["Place", "bold_columns", "places_of_one_number"]

# Panels of the figures, and the metric of the tables that they show
PANELS = {"acc1": "linear_top1", "acc5": "linear_top5"}


MATCHED = ("Table 3", "Fig. 6")  # which row of Table 1 these stand for is not said; it is found by the numbers


class Place(NamedTuple):
    """Two places that should have the same number; what stands there, as printed."""

    first: str
    first_value: str
    second: str
    second_value: str

    @property
    def agree(self) -> bool:
        """Whether the numbers are equal; 78.2 and 78.20 are."""
        return Decimal(self.first_value) == Decimal(self.second_value)


def places_of_one_number(printed: Printed) -> list[Place]:
    """
    Return the cells and points that stand for one and the same number, pairwise with their cell of Table 1.

    Table 3 does not say its dimension, nor Fig. 6 which point is Table 1's cell:
    for each of them the row, or the point, that has the most equal numbers is taken.
    """
    table1 = where(printed.tables, table="table1")
    arb = where(table1, method="ARB")
    wide = str(max(int(cell["proj_dim"]) for cell in arb))
    found = []

    def pair(cell: Row, place: str, **columns: str) -> None:
        (counterpart,) = where(table1, dataset=cell["dataset"], metric=cell["metric"], **columns)
        name = f"Table 1, {title(counterpart)}, {cell['dataset']}, {cell['metric']}"
        found.append(Place(name, number(counterpart), place, number(cell)))

    aligned = [cell for cell in where(printed.tables, table="table3", method="ARB") if cell["metric"] in PANELS.values()]
    dimension = _most_equal(
        aligned,
        {cell["proj_dim"] for cell in arb},
        lambda cell, d: where(arb, proj_dim=d, dataset=cell["dataset"], metric=cell["metric"]),
    )
    for cell in aligned:
        pair(cell, f"Table 3, {cell['metric']}", method="ARB", proj_dim=dimension)
    for cell in where(printed.tables, table="table4", variant="standard"):
        pair(cell, f"Table 4, standard, {cell['metric']}", method="ARB", proj_dim=cell["proj_dim"])
    for cell in where(printed.tables, table="table5", variant="feature"):
        place = f"Table 5, feature level (d = {cell['proj_dim']}), {cell['dataset']}, {cell['metric']}"
        pair(cell, place, method="ARB", proj_dim=cell["proj_dim"])
    for cell in printed.release_readme:
        rows = where(table1, method=cell["method"], dataset=cell["dataset"], metric=cell["metric"])
        if rows:
            widest = max(rows, key=lambda row: int(row["proj_dim"]))["proj_dim"]
            place = f"README of the release, {cell['method']}, {cell['dataset']}, {cell['metric']}"
            pair(cell, place, method=cell["method"], proj_dim=widest)
    variant, groups = table1_point_of_fig6(printed)
    for panel, metric in PANELS.items():
        point = only(printed.fig6, metric=panel, variant=variant, groups=groups)
        cell = {"dataset": "CIFAR-100", "metric": metric, "value": number(point)}
        pair(cell, f"Fig. 6, {panel}, {variant}, {groups} groups", method="ARB", proj_dim=wide)
    return found


def table1_point_of_fig6(printed: Printed) -> tuple[str, str]:
    """Return the variant and the number of groups of Fig. 6 that come nearest to Table 1's widest CIFAR-100 cells."""
    cells = where(printed.tables, table="table1", method="ARB", dataset="CIFAR-100")
    wide = str(max(int(cell["proj_dim"]) for cell in cells))
    settings = dict.fromkeys((point["variant"], point["groups"]) for point in printed.fig6)

    def distance(setting: tuple[str, str]) -> Decimal:
        gaps = (
            abs(
                value(only(printed.fig6, metric=panel, variant=setting[0], groups=setting[1]))
                - value(only(cells, proj_dim=wide, metric=metric))
            )
            for panel, metric in PANELS.items()
        )
        return sum(gaps, Decimal(0))

    return min(settings, key=distance)


def _most_equal(cells: Iterable[Row], choices: Iterable[str], counterparts: Callable[[Row, str], Rows]) -> str:
    cells = list(cells)
    return max(
        sorted(choices, key=int), key=lambda choice: sum(value(c) == value(o) for c in cells for o in counterparts(c, choice))
    )


@decides("P13")
def repeated_cells_agree(printed: Printed) -> Finding:
    """Compare every pair of places."""
    places = places_of_one_number(printed)
    apart = [place for place in places if not place.agree]
    shown = [f"{p.first} {p.first_value}, but {p.second} {p.second_value}" for p in apart]
    counts = Counter(place.second.split(", ")[0] for place in places)
    by_place = ", ".join(f"{place} {count}" for place, count in counts.items())
    matched = sum(count for place, count in counts.items() if place in MATCHED)
    evidence = (
        f"{len(places) - len(apart)} of {len(places)} pairs of a cell of Table 1 and another place are identical ({by_place});"
        f" {len(places) - matched} are paired by name, {matched} by their numbers ({' and '.join(MATCHED)})"
    )
    return Finding(
        holds_if(not apart),
        evidence,
        correction=f"not {listed(shown)}" if apart else "",
        condition="Table 3 as the row of Table 1 that has its numbers, and Fig. 6 by its nearest point; neither place says so",
    )


@decides("P5")
def panels_over_batch_sizes(printed: Printed) -> Finding:
    """Compare the two panels point by point, their order, and their level with Table 1."""
    top1, top5 = (where(printed.fig5, panel_label=panel) for panel in PANELS)
    same = sum(value(point) == value(_same_point(point, top5)) for point in top1)
    above = {
        panel: [
            value(point) > value(only(panel_points, method="barlow_twins", batch_size=point["batch_size"]))
            for point in where(panel_points, method="arb")
        ]
        for panel, panel_points in zip(PANELS, (top1, top5), strict=True)
    }
    identical = same == len(top1)
    cells = where(printed.tables, dataset="CIFAR-100")
    highest = max((cell for cell in cells if cell["metric"] == "linear_top1"), key=value)
    higher = sum(value(point) > value(highest) for point in top1)
    table1 = where(cells, table="table1", method="ARB", metric="linear_top5")
    at_batch = only(top1, method="arb", batch_size="256")
    evidence = (
        f"the panels labelled ACC@1 and ACC@5 are identical at {same} of {len(top1)} points, so they show one metric, not two;"
        if identical
        else f"the panels are identical at {same} of {len(top1)} points;"
    )
    evidence += (
        f" ARB is above Barlow Twins at {sum(above['acc1'])} of {len(above['acc1'])} batch sizes in ACC@1 and at"
        f" {sum(above['acc5'])} of {len(above['acc5'])} in ACC@5; {higher} of {len(top1)} points of ACC@1 are above the highest"
        f" printed top-1 of CIFAR-100 ({number(highest)}), and ARB's {number(at_batch)} at batch 256 is near its top-5 of"
        f" Table 1 ({' and '.join(number(cell) for cell in table1)}); {sampling_note(printed, 'P5')}"
    )
    ordered = all(all(panel) for panel in above.values())
    correction = ""
    if identical and ordered:
        correction = (
            "in the one metric that Fig. 5 shows, by its level top-5, ARB is above Barlow Twins at"
            f" {sum(above['acc5'])} of {len(above['acc5'])} batch sizes; for the other metric no number is printed"
        )
    return Finding(holds_if(ordered and not identical), evidence, correction=correction)


def _same_point(point: Row, points: Rows) -> Row:
    return only(points, method=point["method"], batch_size=point["batch_size"])


@decides("P6")
def eight_groups_beat_one(printed: Printed) -> Finding:
    """Compare the points of both variants and panels, and say which point Table 1 has."""
    more, fewer = (printed.said("P6", name) for name in ("more_groups", "fewer_groups"))
    parts, true = [], []
    for panel in PANELS:
        for variant in ("group", "group_shuffle"):
            points = where(printed.fig6, metric=panel, variant=variant)
            high, low = (only(points, groups=groups) for groups in (more, fewer))
            true.append(value(high) > value(low))
            shuffled = "with" if variant == "group_shuffle" else "without"
            parts.append(f"{panel} {shuffled} shuffle {number(high)} and {number(low)}")
    variant, groups = table1_point_of_fig6(printed)
    of_table1 = [only(printed.fig6, metric=panel, variant=variant, groups=groups) for panel in PANELS]
    pairs = [place for place in places_of_one_number(printed) if place.second.startswith("Fig. 6")]
    relation = "identical to" if all(place.agree for place in pairs) else "nearest to"
    return Finding(
        holds_if(all(true)),
        f"Fig. 6, {more} groups and {fewer}: {'; '.join(parts)}: higher in {sum(true)} of {len(true)} pairs. The point"
        f" {relation} Table 1's CIFAR-100 cells at the largest d ({' and '.join(place.first_value for place in pairs)}) is"
        f" {groups} groups {'with' if variant == 'group_shuffle' else 'without'} the shuffle ({listed(of_table1)}); the paper"
        f" does not print how many groups Table 1 has; {sampling_note(printed, 'P6')}",
    )


def bold_columns(printed: Printed) -> list[tuple[str, Rows, Rows]]:
    """
    Return what bold should mark: (name of the column, its best cells, its bold cells).

    A column is a table, data set, number of epochs and metric; in Table 1 the
    asymmetric and the symmetric rows apart.
    """
    columns: dict[tuple[str, ...], list[Row]] = {}
    for cell in printed.tables:
        part = cell["variant"] if cell["table"] == "table1" else ""
        key = (cell["table"], part, cell["dataset"], cell["pretrain_epochs"], cell["metric"])
        columns.setdefault(key, []).append(cell)
    found = []
    for column, cells in columns.items():
        best = max(value(cell) for cell in cells)
        name = ", ".join(part for part in column if part)
        found.append((name, tuple(c for c in cells if value(c) == best), tuple(c for c in cells if c["bold"] == "1")))
    return found


@decides("P15")
def bold_marks_the_best(printed: Printed) -> Finding:
    """Compare the bold cells of every column with its highest."""
    columns = bold_columns(printed)
    wrong = [
        f"{name}: best {listed(best)}, bold {listed(bold) or 'none'}"
        for name, best, bold in columns
        if set(map(id, best)) != set(map(id, bold))
    ]
    evidence = f"in {len(columns) - len(wrong)} of {len(columns)} columns exactly the highest cell is bold"
    return Finding(holds_if(not wrong), evidence, correction=f"not in {listed(wrong)}" if wrong else "")


@decides("P16")
def probe_and_neighbours(printed: Printed) -> Finding:
    """Compare the two evaluations of Table 3, and direct alignment's kNN with guessing."""
    table = where(printed.tables, table="table3")
    parts, chances, true, false = [], [], [], []
    for method in dict.fromkeys(cell["method"] for cell in table):
        linear, knn = (only(table, method=method, metric=metric) for metric in ("linear_top1", "knn5_top1"))
        true.append(value(linear) >= value(knn))
        parts.append(f"{method}: linear {number(linear)}, kNN {number(knn)}")
        if not true[-1]:
            false.append(f"{method}'s kNN is {value(knn) - value(linear)} above its linear probe")
    for metric, guesses in (("knn5_top1", 1), ("knn5_top5", 5)):
        cell = only(table, method="Direct alignment", metric=metric)
        sizes = only(printed.evaluation_sets, dataset=cell["dataset"])
        n, chance = int(sizes["n_eval"]), Decimal(guesses) / int(sizes["classes"])
        p_value = stats.binomtest(round(value(cell) * n / 100), n, float(chance)).pvalue
        true.append(p_value >= 0.05)
        verb = "is within" if p_value >= 0.05 else "is not within"
        chances.append(
            f"{metric} {number(cell)} {verb} what guessing gives ({100 * chance:.2f}, {n} images, binomial p = {p_value:.2g})"
        )
        if not true[-1]:
            false.append(f"direct alignment's {metric} is {value(cell) / (100 * chance):.2f} times chance")
    return Finding(
        holds_if(all(true)),
        f"Table 3, top-1: {'; '.join(parts)}. Direct alignment: {'; '.join(chances)}",
        correction="; ".join(false),
    )
