"""The settings of the baselines follow from those of their sources by the rule that the configuration declares."""

import csv
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DIGITS = yaml.safe_load((ROOT / "workflow/config/digits.yaml").read_text(encoding="utf-8"))["digits"]
RUNS = DIGITS["runs"]
IMAGES = 50_000  # training images of CIFAR
EPOCHS = 1000  # of solo-learn there
BATCH = 256


def eighth(width):
    return width / 8


def same_share(count):
    images = sum(DIGITS["data"]["sources"][split] for split in DIGITS["fit_on"]) * DIGITS["data"]["renders"]
    return round(count * images / IMAGES)


def whole_batches(count):
    size = DIGITS["training"]["batch_size"]
    return round(same_share(count) / size) * size


def of_the_batch(count):
    return count * DIGITS["training"]["batch_size"] / BATCH


def of_the_training(epochs):
    return epochs / EPOCHS


def unchanged(value):
    return value


@pytest.mark.parametrize(
    ("run", "setting", "rule", "source"),
    [
        ("simclr", "projector_hidden", eighth, 2048),
        ("simclr", "temperature", unchanged, 0.2),
        ("vicreg", "projector_hidden", eighth, 2048),
        ("vicreg", "lambda_param", unchanged, 25),
        ("vicreg", "mu_param", unchanged, 25),
        ("vicreg", "nu_param", unchanged, 1),
        ("swav", "projector_hidden", eighth, 2048),
        ("swav", "prototypes", same_share, 3000),
        ("swav", "queue_size", whole_batches, 3840),
        ("swav", "queue_after", of_the_training, 50),
        ("swav", "frozen", of_the_training, 2),
        ("swav", "temperature", unchanged, 0.1),
        ("swav", "iterations", unchanged, 3),
        ("w_mse", "projector_hidden", eighth, 1024),
        ("w_mse", "whitening_size", of_the_batch, 128),
        ("byol", "projector_hidden", eighth, 4096),
        ("byol", "prediction_hidden", eighth, 4096),
        ("byol", "momentum", unchanged, [0.99, 1.0]),
        ("simsiam", "projector_hidden", eighth, 2048),
        ("simsiam", "prediction_hidden", eighth, 512),
        ("moco_v2", "projector_hidden", eighth, 2048),
        ("moco_v2", "queue_size", whole_batches, 32768),
        ("moco_v2", "temperature", unchanged, 0.2),
        ("moco_v2", "momentum", unchanged, [0.99, 0.999]),
        ("dino", "projector_hidden", eighth, 2048),
        ("dino", "prototypes", same_share, 4096),
        ("dino", "temperature_warmup", of_the_training, 50),
        ("dino", "frozen", of_the_training, 1),
        ("dino", "student_temperature", unchanged, 0.1),
        ("dino", "teacher_temperature", unchanged, 0.07),
        ("dino", "first_teacher_temperature", unchanged, 0.04),
        ("ressl", "projector_hidden", eighth, 4096),
        ("ressl", "queue_size", whole_batches, 65536),
        ("ressl", "student_temperature", unchanged, 0.1),
        ("ressl", "teacher_temperature", unchanged, 0.04),
        ("ressl", "momentum", unchanged, [0.99, 1.0]),
        ("barlow_twins_d32", "lambda_param", unchanged, 0.0051),
        ("barlow_twins_d256", "lambda_param", unchanged, 0.0051),
    ],
)
def test_settings_follow_from_their_source(run, setting, rule, source):
    configured = {"projector_hidden": DIGITS["projector_hidden"], **RUNS[run], **RUNS[run]["options"]}
    assert configured[setting] == rule(source)


@pytest.mark.parametrize("name", [name for name, run in RUNS.items() if "paper_dim" in run])
def test_dimensions_are_an_eighth_of_those_of_table_1(name):
    assert RUNS[name]["proj_dim"] == RUNS[name]["paper_dim"] / 8


def test_baselines_are_trained_like_arb():
    assert [name for name, run in RUNS.items() if "training" in run] == ["random_encoder"]


def test_declared_departures_are_as_declared():
    views = DIGITS["views"]
    assert RUNS["swav"]["options"]["epsilon"] == 0.02
    assert RUNS["dino"]["options"]["momentum"] == [0.99, 1.0]
    assert views["small"]["scale"] == 18 / 32
    assert views["small"]["crop_area"] == [0.35, 0.7]
    same = ("rotation_degrees", "contrast", "brightness", "noise", "crop_aspect")
    assert all(views["small"][name] == views["standard"][name] for name in same)


def test_the_weak_view_is_a_crop_and_nothing_else():
    weak, standard = (DIGITS["views"][name] for name in ("weak", "standard"))
    assert {name: value for name, value in weak.items() if name not in ("scale", "crop_area", "crop_aspect")} == {
        "rotation_degrees": 0, "contrast": 0, "brightness": 0, "noise": 0,
    }  # fmt: skip
    assert all(weak[name] == standard[name] for name in ("scale", "crop_area", "crop_aspect"))


def test_runs_stand_in_the_part_of_table_1_of_their_row():
    with (ROOT / "workflow/paper/tables.csv").open(encoding="utf-8", newline="") as handle:
        rows = {(row["method"], row["proj_dim"]): row["variant"] for row in csv.DictReader(handle) if row["table"] == "table1"}
    placed = {(run["label"], str(run["paper_dim"])): run for run in RUNS.values() if "paper_dim" in run}
    assert set(placed) == set(rows)
    for row, run in placed.items():
        assert run["variant"] == rows[row]
        assert run["remark"]


def test_only_losses_that_are_sums_over_dimensions_are_divided_by_them():
    for run in RUNS.values():
        if run["method"] in ("arb", "barlow_twins", "direct_alignment"):
            assert run["loss_divisor"] == run["proj_dim"]
        else:
            assert "loss_divisor" not in run
    assert {run["options"]["ridge"] for run in RUNS.values() if run["method"] == "arb"} == {1e-4}  # Eq. 9


def test_seeds_and_length_are_as_the_readme_says():
    assert (DIGITS["seeds"], DIGITS["training"]["epochs"], DIGITS["training"]["optimizer"]) == (3, 20, "lars")


def test_the_groups_of_arb_are_explicit():
    arb = [run for run in RUNS.values() if run["method"] == "arb"]
    assert len(arb) == 2
    for run in arb:
        assert run["options"]["groups"] == 1
        assert "the paper does not print how many groups" in run["remark"]


@pytest.mark.parametrize("run", ["swav", "dino"])
def test_multi_crop_methods_have_two_small_crops(run):
    assert RUNS[run]["views"] == ["standard", "standard", "small", "small"]
