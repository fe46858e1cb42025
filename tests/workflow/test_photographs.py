"""The paper's data sets end to end, on generated images in their formats and at a tiny size."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]

CIFAR = {
    "data": {"sources": {"train": 96, "test": 40}, "generated": True},
    "projector_hidden": 32,
    "threads": 1,
    "seeds": 3,
    "training": {"batch_size": 32},
    "evaluation": {"linear": {"epochs": 2}},
}


def generate(form, folder, train, test, classes):
    command = [sys.executable, "-m", "arb_suite", "generated", "--format", form, "--out", str(folder), "--log", f"{folder}.log"]
    sizes = ["--train", str(train), "--test", str(test), "--classes", str(classes), "--seed", "0"]
    subprocess.run([*command, *sizes], check=True, capture_output=True)


def configured(workflow, settings):
    """Write settings that are laid over the repository's, and return how they are given."""
    file = workflow.folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return ["--configfile", str(file)]


@pytest.fixture(scope="module")
def cifar(clean_copy, tmp_path_factory):
    """The main table with CIFAR-10, made once."""
    workflow = clean_copy(tmp_path_factory.mktemp("cifar"))
    generate("cifar10", workflow.folder / "data/cifar10", 96, 40, 10)
    given = configured(workflow, {"cifar10": CIFAR})
    asked = ("data_root=data", "datasets=cifar10", "methods=arb_d256,random_encoder", "epochs=1")
    workflow.status, workflow.printed = workflow.run(*given, config=asked)
    return workflow


def test_the_main_table_has_what_was_measured_in_the_papers_cells(cifar):
    assert cifar.status == 0, cifar.printed
    table = pd.read_csv(cifar.results / "table_main.csv", dtype=str, keep_default_na=False)
    measured = table[table["measured"] != ""]
    assert measured[["method", "proj_dim", "dataset", "metric"]].values.tolist() == [
        ["ARB", "256", "CIFAR-10", "linear_top1"],
        ["ARB", "256", "CIFAR-10", "linear_top5"],
        ["ARB", "256", "CIFAR-10", "knn5_top1"],
        ["Random encoder", "", "CIFAR-10", "linear_top1"],
        ["Random encoder", "", "CIFAR-10", "linear_top5"],
        ["Random encoder", "", "CIFAR-10", "knn5_top1"],
    ]
    assert set(measured["n_seeds"]) == {"3"}
    assert set(measured["n_eval"]) == {"40"}
    # whatever was measured: these are not the images of the paper
    assert set(measured["verdict"]) == {"not comparable"}
    assert measured["note"].str.contains("40 GENERATED images in the format of CIFAR-10").all()
    assert (measured["paper"] != "").tolist() == [True, True, False, False, False, False]
    text = (cifar.results / "table_main.txt").read_text(encoding="utf-8")
    assert "Measured on GENERATED images in the format of CIFAR-10" in text
    assert "digits" not in text


def test_what_a_run_leaves_can_be_traced(cifar):
    runs = sorted((cifar.results / "runs/cifar10").iterdir())
    assert [run.name for run in runs] == ["arb_d256", "random_encoder"]
    assert len(list((runs[0]).iterdir())) == 3  # one job a seed
    record = json.loads((runs[0] / "seeds1-1/training.json").read_text(encoding="utf-8"))
    description = json.loads((cifar.results / "data/cifar10.json").read_text(encoding="utf-8"))
    assert description["origin"] == "generated"
    assert record["seeds"]["1"]["data_hash"] == description["data_hash"]
    assert len(record["seeds"]["1"]["computed_on"]) == 1
    metrics = pd.read_csv(runs[0] / "seeds1-1/metrics.csv")
    of_run = {"linear_top1", "linear_top5", "knn5_top1", "knn5_top5", "effective_rank_features", "effective_rank_embeddings"}
    assert set(metrics["metric"]) == of_run


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["datasets=cifar10"], "give data_root=DIR"),
        (["datasets=cifar10", "data_root=nowhere"], "no folder 'nowhere'"),
        (["datasets=cifar10", "data_root=data", "processes=5"], "5 processes cannot share batch_size 32"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is_started(cifar, patience, asked, said):
    _, sentence_of = patience
    status, printed = cifar.run(*configured(cifar, {"cifar10": CIFAR}), "-n", config=asked)
    assert status != 0
    assert said in sentence_of(printed)


def test_a_download_can_be_asked_for_as_the_readme_says(cifar):
    asked = (ROOT / "README.md").read_text(encoding="utf-8").count("`download=true`")
    assert asked == 1
    status, printed = cifar.run("-n", config=["data_root=data", "datasets=cifar100", "methods=byol", "download=true"])
    assert status == 0, printed


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"generated": False}, "these are generated images, not CIFAR-10"),
        ({"sources": {"train": 50000, "test": 40}}, "96 images were found in its train split"),
    ],
)
def test_images_that_are_not_what_is_configured_stop_before_any_training(cifar, clean_copy, tmp_path, patience, settings, said):
    _, sentence_of = patience
    workflow = clean_copy(tmp_path)
    (workflow.folder / "data").symlink_to(cifar.folder / "data")
    given = configured(workflow, {"cifar10": CIFAR | {"data": CIFAR["data"] | settings}})
    asked = ("data_root=data", "datasets=cifar10", "methods=arb_d256", "epochs=1")
    status, printed = workflow.run(*given, config=asked)
    assert status != 0
    assert said in sentence_of(printed)
    assert not (workflow.results / "checkpoints").exists()


