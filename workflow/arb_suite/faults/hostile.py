"""Hostile configurations: every key in turn has values that it cannot have, and each has to be answered in one sentence."""

import argparse
import copy
import datetime
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from ..files import write_csv
from ..jobs import UserError, job_parser, read_resolved, run_job
from ..settings import DATASETS, plan_runs

__all__ = ["VALUES", "Key", "answered", "digits_alone", "keys", "tried"]

LONGEST = 1000  # characters of a sentence
COLUMNS = ["key", "values", "refused", "accepted", "unanswered", "examples"]
# By what they are, values that YAML can give
VALUES: dict[str, Any] = {
    "nothing": None,
    "an empty text": "",
    "a blank": " ",
    "a word": "no such",
    "other letters": "ü❄\u202e",
    "a path upwards": "../..",
    "quotes": "a'b\"c $(x) `y`",
    "a line break": "line\nbreak",
    "a control character": "a\x00b",
    "a long text": "x" * 5000,
    "zero": 0,
    "a negative number": -1,
    "a fraction": 1.5,
    "NaN": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "a huge integer": 10**400,
    "a subnormal number": 5e-324,
    "true": True,
    "an empty list": [],
    "a list of nothing": [None],
    "a list of lists": [[]],
    "an empty mapping": {},
    "a mapping": {"x": 1},
    "a mapping with a number for a key": {1: 2},
    "a date": datetime.date(2026, 1, 1),
}


class Key(NamedTuple):
    """
    A key of the configuration.

    Attributes
    ----------
    name : str
        Its path, ``*`` for names that users give, ``#`` for places in a list.
    path : tuple
        Of the first key of that name.

    """

    name: str
    path: tuple[Any, ...]


# What holds entries by names that users give: one stands for all
NAMED = ("runs", "variations", "views", "grids", "also", "counterparts")


def digits_alone(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without other data sets, which have the same kinds of keys, and what compares their runs."""
    names = {*config["digits"]["runs"], *config["digits"].get("variations", {})}
    orderings = [claim for claim in config["orderings"] if {claim["left"], claim["right"]} <= names]
    kept = {key: value for key, value in config.items() if key not in DATASETS}
    return {**kept, "datasets": "digits", "digits": config["digits"], "orderings": orderings}


def keys(config: Mapping[str, Any]) -> list[Key]:
    """Return all keys of a configuration, one of each kind."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in _paths(config):
        parts = [
            "#" if isinstance(part, int) else "*" if i and path[i - 1] in NAMED else str(part) for i, part in enumerate(path)
        ]
        found.setdefault(".".join(parts), path)
    return [Key(name, path) for name, path in found.items()]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    entries = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from _paths(inner, (*path, key))


def answered(config: Mapping[str, Any], path: Sequence[Any], value: Any) -> str:
    """
    Plan with one key changed and say how that was answered.

    Returns
    -------
    str
        "accepted", "refused", or what is wrong with the answer: the exception, or a
        sentence that is longer than `LONGEST` or more than one line.

    """
    changed = copy.deepcopy(dict(config))
    inner: Any = changed
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    try:
        plan_runs(changed)
    except UserError as error:
        sentence = str(error)
        if "\n" in sentence or len(sentence) > LONGEST:
            return f"no sentence: {sentence[:80]!r}, {len(sentence)} characters"
        return "refused"
    except Exception as error:  # whatever it is, it is what a user would see
        return f"{type(error).__name__}: {str(error)[:80]!r}"
    return "accepted"


def tried(config: Mapping[str, Any], key: Key, values: Mapping[str, Any] = VALUES) -> dict[str, Any]:
    """Return the row of a key: how many values were answered in which way, and examples of those that were not."""
    answers = {name: answered(config, key.path, value) for name, value in values.items()}
    wrong = [f"{name}: {answer}" for name, answer in answers.items() if answer not in ("accepted", "refused")]
    said = list(answers.values())
    return {
        "key": key.name,
        "values": len(values),
        "refused": said.count("refused"),
        "accepted": said.count("accepted"),
        "unanswered": len(wrong),
        "examples": "; ".join(wrong[:3]),
    }


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Write the table, and fail if anything was not answered."""
    config = digits_alone(read_resolved(options.config))
    rows = []
    for key in keys(config):
        rows.append(tried(config, key))
        if rows[-1]["unanswered"]:
            report(f"{key.name}: {rows[-1]['examples']}")
    write_csv(options.out, pd.DataFrame(rows, columns=COLUMNS))
    wrong = sum(row["unanswered"] for row in rows)
    report(f"{len(rows)} keys, {sum(row['values'] for row in rows)} values, {wrong} of them not answered in a sentence")
    if wrong:
        raise UserError(f"{wrong} hostile values were not answered in one sentence; {options.out} has them")


def main() -> None:
    """Run the rule ``hostile``."""
    parser = job_parser("Give every key of the configuration values that it cannot have.")
    parser.add_argument("--config", required=True, help="the configuration, as JSON")
    parser.add_argument("--out", required=True, help="written: one row per key")
    run_job(work, parser)
