"""The orderings as the report shows them: each as a sentence, with the cells of the paper and the runs that it compares."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from ..cells import PLACES, SIDES, Cells, Ordering, metric_of, printed_cells, printed_sides, title
from ..orderings import side_title, stated
from ..page import MESSAGES, interval
from .tables import METRICS, take_remarks

__all__ = ["ordering_rows", "ordering_tally"]

# How the columns that tell printed cells apart are said
COLUMNS = {
    "method": "{}",
    "proj_dim": "d = {}",
    "pretrain_epochs": "{} epochs",
    "iteration": "iteration {}",
    "batch_size": "batch size {}",
    "groups": "groups {}",
    "epoch": "epoch {}",
    "variant": "{}",
}


def ordering_rows(
    orderings: pd.DataFrame,
    claims: Sequence[Ordering],
    runs: Sequence[Mapping[str, Any]],
    paper: Path,
    remarks: Mapping[str, str],
) -> tuple[list[dict[str, Any]], list[str]]:
    """
    Return the orderings as they are shown, and what is remarked on several of them.

    Parameters
    ----------
    orderings : pandas.DataFrame
        ``results/orderings.csv``.
    claims : sequence of mapping
        The ``orderings`` of the configuration.
    runs : sequence of mapping
        See `workflow.Plan`.
    paper : Path
        The folder of the printed numbers.
    remarks : mapping
        By name of a statement, what is said beside it where the printed difference
        contradicts it, where ``{paper_difference}`` stands for that; by name of a table or
        figure, what is said beside each statement of it.

    Returns
    -------
    list of dict
        The columns of the table, and ``interval``; ``family``, the table or figure in
        whose name a statement is; ``anchor``, where it stands on the page; ``settings``, "tuned" or
        "customary"; ``says``, the statement, and ``brief``, shorter where a metric tells
        it from others; ``place``, where the paper has it; ``printed``, the paper's
        difference with two decimals; ``cell``, the printed cells that
        are compared; ``runs``, their places, data set and name; ``remark``; ``told``, what
        it is, what is claimed there and its p value; ``notes`` and ``remarks``, see
        `tables.take_remarks`.
    list of str
        These remarks.

    """
    cells = {place: printed_cells(paper, place) for place in PLACES}
    known = {(dataset, claim["name"]): (claim, sides) for dataset, claim, sides in stated(claims, cells, runs)}
    rows = orderings.to_dict("records", into=dict)
    metrics: dict[str, set[str]] = {}
    lengths: dict[str, set[int]] = {}
    for row in rows:
        metrics.setdefault(_family(row), set()).update(_metrics(row))
        lengths.setdefault(_family(row), set()).update(_epochs(known.get((row["dataset"], row["claim"]))))
    found = []
    for row in rows:
        family, compared = _family(row), known.get((row["dataset"], row["claim"]))
        claim, sides = compared or (None, [])
        titles = [row[side] for side in SIDES]
        if claim:
            titles = [side_title(run, claim, side) for run, side in zip(sides, SIDES, strict=True)]
        place = family.replace("Table", "Table ").replace("Figure", "Fig. ").replace("_", ", ")
        own, tuned = _metrics(row), row["claim"].endswith(".tuned")
        about = MESSAGES.get(family, "")
        kinds = " minus ".join(METRICS.get(each, each) for each in own)
        _, *remarked, decided = _parts(row["note"])
        metric = METRICS.get(own[0], own[0]) if len(own) == 1 and metrics[family] != {"linear_top1"} else ""
        epochs = _epochs(compared) if len(lengths[family]) > 1 else []
        says = _says(titles, metric, [f"{number} epochs" for number in epochs[:1] if len(epochs) == 1])
        found.append(
            row
            | {
                "interval": interval(row),
                "family": family,
                "anchor": row["claim"] if row["dataset"] == "digits" else f"{row['claim']}.{row['dataset']}",
                "settings": "tuned" if tuned else "customary",
                "says": says,
                "brief": f"{place}, {metric}{', tuned' if tuned else ''}" if metric else says,
                "place": place,
                "printed": f"{Decimal(row['paper_difference']):.2f}" if row["paper_difference"] else "",
                "told": [f"{row['claim']}, {kinds}", *([about] if about else []), decided],
                "cell": _cell(claim, cells) if claim and "paper" in claim else "",
                "runs": list(dict.fromkeys(f"{row['dataset']}/{run['name']}" for run in sides if run)),
                "remark": _remark(row, remarks),
                "notes": [part for part in remarked if not part.startswith("paper: ")],
            }
        )
    return found, take_remarks(found)["remarks"]


def _family(row: Mapping[str, str]) -> str:
    return row["claim"].split(".")[0]


def _metrics(row: Mapping[str, str]) -> list[str]:
    """Return what the two sides are measured in, with which the note of an ordering begins."""
    return row["note"].split(";")[0].split(" minus ")


def _parts(note: str) -> list[str]:
    """Split a note: the metric, what is said of the paper's cells and of each method, and how it was decided."""
    return re.split(r"; (?=(?:paper|[A-Z][\w() -]*): |p = |one of the two was not run)", note)


