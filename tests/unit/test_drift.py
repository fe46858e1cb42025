"""Trainings in float32 and float64: the same start, views and order, and distances from the one in float64."""

import json
from types import SimpleNamespace

import pytest
import torch

from arb_suite import drift as module
from arb_suite.drift import ARMS, COLUMNS, drift
from arb_suite.images import ImageSet
from arb_suite.jobs import UserError

EPOCHS = 2


@pytest.fixture
def images():
    stream = torch.Generator().manual_seed(0)
    return ImageSet(torch.rand(64, 1, 12, 12, generator=stream), torch.arange(64) % 4, torch.arange(64), 4, "synthetic")


@pytest.fixture
def settings(whole_plan):
    (digits,) = (run for name, run in json.loads(whole_plan.drift())["runs"].items() if name == "arb_d256")
    small = {
        "batch_size": 16,
        "proj_dim": 8,
        "projector_hidden": 12,
        "encoder": {"kind": "conv", "widths": [4], "strides": [2]},
    }
    return digits["training"] | small


def test_drift_begins_at_rounding_and_is_none_in_float64(images, settings, one_thread):
    rows = list(drift(images, images, settings, 0, EPOCHS))
    assert [(row["arm"], row["epoch"]) for row in rows] == [(arm, epoch) for arm in ARMS for epoch in range(EPOCHS + 1)]
    assert {"run", "seed"} | set(rows[0]) == set(COLUMNS)
    by = {(row["arm"], row["epoch"]): row for row in rows}
    for epoch in range(EPOCHS + 1):
        exact, single = by["float64", epoch], by["float32", epoch]
        assert float(exact["parameters_off"]) == float(exact["embeddings_off"]) == 0
        assert 0 < float(single["embeddings_off"]) < (1e-4 if epoch == 0 else 1)
        assert exact["loss"] == "" if epoch == 0 else float(single["loss_off"]) < 0.1
    assert float(by["float32", 0]["parameters_off"]) == 0
    assert 0 < float(by["float64, one weight nudged", 0]["parameters_off"]) < 1e-6
    # What differs is what the arms say
    last = {arm: by[arm, EPOCHS]["loss"] for arm in ARMS}
    assert len(set(last.values())) == len(ARMS)


def test_the_same_twice(images, settings, one_thread):
    assert list(drift(images, images, settings, 1, 1)) == list(drift(images, images, settings, 1, 1))


def test_without_a_run_there_is_nothing_to_compare(tmp_path):
    options = SimpleNamespace(plan=json.dumps({"runs": {}}), data=tmp_path / "no.npz", epochs=None, out=tmp_path / "drift.csv")
    with pytest.raises(UserError, match="no run on the digits is chosen that is evaluated along its training"):
        module.work(options, print)
    assert not options.out.exists()
