"""The fault campaign's own logic: what survives is called so, and what does not is not."""

import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from arb_suite.faults.cases import cases
from arb_suite.faults.clone import Clone, copy_of_the_code
from arb_suite.faults.job import SHORT, SURVIVED, examine, judge
from arb_suite.faults.scene import Case, Scene, follow, outcome

ROOT = Path(__file__).parents[2]

# --- what is tried ------------------------------------------------------------------------------------------------------


def test_the_campaign_is_what_is_asked_for_and_the_same_each_time():
    campaign = cases(1)
    assert [(case.name, case.moment) for case in campaign] == [(case.name, case.moment) for case in cases(1)]
    assert [case.moment for case in campaign] != [case.moment for case in cases(2)]
    assert len({case.name for case in campaign}) == len(campaign)
    kills = Counter(case.fault for case in campaign if case.name.startswith("kill"))
    assert sum(kills.values()) == 50
    assert set(kills) == {
        f"{number} to {whom}"
        for number in ("SIGKILL", "SIGTERM")
        for whom in ("snakemake alone", "the process group", "the training process alone")
    }
    assert min(kills.values()) >= 8
    faults = {"disk full", "result truncated", "CSV row damaged", "checkpoint with a flipped bit", "log folder not writable"}
    assert faults | {"two commands at once", "none, elsewhere"} <= {case.fault for case in campaign}
    assert set(SHORT) <= {case.name for case in campaign}


def test_elsewhere_is_another_folder_environment_and_number_of_cores(tmp_path):
    (tmp_path / "clone/results").mkdir(parents=True)
    scene = Scene(Clone(tmp_path / "clone", tmp_path / "printed", [], 2), 0.0, 0.0, {})
    (case,) = (case for case in cases(1) if case.name == "other7")
    hit, first = case.disturb(scene, case)
    assert first == ""
    assert scene.clone.cores == 1
    assert scene.clone.folder.is_dir()
    assert not (tmp_path / "clone").exists()
    assert {" ", "'", '"', "&", "é"} <= set(scene.clone.folder.name)
    assert scene.clone.results == scene.clone.folder / "results"
    for name, value in {"LC_ALL": "C", "TZ": "XYZ-13:45", "PYTHONHASHSEED": "7"}.items():
        assert scene.environment[name] == value
        assert f"{name}={value}" in hit
    scene.clone.arguments = ["--version"]
    command = scene.start()
    assert command.environment["GIT_CEILING_DIRECTORIES"] == str(tmp_path)
    assert command.wait() == 0  # with all of that


# --- how an outcome is told -----------------------------------------------------------------------------------------------

FAILED = "Error in rule train:\n{}\nerror: no such file in /clone; make it\n\nerror: no such file in /clone; make it\n"


@pytest.mark.parametrize(
    ("status", "printed", "told"),
    [
        (0, "done\n", "ended"),
        (1, FAILED, "stopped: error: no such file in the folder; make it"),
        (130, "interrupted; the same command goes on from here\n", "stopped: interrupted; the same command goes on from here"),
        (1, "Error in rule train\n", "0 sentences"),
        (1, "error: one\nerror: two\n", "2 sentences / error: one / error: two"),
        (1, FAILED + "Traceback (most recent call last):\n  ...\n", "traceback"),
        (0, "--- Logging error ---\n", "traceback"),
        (-signal.SIGKILL, "", "killed by SIGKILL"),
        (None, "", "hangs"),
    ],
)
def test_an_outcome_in_words(status, printed, told):
    assert outcome(status, printed, Path("/clone")) == told


GOOD = {"fault": "SIGKILL to snakemake alone", "first": "killed by SIGKILL", "second": "ended", "third": "",
        "same_bytes": "yes", "orphans": 0, "finished_work_lost": 0}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, SURVIVED),
        ({"second": "stopped: error: make room", "third": "ended"}, SURVIVED),
        ({"same_bytes": "yes, runs/metrics.csv aside"}, SURVIVED),
        ({"fault": "disk full", "first": "stopped: error: make room"}, SURVIVED),
        ({"fault": "two commands at once", "first": "ended | stopped: error: another run"}, SURVIVED),
        ({"first": "traceback"}, "first command: traceback"),
        ({"first": "hangs"}, "first command: hangs"),
        ({"fault": "disk full", "first": "0 sentences"}, "first command: no clear end"),
        ({"fault": "two commands at once", "first": "ended | 0 sentences"}, "first command: no clear end"),
        ({"second": "traceback"}, "second command: no clear end; the sentence does not help"),
        ({"second": "stopped: error: make room"}, "the sentence does not help"),
        ({"second": "stopped: error: make room", "third": "stopped: error: make room"}, "the sentence does not help"),
        ({"same_bytes": "no: table_main.csv"}, "other bytes"),
        ({"orphans": 1}, "orphans"),
        ({"finished_work_lost": 2}, "finished work lost"),
    ],
)
def test_only_what_survived_is_said_to(changes, verdict):
    assert judge(GOOD | changes) == verdict


