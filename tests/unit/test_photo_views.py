"""What a batch of views depends on, the view for evaluation, and bad input."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as tv

from arb_suite import photo_parameters
from arb_suite.jobs import UserError
from arb_suite.photo_views import central_view, random_photo_view

SETTINGS = {
    "kind": "photo",
    "size": 32,
    "crop_area": [0.08, 1.0],
    "crop_aspect": [3 / 4, 4 / 3],
    "flip": 0.5,
    "jitter": [0.4, 0.4, 0.2, 0.1],
    "jitter_share": 0.8,
    "grey": 0.2,
    "blur": 0.5,
    "blur_sigma": [0.1, 2.0],
    "blur_kernel": 23,
    "solarise": 0.2,
    "mean": [0.4914, 0.4822, 0.4465],
    "std": [0.247, 0.2435, 0.2616],
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(n, height=32, width=32):
    return torch.randint(0, 256, (n, 3, height, width), generator=generator(99), dtype=torch.uint8)


def test_bytes_and_floats_give_the_same_views():
    images = noise(8)
    first, second = (random_photo_view(x, SETTINGS, generator()) for x in (images, images / 255))
    assert torch.equal(first, second)
    assert first.dtype == torch.float32


def test_views_are_settled_by_the_generator():
    images = noise(16)
    before = images.clone()
    state = torch.get_rng_state()
    first, again, other = (random_photo_view(images, SETTINGS, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert (first != other).flatten(1).any(dim=1).all()
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_view_does_not_depend_on_the_other_images():
    images = noise(16)
    changed = images.clone()
    changed[::2] = 255 - changed[::2]
    first, second = (random_photo_view(x, SETTINGS, generator()) for x in (images, changed))
    assert torch.equal(first[1::2], second[1::2])
    assert (first[::2] != second[::2]).flatten(1).any(dim=1).all()


def test_padding_is_not_seen():
    sizes = torch.tensor([[40, 30], [25, 50], [40, 50]])
    images = noise(3, 40, 50)
    padded = torch.zeros_like(images)
    for image, target, (height, width) in zip(images, padded, sizes.tolist(), strict=True):
        target[:, :height, :width] = image[:, :height, :width]
    settings = SETTINGS | {"resize": 36}
    assert torch.equal(*(random_photo_view(x, settings, generator(), sizes) for x in (images, padded)))
    views = central_view(images, settings, sizes)
    assert torch.equal(views, central_view(padded, settings, sizes))
    for view, image, (height, width) in zip(views, images, sizes.tolist(), strict=True):
        alone = central_view(image[None, :, :height, :width], settings)[0]
        assert torch.allclose(view, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(60, 45), (45, 61), (30, 77), (32, 32)])
def test_central_view_is_resize_and_centre_crop(height, width):
    images = noise(4, height, width)
    views = central_view(images, SETTINGS | {"resize": 36})
    for view, image in zip(views, images, strict=True):
        central = tv.center_crop(tv.resize(Image.fromarray(image.permute(1, 2, 0).numpy()), 36), [32, 32])
        expected = tv.normalize(tv.pil_to_tensor(central) / 255, SETTINGS["mean"], SETTINGS["std"])
        assert (view - expected).abs().max() < 1.1 / 255 / min(SETTINGS["std"])  # two roundings, and weights of 16 bits


def test_central_view_of_an_image_of_the_right_size_is_the_image():
    images = noise(4)
    expected = tv.normalize(images / 255, SETTINGS["mean"], SETTINGS["std"])
    assert torch.allclose(central_view(images, SETTINGS), expected, atol=1e-6, rtol=0)


def test_nothing_waits_for_the_device(monkeypatch):
    # On the meta device tensors have no values: reading one, selecting by a mask or mixing devices raises
    meta = torch.device("meta")
    monkeypatch.setattr(
        photo_parameters,
        "draw_uniforms",
        lambda n, _: {name: torch.empty(n, k, dtype=torch.float64, device=meta) for name, k in photo_parameters.DRAWS.items()},
    )
    images = torch.empty(5, 3, 40, 50, device=meta, dtype=torch.uint8)
    settings = SETTINGS | {"resize": 36}
    for view in (random_photo_view(images, settings, SimpleNamespace(device=meta)), central_view(images, settings)):
        assert view.device == meta
        assert view.shape == (5, 3, 32, 32)


def test_a_generator_on_cpu_serves_images_elsewhere():
    view = random_photo_view(torch.empty(2, 3, 32, 32, device="meta"), SETTINGS, generator())
    assert view.device == torch.device("meta")


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("images", [torch.zeros(3, 32, 32), torch.zeros(2, 1, 32, 32), torch.zeros(2, 3, 32, 32).long()])
def test_other_than_a_batch_of_rgb_images(images):
    for view in (partial(random_photo_view, generator=generator()), central_view):
        with pytest.raises(UserError, match=r"it must be \(B, 3, H, W\), uint8 or float"):
            view(images, settings=SETTINGS)


def test_central_view_of_a_size_that_is_not_asked_for():
    with pytest.raises(UserError, match="images of 40 x 32 pixels, where the settings ask for 32 x 32"):
        central_view(noise(2, 40, 32), SETTINGS)
    with pytest.raises(UserError, match="resize is 30, which leaves no central square of size 32"):
        central_view(noise(2, 40, 32), SETTINGS | {"resize": 30})
