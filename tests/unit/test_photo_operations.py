"""The operations on photographs, alone and in a row, against torchvision with the same parameters."""

from functools import partial
from itertools import permutations

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from arb_suite import photo_operations
from arb_suite.jobs import UserError
from arb_suite.photo_operations import blur, crop_resize, jitter, luminance, shift_hue, solarise
from arb_suite.photo_parameters import BRIGHTNESS, CONTRAST, HUE, SATURATION, draw_parameters
from arb_suite.photo_views import random_photo_view

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
ADJUST = {
    BRIGHTNESS: tv.adjust_brightness,
    CONTRAST: tv.adjust_contrast,
    SATURATION: tv.adjust_saturation,
    HUE: tv.adjust_hue,
}
STILL = [1.0, 1.0, 1.0, 0.0]
# Bicubic on 8 bits rounds after the horizontal pass (1/2), which the vertical one passes on times the sum of its absolute
# weights (at most 1.3), and again (1/2).
TWO_ROUNDINGS = (0.5 * 1.3 + 0.5) / 255


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(n, height=32, width=32):
    """Return images whose every pixel is independent: the hardest to resample."""
    return torch.randint(0, 256, (n, 3, height, width), generator=generator(99), dtype=torch.uint8)


@pytest.fixture
def photos():
    """Float images: noise, a cube of colours with its greys and pure colours, black, white."""
    levels = torch.linspace(0, 1, 8)
    cube = torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij")).reshape(3, 16, 32)
    cube = torch.cat([cube, cube.flip(0)], dim=1)[None]
    flat = torch.cat([torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)])
    return torch.cat([noise(10) / 255, cube, flat])


def parameters(n, height, width, seed=0):
    return draw_parameters(torch.tensor([[height, width]]).expand(n, 2), SETTINGS, generator(seed))


def pillow(image):
    return Image.fromarray(image.permute(1, 2, 0).numpy())


# --- operation by operation -------------------------------------------------------------------------------------------


def crops(height, width, size, read, n=60):
    """Return our crops of noise, and torchvision's of what `read` makes of the 8-bit images."""
    images, boxes = noise(n, height, width), parameters(n, height, width).boxes
    ours = crop_resize(images / 255, boxes, torch.zeros(n, dtype=torch.bool), size)
    theirs = [
        tv.to_image(tv.resized_crop(read(image), *box, [size, size], InterpolationMode.BICUBIC, antialias=True))
        for image, box in zip(images, boxes.tolist(), strict=True)
    ]
    assert ours.dtype == torch.float32
    return ours, torch.stack(theirs) / 255


RESIZES = [(32, 32, 32), (200, 150, 64), (20, 30, 48), (30, 300, 24)]


@pytest.mark.parametrize(("height", "width", "size"), RESIZES)
def test_crops_are_those_of_torchvision(height, width, size):
    ours, theirs = crops(height, width, size, lambda image: image)
    assert ours.shape == (60, 3, size, size)
    assert (ours - theirs).abs().max() < TWO_ROUNDINGS


@pytest.mark.parametrize(("height", "width", "size"), RESIZES)
def test_crops_are_those_of_pillow(height, width, size):
    ours, theirs = crops(height, width, size, pillow)
    boxes = parameters(60, height, width).boxes
    vertical_first = crop_resize(
        noise(60, height, width).mT / 255, boxes[:, [1, 0, 3, 2]], torch.zeros(60, dtype=torch.bool), size
    )
    # From version 13 on Pillow chooses, crop by crop
    misfits = [(view - theirs).abs().flatten(1).amax(dim=1) for view in (ours, vertical_first.mT)]
    assert torch.minimum(*misfits).max() < TWO_ROUNDINGS
    # The choice rarely matters, even for noise
    assert (misfits[0] < TWO_ROUNDINGS).float().mean() > 0.9


@pytest.mark.parametrize(
    "kernel", [partial(photo_operations._cubic, a=-0.75), photo_operations._hat], ids=["a=-0.75", "bilinear"]
)
@pytest.mark.parametrize(("height", "width", "size"), RESIZES)
def test_another_kernel_is_seen(height, width, size, kernel, monkeypatch):
    monkeypatch.setattr(photo_operations, "_cubic", kernel)
    ours, theirs = crops(height, width, size, lambda image: image)
    assert (ours - theirs).abs().max() > 2 * TWO_ROUNDINGS


def test_crops_without_rounding_are_those_of_torchvision():
    n = 30
    images = 0.3 + 0.4 * noise(n, 40, 50) / 255  # what overshoots stays in [0, 1], for torchvision does not clamp floats
    drawn = parameters(n, 40, 50)
    ours = crop_resize(images, drawn.boxes, drawn.flipped, 32)
    for view, image, box, flipped in zip(ours, images, drawn.boxes.tolist(), drawn.flipped.tolist(), strict=True):
        crop = tv.resized_crop(image, *box, [32, 32], InterpolationMode.BICUBIC, antialias=True)
        assert torch.allclose(view, tv.hflip(crop) if flipped else crop, atol=1e-5, rtol=0)


def test_whole_crop_of_the_same_size_is_the_image_and_a_flip_mirrors_it():
    images = noise(2) / 255
    boxes = torch.tensor([[0, 0, 32, 32]]).expand(2, 4)
    views = crop_resize(images, boxes, torch.tensor([False, True]), 32)
    assert torch.equal(views, torch.stack([images[0], tv.hflip(images[1])]))


