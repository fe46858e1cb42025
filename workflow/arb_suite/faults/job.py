"""Run the campaign: each fault in a fresh clone, then the plain command again, and a row of what came of it."""

import argparse
import contextlib
import hashlib
import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..files import exclusive, write_csv, write_json
from ..jobs import UserError, job_parser, run_job
from .cases import TABLES, cases
from .clone import CODE, Clone, copy_of_the_code
from .disk import clear, disk
from .scene import Case, Scene, follow

__all__ = ["examine", "judge"]

ROOT = Path(__file__).resolve().parents[3]
SEED = 20220619
# A job of half a minute whose training has states to go on from: two seeds of one method, on few digits
SMALL = "digits: {fit_on: [train], data: {sources: {train: 300, validation: 1397, test: 100}}}\n"
EPOCHS, OTHER_EPOCHS = 12, 2
SURVIVED = "survived"
SHORT = ("kill02", "disk4", "bit3", "other7")
COLUMNS = ["case", "fault", "seed", "moment", "hit", "first", "second", "third", "same_bytes", "orphans", "finished_work_lost"]
COLUMNS += ["seconds", "verdict"]


def judge(row: Mapping[str, Any]) -> str:
    """
    Decide a case by its row.

    Survived is what ends, at the second or third command, in the bytes of an
    undisturbed one, says what to do in one sentence where it stops, leaves nobody at
    work and loses nothing that was finished. What is wrong otherwise is named.
    """
    wrong = []
    if not row["fault"].startswith("SIG") and not all(
        one == "ended" or one.startswith("stopped: ") for one in row["first"].split(" | ") if one
    ):
        wrong.append("first command: no clear end")
    if row["first"] in ("hangs", "traceback"):
        wrong.append(f"first command: {row['first']}")
    if row["second"] != "ended" and not row["second"].startswith("stopped: "):
        wrong.append("second command: no clear end")
    if row["second"] != "ended" and row["third"] != "ended":
        wrong.append("the sentence does not help")
    if not row["same_bytes"].startswith("yes"):
        wrong.append("other bytes")
    if row["orphans"]:
        wrong.append("orphans")
    if row["finished_work_lost"]:
        wrong.append("finished work lost")
    return "; ".join(dict.fromkeys(wrong)) or SURVIVED


def examine(case: Case, scene: Scene, expected: Mapping[str, str]) -> dict[str, Any]:
    """Let a case happen and give the command again; return its row of the table."""
    began, clone, orphans = time.monotonic(), scene.clone, 0
    before = (clone.finished(), clone.trained())
    hit, first = case.disturb(scene, case)
    if first:
        orphans = clone.orphans()
        before = (clone.finished(), clone.trained())
    lost = 0
    second = scene.run()
    orphans += clone.orphans()
    lost += _lost(case, clone, *before)
    third = ""
    if second.startswith("stopped: ") and follow(second, scene):
        before = (clone.finished(), clone.trained())
        third = scene.run()
        orphans += clone.orphans()
        lost += _lost(case, clone, *before)
    scene.remedy()
    content = clone.content()
    # A table that is finished does not need what it was made from, and snakemake does not make that again for its own sake
    absent = sorted(name for name in scene.deleted if name not in content and name not in TABLES)
    differ = sorted(
        name for name in expected.keys() | content.keys() if expected.get(name) != content.get(name) and name not in absent
    )
    same = f"no: {', '.join(differ[:3])}" if differ else "yes" + (f", {' and '.join(absent)} aside" if absent else "")
    row = {
        "case": case.name,
        "fault": case.fault,
        "seed": SEED,
        "moment": "" if case.moment is None else f"{case.moment:.3f}",
        "hit": hit,
        "first": first,
        "second": second,
        "third": third,
        "same_bytes": same,
        "orphans": orphans,
        "finished_work_lost": lost,
        "seconds": f"{time.monotonic() - began:.0f}",
    }
    return row | {"verdict": judge(row)}


def _lost(case: Case, clone: Clone, finished: Mapping[str, int], trained: Mapping[tuple[str, int], int]) -> int:
    """Count finished results that were made again and finished seeds that were trained again, though nothing had hit them."""
    now, again = clone.finished(), clone.trained()
    remade = {path for path, written in finished.items() if path.startswith(case.spared) and now.get(path) != written}
    retrained = {key for key in trained if key in again and again[key] != trained[key] and key[1] not in case.again}
    return len(remade) + len(retrained)


