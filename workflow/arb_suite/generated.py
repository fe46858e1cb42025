"""Generated look-alikes of CIFAR-10, CIFAR-100 and ImageNet, in their formats: python -m arb_suite generated --format ...

They stand in for the published images where those are not at hand, in the tests above all, and say nothing about them.
A class is a texture of three plane waves. Angles and ratios of periods tell the classes apart; colours, lighting, place,
contrast and noise are drawn alike for all, so neither a colour nor a pixel gives the class away. What tells it survives
the paper's augmentation: the texture is in every crop, in grey too, and no class is the mirror image of another.
"""

import io
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .folders import MANIFEST, write_manifest
from .imagefolder import read_class_list
from .jobs import UserError, job_parser, run_job
from .renders import SPLITS, class_counts

__all__ = ["FORMATS", "draw_textures", "draw_waves", "generate"]

FORMATS = {"cifar10": 10, "cifar100": 100, "imagenet": 1000}  # and the classes that there can be at most
LEAST_CLASSES = 5  # top-5 needs as many
WAVES = 3  # of a texture
CYCLES = (4.0, 9.0)  # of a wave along the shorter side
ZOOM = 1.15  # at most, either way
SIDES = (60, 400)  # of an image in the format of ImageNet, pixels
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow and torchvision make grey
PICKLE = 4  # protocol, fixed so that the same images give the same bytes


def draw_waves(classes: int, rng: np.random.Generator) -> np.ndarray:
    """
    Invent the classes.

    Parameters
    ----------
    classes : int
        Number of them.
    rng : numpy.random.Generator
        Source of all of it.

    Returns
    -------
    (classes, 3, 2) float64 ndarray
        Wave vectors (x, y) of each class in cycles along the shorter side.

    """
    angle = rng.uniform(0, np.pi, (classes, WAVES))
    low, high = np.log(CYCLES)
    cycles = np.exp(rng.uniform(low, high, (classes, WAVES)))
    return np.stack([cycles * np.cos(angle), cycles * np.sin(angle)], axis=-1)


def draw_textures(waves: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """
    Draw one image of a class.

    Parameters
    ----------
    waves : (3, 2) ndarray
        The class; see `draw_waves`.
    height, width : int
        Of the image in pixels.
    rng : numpy.random.Generator
        Source of phases, zoom, colours, lighting and noise.

    Returns
    -------
    (height, width, 3) uint8 ndarray
        RGB.

    """
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij", sparse=True)
    zoom = np.exp(rng.uniform(-np.log(ZOOM), np.log(ZOOM)))
    phases = rng.uniform(0, 2 * np.pi, WAVES)
    scale = 2 * np.pi * zoom / min(height, width)
    texture = sum(np.cos(scale * (kx * x + ky * y) + phase) for (kx, ky), phase in zip(waves, phases, strict=True))
    ink = 0.5 + 0.5 * np.tanh(1.5 * texture)
    low, high = rng.uniform(0, 1, (2, 3))
    while abs((high - low) @ LUMA) < 0.25:  # or the texture would vanish in grey
        low, high = rng.uniform(0, 1, (2, 3))
    direction, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.4)
    ramp = np.cos(direction) * (x / width - 0.5) + np.sin(direction) * (y / height - 0.5)
    image: np.ndarray = (low + (high - low) * ink[..., None]) * (1 + strength * ramp)[..., None]
    image += rng.normal(0, 0.03, image.shape)
    return np.round(255 * image.clip(0, 1)).astype(np.uint8)


@dataclass(frozen=True)
class _Labels:
    """Labels and splits of all images, training images first, and their counts."""

    labels: np.ndarray
    split: np.ndarray
    counts: dict[str, list[int]]


def generate(form: str, train: int, test: int, classes: int, seed: int, out: Path) -> Path:
    """
    Generate a data set, with a manifest that says so.

    Parameters
    ----------
    form : {"cifar10", "cifar100", "imagenet"}
        Format.
    train, test : int
        Number of images in the two splits; every class has as many as any other,
        or one more.
    classes : int
        Number of classes, 5 or more: what is trained on them is measured by top-5.
    seed : int
        Settles all of it.
    out : Path
        Folder that receives ``cifar-10-batches-py``, ``cifar-100-python``, or ``train``
        and ``val`` with a folder for each class.

    Returns
    -------
    Path
        The folder with the manifest.

    Raises
    ------
    UserError
        If a size is not possible, or if something of that name is there: nothing is
        overwritten.

    """
    if not LEAST_CLASSES <= classes <= FORMATS[form]:
        allowed = f"{LEAST_CLASSES} (for top-5) to {FORMATS[form]}"
        raise UserError(f"--classes {classes} is not possible in the format {form}; choose {allowed}")
    for option, count in (("--train", train), ("--test", test)):
        if count < classes:
            raise UserError(f"{option} {count} leaves some of the {classes} classes without an image; choose {classes} or more")
    if seed < 0:
        raise UserError(f"--seed {seed} is negative; choose 0 or more")
    names = {"cifar10": ["cifar-10-batches-py"], "cifar100": ["cifar-100-python"], "imagenet": [MANIFEST, "train", "val"]}[form]
    for name in names:
        if (out / name).exists():
            raise UserError(f"{out / name} is there already; choose another --out, or delete it first")
    rng = np.random.default_rng(seed)
    labels = np.concatenate([rng.permutation(np.arange(count) % classes) for count in (train, test)])
    split = np.repeat(np.array([SPLITS.index("train"), SPLITS.index("test")], np.int8), [train, test])
    drawn = _Labels(labels, split, class_counts(labels, split, classes))
    waves = draw_waves(classes, rng)
    # Built aside and moved into place with the manifest first, so that no part of it can be taken for published images
    part = out / f".generated.{form}.part"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        if form == "imagenet":
            _write_imagenet(part, drawn, waves, seed, rng)
        else:
            _write_cifar(part / names[0], form, drawn, waves, seed, rng)
        for name in names:
            (part / name).rename(out / name)
    except OSError as error:
        raise UserError(f"the images cannot be written into {out} ({error.strerror}); choose another --out") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out if form == "imagenet" else out / names[0]


