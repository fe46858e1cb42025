"""The configuration for the paper's own data sets: ARB's settings as printed, every printed cell measured by one run."""

import math
from pathlib import Path

import pytest
import yaml

from arb_suite.cells import PLACES, printed_cells
from arb_suite.checks import check_method, check_views, read_schema
from arb_suite.methods import known_methods
from arb_suite.printed import FOLDER
from arb_suite.settings import HOW_TO_GET_IT
from arb_suite.variations import with_likes, with_variations

CONFIG = Path(__file__).parents[2] / "workflow/config"
PAPER = yaml.safe_load((CONFIG / "paper.yaml").read_text(encoding="utf-8"))
RELEASE = yaml.safe_load((CONFIG / "release.yaml").read_text(encoding="utf-8"))
CELLS = {place: printed_cells(FOLDER, place) for place in PLACES}
NAMES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet100": "ImageNet-100", "imagenet1k": "ImageNet-1k"}


def laid_over(under, over):
    """Return a configuration with another on top, mappings entry by entry, as Snakemake lays several files."""
    result = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = laid_over(result[key], value) if both else value
    return result


def runs_of(dataset, settings):
    """Return runs and variations by name, with the cells that each names itself."""
    bare = {name: {key: value for key, value in run.items() if key != "cells"} for name, run in settings["runs"].items()}
    return {**with_variations(dataset, {**settings, "runs": bare}), **settings["runs"]}


DATASETS = with_likes(PAPER)
RUNS = {(dataset, name): run for dataset in DATASETS for name, run in runs_of(dataset, DATASETS[dataset]).items()}
RELEASED = with_likes(laid_over(PAPER, RELEASE))
RELEASED_RUNS = {(dataset, name): run for dataset in RELEASED for name, run in runs_of(dataset, RELEASED[dataset]).items()}


def training_of(dataset, run, datasets=DATASETS):
    return datasets[dataset]["training"] | run.get("training", {})


def measured_cells():
    """Return every pair of a run and a printed cell that it names: its row of Table 1, and what stands under `cells`."""
    pairs = []
    for (dataset, name), run in RUNS.items():
        named = [(place, columns) for place, columns in run.get("cells", {}).items()]
        if "paper_dim" in run:
            named.append(("table1", {"method": run["label"], "variant": run["variant"], "proj_dim": str(run["paper_dim"])}))
        for place, columns in named:
            columns = {"dataset": NAMES[dataset], **columns}
            found = [
                (place, i)
                for i, cell in enumerate(CELLS[place])
                if all(cell.get(column) == value for column, value in columns.items())
            ]
            assert found, f"{dataset}.{name}: {place} has no cell with {columns}"
            pairs += [((dataset, name), cell) for cell in found]
    return pairs


@pytest.mark.parametrize(
    ("dataset", "epochs", "batch_size", "rate", "bias_rate", "encoder", "hidden", "size"),
    [
        ("cifar10", 1000, 256, 0.2, 0.005, "resnet18", 2048, 32),
        ("cifar100", 1000, 256, 0.2, 0.005, "resnet18", 2048, 32),
        ("imagenet100", 400, 128, 0.1, 0.0025, "resnet18", 2048, 224),
        ("imagenet1k", 100, 512, 0.4, 0.01, "resnet50", 8192, 224),
    ],
)
def test_arb_is_trained_as_printed(dataset, epochs, batch_size, rate, bias_rate, encoder, hidden, size):
    settings = DATASETS[dataset]
    arb = [run for (of, _), run in RUNS.items() if of == dataset and run["method"] == "arb" and "of" not in run]
    assert sorted(run["proj_dim"] for run in arb) == ([256, 2048, 8192] if dataset == "imagenet1k" else [256, 2048])
    for run in arb:
        assert run["options"]["ridge"] == 1e-4
        assert "training" not in run
        assert "views" not in run
        assert run.get("loss_divisor", 1) == 1
    training = settings["training"]
    assert (training["optimizer"], training["epochs"], training["batch_size"]) == ("lars", epochs, batch_size)
    assert (training["learning_rate"], training["bias_learning_rate"]) == pytest.approx((rate, bias_rate))
    assert training["warmup_fraction"] * epochs == pytest.approx(10)
    assert training["final_rate_fraction"] == 1 / 1000
    assert settings["encoder"]["kind"] == encoder
    assert settings["encoder"]["stem"] == ("small" if size == 32 else "large")
    assert settings["projector_hidden"] == hidden
    assert settings["default_views"] == ["view_a", "view_b"]
    for view, blur, solarise in (("view_a", 1.0, 0), ("view_b", 0.1, 0.2)):
        drawn = settings["views"][view]
        assert drawn["size"] == size
        assert (drawn["crop_area"], drawn["flip"], drawn["grey"]) == ([0.08, 1.0], 0.5, 0.2)
        assert (drawn["jitter"], drawn["jitter_share"]) == ([0.4, 0.4, 0.2, 0.1], 0.8)
        assert (drawn["blur"], drawn["solarise"]) == (blur, solarise)


