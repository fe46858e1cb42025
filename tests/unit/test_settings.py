import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from arb_suite.jobs import UserError, read_resolved
from arb_suite.settings import plan_runs
from arb_suite.workflow import Plan

ROOT = Path(__file__).parents[2]
ARB = "digits.runs.arb_d32"


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def changed(config, **places):
    """Return a copy with some places, written a.b.c, set to something else."""
    config = copy.deepcopy(config)
    for place, value in places.items():
        *path, last = place.split(".")
        inner = config
        for key in path:
            inner = inner[key]
        inner[last] = value
    return config


def by_name(runs):
    return {run.name: run for run in runs if run.dataset == "digits"}


# --- bad input --------------------------------------------------------------------------------------------------------

BAD = [
    # place, value, what the message must contain: the value and what is allowed
    ("datasets", "nonsense", ["nonsense", "digits", "cifar10"]),
    ("datasets", "digits,nonsense", ["nonsense", "digits", "cifar10"]),
    ("datasets", "", ["datasets", "non-empty"]),
    ("datasets", " , ", ["data set", "digits"]),
    ("datasets", None, ["datasets", "None", "string"]),
    ("methods", "nonsense", ["nonsense", "arb", "simclr", "supervised"]),
    ("methods", "arb,nonsense", ["nonsense", "arb", "simclr"]),
    ("methods", 7, ["methods", "7", "string"]),
    ("methods", "arbb", ["'arbb' (did you mean 'arb'?)", "simclr", "runs in workflow/config"]),
    ("methods", "arb_d23", ["'arb_d23' (did you mean 'arb_d32'?)"]),
    ("datasets", "cifar_10", ["'cifar_10' (did you mean 'cifar10'?)"]),
    ("epocs", 2, ["top level", "unexpected key 'epocs' (did you mean 'epochs'?)", "allowed are batch_size, "]),
    ("digits.training.batchsize", 2, ["digits.training", "unexpected key 'batchsize' (did you mean 'batch_size'?)"]),
    ("download", 1, ["download", "1", "true or false"]),
    ("digits.training", [1], ["digits.training", "[1]", "a mapping, {key: value}"]),
    (f"{ARB}.method", "nonsense", ["arb_d32", "nonsense", "arb", "simclr"]),
    ("data_root", "/no/such/folder", ["data_root", "/no/such/folder", "folder that holds"]),
    ("data_root", "Snakefile", ["data_root", "Snakefile", "folder that holds"]),
    ("epochs", -1, ["epochs", "-1", "minimum of 1"]),
    ("epochs", 0, ["epochs", "0", "minimum of 1"]),
    ("epochs", "many", ["epochs", "many", "integer"]),
    ("epochs", 2.5, ["epochs", "2.5", "integer"]),
    ("epochs", 2.0, ["epochs", "2.0", "integer"]),
    ("epochs", True, ["epochs", "True", "integer"]),
    ("digits.training.epochs", -4, ["digits.training.epochs", "-4", "minimum of 0"]),
    (f"{ARB}.training", {"epochs": -4}, ["arb_d32", "-4", "minimum of 0"]),
    ("seeds", 0, ["seeds", "0", "minimum of 1"]),
    ("seeds", "three", ["seeds", "three", "integer"]),
    ("digits.seeds", 0, ["digits.seeds", "0", "minimum of 1"]),
    ("batch_size", 1, ["batch_size", "1", "minimum of 2"]),
    ("batch_size", 2595, ["batch_size", "2595", "2594 training images"]),
    (f"{ARB}.training", {"batch_size": 5000}, ["arb_d32", "5000", "2594 training images"]),
    ("digits.training.learning_rate", "fast", ["learning_rate", "fast", "number"]),
    ("digits.training.learning_rate", 0, ["learning_rate", "0", "minimum of 0"]),
    ("digits.training.momentum", 1.5, ["momentum", "1.5", "maximum of 1"]),
    (f"{ARB}.options", {"groups": 3}, ["arb_d32", "groups 3", "proj_dim 32", "divisor of 32"]),
    (f"{ARB}.options", {"groups": 64}, ["groups 64", "divisor of 32"]),
    (f"{ARB}.options", {"groups": 3, "level": "instance"}, ["groups 3", "batch_size 128", "divisor of 128"]),
    (f"{ARB}.options", {"groups": 0}, ["arb_d32", "groups", "0", "minimum of 1"]),
    (f"{ARB}.options", {"groups": 1, "level": "image"}, ["image", "feature", "instance"]),
    (f"{ARB}.options", {"groups": 1, "ridg": 1}, ["arb_d32", "ridg"]),
    (f"{ARB}.options", {}, ["arb_d32", "groups", "required"]),
    (f"{ARB}.variant", "sym", ["sym", "symmetric", "asymmetric", "reference"]),
    (f"{ARB}.colour", "red", ["arb_d32", "colour"]),
    ("epcohs", 3, ["epcohs"]),
    ("digits.trainig", {}, ["digits", "trainig"]),
    ("digits.score_on", "train", ["score_on", "train", "fit_on"]),
    ("digits.score_on", "tset", ["score_on", "tset", "train", "validation", "test"]),
    ("digits.encoder.strides", [2, 2, 2], ["digits.encoder", "widths", "strides", "equally long"]),
    ("digits.encoder.kind", "resnet34", ["digits.encoder.kind", "resnet34", "conv", "resnet18", "resnet50"]),
    ("digits.encoder", {"widths": [8], "strides": [1]}, ["digits.encoder", "kind", "required"]),
    ("digits.encoder", {"kind": "conv", "widths": [8]}, ["digits.encoder", "strides", "required"]),
    ("digits.encoder.stem", "small", ["digits.encoder", "stem", "unexpected"]),
    ("digits.encoder.kind", "resnet18", ["digits.encoder", "stem", "required"]),
    ("digits.encoder", {"kind": "resnet18", "stem": "small", "widths": [8]}, ["digits.encoder", "widths", "unexpected"]),
    ("digits.encoder", {"kind": "resnet18"}, ["digits.encoder", "stem", "required"]),
    ("digits.encoder", {"kind": "resnet50", "stem": "tiny"}, ["digits.encoder.stem", "tiny", "small", "large"]),
    ("digits.encoder", {"kind": "resnet50", "stem": "large", "padding": 2}, ["digits.encoder.stem", "small"]),
    ("digits.encoder", {"kind": "resnet18", "stem": "small", "padding": -1}, ["digits.encoder.padding", "-1", "minimum of 0"]),
    ("digits.encoder", {"kind": "resnet18", "stem": "small"}, ["digits.encoder.kind", "resnet18", "3 channels", "conv"]),
    ("digits.training.clip", "yes", ["digits.training.clip", "yes", "boolean"]),
    ("digits.runs", {}, ["digits.runs", "non-empty"]),
    ("digits.evaluation.knn.k", 7, ["knn.k", "5 was expected"]),
    ("digits.training.weight_decay", 0, ["weight_decay", "0", "minimum of 0"]),
    ("digits.training.learning_rate", float("nan"), ["learning_rate", "nan"]),
    ("digits.views.standard.rotation_degrees", float("inf"), ["rotation_degrees", "inf"]),
    ("digits.views.standard.crop_area", [1.0, 0.35], ["crop_area", "[1.0, 0.35]", "[low, high]"]),
    ("digits.views.standard.crop_area", [-1, 0.3], ["crop_area", "-1", "minimum"]),
    ("digits.runs.byol.views", ["standard", "strong"], ["byol", "'strong'", "standard", "weak", "small"]),
    ("digits.runs.byol.views", ["standard", "standard", "small"], ["byol.views", "too long"]),
    ("digits.runs.dino.views", ["standard"], ["dino.views", "too short"]),
    ("digits.default_views", ["standard", "standard", "small"], ["default_views", "too long"]),
    ("digits.views.standard.scale", 0.1, ["standard.scale", "0.1", "minimum of 0.25"]),
    ("digits.views.small", {"scale": 0.5}, ["views.small", "crop_area", "required"]),
    ("digits.runs.dino.options.frozen", 2, ["dino.options.frozen", "2", "maximum of 1"]),
    ("digits.runs.dino.options.student_temperature", 0, ["student_temperature", "0", "minimum"]),
    ("digits.runs.moco_v2.options.queue_size", 0, ["moco_v2", "queue_size", "0", "minimum of 1"]),
    ("digits.runs.byol.options.momentum", [0.99], ["byol", "momentum", "0.99", "too short"]),
    ("digits.runs.byol.options.momentum", [0.99, 1.1], ["byol", "momentum", "1.1", "maximum of 1"]),
    ("digits.runs.swav.options", {"prototypes": 156}, ["swav.options", "temperature", "required"]),
    ("digits.runs.w_mse.options.whitening_size", 48, ["w_mse", "whitening_size 48", "batch_size 128"]),
    ("digits.runs.w_mse.options.whitening_size", 32, ["w_mse", "whitening_size 32", "64 or more"]),
    ("digits.runs.w_mse.proj_dim", 256, ["w_mse", "whitening_size 64", "512 or more"]),
    ("batch_size", 32, ["w_mse", "whitening_size 64", "batch_size 32", "methods="]),
    ("digits.runs.swav.views", ["small", "small", "standard"], ["swav", "'standard' is larger than the first two"]),
    ("digits.runs.ressl", {"method": "ressl", "label": "R", "variant": "asymmetric", "loss_divisor": 1}, ["ressl", "required"]),
    ("digits.training.optimizer", "sgdm", ["optimizer", "sgdm", "lars", "sgd", "adam"]),
    ("digits.runs.random_encoder.training.epochs", 3, ["random_encoder", "epochs", "0 was expected"]),
    ("digits.training", {"epochs": 20}, ["training", "batch_size", "required"]),
    ("digits.data.sources.train", 1000, ["sources", "1700", "1797"]),
    ("digits.runs.arb_d32.paper_dim", 2048, ["arb_d32", "arb_d256", "ARB 2048"]),
    ("seeds", 2.0, ["seeds", "2.0", "integer"]),
    ("seeds", 1000, ["seeds", "1000", "maximum of 100"]),
    ("digits.runs.supervised.label", "Random encoder", ["supervised", "random_encoder", "Random encoder"]),
]


