"""ImageNet-1k and ImageNet-100 in folders of classes: every file checked and listed, none copied.

The layout is that of torchvision's ImageFolder, ``train/<wnid>/*`` and ``val/<wnid>/*``, in ROOT/imagenet1k or
ROOT/imagenet100 if there is such a folder, and in ROOT otherwise. For ImageNet-100 the classes of
``imagenet100_cmc.txt`` are taken, from a folder of these or of all 1000; links to folders are followed. There are MD5s
of the published archives, but of none of their files: what can be checked is that the classes and counts are the
published ones and that every file is whole.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .files import write_archive
from .folders import check_sources, check_writable, folder_of, read_manifest, refuse, unlike_manifest
from .image_files import EXTENSIONS, FORMATS, Found, check_class, printable, undecodable
from .jobs import UserError, job_parser, read_resolved, run_job
from .printed import FOLDER
from .renders import SPLITS, class_counts

__all__ = ["PUBLISHED", "Published", "build", "check_counts", "read_class_list"]

FOLDERS = {"train": "train", "test": "val"}  # by the split they are here
WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Published:
    """
    What a data set is as published.

    Attributes
    ----------
    title : str
        Its name.
    classes : int
        Number of classes.
    train : int or None
        Number of training images, where it is published.
    train_each : (int, int)
        The fewest and the most training images of a class.
    val_each : int
        Validation images of each class.

    """

    title: str
    classes: int
    train: int | None
    train_each: tuple[int, int] = (732, 1300)
    val_each: int = 50


# Russakovsky et al., ImageNet large scale visual recognition challenge, IJCV 2015, Table 2
PUBLISHED = {"imagenet100": Published("ImageNet-100", 100, None), "imagenet1k": Published("ImageNet-1k", 1000, 1281167)}


def read_class_list() -> list[str]:
    """Return the class names of ImageNet-100 in the order of the list."""
    return (FOLDER / "imagenet100_cmc.txt").read_text(encoding="utf-8").split()


def check_counts(published: Published, counts: Mapping[str, int]) -> list[str]:
    """
    Compare the number of images of each class with what is published.

    Parameters
    ----------
    published : Published
        The data set.
    counts : mapping
        Number of images by folder, ``train/<wnid>`` or ``val/<wnid>``.

    Returns
    -------
    list of str
        What differs.

    """
    low, high = published.train_each
    training = {name: count for name, count in counts.items() if name.startswith("train/")}
    problems = [f"{name} has {n} images and not {low} to {high}" for name, n in training.items() if not low <= n <= high]
    problems += [
        f"{name} has {n} images and not {published.val_each}"
        for name, n in counts.items()
        if name not in training and n != published.val_each
    ]
    total = sum(training.values())
    if published.train is not None and total != published.train:
        problems.append(f"train has {total} images in all and not {published.train}")
    return problems


def _find(folder: Path, published: Published) -> dict[str, list[str]]:
    """Return the folders of classes in ``train`` and in ``val``, or say which layout is expected."""
    layout = "train/<wnid>/*.JPEG and val/<wnid>/*.JPEG"
    found = {}
    for name in FOLDERS.values():
        try:
            entries = list(os.scandir(folder / name))
        except OSError as error:
            raise UserError(
                f"{published.title}: {folder / name} cannot be read ({error.strerror}); set data_root to a folder with {layout}"
            ) from error
        found[name] = sorted(entry.name for entry in entries if WNID.fullmatch(entry.name) and entry.is_dir())
        flat = sum(entry.name.lower().endswith(EXTENSIONS) for entry in entries)
        if flat and not found[name]:
            raise UserError(
                f"{published.title}: {folder / name} holds {flat} images and no folders of classes, as the archive unpacks;"
                f" sort them into {name}/<wnid>, as torchvision.datasets.ImageNet does from the archive and its development kit"
            )
    return found


def _classes(dataset: str, folder: Path, manifest: Mapping[str, Any] | None) -> tuple[list[str], list[str]]:
    """Return the classes to take, sorted as ImageFolder sorts them, and what is wrong with the folders of classes."""
    published = PUBLISHED[dataset]
    found = _find(folder, published)
    chosen = manifest["class_names"] if manifest else sorted({*found["train"], *found["val"]})
    if dataset == "imagenet100":
        listed = read_class_list()
        chosen = sorted(set(chosen) & set(listed) if manifest else listed)
        if not chosen:
            raise UserError(f"{folder} has none of the classes of ImageNet-100; generate images of some of them")
    problems = [f"{name}/{wnid} is missing" for name in found for wnid in chosen if wnid not in set(found[name])]
    if not manifest and len(chosen) != published.classes:
        problems.insert(0, f"train and val have {len(chosen)} classes, not {published.classes}")
    return chosen, problems


def build(dataset: str, root: Path, settings: Mapping[str, Any], out: Path, workers: int, report: Callable[..., None]) -> None:
    """
    Check ImageNet-1k or ImageNet-100 and write the list of its files with its description.

    Parameters
    ----------
    dataset : {"imagenet1k", "imagenet100"}
        Which of the two.
    root : Path
        See the module.
    settings : mapping
        ``full`` (default False): decode every image. ``generated`` (default False): the
        images are those that `generated` wrote; all their bytes are verified.
        ``sources``, if set: how many images each split must have.
    out : Path
        The npz archive: path (n,) bytes, relative to the folder of ``train`` and
        ``val`` and encoded as by `os.fsencode`; size (n,) int64, bytes; crc (n,)
        uint32, see `Found`; labels int64, by the sorted names of the classes; source
        int64 (0 to n - 1); split int8. Training images come first, each split sorted
        by class and name. The description is written beside it.
    workers : int
        Threads that read, and processes that decode.
    report : callable
        Receives lines; see `jobs.run_job`.

    Raises
    ------
    UserError
        If anything is missing, not as published or not whole. All of it is in the
        log, the first three in the message.

    Notes
    -----
    The cost is that of opening 1.3 million files and reading 8 KB of each, 11 GB in all. From memory that took 0.025 ms a
    file, half a minute; otherwise the disk settles it: some 5 minutes at 10000 reads a second, hours at 200 (one that
    turns), where `workers` help little. ``full`` reads all 150 GB; decoding took 5 ms a megapixel with JPEGs of the
    generator and may take twice that with photographs: 1.3 million of 0.2 megapixels are about half an hour of one core.

    """
    published = PUBLISHED[dataset]
    check_writable(out)
    folder = folder_of(root, dataset)
    manifest = read_manifest(folder, "imagenet", published.title, settings.get("generated", False))
    names, problems = _classes(dataset, folder, manifest)
    if manifest:
        problems += unlike_manifest(folder, manifest)
    places = [(split, label, f"{FOLDERS[split]}/{name}") for split in FOLDERS for label, name in enumerate(names)]
    checked = _check_classes(folder, [name for _, _, name in places], workers, report)
    counts = {name: len(files) for name, files in checked.items() if (folder / name).is_dir()}
    problems += _unlike_generated(manifest, counts) if manifest else check_counts(published, counts)
    found = [file for files in checked.values() for file in files]
    problems += [f"{printable(file.path)} {file.problem}" for file in found if file.problem]
    if settings.get("full", False):
        whole = [file.path for file in found if not file.problem]
        failed = undecodable(folder, whole, workers, report)
        problems += [f"{printable(path)} cannot be decoded ({why})" for path, why in failed]
    advice = "generate the images again" if manifest else "unpack those again from the published archives"
    refuse(f"{published.title} in {folder}", problems, advice, report)

    sizes = [len(files) for files in checked.values()]
    labels = np.repeat(np.array([label for _, label, _ in places], np.int64), sizes)
    split = np.repeat(np.array([SPLITS.index(split) for split, _, _ in places], np.int8), sizes)
    arrays = {
        "path": np.array([os.fsencode(file.path) for file in found]),
        "size": np.array([file.size for file in found], np.int64),
        "crc": np.array([file.crc for file in found], np.uint32),
        "labels": labels,
        "source": np.arange(len(found)),
        "split": split,
    }
    by_class = class_counts(labels, split, len(names))
    sources = {part: sum(of_class) for part, of_class in by_class.items()}
    check_sources(dataset, sources, settings)
    digest = write_archive(
        out,
        arrays,
        {
            "origin": "generated" if manifest else f"{published.title} in folders, classes and counts as published",
            "checked": "every image decoded" if settings.get("full", False) else "both ends of every file",
            "formats": {form: sum(file.format == form for file in found) for form in FORMATS},
            "sources": sources,
            "renders_per_source": 1,
            "classes": len(names),
            "class_names": names,
            "class_counts_per_split": by_class,
            "settings": dict(settings),
        },
    )
    report(f"{dataset}: {len(found)} images in {folder}, {sources}, sha256 {digest[:12]}")


def _check_classes(folder: Path, names: Sequence[str], workers: int, report: Callable[..., None]) -> dict[str, list[Found]]:
    """Check the files of every class; see `image_files.check_class`."""
    report(f"reading both ends of every file in {len(names)} folders of {folder}")
    checked = {}
    with ThreadPoolExecutor(workers) as pool:
        for name, (files, ignored) in zip(names, pool.map(partial(check_class, folder), names), strict=True):
            checked[name] = files
            for path in ignored:
                report(f"ignored: {printable(path)}", terminal=False)
            if len(checked) % 200 == 0:
                report(f"{len(checked)} of {len(names)} folders read")
    return checked


def _unlike_generated(manifest: Mapping[str, Any], counts: Mapping[str, int]) -> list[str]:
    """Compare the number of images of each class with the manifest."""
    expected = {
        f"{FOLDERS[split]}/{name}": count
        for split in FOLDERS
        for name, count in zip(manifest["class_names"], manifest["counts"][split], strict=True)
    }
    return [f"{name} has {n} images and not {expected[name]}" for name, n in counts.items() if n != expected[name]]


def main() -> None:
    """Run the rule of ImageNet-1k or ImageNet-100."""
    parser = job_parser("Check ImageNet-1k or ImageNet-100 and list its files.")
    parser.add_argument("--dataset", required=True, choices=sorted(PUBLISHED), help="which of the two")
    parser.add_argument("--root", type=Path, required=True, help="the folder that holds train and val")
    parser.add_argument("--settings", required=True, help="the data settings, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="the npz archive to write")
    parser.add_argument("--workers", type=int, default=1, help="threads that read, and processes that decode")

    def work(options: Any, report: Callable[..., None]) -> None:
        build(options.dataset, options.root, read_resolved(options.settings), options.out, options.workers, report)

    run_job(work, parser)
