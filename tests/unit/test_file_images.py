import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from arb_suite.decoders import decode
from arb_suite.evaluate import features
from arb_suite.file_images import load_files, open_images
from arb_suite.files import write_archive
from arb_suite.generated import generate
from arb_suite.imagefolder import build
from arb_suite.jobs import UserError
from arb_suite.photo_views import random_photo_view

ROOT = Path(__file__).parents[2]
TRAIN, TEST = 23, 11
ORDER = torch.tensor([[4, 0, 22, 4], [1, 2, 3, 5], [21, 20, 19, 18], [7, 6, 9, 8], [10, 0, 11, 12]])
NORMAL = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
VIEW = {
    "size": 32,
    "crop_area": [0.08, 1.0],
    "crop_aspect": [0.75, 4 / 3],
    "flip": 0.5,
    "jitter": [0.4, 0.4, 0.2, 0.1],
    "jitter_share": 0.8,
    "grey": 0.2,
    "blur": 0.5,
    "blur_sigma": [0.1, 2.0],
    "blur_kernel": 5,
    "solarise": 0.2,
    **NORMAL,
}
CENTRAL = {"size": 32, "resize": 40, **NORMAL}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Generated images in the format of ImageNet, among them a PNG, CMYK, grey and one with trailing bytes, and their list."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        root = generate("imagenet", TRAIN, TEST, 5, 0, tmp_path_factory.mktemp("made"))
        build("imagenet1k", root, {"generated": True}, root / "list.npz", 2, print)
    return root


@pytest.fixture(scope="module")
def plain(made):
    """Pixels (H, W, 3) and class of each training image, as ImageFolder gives them."""
    return [(np.asarray(image), label) for image, label in ImageFolder(made / "train")]


def decoding_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def assert_holds(batch, chosen, plain):
    """Compare a batch with plain images of these indices."""
    largest = [max(plain[i][0].shape[axis] for i in chosen) for axis in (0, 1)]
    assert batch.images.dtype == torch.uint8
    assert batch.images.shape == (len(chosen), 3, *largest)
    assert batch.labels.tolist() == [plain[i][1] for i in chosen]
    assert batch.labels.dtype == batch.sizes.dtype == torch.int64
    assert batch.sizes.tolist() == [list(plain[i][0].shape[:2]) for i in chosen]
    for image, i in zip(batch.images, chosen, strict=True):
        height, width, _ = plain[i][0].shape
        assert np.array_equal(image[:, :height, :width].permute(1, 2, 0), plain[i][0])
        assert not image[:, height:].any()
        assert not image[:, :, width:].any()


# --- what comes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("ahead", [1, 3, 20])
def test_batches_are_those_of_a_plain_loop(workers, ahead, made, plain):
    data = load_files(made / "list.npz", made, ["train"], workers=workers, ahead=ahead)
    batches = list(data.batches(ORDER))
    assert len(batches) == len(ORDER)
    for batch, chosen in zip(batches, ORDER.tolist(), strict=True):
        assert_holds(batch, chosen, plain)
    assert decoding_threads() == []


def test_batches_of_several_lengths(made, plain):
    data = load_files(made / "list.npz", made, ["train"])
    parts = torch.arange(TRAIN).split(10)
    for batch, chosen in zip(data.batches(iter(parts)), parts, strict=True):
        assert_holds(batch, chosen.tolist(), plain)
    assert list(data.batches(ORDER[:0])) == []


def test_two_runs_are_the_same_for_any_number_of_workers(made):
    one, four = (load_files(made / "list.npz", made, ["train"], workers=workers) for workers in (1, 4))
    runs = [data.batches(ORDER) for data in (one, one, four, four)]  # at the same time, too
    for first, *others in zip(*runs, strict=True):
        for other in others:
            assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_attributes_are_those_of_the_list(made):
    both = load_files(made / "list.npz", made, ["train", "test"])
    test = load_files(made / "list.npz", made, ["test"])
    assert (len(both), len(test), both.classes, both.channels) == (TRAIN + TEST, TEST, 5, 3)
    assert test.source.tolist() == list(range(TRAIN, TRAIN + TEST))
    assert test.labels.tolist() == ImageFolder(made / "val").targets == both.labels[TRAIN:].tolist()
    assert test.labels.dtype == test.source.dtype == torch.int64
    assert both.data_hash == test.data_hash
    image = np.asarray(ImageFolder(made / "val")[3][0])
    assert np.array_equal(test.read(3).permute(1, 2, 0), image)


def test_slow_files_keep_their_place(listed, encoded, tmp_path):
    sizes = [(2000, 3000), (8, 9), (10, 8), (1500, 1000), (9, 9), (8, 8)]
    files = {f"train/{i}.JPEG": encoded(*size) for i, size in enumerate(sizes)}
    data = load_files(listed(tmp_path, files), tmp_path, ["train"], workers=4, ahead=6)
    order = torch.tensor([[0, 1], [2, 4], [3, 5], [5, 0], [1, 1]])
    for batch, chosen in zip(data.batches(order), order.tolist(), strict=True):
        assert batch.labels.tolist() == chosen
        assert batch.sizes.tolist() == [list(sizes[i]) for i in chosen]