@pytest.mark.parametrize("dataset", NAMES)
def test_encoders_are_evaluated_as_printed(dataset):
    evaluation = DATASETS[dataset]["evaluation"]
    linear = evaluation["linear"]
    assert (linear["epochs"], linear["batch_size"], linear["learning_rate"]) == (100, 256, 0.3)
    assert (linear["momentum"], linear["weight_decay"]) == (0.9, 1e-6)
    assert evaluation["knn"]["k"] == 5
    assert evaluation.get("resize") == (None if "cifar" in dataset else 256)
    assert DATASETS[dataset]["views"]["view_a"]["size"] == (32 if "cifar" in dataset else 224)


def test_every_printed_cell_is_measured_by_one_run():
    cells = [cell for _, cell in measured_cells()]
    printed = {(place, i) for place in PLACES for i in range(len(CELLS[place]))}
    assert set(cells) == printed
    assert len(cells) == len(set(cells))


def test_runs_have_the_settings_of_their_cells():
    for (dataset, name), (place, i) in measured_cells():
        run, cell = RUNS[dataset, name], CELLS[place][i]
        training = training_of(dataset, run)
        where = f"{dataset}.{name}: {place}"
        assert (run["method"] == "direct_alignment") == (cell["method"] == "Direct alignment"), where
        if cell["proj_dim"] and place != "table1":
            assert run["proj_dim"] == int(cell["proj_dim"]), where
        epochs = cell["pretrain_epochs"] or {"fig3": 100, "fig4": 100, "fig7": 100}.get(place, 1000)
        assert training["epochs"] == int(epochs), where
        assert training["warmup_fraction"] * training["epochs"] == pytest.approx(10), where
        if place == "fig5":
            assert training["batch_size"] == int(cell["batch_size"]), where
        if place == "fig6":
            assert run["options"]["groups"] == int(cell["groups"]), where
            assert run["options"]["groups"] == 1 or run["options"]["shuffle"] == (cell["variant"] == "with shuffle"), where
        if place == "fig7":
            assert run["snapshots"] == 10, where
        if place == "fig3":
            assert run["trace"], where
        if place == "table5":
            assert run["options"].get("level", "feature") == cell["variant"], where


def test_rates_are_in_proportion_to_the_batch_size():
    for (dataset, name), run in RUNS.items():
        if "of" in run and "batch_size" in PAPER[dataset].get("variations", {}).get(name, {}).get("training", {}):
            here, base = training_of(dataset, run), training_of(dataset, RUNS[dataset, run["of"]])
            for rate in ("learning_rate", "bias_learning_rate"):
                assert here[rate] / here["batch_size"] == pytest.approx(base[rate] / base["batch_size"]), name