def test_a_gpu_that_is_not_there_is_missed_before_the_data_is_read(cifar, clean_copy, tmp_path, patience):
    workflow = clean_copy(tmp_path)
    (workflow.folder / "data").symlink_to(cifar.folder / "data")
    (tmp_path / "bin").mkdir()
    lists_one = tmp_path / "bin/nvidia-smi"
    asked = ("data_root=data", "datasets=cifar10", "methods=arb_d256", "epochs=1", "processes=2")
    for lines, device, said in (
        ("", "cuda", "cifar10.compute: device is cuda, but there is no GPU here"),
        ("GPU 0: NVIDIA A100 (UUID: GPU-1)", "cuda", "cifar10.compute: 2 processes need a GPU each, but there are 1"),
        ("GPU 0: NVIDIA A100 (UUID: GPU-1)", "auto", "cifar10.compute: 2 processes need a GPU each, but there are 1"),
    ):
        lists_one.write_text(f"#!/bin/sh\necho '{lines}'\n", encoding="utf-8")
        lists_one.chmod(0o755)
        given = configured(workflow, {"cifar10": CIFAR | {"compute": {"device": device}}})
        prefix = ("env", f"PATH={tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
        status, printed = workflow.run(*given, config=asked, prefix=prefix)
        assert status != 0
        assert said in patience[1](printed)
        assert not (workflow.results / "data").exists()


def test_two_processes_share_the_batches_of_a_run(cifar, clean_copy, tmp_path):
    workflow = clean_copy(tmp_path)
    (workflow.folder / "data").symlink_to(cifar.folder / "data")
    asked = ("data_root=data", "datasets=cifar10", "methods=arb_d256", "epochs=1", "seeds=1", "processes=2")
    status, printed = workflow.run(*configured(workflow, {"cifar10": CIFAR}), config=asked)
    assert status == 0, printed
    files = sorted(path.name for path in workflow.results.rglob("*.rank1"))
    assert files == ["seeds0-0.log.rank1"]
    shared, alone = (
        json.loads((of.results / "runs/cifar10/arb_d256/seeds0-0/training.json").read_text(encoding="utf-8"))
        for of in (workflow, cifar)
    )
    assert shared["seeds"]["0"]["computed_on"] == ["cpu, float32, 2 processes"]
    assert shared["config_hash"] == alone["config_hash"]  # a checkpoint serves any number of processes
    assert shared["seeds"]["0"]["losses"] == pytest.approx(alone["seeds"]["0"]["losses"], rel=2e-3)
    # ... and so does a finished run
    status, printed = workflow.run("-n", *configured(workflow, {"cifar10": CIFAR}), config=asked[:-1])
    assert "Nothing to be done" in printed, printed


def test_imagenet_is_read_from_its_files(clean_copy, tmp_path):
    workflow = clean_copy(tmp_path)
    generate("imagenet", workflow.folder / "data/imagenet100", 48, 20, 10)
    view = {"size": 64, "blur_kernel": 5}
    tiny = {
        # trained on images from torchvision's decoder, and evaluated on those from Pillow
        "data": {"sources": {"train": 48, "test": 20}, "generated": True, "decoder": "torchvision"},
        "projector_hidden": 32,
        "threads": 2,
        "views": {"view_a": view, "view_b": view},
        "training": {"batch_size": 16},
        "evaluation": {"resize": 72, "linear": {"epochs": 2}},
    }
    asked = ("data_root=data", "datasets=imagenet100", "methods=arb_d256", "epochs=1", "seeds=1")
    status, printed = workflow.run(*configured(workflow, {"imagenet100": tiny}), config=asked)
    assert status == 0, printed
    table = pd.read_csv(workflow.results / "table_main.csv", dtype=str, keep_default_na=False)
    measured = table[table["measured"] != ""]
    assert measured[["method", "proj_dim", "dataset", "metric"]].values.tolist() == [
        ["ARB", "256", "ImageNet-100", "linear_top1"],
        ["ARB", "256", "ImageNet-100", "linear_top5"],
        ["ARB", "256", "ImageNet-100", "knn5_top1"],
    ]
    assert set(measured["n_eval"]) == {"20"}
