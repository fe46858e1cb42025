"""What every result was when it was written: its hash, and the folder of the workflow that wrote it.

Snakemake looks at the times of files, and in ``.snakemake`` at the settings that they were made with. So a table that was cut
short afterwards passes for a finished one, and, in a clone without that folder, a table of other settings for one of these.
"""

import hashlib
import json
import os
import uuid
from pathlib import Path

from .jobs import UserError

__all__ = ["FOLDER_MARK", "check_records", "note"]

RESULTS = Path("results")
RECORDS = RESULTS / ".made"
FOLDER_MARK = Path(".snakemake/arb_suite.folder")
# Their files have hashes of their own, and are written again and again
WITHOUT = ("checkpoints", "faults", "logs", "benchmarks", RECORDS.name)
TOLD = 4  # files that a sentence names


def note(path: Path, content: Path) -> None:
    """
    Record what a result is going to be, before it is moved into place.

    A command that is killed in between leaves no file that differs from its record: snakemake deletes results before they are
    made again.

    Parameters
    ----------
    path : Path
        Of the result. Anything else than a result of the workflow that is at work in the current folder is not recorded.
    content : Path
        The file that will be moved there.

    """
    place = Path(os.path.abspath(path))
    results = Path.cwd() / RESULTS
    if not place.is_relative_to(results) or not FOLDER_MARK.exists():
        return
    inside = place.relative_to(results)
    if inside.parts[0] in WITHOUT:
        return
    record = results / RECORDS.name / f"{inside}.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    _write(record, json.dumps({"sha256": _hash(content), "folder": FOLDER_MARK.read_text(encoding="utf-8")}))


def check_records() -> None:
    """
    Refuse results that are not as they were written, or that a workflow elsewhere has written.

    Raises
    ------
    UserError
        That says which, and what to do.

    """
    if not FOLDER_MARK.exists():
        FOLDER_MARK.parent.mkdir(exist_ok=True)
        _write(FOLDER_MARK, uuid.uuid4().hex)
    own = FOLDER_MARK.read_text(encoding="utf-8")
    damaged, foreign = [], []
    for record in sorted(RECORDS.rglob("[!.]*.json")):
        path = RESULTS / record.relative_to(RECORDS).with_suffix("")
        if not path.is_file():
            continue
        try:
            said = json.loads(record.read_text(encoding="utf-8"))
            wrong, elsewhere = said["sha256"] != _hash(path), said["folder"] != own
        except (ValueError, KeyError, TypeError):
            wrong, elsewhere = True, False  # the record is damaged: nobody knows
        if wrong:
            damaged.append(str(path))
        elif elsewhere:
            foreign.append(str(path))
    if damaged:
        raise UserError(
            f"{_listed(damaged)}: cut short or changed since they were written; delete what is named, and give the same"
            " command again"
        )
    if foreign:
        raise UserError(
            f"{_listed(foreign)}: made in another folder, or .snakemake was deleted since, so that nobody can tell with which"
            f" settings; delete the folder {RECORDS}, and give the same command once with --forceall, which makes them again"
            " and goes on from results/checkpoints"
        )


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - TOLD} more" if len(paths) > TOLD else ""
    return ", ".join(paths[:TOLD]) + more


def _hash(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
