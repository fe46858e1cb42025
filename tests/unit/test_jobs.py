"""What a job says when it cannot write."""

import os
import subprocess
import sys

import pytest

from arb_suite.jobs import SENTENCES, leave_for_the_end

JOB = """
import resource, sys
from pathlib import Path
from arb_suite.files import write_json
from arb_suite.jobs import job_parser, run_job

def work(options, report):
    report("begins")
    limit, out = int(sys.argv_limit), Path(sys.argv_out)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    report("x" * 500, terminal=False)
    write_json(out, list(range(1000)))

sys.argv_limit, sys.argv_out = sys.argv.pop(), sys.argv.pop()
run_job(work, job_parser("Write."))
"""


def run(folder, out="out.json", limit=0, log="logs/job.log"):
    """Run the job; a limit on the size of files stands for a full disk."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        SENTENCES: str(folder / "said"),
    }
    command = [sys.executable, "-c", JOB, "--log", log, out, str(limit)]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert "Traceback" not in ended.stderr
    return ended.returncode, [line for line in ended.stderr.splitlines() if line.startswith("error:")]


def test_a_job_with_room_ends_well(tmp_path):
    assert run(tmp_path) == (0, [])
    assert (tmp_path / "out.json").exists()
    assert len((tmp_path / "logs/job.log").read_text()) == len("begins\n") + 501


@pytest.mark.parametrize("limit", [20, 1000])
def test_without_room_it_says_so_though_its_log_has_none_either(tmp_path, limit):
    (tmp_path / "said").write_text("\n" * 1000)  # room that was taken beforehand
    status, (said,) = run(tmp_path, limit=limit)
    assert status == 2
    assert said.startswith("error: a result cannot be written (File too large); make room, and give the same command again")
    if limit == 1000:  # the limit is on every file, and so on that of the sentences
        assert (tmp_path / "said").read_text().rstrip("\n") == said
    assert not (tmp_path / "out.json").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_a_file_in_the_place_of_the_folder_of_logs_is_named(tmp_path):
    (tmp_path / "logs").write_text("a file")
    status, (said,) = run(tmp_path, log="logs/train/digits/job.log")
    assert status == 2
    assert said.startswith("error: the log logs cannot be written (")
    assert "move it away" in said


def test_sentences_fill_the_room_that_was_taken(tmp_path, monkeypatch):
    file = tmp_path / "said"
    monkeypatch.setenv(SENTENCES, str(file))
    file.write_text("\n" * 100)
    for line in ("error: one", "interrupted"):
        leave_for_the_end(line)
    assert file.read_text() == "error: one\ninterrupted\n" + "\n" * (100 - 23)
    file.unlink()
    leave_for_the_end("error: the first")
    assert file.read_text() == "error: the first\n"
