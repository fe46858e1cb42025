"""How a job behaves: progress to the terminal and a log, one clear sentence on bad input."""

import argparse
import base64
import contextlib
import json
import os
import signal
import sys
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

__all__ = [
    "PARENT",
    "SENTENCES",
    "UserError",
    "asked_to_end",
    "job_parser",
    "leave_for_the_end",
    "packed",
    "read_resolved",
    "run_job",
    "stop",
]

# Environment variables that the workflow sets: its process id, whose direct children the jobs are, and a file for their errors
PARENT, SENTENCES = "ARB_SUITE_PARENT", "ARB_SUITE_SENTENCES_FILE"
EXIT_BAD_INPUT, EXIT_INTERRUPTED = 2, 130
INTERRUPTED = "interrupted; the same command goes on from here"


class UserError(Exception):
    """An input that cannot be used; the message says what was given, what is allowed and what to do."""


def job_parser(description: str, log: Path | None = None) -> argparse.ArgumentParser:
    """Return a parser with the options that every job has; `log` is what ``--log`` is for a job that users start."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--log", type=Path, required=log is None, default=log, help="file that receives the progress and any traceback"
    )
    return parser


def run_job(work: Callable[[argparse.Namespace, Callable[..., None]], None], parser: argparse.ArgumentParser) -> None:
    """
    Parse the command line, run `work` and turn its outcome into an exit status.

    Parameters
    ----------
    work : callable
        Called with the parsed options and a function that reports progress: each
        line goes to the log and, but for ``terminal=False``, to the terminal.
    parser : argparse.ArgumentParser
        From `job_parser`.

    Notes
    -----
    Exit status 2 stands for bad input (one sentence, no traceback), 1 for an
    unexpected failure (last line on the terminal, traceback in the log).

    """
    options = parser.parse_args()
    if int(os.environ.get("RANK", 0)) > 0 and not options.log.suffix.startswith(
        ".rank"
    ):  # of several that torchrun has started
        options.log = options.log.with_name(f"{options.log.name}.rank{os.environ['RANK']}")
    options.log.parent.mkdir(parents=True, exist_ok=True)
    with options.log.open("w", encoding="utf-8", buffering=1) as log:

        def report(line: str, terminal: bool = True) -> None:
            print(line, file=log)
            if terminal:
                print(line, file=sys.stderr, flush=True)

        try:
            work(options, report)
        except UserError as error:
            report(f"error: {error}")
            leave_for_the_end(f"error: {error}")
            sys.exit(EXIT_BAD_INPUT)
        except KeyboardInterrupt:
            report(INTERRUPTED)
            leave_for_the_end(INTERRUPTED)
            sys.exit(EXIT_INTERRUPTED)
        except Exception as error:
            traceback.print_exc(file=log)
            sentence = f"{type(error).__name__}: {error} (traceback in {options.log})"
            print(f"error: {sentence}", file=sys.stderr)
            leave_for_the_end(f"error: {sentence}")
            sys.exit(1)


@contextlib.contextmanager
def asked_to_end() -> Iterator[Callable[[], bool]]:
    """
    Yield a function that tells whether SIGTERM has come, which in the block does not end the process.

    So a cluster that takes its machine back leaves a job the time to save its state. Who finds it true raises
    KeyboardInterrupt when that is done.
    """
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGTERM, before)


def packed(text: str) -> str:
    """Return JSON in a form that fits the command line, on which the system allows one argument 128 KiB."""
    return base64.b64encode(zlib.compress(text.encode(), level=9)).decode()


def read_resolved(text: str) -> dict[str, Any]:
    """Read the settings that a rule hands to its job as JSON, `packed` or not."""
    try:
        return json.loads(text if text.startswith("{") else zlib.decompress(base64.b64decode(text, validate=True)))
    except (ValueError, zlib.error) as error:
        raise UserError(f"--settings is not JSON: {error}") from error


def leave_for_the_end(line: str) -> None:
    """Let the workflow say the line again when it stops, below all that snakemake prints about the job."""
    if SENTENCES in os.environ:
        with Path(os.environ[SENTENCES]).open("a", encoding="utf-8") as handle:
            print(line, file=handle)


def stop(sentence: str) -> NoReturn:
    """End the command with one sentence."""
    # Not a WorkflowError: snakemake would add a traceback to the sentence.
    sys.exit(f"error: {sentence}")
