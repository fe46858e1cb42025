"""A folder in which the main job is run as a user runs it: started, watched, and compared with another."""

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

__all__ = ["Clone", "Command", "copy_of_the_code"]

CODE = ("Snakefile", "profiles", "arb_core", "proofs_checks", "workflow")
TARGET = "results/table_main.csv"
PATIENCE = 600.0  # seconds until a command counts as hanging
GRACE = 3.0  # seconds in which what a command has started may end after it
WATCHED = 1.0  # seconds after that in which no file may change
# Of the results, what is not the same each time: logs, and training states, which hold times
VARIES = ("logs", "benchmarks", "checkpoints")
TIMES = ("began", "ended", "wall_seconds")
LOST = re.compile(r"seed (\d+) \(\d+/\d+\)\s+epoch\s+(\d+)/(\d+)")


def copy_of_the_code(root: Path, folder: Path) -> None:
    """Copy what a clone of the repository needs to run the workflow, and no result."""
    folder.mkdir(parents=True)
    for name in CODE:
        if (root / name).is_dir() and not (root / name).is_symlink():
            shutil.copytree(root / name, folder / name, symlinks=True)
        else:
            shutil.copy2(root / name, folder / name, follow_symlinks=False)
    (folder / "results").mkdir()


class Command:
    """One command that was started in a clone, in a session and process group of its own."""

    def __init__(
        self,
        clone: "Clone",
        arguments: Sequence[str],
        prefix: Sequence[str] = (),
        limit: Callable[[], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ):
        self.clone = clone
        self.printed_to = clone.scratch / f"printed{len(clone.commands)}.txt"
        self.began = time.monotonic()
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("SNAKEMAKE", "ARB_SUITE", "PYTHONPATH"))
        }
        # Git would find a repository around the clone, though not from a small disk of its own, and its version is recorded
        inherited["GIT_CEILING_DIRECTORIES"] = str(clone.folder.parent)
        self.environment = inherited | dict(environment or {})
        with self.printed_to.open("wb") as output:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "snakemake", "--cores", str(clone.cores), TARGET, *arguments],
                cwd=clone.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=limit,
            )
        clone.commands.append(self)

    def seconds(self) -> float:
        """Return how long ago it was started."""
        return time.monotonic() - self.began

    def running(self) -> bool:
        """Tell whether the command itself is still there."""
        return self.process.poll() is None

    def wait(self) -> int | None:
        """Wait until it ends and return its status, or None if it hangs, after which it is killed."""
        try:
            return self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return None

    def printed(self) -> str:
        """Return what it has printed."""
        return self.printed_to.read_text(encoding="utf-8", errors="replace")


class Clone:
    """
    A copy of the repository, and the commands that were given in it.

    Parameters
    ----------
    folder : Path
        Where it lies.
    scratch : Path
        A folder for what its commands print, so that a full disk does not concern it.
    arguments : sequence of str
        Of the command, after its target.
    cores : int
        Of the command.

    """

    def __init__(self, folder: Path, scratch: Path, arguments: Sequence[str], cores: int):
        self.folder = folder
        self.scratch = scratch
        self.arguments = list(arguments)
        self.cores = cores
        self.results = folder / "results"
        self.commands: list[Command] = []
        scratch.mkdir(parents=True, exist_ok=True)

    def start(
        self,
        prefix: Sequence[str] = (),
        limit: Callable[[], None] | None = None,
        more: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Command:
        """Give the command, after `prefix` and with `more` arguments; `limit` is called in the new process first."""
        return Command(self, [*self.arguments, *more], prefix, limit, environment)

    def move(self, folder: Path) -> None:
        """Move it to another folder, before any command."""
        self.folder.rename(folder)
        self.folder, self.results = folder, folder / "results"

    def processes(self) -> list[psutil.Process]:
        """Return the processes of this folder's commands: of their sessions, or at work in the folder."""
        sessions = {command.process.pid for command in self.commands}
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if os.getsid(process.pid) in sessions or Path(process.cwd()).is_relative_to(self.folder):
                    found.append(process)
        return found

    def trainings(self) -> list[psutil.Process]:
        """Return the processes that train."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if process.cmdline()[1:4] == ["-m", "arb_suite", "train"]:
                    found.append(process)
        return found

    def end(self) -> None:
        """End whatever is still at work."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()

    def orphans(self) -> int:
        """
        Count what outlives the commands: processes, and files that change when all should have ended.

        What is found is ended, so that the next command is not disturbed by it.
        """
        deadline = time.monotonic() + GRACE
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.05)
        before = self.files()
        time.sleep(WATCHED)
        after = self.files()
        left = len(self.processes())
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        self.end()
        return left + len(changed)

    def files(self) -> dict[str, tuple[int, int]]:
        """Return the time and size of every file that is no code."""
        found = {}
        for top in (self.results, self.folder / ".snakemake"):
            for path in sorted(top.rglob("*")) if top.is_dir() else ():
                with contextlib.suppress(FileNotFoundError):
                    if path.is_file():
                        found[path.relative_to(self.folder).as_posix()] = (path.stat().st_mtime_ns, path.stat().st_size)
        return found

    def content(self) -> dict[str, str]:
        """Return the hash of every result that is the same each time; of a record of training, without its times."""
        found = {}
        for path in sorted(self.results.rglob("*")) if self.results.is_dir() else ():
            place = path.relative_to(self.results)
            if path.is_file() and place.parts[0] not in VARIES and not place.parts[0].startswith("."):
                found[place.as_posix()] = hashlib.sha256(_without_times(path)).hexdigest()
        return found

    def finished(self) -> dict[str, int]:
        """Return the time of every result of the data and of runs whose job had ended, by the word of the workflow."""
        marks = self.folder / ".snakemake/incomplete"
        open_ = {base64.urlsafe_b64decode(mark.name).decode() for mark in marks.iterdir()} if marks.is_dir() else set()
        known = self.folder / ".snakemake/metadata"
        closed = {base64.urlsafe_b64decode(mark.name).decode() for mark in known.iterdir()} if known.is_dir() else set()
        return {
            path: written
            for path, (written, _) in self.files().items()
            if path.startswith(("results/data/", "results/runs/")) and path in closed and path not in open_
        }

    def trained(self) -> dict[tuple[str, int], int]:
        """Return, by log and seed, the time of every log that tells a seed to be trained to its end, and so its state saved."""
        logs = sorted((self.results / "logs/train").rglob("*.log")) if (self.results / "logs/train").is_dir() else []
        return {
            (log.relative_to(self.results).as_posix(), int(seed)): log.stat().st_mtime_ns
            for log in logs
            for seed, epoch, of in LOST.findall(log.read_text(encoding="utf-8", errors="replace"))
            if epoch == of
        }


def _without_times(path: Path) -> bytes:
    content = path.read_bytes()
    if path.name != "training.json":
        return content
    try:
        record = json.loads(content)
        for seed in record["seeds"].values():
            for name in TIMES:
                del seed[name]
    except (ValueError, KeyError, AttributeError):
        return content  # damaged: unlike any other
    return json.dumps(record, sort_keys=True).encode()
