"""How a job behaves: progress to the terminal and a log, one clear sentence on bad input."""

import argparse
import base64
import contextlib
import errno
import fcntl
import json
import os
import signal
import sys
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

__all__ = [
    "PARENT",
    "SENTENCES",
    "UserError",
    "advice_on_writing",
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
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
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
    with _opened(options.log) as log:

        def report(line: str, terminal: bool = True) -> None:
            with contextlib.suppress(OSError):  # a disk without room: what the job is there for tells so, or does without
                log.write(f"{line}\n".encode())
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
            report(traceback.format_exc(), terminal=False)
            if (unwritten := _unwritten(error)) is not None:
                what = unwritten.filename or "a result"
                sentence = f"error: {what} cannot be written ({unwritten.strerror}); {advice_on_writing(unwritten)}"
                print(sentence, file=sys.stderr)
                leave_for_the_end(sentence)
                sys.exit(EXIT_BAD_INPUT)
            sentence = f"{type(error).__name__}: {error} (traceback in {options.log})"
            print(f"error: {sentence}", file=sys.stderr)
            leave_for_the_end(f"error: {sentence}")
            sys.exit(1)


def advice_on_writing(error: OSError) -> str:
    """Return what to do about a file that cannot be written."""
    then = "and give the same command again, which goes on from here"
    if error.errno in NO_ROOM:
        return f"make room, {then}"
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return f"move it away, {then}"
    return f"allow writing there, {then}"


def _opened(path: Path) -> BinaryIO:
    """Open the log, without a buffer that could not be emptied at the end; or stop with one sentence."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb", buffering=0)
    except OSError as error:
        # What is in the way may be a folder above it
        place = next((above for above in path.parents if os.path.lexists(above) and not above.is_dir()), path)
        sentence = f"error: the log {place} cannot be written ({error.strerror}); {advice_on_writing(error)}"
        print(sentence, file=sys.stderr)
        leave_for_the_end(sentence)
        sys.exit(EXIT_BAD_INPUT)


def _unwritten(error: BaseException | None) -> OSError | None:
    """Return the error that says that a file cannot be written, of those that led to an error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (*NO_ROOM, errno.EACCES, errno.EPERM, errno.EROFS):
            return error
        error = error.__cause__ or error.__context__
    return None


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
        settings: dict[str, Any] = json.loads(
            text if text.startswith("{") else zlib.decompress(base64.b64decode(text, validate=True))
        )
    except (ValueError, zlib.error) as error:
        raise UserError(f"--settings is not JSON: {error}") from error
    return settings


def leave_for_the_end(line: str) -> None:
    """Let the workflow say the line again when it stops, below all that snakemake prints about the job."""
    if SENTENCES in os.environ:
        descriptor = os.open(os.environ[SENTENCES], os.O_RDWR | os.O_CREAT, 0o666)
        # Where there is no room for it, it has been said once already
        with contextlib.suppress(OSError), os.fdopen(descriptor, "r+b", buffering=0) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Into the room that was taken when there was some
            said = handle.read().rstrip(b"\n")
            handle.seek(len(said) + bool(said))
            handle.write(f"{line}\n".encode())


def stop(sentence: str) -> NoReturn:
    """End the command with one sentence."""
    # Not a WorkflowError: snakemake would add a traceback to the sentence.
    sys.exit(f"error: {sentence}")
