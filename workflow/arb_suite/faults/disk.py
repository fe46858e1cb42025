"""A disk so small that it can be filled."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

__all__ = ["clear", "disk"]

DISK_BYTES = 64_000_000  # of the small file system: the code, and several times what a run writes


@contextlib.contextmanager
def disk(place: Path) -> Iterator[str]:
    """Yield which stand-in for a small disk there is at a place: a file system of its own, or none."""
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    mounted = shutil.which("mount") is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield "tmpfs" if mounted else "RLIMIT_FSIZE"
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def clear(folder: Path) -> None:
    """Make an empty folder of one that may hold a file system."""
    if os.path.ismount(folder / "place"):
        subprocess.run(["umount", "--lazy", str(folder / "place")], check=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
