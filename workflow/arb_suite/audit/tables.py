"""The audit's tables: every cell, every size, every ranking, every pair of places, and the settings side by side."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pandas as pd

from ..cells import METHODS
from ..printed import Printed, Row, number, value, where
from .attainable import is_attainable, nearest_attainable
from .claims import decide
from .consistency import PANELS, bold_columns, places_of_one_number
from .finding import signed, title
from .provenance import PROTOCOLS, source_of, with_published
from .rankings import OF_TABLE_1, rankings
from .sampling import wilson_interval
from .sizes import best_explanations, series

__all__ = [
    "RANKING_CLAIMS",
    "cells_table",
    "places_table",
    "published_table",
    "rankings_table",
    "redecided_table",
    "settings_table",
    "sizes_table",
]

# Those that say which of two accuracies is the higher one
RANKING_CLAIMS = ("P1", "P2", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "P12", "P15", "P16", "P17")
COINCIDENCE = 0.001
CELL_COLUMNS = [
    "place",
    "method",
    "variant",
    "proj_dim",
    "dataset",
    "pretrain_epochs",
    "metric",
    "as_printed",
    "n_eval",
    "attainable",
    "nearest_below",
    "nearest_above",
    "ci_low",
    "ci_high",
    "bold",
    "best_of_its_column",
    "also_printed_in",
    "source",
    "source_difference",
]


def cells_table(printed: Printed) -> pd.DataFrame:
    """
    Return ``results/audit_cells.csv``: every printed accuracy with what one evaluation can be, its interval and its source.

    The 136 cells of Tables 1 to 5, then the points of Figs. 4 to 7, the release's
    README and its log. ``ci_low`` and ``ci_high`` are Wilson's 95% interval over the
    nominal images; ``source`` says, for a baseline of Table 1, which published cell
    it equals or is nearest to.
    """
    best = {id(cell) for _, cells, _ in bold_columns(printed) for cell in cells}
    elsewhere: dict[str, list[str]] = {}
    for place in places_of_one_number(printed):
        text = place.second if place.agree else f"{place.second} ({place.second_value})"
        elsewhere.setdefault(place.first, []).append(text)
    rows = []
    for cell in printed.tables:
        row = _cell(printed, f"Table {cell['table'][-1]}", cell)
        row |= {"bold": _yes(cell["bold"] == "1"), "best_of_its_column": _yes(id(cell) in best)}
        if cell["table"] == "table1":
            name = f"Table 1, {title(cell)}, {cell['dataset']}, {cell['metric']}"
            row["also_printed_in"] = "; ".join(elsewhere.get(name, []))
            if cell["method"] != "ARB":
                source = source_of(printed, cell)
                row |= {"source": source.text, "source_difference": "" if source.gap is None else str(source.gap)}
        rows.append(row)
    rows += [_cell(printed, place, point) for place, point in _points(printed)]
    return pd.DataFrame(rows, columns=CELL_COLUMNS)


def _cell(printed: Printed, place: str, row: Row) -> dict[str, str]:
    n, text = printed.images(row["dataset"]), number(row)
    below, above = nearest_attainable(text, n)
    low, high = wilson_interval(float(text), n)
    return dict.fromkeys(CELL_COLUMNS, "") | {
        **{name: row.get(name, "") for name in CELL_COLUMNS[1:7]},
        "place": place,
        "as_printed": text,
        "n_eval": str(n),
        "attainable": _yes(is_attainable(text, n)),
        "nearest_below": f"{float(below):.5g}",
        "nearest_above": f"{float(above):.5g}",
        "ci_low": f"{low:.2f}",
        "ci_high": f"{high:.2f}",
    }


def _points(printed: Printed) -> Iterator[tuple[str, Row]]:
    """Yield the points of the figures and the release as rows with the columns of a cell."""
    names = {**METHODS, "dashed_line": "dashed line"}

    def point(row: Row, dataset: str, panel: str, variant: str, **columns: str) -> Row:
        metric = PANELS[row[panel]]
        return {"dataset": dataset, "metric": metric, "variant": variant, "as_printed": number(row), **columns}

    for row in printed.fig4:
        yield "Fig. 4", point(row, "ImageNet-100", "metric", "", method=names[row["method"]], proj_dim=row["dim"])
    for row in printed.fig5:
        yield "Fig. 5", point(row, "CIFAR-100", "panel_label", f"batch size {row['batch_size']}", method=names[row["method"]])
    for row in printed.fig6:
        shuffle = "with shuffle" if row["variant"] == "group_shuffle" else "without shuffle"
        yield "Fig. 6", point(row, "CIFAR-100", "metric", f"groups {row['groups']}, {shuffle}", method="ARB", proj_dim="2048")
    for row in printed.fig7:
        yield "Fig. 7", point(row, "CIFAR-100", "metric", "", method=names[row["method"]], pretrain_epochs=row["epoch"])
    for row in printed.release_readme:
        yield "README of the release", row
    for metric in ("linear_top1", "linear_top5"):
        for row in printed.release_eval_log:
            columns = {"method": "ARB", "variant": f"probe epoch {row['epoch']}", "dataset": "ImageNet-1k", "metric": metric}
            yield "log of the release", {**columns, "as_printed": row[metric]}


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def sizes_table(printed: Printed) -> pd.DataFrame:
    """
    Return ``results/audit_sizes.csv``: which number of images explains each series of accuracies.

    Sizes up to the nominal one are tried, as rounded and as cut off. ``expected``
    is the number of sizes up to the one found that would explain as many by chance;
    from 0.001 on, with some thirty series tried, a fit counts as one of chance.
    ``attainable_over_every_second`` is over the images that a reader like the
    release's would take (R10).
    """
    rows = []
    for found in series(printed):
        every_second = -(-found.n // int(printed.said("P22", "stride")))
        over_nominal, over_second = (sum(is_attainable(t, n) for t in found.printed) for n in (found.n, every_second))
        for reading in ("rounded", "cut off"):
            sizes = best_explanations(found.printed, found.n, truncated=reading == "cut off")
            row = {
                "series": found.name,
                "dataset": found.dataset,
                "accuracies": len(found.printed),
                "nominal_n": found.n,
                "attainable_over_nominal_n": over_nominal,
                "attainable_over_every_second": over_second,
                "reading": reading,
            }
            row |= {"distinct": len(set(found.printed)), "n": "", "next_n": "", "explained": "", "expected": ""}
            row["fit"] = "no size explains half of them"
            if sizes:
                best, *others = sizes
                row |= {"n": best.n, "next_n": " ".join(str(other.n) for other in others[:3]), "explained": best.explained}
                row |= {"expected": f"{best.expected:.2g}", "fit": _surprise(best.expected, best.n, found.n)}
            rows.append(row)
    return pd.DataFrame(rows)


def _surprise(expected: float, n: int, nominal: int) -> str:
    if expected >= COINCIDENCE:
        return "chance gives as good a fit"
    return "no coincidence; it is the nominal size" if n == nominal else "no coincidence, and not the nominal size"


def rankings_table(printed: Printed) -> pd.DataFrame:
    """
    Return ``results/audit_rankings.csv``: every comparison that a claim ranks, with Holm's adjusted p values.

    Those with Table 1's baselines twice: as printed, and with the numbers that
    their library had published in place.
    """
    found = [("as printed", ranking) for ranking in rankings(printed)]
    found += [("as published", ranking) for ranking in rankings(with_published(printed), *OF_TABLE_1)]
    return pd.DataFrame(
        {
            "claim": r.pair.claim,
            "baselines": baselines,
            "place": r.pair.place,
            "dataset": r.pair.dataset,
            "left": r.pair.left_name,
            "right": r.pair.right_name,
            "left_printed": number(r.pair.left),
            "right_printed": number(r.pair.right),
            "difference": str(r.difference),
            "n_eval": r.n,
            "p_unpaired": f"{r.p.unpaired:.2g}",
            "p_most_overlap": f"{r.p.best:.2g}",
            "p_least_overlap": f"{r.p.worst:.2g}",
            "exceeds_unpaired": _yes(r.exceeds),
            "survives": r.survives,
        }
        for baselines, r in found
    )


def redecided_table(printed: Printed) -> pd.DataFrame:
    """
    Return ``results/audit_redecided.csv``: every claim that ranks, with the published baselines in place.

    By the library's online numbers, its offline ones where there are any, and the
    higher of both.
    """
    rows = []
    replaced = {protocol: with_published(printed, protocol) for protocol in PROTOCOLS}
    for claim in RANKING_CLAIMS:
        as_printed = decide(printed, claim)
        for protocol, paper in replaced.items():
            then = decide(paper, claim)
            rows.append(
                {
                    "claim": claim,
                    "published": protocol,
                    "verdict_as_printed": as_printed.verdict,
                    "verdict_with_published": then.verdict,
                    "evidence_with_published": then.evidence if then.evidence != as_printed.evidence else "the same as printed",
                }
            )
    return pd.DataFrame(rows)


def places_table(printed: Printed) -> pd.DataFrame:
    """Return ``results/audit_places.csv``: pairs of places that should have one number, and figures against tables."""
    rows = [
        {
            "first": place.first,
            "first_printed": place.first_value,
            "second": place.second,
            "second_printed": place.second_value,
            "difference": str(Decimal(place.second_value) - Decimal(place.first_value)),
            "relation": "must be equal",
        }
        for place in places_of_one_number(printed)
    ]
    top1, top5 = (where(printed.fig5, panel_label=panel) for panel in PANELS)
    for first, second in zip(top1, top5, strict=True):
        name = f"{first['method']}, batch size {first['batch_size']}"
        rows.append(_pair_of_points(f"Fig. 5 acc1, {name}", first, f"Fig. 5 acc5, {name}", second, "must differ"))
    for panel in PANELS:
        plain, shuffled = (where(printed.fig6, metric=panel, variant=v, groups="1")[0] for v in ("group", "group_shuffle"))
        names = (f"Fig. 6 {panel}, 1 group, {'with' if p is shuffled else 'without'} shuffle" for p in (plain, shuffled))
        rows.append(_pair_of_points(next(names), plain, next(names), shuffled, "must be equal"))
    for panel, metric in PANELS.items():
        for point in where(printed.fig5, panel_label=panel, batch_size="256"):
            for cell in where(
                printed.tables, table="table1", method=METHODS[point["method"]], dataset="CIFAR-100", metric=metric
            ):
                there = f"Fig. 5 {panel}, {point['method']}, batch size 256"
                rows.append(_pair_of_points(f"Table 1, {title(cell)}, CIFAR-100, {metric}", cell, there, point, "may differ"))
    for panel in PANELS:
        (line,) = where(printed.fig7, metric=panel, method="dashed_line")
        curve = [point for point in where(printed.fig7, metric=panel, method="barlow_twins") if point["epoch"]]
        best = max(curve, key=value)
        name = f"Fig. 7 {panel}, barlow_twins, epoch {best['epoch']} (its best)"
        rows.append(_pair_of_points(name, best, f"Fig. 7 {panel}, dashed line", line, "must be equal"))
    frame = pd.DataFrame(rows)
    equal = [Decimal(row["difference"]) == 0 for row in rows]
    frame["as_it_must"] = [
        {"must be equal": _yes(same), "must differ": _yes(not same), "may differ": ""}[row["relation"]]
        for row, same in zip(rows, equal, strict=True)
    ]
    return frame


def _pair_of_points(first: str, a: Row, second: str, b: Row, relation: str) -> dict[str, str]:
    return {
        "first": first,
        "first_printed": number(a),
        "second": second,
        "second_printed": number(b),
        "difference": str(value(b) - value(a)),
        "relation": relation,
    }


def published_table(printed: Printed) -> pd.DataFrame:
    """Return ``results/audit_published.csv``: the best row of each column of Table 1, also with published baselines."""
    rows = []
    then = {
        name: where(table.tables, table="table1") for name, table in (("", printed), ("published", with_published(printed)))
    }
    for part in ("asymmetric", "symmetric"):
        for dataset, metric in dict.fromkeys((cell["dataset"], cell["metric"]) for cell in then[""]):
            column, replaced = (where(cells, variant=part, dataset=dataset, metric=metric) for cells in then.values())
            best, best_then = (max(cells, key=value) for cells in (column, replaced))
            (formerly_best,) = (cell for cell in replaced if title(cell) == title(best))
            rows.append(
                {
                    "rows": part,
                    "dataset": dataset,
                    "metric": metric,
                    "best_printed": title(best),
                    "printed": number(best),
                    "best_with_published": title(best_then),
                    "with_published": number(best_then),
                    "same_method": _yes(best["method"] == best_then["method"]),
                    "lead_then": signed(value(best_then) - value(formerly_best)),
                }
            )
    return pd.DataFrame(rows)


def settings_table(printed: Printed, suite: Mapping[str, Any]) -> pd.DataFrame:
    """
    Return ``results/audit_settings.csv``: as printed, as released, as in this suite.

    Parameters
    ----------
    printed : Printed
        Its ``settings`` name, in braces, what the suite's entry is taken from.
    suite : mapping
        The settings of the suite's ARB run.

    """
    return pd.DataFrame({**row, "suite": row["suite"].format(**suite)} for row in printed.settings)
