import csv
import hashlib
import http.server
import json
import pickle
import shutil
import subprocess
import sys
import tarfile
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from arb_suite import cifar
from arb_suite.cifar import PUBLISHED, build
from arb_suite.files import read_archive
from arb_suite.folders import MANIFEST
from arb_suite.generated import generate
from arb_suite.jobs import UserError

ROOT = Path(__file__).parents[2]
GENERATED = {"generated": True}
FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
BATCHES = {
    "cifar10": [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"],
    "cifar100": ["train", "test", "meta"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A root with both data sets, generated."""
    root = tmp_path_factory.mktemp("made")
    generate("cifar10", 53, 21, 10, 0, root)
    generate("cifar100", 205, 103, 100, 0, root)
    return root


@pytest.fixture
def root(made, tmp_path):
    """A copy of it to spoil."""
    return shutil.copytree(made, tmp_path / "root")


def run(dataset, root, settings, out):
    """Build and return the arrays, the description and what was said."""
    said = []
    build(dataset, root, settings, out, lambda line, terminal=True: said.append(line))
    return *read_archive(out), said


def refused(dataset, root, settings, out):
    """Return the sentence and the lines of the log, and make sure that nothing was written."""
    said = []
    with pytest.raises(UserError) as error:
        build(dataset, root, settings, out, lambda line, terminal=True: said.append(line))
    assert not out.parent.exists() or list(out.parent.iterdir()) == []
    return str(error.value), "\n".join(said).splitlines()


def claim(monkeypatch, dataset, folder):
    """Let torchvision take the files of a folder for the published ones."""
    reader = getattr(datasets, PUBLISHED[dataset].reader)
    md5 = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in BATCHES[dataset]}
    for names in ("train_list", "test_list"):
        monkeypatch.setattr(reader, names, [[name, md5[name]] for name, _ in getattr(reader, names)])
    monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": md5[reader.meta["filename"]]})
    return reader


# --- the published counts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("published", PUBLISHED.values(), ids=PUBLISHED)
def test_published_counts_are_those_of_the_printed_data(published):
    with (ROOT / "workflow/paper/evaluation_sets.csv").open(encoding="utf-8") as handle:
        row = next(row for row in csv.DictReader(handle) if row["dataset"] == published.title)
    assert published.classes == int(row["classes"])
    assert published.test * published.classes == int(row["n_eval"])
    assert published.train * published.classes == 50000


@pytest.fixture
def whole(tmp_path):
    """A root with CIFAR-10 of the published size, whose images are black but for two values that number them."""
    folder = tmp_path / FOLDERS["cifar10"]
    folder.mkdir()
    for i, name in enumerate(BATCHES["cifar10"][:-1]):
        data = np.zeros((10000, 3072), np.uint8)
        data[:, 0], data[:, 1024] = np.divmod(np.arange(10000 * i, 10000 * (i + 1)), 256)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": (np.arange(10000) % 10).tolist()}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {i}" for i in range(10)]}))
    yield tmp_path
    shutil.rmtree(tmp_path)  # 370 MB


def test_data_of_the_published_size_and_md5(whole, monkeypatch):
    claim(monkeypatch, "cifar10", whole / FOLDERS["cifar10"])
    arrays, description, said = run("cifar10", whole, {}, whole / "out/data.npz")
    assert arrays["images"].shape == (60000, 32, 32, 3)
    assert np.array_equal(arrays["images"][:, 0, 0, :2].astype(int) @ [256, 1], np.arange(60000))
    assert np.array_equal(arrays["source"], np.arange(60000))
    assert np.array_equal(arrays["split"], np.repeat([0, 2], [50000, 10000]))
    assert description["origin"] == "CIFAR-10 as published, MD5 verified"
    assert description["class_counts_per_split"] == {"train": [5000] * 10, "validation": [0] * 10, "test": [1000] * 10}
    assert description["sources"] == {"train": 50000, "validation": 0, "test": 10000}
    assert description["image_shape"] == [32, 32, 3]
    assert "60000 images" in said[-1]


def test_counts_that_are_not_published_are_refused(root, tmp_path, monkeypatch):
    folder = root / FOLDERS["cifar10"]
    (folder / MANIFEST).unlink()
    claim(monkeypatch, "cifar10", folder)
    sentence, log = refused("cifar10", root, {}, tmp_path / "out/data.npz")
    assert sentence.startswith(f"CIFAR-10 in {folder}: 20 problems: train has 6 images of class 0 and not 5000, ")
    assert "problem: test has 2 images of class 9 and not 1000" in log
    assert len(log) == 20


# --- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dataset", "train", "test", "classes"), [("cifar10", 53, 21, 10), ("cifar100", 205, 103, 100)])
def test_the_archive_holds_what_torchvision_reads(dataset, train, test, classes, made, tmp_path, monkeypatch):
    arrays, description, _ = run(dataset, made, GENERATED, tmp_path / "data.npz")
    reader = claim(monkeypatch, dataset, made / FOLDERS[dataset])
    sets = [reader(made, train=part) for part in (True, False)]
    assert np.array_equal(arrays["images"], np.concatenate([part.data for part in sets]))
    assert np.array_equal(arrays["labels"], np.concatenate([part.targets for part in sets]))
    assert {name: array.dtype.name for name, array in arrays.items()} == {
        "images": "uint8",
        "labels": "int64",
        "source": "int64",
        "split": "int8",
    }
    assert np.bincount(arrays["split"]).tolist() == [train, 0, test]
    assert description["origin"] == "generated"
    assert description["class_names"] == sets[0].classes
    assert description["classes"] == classes
    assert description["settings"] == GENERATED
    assert description["renders_per_source"] == 1
    assert sum(description["class_counts_per_split"]["train"]) == description["sources"]["train"] == train


def test_same_input_same_bytes_wherever_it_lies(made, tmp_path):
    spaced = tmp_path / "Bilder für Prüfungen 1"
    shutil.copytree(made, spaced / "cifar10")  # the folder of the data set's name comes first
    (tmp_path / "linked").symlink_to(spaced)
    outs = []
    for i, root in enumerate((made, spaced, tmp_path / "linked")):
        outs.append(tmp_path / f"out {i}" / "cifar10.npz")
        run("cifar10", root, GENERATED, outs[-1])
    for suffix in (".npz", ".json"):
        assert len({out.with_suffix(suffix).read_bytes() for out in outs}) == 1


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, GENERATED])
def test_a_missing_folder(settings, tmp_path):
    sentence, _ = refused("cifar100", tmp_path / "nowhere", settings, tmp_path / "out/data.npz")
    expected = f"CIFAR-100: there is no folder {tmp_path / 'nowhere/cifar-100-python'}, with train, test, meta in it"
    assert sentence.startswith(expected)
    assert "set data_root to the folder that holds cifar-100-python" in sentence
    assert ("--config download=true" in sentence) == (not settings)


def test_generated_images_are_not_taken_for_published_ones(root, tmp_path):
    sentence, _ = refused("cifar10", root, {}, tmp_path / "out/data.npz")
    folder = root / FOLDERS["cifar10"]
    assert sentence == f"{folder}: these are generated images, not CIFAR-10; set generated: true to use them"


def test_generated_images_are_not_overwritten_by_a_download(root, tmp_path):
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert "these are generated images" in refused("cifar10", root, {"download": True}, tmp_path / "out/data.npz")[0]
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_published_images_are_not_taken_for_generated_ones(root, tmp_path):
    (root / FOLDERS["cifar10"] / MANIFEST).unlink()
    sentence, _ = refused("cifar10", root, GENERATED, tmp_path / "out/data.npz")
    assert f"{root / FOLDERS['cifar10']} has no {MANIFEST}" in sentence
    assert "leave generated out to use CIFAR-10 as published" in sentence


def test_generated_and_download_exclude_each_other(root, tmp_path):
    sentence, _ = refused("cifar10", root, {"generated": True, "download": True}, tmp_path / "out/data.npz")
    assert sentence == "cifar10: generated images cannot be downloaded; set generated or download, not both"


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def spoil(folder):
    (folder / "data_batch_3").unlink()
    flip(folder / "data_batch_5")
    (folder / "test_batch").write_bytes((folder / "test_batch").read_bytes()[:-1])
    flip(folder / "batches.meta")


@pytest.mark.parametrize("settings", [{}, GENERATED])
def test_every_missing_and_every_damaged_file_is_named(settings, root, tmp_path, monkeypatch):
    folder = root / FOLDERS["cifar10"]
    claim(monkeypatch, "cifar10", folder)
    spoil(folder)
    if not settings:
        (folder / MANIFEST).unlink()
    sentence, log = refused("cifar10", root, settings, tmp_path / "out/data.npz")
    assert sentence.startswith(f"CIFAR-10 in {folder}: 4 problems: ")
    reason = "its SHA-256 is not that of generated.json" if settings else "its MD5 is not the published one"
    assert sorted(log) == [
        f"problem: batches.meta is damaged ({reason})",
        "problem: data_batch_3 is missing",
        f"problem: data_batch_5 is damaged ({reason})",
        f"problem: test_batch is damaged ({reason})",
    ]
    assert ("--config download=true" in sentence) == (not settings)


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_files_that_nobody_published_are_damaged(dataset, root, tmp_path):
    (root / FOLDERS[dataset] / MANIFEST).unlink()
    _, log = refused(dataset, root, {}, tmp_path / "out/data.npz")
    assert log == [f"problem: {name} is damaged (its MD5 is not the published one)" for name in BATCHES[dataset]]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda manifest: manifest["counts"]["train"].__setitem__(3, 7), "train has 5 images of class 3 and not 7"),
        (lambda manifest: manifest.update(format="cifar100"), "in the format cifar100, but CIFAR-10 needs cifar10"),
        (lambda manifest: manifest.update(format="imagenet"), "in the format imagenet, but CIFAR-10 needs cifar10"),
        (lambda manifest: manifest.pop("counts"), "cannot be read (KeyError('counts'))"),
        (lambda manifest: manifest["class_names"].pop(), "is not what python -m arb_suite generated writes"),
        (lambda manifest: manifest["files"].clear(), "is not what python -m arb_suite generated writes"),
    ],
)
def test_a_manifest_that_says_something_else(change, sentence, root, tmp_path):
    path = root / FOLDERS["cifar10"] / MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    assert sentence in refused("cifar10", root, GENERATED, tmp_path / "out/data.npz")[0]


@pytest.mark.parametrize("text", ["", "{", "[]", '"generated"', "\udcff"])
def test_a_manifest_that_is_none(text, root, tmp_path):
    (root / FOLDERS["cifar10"] / MANIFEST).write_bytes(text.encode("utf-8", "surrogateescape"))
    sentence, _ = refused("cifar10", root, GENERATED, tmp_path / "out/data.npz")
    assert f"{MANIFEST} cannot be read" in sentence
    assert sentence.endswith("generate the images again")


@pytest.mark.parametrize("place", ["file/data.npz", "folder"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(place, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=rf"{place} cannot be written \(.+\); choose another place or make it writable"):
        build("cifar10", tmp_path / "nowhere", {}, tmp_path / place, print)


def test_a_failure_while_writing_leaves_the_former_archive(made, tmp_path, monkeypatch):
    out = tmp_path / "data.npz"
    run("cifar10", made, GENERATED, out)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(handle, **_):
        handle.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        build("cifar10", made, GENERATED, out, lambda *_, **__: None)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


# --- downloading ------------------------------------------------------------------------------------------------------


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def published(root, tmp_path, monkeypatch):
    """A server of an archive that torchvision takes for the published one, with counts to match; returns its folder."""
    folder, served = root / FOLDERS["cifar10"], tmp_path / "served"
    served.mkdir()
    (folder / MANIFEST).unlink()
    rng = np.random.default_rng(0)
    for name in BATCHES["cifar10"][:-1]:
        batch = {"data": rng.integers(0, 256, (20, 3072), dtype=np.uint8), "labels": list(range(10)) * 2}
        (folder / name).write_bytes(pickle.dumps(batch))
    reader = claim(monkeypatch, "cifar10", folder)
    with tarfile.open(served / reader.filename, "w:gz") as archive:
        archive.add(folder, folder.name)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=served))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(reader, "url", f"http://127.0.0.1:{server.server_port}/{reader.filename}")
    monkeypatch.setattr(reader, "tgz_md5", hashlib.md5((served / reader.filename).read_bytes()).hexdigest())
    monkeypatch.setitem(cifar.PUBLISHED, "cifar10", cifar.Published("CIFAR-10", "CIFAR10", 10, 10, 2))
    yield served
    server.shutdown()
    server.server_close()


def test_what_is_missing_is_downloaded_only_when_asked_for(published, tmp_path):
    new = tmp_path / "new" / "root"
    assert "there is no folder" in refused("cifar10", new, {}, tmp_path / "out/data.npz")[0]
    assert not new.exists()
    arrays, description, said = run("cifar10", new, {"download": True}, tmp_path / "out/data.npz")
    assert len(arrays["images"]) == 120
    assert description["origin"] == "CIFAR-10 as published, MD5 verified"
    assert said[0].startswith("CIFAR-10: fetching http://127.0.0.1:")
    shutil.rmtree(published)
    _, _, again = run("cifar10", new, {"download": True}, tmp_path / "out/data.npz")
    assert len(again) == 1  # all is there, and nothing is fetched


def test_what_is_damaged_is_downloaded_again(published, root, tmp_path):
    spoil(root / FOLDERS["cifar10"])
    refused("cifar10", root, {}, tmp_path / "out/data.npz")
    assert len(run("cifar10", root, {"download": True}, tmp_path / "out/data.npz")[0]["images"]) == 120


def test_a_download_that_fails(published, tmp_path):
    shutil.rmtree(published)
    sentence, _ = refused("cifar10", tmp_path / "new", {"download": True}, tmp_path / "out/data.npz")
    assert sentence.startswith("CIFAR-10 could not be fetched from http://127.0.0.1:")
    assert "404" in sentence


def test_a_download_of_something_else(published, tmp_path):
    for path in published.iterdir():
        path.write_bytes(b"another file")
    sentence, _ = refused("cifar10", tmp_path / "new", {"download": True}, tmp_path / "out/data.npz")
    assert "could not be fetched" in sentence
    assert not (tmp_path / "new" / FOLDERS["cifar10"]).exists()


# --- the job ----------------------------------------------------------------------------------------------------------


def job(*arguments):
    command = [sys.executable, "-m", "arb_suite", "cifar", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_the_job(made, tmp_path):
    out, log = tmp_path / "out/cifar10.npz", tmp_path / "logs/log"
    options = ("--dataset", "cifar10", "--root", made, "--out", out, "--log", log)
    done = job(*options, "--settings", json.dumps(GENERATED))
    assert done.returncode == 0
    assert read_archive(out)[1]["data_hash"][:12] in log.read_text()
    bad = job(*options, "--settings", "{}", "--download")
    assert bad.returncode == 2
    assert bad.stderr == log.read_text()
    assert bad.stderr.startswith("error: ")
    assert "these are generated images" in bad.stderr
