import csv
import io
import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from arb_suite import imagefolder
from arb_suite.files import read_archive
from arb_suite.folders import MANIFEST, sha256
from arb_suite.generated import generate
from arb_suite.image_files import EXTENSIONS, check_file
from arb_suite.imagefolder import PUBLISHED, Published, build, check_counts, read_class_list
from arb_suite.jobs import UserError

ROOT = Path(__file__).parents[2]
GENERATED = {"generated": True}
OTHERS = ["n00000001", "n00000002", "n99999999"]  # classes that are not in the list of ImageNet-100


@pytest.fixture(autouse=True)
def in_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def picture(seed, form="JPEG", mode="RGB", size=(90, 70)):
    """Encode noise: more than 4 KB, so that both ends of a file are not the whole."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, format=form, quality=90)
    return buffer.getvalue()


PICTURES = [picture(seed) for seed in range(3)]


def plant(root, names, train=3, val=2):
    """Write a data set in folders of classes."""
    for name in names:
        for split, count in (("train", train), ("val", val)):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                (root / split / name / f"{name}_{i}.JPEG").write_bytes(PICTURES[i % 3] + name.encode())
    return root


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return generate("imagenet", 23, 11, 5, 0, tmp_path_factory.mktemp("made"))


@pytest.fixture
def generated(made, tmp_path):
    """A copy of generated images to spoil."""
    return shutil.copytree(made, tmp_path / "generated")


@pytest.fixture
def few(tmp_path, monkeypatch):
    """A data set of 4 classes that is taken for the published one, to spoil."""
    monkeypatch.setitem(imagefolder.PUBLISHED, "imagenet1k", Published("ImageNet-1k", 4, 12, (2, 4), 2))
    return plant(tmp_path / "few", sorted([*read_class_list()[:2], *OTHERS[:2]]))


@pytest.fixture
def hundred(tmp_path, monkeypatch):
    """All classes of ImageNet-100, with the counts of the published ones adapted."""
    monkeypatch.setitem(imagefolder.PUBLISHED, "imagenet100", Published("ImageNet-100", 100, None, (1, 1), 1))
    return plant(tmp_path / "hundred", read_class_list(), 1, 1)


def run(dataset, root, settings, out, workers=2):
    """Build and return the arrays, the description and what was said."""
    said = []
    build(dataset, root, settings, out, workers, lambda line, terminal=True: said.append(line))
    return *read_archive(out), said


def refused(dataset, root, settings, out):
    """Return the sentence and the problems in the log, and make sure that nothing was written."""
    said = []
    with pytest.raises(UserError) as error:
        build(dataset, root, settings, out, 1, lambda line, terminal=True: said.append(line))
    assert not out.parent.exists() or list(out.parent.iterdir()) == []
    return str(error.value), [line[9:] for line in "\n".join(said).splitlines() if line.startswith("problem: ")]


# --- what is published ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("published", PUBLISHED.values(), ids=PUBLISHED)
def test_published_counts_are_those_of_the_printed_data(published):
    with (ROOT / "workflow/paper/evaluation_sets.csv").open(encoding="utf-8") as handle:
        row = next(row for row in csv.DictReader(handle) if row["dataset"] == published.title)
    assert published.classes == int(row["classes"])
    assert published.val_each * published.classes == int(row["n_eval"])
    low, high = published.train_each
    assert published.train is None or low * published.classes < published.train < high * published.classes


def test_the_list_has_100_classes():
    assert len(set(read_class_list())) == len(read_class_list()) == 100


def test_the_extensions_are_those_of_imagefolder():
    assert set(EXTENSIONS) == set(IMG_EXTENSIONS)


def test_counts_at_the_published_ones_and_beside_them():
    published = PUBLISHED["imagenet1k"]
    names = [f"n{i:08}" for i in range(1000)]
    counts = dict.fromkeys((f"val/{name}" for name in names), 50) | dict.fromkeys((f"train/{name}" for name in names), 1281)
    counts |= {f"train/{names[0]}": 732, f"train/{names[1]}": 1300, f"train/{names[2]}": 1300}
    rest = 1281167 - sum(count for name, count in counts.items() if name.startswith("train"))
    for name in names[3 : 3 + rest]:
        counts[f"train/{name}"] += 1
    assert check_counts(published, counts) == []
    assert check_counts(published, counts | {"train/n00000999": 1280}) == ["train has 1281166 images in all and not 1281167"]
    assert check_counts(published, counts | {"val/n00000000": 49, "train/n00000000": 731, "train/n00000001": 1301}) == [
        "train/n00000000 has 731 images and not 732 to 1300",
        "train/n00000001 has 1301 images and not 732 to 1300",
        "val/n00000000 has 49 images and not 50",
    ]


# --- one file ---------------------------------------------------------------------------------------------------------


def checked(tmp_path, content):
    (tmp_path / "image.JPEG").write_bytes(content)
    return check_file(tmp_path, "image.JPEG")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(90, 70), (8, 8)])
@pytest.mark.parametrize("trailing", [0, 2, 4000])
def test_jpeg_of_any_kind_is_accepted(mode, size, trailing, tmp_path):
    content = picture(0, mode=mode, size=size) + bytes(trailing)
    found = checked(tmp_path, content)
    assert (found.problem, found.format, found.size) == ("", "JPEG", len(content))


def test_png_of_that_name_is_accepted(tmp_path):
    assert checked(tmp_path, picture(0, "PNG")).format == "PNG"
    assert checked(tmp_path, picture(0, "PNG")).problem == ""


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("left", [0.99, 0.5, 0.01])
def test_what_is_cut_off_is_found(form, left, tmp_path):
    content = picture(0, form)
    assert len(content) > 4096
    problem = checked(tmp_path, content[: int(left * len(content))]).problem
    assert problem == f"is cut off ({form} without its end marker)"


def test_the_end_marker_is_needed_in_the_last_4096_bytes(tmp_path):
    content = picture(0)
    assert checked(tmp_path, content + bytes(4094)).problem == ""
    assert checked(tmp_path, content + bytes(4095)).problem == "is cut off (JPEG without its end marker)"


def test_the_end_of_a_thumbnail_is_not_that_of_the_image(tmp_path):
    thumbnail = picture(1, size=(16, 16))
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    content = picture(0)[:2] + segment + picture(0)[2:]
    assert checked(tmp_path, content).problem == ""
    assert checked(tmp_path, content[:-500]).problem == "is cut off (JPEG without its end marker)"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"<html>404 Not Found</html>", "is neither JPEG nor PNG"),
        (b"\xff\xd8", "is neither JPEG nor PNG"),
        (b"GIF89a" + bytes(100), "is neither JPEG nor PNG"),
        (bytes(10000), "is neither JPEG nor PNG"),
    ],
)
def test_what_is_no_image_is_found(content, problem, tmp_path):
    assert checked(tmp_path, content).problem == problem


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 5000, 8191, 8192, 8193, 20000])
def test_the_crc_is_that_of_both_ends(size, tmp_path):
    content = np.random.default_rng(size).bytes(size)
    ends = content if size <= 8192 else content[:4096] + content[-4096:]
    assert checked(tmp_path, content).crc == zlib.crc32(ends)


def test_what_is_no_file_is_found(tmp_path):
    os.mkfifo(tmp_path / "pipe.JPEG")
    (tmp_path / "lost.JPEG").symlink_to(tmp_path / "nowhere")
    assert check_file(tmp_path, "pipe.JPEG").problem == "is not a file"
    assert check_file(tmp_path, "lost.JPEG").problem == "cannot be read (No such file or directory)"


# --- what is written --------------------------------------------------------------------------------------------------


def assert_as_imagefolder(arrays, root):
    for split, index in (("train", 0), ("val", 2)):
        data, chosen = ImageFolder(root / split), arrays["split"] == index
        paths = [os.path.relpath(path, root) for path, _ in data.samples]
        assert [os.fsdecode(path) for path in arrays["path"][chosen]] == paths
        assert arrays["labels"][chosen].tolist() == data.targets
        assert arrays["size"][chosen].tolist() == [os.path.getsize(path) for path, _ in data.samples]


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_the_archive_lists_what_imagefolder_reads(dataset, made, tmp_path):
    arrays, description, said = run(dataset, made, GENERATED, tmp_path / "data.npz")
    assert_as_imagefolder(arrays, made)
    assert arrays["source"].tolist() == list(range(34))
    types = {"labels": "int64", "source": "int64", "split": "int8", "size": "int64", "crc": "uint32"}
    assert {name: array.dtype.name for name, array in arrays.items() if name != "path"} == types
    assert description["class_names"] == ImageFolder(made / "train").classes
    assert description["classes"] == 5
    assert description["sources"] == {"train": 23, "validation": 0, "test": 11}
    assert sum(description["class_counts_per_split"]["test"]) == 11
    assert description["formats"] == {"JPEG": 33, "PNG": 1}
    assert description["origin"] == "generated"
    assert description["renders_per_source"] == 1
    assert description["settings"] == GENERATED
    assert description["data_hash"][:12] in said[-1]


def test_published_images(few, tmp_path):
    arrays, description, _ = run("imagenet1k", few, {}, tmp_path / "data.npz")
    assert_as_imagefolder(arrays, few)
    assert description["origin"] == "ImageNet-1k in folders, classes and counts as published"
    assert description["class_counts_per_split"] == {"train": [3] * 4, "validation": [0] * 4, "test": [2] * 4}
    assert description["checked"] == "both ends of every file"


def test_imagenet100_is_taken_from_a_folder_of_more_classes(hundred, tmp_path):
    alone, _, _ = run("imagenet100", hundred, {}, tmp_path / "out/alone.npz")
    assert_as_imagefolder(alone, hundred)
    plant(hundred, OTHERS)
    (hundred / "train" / OTHERS[0] / "broken.JPEG").write_bytes(b"")  # of a class that is not taken
    among, description, _ = run("imagenet100", hundred, {}, tmp_path / "out/among.npz")
    assert description["class_names"] == sorted(read_class_list())
    assert (tmp_path / "out/alone.npz").read_bytes() == (tmp_path / "out/among.npz").read_bytes()
    assert np.array_equal(alone["path"], among["path"])


def test_same_input_same_bytes_wherever_it_lies(few, tmp_path):
    spaced = tmp_path / "Bilder für Prüfungen 1"
    shutil.copytree(few, spaced / "imagenet1k")  # the folder of the data set's name comes first
    (tmp_path / "linked").symlink_to(few)
    inner = tmp_path / "links of classes"
    for split in ("train", "val"):
        (inner / split).mkdir(parents=True)
        for name in os.listdir(few / split):
            (inner / split / name).symlink_to(few / split / name)
    for i, root in enumerate((few, spaced, tmp_path / "linked", inner)):
        run("imagenet1k", root, {}, tmp_path / f"out{i}/data.npz", workers=1 + i)
    for name in ("data.npz", "data.json"):
        assert len({(tmp_path / f"out{i}" / name).read_bytes() for i in range(4)}) == 1


def test_names_of_any_bytes(few, tmp_path):
    folder = few / "train" / OTHERS[0]
    names = ["ein Bild ä.JPEG", os.fsdecode(b"latin \xe4.JPEG")]
    for old, new in zip(sorted(folder.iterdir()), names, strict=False):
        old.rename(folder / new)
    arrays, _, _ = run("imagenet1k", few, {}, tmp_path / "out/data.npz")
    assert_as_imagefolder(arrays, few)
    (folder / names[1]).write_bytes(b"")
    shutil.rmtree(tmp_path / "out")
    sentence, _ = refused("imagenet1k", few, {}, tmp_path / "out/data.npz")
    assert f"train/{OTHERS[0]}/latin \\xe4.JPEG is empty" in sentence


@pytest.mark.parametrize("change", ["name", "first", "last", "size"])
def test_the_fingerprint_changes_with_a_file(change, few, tmp_path):
    _, before, _ = run("imagenet1k", few, {}, tmp_path / "data.npz")
    path = next((few / "val" / OTHERS[0]).iterdir())
    content = bytearray(path.read_bytes())
    if change == "name":
        path.rename(path.with_name("another.JPEG"))
    else:
        content[{"first": 300, "last": -1, "size": 300}[change]] ^= 1
        path.write_bytes(content if change != "size" else path.read_bytes() + b"\0")
    _, after, _ = run("imagenet1k", few, {}, tmp_path / "data.npz")
    assert before["data_hash"] != after["data_hash"]


def test_what_imagefolder_ignores_is_ignored_and_said(few, tmp_path):
    (few / "train" / OTHERS[0] / ".DS_Store").write_bytes(b"x")
    (few / "train" / ".hidden").mkdir()
    arrays, _, said = run("imagenet1k", few, {}, tmp_path / "data.npz")
    assert len(arrays["path"]) == 20
    assert f"ignored: train/{OTHERS[0]}/.DS_Store" in said


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["train", "val"])
def test_a_missing_half(name, few, tmp_path):
    shutil.rmtree(few / name)
    sentence, _ = refused("imagenet1k", few, {}, tmp_path / "out/data.npz")
    assert sentence == (
        f"ImageNet-1k: {few / name} cannot be read (No such file or directory);"
        " set data_root to a folder with train/<wnid>/*.JPEG and val/<wnid>/*.JPEG"
    )


def test_a_flat_validation_folder(few, tmp_path):
    shutil.rmtree(few / "val")
    (few / "val").mkdir()
    for i in range(3):
        (few / f"val/ILSVRC2012_val_{i:08}.JPEG").write_bytes(PICTURES[i])
    sentence, _ = refused("imagenet1k", few, {}, tmp_path / "out/data.npz")
    assert f"{few / 'val'} holds 3 images and no folders of classes, as the archive unpacks" in sentence
    assert "sort them into val/<wnid>, as torchvision.datasets.ImageNet does" in sentence


def test_every_problem_is_in_the_log_and_three_in_the_sentence(few, tmp_path):
    first, second, third, fourth = sorted(os.listdir(few / "train"))
    shutil.rmtree(few / "val" / first)
    for path in (few / "train" / second).iterdir():
        path.unlink()
    (few / "val" / third / "one_more.JPEG").write_bytes(PICTURES[0])
    spoilt = sorted((few / "train" / fourth).iterdir())
    spoilt[0].write_bytes(b"")
    spoilt[1].write_text("text")
    spoilt[2].write_bytes(PICTURES[2][:-500])
    (few / "val" / fourth / "folder").mkdir()
    sentence, problems = refused("imagenet1k", few, {}, tmp_path / "out/data.npz")
    expected = [
        f"val/{first} is missing",
        f"train/{second} has 0 images and not 2 to 4",
        f"val/{third} has 3 images and not 2",
        f"val/{fourth} has 3 images and not 2",
        "train has 9 images in all and not 12",
        f"train/{fourth}/{spoilt[0].name} is empty",
        f"train/{fourth}/{spoilt[1].name} is neither JPEG nor PNG",
        f"train/{fourth}/{spoilt[2].name} is cut off (JPEG without its end marker)",
        f"val/{fourth}/folder is a folder inside the folder of a class",
    ]
    assert problems == expected
    first_three = ", ".join(expected[:3])
    assert sentence == (
        f"ImageNet-1k in {few}: 9 problems: {first_three} and so on (the log lists all);"
        " unpack those again from the published archives"
    )


def test_one_problem_is_told_in_full(few, tmp_path):
    path = sorted((few / "train" / OTHERS[0]).iterdir())[0]
    path.write_bytes(b"")
    sentence, _ = refused("imagenet1k", few, {}, tmp_path / "out/data.npz")
    assert f": 1 problem: train/{OTHERS[0]}/{path.name} is empty; unpack" in sentence


def test_too_few_classes(few, tmp_path):
    for split in ("train", "val"):
        shutil.rmtree(few / split / OTHERS[0])
    _, problems = refused("imagenet1k", few, {}, tmp_path / "out/data.npz")
    assert problems == ["train and val have 3 classes, not 4", "train has 9 images in all and not 12"]


def test_a_missing_class_of_the_list(hundred, tmp_path):
    name = read_class_list()[17]
    shutil.rmtree(hundred / "train" / name)
    plant(hundred, OTHERS)
    _, problems = refused("imagenet100", hundred, {}, tmp_path / "out/data.npz")
    assert problems == [f"train/{name} is missing"]


def test_the_published_counts_are_enforced(hundred, tmp_path, monkeypatch):
    monkeypatch.setitem(imagefolder.PUBLISHED, "imagenet100", Published("ImageNet-100", 100, None))
    sentence, problems = refused("imagenet100", hundred, {}, tmp_path / "out/data.npz")
    assert len(problems) == 200
    assert "train/n01558993 has 1 images and not 732 to 1300" in sentence
    assert "val/n01558993 has 1 images and not 50" in problems


def test_generated_images_are_not_taken_for_published_ones(generated, tmp_path):
    sentence, _ = refused("imagenet100", generated, {}, tmp_path / "out/data.npz")
    assert sentence == f"{generated}: these are generated images, not ImageNet-100; set generated: true to use them"


def test_published_images_are_not_taken_for_generated_ones(few, tmp_path):
    sentence, _ = refused("imagenet1k", few, GENERATED, tmp_path / "out/data.npz")
    assert f"generated: true is set, but {few} has no {MANIFEST}" in sentence


def test_generated_images_are_verified_in_full(generated, tmp_path):
    paths = sorted((generated / "train").rglob("*.JPEG"), key=os.path.getsize)
    content = bytearray(paths[-1].read_bytes())
    content[5000] ^= 1  # where published files are not read
    paths[-1].write_bytes(content)
    paths[0].unlink()
    lost = paths[0].relative_to(generated)
    _, problems = refused("imagenet1k", generated, GENERATED, tmp_path / "out/data.npz")
    count = len(list(paths[0].parent.iterdir()))
    assert sorted(problems) == sorted(
        [
            f"{lost} is missing",
            f"{paths[-1].relative_to(generated)} is damaged (its SHA-256 is not that of {MANIFEST})",
            f"{lost.parent} has {count} images and not {count + 1}",
        ]
    )


def test_generated_classes_must_be_in_the_list_for_imagenet100(generated, tmp_path):
    manifest = json.loads((generated / MANIFEST).read_text())
    manifest["class_names"] = [f"n9999999{i}" for i in range(5)]
    (generated / MANIFEST).write_text(json.dumps(manifest))
    sentence, _ = refused("imagenet100", generated, GENERATED, tmp_path / "out/data.npz")
    assert sentence == f"{generated} has none of the classes of ImageNet-100; generate images of some of them"


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/data.npz cannot be written \(.+\); choose another place or make it writable"):
        build("imagenet1k", tmp_path / "nowhere", {}, tmp_path / "file/data.npz", 1, print)


# --- decoding ---------------------------------------------------------------------------------------------------------


def test_the_job_decodes_every_image_when_asked_to(generated, tmp_path):
    out, log = tmp_path / "out/data.npz", tmp_path / "log"

    def job(settings):
        options = ["--dataset", "imagenet1k", "--root", generated, "--out", out, "--log", log, "--workers", "2"]
        command = [sys.executable, "-m", "arb_suite", "imagefolder", *map(str, options), "--settings", json.dumps(settings)]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    done = job({"generated": True, "full": True})
    assert (done.returncode, done.stderr) == (0, log.read_text())
    assert read_archive(out)[1]["checked"] == "every image decoded"

    # Whole at both ends and without a frame between them, and in the manifest as it is
    path = max((generated / "val").rglob("*.JPEG"), key=os.path.getsize)
    manifest, before = (generated / MANIFEST).read_text(), sha256(path)
    path.write_bytes(b"\xff\xd8\xff\xfe" + bytes(10000) + b"\xff\xd9")
    (generated / MANIFEST).write_text(manifest.replace(before, sha256(path)))
    assert job({"generated": True}).returncode == 0
    failed = job({"generated": True, "full": True})
    assert failed.returncode == 2
    problems = [line for line in log.read_text().splitlines() if line.startswith("problem: ")]
    assert len(problems) == 1
    assert problems[0].startswith(f"problem: {path.relative_to(generated)} cannot be decoded (")
    # The list is for the log alone; the sentence on the terminal has the first three
    assert [line for line in failed.stderr.splitlines() if str(path.relative_to(generated)) in line] == [
        failed.stderr.splitlines()[-1]
    ]
