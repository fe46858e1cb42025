import json

import numpy as np
import pandas as pd
import pytest
import yaml

from arb_suite.embedded import embedded_table
from arb_suite.glyphs import build, draw, draw_glyphs
from arb_suite.images import load_images
from arb_suite.measured import read_metrics
from arb_suite.renders import SPLITS
from arb_suite.tables import COLUMNS


@pytest.fixture(scope="module")
def settings(request):
    path = request.config.rootpath / "workflow/config/glyphs.yaml"
    whole = yaml.safe_load(path.read_text(encoding="utf-8"))["glyphs"]["data"]
    return whole | {"classes": 10, "sources": {"train": 80, "validation": 20, "test": 40}}


@pytest.fixture(scope="module")
def drawn(settings):
    return draw_glyphs(settings, np.random.default_rng(0))


def test_a_straight_stroke_has_its_width_and_soft_borders():
    line = draw(np.array([[[-0.5, 0.0], [0.0, 0.0], [0.5, 0.0]]]), 101, 0.2)
    profile = line[:, 50]
    at = np.linspace(-1, 1, 101)
    exact = np.clip(1.5 - np.abs(at) / 0.2, 0, 1)
    assert (profile <= exact + 1e-12).all()
    assert np.abs(profile - exact).max() < 0.05  # the points of the curve are a little apart
    assert np.allclose(profile, profile[::-1])


def test_a_stroke_is_where_its_curve_is():
    drawing = draw(np.array([[[-0.8, -0.8], [0.8, -0.8], [0.8, 0.8]]]), 41, 0.1)
    middle = 0.25 * np.array([-0.8, -0.8]) + 0.5 * np.array([0.8, -0.8]) + 0.25 * np.array([0.8, 0.8])
    column, row = np.round(20 * (middle + 1)).astype(int)  # x is across, y is down
    assert drawing[row, column] == 1
    assert drawing[column, row] == 0
    assert drawing.min() == 0


def test_every_class_is_in_every_split_alike(settings, drawn):
    sources, labels, split = drawn
    assert sources.shape == (140, 16, 16)
    assert (sources.min(), sources.max()) == (0, 1)
    for i, name in enumerate(SPLITS):
        assert np.bincount(labels[split == i]).tolist() == [settings["sources"][name] // 10] * 10


def test_sources_of_a_class_resemble_each_other_and_none_is_another(drawn):
    sources, labels, _ = drawn
    flat = sources.reshape(len(sources), -1)
    distance = np.linalg.norm(flat[:, None] - flat, axis=-1) + 1e9 * np.eye(len(flat))
    assert (labels[distance.argmin(axis=1)] == labels).mean() > 0.8
    assert distance.min() > 0.1


def test_the_same_seed_draws_the_same_and_another_does_not(settings, drawn):
    again = draw_glyphs(settings, np.random.default_rng(0))
    assert all(np.array_equal(a, b) for a, b in zip(drawn, again, strict=True))
    assert not np.array_equal(drawn[0], draw_glyphs(settings, np.random.default_rng(1))[0])


def test_it_is_written_as_the_training_reads_it(settings, tmp_path):
    path = tmp_path / "glyphs.npz"
    lines = []
    build(settings, path, lines.append)
    fitted, scored = load_images(path, ["train", "validation"]), load_images(path, ["test"])
    assert (fitted.images.shape, scored.images.shape, fitted.classes) == ((100, 1, 24, 24), (40, 1, 24, 24), 10)
    assert not set(fitted.source.tolist()) & set(scored.source.tolist())
    assert json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["sources"] == settings["sources"]
    assert "140 renders of 140 glyphs" in lines[0]
    before = path.read_bytes()
    build(settings, path, lines.append)
    assert path.read_bytes() == before


def test_its_table_has_a_row_per_run_and_metric(whole_plan, tmp_path):
    runs = json.loads(whole_plan.glyphs_table())["runs"]
    path = tmp_path / "metrics.csv"
    rows = [(s, 20, m, 60.0 + s, "abc", "def") for s in range(3) for m in ("linear_top1", "knn5_top1")]
    pd.DataFrame(rows, columns=["seed", "epoch", "metric", "value", "config_hash", "data_hash"]).to_csv(path, index=False)
    for run in runs:
        run |= {"metrics": [str(path)], "selected": run["name"] == "simclr"}
    table = embedded_table(runs, read_metrics(runs))
    assert list(table) == COLUMNS
    assert len(table) == 2 * len(runs)
    assert not table.duplicated(["method", "proj_dim", "metric"]).any()
    simclr = table[table["method"] == "SimCLR"]
    assert simclr["measured"].tolist() == ["61.00", "61.00"]
    assert set(simclr["n_eval"]) == {"1000"}
    assert simclr["note"].str.contains("1000 test glyphs of 1 render each").all()
    assert set(table.loc[table["method"] != "SimCLR", "verdict"]) == {"not run"}