def _remark(row: Mapping[str, str], remarks: Mapping[str, str]) -> str:
    text = remarks.get(row["claim"].removesuffix(".tuned"), "")
    contradicted = row["paper_difference"] and Decimal(row["paper_difference"]) < 0
    of_all = remarks.get(_family(row), "")
    return " ".join(said for said in (of_all, text.format(**row) if contradicted else "") if said)


def _epochs(compared: tuple[Ordering, Sequence[Mapping[str, Any] | None]] | None) -> list[int]:
    return sorted({run["epochs"] for run in compared[1] if run and run["epochs"]}) if compared else []


def _says(titles: Sequence[str], metric: str, more: Sequence[str]) -> str:
    """Put together what is above what; what both sides share is said once, with the metric, if it has to be named, and more."""
    (left, *of_left), (right, *of_right) = (re.sub(r" \((d = \d+)\)", r", \1", title).split(", ") for title in titles)
    shared = [part for part in of_left if part in of_right]
    own = [[part for part in parts if part not in shared] for parts in (of_left, of_right)]
    over = " above ".join(_side(name, parts) for name, parts in zip((left, right), own, strict=True))
    if left == right and not own[1] and own[0][:1] == ["with shuffle"]:  # what differs comes first
        over, shared = "With shuffle above without it", [left, *shared]
    said = [part for part in shared if not (metric and part == "kNN")] + [*more] + ([metric] if metric else [])
    return f"{over}: {', '.join(said)}" if said else over


def _side(name: str, own: Sequence[str]) -> str:
    said = ", ".join(own)
    return (f"{name} with {said}" if "(" in said else f"{name} ({said})") if own else name


def _cell(claim: Ordering, cells: Cells) -> str:
    """Say which printed cells a statement compares."""
    paper = claim["paper"]
    both = printed_sides(claim, cells)
    where = [title(paper["place"]), both[0]["dataset"]]
    where += [said.format(paper["both"][name]) for name, said in COLUMNS.items() if name in paper.get("both", {})]
    sides = []
    for side in SIDES:
        own = [said.format(paper[side][name]) for name, said in COLUMNS.items() if name in paper[side]]
        own += [METRICS[metric_of(claim, side)]] * (metric_of(claim, "left") != metric_of(claim, "right"))
        sides.append(_side(own[0], own[1:]))
    return f"{', '.join(where)}: {' minus '.join(sides)}"


def ordering_tally(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """
    Count the orderings that tables and figures claim, those left out whose printed numbers say the opposite.

    Returns
    -------
    dict
        ``counts``, by data and settings how many have each verdict; ``comparisons``, likewise
        how many comparisons of measurements these are, as one can stand in several places;
        ``pointing``, likewise in how many of the orderings the mean difference is as claimed;
        ``contradicted``, the rows of those; ``opposite``, the places of what was left out.

    """
    decided = [row for row in rows if row["claim"].startswith(("Table", "Figure")) and row["verdict"] != "not run"]
    printed = [row for row in decided if not row["paper_difference"].startswith("-")]
    counted: dict[tuple[str, str], Counter[str]] = {}
    compared: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    pointing: Counter[tuple[str, str]] = Counter()
    for row in printed:
        key = (row["dataset"], row["settings"])
        counted.setdefault(key, Counter())[row["verdict"]] += 1
        pointing[key] += float(row["measured_difference"]) > 0
        # One comparison has one difference, wherever it stands: of the same runs, others are of other epochs
        compared.setdefault(key, set()).add((*row["runs"], *_metrics(row), row["measured_difference"]))
    found: dict[str, dict[str, Any]] = {}
    for row in printed:
        if row["verdict"] == "contradicted":
            found.setdefault(f"{row['dataset']}/{row['claim'].removesuffix('.tuned')}", {**row, "also": ""})
    for row in printed:
        first = found.get(f"{row['dataset']}/{row['claim'].removesuffix('.tuned')}")
        if first and row["verdict"] == "contradicted" and row["claim"] != first["claim"]:
            first["also"] = "also tuned"
    return {
        "counts": counted,
        "comparisons": {key: len(each) for key, each in compared.items()},
        "pointing": pointing,
        "contradicted": list(found.values()),
        "opposite": list(dict.fromkeys(row["place"] for row in decided if row not in printed)),
    }