@pytest.mark.parametrize("operation", ADJUST)
def test_one_operation_of_the_jitter(photos, operation):
    strengths = [-0.1, 0.0, 0.03, 0.1, 0.5] if operation == HUE else [0.0, 0.6, 0.97, 1.0, 1.4]
    for strength in strengths:
        factors = torch.tensor(STILL).repeat(len(photos), 1)
        factors[:, operation] = strength
        order = torch.tensor([SATURATION, HUE, BRIGHTNESS, CONTRAST]).expand(len(photos), 4)
        expected = ADJUST[operation](photos, strength)
        assert torch.allclose(jitter(photos, factors, order), expected, atol=1e-5, rtol=0)


def test_each_sample_is_jittered_in_its_own_order(photos):
    orders = torch.tensor(list(permutations(range(4))))
    image = photos[10].expand(24, -1, -1, -1)
    factors = parameters(24, 32, 32).factors
    expected = image.clone()
    for view, order, factor in zip(expected, orders.tolist(), factors.tolist(), strict=True):
        for operation in order:
            view.copy_(ADJUST[operation](view, factor[operation]))
    assert torch.allclose(jitter(image, factors, orders), expected, atol=1e-5, rtol=0)
    assert not torch.allclose(jitter(image, factors, orders.flip(1)), expected, atol=1e-2, rtol=0)


def test_hue_of_each_sample(photos):
    shifts = torch.linspace(-0.5, 0.5, len(photos))
    expected = torch.stack([tv.adjust_hue(image, shift) for image, shift in zip(photos, shifts.tolist(), strict=True)])
    assert torch.allclose(shift_hue(photos, shifts), expected, atol=1e-5, rtol=0)


def test_grey(photos):
    expected = tv.rgb_to_grayscale(photos, num_output_channels=1)
    assert torch.allclose(luminance(photos), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("size", "kernel"), [(32, 23), (32, 3), (8, 15), (64, 7)])
def test_blur_of_each_sample(size, kernel):
    images, sigma = noise(12, size, size) / 255, torch.linspace(0.1, 2.0, 12)
    expected = [tv.gaussian_blur(image, [kernel, kernel], [s, s]) for image, s in zip(images, sigma.tolist(), strict=True)]
    assert torch.allclose(blur(images, sigma, kernel), torch.stack(expected), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", [0, 4, 65])
def test_kernel_that_does_not_fit(kernel):
    with pytest.raises(UserError, match=f"blur_kernel is {kernel}; it must be odd and below 64"):
        blur(noise(2) / 255, torch.ones(2), kernel)


def test_solarised_are_the_values_from_128_on():
    levels = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    expected = tv.solarize(levels, 128)
    assert torch.equal(solarise(levels / 255).mul(255).round().to(torch.uint8), expected)
    assert (expected != levels)[0, 0, 0].nonzero()[:, 0].tolist() == list(range(128, 256))


# --- whole views ------------------------------------------------------------------------------------------------------


def by_hand(image, drawn, i, size, threshold):
    """Apply torchvision's functions to an image with the parameters of sample i."""
    view = tv.resized_crop(image, *drawn.boxes[i].tolist(), [size, size], InterpolationMode.BICUBIC, antialias=True)
    if drawn.flipped[i]:
        view = tv.hflip(view)
    if drawn.jittered[i]:
        for operation in drawn.order[i].tolist():
            view = ADJUST[operation](view, drawn.factors[i, operation].item())
    if drawn.grey[i]:
        view = tv.rgb_to_grayscale(view, num_output_channels=3)
    if drawn.blurred[i]:
        view = tv.gaussian_blur(view, [23, 23], [drawn.sigma[i].item()] * 2)
    if drawn.solarised[i]:
        view = tv.solarize(view, threshold)
    view = view if isinstance(view, torch.Tensor) else tv.pil_to_tensor(view) / 255
    return tv.normalize(view, SETTINGS["mean"], SETTINGS["std"])


@pytest.mark.parametrize(("height", "width"), [(32, 32), (70, 50)])
def test_whole_views_without_rounding(height, width):
    images = 0.3 + 0.4 * noise(64, height, width) / 255  # see above
    views, drawn = random_photo_view(images, SETTINGS, generator(3)), parameters(64, height, width, seed=3)
    expected = torch.stack([by_hand(image, drawn, i, 32, 0.5) for i, image in enumerate(images)])
    assert torch.allclose(views, expected, atol=5e-5, rtol=0)  # 1e-5 of the range, over a standard deviation


def test_whole_views_on_eight_bit_images():
    n = 128
    smooth = torch.nn.functional.interpolate(noise(n, 6, 6).float(), (32, 32), mode="bicubic").clamp(0, 255)
    images = smooth.round().to(torch.uint8)
    views, drawn = random_photo_view(images, SETTINGS, generator(3)), parameters(n, 32, 32, seed=3)
    expected = torch.stack([by_hand(pillow(image), drawn, i, 32, 128) for i, image in enumerate(images)])
    levels = (views - expected).abs() * torch.tensor(SETTINGS["std"])[:, None, None] * 255
    # Pillow rounds or cuts off after each of up to eight operations, and knows 256 hues
    assert levels.mean() < 1.5
    assert levels.flatten(1).mean(dim=1).max() < 5