# --- what a sentence asks for is done -------------------------------------------------------------------------------------


@pytest.fixture
def scene(tmp_path):
    clone = Clone(tmp_path / "clone", tmp_path / "printed", [], 1)
    clone.results.mkdir(parents=True)
    return Scene(clone, 1.0, 0.6, {".": 0.0})


def test_what_a_sentence_names_is_deleted_or_moved(scene):
    for name in ("a.csv", "b.csv", "logs"):
        (scene.clone.results / name).write_text("x")
    assert follow(
        "error: results/a.csv, results/b.csv: cut short; delete what is named, and give the same command again", scene
    )
    assert scene.deleted == ["a.csv", "b.csv"]
    assert follow("error: results/logs is a file, but it has to be a folder; move it away", scene)
    assert list(scene.clone.results.iterdir()) == []
    assert not follow("error: something is wrong with results/a.csv", scene)
    assert not follow("interrupted; the same command goes on from here", scene)


def test_room_is_made(scene):
    done = []
    scene.remedies.append(lambda: done.append("room"))
    scene.limit = lambda: None
    assert follow("error: there is no room in the folder results (No space left on device); make room, and", scene)
    assert (done, scene.limit, scene.remedies) == (["room"], None, [])


# --- planted defects, in a workflow of a few lines -------------------------------------------------------------------------

WORKFLOW = """
rule all:
    input: "results/data/digits.npz"
    output: "results/table_main.csv"
    shell: "{table}"

rule data:
    output: "results/data/digits.npz"
    shell: "{data}"
"""
SOUND = {"table": "cp {input} {output}", "data": "echo 1 > {output}"}
# What is wrong, and what the campaign has to say of it after it was stopped with its data made and its table not
PLANTED = {
    "sound": ({}, SURVIVED),
    "other bytes": ({"table": "if [ -e again ]; then echo 2; else cat {input}; fi > {output}"}, "other bytes"),
    "lost": ({"table": "if [ -e again ]; then echo 1 > {input}; fi; cp {input} {output}"}, "finished work lost"),
    "orphan": ({"table": "if [ -e again ]; then sleep 60 & fi; cp {input} {output}"}, "orphans"),
    "no sentence": (
        {"table": "if [ -e again ]; then exit 1; fi; cp {input} {output}"},
        "second command: no clear end; the sentence does not help; other bytes",
    ),
}


@pytest.mark.parametrize("planted", list(PLANTED))
def test_a_planted_defect_is_found(scene, planted):
    changes, verdict = PLANTED[planted]
    clone = scene.clone
    (clone.folder / "Snakefile").write_text(WORKFLOW.format(**(SOUND | changes)))
    clone.arguments = ["--quiet", "all", "--nolock"]
    assert scene.run() == "ended"
    expected = clone.content()
    assert set(expected) == {"data/digits.npz", "table_main.csv"}

    def disturb(scene, case):
        (clone.results / "table_main.csv").unlink()
        (clone.folder / "again").touch()
        return "the table", "killed by SIGKILL"

    row = examine(Case("planted", "SIGKILL to snakemake alone", None, "code", disturb), scene, expected)
    assert row["verdict"] == verdict, row
    assert clone.processes() == []


def test_a_file_that_changes_after_the_end_counts_as_an_orphan(scene):
    (scene.clone.results / "log").write_text("")
    writer = os.fork()
    if writer == 0:  # not in the folder, and in a session of its own
        os.setsid()
        os.chdir("/")
        for i in range(100):
            (scene.clone.results / "log").write_text(str(i))
            time.sleep(0.1)
        os._exit(0)
    try:
        assert scene.clone.orphans() == 1
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
    assert scene.clone.orphans() == 0


def test_times_alone_make_no_other_bytes(scene):
    record = scene.clone.results / "runs/digits/arb/seeds0-1/training.json"
    record.parent.mkdir(parents=True)
    text = '{"seeds": {"0": {"losses": [1.5], "began": "2026-01-01", "ended": "2026-01-02", "wall_seconds": 1.5}}}'
    found = []
    for content in (text, text.replace("2026", "2027").replace("1.5}}", "2.5}}"), text.replace("[1.5]", "[1.6]"), text[:-5]):
        record.write_text(content)
        found.append(scene.clone.content())
    assert found[0] == found[1]
    assert len({tuple(each.items()) for each in found}) == 3


def test_a_clone_has_the_code_and_no_result(tmp_path):
    copy_of_the_code(ROOT, tmp_path / "clone")
    assert (tmp_path / "clone/profiles/default").is_dir()
    assert list((tmp_path / "clone/results").iterdir()) == []
    shutil.rmtree(tmp_path / "clone")
