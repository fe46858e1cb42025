"""Sentences and marks that rank two accuracies: whether the lead exceeds the sampling error of the images."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

from ..cells import METHODS
from ..printed import Printed, Row, number, only, value, where
from ..statistics import holm
from .finding import Finding, decides, holds_if, listed, title
from .provenance import best_of_columns
from .sampling import Lead, compare

__all__ = ["ALL_OF_TABLE_1", "OF_TABLE_1", "Pair", "Ranking", "ranked_pairs", "rankings", "sampling_note"]

LEVEL = 0.05
# In the place of a claim: every two rows of a column; the base against direct alignment
ALL_OF_TABLE_1, BASE_OF_TABLE_3 = "Table 1", "Table 3"
OF_TABLE_1 = ("P1", "P2", "P17", ALL_OF_TABLE_1)  # those that compare with Table 1's baselines


@dataclass(frozen=True)
class Pair:
    """
    Two printed accuracies that a claim ranks, left above right.

    Attributes
    ----------
    claim, place, dataset : str
        Whose family of comparisons it belongs to, and where the numbers stand.
    left_name, right_name : str
        What is compared.
    left, right : Row
        The accuracies.

    """

    claim: str
    place: str
    dataset: str
    left_name: str
    right_name: str
    left: Row
    right: Row


@dataclass(frozen=True)
class Ranking:
    """
    A pair with what the sampling error of the images leaves of it.

    Attributes
    ----------
    pair : Pair
        The accuracies.
    n : int
        Nominal number of evaluation images.
    p : Lead
        The p values, adjusted by Holm's procedure over the claim's comparisons,
        each kind on its own.

    """

    pair: Pair
    n: int
    p: Lead

    @property
    def difference(self) -> Decimal:
        """Left minus right, in points."""
        return value(self.pair.left) - value(self.pair.right)

    @property
    def exceeds(self) -> bool:
        """Whether left leads by more than the sampling error, as if each had been evaluated on images of its own."""
        return self.difference > 0 and self.p.unpaired < LEVEL

    @property
    def survives(self) -> str:
        """Whether the lead exceeds the sampling error: always, with some overlaps of errors only, never; or it is no lead."""
        if self.difference <= 0:
            return "no lead"
        if self.p.worst < LEVEL:
            return "always"
        return "with some overlaps only" if self.p.best < LEVEL else "never"


def rankings(printed: Printed, *claims: str) -> list[Ranking]:
    """Return the comparisons of some claims, of all where none is named; p values are adjusted over those of a claim."""
    families: dict[str, list[Pair]] = {}
    for pair in ranked_pairs(printed):
        if not claims or pair.claim in claims:
            families.setdefault(pair.claim, []).append(pair)
    found = []
    for pairs in families.values():
        sizes = [printed.images(pair.dataset) for pair in pairs]
        raw = [compare(float(value(pair.left)), float(value(pair.right)), n) for pair, n in zip(pairs, sizes, strict=True)]
        adjusted = zip(*(holm([getattr(lead, kind) for lead in raw]) for kind in ("unpaired", "best", "worst")), strict=True)
        found += [Ranking(pair, n, Lead(*p)) for pair, n, p in zip(pairs, sizes, adjusted, strict=True)]
    return found


def sampling_note(printed: Printed, claim: str) -> str:
    """Say how many of the leads that a claim is about exceed the sampling error of the images."""
    family = rankings(printed, claim)
    exceed = sum(ranking.exceeds for ranking in family)
    return f"{exceed} of {len(family)} leads exceed the sampling error of the images (unpaired, Holm over {len(family)})"


def ranked_pairs(printed: Printed) -> Iterator[Pair]:
    """Yield every two accuracies that a sentence, a table or a figure of the paper ranks."""
    yield from _pairs_of_table_1(printed)
    yield from _pairs_of_tables_2_to_5(printed)
    yield from _pairs_of_figures(printed)


def _pairs_of_table_1(printed: Printed) -> Iterator[Pair]:
    table = where(printed.tables, table="table1")
    symmetric = where(table, variant="symmetric")
    dimension = printed.said("P1", "dimension")
    for left in where(symmetric, method="ARB", proj_dim=dimension, metric="linear_top1"):
        yield _pair("P1", left, _other(symmetric, left, method="Barlow Twins"))
    for _, left, right in best_of_columns(printed):
        yield _pair("P2", left, right)
    wide = str(max(int(cell["proj_dim"]) for cell in where(symmetric, method="ARB")))
    for left in where(symmetric, method="ARB", proj_dim=wide):
        for right in where(symmetric, dataset=left["dataset"], metric=left["metric"]):
            if right is not left:
                yield _pair("P17", left, right)
    for dataset, metric in dict.fromkeys((cell["dataset"], cell["metric"]) for cell in table):
        for left, right in combinations(sorted(where(table, dataset=dataset, metric=metric), key=value, reverse=True), 2):
            yield _pair(ALL_OF_TABLE_1, left, right)


def _pairs_of_tables_2_to_5(printed: Printed) -> Iterator[Pair]:
    table2, table3, table4, table5 = (where(printed.tables, table=f"table{k}") for k in range(2, 6))
    for left in where(table3, method="ARB"):
        yield _pair(BASE_OF_TABLE_3, left, _other(table3, left, method="Direct alignment"))
    for left in where(table4, variant="standard", metric="linear_top1"):
        for variant in ("add off-diagonal term", "MSE after l2 normalisation"):
            yield _pair("P9", left, _other(table4, left, variant=variant))
    for left in where(table5, variant="feature"):
        yield _pair("P10", left, _other(table5, left, variant="instance"))
    for left in where(table2, method="ARB"):
        yield _pair("P12", left, _other(table2, left, method="Barlow Twins"))
    for left in where(table3, metric="linear_top1"):
        yield _pair("P16", left, _other(table3, left, metric="knn5_top1"))


def _pairs_of_figures(printed: Printed) -> Iterator[Pair]:
    for claim, points, dataset, x in (
        ("P4", printed.fig4, "ImageNet-100", "dim"),
        ("P5", printed.fig5, "CIFAR-100", "batch_size"),
    ):
        for left in where(points, method="arb"):
            right = _other_point(points, left, method="barlow_twins")
            a, b = (f"{METHODS[point['method']]}, {x} {point[x]}" for point in (left, right))
            yield Pair(claim, f"Fig. {claim[1]}, {left.get('metric', left.get('panel_label'))}", dataset, a, b, left, right)
    more, fewer = (printed.said("P6", name) for name in ("more_groups", "fewer_groups"))
    pairs = [("P6", left, _other_point(printed.fig6, left, groups=fewer)) for left in where(printed.fig6, groups=more)]
    shuffled = where(printed.fig6, metric="acc1", variant="group_shuffle")
    pairs += [("P7", left, _other_point(printed.fig6, left, variant="group")) for left in shuffled]
    for claim, left, right in pairs:
        a, b = (f"{point['variant']}, {point['groups']} groups" for point in (left, right))
        yield Pair(claim, f"Fig. 6, {left['metric']}", "CIFAR-100", a, b, left, right)
    curves = [point for point in where(printed.fig7, metric="acc1") if point["epoch"]]
    left = only(curves, method="arb", epoch=printed.said("P8", "arb_epoch"))
    for method in ("simclr", "barlow_twins"):
        right = max(where(curves, method=method), key=value)
        a, b = (f"{METHODS[point['method']]}, epoch {point['epoch']}" for point in (left, right))
        yield Pair("P8", "Fig. 7, acc1", "CIFAR-100", a, b, left, right)


def _pair(claim: str, left: Row, right: Row) -> Pair:
    """Name two cells of a table, by what tells them apart."""
    a, b = title(left), title(right)
    if left["table"] == "table2":
        a, b = (f"{title(cell)}, {cell['pretrain_epochs']} epochs" for cell in (left, right))
    metric = left["metric"] if left["metric"] == right["metric"] else f"{left['metric']} against {right['metric']}"
    return Pair(claim, f"Table {left['table'][-1]}, {metric}", left["dataset"], a, b, left, right)


def _other(table: tuple[Row, ...], cell: Row, **changed: str) -> Row:
    same = {name: cell[name] for name in ("method", "variant", "proj_dim", "dataset", "pretrain_epochs", "metric")}
    return only(table, **{**same, **changed})


def _other_point(points: tuple[Row, ...], point: Row, **changed: str) -> Row:
    same = {name: entry for name, entry in point.items() if name not in ("value", "uncertainty")}
    return only(points, **{**same, **changed})


@decides("P2")
def highest_of_the_symmetric(printed: Printed) -> Finding:
    """Find the best symmetric row of every column of Table 1."""
    columns = best_of_columns(printed)
    true = [value(arb) > value(other) for _, arb, other in columns]
    texts = [f"{name} {title(a)} {number(a)}, best other {title(o)} {number(o)}" for name, a, o in columns]
    lost = [text for text, leads in zip(texts, true, strict=True) if not leads]
    return Finding(
        holds_if(all(true)),
        f"ARB is highest in {sum(true)} of {len(true)} columns: {'; '.join(texts)}",
        condition="on the cells as printed, by the better of ARB's two rows; P17 has their sampling error, P18 their sources",
        correction=f"not in {listed(lost)}" if lost else "",
    )


@decides("P17")
def leads_exceed_sampling_error(printed: Printed) -> Finding:
    """Test ARB's lead over every other symmetric row, unpaired, with Holm's adjustment."""
    family, everything = rankings(printed, "P17"), rankings(printed, ALL_OF_TABLE_1)
    within = [ranking for ranking in family if not ranking.exceeds]
    kinds = Counter(ranking.survives for ranking in everything)
    top1 = sum(ranking.pair.left["metric"] == "linear_top1" for ranking in within)
    pairs = [ranking.pair for ranking in within]
    texts = [f"{p.right_name} {p.dataset} {p.left['metric']} {number(p.right)} against {number(p.left)}" for p in pairs]
    overlaps = ", ".join(f"{count} {kind}" for kind, count in Counter(ranking.survives for ranking in family).items())
    exceed = f"{len(family) - len(within)} of {len(family)} leads exceed"
    return Finding(
        holds_if(not within),
        f"{exceed} it at 5% (unpaired test of proportions, Holm over {len(family)}); {len(within)} do not, {top1} of"
        f" them in top-1: {listed(texts, most=len(texts)) or 'none'}. Over all possible overlaps of errors: {overlaps}. Of all"
        f" orderings of two rows in a column of Table 1, {sum(ranking.exceeds for ranking in everything)} of {len(everything)}"
        f" exceed it (Holm over these); over all overlaps {listed(f'{count} {kind}' for kind, count in kinds.items())}",
        condition="each accuracy one evaluation over the nominal number of images; between training runs it is not known",
        correction="" if not within else f"{exceed} the sampling error",
    )


@decides("P10")
def feature_above_instance(printed: Printed) -> Finding:
    """Compare the levels of Table 5 cell by cell."""
    return _all_above(printed, "P10", "feature minus instance level in Table 5")


@decides("P12")
def arb_above_barlow_twins(printed: Printed) -> Finding:
    """Compare the methods of Table 2 cell by cell."""
    return _all_above(printed, "P12", "ARB minus Barlow Twins in Table 2")


def _all_above(printed: Printed, claim: str, what: str) -> Finding:
    family = rankings(printed, claim)
    above = [ranking for ranking in family if ranking.difference > 0]
    texts = [f"{r.pair.dataset}, {r.pair.left_name}, {r.pair.left['metric']} {r.difference:+}" for r in family]
    below = [text for text, ranking in zip(texts, family, strict=True) if ranking not in above]
    return Finding(
        holds_if(not below),
        f"{what} is above 0 in {len(above)} of {len(family)} pairs ({'; '.join(texts)}); {sampling_note(printed, claim)}",
        correction=f"not in {listed(below)}" if below else "",
    )
