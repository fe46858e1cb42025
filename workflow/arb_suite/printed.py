"""The numbers and sentences of the paper as data: read as they are printed, and validated.

Every field stays the string that was printed, since 52.9 says less than 52.90. A row is a mapping from column to string.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from .jobs import UserError

__all__ = ["FOLDER", "SCHEMA", "Printed", "Rows", "number", "only", "read_printed", "read_rows", "value", "where"]

Row = Mapping[str, str]
Rows = tuple[Row, ...]
FOLDER = Path("workflow/paper")
SCHEMA = Path("workflow/schemas/paper.schema.yaml")


@dataclass(frozen=True)
class Printed:
    """
    Everything that the paper, its release and the library of its baselines print.

    Each field holds the rows of the file of its name, in the order of the file.

    Attributes
    ----------
    tables : Rows
        The 136 cells of Tables 1 to 5.
    table1_attributes : Rows
        What Table 1 says of each row beside its accuracies.
    fig3, fig4, fig5, fig6, fig7 : Rows
        The points of the figures.
    release_readme, release_eval_log : Rows
        What the released repository reports.
    solo_learn_published : Rows
        What the library of the baselines had published at the time of submission.
    evaluation_sets : Rows
        The nominal number of evaluation images, and the classes, of each data set.
    sentences : Rows
        The numbers in sentences, by claim and name.
    claims : Rows
        The statements that are decided.
    settings : Rows
        Settings as printed and as released.

    """

    tables: Rows
    table1_attributes: Rows
    fig3: Rows
    fig4: Rows
    fig5: Rows
    fig6: Rows
    fig7: Rows
    release_readme: Rows
    release_eval_log: Rows
    solo_learn_published: Rows
    evaluation_sets: Rows
    sentences: Rows
    claims: Rows
    settings: Rows

    def images(self, dataset: str) -> int:
        """Return the nominal number of evaluation images of a data set."""
        return int(only(self.evaluation_sets, dataset=dataset)["n_eval"])

    def said(self, claim: str, name: str) -> str:
        """Return a number of a sentence, as printed."""
        return only(self.sentences, claim=claim, name=name)["as_printed"]


def where(rows: Iterable[Row], **columns: str) -> Rows:
    """Return the rows with the given entries, in their order."""
    return tuple(row for row in rows if all(row[name] == entry for name, entry in columns.items()))


def only(rows: Iterable[Row], **columns: str) -> Row:
    """
    Return the one row with the given entries.

    Raises
    ------
    LookupError
        If there is none, or more than one.

    """
    found = where(rows, **columns)
    if len(found) != 1:
        raise LookupError(f"{len(found)} rows of the printed numbers have {columns}, one was expected")
    return found[0]


def number(row: Row) -> str:
    """Return the number of a row, as printed."""
    return row["as_printed"] if "as_printed" in row else row["value"]


def value(row: Row) -> Decimal:
    """Return the number of a row."""
    return Decimal(number(row))


def read_rows(path: Path) -> Rows:
    """
    Read a CSV file with all its fields as strings.

    Raises
    ------
    UserError
        If the file cannot be read, is empty, or a row has more or fewer fields than the header.

    """
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            lines = list(csv.reader(handle, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not lines:
        raise UserError(f"{path} is empty; restore it from the repository")
    header, *rows = lines
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(f"{path}, row {line} has {len(row)} fields; the header has {len(header)}")
    return tuple(dict(zip(header, row, strict=True)) for row in rows)


def read_printed(folder: Path = FOLDER, schema: Path = SCHEMA) -> Printed:
    """
    Read and validate all the printed data.

    Parameters
    ----------
    folder : Path
        Where the CSV files are.
    schema : Path
        A JSON schema, in YAML, for the rows of each file.

    Raises
    ------
    UserError
        If a file cannot be read, or an entry is not what the schema allows;
        the message names file, row and column.

    """
    try:
        rules = yaml.safe_load(schema.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{schema} cannot be read ({error}); run from the root of a clone of the repository") from error
    content = {}
    for field in fields(Printed):
        path = folder / f"{field.name}.csv"
        content[field.name] = read_rows(path)
        for problem in _problems(content[field.name], {"$defs": rules["$defs"], **rules["files"][field.name]}):
            raise UserError(f"{path}, {problem}; restore the file from the repository")
    return Printed(**content)


def _problems(rows: Rows, schema: Mapping[str, Any]) -> Iterator[str]:
    validator = jsonschema.Draft202012Validator(schema)
    for line, row in enumerate(rows, start=2):
        for error in validator.iter_errors(row):
            column = ".".join(map(str, error.path))
            yield f"row {line}{f', column {column}' if column else ''}: {error.message}"
