import math

import pytest
import torch

from arb_suite.views import random_view

STILL = {
    "scale": 1,
    "crop_area": [1.0, 1.0],
    "crop_aspect": [1.0, 1.0],
    "rotation_degrees": 0.0,
    "contrast": 0.0,
    "brightness": 0.0,
    "noise": 0.0,
}
ALL = {
    "scale": 1,
    "crop_area": [0.35, 1.0],
    "crop_aspect": [0.8, 1.25],
    "rotation_degrees": 20.0,
    "contrast": 0.5,
    "brightness": 0.2,
    "noise": 0.15,
}
SIZE = 24


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return torch.rand(300, 1, SIZE, SIZE, generator=generator(99))


def sampled_places(settings, n=400, height=SIZE, width=SIZE):
    """Decode the affine map of each view from images whose two channels are the coordinates of the pixel, from -1 to 1."""
    x, y = ((torch.arange(length, dtype=torch.float64) * 2 + 1) / length - 1 for length in (width, height))
    ramps = torch.stack([x.expand(height, width), y[:, None].expand(height, width)]).expand(n, 2, height, width)
    view = random_view(ramps, STILL | settings, generator(5))
    i, j = height // 2, width // 2
    along_x = (view[:, :, i, j] - view[:, :, i, j - 1]) * width / 2
    along_y = (view[:, :, i, j] - view[:, :, i - 1, j]) * height / 2
    return {
        "x_by_x": along_x[:, 0],
        "y_by_x": along_x[:, 1],
        "x_by_y": along_y[:, 0],
        "y_by_y": along_y[:, 1],
        "centre": view[:, :, i - 1 : i + 1, j - 1 : j + 1].mean(dim=(2, 3)),
    }


# --- randomness -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(5, 1, 24, 24), (3, 3, 12, 16), (1, 1, 8, 8)])
def test_form_of_the_views(shape, dtype):
    view = random_view(torch.rand(shape, dtype=dtype), ALL, generator())
    assert view.shape == shape
    assert view.dtype == dtype
    assert view.isfinite().all()