@pytest.mark.parametrize(("place", "value", "expected"), BAD, ids=[f"{place}={value}" for place, value, _ in BAD])
def test_bad_input_is_refused_in_one_sentence(config, place, value, expected):
    with pytest.raises(UserError) as caught:
        plan_runs(changed(config, **{place: value}))
    message = str(caught.value)
    assert "\n" not in message
    assert [part for part in expected if part not in message] == []


@pytest.mark.parametrize("place", ["digits", "datasets", f"{ARB}.label", f"{ARB}.proj_dim", "digits.training"])
def test_what_is_missing_is_named(config, place):
    *path, last = place.split(".")
    inner = config
    for key in path:
        inner = inner[key]
    del inner[last]
    with pytest.raises(UserError, match=last):
        plan_runs(config)


def test_methods_that_no_run_uses_are_refused(config):
    del config["digits"]["runs"]["simclr"]
    with pytest.raises(UserError, match="simclr names no run of digits"):
        plan_runs(changed(config, methods="simclr"))


PLACE = {"table": "table1", "dataset": "CIFAR-100", "left": ["ARB", "2048"], "right": ["SimCLR", "256"]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"left": "nonsense"}, ["Table1.simclr", "'nonsense'", "arb_d256", "simclr"]),
        ({"metric": "linear_top5"}, ["linear_top5", "linear_top1", "knn5_top1"]),
        ({"metric": "knn5_top1"}, ["Table1.simclr", "0 cells", "knn5_top1"]),
        (
            {"paper": {"place": "table1", "left": {"method": "ARB"}, "right": {"method": "SimCLR"}}},
            ["6 cells of Table 1", "ARB"],
        ),
        (
            {"main": False, "paper": {"place": "fig4", "left": {"proj_dim": "16"}, "right": {"proj_dim": "32"}}},
            ["0 cells of Fig. 4", "proj_dim 16"],
        ),
        (
            {"paper": {"place": "fig4", "left": {"proj_dim": "32"}, "right": {"proj_dim": "64"}}},
            ["Table1.simclr", "no figures", "leave main out"],
        ),
        ({"right": "arb_d256"}, ["Table1.simclr", "both sides are arb_d256 in linear_top1"]),
        ({"right_metric": "knn5_top1"}, ["Table1.simclr", "0 cells", "knn5_top1"]),
        ({"left_share": 0.35}, ["Table1.simclr", "left_share 0.35", "10 snapshots of arb_d256"]),
    ],
)
def test_orderings_that_cannot_be_decided_are_refused(config, change, expected):
    (claim,) = (claim for claim in config["orderings"] if claim["name"] == "Table1.simclr")
    claim |= change
    with pytest.raises(UserError) as caught:
        plan_runs(config)
    assert [part for part in expected if part not in str(caught.value)] == []


