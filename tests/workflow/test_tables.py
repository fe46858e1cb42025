"""Tuned settings, the second data set, a figure and the orderings as targets of the workflow, in a short run of one method."""

import csv
import io
import json
import shutil

import pytest

TARGETS = ("results/table_glyphs.csv", "results/orderings.csv", "results/fig7.svg")
SHORT = ("epochs=1", "seeds=2", "methods=simclr")


@pytest.fixture(scope="module")
def tuned(clean_copy, tmp_path_factory):
    workflow = clean_copy(tmp_path_factory.mktemp("tuned"))
    workflow.target = "results/table_tuned.csv"
    workflow.status, workflow.printed = workflow.run(*TARGETS, config=SHORT)
    return workflow


def table_of(workflow, name):
    return list(csv.DictReader(io.StringIO((workflow.results / name).read_text(encoding="utf-8"))))


def test_the_best_trial_is_what_is_trained_anew(tuned):
    assert tuned.status == 0, tuned.printed
    trials = table_of(tuned, "tuning.csv")
    assert [trial["setting"] for trial in trials] == ["as configured", "rates x 2", "temperature 0.1"]
    (chosen,) = (trial for trial in trials if trial["chosen"] == "yes")
    assert float(chosen["linear_top1"]) == max(float(trial["linear_top1"]) for trial in trials)
    customary, again = (
        json.loads((tuned.results / f"runs/digits/{run}/seeds0-1/training.json").read_text(encoding="utf-8"))
        for run in ("simclr", "simclr_tuned")
    )
    changed = {key for key, value in again["settings"].items() if value != customary["settings"][key]}
    expected = {"as configured": set(), "rates x 2": {"learning_rate", "bias_learning_rate"}, "temperature 0.1": {"options"}}
    assert changed == expected[chosen["setting"]]
    assert (again["config_hash"] == customary["config_hash"]) == (not changed)
    # The trials saw neither the validation images in training nor the test images at all
    choice = json.loads((tuned.results / "tuning/digits/simclr.json").read_text(encoding="utf-8"))
    assert (choice["fit_on"], choice["score_on"], choice["n_eval"]) == (["train"], "validation", 200)
    assert chosen["config_hash"] not in (customary["config_hash"][:16], again["config_hash"][:16])


def test_both_settings_and_both_data_sets_are_in_the_tables(tuned):
    (chosen,) = (trial["setting"] for trial in table_of(tuned, "tuning.csv") if trial["chosen"] == "yes")
    rows = [row for row in table_of(tuned, "table_tuned.csv") if row["measured"]]
    assert [(row["method"], row["metric"], row["setting"]) for row in rows] == [
        ("SimCLR", metric, setting) for metric in ("linear_top1", "knn5_top1") for setting in ("customary", "tuned")
    ]
    assert all(chosen in row["note"] for row in rows if row["setting"] == "tuned")
    (linear, knn) = (row for row in table_of(tuned, "table_glyphs.csv") if row["measured"])
    assert (linear["method"], linear["dataset"], linear["n_eval"]) == ("SimCLR", "glyphs", "1000")
    assert knn["metric"] == "knn5_top1"
    orderings = table_of(tuned, "orderings.csv")
    assert {row["verdict"] for row in orderings} == {"not run"}
    assert {row["dataset"] for row in orderings} == {"digits", "glyphs"}
    assert "Figure7.simclr.tuned" in {row["claim"] for row in orderings}
    assert (tuned.results / "fig7.svg").read_text(encoding="utf-8").startswith("<?xml")
    epochs = {row["epoch"] for row in table_of(tuned, "fig7.csv") if row["method"] == "SimCLR" and row["variant"] == "tuned"}
    assert epochs == {"0", "1"}
    assert "all training 100%" in tuned.printed


def test_orderings_are_decided_at_both_settings_with_a_neighbours_choice(clean_copy, tmp_path):
    workflow = clean_copy(tmp_path)
    workflow.target = "results/orderings.csv"
    options = ("epochs=1", "seeds=3", "methods=arb_d4,barlow_twins_d4")
    status, printed = workflow.run("results/fig4.csv", config=options)
    assert status == 0, printed
    decided = {row["claim"]: row for row in table_of(workflow, "orderings.csv") if row["measured_difference"]}
    assert set(decided) == {"Figure4.d4", "Figure4.d4.tuned"}
    drawn = [row for row in table_of(workflow, "fig4.csv") if row["measured"] and row["metric"] == "linear_top1"]
    measured = {(row["method"], row["variant"]): float(row["measured"]) for row in drawn}
    assert len(measured) == 4
    for claim, variant in (("Figure4.d4", ""), ("Figure4.d4.tuned", "tuned")):
        difference = measured["ARB", variant] - measured["Barlow Twins", variant]
        assert abs(float(decided[claim]["measured_difference"]) - difference) < 0.011
        assert decided[claim]["n_seeds"] == "3"
    assert "as arb_d32, whose setting was chosen of 3 settings" in decided["Figure4.d4.tuned"]["note"]


def test_a_lost_choice_is_made_again_from_checkpoints_and_gives_the_same_bytes(tuned):
    before = {path: content for path, (_, content) in tuned.state().items()}
    (tuned.results / "tuning/digits/simclr.json").unlink()
    shutil.rmtree(tuned.results / "runs/digits/simclr_tuned")
    (tuned.results / "table_tuned.csv").unlink()
    status, printed = tuned.run(*TARGETS, config=SHORT)
    assert status == 0, printed
    kept = ("tuning", "table", "orderings", "fig7", "runs/digits")
    after = tuned.state()
    for path, content in before.items():
        # The records of training have wall times, and a pickle is written otherwise after a round trip
        if path.removeprefix("results/").startswith(kept) and not path.endswith(("training.json", "encoders.state")):
            assert after[path][1] == content, path
    assert "epoch   1/1" not in printed  # nothing was trained