def _write_cifar(folder: Path, form: str, drawn: _Labels, waves: np.ndarray, seed: int, rng: np.random.Generator) -> None:
    """Write batches of pixels, the three channels one after the other, with the keys of the published files."""
    folder.mkdir()
    images = np.stack([draw_textures(waves[label], 32, 32, rng) for label in drawn.labels])
    data = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    class_names = [f"texture_{label}" for label in range(len(waves))]
    train, test = (np.flatnonzero(drawn.split == SPLITS.index(part)) for part in ("train", "test"))
    if form == "cifar10":
        batches = {f"data_batch_{i + 1}": chosen for i, chosen in enumerate(np.array_split(train, 5))} | {"test_batch": test}
        meta = {
            "batches.meta": {"label_names": class_names, "num_cases_per_batch": len(batches["data_batch_1"]), "num_vis": 3072}
        }
    else:
        batches = {"train": train, "test": test}
        coarse = [f"group_{group}" for group in range((len(waves) + 4) // 5)]
        meta = {"meta": {"fine_label_names": class_names, "coarse_label_names": coarse}}
    for name, chosen in batches.items():
        labels = drawn.labels[chosen].tolist()
        columns = {"labels": labels}
        if form == "cifar100":
            columns = {"fine_labels": labels, "coarse_labels": [label // 5 for label in labels]}
        files = [f"{class_names[label]}_{i:06}.png" for label, i in zip(labels, chosen, strict=True)]
        content = {"batch_label": name, "data": data[chosen], "filenames": files, **columns}
        (folder / name).write_bytes(pickle.dumps(content, protocol=PICKLE))
    for name, content in meta.items():
        (folder / name).write_bytes(pickle.dumps(content, protocol=PICKLE))
    write_manifest(folder, {"format": form, "seed": seed, "class_names": class_names, "counts": drawn.counts})


def _write_imagenet(folder: Path, drawn: _Labels, waves: np.ndarray, seed: int, rng: np.random.Generator) -> None:
    """Write a JPEG for each image, of any size and with the few oddities of the published files."""
    wnids = _wnids(len(waves))
    for i, (label, part) in enumerate(zip(drawn.labels, drawn.split, strict=True)):
        height, width = rng.integers(SIDES[0], SIDES[1], 2, endpoint=True)
        encoded = _encode(draw_textures(waves[label], height, width, rng), i, int(rng.integers(75, 96)))
        training = SPLITS[part] == "train"
        name = f"train/{wnids[label]}/{wnids[label]}_{i}.JPEG" if training else f"val/{wnids[label]}/ILSVRC2012_val_{i:08}.JPEG"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded)
    write_manifest(folder, {"format": "imagenet", "seed": seed, "class_names": wnids, "counts": drawn.counts})


def _wnids(classes: int) -> list[str]:
    """Return, in order, names of ImageNet-100's list, and invented ones if there are more classes."""
    known = read_class_list()
    return sorted([*known[:classes], *(f"n99{i:06}" for i in range(classes - len(known)))])


def _encode(pixels: np.ndarray, index: int, quality: int) -> bytes:
    """Encode an image as JPEG; as in ImageNet, there are a PNG of that name, CMYK and grey ones, and trailing bytes."""
    from PIL import Image

    image, buffer = Image.fromarray(pixels), io.BytesIO()
    if index == 0:
        image.save(buffer, format="PNG")
        return buffer.getvalue()
    modes = {1: "CMYK", 2: "L"}
    image.convert(modes.get(index % 50, "RGB")).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue() + (b"\r\n" if index == 3 else b"")


def main() -> None:
    """Generate what the command line asks for."""
    parser = job_parser("Generate a data set in a published format.", log=Path("results/logs/generated.log"))
    parser.add_argument("--format", required=True, choices=sorted(FORMATS), help="of which data set")
    parser.add_argument("--train", type=int, default=200, help="number of training images (%(default)s)")
    parser.add_argument("--test", type=int, default=100, help="number of test images (%(default)s)")
    parser.add_argument("--classes", type=int, default=10, help="number of classes, 5 or more (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="settles all that is drawn (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="the folder that receives it")

    def work(options: Any, report: Callable[..., None]) -> None:
        folder = generate(options.format, options.train, options.test, options.classes, options.seed, options.out)
        report(f"{options.format}: {options.train} + {options.test} generated images of {options.classes} classes in {folder}")

    run_job(work, parser)
