"""Singular values of embeddings along the training: what is computed, collected and drawn."""

import numpy as np
import pandas as pd
import pytest
import torch

from arb_suite.evaluate import effective_rank, spectrum
from arb_suite.files import write_npz
from arb_suite.jobs import UserError
from arb_suite.plots import draw_spectra
from arb_suite.spectra import COLUMNS, spectra, spectrum_name


def test_two_correlated_columns_by_hand():
    # cosine 0.6: the squared singular values are 1.6 and 0.4; a constant column adds a zero
    column = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)
    other = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    z = torch.stack([3 * column + 1, 0.6 * column + 0.8 * other, torch.full((4,), 0.3, dtype=torch.float64)], dim=1)
    assert spectrum(z).tolist() == pytest.approx([1.6**0.5, 0.4**0.5, 0.0])
    assert spectrum(z[:, 2:]).tolist() == [0.0]


def test_squares_add_up_to_the_features_and_give_the_effective_rank():
    z = torch.randn(40, 7, generator=torch.Generator().manual_seed(0))
    s = spectrum(z)
    assert s.dtype == torch.float64
    assert s.square().sum().item() == pytest.approx(7)
    assert (s.diff() <= 0).all()
    p = s / s.sum()
    assert effective_rank(z) == pytest.approx(float((-p * p.log()).sum().exp()))


@pytest.fixture
def run_of(run, tmp_path):
    """A function that gives a run whose predictions hold such spectra, by seed and epoch."""

    def make(label, by_seed):
        paths = []
        for seed, by_epoch in by_seed.items():
            paths.append(str(tmp_path / f"{label}{seed}.npz"))
            found = {spectrum_name(seed, epoch): np.float32(values) for epoch, values in by_epoch.items()}
            write_npz(tmp_path / f"{label}{seed}.npz", labels=np.zeros(3), **found)
        return run(label, 2, dataset="digits", n_eval=500) | {"predictions": paths}

    return make


def test_seeds_are_averaged_at_every_epoch(run_of):
    runs = [run_of("ARB", {0: {0: [3, 1], 10: [2, 2]}, 1: {0: [5, 0], 10: [2, 1]}}), run_of("SimCLR", {0: {0: [1, 0.5]}})]
    table = spectra(runs)
    assert list(table) == COLUMNS
    assert table[["method", "epoch", "index", "singular_value", "n_seeds", "n_eval"]].values.tolist() == [
        ["ARB", 0, 1, "4", 2, 500],
        ["ARB", 0, 2, "0.5", 2, 500],
        ["ARB", 10, 1, "2", 2, 500],
        ["ARB", 10, 2, "1.5", 2, 500],
        ["SimCLR", 0, 1, "1", 1, 500],
        ["SimCLR", 0, 2, "0.5", 1, 500],
    ]


def test_predictions_of_an_earlier_version_are_told(run_of):
    with pytest.raises(UserError, match=r"ARB0.npz holds no spectra.*; delete its folder"):
        spectra([run_of("ARB", {0: {}})])


def test_a_panel_a_run_and_a_curve_an_epoch(run_of):
    table = spectra([run_of("ARB", {0: {0: [3, 1], 5: [3, 0], 10: [2, 2]}}), run_of("SimCLR", {0: {0: [1, 0.5], 9: [1, 1]}})])
    figure = draw_spectra(table.astype({"singular_value": float}))
    titled = [axis.get_title(loc="left") for axis in figure.axes]
    assert titled == ["ARB, d = 2", "SimCLR, d = 2"]
    assert [len(axis.lines) for axis in figure.axes] == [3, 2]
    assert [line.get_label() for line in figure.axes[0].lines if not line.get_label().startswith("_")] == [
        "epoch 0",
        "epoch 10",
    ]
    assert pd.isna(figure.axes[0].lines[1].get_ydata()[1])  # a zero has no place on such an axis


def test_runs_that_are_evaluated_along_their_training_are_those_with_embeddings(whole_plan):
    paths = whole_plan.spectra_predictions()
    names = {path.split("/")[3] for path in paths}
    assert {"arb_d256", "direct_alignment", "barlow_twins_d256"} <= names
    assert all(path.endswith("predictions.npz") and "_tuned" not in path for path in paths)
