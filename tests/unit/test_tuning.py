import argparse
import itertools
import json
import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from arb_suite import digits, tune
from arb_suite.cells import PLACES, printed_cells
from arb_suite.files import json_hash, read_choice
from arb_suite.jobs import UserError
from arb_suite.measured import with_choices
from arb_suite.orderings import orderings
from arb_suite.page import render_tuned
from arb_suite.printed import FOLDER
from arb_suite.progress import Progress
from arb_suite.settings import plan_runs
from arb_suite.tables import COLUMNS
from arb_suite.tune import choose
from arb_suite.tuned import read_trials, tuned_table
from arb_suite.workflow import Plan


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)


@pytest.fixture
def runs(whole_config):
    return {run.name: run for run in plan_runs(whole_config) if run.dataset == "digits"}


# --- the grids --------------------------------------------------------------------------------------------------------


def test_every_row_of_table_1_has_a_grid_and_all_are_equally_long(whole_config, runs):
    grids = whole_config["digits"]["tuning"]["grids"]
    assert {name for name, run in runs.items() if run.paper_dim} | {"direct_alignment"} == set(grids)
    counts = {name: len(runs[f"{name}_tuned"].candidates) for name in grids}
    assert set(counts.values()) == {3}  # also: no two entries of a grid are the same


def test_the_first_candidate_is_the_run_as_configured(whole_config, runs):
    tuned = [run for run in runs.values() if run.chosen_on]
    tuning = whole_config["digits"]["tuning"]
    assert {run.variation_of for run in tuned} == {*tuning["grids"], *itertools.chain(*tuning["also"].values())}
    for run in tuned:
        first, *others = run.candidates.values()
        assert json_hash(first) == runs[run.variation_of].config_hash
        assert all(json_hash(other) != json_hash(first) for other in others)
        assert next(iter(run.candidates)) == "as configured"


def test_an_option_that_the_method_does_not_know_stops_before_any_trial(whole_plan, config, tmp_path, monkeypatch):
    data = tmp_path / "digits.npz"
    digits.build(config["digits"]["data"], data, lambda line: None)
    monkeypatch.chdir(tmp_path)  # where checkpoints would be
    grid = json.loads(whole_plan.grid(SimpleNamespace(dataset="digits", run="simclr")))
    grid["candidates"][-1]["training"]["options"] = {"temprature": 0.1}
    said = []
    with pytest.raises(UserError, match=r"method simclr cannot be built with options .*temprature"):
        tune.work(argparse.Namespace(grid=json.dumps(grid), data=data, name="digits/simclr", out=tmp_path / "out"), said.append)
    assert said == []
    assert {path.name for path in tmp_path.iterdir()} == {"digits.npz", "digits.json"}


def test_trials_hold_the_gpu_that_they_compute_on(whole_plan, tmp_path, monkeypatch):
    grid = json.loads(whole_plan.grid(SimpleNamespace(dataset="digits", run="simclr")))
    for candidate in grid["candidates"]:
        candidate["training"]["compute"]["device"] = "auto"
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: NVIDIA A100 (UUID: GPU-1)'\n", encoding="utf-8")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="nvidia-smi lists a GPU, but torch cannot use it"):
        tune.work(argparse.Namespace(grid=json.dumps(grid), data=tmp_path / "none", name="x", out=tmp_path / "out"), print)


def test_an_entry_changes_what_it_says_and_nothing_else(runs):
    base = runs["vicreg"].training
    tried = runs["vicreg_tuned"].candidates
    expected = {
        "rates x 2": {"learning_rate": 1.2, "bias_learning_rate": 0.03},
        "nu_param 4.0": {"options": {**base["options"], "nu_param": 4.0}},
    }
    assert {what: {k: v for k, v in of.items() if v != base[k]} for what, of in tried.items()} == {
        "as configured": {},
        **expected,
    }


def test_the_choice_of_one_run_serves_its_neighbours_in_proportion(runs):
    assert runs["arb_b32_tuned"].chosen_on == "arb_d256"
    assert runs["arb_b32_tuned"].candidates["rates x 2"]["learning_rate"] == 2 * runs["arb_b32"].training["learning_rate"]
    assert runs["barlow_twins_d4_tuned"].candidates["lambda_param 0.2"]["options"] == {"lambda_param": 0.2}
    assert runs["barlow_twins_d4_tuned"].training["proj_dim"] == 4


def test_trials_are_fitted_and_scored_apart_from_the_results(whole_plan):
    grid = json.loads(whole_plan.grid(SimpleNamespace(dataset="digits", run="arb_d256")))
    assert grid["candidates"][0]["setting"] == "as configured"
    for candidate in grid["candidates"]:
        training = candidate["training"]
        assert (training["fit_on"], training["snapshots"], training["trace"]) == (["train"], 0, False)
    assert grid["evaluation"]["score_on"] == "validation"
    assert whole_plan.config["digits"]["score_on"] == "test"