def test_rates_of_solo_learn_are_halved_where_the_batch_is():
    # solo-learn's own, for 256 images: scripts/pretrain/{cifar,imagenet-100}
    published = {
        "barlow_twins_d256": (0.3, 0.3), "barlow_twins_d2048": (0.3, 0.3), "simclr": (0.4, 0.3), "vicreg": (0.3, 0.3),
        "swav": (0.6, 0.6), "w_mse": (2e-3, 2e-3), "byol": (1.0, 0.5), "simsiam": (0.5, 0.5), "moco_v2": (0.3, 0.3),
        "dino": (0.3, 0.3), "ressl": (0.05, 0.3),
    }  # fmt: skip
    for name, rates in published.items():
        for dataset, rate in zip(("cifar10", "imagenet100"), rates, strict=True):
            training = training_of(dataset, RUNS[dataset, name])
            assert training["learning_rate"] == pytest.approx(rate * training["batch_size"] / 256), (dataset, name)
            assert training["bias_learning_rate"] == training["learning_rate"]
            assert training["optimizer"] != "lars" or (training["clip"], training["trust_coefficient"]) == (True, 0.02)


@pytest.mark.parametrize("runs", [RUNS, RELEASED_RUNS], ids=["paper", "release"])
def test_every_run_is_one_of_a_known_method_with_what_it_asks_for(runs):
    schemas = read_schema(CONFIG.parent / "schemas/methods.schema.yaml")
    for (dataset, name), run in runs.items():
        assert run["method"] in known_methods()
        check_method(f"{dataset}.{name}", run, schemas)
        views = run.get("views", DATASETS[dataset]["default_views"])
        check_views(name, views, DATASETS[dataset]["views"])
        batch = training_of(dataset, run, RELEASED if runs is RELEASED_RUNS else DATASETS)["batch_size"]
        options = run.get("options", {})
        if run["method"] == "w_mse":
            assert options["whitening_size"] >= 2 * run["proj_dim"]
            assert batch % options["whitening_size"] == 0
        if "groups" in options:
            assert (batch if options.get("level") == "instance" else run["proj_dim"]) % options["groups"] == 0
        if "queue_size" in options:
            assert options["queue_size"] % batch == 0


def test_each_row_of_table_1_that_departs_from_its_dimension_says_so():
    for run in RUNS.values():
        if "paper_dim" in run:
            assert run["remark"]
            assert run["proj_dim"] == run["paper_dim"] or f"{run['proj_dim']}" in run["remark"]


def test_the_release_changes_the_runs_of_arb_and_adds_variations_of_them():
    for (dataset, name), run in RELEASED_RUNS.items():
        if (dataset, name) not in RUNS:
            assert name.startswith("release_")
            assert RELEASED[dataset]["runs"][run["of"]]["method"] == "arb"
        elif run != RUNS[dataset, name]:
            assert RELEASED[dataset]["runs"][run.get("of", name)]["method"] == "arb", name
    for dataset, rates in {
        "cifar10": (0.3, 0.0048), "cifar100": (0.3, 0.0048), "imagenet100": (0.3, 0.0048), "imagenet1k": (0.3, 0.0048),
    }.items():  # fmt: skip
        training = training_of(dataset, RELEASED_RUNS[dataset, "arb_d256"], RELEASED)
        scale = training["batch_size"] / 256
        assert (training["learning_rate"], training["bias_learning_rate"]) == pytest.approx([rate * scale for rate in rates])
        assert training["batch_size"] == (32 if "cifar" in dataset else 2048)
        assert training["trust_coefficient"] == (0.02 if "cifar" in dataset else 0.001)


@pytest.mark.parametrize("name", [name for dataset, name in RUNS if dataset == "cifar100" and name.endswith("_shuffled")])
def test_what_is_shuffled_is_so_under_the_release_too(name):
    for runs in (RUNS, RELEASED_RUNS):
        assert runs["cifar100", name]["options"]["shuffle"] is True


def test_images_in_files_are_reduced_before_a_batch_takes_the_memory_of_its_largest():
    for dataset in ("imagenet100", "imagenet1k"):
        view = PAPER[dataset]["views"]["view_a"]
        share = view["crop_area"][0] * view["crop_aspect"][0]  # of a square's area: the square of the crop's shorter side
        assert PAPER[dataset]["data"]["longest"] == math.ceil(view["size"] / math.sqrt(share)) == 915
        assert "longest" not in HOW_TO_GET_IT  # it changes what is learnt from, so runs are trained anew


def test_images_in_files_are_decoded_by_pillow_unless_that_is_set():
    for dataset in ("imagenet100", "imagenet1k"):
        assert PAPER[dataset]["data"]["decoder"] == "pillow"
