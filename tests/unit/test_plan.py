import json
from pathlib import Path

import pytest
import torch

from arb_suite.compute import Compute, compute_on
from arb_suite.jobs import packed, read_resolved
from arb_suite.plan import COLUMNS, costs, render
from arb_suite.pretrain import train
from arb_suite.progress import Progress
from arb_suite.throughput import STATUS, _as_evaluated, _random_images, measure
from arb_suite.workflow import Plan

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
MEASURED = {
    "quick": {"step_seconds": 0.5, "image_seconds": 0.001, "probe_seconds": 0.02, "pair_seconds": 1e-8, "feature_bytes": 4e3,
              "state_bytes": 3e9, "snapshot_bytes": 1e9, "memory_bytes": 5e9, "timed_batch": 250, "computed_on": "a GPU"},
    "slow": {"step_seconds": 2.0, "image_seconds": 0.01, "probe_seconds": 0.02, "pair_seconds": 1e-8, "feature_bytes": 4e3,
             "state_bytes": 1e9, "snapshot_bytes": 1e9, "memory_bytes": 7e9, "timed_batch": 250, "computed_on": "a GPU"},
    "large": {"failed": "batch_size 512 does not fit; 256 would fit here", "computed_on": "a GPU"},
}  # fmt: skip


def a_run(name, workload, targets, **changes):
    return {
        "dataset": "cifar10", "name": name, "workload": workload, "targets": targets, "seeds": 3, "epochs": 10,
        "batch_size": 250, "snapshots": 0, "train_images": 50_000, "scored_images": 10_000, "from_files": False,
        "probe": {"epochs": 100, "batch_size": 256}, **changes,
    }  # fmt: skip


def workload_of(plan, name):
    (workload,) = (entry for entry in json.loads(plan.workloads())["workloads"].values() if entry["name"] == name)
    return workload


def row_of(table, target, dataset="cifar10"):
    (row,) = table[(table["target"] == target) & (table["dataset"] == dataset)].to_dict("records")
    return row


def test_costs_by_hand():
    table = costs([a_run("a", "quick", ["table_main"])], MEASURED)
    row = row_of(table, "table_main")
    assert list(table) == COLUMNS
    # 10 epochs of 200 steps with each of 3 seeds; a seed's evaluation: 60,000 images, 100 epochs of 196 steps, 10,000 queries
    assert (row["runs"], row["seeds"], row["epochs"], row["steps"], row["images"]) == (1, 3, 30, 6000, 1_500_000)
    assert row["hours"] == f"{(6000 * 0.5 + 3 * (60_000 * 0.001 + 100 * 196 * 0.02 + 5e8 * 1e-8)) / 3600:.3g}"
    assert row["disk_gb"] == "15"  # the state, and the parameters in it and in the results
    assert row["memory_gb"] == "5"


def test_a_run_in_two_places_counts_once_in_all():
    runs = [a_run("a", "quick", ["table_main", "fig7"]), a_run("b", "slow", ["fig7"])]
    table = costs(runs, MEASURED)
    assert table["target"].tolist() == ["table_main", "fig7", "all"]
    assert row_of(table, "all")["steps"] == row_of(table, "fig7")["steps"] == 12_000
    assert row_of(table, "all")["memory_gb"] == "7"


def test_snapshots_are_evaluated_and_kept():
    plain, kept = (row_of(costs([a_run("a", "quick", ["t"], snapshots=n)], MEASURED), "t") for n in (0, 5))
    evaluated = 60_000 * 0.001 + 100 * 196 * 0.02 + 5e8 * 1e-8
    assert float(kept["hours"]) - float(plain["hours"]) == pytest.approx(5 * 3 * evaluated / 3600, abs=0.01)
    assert float(kept["disk_gb"]) - float(plain["disk_gb"]) == 3 * 2 * 5


def test_features_that_take_more_memory_than_a_step_are_counted():
    # kNN has 1,281,167 features of 4000 bytes twice, beside the parameters
    row = row_of(costs([a_run("a", "quick", ["t"], train_images=1_281_167)], MEASURED), "t")
    assert row["memory_gb"] == "11.2"


def test_memory_is_that_of_whole_batches():
    unknown = MEASURED["quick"] | {"memory_bytes": None, "timed_batch": 32}
    table = costs([a_run("a", "quick", ["t"]), a_run("b", "slow", ["u"])], MEASURED | {"quick": unknown})
    assert row_of(table, "t")["memory_gb"] == ""
    assert "memory is measured where whole batches are timed" in row_of(table, "t")["note"]
    assert row_of(table, "u")["memory_gb"] == "7"


def test_what_does_not_fit_is_told_and_the_rest_is_added_up():
    table = costs([a_run("a", "quick", ["t"]), a_run("b", "large", ["t"])], MEASURED)
    row = row_of(table, "t")
    assert row["note"] == "without b: batch_size 512 does not fit; 256 would fit here"
    assert row["hours"] == row_of(costs([a_run("a", "quick", ["t"])], MEASURED), "t")["hours"]
    assert "256 would fit here" in render(table)


def test_what_was_timed_with_few_images_is_told():
    measured = {"quick": MEASURED["quick"], "slow": MEASURED["slow"] | {"timed_batch": 16, "memory_bytes": None}}
    table = costs([a_run("a", "quick", ["t", "u"]), a_run("b", "slow", ["u"]), a_run("c", "slow", ["u"])], measured)
    assert row_of(table, "t")["note"] == ""
    assert row_of(table, "u")["note"] == "large batches were timed with 16 images a step, in proportion"
    assert render(table).count("note: ") == 1