def test_outside_a_clone_the_error_says_where_to_stand(config, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="root of a clone"):
        plan_runs(config)


def test_settings_of_a_job_that_are_no_json_are_refused():
    assert read_resolved('{"epochs": 3}') == {"epochs": 3}
    with pytest.raises(UserError, match="--settings is not JSON"):
        read_resolved("{epochs: 3}")


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_the_configuration_of_the_repository(config):
    runs = plan_runs(config)
    assert [run.name for run in runs] == list(config["digits"]["runs"])
    seeds = tuple(range(config["digits"]["seeds"]))
    assert all(run.selected and run.dataset == "digits" and run.seeds == seeds for run in runs)
    assert {run.training["epochs"] for run in runs} == {0, config["digits"]["training"]["epochs"]}
    assert by_name(runs)["random_encoder"].training["epochs"] == 0
    assert len({run.config_hash for run in runs}) == len(runs)


def test_overrides(config):
    plain = by_name(plan_runs(config))
    for name, run in by_name(plan_runs(changed(config, epochs=7, seeds=2, batch_size=64))).items():
        assert run.training["epochs"] == (0 if name == "random_encoder" else 7)
        assert run.training["batch_size"] == 64
        assert run.seeds == (0, 1)
        overridden = {"epochs", "batch_size"}
        assert {key for key in run.training if run.training[key] != plain[name].training[key]} <= overridden


