"""What was measured, and on what: said of the tables, where the folders of the runs need not be there."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from ..settings import EMBEDDED

__all__ = ["described", "measured_on"]

SHORT = {"digits": "handwritten digits", "glyphs": "generated characters"}


def measured_on(tables: Iterable[pd.DataFrame | None]) -> dict[str, Any] | None:
    """
    Return what was measured, as tables tell it, or None if nothing was.

    Parameters
    ----------
    tables : iterable of pandas.DataFrame or None
        With the columns of ``results/table_main.csv`` or ``results/orderings.csv``; None
        where one was not made.

    Returns
    -------
    dict
        ``datasets``; ``generated``, those of them whose images were GENERATED in the format of
        the paper's; ``on_paper``, whether any was measured on the paper's own images; ``seeds``
        of a number, smallest to largest.

    """
    rows = [
        row
        for table in tables
        if table is not None
        for row in table.to_dict("records")
        if row.get("measured") or row.get("measured_difference")
    ]
    if not rows:
        return None
    seeds = {int(row["n_seeds"]) for row in rows}
    others = [(row["dataset"], "GENERATED" in row["note"]) for row in rows if row["dataset"] not in EMBEDDED]
    return {
        "datasets": list(dict.fromkeys(row["dataset"] for row in rows)),
        "generated": list(dict.fromkeys(dataset for dataset, generated in others if generated)),
        "on_paper": not all(generated for _, generated in others),
        "seeds": str(max(seeds)) if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}",
    }


def described(settings: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """
    Return what the bundled data sets are and how encoders are trained on them, as configured.

    Parameters
    ----------
    settings : mapping
        The configuration of each data set, see ``workflow/config/digits.yaml``.
    names : iterable of str
        Of the data sets that are asked for; others than the bundled ones are left out.

    Returns
    -------
    dict of dict
        By data set: ``short``, what its images show; ``sources``, how many originals there
        are, of which ``fit`` are trained on and ``test`` tested on; ``classes`` (0 where the
        data have theirs), ``renders``, of each original, ``size``, in pixels;
        ``layers``, convolutions of the encoder, ``features``, that it gives, ``epochs`` and
        ``batch``.

    """
    found = {}
    for name in names:
        if name not in EMBEDDED:
            continue
        of_data = settings[name]
        sources = of_data["data"]["sources"]
        found[name] = {
            "short": SHORT[name],
            "sources": sum(sources.values()),
            "fit": sum(sources[split] for split in of_data["fit_on"]),
            "test": sources[of_data["score_on"]],
            "classes": of_data["data"].get("classes", 0),
            "renders": of_data["data"]["renders"],
            "size": of_data["data"]["size"],
            "layers": len(of_data["encoder"]["widths"]),
            "features": of_data["encoder"]["widths"][-1],
            "epochs": of_data["training"]["epochs"],
            "batch": of_data["training"]["batch_size"],
        }
    return found
