"""Beside what was measured on bundled data: what the paper prints in the same place, on its own data."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..cells import Cells, is_named
from ..tables import EMBEDDED_METRICS

__all__ = ["Beside", "beside"]

# The tables of this suite that have the rows of another of the paper's
PLACES = {"table_main": "table1", "table_tuned": "table1"}


class Beside(NamedTuple):
    """
    Printed numbers, by the run that stands in their place.

    Attributes
    ----------
    headings : list of (str, str)
        The paper's data set and metric of each number.
    cells : dict
        By the place of a run, data set and name, the printed cells, None where the paper has none.

    """

    headings: list[tuple[str, str]]
    cells: dict[str, list[Mapping[str, str] | None]]


def beside(name: str, plan: Mapping[str, Any], cells: Cells) -> Beside:
    """
    Find the printed numbers that runs on bundled data stand for.

    Parameters
    ----------
    name : str
        Of a table: ``table_main``, ``table2``.
    plan : mapping
        ``runs``, whose ``label`` and ``paper_dim`` name a row of Table 1, and ``counterparts``,
        by table the runs and the columns of the printed cells; see `workflow.Plan`.
    cells : mapping
        By table, what is printed; see `cells.printed_cells`.

    """
    place = PLACES.get(name, name)
    printed = cells.get(place, ())
    headings = list(dict.fromkeys((cell["dataset"], cell["metric"]) for cell in printed if cell["metric"] in EMBEDDED_METRICS))
    known = {(run["dataset"], run["name"]): run for run in plan["runs"]}
    named = {entry["run"]: entry["printed"] for entry in plan["counterparts"].get(place, ())}
    of_runs = {}
    for (dataset, run), entry in known.items():
        if not entry["embedded"]:
            continue
        own = known.get((dataset, entry["tuned_of"]), entry)
        row = {"method": own["label"], "proj_dim": str(own["paper_dim"])} if place == "table1" else named.get(run)
        found = [_cell(printed, row | {"dataset": data, "metric": metric}) for data, metric in headings if row]
        if any(found):
            of_runs[f"{dataset}/{run}"] = found
    return Beside(headings, of_runs)


def _cell(cells: Sequence[Mapping[str, str]], columns: Mapping[str, str]) -> Mapping[str, str] | None:
    found = [cell for cell in cells if is_named(cell, columns)]
    return found[0] if len(found) == 1 else None
