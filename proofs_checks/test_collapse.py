"""Training that starts collapsed: on the suite's own data, and with the starts that are named."""

import numpy as np
import pandas as pd
import pytest
import torch

from arb_suite.digits import build
from arb_suite.images import load_images
from proofs_checks import collapse
from proofs_checks.collapse import Start, curves, train_from, training_images


def test_the_images_are_those_of_the_workflow(tmp_path):
    settings = collapse._configuration()
    build(settings["data"], tmp_path / "digits.npz", lambda line: None)
    written, rendered = load_images(tmp_path / "digits.npz", settings["fit_on"]), training_images()
    assert torch.equal(rendered.images.float(), written.images)
    assert torch.equal(rendered.labels, written.labels)
    assert torch.equal(rendered.source, written.source)
    assert rendered.classes == written.classes


def test_equal_features_stay_equal_and_perturbed_ones_come_apart():
    equal, perturbed, direct, initialised = (
        train_from(Start(method, perturbation, ridge), 3)[0]
        for method, perturbation, ridge in (
            ("arb", 0.0, 1e-4),
            ("arb", 1e-3, 1e-4),
            ("direct_alignment", 1e-3, None),
            ("arb", 1.0, 1e-4),
        )
    )
    assert equal == pytest.approx([1] * 4, abs=1e-9)
    assert (np.diff(perturbed) > 0).all()
    assert (np.diff(direct) < 0).all()
    assert perturbed[0] == direct[0] < 1.1 < initialised[0]


def test_one_view_twice_is_not_two_views():
    one, two = (train_from(Start("arb", 1.0, 1e-4, views), 1) for views in ("one", "two"))
    assert one[0][0] == two[0][0]  # before the first step
    assert one[1][0] < two[1][0]  # views that are equal are easier to align


def test_curves_have_a_row_per_step():
    table = curves(print, [Start("arb", 1e-3, 1e-4), Start("barlow_twins", 0.0)], 2)
    assert list(table) == ["method", "views", "perturbation", "ridge", "step", "effective_rank", "loss"]
    assert table["step"].tolist() == [0, 1, 2] * 2
    assert table["ridge"].tolist() == ["0.0001"] * 3 + [""] * 3
    assert (table["loss"] == "").tolist() == [False, False, True] * 2
    pd.testing.assert_frame_equal(curves(print, [Start("arb", 1e-3, 1e-4)], 2), table[:3])
