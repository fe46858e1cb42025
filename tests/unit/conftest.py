import json
import os
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from arb_suite.printed import read_printed
from arb_suite.tables import read_cells
from arb_suite.workflow import Plan

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def one_thread():
    """As in the jobs of the workflow."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def printed():
    """The tables of the paper."""
    return read_cells(ROOT / "workflow/paper/tables.csv")


@pytest.fixture(scope="session")
def paper():
    """All printed data."""
    return read_printed(ROOT / "workflow/paper", ROOT / "workflow/schemas/paper.schema.yaml")


@pytest.fixture
def plan(monkeypatch):
    """The plan of the repository's configuration, as the job of the tables receives it."""
    monkeypatch.chdir(ROOT)
    for variable in ("PATH", "PYTHONPATH", "ARB_SUITE_PARENT"):  # the plan sets them; put them back
        monkeypatch.setenv(variable, os.environ.get(variable, ""))
    files = (ROOT / "workflow/config" / name for name in ("default.yaml", "digits.yaml"))
    config = {key: value for file in files for key, value in yaml.safe_load(file.read_text(encoding="utf-8")).items()}
    return json.loads(Plan(config).tables())


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
            "selected": True,
            **changes,
        }

    return make


@pytest.fixture(scope="session")
def measured():
    """A function that gives the table of metrics from (run, metric, values by seed)."""

    def make(*series):
        rows = [
            (entry["dataset"], entry["name"], seed, metric, value)
            for entry, metric, values in series
            for seed, value in enumerate(values)
        ]
        return pd.DataFrame(rows, columns=["dataset", "run", "seed", "metric", "value"])

    return make
