"""The benchmark of pre-training: a plain script, run as on a machine that has torch and torchvision alone."""

import importlib.util
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "workflow/benchmarks/pretraining.py"
# What GPU machines often lack, made impossible to import; and sizes that take a second
GUARD = """
import runpy, sys
for name in ("lightly", "yaml", "jsonschema", "snakemake", "rich", "hypothesis"):
    sys.modules[name] = None
script, out = sys.argv[1:]
sys.argv = [script, "--out", out, "--device", "cpu", "--workers", "0"]
runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture(autouse=True)
def _algorithms():
    """The script settles how torch computes; each test leaves that as it was."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmark") / "made/table.csv"
    done = subprocess.run([sys.executable, "-c", GUARD, str(SCRIPT), str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return pd.read_csv(out)


def test_both_loops_are_measured(table):
    assert set(table["variant"]) == {"reference", "suite, float32"}
    steps = table[table["quantity"] == "step"]
    assert (steps["value"] > 0).all()
    assert (steps["n"] == 9).all()
    rate = table[table["quantity"] == "views per second"].set_index("variant")["value"]
    for variant, seconds in steps.set_index("variant")["value"].items():
        assert rate[variant] == pytest.approx(2 * 16 / seconds, rel=1e-2)


def test_the_parts_of_a_step_add_up_to_it(table):
    shares = table[table["quantity"].str.startswith("share of")]
    assert (shares["value"] >= 0).all()
    assert shares.groupby("variant")["value"].sum().tolist() == pytest.approx([1, 1], abs=1e-2)


def test_the_reference_is_one_reference_fast(table):
    ratios = table[table["quantity"] == "times the reference"].set_index("variant")["value"]
    steps = table[table["quantity"] == "step"].set_index("variant")["value"]
    assert ratios["reference"] == 1
    assert ratios["suite, float32"] == pytest.approx(steps["reference"] / steps["suite, float32"], rel=1e-2)


class NoTraining:
    """In the place of a model, so that only the images take time."""

    def __init__(self, of, *_):
        self.embeddings = [torch.randn(of.batch, of.dimension, generator=torch.Generator().manual_seed(i)) for i in (0, 1)]

    def step(self, views, clock):
        for _ in range(4):
            clock.mark()


def script_as_module(monkeypatch):
    spec = importlib.util.spec_from_file_location("pretraining", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "pretraining", script)
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec.loader.exec_module(script)
    return script


def test_each_loop_has_the_algorithms_that_it_would_have(monkeypatch):
    script = script_as_module(monkeypatch)
    of = replace(script.CIFAR, batch=4, hidden=8, dimension=8)
    found = []

    class Model(NoTraining):
        def step(self, views, clock):
            super().step(views, clock)
            found.append((torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32))

    monkeypatch.setattr(script, "Model", Model)
    cpu = torch.device("cpu")
    for variant in (script.Reference(of, cpu, 2, 0), script.Suite(of, cpu, torch.float32)):
        script.steps_of(variant, 1)
    assert list(dict.fromkeys(found)) == [(False, True), (True, False)]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_that_deliver_in_bursts_are_no_faster_than_they_are(monkeypatch):
    # Eight workers that take 0.2 s a batch make one in 0.025 s, but most batches are there when they are asked for
    script = script_as_module(monkeypatch)

    def slow(self, index):
        time.sleep(0.05)
        return [torch.zeros(3, 32, 32)] * 2

    monkeypatch.setattr(script.RandomPhotographs, "__getitem__", slow)
    monkeypatch.setattr(script, "Model", NoTraining)
    of = replace(script.CIFAR, batch=4, hidden=8, dimension=8)
    rows = script.measure(of, torch.device("cpu"), rounds=1, count=6, workers=8, compiled=False)
    (step,) = (value for name, quantity, value, *_ in rows if (name, quantity) == ("reference", "step"))
    assert step > 0.02  # sleep is never shorter, however busy the machine


def test_a_variant_that_does_not_fit_leaves_the_others(monkeypatch):
    script = script_as_module(monkeypatch)
    small = replace(script.CIFAR, batch=16, hidden=16, dimension=16)

    def full(self):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(script.Reference, "try_out", full)
    rows = script.measure(small, torch.device("cpu"), 1, 2, 0, False)
    assert ("reference", "out of memory", "", "", 0) in rows
    assert {quantity for name, quantity, *_ in rows if name == "reference"} == {"out of memory"}
    quantities = {quantity for name, quantity, *_ in rows if name == "suite, float32"}
    assert "views per second" in quantities
    assert "times the reference" not in quantities
