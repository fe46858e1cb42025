import hashlib
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch

from arb_suite.checkpoints import load_state, save_state
from arb_suite.files import array_hash, atomic_file, exclusive, json_hash, write_csv, write_json, write_npz

# --- atomic files -----------------------------------------------------------------------------------------------------


def test_atomic_file_replaces_the_old_content(tmp_path):
    path = tmp_path / "new" / "folder" / "table.csv"
    for content in ("first", "second"):
        with atomic_file(path) as temporary:
            temporary.write_text(content)
            assert not path.exists() or path.read_text() != content
        assert path.read_text() == content
    assert os.listdir(path.parent) == ["table.csv"]


def test_a_failure_leaves_the_old_content_and_no_temporary(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="half way"), atomic_file(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError("half way")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_failure_leaves_no_file_where_there_was_none(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_file(tmp_path / "table.csv") as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_the_temporary_lies_in_the_folder_of_the_file(tmp_path):
    # Only within one file system is moving a file into place atomic
    with atomic_file(tmp_path / "table.csv") as temporary:
        temporary.write_text("x")
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")


# --- the same bytes for the same content ------------------------------------------------------------------------------

ARRAYS = {"b": np.arange(6, dtype=np.int16).reshape(2, 3), "a": np.linspace(0, 1, 5)}
WRITERS = {
    "npz": lambda path: write_npz(path, **ARRAYS),
    "csv": lambda path: write_csv(path, pd.DataFrame({"name": ["é", "a,b"], "value": [0.1, 2.0]})),
    "json": lambda path: write_json(path, {"b": [1, 2.5], "a": {"é": None}}),
}


@pytest.mark.parametrize("kind", list(WRITERS))
def test_written_twice_the_bytes_are_the_same(tmp_path, kind):
    first, second = tmp_path / f"first.{kind}", tmp_path / "other" / f"second.{kind}"
    WRITERS[kind](first)
    WRITERS[kind](second)
    assert first.read_bytes() == second.read_bytes()


def test_archive_holds_what_was_written_and_no_date(tmp_path):
    write_npz(tmp_path / "a.npz", **ARRAYS)
    with np.load(tmp_path / "a.npz") as archive:
        assert set(archive) == set(ARRAYS)
        for name, array in ARRAYS.items():
            assert archive[name].dtype == array.dtype
            assert np.array_equal(archive[name], array)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}


def test_csv_and_json_are_utf8_with_unix_line_ends(tmp_path):
    WRITERS["csv"](tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == 'name,value\né,0.1\n"a,b",2.0\n'.encode()
    WRITERS["json"](tmp_path / "a.json")
    assert (
        tmp_path / "a.json"
    ).read_bytes() == '{\n  "a": {\n    "é": null\n  },\n  "b": [\n    1,\n    2.5\n  ]\n}\n'.encode()


# --- hashes -----------------------------------------------------------------------------------------------------------


def test_array_hash_is_that_of_the_content():
    first = array_hash(images=np.arange(12).reshape(3, 4), labels=np.ones(3))
    assert first == array_hash(labels=np.ones(3), images=np.arange(12).reshape(3, 4))
    assert first == array_hash(images=np.asfortranarray(np.arange(12).reshape(3, 4)), labels=np.ones(6)[::2])
    assert len(first) == 64


@pytest.mark.parametrize(
    "other",
    [
        {"x": np.zeros((2, 3), np.float32)},  # type
        {"x": np.zeros((2, 3), ">f8")},  # byte order: the same bytes here
        {"x": np.zeros((2, 3), np.int64)},  # type: the same bytes
        {"x": np.zeros((3, 2))},  # shape: the same bytes
        {"x": np.zeros(6)},
        {"y": np.zeros((2, 3))},  # name
        {"x": np.eye(2, 3)},  # value
        {"x": np.full((2, 3), -0.0)},  # a value that compares equal
        {"x": np.zeros((2, 3)), "y": np.zeros(0)},  # one array more
        {},
    ],
)
def test_array_hash_sees_every_difference(other):
    assert array_hash(**other) != array_hash(x=np.zeros((2, 3)))


def test_json_hash_sees_values_and_not_the_order_of_keys():
    assert json_hash({"a": 1, "b": {"c": [1, 2], "d": None}}) == json_hash({"b": {"d": None, "c": [1, 2]}, "a": 1})
    different = [{"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"}, {"a": [1]}, {"a": None}, {"a": 1.5}, {"a": True}]
    assert len({json_hash(value) for value in different}) == len(different)
    assert json_hash([1, 2]) != json_hash([2, 1])


# --- the lock ---------------------------------------------------------------------------------------------------------

HOLDER = """
import sys, time
from pathlib import Path
from arb_suite.files import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused(holder, tmp_path):
    with pytest.raises(BlockingIOError), exclusive(tmp_path / "lock", wait=False):
        pass
    with exclusive(tmp_path / "another lock", wait=False):
        pass


def test_the_lock_is_free_once_its_holder_was_killed(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    assert holder.wait() == -signal.SIGKILL
    with exclusive(tmp_path / "lock", wait=False):
        pass


def test_the_lock_is_free_after_the_block_and_after_a_failure(tmp_path):
    path = tmp_path / "new" / "lock"
    with exclusive(path, wait=False), pytest.raises(BlockingIOError), exclusive(path, wait=False):
        pass
    with pytest.raises(RuntimeError, match="inside"), exclusive(path, wait=False):
        raise RuntimeError("inside")
    with exclusive(path, wait=False):
        pass


def test_waiting_ends_when_the_holder_does(tmp_path):
    taken = threading.Event()

    def take():
        with exclusive(tmp_path / "lock"):
            taken.set()

    waiting = threading.Thread(target=take, daemon=True)
    with exclusive(tmp_path / "lock"):
        waiting.start()
        assert not taken.wait(0.3)
    assert taken.wait(60)


# --- training states --------------------------------------------------------------------------------------------------

STATE = {
    "method": {"weight": torch.arange(6, dtype=torch.float32).reshape(2, 3), "count": torch.tensor(7)},
    "record": {"losses": [1.5, 0.25], "name": "é", "nothing": None},
    3: (1, 2),
}


@pytest.fixture
def saved(tmp_path):
    save_state(tmp_path / "seed0.state", STATE)
    return tmp_path / "seed0.state"


def test_a_state_comes_back_as_it_was(saved):
    state = load_state(saved)
    assert torch.equal(state["method"]["weight"], STATE["method"]["weight"])
    assert state["method"]["weight"].dtype == torch.float32
    assert torch.equal(state["method"]["count"], torch.tensor(7))
    assert state["record"] == STATE["record"]
    assert state[3] == (1, 2)


def test_a_state_that_was_loaded_gives_the_same_bytes_again(tmp_path):
    # Equal texts that are one object in one state and two in the other, as after going on from a checkpoint
    names = ["".join(["wei", "ght"]) for _ in range(2)]
    assert names[0] is not names[1]
    save_state(tmp_path / "a.state", {seed: {name: torch.arange(3.0) + seed} for seed, name in enumerate(names)})
    save_state(tmp_path / "b.state", load_state(tmp_path / "a.state"))
    save_state(tmp_path / "c.state", {seed: {"weight": torch.arange(3.0) + seed} for seed in (0, 1)})
    assert len({(tmp_path / f"{name}.state").read_bytes() for name in "abc"}) == 1


def damaged(content):
    payload = content.index(b"\n") + 1
    digest = content.index(hashlib.sha256(content[payload:]).hexdigest().encode())
    for length in (0, 1, payload - 1, payload, payload + 1, len(content) // 2, len(content) - 1):
        yield content[:length]
    for position in (0, digest, digest + 63, payload, payload + 100, len(content) // 2, len(content) - 1):
        flipped = bytearray(content)
        flipped[position] ^= 1 << (position % 8)
        yield bytes(flipped)
    yield content + b"\0"
    yield b"PK\x03\x04 an archive of something else " * 10
    yield content[payload:]
    yield b"[]\n" + content[payload:]


def test_a_damaged_state_is_refused_by_name(saved):
    for content in damaged(saved.read_bytes()):
        saved.write_bytes(content)
        with pytest.raises(ValueError, match=r"seed0\.state is damaged"):
            load_state(saved)


class Touch:
    """Unpickling it would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def crafted(path):
    yield pickle.dumps({"method": Touch(path)}, protocol=2)
    for form in (True, False):
        buffer = io.BytesIO()
        torch.save({"method": Touch(path)}, buffer, _use_new_zipfile_serialization=form)
        yield buffer.getvalue()


def test_no_code_of_a_state_is_executed(tmp_path):
    touched, path = tmp_path / "touched", tmp_path / "crafted.state"
    payloads = list(crafted(str(touched)))
    pickle.loads(payloads[0])
    assert touched.exists(), "the payload does what it is there for"
    touched.unlink()
    for payload in payloads:
        header = {"epochs": 1, "sha256": hashlib.sha256(payload).hexdigest()}  # one that fits
        path.write_bytes(json.dumps(header).encode() + b"\n" + payload)
        with pytest.raises(ValueError, match=r"crafted\.state does not hold a training state"):
            load_state(path)
        assert not touched.exists()


def test_a_state_without_room_is_one_sentence_and_leaves_the_one_before(tmp_path):
    """A limit on the size of files, in a process of its own, stands for a full disk."""
    save_state(tmp_path / "seed0.state", {"weight": torch.ones(3)})
    code = """
import resource, signal, sys, torch
from pathlib import Path
from arb_suite.checkpoints import save_state
from arb_suite.jobs import UserError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    save_state(Path(sys.argv[1]), {"weight": torch.ones(100_000)})
except UserError as error:
    print(error)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", code, str(tmp_path / "seed0.state")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "seed0.state cannot be saved (File too large; 0 MB); make room" in ended.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["seed0.state"]
    assert load_state(tmp_path / "seed0.state")["weight"].tolist() == [1, 1, 1]
