"""Before the first job of a command: the folder is taken, and what would stop a job much later is refused now."""

import atexit
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .files import exclusive, read_archive, read_choice
from .gpus import visible_gpus
from .jobs import SENTENCES, UserError, stop
from .progress import COUNT_FILE, START, TOTAL
from .workflow import Plan

__all__ = ["begin"]

RESULTS = Path("results")
LOCK = Path(".snakemake/arb_suite.lock")
_held = ExitStack()  # until the process ends


def begin(plan: Plan, jobs: Sequence[tuple[str, Any]], here: bool) -> None:
    """
    Take the folder for this process, check that results can be written and start the count of progress.

    Parameters
    ----------
    plan : Plan
        Of the configuration.
    jobs : sequence of (str, wildcards)
        The jobs that are about to run, by their rule.
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
    # Before snakemake deletes the outputs of a job that it is about to run again: is what it would read intact?
    try:
        for path in sorted({Path(f"results/data/{run.dataset}.npz") for run in plan.runs}):
            if path.exists():
                read_archive(path)
        for path in sorted(Path("results/tuning").glob("*/*.json")):
            read_choice(path)
        if here:
            _check_gpus(plan, [wildcards for rule, wildcards in jobs if rule in ("train", "tune")])
    except UserError as error:
        stop(str(error))
    for variable, name in ((COUNT_FILE, "progress"), (SENTENCES, "sentences")):
        path = Path(f".snakemake/arb_suite.{name}").resolve()
        path.write_bytes(b"")
        os.environ[variable] = str(path)
    atexit.register(_say_why_it_stopped, Path(os.environ[SENTENCES]))
    os.environ |= {START: str(time.time()), TOTAL: str(plan.epochs(jobs))}


def _check_folder(folder: Path) -> None:
    """Refuse a folder of results that is something else, or that cannot be made or written."""
    if folder.is_symlink() and not folder.exists():
        stop(f"{folder} is a link to {folder.readlink()}, which is not there; make that folder, or remove the link")
    if folder.exists() and not folder.is_dir():
        stop(f"{folder} is a file, but it has to be a folder; move it away")
    probe = folder / f".writable.{os.getpid()}"
    try:
        folder.mkdir(exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        stop(f"the folder {folder} cannot be written ({error.strerror}); allow writing to it")


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
    for sentence in dict.fromkeys(sentences.read_text(encoding="utf-8").splitlines()):
        print(f"\n{sentence}", file=sys.stderr)