# --- the choice -------------------------------------------------------------------------------------------------------


def test_the_best_mean_is_chosen_and_the_first_of_several():
    assert choose({"a": [80.0, 60.0], "b": [71.0, 71.0], "c": [71.0, 71.0]}) == "b"
    assert choose({"a": [-np.inf, 99.0], "b": [1.0, 1.0]}) == "b"
    with pytest.raises(UserError, match=r"none of these settings .*: a; b;"):
        choose({"a": [-np.inf, 99.0], "b": [-np.inf, 1.0]})


@pytest.fixture
def tried(tmp_path, whole_plan):
    """The runs of the tuned table, with SimCLR's trials on record and nothing else asked for."""
    trial = {"seed": 0, "config_hash": "f" * 64, "linear_top1": 80.25, "knn5_top1": 70.0, "effective_rank_embeddings": 5.5}
    trials = [trial | {"setting": "as configured"}, trial | {"setting": "temperature 0.1", "linear_top1": 85.0}]
    trials.append({"seed": 0, "config_hash": "f" * 64, "setting": "rates x 2", "failed": "the loss is inf"})
    path = tmp_path / "simclr.json"
    path.write_text(
        json.dumps({"chosen": "temperature 0.1", "score_on": "validation", "n_eval": 200, "trials": trials}), encoding="utf-8"
    )
    entries = json.loads(whole_plan.tuned_table())["runs"]
    assert len(entries) == 28
    for entry in entries:
        entry["selected"] = entry["name"].startswith("simclr")
        entry["choice"] = [str(path)] if entry["tuned_of"] else []
    return entries


def test_a_tuned_run_says_what_was_chosen(tried):
    remarks = {run["name"]: run["remark"] for run in with_choices(tried)}
    assert remarks["simclr_tuned"] == "chosen of 3 settings on the validation split: temperature 0.1; otherwise as simclr"
    assert remarks["simclr"] == next(run["remark"] for run in tried if run["name"] == "simclr")


def test_a_tuned_run_whose_setting_was_chosen_on_another_says_so(tried):
    neighbour = next(run for run in tried if run["name"] == "simclr_tuned") | {"tuned_of": "simclr_b32"}
    (run,) = with_choices([neighbour])
    setting = "chosen of 3 settings on the validation split: temperature 0.1"
    assert run["remark"] == f"as simclr, whose setting was {setting}; otherwise as simclr_b32"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"chosen": "a", "trials": [{"setting": "b"}]}'])
def test_a_damaged_choice_is_refused_by_name(tmp_path, content):
    path = tmp_path / "simclr.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"simclr\.json .*delete it and give the command again"):
        read_choice(path)


def test_trials_are_all_there_with_the_one_chosen(tried):
    trials = read_trials(tried)
    assert trials["setting"].tolist() == ["as configured", "temperature 0.1", "rates x 2"]
    assert trials["chosen"].tolist() == ["no", "yes", "no"]
    assert set(trials["run"]) == {"simclr"}
    assert trials["linear_top1"].tolist()[:2] == [80.25, 85.0]
    assert trials["note"].tolist() == ["", "", "the loss is inf"]
    assert np.isnan(trials["linear_top1"].iloc[2])


def test_customary_and_tuned_stand_side_by_side(tried, measured):
    by = {run["name"]: run for run in tried}
    metrics = measured(
        *((by[name], metric, [value, value + 2, value + 1]) for name, value in (("simclr", 70.0), ("simclr_tuned", 80.0))
          for metric in ("linear_top1", "knn5_top1"))
    )  # fmt: skip
    runs = with_choices(tried)
    table = tuned_table(runs, metrics)
    assert set(table.columns) == {*COLUMNS, "setting"}
    assert len(table) == 14 * 2 * 2
    simclr = table[table["method"] == "SimCLR"]
    assert simclr["setting"].tolist() == ["customary", "tuned"] * 2
    assert simclr["measured"].tolist() == ["71.00", "81.00"] * 2
    assert simclr["note"].str.contains("temperature 0.1").tolist() == [False, True] * 2
    assert simclr["note"].str.contains("temperature 0.2").tolist() == [True, False] * 2
    assert set(table.loc[table["method"] != "SimCLR", "verdict"]) == {"not run"}
    lines = render_tuned(table, read_trials(runs)).splitlines()
    row = next(line for line in lines if "SimCLR" in line)
    assert " ".join(row.split()) == "SimCLR 32 71.00 [68.52, 73.48] 81.00 [78.52, 83.48] 71.00 81.00 temperature 0.1"
    assert sum("not run" in line for line in lines) == 13


# --- what rests on it -------------------------------------------------------------------------------------------------