def test_a_run_overrides_the_training_of_its_data_set(config):
    runs = by_name(plan_runs(changed(config, **{f"{ARB}.training": {"learning_rate": 0.1}})))
    assert runs["arb_d32"].training["learning_rate"] == 0.1
    assert runs["arb_d32"].training["momentum"] == config["digits"]["training"]["momentum"]
    assert runs["arb_d256"].training["learning_rate"] == config["digits"]["training"]["learning_rate"]


def test_sizes_of_runs_that_are_not_asked_for_do_not_matter(config):
    runs = plan_runs(changed(config, batch_size=96, methods="arb,swav"))
    assert {run.name for run in runs if run.selected} == {"arb_d32", "arb_d256", "swav"}
    assert {run.training["batch_size"] for run in runs if run.selected} == {96}


def test_runs_can_be_selected_by_their_own_name(config):
    runs = plan_runs(changed(config, methods="arb_d32, simsiam, supervised"))
    assert {run.name for run in runs if run.selected} == {"arb_d32", "simsiam", "supervised"}


def test_methods_select_runs(config):
    runs = plan_runs(changed(config, methods="arb, random_encoder"))
    assert {run.name for run in runs if run.selected} == {"arb_d32", "arb_d256", "random_encoder"}
    assert len(runs) == len(config["digits"]["runs"])