def test_views_are_settled_by_the_generator(images):
    first, again, other = (random_view(images, ALL, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert (first != other).flatten(1).any(dim=1).all()


def test_global_randomness_is_neither_used_nor_moved(images):
    views = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        views.append(random_view(images, ALL, generator()))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*views)


def test_one_generator_gives_two_different_views(images):
    stream = generator()
    assert not torch.equal(random_view(images, ALL, stream), random_view(images, ALL, stream))


@pytest.mark.parametrize("setting", [name for name in ALL if name != "scale"])
def test_each_sample_is_drawn_on_its_own(images, setting):
    alike = images[:1].expand(50, -1, -1, -1)
    view = random_view(alike, STILL | {setting: ALL[setting]}, generator())
    assert len(view.flatten(1).unique(dim=0)) == 50


def test_input_is_left_alone(images):
    before = images.clone()
    random_view(images, ALL, generator())
    assert torch.equal(images, before)


# --- what each setting does -------------------------------------------------------------------------------------------


def test_without_jitter_the_image_is_returned(images):
    assert torch.allclose(random_view(images, STILL, generator()), images, atol=1e-5, rtol=0)
    assert torch.allclose(random_view(images.double(), STILL, generator()), images.double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("scale", "shape"), [(0.5, (12, 12)), (18 / 32, (14, 14)), (2, (48, 48))])
def test_scale_is_the_resolution_at_which_the_same_part_is_seen(images, scale, shape):
    ramp = torch.linspace(-1, 1, SIZE, dtype=torch.float64).expand(5, 1, SIZE, SIZE)
    view = random_view(ramp, STILL | {"scale": scale}, generator())
    assert view.shape[2:] == shape
    side = shape[1]
    places = (torch.arange(side, dtype=torch.float64) * 2 + 1) / side - 1
    inner = places.abs() < (SIZE - 1) / SIZE  # beyond the outermost pixels the image is reflected
    assert torch.allclose(view[0, 0, 0, inner], places[inner] * SIZE / (SIZE - 1), atol=1e-12, rtol=0)
    drawn, coarse = (random_view(images, ALL | {"scale": s, "noise": 0.0}, generator()).mean().item() for s in (1, scale))
    assert drawn == pytest.approx(coarse, abs=0.01)


def test_brightness_is_one_shift_per_image_within_its_range(images):
    shift = random_view(images.double(), STILL | {"brightness": 0.2}, generator()) - images.double()
    per_image = shift.mean(dim=(1, 2, 3))
    assert torch.allclose(shift, per_image[:, None, None, None].expand_as(shift), atol=1e-12, rtol=0)
    assert per_image.abs().max() <= 0.2
    assert per_image.min() < -0.19
    assert per_image.max() > 0.19


def test_contrast_keeps_the_mean_and_scales_what_deviates_from_it(images):
    images = images.double()
    view = random_view(images, STILL | {"contrast": 0.5}, generator())
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    assert torch.allclose(view.mean(dim=(1, 2, 3), keepdim=True), mean, atol=1e-12, rtol=0)
    factor = (view - mean).flatten(1).std(dim=1) / (images - mean).flatten(1).std(dim=1)
    assert torch.allclose(view - mean, factor[:, None, None, None] * (images - mean), atol=1e-10, rtol=0)
    assert factor.min() >= 0.5
    assert factor.max() <= 1.5
    assert factor.min() < 0.52
    assert factor.max() > 1.48


def test_noise_has_a_standard_deviation_of_its_own_per_image_up_to_the_setting(images):
    noise = (random_view(images, STILL | {"noise": 0.15}, generator()) - images).flatten(1)
    sigma = noise.std(dim=1)
    # 576 pixels: a standard deviation is estimated to 1 / sqrt(2 x 576) = 3%, 5 of them at most
    assert sigma.max() <= 0.15 * 1.15
    assert sigma.max() > 0.14
    assert sigma.min() < 0.01
    # Uniform from 0: the mean is half of the largest; 300 draws give it to 0.15 / sqrt(12 x 300) = 0.0025
    assert sigma.mean().item() == pytest.approx(0.075, abs=0.0125)
    assert noise.mean().abs() < 0.002
    assert torch.corrcoef(torch.stack([noise[:, 1:].flatten(), noise[:, :-1].flatten()]))[0, 1].abs() < 0.02


def test_crop_has_the_area_asked_for_and_stays_inside():
    places = sampled_places({"crop_area": [0.35, 0.9]}, height=20, width=32)
    width, height = places["x_by_x"], places["y_by_y"]
    assert torch.allclose(width, height, atol=1e-9)
    area = width * height
    assert area.min() >= 0.35 - 1e-9
    assert area.max() <= 0.9 + 1e-9
    assert area.min() < 0.36
    assert area.max() > 0.89
    assert area.mean().item() == pytest.approx(0.625, abs=0.04)
    for axis, side in enumerate((width, height)):
        room = places["centre"][:, axis].abs() + side
        assert room.max() <= 1 + 1e-9
        assert room.max() > 0.99
    assert places["x_by_y"].abs().max() < 1e-9
    assert places["y_by_x"].abs().max() < 1e-9


def test_crops_go_everywhere():
    centre = sampled_places({"crop_area": [0.36, 0.36]})["centre"]  # sides of 0.6 leave +- 0.4 to the centre
    assert centre.min(dim=0).values == pytest.approx([-0.4, -0.4], abs=0.02)
    assert centre.max(dim=0).values == pytest.approx([0.4, 0.4], abs=0.02)
    assert torch.corrcoef(centre.T)[0, 1].abs() < 0.2


def test_aspect_is_width_over_height_and_log_uniform():
    places = sampled_places({"crop_area": [0.25, 0.25], "crop_aspect": [0.5, 3.0]})
    width, height = places["x_by_x"], places["y_by_y"]
    assert torch.allclose(width * height, torch.full_like(width, 0.25), atol=1e-9)
    aspect = width / height
    assert aspect.min() >= 0.5 - 1e-9
    assert aspect.max() <= 3 + 1e-9
    assert aspect.max() > 2.9
    assert aspect.min() < 0.52
    assert aspect.log().mean().item() == pytest.approx(math.log(1.5) / 2, abs=0.1)


def test_rotation_stays_within_its_range():
    places = sampled_places({"rotation_degrees": 20.0})
    angle = torch.rad2deg(torch.atan2(places["y_by_x"], places["x_by_x"]))
    assert angle.abs().max() <= 20 + 1e-6
    assert angle.min() < -19
    assert angle.max() > 19
    # A rotation: orthogonal, and not a mirror image
    assert torch.allclose(places["x_by_x"], places["y_by_y"], atol=1e-9)
    assert torch.allclose(places["x_by_y"], -places["y_by_x"], atol=1e-9)
    assert places["x_by_x"].min() > 0


def test_beyond_the_border_the_image_is_reflected():
    geometry = {"crop_area": [0.35, 1.0], "crop_aspect": [0.5, 2.0], "rotation_degrees": 45.0}
    level = torch.full((100, 1, SIZE, SIZE), 0.7, dtype=torch.float64)
    assert torch.allclose(random_view(level, STILL | geometry, generator()), level, atol=1e-12)


@pytest.mark.parametrize(("aspect", "side"), [(2.0, "x"), (0.5, "y")])
def test_a_side_longer_than_the_image_is_centred_and_its_ends_are_mirrored(aspect, side):
    # Of area 1 and aspect 2 the crop is sqrt(2) wide: the view's coordinate u shows the image at sqrt(2) u, mirrored beyond 1
    line = (torch.arange(SIZE, dtype=torch.float64) * 2 + 1) / SIZE - 1
    ramp = (line if side == "x" else line[:, None]).expand(20, 1, SIZE, SIZE)
    view = random_view(ramp, STILL | {"crop_aspect": [aspect, aspect]}, generator())
    shown = view if side == "x" else view.mT
    place = math.sqrt(2) * line
    expected = torch.where(place.abs() > 1, place.sign() * 2 - place, place)
    inside = (place.abs() - 1).abs() > 1 / SIZE  # the outermost half pixel is level
    assert (place.abs() > 1).sum() > 4
    assert torch.allclose(shown[..., inside], expected[inside].expand_as(shown[..., inside]), atol=1e-9)
