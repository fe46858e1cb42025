"""Which GPUs a job may use, and that no two jobs use one: with an nvidia-smi that lists what a test says, and real locks."""

import os
import re
import subprocess
import sys
import time

import pytest
import torch

from arb_suite import gpus
from arb_suite.jobs import UserError

FOUR = [f"GPU-{letter * 8}-0000" for letter in "abcd"]
PATIENCE = 60  # seconds until a test gives up on what it waits for
# A job: it holds GPUs, says so in a common record, stays until a file appears, and says that it is done
JOB = """
import fcntl, os, sys, time
from pathlib import Path
from arb_suite.gpus import held

name, count, until = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
record = os.open("record", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
with held(count, lambda line: os.write(record, f"{name} waits\\n".encode())) as gpus:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(gpus)
    os.write(record, f"{name} takes {','.join(gpus)}\\n".encode())
    while not until.exists():
        time.sleep(0.01)
    os.write(record, f"{name} leaves {','.join(gpus)}\\n".encode())
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that makes a machine of what its nvidia-smi prints."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    def make(lines, status=0):
        tool = tmp_path / "bin/nvidia-smi"
        tool.parent.mkdir(exist_ok=True)
        text = "\n".join(lines)
        tool.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {status}\n", encoding="utf-8")
        tool.chmod(0o755)

    return make


@pytest.fixture
def four(machine):
    machine([f"GPU {number}: NVIDIA A100-SXM4-40GB (UUID: {uuid})" for number, uuid in enumerate(FOUR)])


@pytest.fixture
def start(tmp_path):
    """A function that starts a job as a process of its own; all are ended with the test."""
    started = []

    def start_one(name, count, until, **environment):
        command = [sys.executable, "-c", JOB, name, str(count), str(until)]
        # where the package lies, also for an installation that is none
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)} | environment
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def record(tmp_path):
    """A function that waits for a line of the common record."""

    def wait_for(*lines):
        deadline = time.monotonic() + PATIENCE
        while True:
            path = tmp_path / "record"
            said = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            if all(any(re.match(line, entry) for entry in said) for line in lines):
                return said
            assert time.monotonic() < deadline, f"waited in vain for {lines}: {said}"
            time.sleep(0.02)

    return wait_for


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, [0, 1, 2, 3]),
        ("2", [2]),
        ("3, 0", [3, 0]),
        (FOUR[1], [1]),
        ("GPU-c", [2]),
        ("1,-1,2", [1]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_visible_are_those_that_cuda_would_see(four, monkeypatch, variable, expected):
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert gpus.visible_gpus() == [FOUR[i] for i in expected]
    assert not torch.cuda.is_initialized()


@pytest.mark.parametrize("variable", ["4", "x", "GPU-", "GPU-e", "0,,1", "0,4"])
def test_a_variable_that_names_no_gpu_is_refused(four, monkeypatch, variable):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    with pytest.raises(UserError, match=re.escape(repr(variable)) + r".*is no GPU.*0 \(GPU-aaaaaaaa-0000\), 1 \("):
        gpus.visible_gpus()


@pytest.mark.parametrize("variable", ["1,1", "1,GPU-b"])
def test_a_variable_that_names_a_gpu_twice_is_refused(four, monkeypatch, variable):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    with pytest.raises(UserError, match=f"names the GPU {FOUR[1]} twice"):
        gpus.visible_gpus()


def test_of_a_divided_gpu_the_instances_are_visible(machine, monkeypatch):
    machine(
        [
            f"GPU 0: NVIDIA A100 (UUID: {FOUR[0]})",
            "  MIG 3g.20gb     Device  0: (UUID: MIG-1111)",
            "  MIG 3g.20gb     Device  1: (UUID: MIG-2222)",
            f"GPU 1: NVIDIA A100 (UUID: {FOUR[1]})",
        ]
    )
    assert gpus.visible_gpus() == ["MIG-1111", "MIG-2222", FOUR[1]]
    for variable, expected in {"MIG-2": ["MIG-2222"], "1": [FOUR[1]], "0": ["MIG-1111"], FOUR[0]: ["MIG-1111"]}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
        assert gpus.visible_gpus() == expected


def test_a_driver_that_fails_is_not_taken_for_no_gpu(machine, monkeypatch):
    machine(["NVIDIA-SMI has failed because it couldn't communicate", "with the NVIDIA driver."], status=9)
    with pytest.raises(UserError, match="couldn't communicate with the NVIDIA driver"):
        gpus.visible_gpus()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert gpus.visible_gpus() == []


def test_without_the_driver_there_is_none(machine, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.visible_gpus() == []
    with pytest.raises(UserError, match=r"1 GPU\(s\) are asked for, but this process can use 0"), gpus.held(1, print):
        pass


def test_more_than_there_are_is_refused(four, monkeypatch):
    with pytest.raises(UserError, match=r"5 GPU\(s\) .* use 4 \(nvidia-smi lists no more\)"), gpus.held(5, print):
        pass
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    with pytest.raises(UserError, match=r"3 GPU\(s\) .* use 2 \(CUDA_VISIBLE_DEVICES is '1,3'\)"), gpus.held(3, print):
        pass


@pytest.mark.parametrize("before", [None, "3,1"])
def test_the_variable_names_what_is_held_and_is_put_back(four, monkeypatch, before):
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    said = []
    with gpus.held(2, said.append) as chosen:
        assert chosen == (FOUR[:2] if before is None else [FOUR[3], FOUR[1]])
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(chosen)
        assert gpus.visible_gpus() == chosen
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before
    assert said == []


def test_none_asked_for_changes_nothing(machine, monkeypatch):
    machine([], status=9)  # not even asked
    with gpus.held(0, print) as chosen:
        assert chosen == []
        assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_launcher_has_chosen_the_gpus_of_its_processes(four, monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with gpus.held(2, print) as chosen:
        assert chosen == FOUR
        assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert not list(tmp_path.glob("arb_suite_gpus_*"))


def test_the_locks_are_this_users_alone(four, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"arb_suite_gpus_{os.getuid()}").symlink_to("elsewhere")
    with pytest.raises(UserError, match="another user's"), gpus.held(1, print):
        pass
    (tmp_path / f"arb_suite_gpus_{os.getuid()}").unlink()
    with gpus.held(1, print):
        (folder,) = tmp_path.glob("arb_suite_gpus_*")
        assert folder.stat().st_mode & 0o777 == 0o700


def test_jobs_get_different_gpus_and_a_killed_one_leaves_its_own(four, start, record, tmp_path):
    first = start("first", 3, "never")
    record(f"first takes {','.join(FOUR[:3])}$")
    start("second", 1, "never")
    record(f"second takes {FOUR[3]}$")
    start("third", 2, "never")
    assert not any("third takes" in line for line in record("third waits"))
    first.kill()
    record(f"third takes {','.join(FOUR[:2])}$")


def test_jobs_that_want_several_neither_share_nor_wait_for_each_other(four, start, record, tmp_path):
    (tmp_path / "now").touch()
    wanted = [2, 3, 4, 1, 2, 3]
    visible = ["0,1,2,3", "3,2,1,0", "2,0,3,1"]
    jobs = [start(f"job{i}", count, "now", CUDA_VISIBLE_DEVICES=visible[i % 3]) for i, count in enumerate(wanted)]
    assert [job.wait(timeout=PATIENCE) for job in jobs] == [0] * len(jobs)
    busy, most = set(), 0
    for line in record("."):
        name, what, *taken = line.split()
        if what == "takes":
            taken = set(taken[0].split(","))
            assert len(taken) == wanted[int(name.removeprefix("job"))]
            assert not taken & busy
            busy |= taken
        elif what == "leaves":
            busy -= set(taken[0].split(","))
        most = max(most, len(busy))
    assert most == 4
    assert not busy


def test_another_job_does_not_overtake_one_that_collects(four, start, record, tmp_path):
    start("one", 1, tmp_path / "one ends")
    record("one takes")
    start("all", 4, tmp_path / "all ends")
    record("all waits")
    start("late", 1, "never")
    said = record("late waits")
    assert not any("late takes" in line for line in said)
    (tmp_path / "one ends").touch()
    record("all takes")
    (tmp_path / "all ends").touch()
    record("late takes")


def test_holding_comes_before_cuda(four, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(RuntimeError, match="before CUDA is initialised"), gpus.held(1, print):
        pass