@pytest.mark.parametrize(
    ("seeds", "per_job", "chunks"),
    [
        (1, 3, ["0-0"]),
        (3, 3, ["0-2"]),
        (4, 3, ["0-2", "3-3"]),
        (7, 3, ["0-2", "3-5", "6-6"]),
        (3, 1, ["0-0", "1-1", "2-2"]),
        (12, 100, ["0-11"]),
    ],
)
def test_chunks_of_seeds(config, seeds, per_job, chunks):
    run = plan_runs(changed(config, seeds=seeds, **{"digits.seeds_per_job": per_job}))[0]
    assert run.chunks == chunks


# --- what a result depends on -----------------------------------------------------------------------------------------


def whose_hash_changes(config, **places):
    before, after = by_name(plan_runs(config)), by_name(plan_runs(changed(config, **places)))
    return {name for name in before if before[name].config_hash != after[name].config_hash}


@pytest.mark.parametrize(
    ("place", "value", "name"),
    [
        (f"{ARB}.options", {"groups": 1, "ridge": 2e-4}, "arb_d32"),
        (f"{ARB}.options", {"groups": 4, "ridge": 1e-4}, "arb_d32"),
        (f"{ARB}.proj_dim", 64, "arb_d32"),
        (f"{ARB}.loss_divisor", 1, "arb_d32"),
        (f"{ARB}.training", {"learning_rate": 0.3}, "arb_d32"),
        (f"{ARB}.training", {"clip": True}, "arb_d32"),
        ("digits.runs.simclr.options.temperature", 0.5, "simclr"),
        ("digits.views.weak.crop_area", [0.5, 1.0], "ressl"),
        ("digits.runs.byol.projector_hidden", 64, "byol"),
        ("digits.runs.barlow_twins_d32.options.lambda_param", 0.2, "barlow_twins_d32"),
        ("digits.runs.direct_alignment.loss_divisor", 1, "direct_alignment"),
    ],
)
def test_the_hash_changes_for_exactly_the_run_that_changes(config, place, value, name):
    assert whose_hash_changes(config, **{place: value}) == {name}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("digits.data.noise", 0.2),
        ("digits.encoder.widths", [16, 32, 64, 96]),
        ("digits.encoder.strides", [2, 2, 2, 2]),
        ("digits.fit_on", ["train"]),
        ("digits.threads", 2),
        ("digits.training.momentum", 0.8),
    ],
)
def test_the_hash_of_all_runs_changes_with_what_they_share(config, place, value):
    assert whose_hash_changes(config, **{place: value}) == set(config["digits"]["runs"])


def test_the_decoder_changes_the_hash_of_the_runs_whose_images_it_decodes(whole_config):
    before = {(run.dataset, run.name): run for run in plan_runs(whole_config)}
    for run in plan_runs(changed(whole_config, **{"imagenet1k.data.decoder": "torchvision"})):
        assert (run.config_hash != before[run.dataset, run.name].config_hash) == (run.dataset == "imagenet1k")
        assert run.training["data"].get("decoder") == {"imagenet1k": "torchvision", "imagenet100": "pillow"}.get(run.dataset)


def test_the_hash_of_a_run_does_not_change_with_what_it_overrides(config):
    runs = config["digits"]["runs"]
    own_hidden = {name for name in runs if "projector_hidden" in runs[name]}
    assert whose_hash_changes(config, **{"digits.projector_hidden": 128}) == set(runs) - own_hidden
    own_views = {name for name in runs if "views" in runs[name]}
    assert whose_hash_changes(config, **{"digits.default_views": ["weak", "standard"]}) == set(runs) - own_views
    assert own_hidden
    assert own_views
    assert own_hidden != own_views


def test_the_number_of_epochs_changes_the_hash_of_the_trained_runs(config):
    assert whose_hash_changes(config, epochs=5) == {run.name for run in plan_runs(config)} - {"random_encoder"}


@pytest.mark.parametrize(
    ("place", "value"),
    [("seeds", 5), ("digits.seeds_per_job", 1), ("methods", "arb"), (f"{ARB}.label", "ARB again"), ("orderings", [])],
)
def test_the_hash_does_not_change_with_what_training_does_not_see(config, place, value):
    assert whose_hash_changes(config, **{place: value}) == set()


