import io
import json
import os
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from snakemake.utils import update_config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from arb_suite.files import write_archive
from arb_suite.generated import draw_textures, draw_waves
from arb_suite.image_files import check_file
from arb_suite.printed import read_printed
from arb_suite.settings import EMBEDDED
from arb_suite.tables import read_cells
from arb_suite.workflow import Plan

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _environment():
    """A plan sets variables of the environment for its jobs; each test ends with those it began with."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ |= before


@pytest.fixture(scope="module")
def one_thread():
    """As in the jobs of the workflow."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class LargestTensor(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.elements = max([self.elements, *(leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor))])
        return out


@pytest.fixture
def largest_tensor():
    """A context that looks at every operation on tensors."""
    return LargestTensor


@pytest.fixture(scope="session")
def printed():
    """The tables of the paper."""
    return read_cells(ROOT / "workflow/paper/tables.csv")


@pytest.fixture(scope="session")
def paper():
    """All printed data."""
    return read_printed(ROOT / "workflow/paper", ROOT / "workflow/schemas/paper.schema.yaml")


@pytest.fixture(scope="session")
def read_config():
    """A function that gives the configuration as it is in the repository, put together as Snakemake does it."""

    def read():
        config = {}
        for name in ("default", "digits", "digits_tables", "digits_tuning", "glyphs", "paper"):
            update_config(config, yaml.safe_load((ROOT / f"workflow/config/{name}.yaml").read_text(encoding="utf-8")))
        return config

    return read


@pytest.fixture
def whole_config(read_config):
    """As the function gives it."""
    return read_config()


@pytest.fixture
def config(whole_config):
    """The configuration of the main table alone: no variations, no tuning, and what rests on them."""
    digits = {key: value for key, value in whole_config["digits"].items() if key not in ("variations", "tuning")}
    kept = [claim for claim in whole_config["orderings"] if {claim["left"], claim["right"]} <= set(digits["runs"])]
    others = ("glyphs", "cifar10", "cifar100", "imagenet100", "imagenet1k")
    without = {name: value for name, value in whole_config.items() if name not in others}
    return {**without, "datasets": "digits", "digits": digits, "counterparts": {}, "orderings": kept}


@pytest.fixture
def whole_plan(whole_config, monkeypatch):
    """The plan of the repository's configuration."""
    monkeypatch.chdir(ROOT)
    return Plan(whole_config)


@pytest.fixture
def plan(whole_plan):
    """The plan as the job of the main table receives it."""
    return json.loads(whole_plan.tables())


@pytest.fixture(scope="session")
def run():
    """A function that gives a run, as in the plan, on data that the paper has."""

    def make(label, paper_dim, **changes):
        return {
            "dataset": "cifar10",
            "name": f"{label.lower().replace(' ', '_')}_{paper_dim}",
            "label": label,
            "variant": "symmetric",
            "paper_dim": paper_dim,
            "proj_dim": paper_dim,
            "epochs": 1000,
            "n_eval": 10000,
            "protocol": "the protocol",
            "remark": "",
            "embedded": changes.get("dataset") in EMBEDDED,
            "generated": False,
            "cells": {},
            "tuned_of": None,
            "chosen_on": None,
            "snapshots": 0,
            "choice": [],
            "selected": True,
            **changes,
        }

    return make


@pytest.fixture(scope="session")
def measured():
    """A function that gives the table of metrics from (run, metric, values by seed)."""

    def make(*series):
        rows = [
            (entry["dataset"], entry["name"], seed, entry["epochs"], metric, value)
            for entry, metric, values in series
            for seed, value in enumerate(values)
        ]
        return pd.DataFrame(rows, columns=["dataset", "run", "seed", "epoch", "metric", "value"])

    return make


@pytest.fixture(scope="session")
def encoded():
    """A function that gives the bytes of a texture that was saved as an image."""

    def encode(height, width, mode="RGB", form="JPEG", **options):
        rng = np.random.default_rng(height + width)
        pixels = draw_textures(draw_waves(1, rng)[0], height, width, rng)
        buffer = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(buffer, format=form, **{"quality": 90, **options})
        return buffer.getvalue()

    return encode


@pytest.fixture(scope="session")
def listed():
    """A function that writes files of these contents, and a list of them as it would be, whose path it returns."""

    def write(root, files):
        for part in ("train", "val"):
            (root / part).mkdir()
        for name, content in files.items():
            (root / name).write_bytes(content)
        found = [check_file(root, name) for name in files]
        arrays = {
            "path": np.array([os.fsencode(file.path) for file in found]),
            "size": np.array([file.size for file in found], np.int64),
            "crc": np.array([file.crc for file in found], np.uint32),
            "labels": np.arange(len(found)),
            "source": np.arange(len(found)),
            "split": np.zeros(len(found), np.int8),
        }
        write_archive(root / "list.npz", arrays, {"classes": len(found)})
        return root / "list.npz"

    return write


@pytest.fixture(scope="session")
def run_processes(tmp_path_factory):
    """
    A function that runs a file, with RANK WORLD FOLDER, as several processes, and gives what each saved as FOLDER/rankRANK.pt.

    A test file can run itself so, and no import path of the test session is needed.
    """

    def run_all(file, world):
        folder = tmp_path_factory.mktemp("processes")
        commands = [[sys.executable, file, str(rank), str(world), str(folder)] for rank in range(world)]
        processes = [Popen(command, stderr=PIPE, text=True) for command in commands]
        try:
            errors = [process.communicate(timeout=120)[1] for process in processes]
        finally:
            for process in processes:
                process.kill()
        assert [process.returncode for process in processes] == [0] * world, "\n".join(errors)
        return [torch.load(folder / f"rank{rank}.pt") for rank in range(world)]

    return run_all
