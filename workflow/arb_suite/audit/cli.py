"""The command arb-audit: anyone's numbers against the paper's, one accuracy against n images, one claim with its evidence."""

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from ..files import write_csv
from ..jobs import UserError
from ..printed import FOLDER, SCHEMA, Printed, Row, number, read_printed, value
from ..statistics import holm, reproduction_verdict, t_interval
from .attainable import correct_counts, explaining_sizes, is_attainable, nearest_attainable
from .given import COLUMNS, REQUIRED, Given, match, read_given
from .sampling import unpaired, wilson_interval

__all__ = ["main"]

LEVEL = 0.05
NOT_ATTAINABLE, BAD_USE, INTERRUPTED = 1, 2, 130
CLONE = Path(__file__).parents[3]  # the one that this code is in
WIDTH, CLAIM_WIDTH = 130, 100
DESCRIPTION = """\
Set a table of results against "Align Representations with Base" (CVPR 2022), Tables 1 to 5.

arb-audit FILE.csv                   every number of FILE beside the paper's
arb-audit attainable VALUE --n N     can VALUE be one evaluation over N images?
arb-audit claim [ID ...]             the verdict on a claim of the paper, with its evidence"""
EXAMPLE = f"""\
columns of FILE: {", ".join(REQUIRED)}; where there are any also {", ".join(COLUMNS[len(REQUIRED) :])}.
Names may differ in case, blanks and punctuation (barlow_twins, cifar10, top1). A row that matches several cells is an error
that lists them. Rows of one setting with different seeds are taken together.

verdict of one number     identical, or higher, lower or consistent by a two-sample test of proportions over the evaluation
                          images at 5%, adjusted by Holm's procedure; it says nothing about other training runs
verdict of several seeds  reproduced, higher or lower by the t prediction interval; inconclusive with fewer than 3 seeds or
                          where the interval reaches more than 1 point to either side

example:
  printf 'method,proj_dim,dataset,metric,value\\nSimCLR,256,CIFAR-10,top1,90.11\\nbarlow,2048,cifar100,top1,70.90\\n' > mine.csv
  arb-audit mine.csv

a table of another tool:
  arb-audit theirs.csv --columns method=name value=test_acc1 --set dataset=CIFAR-100 metric=linear_top1 proj_dim=256

exit status: 0; 1 if a value is not attainable; 2 on bad input, and then nothing is written"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = {"attainable": _attainable, "claim": _claim}
    try:
        if arguments and arguments[0] in commands:
            return commands[arguments[0]](arguments[1:])
        return _audit(arguments)
    except UserError as error:
        print(f"arb-audit: {error}", file=sys.stderr)
        return BAD_USE
    except KeyboardInterrupt:
        print("arb-audit: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # what reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _audit(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "arb-audit", description=DESCRIPTION, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, metavar="FILE.csv", help="your numbers, UTF-8, with a header")
    parser.add_argument(
        "--columns", nargs="+", action="extend", default=[], metavar="NAME=THEIRS", help="what FILE calls a column"
    )
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=ENTRY", help="one entry for all rows")
    parser.add_argument("--delimiter", default=",", help="between fields; default: a comma")
    parser.add_argument("--fractions", action="store_true", help="accuracies are from 0 to 1")
    parser.add_argument("--skip-unmatched", action="store_true", help="leave out what the paper does not have")
    parser.add_argument("--out", type=Path, help="file for the result; default: FILE_audit.csv in this folder")
    options = parser.parse_args(arguments)
    if len(options.delimiter) != 1 or options.delimiter in '"\r\n':
        raise UserError(f"--delimiter {options.delimiter!r} is not one character; give for example ';'")
    out = options.out or Path(f"{options.file.stem}_audit.csv")
    if out.resolve() == options.file.resolve():
        raise UserError(f"--out {out} is the file of your numbers; give another name")
    if not out.parent.is_dir():
        raise UserError(f"--out {out} cannot be written: there is no such folder")
    if out.is_symlink() or (out.exists() and not out.is_file()):
        kind = "a link" if out.is_symlink() else "a folder" if out.is_dir() else "no regular file"
        raise UserError(f"--out {out} cannot be written: it is {kind}; give the name of a file")
    columns, constants = _assignments(options.columns, "--columns"), _assignments(options.set, "--set")
    if re.fullmatch(r"[A-Z]\d{0,2}(\.\w+)*", str(options.file)) and not options.file.exists():
        raise UserError(f"there is no file {options.file}; for the claim of that name: arb-audit claim {options.file}")
    printed = read_printed(*_paper())
    found = read_given(options.file, columns, constants, options.delimiter, options.fractions)
    pairs = match(printed, found, options.file, options.skip_unmatched)
    table = compare_with_paper(printed, pairs)
    try:
        write_csv(out, table)
    except OSError as error:
        raise UserError(f"--out {out} cannot be written: {error.strerror or error}") from error
    _show(table)
    matched = {given.row for given, _ in pairs}
    if left_out := [str(given.row) for given in found if given.row not in matched]:
        print(f"left out, not in the paper: row{'s' if len(left_out) > 1 else ''} {', '.join(left_out)}")
    print(f"written to {out}")
    return 0


def _assignments(texts: Sequence[str], option: str) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise UserError(f"{option} {text!r} is not NAME=ENTRY; write for example {option} metric=top1")
    return dict(text.split("=", 1) for text in texts)


def _paper() -> tuple[Path, Path]:
    """Return where the printed numbers and their schema are: in the clone that one stands in, else in that of this code."""
    root = Path() if FOLDER.is_dir() and SCHEMA.is_file() else CLONE
    return root / FOLDER, root / SCHEMA


def compare_with_paper(printed: Printed, pairs: Sequence[tuple[Given, Row]]) -> pd.DataFrame:
    """
    Return one row per cell: the paper's number, the given one, interval, attainability, verdict.

    Numbers of one cell with different seeds are one row: their mean with its t
    interval. A single number has Wilson's interval over its evaluation images.
    """
    by_cell: dict[int, tuple[Row, list[Given]]] = {}
    for given, cell in pairs:
        by_cell.setdefault(id(cell), (cell, []))[1].append(given)
    rows, p_values = [], []
    for cell, numbers in by_cell.values():
        row, p_value = _compared(printed, cell, numbers)
        rows.append(row)
        p_values.append(p_value)
    singles = {i: p_value for i, p_value in enumerate(p_values) if p_value is not None}
    for i, adjusted in zip(singles, holm([*singles.values()]), strict=True):
        difference = Decimal(rows[i]["difference"])
        decided = "higher" if difference > 0 else "lower"
        rows[i]["verdict"] = "identical" if difference == 0 else decided if adjusted < LEVEL else "consistent"
        rows[i]["note"] = f"p = {adjusted:.2g} (two-sample test of proportions, Holm over {len(singles)})"
    return pd.DataFrame(rows)


def _compared(printed: Printed, cell: Row, numbers: Sequence[Given]) -> tuple[dict[str, str], float | None]:
    nominal = printed.images(cell["dataset"])
    sizes = {given.n_eval or nominal for given in numbers}
    texts = [given.value for given in numbers]
    row = {name: cell[name] for name in ("table", "method", "variant", "proj_dim", "dataset", "pretrain_epochs", "metric")}
    row = {"rows": " ".join(str(given.row) for given in numbers), **row, "paper": number(cell)}
    attainable = [is_attainable(given.value, given.n_eval or nominal) for given in numbers]
    last = {"n_eval": " ".join(map(str, sorted(sizes))), "n_seeds": str(len(numbers))}
    last["attainable"] = "yes" if all(attainable) else "no" if not any(attainable) else "in part"
    if len(numbers) == 1:
        (text,), (n,) = texts, sizes
        low, high = wilson_interval(float(text), n)
        middle = {
            "given": text,
            "difference": str(Decimal(text) - value(cell)),
            "ci_low": f"{low:.2f}",
            "ci_high": f"{high:.2f}",
        }
        return {**row, **middle, **last, "verdict": "", "note": ""}, unpaired(float(text), n, float(value(cell)), nominal)
    interval = t_interval([float(text) for text in texts])
    middle = {"given": f"{interval.mean:.2f}", "difference": f"{interval.mean - float(value(cell)):.2f}"}
    middle |= {"ci_low": f"{interval.low:.2f}", "ci_high": f"{interval.high:.2f}"}
    verdict = reproduction_verdict([float(text) for text in texts], number(cell))
    return {**row, **middle, **last, "verdict": verdict, "note": "t prediction interval over seeds"}, None


def _show(table: pd.DataFrame) -> None:
    console = Console(width=max(WIDTH, Console().width), highlight=False)
    shown = Table(box=SIMPLE, padding=(0, 1))
    for heading in ("method", "d", "data set", "metric", "table"):
        shown.add_column(heading, no_wrap=True)
    for heading in ("paper", "given", "difference", "95% interval", "attainable"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("verdict", no_wrap=True)
    for row in table.to_dict("records"):
        shown.add_row(
            *(row[name] for name in ("method", "proj_dim", "dataset", "metric", "table", "paper", "given")),
            f"{Decimal(row['difference']):+}",
            f"{row['ci_low']} to {row['ci_high']}",
            *(row[name] for name in ("attainable", "verdict")),
        )
    console.print(shown)


def _attainable(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "arb-audit attainable",
        description="Can VALUE, in percent as printed, be one evaluation over N images? Exit status 0 if it can, 1 if not.",
        epilog="example: arb-audit attainable 95.51 --n 5000",
    )
    parser.add_argument("value", help="accuracy in percent, as printed: 52.9 and 52.90 are not the same")
    parser.add_argument("--n", type=int, required=True, help="images")
    parser.add_argument("--truncated", action="store_true", help="further digits were cut off instead of rounded")
    options = parser.parse_args(arguments)
    text = options.value.strip().removesuffix("%").strip()
    try:
        counts = correct_counts(text, options.n, options.truncated)
        below, above = nearest_attainable(text, options.n)
    except ValueError as error:
        raise UserError(str(error)) from error
    if counts:
        correct = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        print(f"{text} is attainable over {options.n} images: {correct} of {options.n} correct")
        return 0
    around = " and ".join(f"{float(accuracy):.10g} ({accuracy * options.n / 100} correct)" for accuracy in (below, above))
    sizes = explaining_sizes([text], min(options.n, 100_000), truncated=options.truncated)
    print(f"{text} is not attainable over {options.n} images; the nearest are {around}")
    if sizes:
        print(f"the fewest images that give it are {sizes[0].n}")
    return NOT_ATTAINABLE


def _claim(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "arb-audit claim",
        description="The verdict on claims of the paper, computed anew, with its evidence.",
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="an ID (P1) or its beginning (T2); all where none is given")
    options = parser.parse_args(arguments)
    # What only this command needs, and the checks of the theory, which rest on this package
    from proofs_checks.ledger import ledger_row, read_ledger

    from .claims import claim_row

    printed = read_printed(*_paper())
    theory = [entry["id"] for entry in read_ledger()]
    known = theory + [row["id"] for row in printed.claims]
    chosen = []
    for given in options.ids:
        found = [c for c in known if c.casefold() == given.casefold() or c.casefold().startswith(f"{given.casefold()}.")]
        if not found:
            raise UserError(f"no claim is called {given}; known are {', '.join(known)}")
        chosen += found
    for claim in chosen or known:
        _show_claim(ledger_row(claim) if claim in theory else claim_row(printed, claim))
    return 0


def _show_claim(row: Mapping[str, str]) -> None:
    print(textwrap.fill(f"{row['id']} ({row['source']}, {row['where']}): {row['claim']}", CLAIM_WIDTH, subsequent_indent="  "))
    for name in ("verdict", "condition", "evidence", "correction"):
        if row[name]:
            print(textwrap.fill(row[name], CLAIM_WIDTH, initial_indent=f"  {name}: ", subsequent_indent="    "))
    print()