@pytest.mark.parametrize(
    ("mode", "form"),
    [("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"), ("L", "PNG"), ("P", "PNG"), ("RGBA", "PNG")],
)
def test_every_colour_space_becomes_rgb(mode, form, encoded, tmp_path):
    (tmp_path / "image").write_bytes(encoded(21, 30, mode, form))
    image = decode(tmp_path / "image")
    with Image.open(tmp_path / "image") as opened:
        assert (opened.mode, opened.format) == (mode, form)
        assert np.array_equal(image.permute(1, 2, 0), np.asarray(opened.convert("RGB")))
    assert (image.dtype, image.shape, image.is_contiguous()) == (torch.uint8, (3, 21, 30), True)


def test_longest_reduces_the_shorter_side_as_resize_does(made, plain):
    chosen = torch.arange(TRAIN)
    data = load_files(made / "list.npz", made, ["train"], longest=150)
    batch = next(data.batches([chosen]))
    shorter = [min(image.shape[:2]) for image, _ in plain]
    assert min(shorter) < 150 < max(shorter)
    for image, (height, width), (pixels, _) in zip(batch.images, batch.sizes.tolist(), plain, strict=True):
        whole = Image.fromarray(pixels)
        expected = np.asarray(v2.Resize(150)(whole) if min(whole.size) > 150 else whole)
        assert np.array_equal(image[:, :height, :width].permute(1, 2, 0), expected)


def test_a_device_receives_images_and_labels(made):
    # the device without memory stands for one that has its own; where there is CUDA, that is used
    device = "cuda" if torch.cuda.is_available() else "meta"
    data = load_files(made / "list.npz", made, ["train"]).to(device)
    batch = next(data.batches(ORDER))
    assert (batch.images.device.type, batch.labels.device.type, batch.sizes.device.type) == (device, device, "cpu")
    assert (data.labels.device.type, data.source.device.type) == ("cpu", "cpu")


# --- views ------------------------------------------------------------------------------------------------------------


def test_a_view_of_a_padded_batch_is_that_of_each_image_alone(made, plain):
    data = load_files(made / "list.npz", made, ["train"], workers=2)
    chosen = ORDER[0].tolist()
    batch = next(data.batches(ORDER))
    views = random_photo_view(batch.images, VIEW, torch.Generator().manual_seed(3), batch.sizes)
    generator = torch.Generator().manual_seed(3)  # gives each sample its own numbers, one sample after the other
    for view, i in zip(views, chosen, strict=True):
        alone = torch.tensor(plain[i][0]).permute(2, 0, 1)[None]
        torch.testing.assert_close(view, random_photo_view(alone, VIEW, generator)[0], rtol=0, atol=1e-4)


def test_images_are_opened_reduced_where_that_is_set(made):
    plain, reduced = (open_images(made / "list.npz", "imagenet1k", ["train"], made, 1, longest) for longest in (None, 150))
    assert (plain.longest, reduced.longest) == (None, 150)
    assert min(plain.read(0).shape[1:]) > 150 or min(plain.read(1).shape[1:]) > 150
    assert all(min(reduced.read(i).shape[1:]) <= 150 for i in range(len(reduced)))


@pytest.mark.parametrize(("longest", "decoder"), [(None, "pillow"), (150, "pillow"), (150, "torchvision")])
@pytest.mark.parametrize("resize", [40, 100])
def test_an_encoder_is_evaluated_on_what_torchvision_makes_of_every_image_in_order(resize, longest, decoder, made):
    to_float = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(**NORMAL)]
    pipeline = v2.Compose([v2.Resize(resize), v2.CenterCrop(32), *to_float])
    expected = torch.stack([view for view, _ in ImageFolder(made / "val", pipeline)])
    data = open_images(made / "list.npz", "imagenet1k", ["test"], made, 2, longest, decoder)
    found = features(nn.Flatten(), data, CENTRAL | {"resize": resize}).view_as(expected)
    enlarged = torch.tensor([min(image.size) < resize for image, _ in ImageFolder(made / "val")])
    assert enlarged.any() == (resize == 100)
    error = (found - expected).abs()
    assert error[~enlarged].max() < 1e-6
    if enlarged.any():
        assert error[enlarged].max() < 1.1 / 255 / min(NORMAL["std"])  # two roundings, and weights of 16 bits


# --- threads ----------------------------------------------------------------------------------------------------------


def test_closing_early_leaves_no_thread(made):
    data = load_files(made / "list.npz", made, ["train"], workers=3, ahead=4)
    batches = data.batches(ORDER)
    assert decoding_threads() == []
    next(batches)
    assert len(decoding_threads()) == 3
    batches.close()
    assert decoding_threads() == []


