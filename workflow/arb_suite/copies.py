"""Copies of a job's own command, which are processes that work with it: started, watched and ended by rank 0."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from torch import distributed

from .jobs import EXIT_BAD_INPUT, PARENT, SENTENCES, UserError, leave_for_the_end
from .progress import COUNT_FILE

__all__ = ["FAILURES", "INPUT", "PREFIX", "Copies", "CopyError"]

# How long rank 0 may take to notice by itself that a copy has failed, or a copy to fail of what rank 0 has noticed
GRACE_SECONDS = 5.0
# In the store, under this prefix: how many copies have failed, and of each, numbered from 1, its rank and whether of its input
PREFIX, FAILURES, INPUT = "arb_suite", "failures", "input"


class CopyError(Exception):
    """Another process of the job has failed, and not because of its input."""


class Copies:
    """
    The other processes, as rank 0 sees them: started with the context, and ended with it at the latest.

    Parameters
    ----------
    count : int
        Of all processes, this one included.
    port : int
        Where this process's store listens.
    log : Path
        Of this process; a copy is given ``--log FILE.rankK``.
    report : callable
        Writes to the log and the terminal.

    Notes
    -----
    A copy counts no progress and says nothing to the workflow; what it prints is
    kept for the case that it fails. It ends with this process, see ``__main__``.

    """

    def __init__(self, count: int, port: int, log: Path, report: Callable[[str], None]):
        self.count, self.port, self.log, self.report = count, port, log, report
        self.running: dict[int, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}
        self.ended: list[tuple[int, int]] = []  # rank and exit status, in the order of their ends
        self.change = threading.Condition()
        self.main_thread_knows = False
        # A connection of its own: that of the main thread is busy while that waits for a copy
        self.store = distributed.PrefixStore(PREFIX, distributed.TCPStore("127.0.0.1", port, wait_for_workers=False))

    def __enter__(self) -> "Copies":
        try:
            for own in range(1, self.count):
                self._start(own)
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self.change:
            self.main_thread_knows = True
            self.change.notify_all()
        self.kill()
        # NCCL would wait for what the copies, which are no more, have not sent; it is aborted when this process ends.
        if distributed.is_initialized() and distributed.get_backend() != "nccl":
            distributed.destroy_process_group()

    def _start(self, own: int) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in (SENTENCES, COUNT_FILE)}
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self.port), PARENT: str(os.getpid())}
        environment |= {"RANK": str(own), "LOCAL_RANK": str(own)}
        environment |= {"WORLD_SIZE": str(self.count), "LOCAL_WORLD_SIZE": str(self.count)}
        said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the copy
        process = subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:], "--log", str(self._log_of(own))],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            process_group=0,  # an interrupt from the terminal reaches rank 0 alone, which ends the others
        )
        self.running[own] = process, said
        threading.Thread(target=self._follow, args=(own, process), daemon=True, name=f"rank {own}").start()

    def _log_of(self, own: int) -> Path:
        return self.log.with_name(f"{self.log.name}.rank{own}")

    def _follow(self, own: int, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        with self.change:
            self.ended.append((own, status))
            self.change.notify_all()
            if status == 0 or self.change.wait_for(lambda: self.main_thread_knows, GRACE_SECONDS):
                return
            # The main thread is in a call that does not return. The lock is kept: one thread says it, once.
            self.kill()
            error = self._failure(wait=False)
            self.report(f"error: {error}")
            leave_for_the_end(f"error: {error}")
            os._exit(EXIT_BAD_INPUT if isinstance(error, UserError) else 1)

    def _failure(self, wait: bool = True) -> Exception | None:
        """
        Return why the copies failed, or None if none has, or if with `wait` it has not yet ended.

        That is what one says of its input; or else the end of one that could not say anything, for the others may have failed
        of that; or else what the first said.
        """
        statuses = {own: status for own, status in self.ended if status != 0}
        if not statuses:
            return None
        numbers = range(1, self.store.add(FAILURES, 0) + 1)
        records = [self.store.get(f"{FAILURES}{number}").decode().split() for number in numbers]
        of_input = [int(own) for own, kind in records if kind == INPUT]
        recorded = [int(own) for own, _ in records]
        own = [*of_input, *(own for own in statuses if own not in recorded), *recorded][0]
        if own not in statuses and wait:
            return None
        said = self.running[own][1]
        said.seek(0)
        lines = [line for line in said.read().decode(errors="replace").splitlines() if line.strip()]
        sentences = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        if own in of_input and sentences:
            return UserError(sentences[-1])
        which, status = f"process {own} of 0 to {self.count - 1}", statuses.get(own, 0)
        if status < 0 and not sentences:
            return CopyError(f"{which} was ended by {signal.Signals(-status).name}; its log is {self._log_of(own)}")
        return CopyError(f"{which} failed: {(sentences or lines or [f'exit status {status}'])[-1]}")

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """Raise what a copy has failed of in place of what rank 0 notices of that: a connection that is closed."""
        try:
            yield
        except RuntimeError as noticed:
            with self.change:
                self.main_thread_knows = True
                self.change.notify_all()
                self.change.wait_for(lambda: self._failure() is not None, GRACE_SECONDS)
                failure = self._failure()
            if failure is None:
                raise
            raise failure from noticed

    def wait(self) -> None:
        """Wait until all have ended."""
        with self.change:
            self.main_thread_knows = True
            self.change.notify_all()
            self.change.wait_for(lambda: len(self.ended) == len(self.running))
            failure = self._failure()
        if failure is not None:
            raise failure

    def kill(self) -> None:
        """End those that still run; they write nothing but their logs."""
        for process, _ in self.running.values():
            process.kill()
        for process, _ in self.running.values():
            process.wait()