SHARED = ("determinism", "encoders", "images", "method", "optimizers", "pretrain", "renders", "seeds", "trace", "views")


@pytest.mark.parametrize(
    ("module", "concerned"), [*((name, None) for name in SHARED), ("methods/byol", {"byol"}), ("methods/ressl", {"ressl"})]
)
def test_an_edit_of_the_code_changes_the_hash_of_the_runs_it_concerns(config, tmp_path, module, concerned):
    place = tmp_path / "workflow"
    shutil.copytree(ROOT / "workflow", place, ignore=shutil.ignore_patterns("__pycache__"))
    program = """
import json, sys, yaml
from arb_suite.settings import plan_runs
from arb_suite.workflow import Plan
print(json.dumps({run.name: run.config_hash for run in plan_runs(json.load(sys.stdin))}))
"""

    with (place / f"arb_suite/{module}.py").open("a", encoding="utf-8") as file:
        file.write("\nADDED = 1\n")
    planned = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(config),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(place), str(ROOT)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    before = {run.name: run.config_hash for run in plan_runs(config)}
    after = json.loads(planned.stdout)
    assert {name for name in before if before[name] != after[name]} == (concerned or set(before))


def test_settings_of_the_evaluation_leave_the_training_alone(config):
    change = {"digits.evaluation.linear.epochs": 50}
    assert whose_hash_changes(config, **change) == set()
    assert plan_runs(config)[0].evaluation != plan_runs(changed(config, **change))[0].evaluation


def test_checkpoints_are_kept_apart_by_hash_and_seed(config):
    runs = plan_runs(config)
    paths = {run.checkpoint(seed) for run in runs for seed in run.seeds}
    assert len(paths) == config["digits"]["seeds"] * len(runs)


# --- variations and counterparts --------------------------------------------------------------------------------------

