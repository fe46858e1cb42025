import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier
from torchvision.datasets import CIFAR10, CIFAR100, ImageFolder
from torchvision.transforms import v2

from arb_suite.folders import MANIFEST, read_manifest, sha256
from arb_suite.generated import FORMATS, LUMA, draw_textures, draw_waves, generate
from arb_suite.jobs import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def in_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def unverified(reader):
    """A class of torchvision without the MD5 of the published files."""
    names = {key: [(name, None) for name, _ in getattr(reader, key)] for key in ("train_list", "test_list")}
    return type(reader.__name__, (reader,), {**names, "meta": {**reader.meta, "md5": None}})


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- what torchvision reads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "reader", "classes"), [("cifar10", CIFAR10, 10), ("cifar100", CIFAR100, 100), ("cifar10", CIFAR10, 5)]
)
def test_torchvision_reads_cifar(form, reader, classes, tmp_path):
    generate(form, 203, 101, classes, 0, tmp_path)
    for train, size in ((True, 203), (False, 101)):
        data = unverified(reader)(tmp_path, train=train, download=False)
        assert data.data.shape == (size, 32, 32, 3)
        assert data.data.dtype == np.uint8
        counts = np.bincount(data.targets, minlength=classes)
        assert len(data.classes) == len(counts) == classes
        assert set(counts) <= {size // classes, size // classes + 1}
        assert data.targets != (np.arange(size) % classes).tolist()  # or every 50th image, which is odd, would be of one class
        assert isinstance(data[0][0], Image.Image)


def test_torchvision_takes_none_for_the_published_files(tmp_path):
    generate("cifar10", 20, 10, 10, 0, tmp_path)
    with pytest.raises(RuntimeError, match="corrupted"):
        CIFAR10(tmp_path)


def test_channels_are_red_green_blue(tmp_path):
    folder = generate("cifar10", 10, 10, 10, 0, tmp_path)
    stored = pickle.loads((folder / "test_batch").read_bytes())
    assert stored["data"].shape == (10, 3072)
    image = unverified(CIFAR10)(tmp_path, train=False).data[4]
    for channel in range(3):
        assert np.array_equal(stored["data"][4, 1024 * channel : 1024 * (channel + 1)].reshape(32, 32), image[..., channel])


def test_keys_are_those_of_the_published_files(tmp_path):
    ten, hundred = generate("cifar10", 20, 10, 10, 0, tmp_path), generate("cifar100", 100, 100, 100, 0, tmp_path)
    batch, test = (pickle.loads(path.read_bytes()) for path in (ten / "data_batch_5", hundred / "test"))
    assert set(batch) == {"batch_label", "labels", "data", "filenames"}
    assert set(test) == {"batch_label", "fine_labels", "coarse_labels", "data", "filenames"}
    assert len(batch["data"]) == len(batch["labels"]) == len(batch["filenames"]) == 4
    names = pickle.loads((hundred / "meta").read_bytes())
    assert (len(names["fine_label_names"]), len(names["coarse_label_names"])) == (100, 20)
    assert test["coarse_labels"] == [label // 5 for label in test["fine_labels"]]


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return generate("imagenet", 56, 10, 5, 0, tmp_path_factory.mktemp("imagenet"))


def test_torchvision_reads_imagenet(imagenet):
    listed = (ROOT / "workflow/paper/imagenet100_cmc.txt").read_text().split()
    for split, size in (("train", 56), ("val", 10)):
        data = ImageFolder(imagenet / split)
        assert data.classes == sorted(listed[:5])
        assert len(data) == size
        assert set(np.bincount(data.targets)) <= {size // 5, size // 5 + 1}
        sizes = np.array([image.size for image, _ in data])
        assert sizes.min() >= 60
        assert sizes.max() <= 400
        assert len(set(map(tuple, sizes))) > size // 2


def test_imagenet_has_the_oddities_of_the_published_files_and_all_decode(imagenet):
    kinds = []
    for path in imagenet.rglob("*.JPEG"):
        with Image.open(path) as image:
            kinds.append((image.format, image.mode))
            image.load()
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        ("PNG", "RGB"): 1,
        ("JPEG", "CMYK"): 2,
        ("JPEG", "L"): 2,
        ("JPEG", "RGB"): 61,
    }
    assert sum(path.read_bytes().endswith(b"\xff\xd9\r\n") for path in imagenet.rglob("*.JPEG")) == 1


def test_there_can_be_more_classes_than_in_the_list(tmp_path):
    generate("imagenet", 103, 103, 103, 0, tmp_path)
    names = ImageFolder(tmp_path / "val").classes
    assert len(names) == 103
    assert set((ROOT / "workflow/paper/imagenet100_cmc.txt").read_text().split()) < set(names)


# --- the manifest and the bytes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_manifest_lists_every_file_and_every_count(form, tmp_path):
    folder = generate(form, 23, 11, 5, 0, tmp_path)
    manifest = read_manifest(folder, form, "anything", True)
    files = {path for path in contents(folder) if path != MANIFEST}
    assert set(manifest["files"]) == files
    assert all(sha256(folder / path) == expected for path, expected in manifest["files"].items())
    assert sorted(manifest["counts"]["train"]) == [4, 4, 5, 5, 5]
    assert manifest["counts"]["validation"] == [0] * 5
    assert sum(manifest["counts"]["test"]) == 11


@pytest.mark.parametrize("form", FORMATS)
def test_the_seed_settles_every_byte(form, tmp_path):
    # A space and letters beyond ASCII in the path, and a link, are as good as any other folder
    (tmp_path / "größe 1").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "größe 1")
    folders = [generate(form, 12, 6, 5, seed, tmp_path / name) for name, seed in (("linked", 7), ("b", 7), ("c", 8))]
    first, again, other = map(contents, folders)
    assert first == again
    assert (tmp_path / "größe 1").is_dir()
    assert not {data for name, data in first.items() if "meta" not in name} & set(other.values())


def test_every_image_differs_from_every_other(tmp_path):
    generate("cifar10", 200, 100, 10, 0, tmp_path)
    images = np.concatenate([unverified(CIFAR10)(tmp_path, train=train).data for train in (True, False)])
    assert len({image.tobytes() for image in images}) == 300


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ((20, 10, 4), "--classes 4 is not possible in the format cifar10; choose 5 (for top-5) to 10"),
        ((20, 20, 11), "--classes 11 is not possible in the format cifar10; choose 5 (for top-5) to 10"),
        ((9, 10, 10), "--train 9 leaves some of the 10 classes without an image; choose 10 or more"),
        ((10, 9, 10), "--test 9 leaves some of the 10 classes without an image; choose 10 or more"),
        ((10, 10, 10, -1), "--seed -1 is negative; choose 0 or more"),
    ],
)
def test_impossible_sizes_are_refused(sizes, sentence, tmp_path):
    train, test, classes, seed = (*sizes, 0)[:4]
    with pytest.raises(UserError) as error:
        generate("cifar10", train, test, classes, seed, tmp_path / "new")
    assert str(error.value) == sentence
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("form", "name"),
    [("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python"), ("imagenet", "train"), ("imagenet", "val")],
)
def test_nothing_is_overwritten(form, name, tmp_path):
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine").write_text("published")
    with pytest.raises(UserError, match=f"{name} is there already; choose another --out, or delete it first"):
        generate(form, 10, 10, 5, 0, tmp_path)
    assert contents(tmp_path) == {f"{name}/mine": b"published"}


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written into .*/file \(.+\); choose another --out"):
        generate("cifar10", 10, 10, 5, 0, tmp_path / "file")


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(UserError, match="No space left on device"):
        generate("imagenet", 10, 10, 5, 0, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_generates_and_says_where(tmp_path):
    command = [sys.executable, "-m", "arb_suite", "generated", "--format", "cifar100", "--train", "40", "--test", "20"]
    command += ["--classes", "20", "--seed", "3", "--out", str(tmp_path / "by command"), "--log", str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    folder = tmp_path / "by command/cifar-100-python"
    assert f"cifar100: 40 + 20 generated images of 20 classes in {folder}" in done.stderr
    assert contents(folder) == contents(generate("cifar100", 40, 20, 20, 3, tmp_path / "by function"))


# --- what there is to learn -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn():
    """400 training and 200 test images of 10 classes, 32 x 32."""
    rng = np.random.default_rng(0)
    waves = draw_waves(10, rng)
    labels = np.arange(600) % 10
    return np.stack([draw_textures(waves[label], 32, 32, rng) for label in labels]), labels


def accuracy(features, labels, neighbours=5):
    flat = features.reshape(len(features), -1)
    return KNeighborsClassifier(neighbours).fit(flat[:400], labels[:400]).score(flat[400:], labels[400:])


def spectra(images):
    """Amplitude over the plane of frequencies, of grey images without their mean, and blurred a little."""
    grey = images @ LUMA
    grey = (grey - grey.mean(axis=(1, 2), keepdims=True)) / grey.std(axis=(1, 2), keepdims=True)
    amplitude = np.abs(np.fft.fft2(grey))
    return sum(np.roll(amplitude, (i, j), axis=(1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1))


def test_the_class_is_in_the_texture_and_not_in_colours_or_pixels(drawn):
    images, labels = drawn
    chance = 0.1
    assert accuracy(spectra(images), labels) > 0.9
    assert accuracy(images.mean(axis=(1, 2)), labels) < chance + 0.1
    assert accuracy(np.concatenate([images.mean(axis=(1, 2)), images.std(axis=(1, 2))], axis=1), labels) < chance + 0.15
    assert accuracy(images / 255.0, labels) < 0.5


def test_the_class_survives_grey_jitter_and_flips(drawn):
    images, labels = drawn
    torch.manual_seed(0)
    change = v2.Compose([v2.ColorJitter(0.4, 0.4, 0.2, 0.1), v2.RandomGrayscale(0.2), v2.RandomHorizontalFlip()])
    changed = np.stack([change(torch.from_numpy(image).permute(2, 0, 1)).permute(1, 2, 0).numpy() for image in images])
    amplitude = spectra(changed)
    mirrored = np.roll(amplitude[:, :, ::-1], 1, axis=2)  # of the mirror image: the frequency along x with the other sign
    assert accuracy(amplitude + mirrored, labels) > 0.85


def test_every_texture_is_seen_in_grey():
    rng = np.random.default_rng(0)
    for waves in draw_waves(200, rng):
        assert (draw_textures(waves, 32, 32, rng) @ LUMA).std() > 15
