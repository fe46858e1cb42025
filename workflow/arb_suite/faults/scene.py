"""Where a fault takes place, how a command ended there, and what is done about it."""

import re
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .clone import Clone, Command

__all__ = ["EVERYTHING", "Case", "Scene", "follow", "outcome"]

EVERYTHING = ("results/data/", "results/runs/")
ADVICE = re.compile(r"(delete its folder|delete it|delete what is named|move it away)")


@dataclass
class Scene:
    """
    Where a case takes place.

    Attributes
    ----------
    clone : Clone
        The folder.
    seconds : float
        That an undisturbed command takes.
    training : float
        Of these, how long it trains.
    stages : mapping
        When the log of each of its jobs was begun; of the folder itself, at 0.
    prefix : list of str
        Put before the commands.
    limit : callable or None
        Called in the process of a command first.
    environment : dict
        What is set in the environment of the commands.
    more : list of str
        Arguments of the next command alone.
    deleted : list of str
        Results that were deleted because a sentence said so.
    remedies : list of callable
        What ends the fault, when a sentence asks for room or for the right to write.

    """

    clone: Clone
    seconds: float
    training: float
    stages: Mapping[str, float]
    prefix: list[str] = field(default_factory=list)
    limit: Callable[[], None] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    more: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    remedies: list[Callable[[], None]] = field(default_factory=list)

    def start(self) -> Command:
        """Give the command."""
        more, self.more = self.more, []
        return self.clone.start(self.prefix, self.limit, more, self.environment)

    def run(self) -> str:
        """Give the command and return its outcome when it has ended."""
        command = self.start()
        return outcome(command.wait(), command.printed(), self.clone.folder)

    def remedy(self) -> None:
        """End the fault."""
        while self.remedies:
            self.remedies.pop()()
        self.prefix, self.limit = [], None


@dataclass(frozen=True)
class Case:
    """
    One fault.

    Attributes
    ----------
    name : str
        Of the case, in the table.
    fault : str
        What it is.
    moment : float or None
        When, as a share of the undisturbed command (of its training, where that is hit).
    begins : str
        ``code``, ``finished`` or ``other settings``: what the clone is a copy of.
    disturb : callable
        Does it, and returns what was hit and the outcome of the command, empty if none was given.
    spared : tuple of str
        Where finished results have to stay as they are.
    again : tuple of int
        Seeds that have to be trained again, their state being what is hit.

    """

    name: str
    fault: str
    moment: float | None
    begins: str
    disturb: Callable[[Scene, "Case"], tuple[str, str]]
    spared: tuple[str, ...] = EVERYTHING
    again: tuple[int, ...] = ()


def outcome(status: int | None, printed: str, folder: Path) -> str:
    """Say in a few words how a command ended: with its result, or with which sentence."""
    if status is None:
        return "hangs"
    if "Traceback (most recent call last)" in printed or "Logging error" in printed:
        return "traceback"
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    if status == 0:
        return "ended"
    lines = [line for line in printed.splitlines() if line.startswith(("error: ", "interrupted"))]
    sentences = list(dict.fromkeys(line.replace(str(folder), "the folder") for line in lines))
    return (
        f"stopped: {sentences[0]}"
        if len(sentences) == 1
        else f"{len(sentences)} sentences" + "".join(f" / {s}" for s in sentences)
    )


def follow(sentence: str, scene: Scene) -> bool:
    """Do what a sentence asks for; tell whether it was understood."""
    if "make room" in sentence or "allow writing" in sentence:
        scene.remedy()
        return True
    if "once with --forceall" in sentence:
        shutil.rmtree(scene.clone.results / ".made")
        scene.more = ["--forceall"]
        return True
    advice, named = ADVICE.search(sentence), re.findall(r"results/[^\s;,:)]+", sentence)
    if advice is None or not named:
        return False
    for path in (scene.clone.folder / name for name in named):
        if advice[1] == "move it away":
            path.rename(scene.clone.scratch / "moved_away")
        elif advice[1] == "delete its folder":
            shutil.rmtree(path.parent)
        else:
            path.unlink()
            scene.deleted.append(path.relative_to(scene.clone.results).as_posix())
    return True