TUNING = "digits.tuning"
BAD_TABLES = [
    ("digits.variations.arb_d512.of", "nonsense", ["variations.arb_d512", "nonsense", "arb_d256"]),
    ("digits.variations.arb_d32", {"of": "arb_d256"}, ["variations.arb_d32", "already", "another name"]),
    ("digits.variations.arb_d512.training", {"epochs": -4}, ["arb_d512", "-4", "minimum of 0"]),
    ("digits.variations.arb_d512.options", {"groups": 3}, ["variations.arb_d512", "groups 3", "divisor of 512"]),
    ("digits.variations.arb_d512.nonsense", 1, ["nonsense"]),
    ("digits.variations.arb_l2.options", {"ablation": "nonsense"}, ["arb_l2", "nonsense", "off_diagonal"]),
    ("digits.variations.arb_d512.snapshots", 0, ["arb_d512", "0", "minimum of 1"]),
    ("counterparts.table9", [], ["table9"]),
    ("counterparts.table5", [{"run": "nonsense", "printed": {}}], ["counterparts.table5", "nonsense", "arb_instance_d32"]),
    (
        "counterparts.table5",
        [{"run": "arb_d32", "printed": {"method": "ARB", "variant": "x"}}],
        ["Table 5", "no cell", "variant x"],
    ),
    (f"{TUNING}.grids.nonsense", [{"rate": 2}] * 2, ["tuning.grids", "nonsense", "arb_d32"]),
    (f"{TUNING}.grids.simclr", [{"rate": 2}], ["as many trials", "simclr 1", "vicreg 2"]),
    ("digits.runs.simclr.training", {"epochs": 0}, ["tuning.grids.simclr", "not trained"]),
    (f"{TUNING}.grids.simclr", [{"rate": 0}, {"rate": 2}], ["grids.simclr[0].rate", "0"]),
    (f"{TUNING}.grids.simclr", [{}, {"rate": 2}], ["grids.simclr[0]"]),
    (f"{TUNING}.grids.simclr", [{"epochs": 3}, {"rate": 2}], ["epochs"]),
    (f"{TUNING}.grids.simclr", [{"options": {"colour": 1}}, {"rate": 2}], ["tuning.grids.simclr", "colour"]),
    (f"{TUNING}.grids.simclr", [{"rate": 2}, {"rate": 2}], ["tuning.grids.simclr", "rates x 2", "twice"]),
    (f"{TUNING}.grids.arb_d32", [{"options": {"groups": 3}}, {"rate": 2}], ["arb_d32", "groups 3", "divisor"]),
    (f"{TUNING}.also.nonsense", ["arb_d4"], ["tuning.also", "nonsense", "arb_d32"]),
    (f"{TUNING}.also.arb_d32", ["nonsense"], ["tuning.also", "nonsense", "arb_d4"]),
    (f"{TUNING}.also.arb_d32", ["arb_d4", "arb_d4"], ["arb_d4_tuned", "once"]),
    (f"{TUNING}.score_on", "test", ["tuning", "test", "choose others"]),
    (f"{TUNING}.score_on", "train", ["tuning", "train", "choose others"]),
    (f"{TUNING}.fit_on", ["train", "test"], ["tuning", "test", "choose others"]),
    ("counterparts.fig4", [{"run": "simclr", "printed": {}}], ["counterparts.fig4", "which method"]),
    (f"{TUNING}.seeds", 0, ["tuning.seeds", "minimum of 1"]),
    (f"{TUNING}.places", ["fig3"], ["tuning.places", "fig3"]),
    ("digits.variations.arb_d4_tuned", {"of": "arb_d32"}, ["two runs", "arb_d4_tuned"]),
    ("glyphs.runs.nonsense", {}, ["glyphs.runs", "nonsense", "arb_d32"]),
    ("glyphs.runs.arb_d256", {"label": "ARB", "epochs": 3}, ["glyphs.runs.arb_d256", "epochs"]),
    ("glyphs.runs.arb_instance_d256", {}, ["arb_d256 and arb_instance_d256", "label"]),
    ("glyphs.like", "cifar10", ["glyphs.like", "digits"]),
    ("glyphs.data.sources", {"train": 2200, "validation": 450, "test": 1000}, ["validation 450", "multiple of the 100"]),
    ("glyphs.data.strokes", [4, 2], ["strokes", "[4, 2]", "exchange"]),
    ("digits.training.accumulate", 4, ["accumulate", "would change the method", "processes"]),
    ("glyphs.data.classes", 1, ["glyphs.data.classes", "minimum of 2"]),
    ("glyphs.data.nonsense", 1, ["glyphs.data", "nonsense"]),
    ("imagenet1k.data.decoder", "nvjpeg", ["imagenet1k.data.decoder", "nvjpeg", "pillow", "torchvision"]),
]


@pytest.mark.parametrize(("place", "value", "expected"), BAD_TABLES, ids=[place for place, _, _ in BAD_TABLES])
def test_bad_variations_counterparts_and_grids_are_refused_in_one_sentence(whole_config, place, value, expected):
    with pytest.raises(UserError) as caught:
        plan_runs(changed(whole_config, **{place: value}))
    message = str(caught.value)
    assert "\n" not in message
    assert [part for part in expected if part not in message] == []


def test_a_variation_is_its_run_but_for_what_it_says(whole_config):
    runs = by_name(plan_runs(whole_config))
    base, variation = runs["arb_d256"], runs["arb_g8_shuffled"]
    assert variation.variation_of == "arb_d256"
    assert variation.training["options"] == {"groups": 8, "ridge": 1e-4, "shuffle": True}
    differing = {key for key in base.training if base.training[key] != variation.training[key]}
    assert differing == {"options", "epochs", "snapshots", "trace"}  # what is recorded is not handed on
    assert (base.paper_dim, variation.paper_dim) == (2048, None)
    # of another method the options are its own
    assert runs["arb_l2"].training["options"] == {"ablation": "l2"}
    assert runs["arb_l2"].training["proj_dim"] == 256


