"""What torchvision decodes instead of Pillow, and what it leaves."""

import io
import re

import pytest
import torch
from PIL import Image, ImageFile

from arb_suite.decoders import decode, decode_jpegs, is_common_jpeg
from arb_suite.file_images import load_files
from arb_suite.jobs import UserError

pytestmark = pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities of TorchVision:DeprecationWarning")

ROTATED = Image.Exif()
ROTATED[0x0112] = 6  # the camera was turned
COMMON = {
    "full": {"subsampling": "4:4:4"},
    "half": {"subsampling": "4:2:2"},
    "quarter": {"subsampling": "4:2:0"},
    "progressive": {"progressive": True},
    "rotated": {"exif": ROTATED},
    "grey": {"mode": "L"},
}
UNCOMMON = {
    "CMYK": {"mode": "CMYK"},
    "RGB as it is": {"keep_rgb": True},
    "PNG": {"form": "PNG"},
    "grey PNG": {"form": "PNG", "mode": "L"},
}
TORCHVISION = {"decoder": "torchvision"}


def by_pillow(content, longest=None):
    return decode(io.BytesIO(content), longest)


def difference(a, b):
    assert (a.dtype, b.dtype, a.shape) == (torch.uint8, torch.uint8, b.shape)
    return (a.int() - b.int()).abs()


@pytest.fixture
def broken(encoded):
    """A JPEG with both ends and a header as they should be that libjpeg gives up in its midst."""
    content = encoded(200, 210, progressive=True)
    scan = content.index(b"\xff\xda", content.index(b"\xff\xda") + 1)
    return content[: scan + 1] + b"\xf0" + content[scan + 2 :]


@pytest.fixture
def several(encoded):
    """Contents of files by name, some for torchvision and some for Pillow."""
    settings = [*COMMON.values(), *UNCOMMON.values()]
    files = {f"train/{i}.JPEG": encoded(80 + 7 * i, 150 - 11 * i, **options) for i, options in enumerate(settings)}
    return files | {"train/trailing.JPEG": encoded(70, 71) + b"\0"}


@pytest.mark.parametrize("options", COMMON.values(), ids=COMMON)
def test_the_pixels_of_torchvision_are_those_of_pillow_on_a_cpu(options, encoded):
    contents = [encoded(*sides, **options) for sides in ((333, 500), (21, 30), (7, 5), (2, 1))]
    assert all(is_common_jpeg(content) for content in contents)
    for content, image in zip(contents, decode_jpegs(contents, None, "cpu"), strict=True):
        assert difference(image, by_pillow(content)).max() <= 1


@pytest.mark.parametrize("longest", [100, 150, 299])
def test_torchvision_reduces_to_the_sides_of_pillow(longest, encoded):
    contents = [encoded(*sides) for sides in ((300, 401), (511, 300), (90, 120), (150, 100))]
    for content, image in zip(contents, decode_jpegs(contents, longest, "cpu"), strict=True):
        off = difference(image, by_pillow(content, longest))
        assert off.max() <= 2
        assert off.float().mean() < 0.25


@pytest.mark.parametrize("options", UNCOMMON.values(), ids=UNCOMMON)
def test_what_is_no_common_jpeg(options, encoded):
    assert not is_common_jpeg(encoded(50, 60, **options))


def test_a_jpeg_that_does_not_end_with_its_end_is_not_common(encoded):
    content = encoded(50, 60)
    assert is_common_jpeg(content)
    assert not is_common_jpeg(content[:-2])
    assert not is_common_jpeg(content + b"\0")


