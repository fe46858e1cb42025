"""Folders of published image data sets: where they are, which of them are generated, and how what is wrong is told."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .files import write_json
from .jobs import UserError
from .renders import SPLITS

__all__ = [
    "MANIFEST",
    "check_sources",
    "check_writable",
    "folder_of",
    "read_manifest",
    "refuse",
    "sha256",
    "unlike_manifest",
    "write_manifest",
]

MANIFEST = "generated.json"  # marks a folder of generated images, which nobody is to take for the published ones


def folder_of(root: Path, dataset: str) -> Path:
    """Return where a data set is looked for below the root of all: the folder of its name if there is one, or the root."""
    return root / dataset if (root / dataset).is_dir() else root


def check_writable(out: Path) -> None:
    """
    Refuse, before long work starts, a file that cannot be written.

    Raises
    ------
    UserError
        If its folder cannot be made or written, or if the file is a folder.

    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
        if out.is_dir():
            raise IsADirectoryError(0, "it is a folder")
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); choose another place or make it writable") from error


def check_sources(dataset: str, found: Mapping[str, int], settings: Mapping[str, Any]) -> None:
    """
    Refuse a data set that has another number of images than its settings say.

    Raises
    ------
    UserError
        If ``sources``, where it is set, differs from what was found.

    """
    expected = settings.get("sources", {})
    for split, count in expected.items():
        if found.get(split, 0) != count:
            raise UserError(
                f"{dataset}: {found.get(split, 0)} images were found in its {split} split, but {dataset}.data.sources says"
                f" {count}; set it to what there is"
            )


def refuse(where: str, problems: Sequence[str], advice: str, report: Callable[..., None]) -> None:
    """
    Write every problem to the log and the first three into the error; do nothing if there is none.

    Parameters
    ----------
    where : str
        What was looked at; begins the sentence.
    problems : sequence of str
        What is wrong with it.
    advice : str
        What to do; ends the sentence.
    report : callable
        As `jobs.run_job` gives it.

    Raises
    ------
    UserError
        If there are problems.

    """
    if not problems:
        return
    report("\n".join(f"problem: {problem}" for problem in problems), terminal=False)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    rest = " and so on (the log lists all)" if len(problems) > 3 else ""
    raise UserError(f"{where}: {count}: {', '.join(problems[:3])}{rest}; {advice}")


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """
    Mark a folder as generated: list every file in it with its SHA-256.

    Parameters
    ----------
    folder : Path
        Holds the files and no manifest.
    content : mapping
        ``format``, one of the formats of `generated.FORMATS`; ``class_names``; and
        ``counts``, see `renders.class_counts`. It may hold more.

    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
    write_json(folder / MANIFEST, {**content, "files": hashes})


def read_manifest(folder: Path, form: str, title: str, wanted: bool) -> dict[str, Any] | None:
    """
    Read the manifest of a generated data set, or make sure that there is none.

    Parameters
    ----------
    folder : Path
        Where the manifest is if there is one.
    form : str
        The format that it must name.
    title : str
        Of the published data set.
    wanted : bool
        Whether the settings say ``generated: true``.

    Returns
    -------
    dict or None
        None for a folder that is not marked as generated.

    Raises
    ------
    UserError
        If the folder is marked and the setting is missing, or the other way round, or
        if the manifest cannot be read or is of another format.

    """
    path = folder / MANIFEST
    if not path.exists():
        if wanted:
            raise UserError(
                f"generated: true is set, but {folder} has no {MANIFEST}, which python -m arb_suite generated writes;"
                f" leave generated out to use {title} as published"
            )
        return None
    if not wanted:
        raise UserError(f"{folder}: these are generated images, not {title}; set generated: true to use them")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        made = manifest["format"]
        sizes = [len(manifest["counts"][part]) for part in SPLITS]
        intact = sizes == [len(manifest["class_names"])] * len(SPLITS) and bool(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error!r}); generate the images again") from error
    if not intact:
        raise UserError(f"{path} is not what python -m arb_suite generated writes; generate the images again")
    if made != form:
        raise UserError(f"{folder} holds generated images in the format {made}, but {title} needs {form}; generate those")
    return manifest


def unlike_manifest(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """List the files that a manifest names and that are missing or differ."""
    problems = []
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif sha256(path) != expected:
            problems.append(f"{name} is damaged (its SHA-256 is not that of {MANIFEST})")
    return problems
