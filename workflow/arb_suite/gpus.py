"""The GPUs of a machine, each for one job at a time: held by locks that the kernel drops with the process."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .files import exclusive
from .jobs import UserError

__all__ = ["held", "visible_gpus"]

VISIBLE = "CUDA_VISIBLE_DEVICES"
HIDDEN = ("-1", "NoDevFiles")  # how users and job schedulers say: no GPU, and none of what follows
TRY_AGAIN_SECONDS = 0.2


def visible_gpus() -> list[str]:
    """
    Return the UUIDs of the GPUs that this process may use, without initialising CUDA.

    Returns
    -------
    list of str
        In the order of ``CUDA_VISIBLE_DEVICES``, or of ``nvidia-smi`` where that
        is not set. Of a GPU that is divided (MIG), its instances. Empty on a
        machine without ``nvidia-smi``.

    Raises
    ------
    UserError
        If ``nvidia-smi`` fails, or ``CUDA_VISIBLE_DEVICES`` names what is not
        there, or one GPU twice.

    Notes
    -----
    Numbers in ``CUDA_VISIBLE_DEVICES`` are taken as those of ``nvidia-smi``, the
    order on the bus. CUDA's own default, the fastest first, differs from it only
    on machines with GPUs of different models.

    """
    wanted = os.environ.get(VISIBLE)
    names = [] if wanted is None else [name.strip() for name in wanted.split(",")]
    if wanted is not None and (not names[0] or names[0] in HIDDEN):
        return []
    gpus = _listed()
    if wanted is None:
        return [instance for instances in gpus.values() for instance in instances]
    chosen: list[str] = []
    for name in names:
        if name in HIDDEN:
            break
        found = _named(name, gpus)
        if found in chosen:
            raise UserError(f"{VISIBLE} is {wanted!r}, which names the GPU {found} twice; name every GPU once")
        if found is None:
            there = ", ".join(f"{number} ({gpu})" for number, gpu in enumerate(gpus)) or "none"
            raise UserError(f"{VISIBLE} is {wanted!r}, but {name!r} is no GPU of this machine; there are: {there}")
        chosen.append(found)
    return chosen


@contextlib.contextmanager
def held(count: int, report: Callable[[str], None]) -> Iterator[list[str]]:
    """
    Hold GPUs that no other job of this user on this machine holds, and let this process see them alone.

    Parameters
    ----------
    count : int
        How many; with 0 nothing is done.
    report : callable
        Receives one line if other jobs have to be waited for.

    Yields
    ------
    list of str
        The UUIDs of the GPUs held, which are CUDA's devices 0 to `count` - 1 in
        the block, also in processes that it starts. In a process that a launcher
        has started as one of several (``WORLD_SIZE`` is set), the GPUs are the
        launcher's to choose: all visible ones, and none is locked.

    Raises
    ------
    UserError
        If there are fewer GPUs than asked for.
    RuntimeError
        If CUDA is already initialised, which settles what it sees.

    Notes
    -----
    The locks lie in the folder of temporary files, so jobs see each other's if
    they agree on ``TMPDIR``. One job at a time collects its GPUs, the others wait
    for it in turn: no two jobs can wait for each other, and a job that needs many
    is not overtaken for ever by those that need one.

    """
    if count == 0:
        yield []
        return
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
        raise RuntimeError("GPUs have to be held before CUDA is initialised")
    gpus = visible_gpus()
    if count > len(gpus):
        how = f"{VISIBLE} is {os.environ[VISIBLE]!r}" if VISIBLE in os.environ else "nvidia-smi lists no more"
        raise UserError(
            f"{count} GPU(s) are asked for, but this process can use {len(gpus)} ({how}); ask for fewer, or allow more"
        )
    if "WORLD_SIZE" in os.environ:
        yield gpus
        return
    with contextlib.ExitStack() as locks:
        chosen = _collected(count, gpus, locks, report)
        before = os.environ.get(VISIBLE)
        os.environ[VISIBLE] = ",".join(chosen)
        try:
            yield chosen
        finally:
            del os.environ[VISIBLE]
            if before is not None:
                os.environ[VISIBLE] = before


def _collected(count: int, gpus: list[str], locks: contextlib.ExitStack, report: Callable[[str], None]) -> list[str]:
    """Lock GPUs one by one as they get free, holding the gate; jobs that hold all of theirs do not come through it again."""
    folder = _folder()
    said = False

    def say_once() -> None:
        nonlocal said
        if not said:
            report(f"waiting for {count} of {len(gpus)} GPU(s) until other jobs are done with them")
        said = True

    with contextlib.ExitStack() as gate:
        try:
            gate.enter_context(exclusive(folder / "gate.lock", wait=False))
        except BlockingIOError:
            say_once()
            gate.enter_context(exclusive(folder / "gate.lock"))
        chosen: list[str] = []
        while True:
            for gpu in gpus:
                if gpu not in chosen and len(chosen) < count:
                    with contextlib.suppress(BlockingIOError):
                        locks.enter_context(exclusive(folder / f"{gpu.replace('/', '_')}.lock", wait=False))
                        chosen.append(gpu)
            if len(chosen) == count:
                return sorted(chosen, key=gpus.index)
            say_once()
            time.sleep(TRY_AGAIN_SECONDS)


def _folder() -> Path:
    """Make the folder of the locks, this user's alone."""
    folder = Path(tempfile.gettempdir()) / f"arb_suite_gpus_{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise UserError(
            f"{folder}, where the locks of GPUs belong, is another user's; remove it, or set TMPDIR to another folder"
        )
    return folder


def _listed() -> dict[str, list[str]]:
    """Ask the driver for the GPUs, each with its instances, or itself if it is not divided."""
    try:
        asked = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return {}
    if asked.returncode != 0:
        said = " ".join((asked.stdout + asked.stderr).split())
        raise UserError(f"nvidia-smi cannot list the GPUs ({said}); repair the driver, or set {VISIBLE} to -1 to do without")
    instances: dict[str, list[str]] = {}
    for kind, uuid in re.findall(r"^\s*(GPU|MIG)\b.*\(UUID: (\S+)\)\s*$", asked.stdout, re.MULTILINE):
        if kind == "GPU":
            instances[uuid] = []
        else:
            instances[list(instances)[-1]].append(uuid)
    return {gpu: parts or [gpu] for gpu, parts in instances.items()}


def _named(name: str, gpus: dict[str, list[str]]) -> str | None:
    """Find what a part of CUDA_VISIBLE_DEVICES names: a number, or enough of a UUID to be the only one."""
    if name.isdecimal():
        return list(gpus.values())[int(name)][0] if int(name) < len(gpus) else None  # of a divided GPU, CUDA takes the first
    begins = [
        instance for gpu, parts in gpus.items() for instance in ({gpu: parts[0]} | {part: part for part in parts}).items()
    ]
    found = {instance for uuid, instance in begins if name.startswith(("GPU-", "MIG-")) and uuid.startswith(name)}
    return found.pop() if len(found) == 1 else None
