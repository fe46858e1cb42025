"""A user's table of results: read with care, and matched to the cells of the paper."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from ..jobs import UserError
from ..printed import Printed, Row, number
from .attainable import LARGEST

__all__ = ["COLUMNS", "REQUIRED", "Given", "match", "read_given"]

REQUIRED = ("method", "proj_dim", "dataset", "metric", "value")
COLUMNS = (*REQUIRED, "n_eval", "variant", "pretrain_epochs", "table", "seed")
NAMES = ("method", "proj_dim", "dataset", "metric", "variant", "pretrain_epochs", "table")  # what a cell is found by
MOST_BYTES = 10_000_000
MOST_PROBLEMS = 10
LONGEST = 40  # letters of an entry that a message repeats
# What else a name may be called, as letters and digits in lower case
OTHER_NAMES = {
    "method": {
        "barlow": "Barlow Twins",
        "bt": "Barlow Twins",
        "moco": "MoCo V2",
        "mocov2plus": "MoCo V2",
        "direct": "Direct alignment",
    },
    "dataset": {"c10": "CIFAR-10", "c100": "CIFAR-100", "in100": "ImageNet-100", "in1k": "ImageNet-1k"}
    | dict.fromkeys(("imagenet", "imagenet1000", "ilsvrc2012"), "ImageNet-1k"),
    "metric": {
        **dict.fromkeys(("top1", "acc1", "linear", "linearacc1", "lineartop1acc", "acc1linear"), "linear_top1"),
        **dict.fromkeys(("top5", "acc5", "linearacc5", "lineartop5acc", "acc5linear"), "linear_top5"),
        **dict.fromkeys(("knn", "knntop1", "knnacc1"), "knn5_top1"),
        **dict.fromkeys(("knntop5", "knnacc5"), "knn5_top5"),
    },
    "table": {f"{prefix}{k}": f"table{k}" for prefix in ("", "t", "tab") for k in range(1, 6)},
}


@dataclass(frozen=True)
class Given:
    """
    A user's number.

    Attributes
    ----------
    row : int
        Its line in the file.
    fields : dict
        Its columns by the names of `COLUMNS`; "" where it has none.
    value : str
        Accuracy in percent as given, or rounded to four decimals where it has more
        than six.
    n_eval : int or None
        Evaluation images, where given.
    percent : bool
        Whether the file has a percent sign behind it.

    """

    row: int
    fields: Mapping[str, str]
    value: str
    n_eval: int | None
    percent: bool


def read_given(
    path: Path,
    columns: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
    delimiter: str = ",",
    fractions: bool = False,
) -> list[Given]:
    """
    Read a user's CSV.

    Parameters
    ----------
    path : Path
        UTF-8, with a header.
    columns : mapping, optional
        Names in the file of some of `COLUMNS`.
    constants : mapping, optional
        Columns that the file lacks, with the one entry that all rows have.
    delimiter : str, optional
        Between fields.
    fractions : bool, optional
        Whether accuracies are from 0 to 1 instead of percent.

    Raises
    ------
    UserError
        On anything that is not a table of accuracies; the message names row and
        column, up to ten of them.

    """
    columns, constants = dict(columns or {}), dict(constants or {})
    lines = _lines(path, delimiter)
    places = _places(path, lines[0][1], columns, constants, delimiter)
    if len(lines) == 1:
        raise UserError(f"{path} has a header but no rows")
    found, problems = [], []
    for line, entries in lines[1:]:
        if len(entries) != len(lines[0][1]):
            problems.append(f"row {line} has {len(entries)} fields, the header has {len(lines[0][1])}")
            continue
        fields = dict.fromkeys(COLUMNS, "") | constants
        fields |= {name: entries[place].strip() for name, place in places.items()}
        try:
            found.append(_given(line, fields, fractions, columns))
        except UserError as error:
            problems.append(str(error))
    if not fractions and found and all(Decimal(given.value) <= 1 and not given.percent for given in found):
        problems.append(
            f"row {found[0].row}, column {columns.get('value', 'value')}: all accuracies are 1 or less. If they are fractions,"
            " add --fractions; if they are percent, write them as 0.98%"
        )
    _stop(path, problems)
    return found


def _stop(path: Path, problems: Sequence[str]) -> None:
    if problems:
        more = f"\n  and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else ""
        raise UserError(f"{path}: " + "\n  ".join(problems[:MOST_PROBLEMS]) + more)


def _lines(path: Path, delimiter: str) -> list[tuple[int, list[str]]]:
    """Return the non-empty rows of a file with the numbers of their lines, the header first."""
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} cannot be read: it is no regular file; save the table to one first")
        if path.stat().st_size > MOST_BYTES:
            raise UserError(
                f"{path} has {path.stat().st_size} bytes; a table of results has at most {MOST_BYTES}. Is it the right file?"
            )
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, before[before.rfind(b"\n") + 1 :].count(delimiter.encode()) + 1
        raise UserError(
            f"{path} is not UTF-8: row {line}, column {column} has the byte 0x{content[error.start]:02x}; save it as UTF-8"
        ) from error
    if "\0" in text:
        raise UserError(f"{path}, row {text[: text.index(chr(0))].count(chr(10)) + 1} has a zero byte; it is no text")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, entries) for entries in reader if any(entry.strip() for entry in entries)]
    except csv.Error as error:
        raise UserError(f"{path}, row {reader.line_num}: {error}") from error
    if not lines:
        raise UserError(f"{path} is empty; it needs a header with {', '.join(REQUIRED)}")
    return lines


def _places(
    path: Path, header: Sequence[str], columns: Mapping[str, str], constants: Mapping[str, str], delimiter: str
) -> dict[str, int]:
    """Return which field holds which of `COLUMNS`."""
    names = [name.strip() for name in header]
    for name in (*columns, *constants):
        if name not in COLUMNS:
            raise UserError(f"there is no column {name!r}; those that are read are {', '.join(COLUMNS)}")
    if repeated := sorted({name for name in names if names.count(name) > 1 and name in {*COLUMNS, *columns.values()}}):
        raise UserError(f"{path}, row 1: the header has {', '.join(repeated)} more than once")
    if twice := [name for name in constants if columns.get(name, name) in names]:
        raise UserError(
            f"{path}, row 1: the header has {', '.join(twice)}, which --set gives for all rows; leave out --set, or the column"
        )
    wanted = {name: columns.get(name, name) for name in COLUMNS if name not in constants}
    for name, own in columns.items():
        if own not in names:
            raise UserError(f"{path}, row 1: there is no column {own!r} for {name}; the header has {', '.join(names)}")
    missing = [name for name in REQUIRED if name in wanted and wanted[name] not in names]
    if missing:
        hint = f" Is another delimiter than {delimiter!r} used (--delimiter)?" if len(names) == 1 else ""
        raise UserError(
            f"{path}, row 1: no column {', '.join(missing)}; the header has {', '.join(names)}. Name them with --columns"
            f" {missing[0]}=THEIR_NAME, or give one entry for all rows with --set {missing[0]}=ENTRY.{hint}"
        )
    return {name: names.index(own) for name, own in wanted.items() if own in names}


def _given(line: int, fields: dict[str, str], fractions: bool, columns: Mapping[str, str]) -> Given:
    def bad(name: str, what: str) -> UserError:
        entry = fields[name] if len(fields[name]) <= LONGEST else fields[name][:LONGEST] + "..."
        return UserError(f"row {line}, column {columns.get(name, name)}: {entry!r} is {what}")

    for name in ("method", "dataset", "metric"):
        if not fields[name]:
            raise bad(name, "empty; every row needs one")
    for name in ("proj_dim", "pretrain_epochs", "n_eval"):
        fields[name] = fields[name].removesuffix(".0")
        digits = fields[name]
        if digits and not (digits.isascii() and digits.isdigit() and len(digits) <= 8 and 0 < int(digits) <= LARGEST):
            raise bad(name, f"no whole number from 1 to {LARGEST}")
    text = fields["value"].removesuffix("%").strip()
    if fractions and "%" in fields["value"]:
        raise bad("value", "percent, and --fractions says that accuracies are from 0 to 1")
    try:
        accuracy = Decimal(text) if text.isascii() and "_" not in text else Decimal("NaN")
    except InvalidOperation:
        accuracy = Decimal("NaN")
    if not accuracy.is_finite():
        raise bad("value", "no accuracy; give a number of percent")
    most = 1 if fractions else 100
    if not 0 <= accuracy <= most:
        raise bad("value", f"outside 0 to {most}" + (" (fractions)" if fractions else "; accuracies are percent"))
    if fractions:
        accuracy = accuracy.scaleb(2)
    if int(accuracy.as_tuple().exponent) < -6:  # what a tool writes in full is a rounded binary number
        accuracy = round(accuracy, 4)
    n_eval = int(fields["n_eval"]) if fields["n_eval"] else None
    return Given(line, fields, f"{accuracy:f}", n_eval, fields["value"].endswith("%"))


def _key(name: str) -> str:
    return "".join(letter for letter in name.casefold().replace("+", "plus") if letter.isalnum())


def match(printed: Printed, found: Sequence[Given], path: Path, skip_unmatched: bool = False) -> list[tuple[Given, Row]]:
    """
    Find the cell of Tables 1 to 5 that each number stands for.

    Names may differ in case, blanks and punctuation. An empty field matches every
    cell; the printed Table 3 has no dimension.

    Parameters
    ----------
    printed : Printed
        The paper.
    found : sequence of Given
        From `read_given`.
    path : Path
        The file, for messages.
    skip_unmatched : bool, optional
        Leave out what the paper does not have.

    Raises
    ------
    UserError
        If a number has several cells, listing them; or none, unless these are left
        out; or if two numbers without different seeds have the same cell.

    """
    pairs, problems = [], []
    known: dict[tuple[str, ...], list[Row]] = {}
    for given in found:
        key = tuple(given.fields[name] for name in NAMES)
        if key not in known:
            known[key] = [cell for cell in printed.tables if _agrees(given, cell)]
        cells = known[key]
        if len(cells) == 1:
            pairs.append((given, cells[0]))
        elif cells:
            texts = "; ".join(f"{_describe(cell)}: {number(cell)}" for cell in cells)
            told = _telling(cells)
            problems.append(f"row {given.row} matches {len(cells)} cells of the paper, add {told} to tell them apart: {texts}")
        elif not skip_unmatched:
            problems.append(f"row {given.row}: {_nearest(printed, given)} (--skip-unmatched leaves such rows out)")
    rows: dict[tuple[int, str], int] = {}
    for given, cell in pairs:
        place = (id(cell), given.fields["seed"])
        if place in rows:
            problems.append(f"rows {rows[place]} and {given.row} are both {_describe(cell)}; keep one, or add a column seed")
        rows.setdefault(place, given.row)
    if not pairs and not problems:
        problems.append("no row is a cell of the paper")
    _stop(path, problems)
    return pairs


def _agrees(given: Given, cell: Row) -> bool:
    return all(not given.fields[name] or _canonical(name, given.fields[name]) == _key(cell[name]) for name in NAMES)


def _canonical(column: str, name: str) -> str:
    key = _key(name)
    return _key(OTHER_NAMES.get(column, {}).get(key, key))


def _describe(cell: Row) -> str:
    dimension = f", d = {cell['proj_dim']}" if cell["proj_dim"] else ""
    variant = f", {cell['variant']}" if cell["variant"] else ""
    place = f"{cell['dataset']}, {cell['pretrain_epochs']} epochs, {cell['metric']}"
    return f"{cell['table']} {cell['method']}{variant}{dimension}, {place}"


def _telling(cells: Sequence[Row]) -> str:
    names = [name for name in ("proj_dim", "table", "variant", "pretrain_epochs") if len({cell[name] for cell in cells}) > 1]
    return " or ".join(names)


def _nearest(printed: Printed, given: Given) -> str:
    """Say which column keeps a row from being a cell of the paper."""
    for name in ("method", "dataset", "metric", "table"):
        known = dict.fromkeys(cell[name] for cell in printed.tables)
        if given.fields[name] and _canonical(name, given.fields[name]) not in map(_key, known):
            return f"column {name}: the paper has no {given.fields[name]!r}; it has {', '.join(known)}"
    cells = list(printed.tables)
    asked: list[str] = []
    for name in ("method", "dataset", "metric", "table", "proj_dim", "pretrain_epochs", "variant"):
        if not given.fields[name]:
            continue
        rest = [cell for cell in cells if _canonical(name, given.fields[name]) == _key(cell[name])]
        if not rest:
            known = dict.fromkeys(cell[name] or "none" for cell in cells)
            return f"column {name}: the paper has no {given.fields[name]!r} for {', '.join(asked)}; it has {', '.join(known)}"
        asked.append(given.fields[name])
        cells = rest
    raise AssertionError("a row that agrees with a cell in every column has a match")