@pytest.mark.parametrize(("run", "seconds", "timed"), [("arb_d32", 0.0, 32), ("arb_d32", 60.0, 128), ("w_mse", 0.0, 128)])
def test_a_batch_that_takes_too_long_is_timed_with_few_images_where_the_method_takes_them(
    whole_plan, monkeypatch, run, seconds, timed
):
    monkeypatch.setattr("arb_suite.throughput.MOST_STEPS", 2)
    workload = workload_of(whole_plan, f"digits/{run}")
    measured = measure(workload["training"], workload["evaluation"], seconds, compute_on(workload["training"]["compute"]))
    assert measured["timed_batch"] == timed
    assert (measured["memory_bytes"] is None) == (timed == 32 or not STATUS.exists())
    assert measured["steps"] == (1 if seconds == 0 else 2)
    # so many images take longer than as many as were timed
    assert measured["image_seconds"] * 2 * workload["training"]["batch_size"] < measured["step_seconds"]


@pytest.mark.skipif(not STATUS.exists(), reason="the system does not tell the memory of a process")
def test_memory_of_a_measurement_is_without_what_was_before(whole_plan):
    workload = workload_of(whole_plan, "digits/arb_b32")
    compute = compute_on(workload["training"]["compute"])
    before = measure(workload["training"], workload["evaluation"], 0.0, compute)["memory_bytes"]
    large = torch.ones(2**28)  # 1 GiB
    during = measure(workload["training"], workload["evaluation"], 0.0, compute)["memory_bytes"]
    del large
    after = measure(workload["training"], workload["evaluation"], 0.0, compute)["memory_bytes"]
    assert during - before > 0.9 * 2**30
    assert after - before < 0.1 * 2**30


def test_evaluation_is_timed_on_files_as_small_as_it_decodes_them():
    large, small = {"size": 64, "resize": 72}, {"size": 64}
    images = _random_images({"data": {"longest": 90}}, large, 2)
    assert images.images.shape == (2, 3, 90, 135)
    assert _as_evaluated(images, large).images.shape == (2, 3, 72, 108)
    assert _as_evaluated(images, small) is images
    assert _as_evaluated(images, None) is images


def test_a_state_is_as_large_as_its_checkpoint(whole_plan, tmp_path):
    workload = workload_of(whole_plan, "digits/arb_d32")
    training = workload["training"]
    compute = compute_on(training["compute"])
    measured = measure(training, workload["evaluation"], 0.5, compute)
    assert measured["steps"] >= 1
    assert 0 < measured["step_seconds"] < 60
    images = _random_images(training, None, training["batch_size"])
    once = training | {"epochs": 1, "snapshots": 0, "trace": False}
    train(images, once, 0, tmp_path / "state", Progress("x", 1, [0], lambda line: None))
    checkpoint = (tmp_path / "state").stat().st_size
    # which also has the parameters at the end, and the random states
    assert checkpoint == pytest.approx(measured["state_bytes"] + measured["snapshot_bytes"], rel=0.1)


def test_a_batch_that_does_not_fit_is_no_crash(whole_plan, monkeypatch):
    workload = workload_of(whole_plan, "digits/arb_d32")

    def full(*_, **__):
        raise torch.OutOfMemoryError("no more of it")

    monkeypatch.setattr("arb_core.loss.ARBLoss.forward", full)
    measured = measure(workload["training"], workload["evaluation"], 0.5, compute_on(workload["training"]["compute"]))
    assert set(measured) == {"failed"}
    assert "does not fit" in measured["failed"]


def test_evaluation_is_timed_in_the_precision_that_it_has(whole_plan, monkeypatch):
    workload = workload_of(whole_plan, "digits/arb_b32")
    precisions = []
    monkeypatch.setattr("arb_suite.throughput.set_precision", lambda method, precision: precisions.append(precision))
    measure(workload["training"], workload["evaluation"], 0.0, Compute(torch.device("cpu"), torch.bfloat16))
    assert precisions == [torch.bfloat16, torch.float32]  # training; runs are evaluated by methods made anew


def test_another_machine_is_measured_again(whole_plan, monkeypatch):
    here = whole_plan.machine()
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    assert whole_plan.machine() != here


def test_every_selected_run_is_measured_and_counted(whole_plan):
    workloads, runs = json.loads(whole_plan.workloads())["workloads"], json.loads(whole_plan.costs())["runs"]
    assert {run["workload"] for run in runs} == set(workloads)
    trials = [run for run in runs if run["name"].endswith(", trials")]
    assert len(runs) - len(trials) == len(whole_plan.runs) > len(workloads)  # not all that differs makes another step
    assert sorted(f"results/tuning/{run['dataset']}/{run['name'].removesuffix(', trials')}.json" for run in trials) == sorted(
        whole_plan.trials()
    )
    assert all(run["targets"] for run in runs if run["dataset"] == "digits" and not run["name"].startswith("release"))


@pytest.mark.parametrize("datasets", ["digits,glyphs", "digits,glyphs,cifar10,cifar100,imagenet100,imagenet1k"])
def test_what_jobs_are_given_fits_one_argument_of_a_command(whole_config, monkeypatch, datasets):
    monkeypatch.chdir(ROOT)
    plan = Plan(whole_config | {"datasets": datasets, "data_root": "."})
    given = [plan.tables(), plan.tuned_table(), plan.glyphs_table(), *map(plan.counterpart, plan.config["counterparts"])]
    given += [packed(large) for large in (plan.orderings(), plan.workloads(), plan.costs())]
    assert max(map(len, given)) < 100 * 1024  # the system's limit is 128 KiB, and the command has more
    assert read_resolved(packed(plan.orderings())) == json.loads(plan.orderings())
