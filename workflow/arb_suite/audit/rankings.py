"""Sentences and marks that rank two accuracies: whether the lead exceeds the sampling error of the images."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from ..printed import Printed, Row, number, only, value, where
from ..statistics import holm
from .finding import Finding, decides, holds_if, listed, title
from .provenance import best_published
from .sampling import Lead, compare

__all__ = ["Ranking", "rankings"]

LEVEL = 0.05


@dataclass(frozen=True)
class Ranking:
    """
    One comparison of two printed accuracies that a claim ranks, left above right.

    Attributes
    ----------
    claim, place, dataset : str
        Whose family of comparisons it belongs to, and where the numbers stand.
    left, right : str
        What is compared.
    left_printed, right_printed : str
        The accuracies.
    n : int
        Nominal number of evaluation images.
    p : Lead
        The p values, adjusted by Holm's procedure over the claim's comparisons,
        each kind on its own.
    published : str
        What the baselines' library published in place of the right one, or nothing.

    """

    claim: str
    place: str
    dataset: str
    left: str
    right: str
    left_printed: str
    right_printed: str
    n: int
    p: Lead
    published: str

    @property
    def difference(self) -> Decimal:
        """Left minus right, in points."""
        return Decimal(self.left_printed) - Decimal(self.right_printed)

    @property
    def survives(self) -> str:
        """Whether the lead exceeds the sampling error: always, depends on the overlap of errors, never; or it is no lead."""
        if self.difference <= 0:
            return "no lead"
        if self.p.worst < LEVEL:
            return "always"
        return "depends on the overlap of errors" if self.p.best < LEVEL else "never"


def rankings(printed: Printed) -> list[Ranking]:
    """Return every comparison that a claim ranks, with p values adjusted over the comparisons of the claim."""
    families: dict[str, list[tuple]] = {}
    for claim, *rest in _pairs(printed):
        families.setdefault(claim, []).append(rest)
    found = []
    for claim, family in families.items():
        raw = [compare(float(value(left)), float(value(right)), n) for *_, left, right, n, _ in family]
        adjusted = zip(*(holm([getattr(lead, kind) for lead in raw]) for kind in ("unpaired", "best", "worst")), strict=True)
        for (place, dataset, names, left, right, n, published), p_values in zip(family, adjusted, strict=True):
            found.append(Ranking(claim, place, dataset, *names, number(left), number(right), n, Lead(*p_values), published))
    return found


def _pairs(printed: Printed) -> Iterator[tuple]:
    """Yield (claim, place, data set, names, left, right, images, published) of all comparisons."""
    symmetric = where(printed.tables, table="table1", variant="symmetric")
    wide = str(max(int(cell["proj_dim"]) for cell in where(symmetric, method="ARB")))
    for left in where(symmetric, method="ARB", proj_dim=wide):
        for right in where(symmetric, dataset=left["dataset"], metric=left["metric"]):
            if right is not left:
                best = best_published(printed, right)
                yield _pair("P17", "Table 1", printed, left, right, number(best) if best is not None else "")
    for claim, panel in (("P4", printed.fig4), ("P5", printed.fig5)):
        for left in where(panel, method="arb"):
            right = only(panel, **{**_columns(left), "method": "barlow_twins"})
            dataset = "ImageNet-100" if claim == "P4" else "CIFAR-100"
            x, label = list(_columns(left))[-1], left.get("metric", left.get("panel_label"))
            names = tuple(f"{name}, {x} {left[x]}" for name in ("ARB", "Barlow Twins"))
            yield claim, f"Fig. {claim[1]}, {label}", dataset, names, left, right, printed.images(dataset), ""
    more, fewer = (printed.said("P6", name) for name in ("more_groups", "fewer_groups"))
    for left in where(printed.fig6, groups=more):
        right = only(printed.fig6, **{**_columns(left), "groups": fewer})
        names = tuple(f"{point['variant']}, {point['groups']} groups" for point in (left, right))
        yield "P6", f"Fig. 6, {left['metric']}", "CIFAR-100", names, left, right, printed.images("CIFAR-100"), ""
    table5, table2 = (where(printed.tables, table=table) for table in ("table5", "table2"))
    for left in where(table5, variant="feature"):
        yield _pair("P10", "Table 5", printed, left, _other(table5, left, variant="instance"))
    for left in where(table2, method="ARB"):
        yield _pair("P12", "Table 2", printed, left, _other(table2, left, method="Barlow Twins"))


def _pair(claim: str, place: str, printed: Printed, left: Row, right: Row, published: str = "") -> tuple:
    names = tuple(title(cell) for cell in (left, right))
    if claim == "P12":
        names = tuple(f"{name}, {left['pretrain_epochs']} epochs" for name in names)
    return claim, f"{place}, {left['metric']}", left["dataset"], names, left, right, printed.images(left["dataset"]), published


def _columns(point: Row) -> dict[str, str]:
    return {name: entry for name, entry in point.items() if name not in ("value", "uncertainty")}


def _other(table: tuple[Row, ...], cell: Row, **changed: str) -> Row:
    same = {name: cell[name] for name in ("method", "variant", "proj_dim", "dataset", "pretrain_epochs", "metric")}
    return only(table, **{**same, **changed})


@decides("P17")
def leads_exceed_sampling_error(printed: Printed) -> Finding:
    """Test ARB's lead over every other symmetric row, unpaired, with Holm's adjustment."""
    family = [ranking for ranking in rankings(printed) if ranking.claim == "P17"]
    within = [ranking for ranking in family if ranking.difference <= 0 or ranking.p.unpaired >= LEVEL]
    top1 = [ranking for ranking in within if "top1" in ranking.place]
    texts = [f"{r.right} {r.dataset} {r.place.split(', ')[1]} {r.right_printed} against {r.left_printed}" for r in within]
    survive = Counter(ranking.survives for ranking in family)
    overlaps = ", ".join(f"{count} {kind}" for kind, count in survive.items())
    exceed = f"{len(family) - len(within)} of {len(family)} leads exceed"
    return Finding(
        holds_if(not within),
        f"{exceed} it at 5% (unpaired test of proportions, Holm over {len(family)}); {len(within)} do not, {len(top1)} of"
        f" them in top-1: {listed(texts, most=len(texts)) or 'none'}. Over all possible overlaps of errors: {overlaps}",
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
    family = [ranking for ranking in rankings(printed) if ranking.claim == claim]
    above = [ranking for ranking in family if ranking.difference > 0]
    beyond = [ranking for ranking in above if ranking.p.unpaired < LEVEL]
    texts = "; ".join(f"{r.dataset}, {r.left}, {r.place.split(', ')[1]} {r.difference:+}" for r in family)
    return Finding(
        holds_if(len(above) == len(family)),
        f"{what} is above 0 in {len(above)} of {len(family)} pairs ({texts}); {len(beyond)} of them exceed the sampling error"
        f" of the images (unpaired test of proportions, Holm over {len(family)})",
    )
