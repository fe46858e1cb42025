"""The findings that matter most, said as they were decided."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from .tables import METRICS

__all__ = ["findings"]


def findings(
    claims: pd.DataFrame | None,
    orderings: pd.DataFrame | None,
    ranks: Mapping[str, str],
    outline: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """
    Say what matters most, a sentence each, as it was decided.

    Parameters
    ----------
    claims, orderings : pandas.DataFrame or None
        ``results/claims.csv`` and ``results/orderings.csv``; None where they were not
        made.
    ranks : mapping
        From `tables.effective_ranks`.
    outline : sequence of mapping
        ``title``; ``claims`` and ``orderings``, the IDs by the verdict that ``says`` is written
        for; ``runs``, by name in ``says`` the place of a run; ``below``, orderings whose
        measured difference has to be smaller than the printed one; ``reads``, by ID of a
        claim a pattern whose named groups are found in its condition and evidence. In
        ``says``, ``{ID[column]}`` stands for a value, dots of the ID written as underscores,
        the name of a run for its effective rank, and that of a group for what it found.

    Returns
    -------
    list of dict
        ``title``, ``text`` and ``links``, each with ``id`` and ``verdict``; ``as_written``, whether
        the text is ``says``: where any verdict is another, or ``below`` or ``reads`` is not met, it
        names them all. Of findings about what was not decided there is nothing.

    """
    found = []
    for entry in outline:
        of_claims, of_orderings = (
            {identity: verdict for verdict, asked in entry.get(kind, {}).items() for identity in asked}
            for kind in ("claims", "orderings")
        )
        expected = {**of_claims, **of_orderings}
        rows = _rows_of(of_claims, claims, "id") | _rows_of(of_orderings, orderings, "claim")
        known = {name: ranks[place] for name, place in entry.get("runs", {}).items() if place in ranks}
        if len(rows) < len(expected) or len(known) < len(entry.get("runs", {})):
            continue
        links = [{"id": identity, "verdict": rows[identity]["verdict"]} for identity in expected]
        read = [
            re.search(pattern, f"{rows[identity]['condition']}; {rows[identity]['evidence']}", re.DOTALL)
            for identity, pattern in entry.get("reads", {}).items()
        ]
        as_expected = all(rows[identity]["verdict"] == verdict for identity, verdict in expected.items())
        as_written = as_expected and all(read) and all(_smaller(rows[identity]) for identity in entry.get("below", ()))
        if as_written:
            known |= {name: text for found_there in read if found_there for name, text in found_there.groupdict().items()}
            text = entry["says"].format(**{identity.replace(".", "_"): row for identity, row in rows.items()}, **known)
            for metric, meaning in METRICS.items():
                text = text.replace(metric, meaning)
        else:
            text = "; ".join(f"{link['id']}: {link['verdict']}" for link in links) + "."
        found.append({"title": entry["title"], "text": text, "links": links, "as_written": as_written})
    return found


def _smaller(row: Mapping[str, str]) -> bool:
    return float(row["measured_difference"]) < float(row["paper_difference"])


def _rows_of(asked: Collection[str], table: pd.DataFrame | None, key: str) -> dict[str, dict[str, str]]:
    """Return the rows asked for that were decided, by ID; of an ordering, that on the first data set."""
    rows = {} if table is None else {row[key]: row for row in reversed(table.to_dict("records"))}
    return {identity: rows[identity] for identity in asked if identity in rows and rows[identity]["verdict"] != "not run"}
