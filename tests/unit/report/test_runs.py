"""The runs of the report: configuration, files and time, and what is made before it."""

import json
from pathlib import Path

import pytest

from arb_suite.jobs import UserError
from arb_suite.report.runs import overview, read_runs
from arb_suite.workflow import Plan

ROOT = Path(__file__).parents[3]


@pytest.fixture
def recorded(run, tmp_path, monkeypatch):
    """Two runs, of which one was made, in two jobs."""
    monkeypatch.chdir(tmp_path)
    paths = [f"results/runs/digits/arb/seeds{i}-{i}/training.json" for i in range(2)]
    for seed, path in enumerate(paths):
        of_seed = {
            "computed_on": ["cpu, float32"], "commit": "abc", "packages": {"torch": "2.15.0"}, "platform": "Linux",
            "wall_seconds": 40.0 + seed, "data_hash": "d" * 64, "began": "2026-11-01T10:00:00+00:00",
            "ended": f"2026-11-01T10:0{seed + 1}:00+00:00",
        }  # fmt: skip
        record = {"config_hash": "c" * 64, "settings": {"epochs": 20, "method": "arb"}, "seeds": {str(seed): of_seed}}
        Path(path).parent.mkdir(parents=True)
        Path(path).write_text(json.dumps(record), encoding="utf-8")
    shared = {"dataset": "digits", "proj_dim": 256}
    return [
        run("ARB", 256) | shared | {"name": "arb", "trainings": paths},
        run("SimCLR", 256) | shared | {"name": "simclr", "trainings": ["results/runs/digits/simclr/seeds0-0/training.json"]},
    ]


def test_a_run_has_its_configuration_files_and_time(recorded):
    (found,) = read_runs(recorded)
    assert (found["place"], found["seeds"], found["seconds"], found["hash"]) == ("digits/arb", [0, 1], 81.0, "c" * 16)
    assert json.loads(found["settings"]) == {"epochs": 20, "method": "arb"}
    assert found["files"] == ["runs/digits/arb/seeds0-0", "runs/digits/arb/seeds1-1"]
    assert found["logs"] == ["logs/train/digits/arb/seeds0-0.log", "logs/train/digits/arb/seeds1-1.log"]
    summed = overview([found])
    assert (summed["runs"], summed["seeds"], summed["commits"]) == (1, 2, ["abc"])
    assert (summed["began"][11:16], summed["ended"][11:16]) == ("10:00", "10:02")
    tuned = recorded[0] | {"name": "arb_tuned"}
    again = read_runs([recorded[0], tuned])
    assert [run["same_as"] for run in again] == [None, "digits/arb"]
    assert overview(again)["hours"] == summed["hours"]  # one training counts once
    assert overview([]) is None


def test_a_damaged_record_is_told_by_name(recorded):
    Path(recorded[0]["trainings"][1]).write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"seeds1-1/training\.json cannot be read"):
        read_runs(recorded)


def test_the_report_waits_for_what_is_asked(whole_config, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert Plan(whole_config | {"report": "claims"}).report_parts == ["results/claims.csv"]
    whole = Plan(whole_config).report_parts
    assert {"results/claims.csv", "results/table5.csv", "results/fig7.svg", "results/orderings.csv"} <= set(whole)
    with pytest.raises(SystemExit, match=r"unknown part of the report 'claim' \(did you mean 'claims'\?\)"):
        Plan(whole_config | {"report": "claim"})
