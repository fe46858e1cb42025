import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import ndimage
from sklearn.datasets import load_digits

from arb_suite.digits import build, split_sources
from arb_suite.files import array_hash
from arb_suite.renders import SPLITS, render

ROOT = Path(__file__).parents[2]
STILL = {
    "size": 24,
    "inverse_scale": [1.0, 1.0],
    "shift": 0.0,
    "rotation_degrees": 0.0,
    "background": [0.0, 0.0],
    "ink": [1.0, 1.0],
    "noise": 0.0,
}


@pytest.fixture(scope="module")
def settings():
    return yaml.safe_load((ROOT / "workflow/config/digits.yaml").read_text(encoding="utf-8"))["digits"]["data"]


@pytest.fixture(scope="module")
def sources():
    return (load_digits().images / 16).astype(np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


# --- the split --------------------------------------------------------------------------------------------------------

SIZES = {"train": 1097, "validation": 200, "test": 500}


def test_every_source_is_in_one_split_of_the_size_asked_for():
    split = split_sources(load_digits().target, SIZES, rng())
    assert split.shape == (1797,)
    assert split.dtype == np.int8
    assert {name: int((split == i).sum()) for i, name in enumerate(SPLITS)} == SIZES


def test_split_is_stratified():
    labels = load_digits().target
    split = split_sources(labels, SIZES, rng())
    for index, name in enumerate(SPLITS):
        share = np.bincount(labels[split == index]) / SIZES[name]
        assert np.abs(share - np.bincount(labels) / len(labels)).max() < 1.5 / SIZES[name]


def test_split_is_settled_by_the_generator():
    labels = load_digits().target
    first, again, other = (split_sources(labels, SIZES, rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("train", [1096, 1098])
def test_sizes_that_do_not_add_up_are_refused(train):
    with pytest.raises(ValueError, match=f"add up to {train + 700}, but there are 1797 digits"):
        split_sources(load_digits().target, SIZES | {"train": train}, rng())


# --- the rendering ----------------------------------------------------------------------------------------------------


def zoomed(source, size, inverse_scale):
    """Bilinear interpolation by another library; what lies outside the source has no ink."""
    centres = ((np.arange(size) + 0.5) / size - 0.5) * inverse_scale * len(source) + len(source) / 2 - 0.5
    return ndimage.map_coordinates(source, np.meshgrid(centres, centres, indexing="ij"), order=1, mode="grid-constant")


@pytest.mark.parametrize("size", [8, 24, 29])
@pytest.mark.parametrize("inverse_scale", [1.0, 1.4])
def test_without_jitter_the_digit_is_upsampled(sources, size, inverse_scale):
    images = render(sources[:50], STILL | {"size": size, "inverse_scale": [inverse_scale] * 2}, rng())
    expected = 255 * np.stack([zoomed(source, size, inverse_scale) for source in sources[:50].astype(np.float64)])
    assert np.abs(images - expected).max() <= 0.5 + 1e-6


def test_at_its_own_size_the_digit_is_unchanged(sources):
    images = render(sources, STILL | {"size": 8}, rng())
    assert np.array_equal(images, np.round(255 * sources.astype(np.float64)).astype(np.uint8))


def test_form_of_the_renders(sources, settings):
    images = render(sources[:7], settings | {"size": 20}, rng())
    assert images.shape == (7, 20, 20)
    assert images.dtype == np.uint8


def test_rendering_is_settled_by_the_generator(sources, settings):
    first, again, other = (render(sources[:20], settings, rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert (first != other).any(axis=(1, 2)).all()


def test_rendering_leaves_its_input_alone(sources, settings):
    before = sources.copy()
    render(sources, settings, rng())
    assert np.array_equal(sources, before)


def test_background_is_one_level_per_image_within_its_range():
    images = render(np.zeros((400, 8, 8), np.float32), STILL | {"background": [0.1, 0.3], "ink": [0.7, 0.9]}, rng())
    assert (images == images[:, :1, :1]).all()
    levels = images[:, 0, 0] / 255
    assert levels.min() >= 0.1 - 0.5 / 255
    assert levels.max() <= 0.3 + 0.5 / 255
    assert np.ptp(levels) > 0.19


def test_ink_is_one_level_per_image_within_its_range():
    full = np.ones((400, 8, 8), np.float32)
    inside = render(full, STILL | {"background": [0.1, 0.3], "ink": [0.7, 0.95]}, rng())[:, 3:-3, 3:-3]
    assert (inside == inside[:, :1, :1]).all()
    levels = inside[:, 0, 0] / 255
    assert levels.min() >= 0.7 - 0.5 / 255
    assert levels.max() <= 0.95 + 0.5 / 255
    assert np.ptp(levels) > 0.24


def test_noise_has_the_standard_deviation_asked_for():
    images = render(np.zeros((200, 8, 8), np.float32), STILL | {"background": [0.5, 0.5], "noise": 0.1}, rng())
    deviation = images / 255 - 0.5
    # 115200 pixels: the standard error of the deviation is 0.1 / sqrt(2 x 115200) = 0.0002
    assert deviation.std() == pytest.approx(0.1, abs=0.001)
    assert deviation.mean() == pytest.approx(0, abs=0.002)
    neighbours = np.corrcoef(deviation[:, :, 1:].ravel(), deviation[:, :, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.02


def test_values_beyond_black_and_white_are_cut_off():
    images = render(np.zeros((50, 8, 8), np.float32), STILL | {"noise": 0.2}, rng())
    # Half of the noise is negative: black, not wrapped around to white
    assert (images == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert (images > 250).mean() < 0.001


def blob():
    """One spot in the middle of the digit's field."""
    source = np.zeros((8, 8), np.float32)
    source[3:5, 3:5] = 1
    return np.tile(source, (300, 1, 1))


def test_shift_stays_within_its_range():
    images = render(blob(), STILL | {"size": 40, "shift": 0.3, "inverse_scale": [1.6, 1.6]}, rng()).astype(float)
    pixels = np.arange(40) - 19.5
    weight = images.sum(axis=(1, 2))
    for profile in (images.sum(axis=1), images.sum(axis=2)):
        centres = profile @ pixels / weight / 20  # in units of half the render
        assert np.abs(centres).max() <= 0.3 + 0.01
        assert centres.min() < -0.28
        assert centres.max() > 0.28


def test_rotation_stays_within_its_range():
    bar = np.zeros((8, 8), np.float32)
    bar[:, 3:5] = 1
    images = render(np.tile(bar, (300, 1, 1)), STILL | {"size": 48, "rotation_degrees": 20}, rng()).astype(float)
    x = np.arange(48) - 23.5
    # Least-squares slope of the bar's centre line over the rows away from the border
    rows = np.arange(8, 40)
    centre = (images[:, rows] @ x) / images[:, rows].sum(axis=2)
    angles = np.degrees(np.arctan((centre @ x[rows]) / (x[rows] @ x[rows])))
    assert np.abs(angles).max() <= 20.5
    assert angles.min() < -18
    assert angles.max() > 18


def test_scale_stays_within_its_range():
    images = render(blob(), STILL | {"size": 48, "inverse_scale": [1.15, 1.7]}, rng()).astype(float)
    widths = np.sqrt(images.sum(axis=(1, 2)) / 255) / 48
    # The spot is a quarter of the field wide; bilinear interpolation leaves its integral alone
    assert widths.min() >= 0.25 / 1.7 - 0.005
    assert widths.max() <= 0.25 / 1.15 + 0.005
    assert np.ptp(widths) > 0.06


# --- the archive ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("digits") / "digits.npz"
    said = []
    build(settings, out, said.append)
    with np.load(out) as archive:
        return {
            "path": out,
            "said": said,
            "arrays": dict(archive),
            "description": json.loads(out.with_suffix(".json").read_text()),
        }


def test_no_source_is_in_two_splits(built):
    arrays = built["arrays"]
    splits_of = [set(arrays["split"][arrays["source"] == source]) for source in range(1797)]
    assert all(len(splits) == 1 for splits in splits_of)


def test_renders_of_a_source_share_its_label(built):
    arrays = built["arrays"]
    assert np.array_equal(arrays["labels"], load_digits().target[arrays["source"]])
    assert np.array_equal(np.bincount(arrays["source"]), np.full(1797, 2))


def test_renders_of_a_source_show_it(built, sources):
    # With what all digits share taken out, a render resembles its own digit and not the next one of the list
    arrays = built["arrays"]
    small = arrays["images"].reshape(-1, 8, 3, 8, 3).mean(axis=(2, 4)).reshape(-1, 64)
    particular = sources.reshape(-1, 64) - sources.reshape(-1, 64).mean(axis=0)
    own, other = ((small * particular[(arrays["source"] + step) % 1797]).sum(axis=1).mean() for step in (0, 1))
    assert own > 5 * abs(other)


def test_renders_of_a_source_differ(built):
    first, second = np.split(built["arrays"]["images"], 2)
    assert (first != second).any(axis=(1, 2)).all()


def test_two_builds_give_identical_bytes(built, settings, tmp_path):
    build(settings, tmp_path / "digits.npz", lambda line: None)
    for suffix in (".npz", ".json"):
        assert (tmp_path / f"digits{suffix}").read_bytes() == built["path"].with_suffix(suffix).read_bytes()


def test_another_seed_gives_other_data(built, settings, tmp_path):
    build(settings | {"seed": settings["seed"] + 1}, tmp_path / "digits.npz", lambda line: None)
    other = json.loads((tmp_path / "digits.json").read_text())
    assert other["data_hash"] != built["description"]["data_hash"]


def test_description(built, settings):
    arrays, description = built["arrays"], built["description"]
    assert description["data_hash"] == array_hash(**arrays)
    assert description["sources"] == settings["sources"]
    assert description["settings"] == settings
    assert description["renders_per_source"] == settings["renders"]
    assert description["image_shape"] == [24, 24]
    assert description["classes"] == 10
    for index, name in enumerate(SPLITS):
        labels = arrays["labels"][arrays["split"] == index]
        assert description["class_counts_per_split"][name] == (np.bincount(labels) // settings["renders"]).tolist()
    assert description["data_hash"][:12] in built["said"][0]
