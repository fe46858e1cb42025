"""Sentences that state a number, against the cells and points that it would follow from."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from ..printed import Printed, Row, Rows, number, only, value, where
from .finding import Finding, decides, holds_if, listed, rounds_to, signed, title
from .rankings import sampling_note

__all__ = ["COLUMN", "pairs_that_give"]


COLUMN = ("table", "dataset", "metric")  # what two cells of the tables share if they stand in one column


def pairs_that_give(cells: Iterable[Row], difference: str, column: Sequence[str] = COLUMN) -> list[tuple[Row, Row]]:
    """
    Return the pairs of cells of one column whose difference is a stated one.

    Parameters
    ----------
    cells : iterable of rows
        Of the printed tables, or points of a figure.
    difference : str
        As printed; the exact difference of the cells must round to it.
    column : sequence of str, optional
        The entries that both cells must have in common.

    Returns
    -------
    list of (row, row)
        Higher cell first.

    """
    places: dict[tuple[str, ...], list[Row]] = {}
    for cell in cells:
        places.setdefault(tuple(cell[name] for name in column), []).append(cell)
    return [
        (high, low)
        for together in places.values()
        for high in together
        for low in together
        if rounds_to(value(high) - value(low), difference)
    ]


@decides("P1")
def lead_at_one_dimension(printed: Printed) -> Finding:
    """Recompute the lead at the stated dimension on every data set, and look for the pair that gives the stated one."""
    lead, dimension = printed.said("P1", "lead"), printed.said("P1", "dimension")
    top1 = where(printed.tables, metric="linear_top1")
    column = where(top1, table="table1")
    arb = where(column, method="ARB", proj_dim=dimension)
    leads = []
    for cell in arb:
        other = only(column, method="Barlow Twins", proj_dim=dimension, dataset=cell["dataset"])
        leads.append((value(cell) - value(other), f"{cell['dataset']} {number(cell)} - {number(other)}"))
    true = any(rounds_to(found, lead) for found, _ in leads)
    pairs = [f"{title(a)} - {title(b)} on {a['dataset']}: {number(a)} - {number(b)}" for a, b in pairs_that_give(top1, lead)]
    recomputed = "; ".join(f"{text} = {found}" for found, text in leads)
    elsewhere = f"of all pairs of top-1 cells of one table and data set, {lead} is {listed(pairs) or 'none'}"
    return Finding(
        holds_if(true),
        f"at d = {dimension} the leads are {recomputed}; {elsewhere}",
        correction="" if true else f"the leads at d = {dimension} are {listed(str(found) for found, _ in leads)}",
    )


def _base_top1(printed: Printed, metric: str, name: str) -> Finding:
    said = printed.said("P3", "base_top1")
    cells = where(printed.tables, table="table3", method="ARB")
    read, others = only(cells, metric=metric), [cell for cell in cells if cell["metric"] != metric]
    same = [cell["metric"] for cell in others if value(cell) == Decimal(said)]
    true = value(read) == Decimal(said)
    evidence = f"Table 3 has {number(read)} as ARB's {name} top-1 on {read['dataset']}; the sentence has {said}"
    if same and not true:
        evidence += f", which Table 3 has as {listed(same)}"
    return Finding(holds_if(true), evidence, correction="" if true else f"{number(read)} by {name} evaluation")


@decides("P3.linear")
def base_top1_linear(printed: Printed) -> Finding:
    """Compare the sentence with Table 3's linear evaluation."""
    return _base_top1(printed, "linear_top1", "linear")


@decides("P3.knn")
def base_top1_knn(printed: Printed) -> Finding:
    """Compare the sentence with Table 3's kNN evaluation."""
    return _base_top1(printed, "knn5_top1", "kNN")


@decides("P4")
def leads_over_dimensions(printed: Printed) -> Finding:
    """Recompute both leads from the plotted points."""
    points = where(printed.fig4, metric="acc1")
    parts, corrected = [], []
    for dimension in ("32", "4096"):
        said = printed.said("P4", f"lead_at_{dimension}")
        arb, other = (only(points, method=method, dim=dimension) for method in ("arb", "barlow_twins"))
        lead = value(arb) - value(other)
        parts.append(f"at d = {dimension} {number(arb)} - {number(other)} = {lead}, stated {said}")
        if not rounds_to(lead, said):
            pairs = (
                f"{a['method']} {a['dim']} - {b['method']} {b['dim']}" for a, b in pairs_that_give(points, said, ["metric"])
            )
            parts[-1] += f", which is {listed(pairs) or 'no difference of two points'}"
            corrected.append(f"{lead} at d = {dimension}")
    note = f"{sampling_note(printed, 'P4')}, by the number of images stated, which does not give these points (P19)"
    return Finding(holds_if(not corrected), f"Fig. 4, top-1: {'; '.join(parts)}; {note}", correction=listed(corrected))


def _groups(count: str) -> str:
    return f"{count} group" + ("" if count == "1" else "s")


