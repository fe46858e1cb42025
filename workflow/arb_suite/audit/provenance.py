"""The baselines' cells against what the library that is named as their source had published."""

from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal

from ..printed import Printed, Row, Rows, number, value, where
from .finding import Finding, decides, holds_if, listed, signed, title

__all__ = [
    "PROTOCOLS",
    "PUBLISHED_NAMES",
    "Source",
    "baseline_cells",
    "best_of_columns",
    "published_for",
    "source_of",
    "with_published",
]

# Which of the library's numbers is taken where it has evaluated twice
PROTOCOLS = ("online", "offline", "higher")
# Names of the library where they differ
PUBLISHED_NAMES = {"MoCo V2": "MoCo V2+", "SimSiam": "Simsiam"}


@dataclass(frozen=True)
class Source:
    """
    A baseline's cell beside what the library published.

    Attributes
    ----------
    same, others : Rows
        Published cells of the same method, and of other methods, that are equal.
    nearest : Row or None
        The published cell of the same method that comes nearest, if there is one.

    """

    cell: Row
    same: Rows
    others: Rows
    nearest: Row | None

    @property
    def kind(self) -> str:
        """One of: equal, equal to another method, different, nothing published."""
        if self.same:
            return "equal"
        if self.others:
            return "equal to another method"
        return "different" if self.nearest is not None else "nothing published"

    @property
    def gap(self) -> Decimal | None:
        """The cell minus the nearest published one of its method, in points."""
        return None if self.nearest is None else value(self.cell) - value(self.nearest)

    @property
    def text(self) -> str:
        """What equals what, or by how much it differs."""
        if self.same:
            return f"equals the library's {_protocols(self.same)} cell of the method"
        parts = []
        if self.others:
            parts.append(f"equals the library's cell of {_named(self.others)}")
        if self.nearest is not None and self.gap is not None:
            own = f"{number(self.nearest)} ({self.nearest['evaluation']})"
            parts.append(f"differs from the method's own {own} by {signed(self.gap)}")
        return "; ".join(parts) or "the library published no such cell"


def baseline_cells(printed: Printed) -> Rows:
    """Return the cells of Table 1 that are not ARB's."""
    return tuple(cell for cell in where(printed.tables, table="table1") if cell["method"] != "ARB")


def source_of(printed: Printed, cell: Row) -> Source:
    """Set a cell of Table 1 beside the published ones of its data set, epochs and metric (ResNet-18)."""
    published = _published(printed, cell)
    name = PUBLISHED_NAMES.get(cell["method"], cell["method"])
    own = where(published, method=name)
    equal = tuple(other for other in published if value(other) == value(cell))
    nearest = min(own, key=lambda other: abs(value(other) - value(cell)), default=None)
    return Source(cell, where(equal, method=name), tuple(other for other in equal if other["method"] != name), nearest)


def published_for(printed: Printed, cell: Row, protocol: str = "higher") -> Row | None:
    """
    Return the cell that the library published for a baseline's cell of Table 1, if there is one.

    Parameters
    ----------
    printed : Printed
        The paper.
    cell : Row
        Of Table 1.
    protocol : {"online", "offline", "higher"}, optional
        Which evaluation where there are two; the only one where there is one.

    """
    own = where(_published(printed, cell), method=PUBLISHED_NAMES.get(cell["method"], cell["method"]))
    return max(where(own, evaluation=protocol) or own, key=value, default=None)


def with_published(printed: Printed, protocol: str = "higher") -> Printed:
    """
    Return the paper with the library's published numbers in the place of its baselines' cells of Table 1.

    The library's table has no dimensions: its cell stands for the widest row of the
    method, and narrower rows stay as printed. `protocol` is as for `published_for`.
    """
    cells = baseline_cells(printed)
    widest = _widest(cells)
    replaced = {
        id(cell): number(published)
        for cell in cells
        if id(cell) in widest and (published := published_for(printed, cell, protocol)) is not None
    }
    return replace(
        printed, tables=tuple({**cell, "as_printed": replaced.get(id(cell), number(cell))} for cell in printed.tables)
    )


