"""Progress that a person can follow: which run, which epoch, how long still, over all jobs of one command.

The workflow leaves, in the environment, when it started, how many epochs its jobs have and the name of a file to which every
job appends one byte per epoch: one kind for those that it trained, another for those that it found in a checkpoint. The size of
that file is the progress of the whole; what is left is timed by the trained ones.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["COUNT_FILE", "START", "TOTAL", "Progress"]

COUNT_FILE, START, TOTAL = "ARB_SUITE_PROGRESS_FILE", "ARB_SUITE_PROGRESS_START", "ARB_SUITE_PROGRESS_TOTAL"
TRAINED, FOUND = b".", b"-"
SAY_SECONDS = 4
EARLIEST = 0.03


class Progress:
    """
    The progress of one job.

    Parameters
    ----------
    name : str
        Of the run.
    epochs : int
        Per seed.
    seeds : sequence of int
        That the job trains.
    report : callable
        Receives a line now and then.

    """

    def __init__(self, name: str, epochs: int, seeds: Sequence[int], report: Callable[[str], None]):
        self.name = name
        self.epochs = epochs
        self.seeds = seeds
        self.say = report
        self.current = seeds[0]
        self.said = time.monotonic()

    def seed(self, seed: int) -> None:
        """Note which seed is trained from now on."""
        self.current = seed

    def found(self, epochs: int) -> None:
        """Count epochs that a checkpoint had."""
        self._count(FOUND * epochs)

    def epoch(self, finished: int, loss: float) -> None:
        """Count an epoch, and say so if the last line is some seconds old or the seed is done."""
        left = self._left()
        if finished == self.epochs or time.monotonic() - self.said > SAY_SECONDS:
            which = f"seed {self.current} ({self.seeds.index(self.current) + 1}/{len(self.seeds)})"
            self.say(f"{self.name:32} {which:13} epoch {finished:3}/{self.epochs}  loss {loss:8.4f}  {left}")
            self.said = time.monotonic()

    def _left(self) -> str:
        counted = self._count(TRAINED)
        if not counted:
            return ""
        done, trained = len(counted), counted.count(TRAINED)
        total = max(int(os.environ[TOTAL]), done)
        if done < EARLIEST * total:  # before that, most of the time went into starting up
            return f"all training {done / total:4.0%}"
        seconds = (time.time() - float(os.environ[START])) / trained * (total - done)
        return f"all training {done / total:4.0%}, about {_duration(seconds)} left"

    @staticmethod
    def _count(epochs: bytes) -> bytes:
        """Add to what all jobs have counted and return it; nothing where no workflow counts."""
        if COUNT_FILE not in os.environ:
            return b""
        with Path(os.environ[COUNT_FILE]).open("a+b") as handle:
            handle.write(epochs)
            handle.seek(0)
            return handle.read()


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
