"""Atomic files, hashes and locks: nothing half-written is ever visible under its final name."""

import contextlib
import fcntl
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from .jobs import UserError
from .records import note

__all__ = [
    "array_hash",
    "atomic_file",
    "exclusive",
    "json_hash",
    "read_archive",
    "read_choice",
    "read_npz",
    "write_archive",
    "write_csv",
    "write_json",
    "write_npz",
]


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; move it into place, flushed to disk, if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        note(path, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def write_csv(path: Path, frame: Any) -> None:
    """Write a pandas table as UTF-8 CSV without its index."""
    with atomic_file(path) as temporary:
        frame.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")


def write_npz(path: Path, /, **arrays: np.ndarray) -> None:
    """Write arrays to an npz archive; numpy dates its members 1980, so the same arrays give the same bytes."""
    with atomic_file(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, **arrays)  # type: ignore[arg-type]  # any name may be its option's


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an npz archive, none of which may be objects; raise UserError if it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it and give the command again") from error


def array_hash(**arrays: np.ndarray) -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of arrays, in the order of their names."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write_archive(path: Path, arrays: dict[str, np.ndarray], description: dict[str, Any]) -> str:
    """Write arrays to an npz archive and beside it their description with their hash, which is returned; see `read_archive`."""
    digest = array_hash(**arrays)
    write_npz(path, **arrays)
    write_json(path.with_suffix(".json"), {**description, "data_hash": digest})
    return digest


def read_archive(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """
    Read the arrays of an npz archive and the description beside it, and verify the one by the other.

    Raises
    ------
    UserError
        If either file is missing, cannot be read, or is not what was made.

    """
    arrays = read_npz(path)
    try:
        description = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        intact = array_hash(**arrays) == description["data_hash"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it and give the command again") from error
    if not intact:
        raise UserError(f"{path} does not match its SHA-256 in {path.stem}.json; delete it and give the command again")
    return arrays, description


def read_choice(path: Path) -> dict[str, Any]:
    """
    Read which setting was chosen for a run, and the trials.

    Raises
    ------
    UserError
        If the file cannot be read or is not what was made.

    """
    try:
        choice: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        intact = choice["chosen"] in {trial["setting"] for trial in choice["trials"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it and give the command again") from error
    if not intact:
        raise UserError(f"{path} chooses a setting that was not tried; delete it and give the command again")
    return choice


def json_hash(content: Any) -> str:
    """SHA-256 of a JSON value, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@contextlib.contextmanager
def exclusive(path: Path, wait: bool = True) -> Iterator[IO[str]]:
    """
    Hold an advisory lock on `path`, which the kernel drops with the process, however that ends.

    Raises
    ------
    BlockingIOError
        If another process holds the lock and `wait` is false.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield handle