class Campaign:
    """The clones that cases are copies of, made when they are asked for."""

    def __init__(self, kept: Path, cores: int, report: Callable[[str], None]):
        self.kept = kept.resolve()
        self.cores = cores
        self.report = report
        self.code = _version(ROOT)
        self.running = self.kept / "running"
        clear(self.running)  # of a campaign that was killed

    def arguments(self, epochs: int = EPOCHS) -> list[str]:
        """Return the arguments of the command."""
        return ["--configfile", "small.yaml", "--config", f"epochs={epochs}", "seeds=2", "methods=arb_d32"]

    def clone(self, folder: Path, printed: Path, begins: str) -> Clone:
        """Return a new clone in a folder, whose commands print into another."""
        shutil.copytree(self.pristine() if begins == "code" else self.template(begins)[0], folder, symlinks=True)
        return Clone(folder, printed, self.arguments(), self.cores)

    def pristine(self) -> Path:
        """Return a clone as it was when the campaign began, whatever is edited meanwhile."""
        place = self.kept / f"code_{self.code}"
        if not place.exists():
            copy_of_the_code(ROOT, self.running / "clone")
            (self.running / "clone/small.yaml").write_text(SMALL, encoding="utf-8")
            (self.running / "clone").rename(place)
        return place

    def template(self, begins: str) -> tuple[Path, dict[str, Any]]:
        """Return a folder in which the command was run undisturbed, and what was measured of it."""
        place = self.kept / f"{begins.replace(' ', '_')}_{self.code}"
        if (place / "measured.json").exists():
            return place / "clone", json.loads((place / "measured.json").read_text(encoding="utf-8"))
        shutil.rmtree(place, ignore_errors=True)
        clone = self.clone(place / "clone", place / "printed", "code")
        clone.arguments = self.arguments(EPOCHS if begins == "finished" else OTHER_EPOCHS)
        self.report(f"the command, undisturbed ({begins})")
        command, trained, stages = clone.start(), [], {".": 0.0}
        try:
            while command.running():
                if clone.trainings():
                    trained.append(command.seconds())
                for log in (path for path in clone.files() if path.startswith("results/logs/")):
                    stages.setdefault(log, command.seconds())
                time.sleep(0.1)
        finally:
            clone.end()
        if command.wait() != 0:
            raise UserError(f"the undisturbed command failed; {command.printed_to} says why")
        measured = {"seconds": command.seconds(), "training": trained[-1] - trained[0], "stages": stages}
        measured["content"] = clone.content()
        write_json(place / "measured.json", measured)
        return place / "clone", measured

    def row(self, case: Case) -> dict[str, Any]:
        """Return the row of a case, which is kept for this code and not made again."""
        path = self.kept / "cases" / f"{case.name}.json"
        if path.exists():
            known = json.loads(path.read_text(encoding="utf-8"))
            if known["code"] == self.code:
                row: dict[str, Any] = known["row"]
                return row
        measured = self.template("finished")[1]
        with contextlib.ExitStack() as stack:
            stack.callback(clear, self.running)
            place = self.running / "place"
            if case.fault == "disk full":
                stack.enter_context(disk(place))
            clone = self.clone(place / "clone", self.running / "printed", case.begins)
            stack.callback(clone.end)
            scene = Scene(clone, measured["seconds"], measured["training"], measured["stages"])
            row = examine(case, scene, measured["content"])
            if row["verdict"] != SURVIVED:
                shutil.rmtree(self.kept / "printed" / case.name, ignore_errors=True)
                shutil.copytree(clone.scratch, self.kept / "printed" / case.name)
        write_json(path, {"code": self.code, "row": row})
        return row


def _version(root: Path) -> str:
    """Hash the code that is tried, which is all that a clone has but for the campaign itself."""
    digest = hashlib.sha256()
    files = [path for name in CODE for path in ([root / name] if (root / name).is_file() else (root / name).rglob("*"))]
    for path in sorted(files):
        place = path.relative_to(root)
        if path.is_file() and path.suffix != ".pyc" and not place.is_relative_to("workflow/arb_suite/faults"):
            digest.update(f"{place} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def _alone(kept: Path) -> Iterator[None]:
    try:
        with exclusive(kept / "lock", wait=False):
            yield
    except BlockingIOError as error:
        raise UserError(f"another campaign is at work in {kept}; wait until it ends, or stop it") from error


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Write the table, and fail if anything did not survive."""
    chosen = [case for case in cases(SEED) if not options.short or case.name in SHORT]
    if options.only:
        chosen = [case for case in chosen if case.name in options.only]
    rows = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing is left at work, and no file system mounted
    with _alone(options.kept):
        campaign = Campaign(options.kept, options.cores, report)
        for i, case in enumerate(chosen, 1):
            rows.append(campaign.row(case))
            report(f"{i:3}/{len(chosen)} {case.name:12} {case.fault:44} {rows[-1]['verdict']}")
            if rows[-1]["verdict"] != SURVIVED:
                report(json.dumps(rows[-1], indent=2))
    write_csv(options.out, pd.DataFrame(rows, columns=COLUMNS))
    if wrong := [f"{row['case']} ({row['verdict']})" for row in rows if row["verdict"] != SURVIVED]:
        raise UserError(
            f"{len(wrong)} of {len(rows)} faults did harm: {', '.join(wrong)}; {options.kept}/printed has what was said"
        )


def main() -> None:
    """Run the rule ``faults``."""
    parser = job_parser("Run the main job under faults.")
    parser.add_argument("--out", type=Path, required=True, help="written: one row per fault")
    parser.add_argument("--kept", type=Path, required=True, help="a folder for clones and for cases that are done")
    parser.add_argument("--cores", type=int, default=2, help="of the commands")
    parser.add_argument("--short", action="store_true", help="a few faults alone")
    parser.add_argument("--only", nargs="*", help="the cases of these names alone")
    run_job(work, parser)
