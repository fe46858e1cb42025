"""A result is what was written, and of this folder; or that is said."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from arb_suite.checkpoints import save_state
from arb_suite.files import write_csv, write_json, write_npz
from arb_suite.jobs import UserError
from arb_suite.records import check_records

TABLE, METRICS = Path("results/table.csv"), Path("results/runs/digits/arb/seeds0-2/metrics.csv")


def make():
    write_csv(TABLE, pd.DataFrame({"method": ["ARB", "SimCLR"], "value": [84.97, 84.47]}))
    write_csv(METRICS, pd.DataFrame({"seed": [0, 1, 2], "value": [1.0, 2.0, 3.0]}))
    write_npz(METRICS.with_name("predictions.npz"), labels=np.arange(5))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder where a workflow has made results."""
    place = tmp_path / "clone"
    place.mkdir()
    monkeypatch.chdir(place)
    check_records()
    make()
    return place


def test_what_is_as_written_passes(folder):
    check_records()
    make()  # written again
    check_records()
    assert sorted(path.name for path in (folder / "results").rglob("*.json")) == [
        "metrics.csv.json", "predictions.npz.json", "table.csv.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[: content[:-1].rindex(b"\n") + 1],  # without its last row
        lambda content: b"",
        lambda content: content[:-2] + b"9\n",
        lambda content: content + b"\n",
    ],
    ids=["half", "a row less", "empty", "another digit", "longer"],
)
@pytest.mark.parametrize("path", [TABLE, METRICS], ids=str)
def test_what_was_changed_is_named(folder, path, damage):
    before = path.read_bytes()
    path.write_bytes(damage(before))
    with pytest.raises(UserError, match=f"^{path}: cut short or changed since") as told:
        check_records()
    assert "delete what is named, and give the same command again" in str(told.value)
    path.unlink()
    check_records()
    path.write_bytes(before)
    check_records()


def test_all_that_was_changed_is_named_or_counted(folder):
    for i in range(6):
        write_json(Path(f"results/{i}.json"), {"i": i})
        Path(f"results/{i}.json").write_text("{}")
    with pytest.raises(UserError, match=r"^results/0\.json, results/1\.json, results/2\.json, results/3\.json and 2 more: "):
        check_records()


def test_a_damaged_record_tells_nothing_good(folder):
    (record,) = folder.glob("results/.made/table.csv.json")
    for content in ("", "{", "[]", json.dumps({"sha256": "0" * 64})):
        record.write_text(content)
        with pytest.raises(UserError, match=r"^results/table\.csv: cut short or changed"):
            check_records()


def test_a_copy_of_the_results_alone_is_told(folder, tmp_path, monkeypatch):
    shutil.copytree(folder / "results", tmp_path / "other/results")
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(UserError, match="made in another folder, or") as told:
        check_records()
    assert "delete the folder results/.made" in str(told.value)
    assert "--forceall" in str(told.value)
    shutil.rmtree("results/.made")
    check_records()
    make()
    check_records()


def test_a_copy_of_the_whole_folder_passes(folder, tmp_path, monkeypatch):
    folder.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    check_records()


def test_only_results_of_a_workflow_are_recorded(folder, tmp_path, monkeypatch):
    write_csv(tmp_path / "clone/mine.csv", pd.DataFrame({"a": [1]}))
    save_state(Path("results/checkpoints/abc/seed0.state"), {"epoch": 1})
    assert {path.name for path in folder.glob("results/.made/*")} == {"table.csv.json", "runs"}
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # where no workflow was begun
    make()
    assert not Path("results/.made").exists()