@decides("P7")
def gain_of_the_shuffle(printed: Printed) -> Finding:
    """Recompute the gain at every number of groups; 'about' allows rounding to whole points."""
    least, most = (printed.said("P7", name) for name in ("least_gain", "most_gain"))
    points = where(printed.fig6, metric="acc1")
    gains = {
        point["groups"]: value(point) - value(only(points, variant="group", groups=point["groups"]))
        for point in where(points, variant="group_shuffle")
    }
    half = Decimal("0.5")
    several = {groups: gain for groups, gain in gains.items() if groups != "1"}  # within one group a shuffle changes nothing
    inside = [groups for groups, gain in several.items() if Decimal(least) - half <= gain < Decimal(most) + half]
    verdict = "holds" if len(inside) == len(several) else "conditional" if inside else "refuted"
    texts = listed(f"{_groups(groups)} {signed(gain)}" for groups, gain in gains.items())
    return Finding(
        verdict,
        f"Fig. 6, top-1 with the shuffle minus without: {texts}; from {Decimal(least) - half} to {Decimal(most) + half}, which"
        f" rounds to {least} to {most}, at {len(inside)} of the {len(several)} numbers of groups above 1;"
        f" {sampling_note(printed, 'P7')}",
        condition=f"with {' or '.join(inside)} groups" if verdict == "conditional" else "",
        correction="" if verdict == "holds" else f"the gain is from {min(several.values())} to {max(several.values())}",
    )


@decides("P8")
def accuracies_over_epochs(printed: Printed) -> Finding:
    """Look up ARB's point, and the best point of each baseline with its epoch."""
    points = [point for point in where(printed.fig7, metric="acc1") if point["epoch"]]
    arb = only(points, method="arb", epoch=printed.said("P8", "arb_epoch"))
    true = value(arb) == Decimal(printed.said("P8", "arb"))
    parts = [f"ARB has {number(arb)} at epoch {arb['epoch']} (stated {printed.said('P8', 'arb')})"]
    corrected, above = [], True
    for method, name in (("simclr", "SimCLR"), ("barlow_twins", "Barlow Twins")):
        curve = where(points, method=method)
        best = max(curve, key=value)
        said, epoch = printed.said("P8", method), printed.said("P8", f"{method}_epoch")
        there = [point["epoch"] for point in curve if value(point) == Decimal(said)]
        agrees = value(best) == Decimal(said) and best["epoch"] == epoch
        true &= agrees
        above &= value(arb) > value(best)
        parts.append(f"the best of {name} is {number(best)} at epoch {best['epoch']} (stated {said} at epoch {epoch}")
        parts[-1] += ")" if agrees else f"; {said} is the point of epoch {listed(there) or 'none'})"
        if not agrees:
            corrected.append(f"the best of {name} is {number(best)}, at epoch {best['epoch']}")
    parts.append(sampling_note(printed, "P8"))
    if corrected:
        corrected.append(f"ARB at epoch {arb['epoch']} is {'still above' if above else 'not above'} the best of both")
    return Finding(holds_if(true), "Fig. 7, top-1: " + "; ".join(parts), correction="; ".join(corrected))


@decides("P9")
def slight_reductions(printed: Printed) -> Finding:
    """Recompute what both variants lose against the standard one."""
    slight = printed.said("P9", "slight")
    cells = where(printed.tables, table="table4", metric="linear_top1")
    standard = only(cells, variant="standard")
    losses = {
        variant: (cell := only(cells, variant=variant), value(standard) - value(cell))
        for variant in ("add off-diagonal term", "MSE after l2 normalisation")
    }
    true = all(0 < loss < Decimal(slight) for _, loss in losses.values())
    parts = [f"{variant}: {number(standard)} - {number(cell)} = {loss}" for variant, (cell, loss) in losses.items()]
    return Finding(
        holds_if(true),
        f"Table 4, {standard['dataset']} top-1, loss against the standard variant: {'; '.join(parts)}",
        condition=f"'slightly' is read as by less than {slight} point",
        correction="" if true else f"they lose {' and '.join(str(loss) for _, loss in losses.values())} points",
    )


@decides("P11")
def epochs_of_imagenet(printed: Printed) -> Finding:
    """Compare the stated numbers of epochs with those that Table 2 has."""
    said = {printed.said("P11", name) for name in ("shorter", "longer")}
    table: Rows = where(printed.tables, table="table2")
    found = {cell["pretrain_epochs"] for cell in table}
    in_order = [listed(epochs) for epochs in (sorted(said, key=int), sorted(found, key=int))]
    elsewhere = [
        f"{epochs} stands in Table {name[-1]} for {dataset}"
        for epochs in sorted(said - found, key=int)
        for name, dataset in dict.fromkeys((c["table"], c["dataset"]) for c in where(printed.tables, pretrain_epochs=epochs))
    ]
    return Finding(
        holds_if(said == found),
        f"the sentence has {in_order[0]} epochs; the {len(table)} cells of Table 2 have {in_order[1]}"
        + (f"; {listed(elsewhere)}" if elsewhere else ""),
        correction="" if said == found else f"Table 2 has {in_order[1]} epochs",
    )
