"""What of the results is there to be shown, and the command that makes what is not."""

import base64
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..audit.claims import COLUMNS as CLAIM_COLUMNS
from ..cells import X
from ..jobs import UserError
from ..orderings import COLUMNS as ORDERING_COLUMNS
from ..spectra import COLUMNS as SPECTRA_COLUMNS
from ..tables import COLUMNS

__all__ = ["COMMANDS", "Results", "as_source", "size_of"]

NEEDED = {
    "claims": CLAIM_COLUMNS,
    "table": COLUMNS,
    "orderings": ORDERING_COLUMNS,
    "spectra": SPECTRA_COLUMNS,
    "audit_cells": ["place", "method", "variant", "proj_dim", "dataset", "metric", "as_printed", "attainable", "source"],
} | {place: [*COLUMNS, x] for place, x in X.items()}

# By the file that a part of the report needs
COMMANDS = {
    "claims.csv": "snakemake --cores all results/claims.csv",
    "table_main.csv": "snakemake --cores all results/table_main.csv",
}


@dataclass(frozen=True)
class Results:
    """
    A folder of results, all of them or some.

    Attributes
    ----------
    folder : Path
        ``results``.

    """

    folder: Path

    def table(self, name: str) -> pd.DataFrame | None:
        """
        Return a table, every field as it is written, or None where it was not made.

        Raises
        ------
        UserError
            If the file is there and cannot be read as CSV, or has not the columns that it
            is made with.

        """
        path = self.folder / name
        if not path.exists():
            return None
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
        except (OSError, ValueError) as error:  # pandas' and unicode errors are of the latter
            raise UserError(f"{path} cannot be read ({error}); delete it and give the command again") from error
        needed = next((columns for begins, columns in NEEDED.items() if name.startswith(begins)), [])
        if missing := [column for column in needed if column not in table]:
            raise UserError(f"{path} has no column {', '.join(missing)}; delete it and give the command again")
        return table

    def picture(self, name: str) -> str | None:
        """Return an SVG file as the source of an image, or None where it was not made."""
        path = self.folder / name
        return as_source(path.read_bytes()) if path.exists() else None

    def missing(self, name: str) -> str:
        """Return the command that makes a file."""
        return COMMANDS.get(name, f"snakemake --cores all {self.folder / name}")


def as_source(svg: bytes) -> str:
    """Return an SVG as the source of an image: inline, its identifiers would be those of the whole page."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def size_of(source: str | None) -> tuple[int, int] | None:
    """Return the width and height of a source of `as_source`, in points as the SVG has them, or None where there is none."""
    if source is None:
        return None
    svg = base64.b64decode(source.partition(",")[2]).decode()
    found = re.search(r'<svg\b[^>]*?\bviewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"', svg)
    return (round(float(found[1])), round(float(found[2]))) if found else None
