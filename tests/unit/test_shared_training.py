"""Training whose batches are shared by two and three processes, against one process: real ones that talk by gloo."""

import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch import distributed

from arb_suite.images import ImageSet
from arb_suite.pretrain import train
from arb_suite.progress import Progress
from arb_suite.variations import with_variations

ROOT = Path(__file__).parents[2]
PAPER = yaml.safe_load((ROOT / "workflow/config/paper.yaml").read_text(encoding="utf-8"))
RUNS = with_variations("cifar10", PAPER["cifar10"])
WORLDS = (2, 3)
BATCH = 24
# Every method of the paper's data, and ARB in the ways that its processes talk differently
OPTIONS = {
    "arb": {"arb_wide": {"groups": 1, "ridge": 1e-4}, "arb_groups": {"groups": 8, "shuffle": True, "ridge": 1e-4},
            "arb_instance": {"groups": 1, "level": "instance", "ridge": 1e-4}},
    "w_mse": {"w_mse": {"whitening_size": 12}},
    "swav": {"swav": {"prototypes": 10, "temperature": 0.1, "epsilon": 0.05, "iterations": 3, "frozen": 0.0, "queue_size": 24,
                      "queue_after": 0.5}},
    "moco_v2": {"moco_v2": {"temperature": 0.2, "queue_size": 48, "momentum": [0.99, 0.999]}},
    "ressl": {"ressl": {"student_temperature": 0.1, "teacher_temperature": 0.04, "queue_size": 48, "momentum": [0.99, 1.0]}},
    "dino": {"dino": RUNS["dino"]["options"] | {"prototypes": 12}},
    "byol": {"byol": {"prediction_hidden": 16, "momentum": [0.99, 1.0]}},
    "simsiam": {"simsiam": {"prediction_hidden": 8}},
    "supervised": {"supervised": {}},  # which is not among the paper's, but can be added to them
}  # fmt: skip
CONFIGURED = {run["method"]: {run["method"]: run.get("options", {})} for run in reversed(RUNS.values())}  # the first of each
CASES = {
    name: (method, options)
    for method, cases in sorted((CONFIGURED | OPTIONS).items())
    for name, options in cases.items()
    if method != "random_encoder"
}


def settings(method, options):
    small = {"size": 16, "blur_kernel": 5}
    views = [PAPER["cifar10"]["views"][view] | small | {"mean": [0.5] * 3, "std": [0.25] * 3} for view in ("view_a", "view_b")]
    return {
        "encoder": {"kind": "conv", "widths": [8, 16], "strides": [2, 2]},
        "projector_hidden": 16,
        "proj_dim": 4 if method == "w_mse" else 16,
        "views": views,
        "method": method,
        "options": options,
        "loss_divisor": 1,
        "snapshots": 0,
        "trace": False,
        "compute": {"device": "cpu", "precision": "float32"},
        **PAPER["cifar10"]["training"],
        "learning_rate": 0.05,
        "optimizer": "sgd",
        "clip": False,
        "batch_size": BATCH,
        "epochs": 2,
    }


def train_all(folder):
    stream = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (2 * BATCH, 3, 20, 20), generator=stream, dtype=torch.uint8)
    images = ImageSet(pixels, torch.arange(2 * BATCH) % 4, torch.arange(2 * BATCH), 4, "synthetic")
    results = {}
    for name, (method, options) in CASES.items():
        progress = Progress(name, 2, [0], lambda line: None)
        trained, record, _ = train(images, settings(method, options), 0, folder / f"{name}.state", progress)
        results[name] = {"losses": record["losses"], "state": trained.state_dict()}
    return results


def launched(own, world, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=own, world_size=world)
    results = train_all(folder)
    torch.save(results, folder / f"rank{own}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def alone(one_thread, tmp_path_factory):
    return train_all(tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module", params=WORLDS)
def shared(request, run_processes):
    return run_processes(__file__, request.param)


@pytest.mark.parametrize("name", CASES)
def test_several_processes_train_as_one_does(alone, shared, name):
    for of_rank in shared:
        assert of_rank[name]["losses"] == pytest.approx(alone[name]["losses"], rel=1e-5, abs=1e-6)
        for key, value in alone[name]["state"].items():
            other = of_rank[name]["state"][key]
            assert torch.allclose(other.double(), value.double(), rtol=1e-4, atol=2e-5), (key, (other - value).abs().max())


if __name__ == "__main__":
    launched(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
