"""What is random in a view is distributed as in torchvision's transforms."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch.nn import functional

from arb_suite import photo_parameters
from arb_suite.photo_parameters import draw_parameters
from arb_suite.photo_views import random_photo_view
from arb_suite.reference_views import reference_pipeline
from arb_suite.statistics import holm

SETTINGS = {
    "kind": "photo",
    "size": 32,
    "crop_area": [0.08, 1.0],
    "crop_aspect": [3 / 4, 4 / 3],
    "flip": 0.5,
    "jitter": [0.4, 0.4, 0.2, 0.1],
    "jitter_share": 0.8,
    "grey": 0.2,
    "blur": 0.2,
    "blur_sigma": [0.1, 2.0],
    "blur_kernel": 23,
    "solarise": 0.1,
    "mean": [0.4914, 0.4822, 0.4465],
    "std": [0.247, 0.2435, 0.2616],
}
SHAPES = [(32, 32), (375, 500), (60, 320), (320, 60)]  # of the last two, many crops are the fallback
DRAWN = 4000
SHARES = ["flip", "jitter", "grey", "blur", "solarise"]
ALPHA = 0.01


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def crop_marginals(boxes, height, width):
    top, left, crop_height, crop_width = np.asarray(boxes, dtype=float).T
    name = f"crop of {height} x {width}: "
    return {
        name + "area": crop_height * crop_width,
        name + "aspect": np.log(crop_width / crop_height),
        name + "height": crop_height,
        name + "width": crop_width,
        name + "top": top,
        name + "left": left,
        name + "relative place": (top + left) / np.maximum(1, height - crop_height + width - crop_width),
    }


@pytest.fixture(scope="module")
def theirs():
    """Parameters that the transforms of the reference pipeline draw, by name; shares as whether an image was changed."""
    crop, flip, jitter, grey, blur, solarise, *_ = reference_pipeline(SETTINGS).transforms
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        drawn = {}
        for height, width in SHAPES:
            boxes = [crop.make_params([torch.empty(3, height, width)]) for _ in range(DRAWN)]
            drawn |= crop_marginals([[box[key] for key in ("top", "left", "height", "width")] for box in boxes], height, width)
        colour = [jitter.transforms[0].make_params([]) for _ in range(DRAWN)]
        for name in ("brightness", "contrast", "saturation", "hue"):
            drawn[name] = np.array([c[f"{name}_factor"] for c in colour])
        drawn["order"] = np.array([c["fn_idx"].tolist() for c in colour]) @ [64, 16, 4, 1]
        drawn["sigma"] = np.array([blur.transforms[0].make_params([])["sigma"][0] for _ in range(DRAWN)])
        floats = torch.rand(3, 16, 16, generator=generator())
        for name, transform in zip(SHARES, (flip, jitter, grey, blur, solarise), strict=True):
            image = (floats * 255).to(torch.uint8) if name == "solarise" else floats
            drawn[name] = np.array([not torch.equal(transform(image), image) for _ in range(DRAWN)], dtype=int)
    return drawn


def ours():
    drawn = {}
    for seed, (height, width) in enumerate(SHAPES):
        parameters = draw_parameters(torch.tensor([[height, width]]).expand(DRAWN, 2), SETTINGS, generator(seed))
        drawn |= crop_marginals(parameters.boxes.numpy(), height, width)
    for name, factors in zip(("brightness", "contrast", "saturation", "hue"), parameters.factors.numpy().T, strict=True):
        drawn[name] = factors
    drawn["order"] = parameters.order.numpy() @ [64, 16, 4, 1]
    drawn["sigma"] = parameters.sigma.numpy()
    for name, field in zip(SHARES, ("flipped", "jittered", "grey", "blurred", "solarised"), strict=True):
        drawn[name] = getattr(parameters, field).numpy().astype(int)
    return drawn


def adjusted_p_values(first, second):
    """Compare two samples of every parameter: Kolmogorov-Smirnov, or chi-square for what is discrete; adjusted by Holm."""
    assert first.keys() == second.keys()
    p_values = []
    for name, sample in first.items():
        if name in ("order", *SHARES):
            values = np.union1d(sample, second[name])
            counts = [[(drawn == value).sum() for value in values] for drawn in (sample, second[name])]
            p_values.append(stats.chi2_contingency(counts).pvalue)
        else:
            p_values.append(stats.ks_2samp(sample, second[name]).pvalue)
    return dict(zip(first, holm(p_values), strict=True))


# --- distributions ----------------------------------------------------------------------------------------------------


def test_every_parameter_is_distributed_as_in_torchvision(theirs):
    p_values = adjusted_p_values(ours(), theirs)
    assert len(p_values) == 7 * len(SHAPES) + 4 + 2 + 5
    assert {name: p for name, p in p_values.items() if p < ALPHA} == {}
    assert len(np.unique(ours()["order"])) == 24


def log_uniform_area(u):
    low, high = SETTINGS["crop_area"]
    return (low * (high / low) ** u - low) / (high - low)


def uniform_aspect(u):
    low, high = SETTINGS["crop_aspect"]
    return ((low + (high - low) * u).log() - math.log(low)) / math.log(high / low)


PLANTED = [
    ("area", log_uniform_area, "crop of 32 x 32: area"),
    ("aspect", uniform_aspect, "crop of 375 x 500: aspect"),
    ("place", lambda u: u * 0.9, "crop of 375 x 500: relative place"),
    ("factors", lambda u: u * 0.9, "saturation"),
    ("order", lambda u: u * torch.tensor([1, 1, 1, 0.8]), "order"),
    ("sigma", lambda u: u * 0.9, "sigma"),
    *((share, lambda u: u * 0.75, share) for share in SHARES),
]


@pytest.mark.parametrize(("draw", "change", "marginal"), PLANTED, ids=[draw for draw, *_ in PLANTED])
def test_a_wrong_distribution_is_seen(draw, change, marginal, theirs, monkeypatch):
    drawn = photo_parameters.draw_uniforms
    monkeypatch.setattr(photo_parameters, "draw_uniforms", lambda n, g: (u := drawn(n, g)) | {draw: change(u[draw])})
    p_values = adjusted_p_values(ours(), theirs)
    assert p_values[marginal] < ALPHA


@pytest.mark.parametrize("shape", [(32, 32), (375, 500), (60, 320), (320, 60), (1, 7)])
def test_crop_is_the_first_attempt_that_fits_or_the_central_one(shape):
    height, width = shape
    low, high = SETTINGS["crop_aspect"]
    n, fallbacks = 2000, 0
    boxes = draw_parameters(torch.tensor([shape]).expand(n, 2), SETTINGS, generator(7)).boxes.tolist()
    uniform = {name: u.tolist() for name, u in photo_parameters.draw_uniforms(n, generator(7)).items()}
    for box, areas, aspects, place in zip(boxes, uniform["area"], uniform["aspect"], uniform["place"], strict=True):
        for area, aspect in zip(areas, aspects, strict=True):
            pixels, ratio = height * width * (0.08 + 0.92 * area), low * (high / low) ** aspect
            w, h = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
            if 0 < w <= width and 0 < h <= height:
                expected = [int(place[0] * (height - h + 1)), int(place[1] * (width - w + 1)), h, w]
                break
        else:
            fallbacks += 1
            w, h = min(width, round(height * high)), min(height, round(width / low))
            expected = [(height - h) // 2, (width - w) // 2, h, w]
        assert box == expected
    assert (fallbacks > 100) == (shape in [(60, 320), (320, 60), (1, 7)])


def test_parameters_of_a_sample_are_its_own():
    sizes = torch.tensor([[40, 50], [300, 60], [32, 32], [64, 64]])
    first = draw_parameters(sizes, SETTINGS, generator())
    second = draw_parameters(sizes.where(torch.tensor([[True], [False], [True], [True]]), 500), SETTINGS, generator())
    for name, value in vars(first).items():
        kept = [0, 2, 3] if name == "boxes" else [0, 1, 2, 3]
        assert torch.equal(value[kept], getattr(second, name)[kept])
    assert not torch.equal(first.boxes[1], second.boxes[1])


def test_what_comes_of_the_draws_does_not_change_how_many_there_are():
    states = []
    for shape, settings in [
        ((32, 32), SETTINGS),
        ((1, 900), SETTINGS | {"jitter_share": 0.0, "blur": 1.0, "crop_area": [0.9, 1.0]}),
    ]:
        stream = generator()
        draw_parameters(torch.tensor([shape]).expand(50, 2), settings, stream)
        states.append(stream.get_state())
    assert torch.equal(*states)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_share_of_nothing_and_of_all(share):
    settings = SETTINGS | dict.fromkeys(("flip", "jitter_share", "grey", "blur", "solarise"), share)
    drawn = draw_parameters(torch.tensor([[32, 32]]).expand(1000, 2), settings, generator())
    for field in (drawn.flipped, drawn.jittered, drawn.grey, drawn.blurred, drawn.solarised):
        assert (field == bool(share)).all()


# --- pixels -----------------------------------------------------------------------------------------------------------


COPIES = 30  # views of each image


def moments(views):
    """Return mean, variance and mean squared step to the next pixel, by channel, of each view before it was normalised."""
    pixels = views * torch.tensor(SETTINGS["std"])[:, None, None] + torch.tensor(SETTINGS["mean"])[:, None, None]
    steps = pixels.diff(dim=3).square().mean(dim=(2, 3)) + pixels.diff(dim=2).square().mean(dim=(2, 3))
    return torch.cat([pixels.mean(dim=(2, 3)), pixels.var(dim=(2, 3)), steps], dim=1)


@pytest.fixture(scope="module")
def images():
    """Blotches of several scales, the finest of a pixel, 8 bits."""
    coarse = [torch.rand(50, 3, side, side, generator=generator(side)) for side in (2, 6, 32)]
    layers = [functional.interpolate(layer, (32, 32), mode="bicubic") for layer in coarse]
    return (layers[0] * 0.6 + layers[1] * 0.5 + layers[2] * 0.2 - 0.15).clamp(0, 1).mul(255).to(torch.uint8)


@pytest.fixture(scope="module")
def their_moments(images):
    pipeline = reference_pipeline(SETTINGS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        views = [pipeline(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in images for _ in range(COPIES)]
    return moments(torch.stack(views))


@pytest.mark.parametrize("planted", [{}, {"crop_area": [0.5, 1.0]}, {"blur": 1.0}, {"solarise": 0.3}], ids=str)
def test_moments_of_the_pixels_are_those_of_the_reference(planted, images, their_moments):
    our_moments = moments(random_photo_view(images.repeat_interleave(COPIES, dim=0), SETTINGS | planted, generator()))
    difference = our_moments.mean(dim=0) - their_moments.mean(dim=0)
    error = ((our_moments.var(dim=0) + their_moments.var(dim=0)) / len(our_moments)).sqrt()
    # Pillow cuts off fractions in its colour operations, which takes up to two of 255 levels from the mean
    margin = torch.tensor([2 / 255] * 3 + [0.0] * 6)
    alike = bool((difference.abs() < margin + 4 * error).all())
    assert alike == (not planted)
