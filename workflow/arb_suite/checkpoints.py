"""Training states on disk: atomic, verified by their hash, loaded without executing anything.

A file is one line of JSON, with the SHA-256 of the rest, and the rest is in torch's format.
"""

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import torch

from .files import atomic_file
from .jobs import UserError

__all__ = ["load_state", "save_state"]


def save_state(path: Path, state: Any) -> None:
    """
    Write a nested dictionary of tensors and plain values; what is equal gives the same bytes.

    Raises
    ------
    UserError
        If there is no room, or no right to write; what was there before stays.

    """
    buffer = io.BytesIO()
    torch.save(_plain(state), buffer)
    header = {"sha256": hashlib.sha256(buffer.getvalue()).hexdigest()}
    try:
        with atomic_file(path) as temporary:
            temporary.write_bytes(json.dumps(header).encode() + b"\n" + buffer.getvalue())
    except OSError as error:
        raise UserError(
            f"the training state {path} cannot be saved ({error.strerror}; {len(buffer.getvalue()) / 1e6:.0f} MB); make room,"
            " and give the same command again, which goes on from the state before"
        ) from error


def load_state(path: Path) -> Any:
    """
    Read what `save_state` wrote.

    Raises
    ------
    ValueError
        If the file is not what was written: truncated, damaged or foreign.

    """
    payload = _verified(path)
    try:
        return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} does not hold a training state: {error}") from error


def _plain(value: Any) -> Any:
    """Return a value without what a pickle of it would tell of its history: which of its equal texts are one object."""
    if isinstance(value, str):
        return sys.intern(str(value))
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value


def _verified(path: Path) -> bytes:
    """Return what follows the header of a file, or raise ValueError where it is not what was written."""
    header, _, payload = path.read_bytes().partition(b"\n")
    if hashlib.sha256(payload).hexdigest() != _parse(header).get("sha256"):
        raise ValueError(f"{path} is damaged: its content does not match its SHA-256")
    return payload


def _parse(header: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(header)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
