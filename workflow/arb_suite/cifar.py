"""CIFAR-10 and CIFAR-100 as published: every file verified, then written in the layout of the other data sets.

The folder is that of torchvision: ``cifar-10-batches-py`` or ``cifar-100-python``, unpacked from the archive of the
authors. It is looked for in ROOT/cifar10 or ROOT/cifar100 if there is such a folder, and in ROOT otherwise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from .files import write_archive
from .folders import check_sources, check_writable, folder_of, read_manifest, refuse, unlike_manifest
from .jobs import UserError, job_parser, read_resolved, run_job
from .renders import SPLITS, class_counts

__all__ = ["PUBLISHED", "Published", "build"]


@dataclass(frozen=True)
class Published:
    """
    What a data set is as its authors published it.

    Attributes
    ----------
    title, reader : str
        Its name, and its class in `torchvision.datasets`, which knows the files and
        their MD5.
    classes, train, test : int
        Number of classes, and of the images of each in the two splits.

    """

    title: str
    reader: str
    classes: int
    train: int
    test: int


# Krizhevsky, Learning multiple layers of features from tiny images (2009), and the authors' page
PUBLISHED = {
    "cifar10": Published("CIFAR-10", "CIFAR10", 10, 5000, 1000),
    "cifar100": Published("CIFAR-100", "CIFAR100", 100, 500, 100),
}


def build(dataset: str, root: Path, settings: Mapping[str, Any], out: Path, report: Callable[..., None]) -> None:
    """
    Verify CIFAR-10 or CIFAR-100 and write it with its description.

    Parameters
    ----------
    dataset : {"cifar10", "cifar100"}
        Which of the two.
    root : Path
        See the module.
    settings : mapping
        ``download`` (default False): let torchvision fetch what is missing or damaged.
        ``sources``, if set: how many images each split must have.
        ``generated`` (default False): read the images that `generated` wrote, which
        are verified by their manifest in place of the MD5 of the published files.
    out : Path
        The npz archive: images (n, 32, 32, 3) uint8 in RGB, labels int64, source int64
        (0 to n - 1) and split int8, training images first, in the order of the
        files; its description is written beside it.
    report : callable
        Receives lines; see `jobs.run_job`.

    Raises
    ------
    UserError
        If the folder or a file is missing, a file is damaged, the counts are not
        those published, or the images are generated and the settings do not say so.

    """
    from torchvision import datasets

    published = PUBLISHED[dataset]
    reader = getattr(datasets, published.reader)
    generated, download = settings.get("generated", False), settings.get("download", False)
    if generated and download:
        raise UserError(f"{dataset}: generated images cannot be downloaded; set generated or download, not both")
    check_writable(out)
    home = folder_of(root, dataset)
    folder = home / reader.base_folder
    manifest = read_manifest(folder, dataset, published.title, generated) if folder.is_dir() else None
    if download:
        _download(reader, home, published.title, report)
    if not folder.is_dir():
        fetch = "" if generated else ", or fetch it with --config download=true"
        raise UserError(
            f"{published.title}: there is no folder {folder}, with {', '.join(_files(reader))} in it;"
            f" set data_root to the folder that holds {reader.base_folder}{fetch}"
        )
    if manifest:
        problems, advice = unlike_manifest(folder, manifest), "generate the images again"
        counts = manifest["counts"]
    else:
        problems = _unlike_published(reader, folder)
        advice = "fetch them with --config download=true"
        counts = _published_counts(published)
    refuse(f"{published.title} in {folder}", problems, advice, report)

    images, labels, split, class_names = _read(reader, home)
    found = class_counts(labels, split, len(class_names))
    problems = [
        f"{part} has {has} images of class {label} and not {must}"
        for part in SPLITS
        for label, (has, must) in enumerate(zip_longest(found[part], counts[part], fillvalue=0))
        if has != must
    ]
    refuse(f"{published.title} in {folder}", problems, advice, report)

    arrays = {"images": images, "labels": labels, "source": np.arange(len(labels)), "split": split}
    sources = {part: sum(of_class) for part, of_class in found.items()}
    check_sources(dataset, sources, settings)
    digest = write_archive(
        out,
        arrays,
        {
            "origin": "generated" if manifest else f"{published.title} as published, MD5 verified",
            "sources": sources,
            "renders_per_source": 1,
            "image_shape": list(images.shape[1:]),
            "classes": len(class_names),
            "class_names": class_names,
            "class_counts_per_split": found,
            "settings": dict(settings),
        },
    )
    report(f"{dataset}: {len(labels)} images of {folder}, {sources}, sha256 {digest[:12]}")


def _files(reader: Any) -> dict[str, str]:
    """Return the MD5 of every file that torchvision knows."""
    return dict([*reader.train_list, *reader.test_list, (reader.meta["filename"], reader.meta["md5"])])


def _published_counts(published: Published) -> dict[str, list[int]]:
    return {part: [{"train": published.train, "test": published.test}.get(part, 0)] * published.classes for part in SPLITS}


def _unlike_published(reader: Any, folder: Path) -> list[str]:
    """List the files that are missing or do not have their MD5."""
    from torchvision.datasets.utils import check_integrity

    problems = []
    for name, md5 in _files(reader).items():
        try:
            if not (folder / name).is_file():
                problems.append(f"{name} is missing")
            elif not check_integrity(folder / name, md5):
                problems.append(f"{name} is damaged (its MD5 is not the published one)")
        except OSError as error:
            problems.append(f"{name} cannot be read ({error.strerror})")
    return problems


def _download(reader: Any, home: Path, title: str, report: Callable[..., None]) -> None:
    """Let torchvision fetch and unpack the archive unless every file is there and intact."""
    from torchvision.datasets.utils import download_and_extract_archive

    if not _unlike_published(reader, home / reader.base_folder):
        return
    report(f"{title}: fetching {reader.url} into {home}")
    try:
        download_and_extract_archive(reader.url, str(home), filename=reader.filename, md5=reader.tgz_md5)
    except (OSError, RuntimeError, EOFError) as error:
        raise UserError(f"{title} could not be fetched from {reader.url} into {home} ({error})") from error


def _read(reader: Any, home: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Read verified files through torchvision, whose own check of the MD5, a second one, is left out."""
    lists = {name: [(file, None) for file, _ in getattr(reader, name)] for name in ("train_list", "test_list")}
    verified = type("Verified", (reader,), {**lists, "meta": {**reader.meta, "md5": None}})
    train, test = verified(home, train=True), verified(home, train=False)
    images = np.ascontiguousarray(np.concatenate([train.data, test.data]))
    labels = np.array([*train.targets, *test.targets], dtype=np.int64)
    split = np.repeat(np.array([SPLITS.index("train"), SPLITS.index("test")], np.int8), [len(train), len(test)])
    return images, labels, split, list(train.classes)


def main() -> None:
    """Run the rule of CIFAR-10 or CIFAR-100."""
    parser = job_parser("Verify CIFAR-10 or CIFAR-100 and write it in the layout of the other data sets.")
    parser.add_argument("--dataset", required=True, choices=sorted(PUBLISHED), help="which of the two")
    parser.add_argument("--root", type=Path, required=True, help="the folder that holds the folder of torchvision")
    parser.add_argument("--settings", required=True, help="the data settings, as JSON")
    parser.add_argument("--download", action="store_true", help="as download: true in the settings")
    parser.add_argument("--out", type=Path, required=True, help="the npz archive to write")

    def work(options: Any, report: Callable[..., None]) -> None:
        settings = read_resolved(options.settings)
        if options.download:
            settings["download"] = True
        build(options.dataset, options.root, settings, options.out, report)

    run_job(work, parser)