def test_orderings_are_decided_at_both_settings_each_in_a_family_of_its_own(request, run, measured):
    root = request.config.rootpath
    cells = {place: printed_cells(root / FOLDER, place) for place in PLACES}
    runs = [run(name, 64, name=name) for name in ("a", "b", "c")]
    runs += [run(name, 64, name=f"{name}_tuned", tuned_of=name) for name in ("a", "b")]
    base, noise = np.array([60.0, 65.0, 61.0]), np.array([0.1, -0.1, 0.3])
    shifts = {"a": 1.0, "b": 0.0, "c": 0.5, "a_tuned": -2.0, "b_tuned": 0.0}
    scales = {"a": 1, "b": 0, "c": -2, "a_tuned": 1, "b_tuned": 0}
    values = {name: base + shift + scales[name] * noise for name, shift in shifts.items()}
    metrics = measured(*((entry, "linear_top1", values[entry["name"]]) for entry in runs))
    claims = [
        {"name": f"T.{left}{right}", "left": left, "right": right, "metric": "linear_top1"} for left, right in ("ab", "ac")
    ]
    decided = orderings(claims, cells, runs, metrics, {})
    assert decided["claim"].tolist() == ["T.ab", "T.ac", "T.ab.tuned"]
    assert decided["measured_difference"].tolist()[::2] == ["1.10", "-1.90"]
    assert decided["verdict"].tolist()[2] == "contradicted"
    assert "Holm over the 2 of T)" in decided["note"].iloc[0]
    assert "alone in T at tuned settings" in decided["note"].iloc[2]
    assert "tuned" in decided["left"].iloc[2]
    assert "tuned" not in decided["left"].iloc[0]


def test_robustness_and_speed_are_decided_at_both_settings(whole_plan):
    plan = json.loads(whole_plan.orderings())
    runs = plan["runs"]
    cells = {place: printed_cells(FOLDER, place) for place in PLACES}
    columns = ["dataset", "run", "seed", "epoch", "metric", "value"]
    claims = orderings(plan["orderings"], cells, runs, pd.DataFrame(columns=columns), {})["claim"]
    for family, count in (("Table1", 6), ("Table2", 4), ("Table3", 4), ("Figure4", 3), ("Figure5", 4), ("Figure7", 2)):
        assert (claims.str.startswith(f"{family}.") & claims.str.endswith(".tuned")).sum() == count


def test_found_epochs_count_and_do_not_shorten_what_is_left(tmp_path, monkeypatch):
    count = tmp_path / "count"
    monkeypatch.setenv("ARB_SUITE_PROGRESS_FILE", str(count))
    monkeypatch.setenv("ARB_SUITE_PROGRESS_TOTAL", "10")
    monkeypatch.setenv("ARB_SUITE_PROGRESS_START", "0")
    monkeypatch.setattr("time.time", lambda: 60.0)
    lines = []
    progress = Progress("digits/x", 1, [0], lines.append)
    progress.found(5)
    progress.epoch(1, 0.5)
    assert count.read_bytes() == b"-----."
    assert "all training  60%, about 4 min left" in lines[-1]  # four epochs as slow as the one that was trained


@pytest.mark.parametrize("methods", ["arb_d4", "arb_d4_tuned", "barlow_twins_b32", "simclr_tuned", "random_encoder"])
def test_a_plan_for_some_runs_has_what_their_rules_ask_for(whole_config, whole_plan, methods):
    plan = Plan({**whole_config, "methods": methods})
    for run in plan.runs:
        wildcards = SimpleNamespace(dataset=run.dataset, run=run.name, seeds="0-2")
        assert plan.threads(wildcards) == 1
        assert json.loads(plan.training(wildcards))
        if run.chosen_on:
            grid = SimpleNamespace(dataset=run.dataset, run=run.chosen_on)
            assert plan.threads(grid) == 1
            assert len(json.loads(plan.grid(grid))["candidates"]) == 3
            assert plan.choice(wildcards) == [f"results/tuning/digits/{run.chosen_on}.json"]


def test_what_is_configured_already_is_not_tried_twice(whole_config):
    whole_config["digits"]["runs"]["arb_d32"]["options"]["ridge"] = 0.01
    runs = {run.name: run for run in plan_runs(whole_config) if run.dataset == "digits"}
    assert list(runs["arb_d32_tuned"].candidates) == ["as configured", "rates x 2"]
    assert len(runs["arb_d256_tuned"].candidates) == 3


def test_what_does_not_fit_the_batch_of_an_experiment_is_not_tried(whole_config, whole_plan):
    plan = Plan({**whole_config, "batch_size": 64})
    grid = json.loads(plan.grid(SimpleNamespace(dataset="digits", run="w_mse")))
    assert [candidate["setting"] for candidate in grid["candidates"]] == ["as configured", "rates x 2"]


def test_the_epochs_of_all_jobs_are_counted(whole_plan):
    train = SimpleNamespace(dataset="digits", run="arb_d32", seeds="0-2")
    tune = SimpleNamespace(dataset="digits", run="arb_d32")
    assert whole_plan.epochs([("train", train), ("tune", tune), ("table_main", None)]) == 3 * 20 + 3 * 20