def test_an_image_that_torchvision_cannot_decode_does_not_affect_the_others(encoded, broken):
    content = encoded(50, 60)
    assert is_common_jpeg(broken)
    one, none, other = decode_jpegs([content, broken, content], 40, "cpu")
    assert none is None
    assert torch.equal(one, other)
    assert torch.equal(one, *decode_jpegs([content], 40, "cpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_that_cannot_decode_is_not_taken_for_a_broken_image(encoded):
    with pytest.raises(UserError, match=r"torchvision cannot decode JPEGs on cuda \(.+\); choose decoder: pillow"):
        decode_jpegs([encoded(50, 60)], None, "cuda")


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("longest", [None, 60])
def test_batches_are_those_of_pillow_for_any_number_of_workers(longest, several, listed, tmp_path):
    path = listed(tmp_path, several)
    plain = load_files(path, tmp_path, ["train"], longest=longest)
    one, three = (load_files(path, tmp_path, ["train"], workers=n, longest=longest, **TORCHVISION) for n in (1, 3))
    order = torch.arange(len(several)).flip(0).repeat(2).split(8)
    for expected, batch, other in zip(*(data.batches(order) for data in (plain, one, three)), strict=True):
        assert difference(expected.images, batch.images).max() <= (1 if longest is None else 2)
        assert torch.equal(expected.labels, batch.labels)
        assert torch.equal(expected.sizes, batch.sizes)
        assert all(torch.equal(a, b) for a, b in zip(batch, other, strict=True))
        for label, image, same in zip(batch.labels.tolist(), batch.images, expected.images, strict=True):
            assert label < len(COMMON) or torch.equal(image, same)
    assert [isinstance(one.read(i), bytes) for i in range(len(one))] == [i < len(COMMON) for i in range(len(one))]


def test_what_torchvision_cannot_decode_and_pillow_can(several, broken, listed, tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = listed(tmp_path, {"train/broken.JPEG": broken, **several})
    expected, batch = (
        next(load_files(path, tmp_path, ["train"], **options).batches([torch.tensor([1, 0, 2])]))
        for options in ({}, TORCHVISION)
    )
    assert difference(expected.images, batch.images).max() <= 1
    assert torch.equal(expected.images[1], batch.images[1])


@pytest.mark.parametrize("kind", ["no frame", "cut", "broken", "text"])
def test_a_damaged_file_is_refused_in_the_words_of_pillow(kind, encoded, broken, listed, tmp_path):
    content = {
        "no frame": b"\xff\xd8\xff\xfe" + bytes(10000) + b"\xff\xd9",
        "cut": encoded(200, 200)[:4000],
        "broken": broken,
        "text": b"nothing",
    }[kind]
    path = listed(tmp_path, {"train/whole.JPEG": encoded(30, 40), "train/damaged.JPEG": content})
    sentence = r"/train/damaged.JPEG cannot be decoded \(.+\); restore it, .+ with full: true"
    said = []
    for options in ({}, TORCHVISION):
        with pytest.raises(UserError, match=sentence) as caught:
            next(load_files(path, tmp_path, ["train"], **options).batches([torch.tensor([0, 1])]))
        said.append(re.sub("0x[0-9a-f]+", "ADDRESS", str(caught.value)))
    assert said[0] == said[1]


def test_a_decoder_that_does_not_exist(several, listed, tmp_path):
    with pytest.raises(UserError, match="decoder is 'nvjpeg'; it must be pillow or torchvision"):
        load_files(listed(tmp_path, several), tmp_path, ["train"], decoder="nvjpeg")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("longest", [None, 60])
def test_a_gpu_decodes_about_the_pixels_of_pillow_and_the_same_ones_each_time(longest, several, listed, tmp_path):
    path = listed(tmp_path, several)
    plain = load_files(path, tmp_path, ["train"], longest=longest)
    runs = [load_files(path, tmp_path, ["train"], workers=n, longest=longest, **TORCHVISION).to("cuda") for n in (1, 3)]
    order = torch.arange(len(several)).repeat(20).split(8)
    for expected, batch, other in zip(*(data.batches(order) for data in (plain, *runs)), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(batch, other, strict=True))
        assert torch.equal(expected.labels, batch.labels.cpu())
        assert torch.equal(expected.sizes, batch.sizes)
        for label, image, same in zip(expected.labels.tolist(), batch.images.cpu(), expected.images, strict=True):
            off = difference(image, same)
            assert off.float().mean() < 2 if label < len(COMMON) else not off.any()