def _widest(cells: Rows) -> set[int]:
    """Return the identities of the cells of each method's row of the largest dimension."""
    largest: dict[str, int] = {}
    for cell in cells:
        largest[cell["method"]] = max(largest.get(cell["method"], 0), int(cell["proj_dim"]))
    return {id(cell) for cell in cells if int(cell["proj_dim"]) == largest[cell["method"]]}


def _published(printed: Printed, cell: Row) -> Rows:
    return where(
        printed.solo_learn_published,
        dataset=cell["dataset"],
        backbone="ResNet18",
        pretrain_epochs=cell["pretrain_epochs"],
        metric=cell["metric"].removeprefix("linear_"),
    )


def _protocols(rows: Rows) -> str:
    return " and ".join(dict.fromkeys(row["evaluation"] for row in rows))


def _named(rows: Rows) -> str:
    return listed(f"{row['method']} ({row['evaluation']})" for row in rows)


def best_of_columns(printed: Printed) -> list[tuple[str, Row, Row]]:
    """Return, by column of Table 1, ARB's best symmetric cell and the best other symmetric one."""
    symmetric = where(printed.tables, table="table1", variant="symmetric")
    found = []
    for dataset, metric in dict.fromkeys((cell["dataset"], cell["metric"]) for cell in symmetric):
        column = where(symmetric, dataset=dataset, metric=metric)
        others = (cell for cell in column if cell["method"] != "ARB")
        found.append((f"{dataset} {metric}", max(where(column, method="ARB"), key=value), max(others, key=value)))
    return found


@decides("P18")
def baselines_are_as_published(printed: Printed) -> Finding:
    """Compare every baseline cell with the published ones, and P2's ranking with these in place."""
    sources = [source_of(printed, cell) for cell in baseline_cells(printed)]
    equal, foreign, neither = (
        [source for source in sources if source.kind in kinds]
        for kinds in (("equal",), ("equal to another method",), ("different", "nothing published"))
    )
    protocols = Counter(_protocols(source.same) for source in equal)
    counted = listed(f"{count} {protocol}" for protocol, count in protocols.items()) or "none"
    values = [len({value(row) for row in _published(printed, source.cell)}) for source in foreign]
    equalities = (
        f"{_name(s.cell)} {number(s.cell)} = {_named(s.others)}, of {count} values there"
        for s, count in zip(foreign, values, strict=True)
    )
    of_others = listed(equalities) or "none"
    widest = _widest(baseline_cells(printed))
    narrow = [source for source in neither if id(source.cell) not in widest]
    apart = [(s.gap, s.cell, s.nearest) for s in neither if s.gap is not None and s.nearest is not None and s not in narrow]
    furthest = sorted(apart, key=lambda entry: -abs(entry[0]))
    gaps = listed((f"{_name(cell)} {number(cell)}, published {number(own)}" for _, cell, own in furthest), most=6) or "none"
    ranking = best_of_columns(with_published(printed))
    kept = [place for place, arb, other in ranking if value(other) < value(arb)]
    lost = [
        f"{place}: {title(other)} {number(other)} against ARB {number(arb)}"
        for place, arb, other in ranking
        if place not in kept
    ]
    counts = [
        f"{protocol} {sum(value(other) >= value(arb) for _, arb, other in best_of_columns(with_published(printed, protocol)))}"
        for protocol in PROTOCOLS
    ]
    true = len(equal) == len(sources) and not lost
    return Finding(
        holds_if(true),
        f"of {len(sources)} baseline cells {len(equal)} equal a published cell of their method ({counted}), {len(foreign)}"
        f" equal one of another method only ({of_others}), {len(neither)} equal neither ({len(narrow)} of these in a"
        f" narrower row, the others furthest apart: {gaps}); with the published numbers in place, the higher of online and"
        f" offline, ARB is no longer highest in {len(lost)} of"
        f" {len(ranking)} columns ({listed(lost) or 'none'}; by protocol {', '.join(counts)}). Every cell stands in"
        f" audit_cells.csv, every claim that ranks, re-decided, in audit_redecided.csv",
        condition="compared with what the library had published on 2021-11-16, whose table has no dimensions; printed cells may"
        " come from other runs, so that it is the ranking that decides",
        correction="" if true else f"with the published numbers ARB is highest in {listed(kept) or 'no column'}",
    )


def _name(cell: Row) -> str:
    return f"{title(cell)} {cell['dataset']} {cell['metric'].removeprefix('linear_')}"
