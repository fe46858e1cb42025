"""Before the first job of a command: the folder is taken, and what would stop a job much later is refused now."""

import atexit
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .files import exclusive, read_archive, read_choice
from .gpus import visible_gpus
from .jobs import INTERRUPTED, NO_ROOM, SENTENCES, UserError, advice_on_writing, stop
from .progress import COUNT_FILE, START, TOTAL
from .records import check_records
from .workflow import Plan

__all__ = ["begin", "end", "look"]

RESULTS = Path("results")
LOCK = Path(".snakemake/arb_suite.lock")
UNSAID = "error: stopped as told above, or a job was killed; the same command goes on from here"
SAID = 16_384  # bytes of sentences, for which room is taken beforehand, so that a full disk can be told
ROOM = 1_000_000  # bytes, without which nothing is begun
EXIT_ASKED = 143  # as of a process that SIGTERM ends
_held = contextlib.ExitStack()  # until the process ends
_asked: list[int] = []  # whether SIGTERM has come


def look() -> None:
    """
    Look at the results there are before anything is planned.

    Raises
    ------
    SystemExit
        If one is not what a workflow of this folder has written.

    """
    # A log that cannot be written is no reason for a traceback with each of its lines
    logging.raiseExceptions = False
    try:
        try:
            check_records()
        except UserError:
            # Unless another run was just about to write that; then this one will be refused, or has nothing to do
            with contextlib.suppress(BlockingIOError), exclusive(LOCK, wait=False):
                check_records()
    except UserError as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or 'the folder'} cannot be written ({error.strerror}); {advice_on_writing(error)}")


def begin(plan: Plan, jobs: Sequence[tuple[str, Any]], written: Sequence[str], here: bool) -> None:
    """
    Take the folder for this process, check that results can be written and start the count of progress.

    Parameters
    ----------
    plan : Plan
        Of the configuration.
    jobs : sequence of (str, wildcards)
        The jobs that are about to run, by their rule.
    written : sequence of str
        The files that they will write.
    here : bool
        Whether they run on this machine, and not on the nodes of a cluster.

    The lock is the kernel's and ends with this process, also by SIGKILL, so that the same command can be given again at once.

    Raises
    ------
    SystemExit
        If another run is at work in the folder, folders of results cannot be written, a
        file there that jobs read is damaged, or jobs need more GPUs than there are.

    """
    try:
        _held.enter_context(exclusive(LOCK, wait=False))
    except BlockingIOError:
        folder = Path.cwd()
        stop(f"another run is at work in {folder}; wait until it ends, or stop it")
    _check_folder(RESULTS)
    for name in ("checkpoints", "data", "logs", "runs"):
        if os.path.lexists(RESULTS / name):
            _check_folder(RESULTS / name)
    for folder in sorted({Path(path).parent for path in written}):
        _check_way(folder)
    # Before snakemake deletes the outputs of a job that it is about to run again: is what it would read intact?
    try:
        for path in sorted({Path(f"results/data/{run.dataset}.npz") for run in plan.runs}):
            # Where one of the two is missing, a command was killed between them, and snakemake makes both again
            if path.exists() and path.with_suffix(".json").exists():
                read_archive(path)
        for path in sorted(Path("results/tuning").glob("*/*.json")):
            read_choice(path)
        if here:
            _check_gpus(plan, [wildcards for rule, wildcards in jobs if rule in ("train", "tune")])
    except UserError as error:
        stop(str(error))
    for variable, name in ((COUNT_FILE, "progress"), (SENTENCES, "sentences")):
        path = Path(f".snakemake/arb_suite.{name}").resolve()
        path.write_bytes(b"\n" * SAID if variable == SENTENCES else b"")
        os.environ[variable] = str(path)
    atexit.register(_say_why_it_stopped, Path(os.environ[SENTENCES]))
    # Snakemake lets the running jobs end, and says then that one has failed
    gracefully = signal.getsignal(signal.SIGTERM)

    def asked(number: int, frame: Any) -> None:
        _asked.append(number)
        if callable(gracefully):
            gracefully(number, frame)

    signal.signal(signal.SIGTERM, asked)
    os.environ |= {START: str(time.time()), TOTAL: str(plan.epochs(jobs))}


def end(succeeded: bool) -> None:
    """Take note of how the workflow ended; where SIGTERM has ended it, that is no failure of a job."""
    if succeeded:
        _asked.clear()
        atexit.unregister(_say_why_it_stopped)
    elif _asked:
        sys.exit(EXIT_ASKED)


def _check_folder(folder: Path) -> None:
    """Refuse a folder of results that is something else, or that cannot be made or written."""
    if folder.is_symlink() and not folder.exists():
        stop(f"{folder} is a link to {folder.readlink()}, which is not there; make that folder, or remove the link")
    if folder.exists() and not folder.is_dir():
        stop(f"{folder} is a file, but it has to be a folder; move it away")
    probe = folder / f".writable.{os.getpid()}"
    try:
        folder.mkdir(exist_ok=True)
        try:
            probe.write_bytes(bytes(ROOM))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in NO_ROOM:
            stop(f"there is no room in the folder {folder} ({error.strerror}); {advice_on_writing(error)}")
        stop(f"the folder {folder} cannot be written ({error.strerror}); allow writing to it")


def _check_way(folder: Path) -> None:
    """Refuse a folder that cannot be made or written because of what lies on the way to it."""
    for place in [*reversed(folder.parents), folder]:
        if os.path.lexists(place) and not place.is_dir():
            stop(f"{place} is a file, but it has to be a folder; move it away")
    deepest = next(place for place in [folder, *folder.parents] if place.is_dir())
    if not os.access(deepest, os.W_OK | os.X_OK):
        stop(f"the folder {deepest} cannot be written; allow writing to it")


def _check_gpus(plan: Plan, trainings: Sequence[Any]) -> None:
    """Refuse, before the data is read, runs that need more GPUs than this machine has."""
    asking = [wildcards for wildcards in trainings if plan.gpus(wildcards)]
    found = len(visible_gpus()) if asking else 0
    for wildcards in asking:
        needed, device = plan.gpus(wildcards), plan.run(wildcards).training["compute"]["device"]
        where = f"{wildcards.dataset}.compute: "
        if device == "cuda" and not found:
            raise UserError(f"{where}device is cuda, but there is no GPU here; choose auto or cpu, or a machine that has one")
        if 0 < found < needed:
            raise UserError(f"{where}{needed} processes need a GPU each, but there are {found}; choose fewer, or device: cpu")


def _say_why_it_stopped(sentences: Path) -> None:
    """Print once more, after all else, why jobs failed or that they were interrupted."""
    said = [line for line in dict.fromkeys(sentences.read_text(encoding="utf-8").splitlines()) if line]
    if _asked:
        said = said or [INTERRUPTED]
    elif not said:
        try:
            _check_folder(RESULTS)
        except SystemExit as stopped:
            said = [str(stopped)]
    for sentence in said or [UNSAID]:
        print(f"\n{sentence}", file=sys.stderr)