def test_variations_leave_the_main_table_and_its_runs_alone(config, whole_config):
    alone, together = by_name(plan_runs(config)), by_name(plan_runs(whole_config))
    assert all(together[name] == run for name, run in alone.items())
    assert all(run.variation_of for name, run in together.items() if name not in alone)


def test_variations_are_selected_with_the_run_that_they_are_of(whole_config):
    runs = plan_runs(changed(whole_config, methods="arb_d32"))
    chosen = {run.name for run in runs if run.selected}
    varied = {run.name for run in runs if "arb_d32" in (run.name, run.variation_of)}
    assert chosen == varied | {run.name for run in runs if run.chosen_on and run.variation_of in varied}


def test_a_batch_that_trials_cannot_fill_is_refused(whole_config):
    with pytest.raises(UserError, match=r"tuning\.grids\.simclr, for simclr: batch_size is larger than the 2194 images"):
        plan_runs(changed(whole_config, batch_size=2400, methods="simclr"))


def test_a_tuned_run_can_be_asked_for_alone(whole_config):
    chosen = {run.name for run in plan_runs(changed(whole_config, methods="arb_d4_tuned")) if run.selected}
    assert chosen == {"arb_d4_tuned"}


def test_a_data_set_that_is_like_another_has_its_settings_and_some_of_its_runs(whole_config):
    changes = {"digits.training.momentum": 0.8, "digits.runs.arb_d256.options": {"groups": 4}}
    runs = {(run.dataset, run.name): run for run in plan_runs(changed(whole_config, **changes))}
    names = [name for dataset, name in runs if dataset == "glyphs"]
    assert names == list(whole_config["glyphs"]["runs"])
    for name in names:
        ours, theirs = runs["glyphs", name].training, runs["digits", name].training
        differing = {key for key in ours if ours[key] != theirs[key]}
        assert {"dataset", "data"} <= differing <= {"dataset", "data", "snapshots", "trace"}
    assert runs["glyphs", "arb_instance_d256"].label == "ARB(ins)"
    assert runs["glyphs", "arb_d256"].training["momentum"] == 0.8
    assert all(run.dataset == "digits" for run in runs.values() if run.chosen_on)


def test_the_second_data_set_stays_out_of_the_main_table(whole_plan):
    for place in ("table1", "tuned", *whole_plan.config["counterparts"]):
        assert all("/digits/" in path for path in whole_plan.metrics(place))
    assert len(whole_plan.metrics("glyphs")) == len(whole_plan.config["glyphs"]["runs"])


def test_every_variation_is_used_and_every_place_has_its_runs(whole_plan):
    config = whole_plan.config
    used = {entry["run"] for entries in config["counterparts"].values() for entry in entries}
    used |= {claim[side] for claim in config["orderings"] for side in ("left", "right")}
    assert set(config["digits"]["variations"]) <= used
    for place, entries in config["counterparts"].items():
        runs = json.loads(whole_plan.counterpart(place))["runs"]
        named = {entry["run"] for entry in entries}
        assert {run["name"] for run in runs if run["embedded"] and not run["tuned_of"]} == named
        assert all(place in run["cells"] for run in runs if not run["embedded"])
        tuned = {run.variation_of for run in whole_plan.configured if run.chosen_on}
        shown = named & tuned if place in config["digits"]["tuning"]["places"] else set()
        assert {run["tuned_of"] for run in runs if run["tuned_of"]} == shown


def test_planning_imports_no_torch(whole_config):
    program = """
import json, sys
from arb_suite.workflow import Plan
plan = Plan(json.load(sys.stdin))
plan.tables(), plan.counterpart("fig3"), plan.orderings(), plan.tuned_table(), plan.epochs([])
sys.exit("torch" in sys.modules)
"""
    given = json.dumps(whole_config)
    assert subprocess.run([sys.executable, "-c", program], input=given, text=True, cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("given", ["true", "false", True, False])
def test_true_and_false_of_the_command_line_are_no_text(whole_config, given):
    plan = Plan(whole_config | {"download": given})
    assert json.loads(plan.data("cifar10"))["download"] is (str(given).lower() == "true")