def test_an_exception_in_the_loop_leaves_no_thread(made):
    data = load_files(made / "list.npz", made, ["train"], workers=3, ahead=4)

    def loop():
        for _ in data.batches(ORDER):
            assert len(decoding_threads()) == 3
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop()
    assert decoding_threads() == []


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_than_asked_is_decoded_ahead(ahead, made):
    data = load_files(made / "list.npz", made, ["train"], workers=2, ahead=ahead)
    taken = []
    order = (taken.append(i) or chosen for i, chosen in enumerate(ORDER.repeat(3, 1)))
    for done, _ in enumerate(data.batches(order), 1):
        assert len(taken) == min(done + ahead, 15)


# --- what is refused --------------------------------------------------------------------------------------------------


def spoil(path, how):
    content = bytearray(path.read_bytes())
    if how in ("deleted", "folder", "pipe"):
        path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "longer":
        path.write_bytes(content + b"\0")
    elif how in ("first", "last"):
        content[{"first": 300, "last": -1}[how]] ^= 1
        path.write_bytes(content)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("deleted", r"cannot be read \(No such file or directory\)"),
        ("folder", r"has not the \d+ bytes that are listed"),
        ("pipe", r"has not the \d+ bytes that are listed"),
        ("longer", r"has not the \d+ bytes that are listed"),
        ("first", "has other bytes at its ends than listed"),
        ("last", "has other bytes at its ends than listed"),
    ],
)
def test_a_file_that_is_no_longer_as_listed(how, problem, workers, listed, encoded, tmp_path):
    files = {f"train/{i}.JPEG": encoded(80 + i, 90) for i in range(6)}
    data = load_files(listed(tmp_path, files), tmp_path, ["train"], workers=workers)
    for i in (3, 4):
        spoil(tmp_path / f"train/{i}.JPEG", how)
    batches = data.batches(torch.tensor([[0, 1], [2, 3], [4, 5]]))
    assert next(batches).labels.tolist() == [0, 1]
    sentence = rf"{tmp_path}/train/3.JPEG {problem}; restore it, then delete {tmp_path}/list.npz and give the command again"
    with pytest.raises(UserError, match=sentence):
        next(batches)
    assert decoding_threads() == []


@pytest.mark.parametrize("size", [4095, 4096, 4097, 8191, 8192, 8193])
def test_the_crc_is_that_of_the_list_at_any_size(size, listed, encoded, tmp_path):
    content = encoded(20, 20)
    data = load_files(listed(tmp_path, {"train/a.JPEG": content + bytes(size - len(content))}), tmp_path, ["train"])
    assert data.read(0).shape == (3, 20, 20)


@pytest.mark.parametrize("kind", ["no frame", "cut", "text"])
def test_a_file_that_is_as_listed_and_cannot_be_decoded(kind, listed, encoded, tmp_path):
    whole = encoded(200, 200)
    content = {
        "no frame": b"\xff\xd8\xff\xfe" + bytes(10000) + b"\xff\xd9",
        "cut": whole[: len(whole) // 2],
        "text": b"nothing",
    }[kind]
    name = os.fsdecode(b"train/\xe4.JPEG")
    data = load_files(listed(tmp_path, {name: content}), tmp_path, ["train"])
    with pytest.raises(UserError, match=r"/train/\\xe4.JPEG cannot be decoded \(.+\); restore it, .+ with full: true"):
        next(data.batches(torch.tensor([[0]])))
    assert decoding_threads() == []


@pytest.mark.parametrize("chosen", [[0, TRAIN], [-1], [], [[0]]])
def test_indices_that_are_none(chosen, made):
    data = load_files(made / "list.npz", made, ["train"])
    with pytest.raises(UserError, match=f"give one or more of 0 to {TRAIN - 1}"):
        next(data.batches([torch.tensor(chosen)]))
    assert decoding_threads() == []


@pytest.mark.parametrize("option", ["workers", "ahead", "longest"])
def test_options_that_are_too_small(option, made):
    with pytest.raises(UserError, match=f"{option} is 0; it must be 1 or more"):
        load_files(made / "list.npz", made, ["train"], **{option: 0})


def test_another_root_a_split_without_images_and_another_archive(made, tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path} has no folder train and no folder val"):
        load_files(made / "list.npz", tmp_path, ["train"])
    with pytest.raises(UserError, match="lists no images of validation"):
        load_files(made / "list.npz", made, ["validation"])
    write_archive(tmp_path / "images.npz", {"images": np.zeros(1)}, {"classes": 1})
    with pytest.raises(UserError, match="does not list files"):
        load_files(tmp_path / "images.npz", made, ["train"])


def test_files_without_the_folder_they_are_in(made):
    with pytest.raises(UserError, match="lists files; give --root"):
        open_images(made / "list.npz", "imagenet1k", ["train"], None, 1)
