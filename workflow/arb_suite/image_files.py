"""Files of images: whether each is whole, told from both of its ends, or by decoding it."""

import errno
import multiprocessing
import os
import stat
import threading
import warnings
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

__all__ = ["EXTENSIONS", "FORMATS", "Found", "check_class", "check_file", "printable", "undecodable"]

BLOCK = 4096  # bytes read at either end of a file
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # of the files that ImageFolder takes
# What a file begins with, and what its last bytes must contain
FORMATS = {"JPEG": (b"\xff\xd8\xff", b"\xff\xd9"), "PNG": (b"\x89PNG\r\n\x1a\n", b"IEND")}


@dataclass(frozen=True)
class Found:
    """
    One image file.

    Attributes
    ----------
    path : str
        Relative to the folder that holds ``train`` and ``val``.
    size : int
        Bytes.
    crc : int
        CRC-32 of its first and last 4096 bytes.
    format : str
        "JPEG", "PNG" or nothing.
    problem : str
        What is wrong with it, or nothing.

    """

    path: str
    size: int = 0
    crc: int = 0
    format: str = ""
    problem: str = ""


def check_file(folder: Path, path: str) -> Found:
    """
    Look at both ends of a file; see `Found`.

    A JPEG or PNG of any name is accepted, of any colour space and with trailing bytes, as all of these occur in
    ImageNet. That it ends with its end marker does not say that it can be decoded: see ``full`` of `build`.
    """
    try:
        if not stat.S_ISREG(os.stat(folder / path).st_mode):  # to open a pipe would wait for its writer
            return Found(path, problem="is not a file")
        with open(folder / path, "rb", buffering=0) as handle:
            size = os.fstat(handle.fileno()).st_size
            ends = os.pread(handle.fileno(), BLOCK, 0)
            if size > BLOCK:
                ends += os.pread(handle.fileno(), BLOCK, max(BLOCK, size - BLOCK))
    except OSError as error:
        return Found(path, problem=f"cannot be read ({error.strerror})")
    form = next((name for name, (start, _) in FORMATS.items() if ends.startswith(start)), "")
    problem = ""
    if not size:
        problem = "is empty"
    elif not form:
        problem = "is neither JPEG nor PNG"
    elif FORMATS[form][1] not in ends[-BLOCK:]:
        problem = f"is cut off ({form} without its end marker)"
    return Found(path, size, zlib.crc32(ends), form, problem)


def check_class(folder: Path, name: str) -> tuple[list[Found], list[str]]:
    """
    Check the files of one class.

    Parameters
    ----------
    folder : Path
        Holds ``train`` and ``val``.
    name : str
        Of the folder of the class below it.

    Returns
    -------
    found : list of Found
        In the order of the names, also what is no file or cannot be read; nothing if
        there is no such folder.
    ignored : list of str
        Files that are not named as images are; ImageFolder ignores them, too.

    """
    found, ignored = [], []
    try:
        entries = sorted(os.listdir(folder / name))
    except OSError as error:
        return [] if error.errno == errno.ENOENT else [Found(name, problem=f"cannot be read ({error.strerror})")], []
    for entry in entries:
        path = f"{name}/{entry}"
        if os.path.isdir(folder / path):
            found.append(Found(path, problem="is a folder inside the folder of a class"))
        elif entry.lower().endswith(EXTENSIONS):
            found.append(check_file(folder, path))
        else:
            ignored.append(path)
    return found, ignored


def undecodable(folder: Path, paths: Sequence[str], workers: int, report: Callable[..., None]) -> list[tuple[str, str]]:
    """
    Decode images with Pillow, as ImageFolder does.

    That finds what no decoder reads, and what ends too early. Damage inside of the compressed data goes unnoticed by
    libjpeg more often than not.

    Parameters
    ----------
    folder : Path
        What the paths are relative to.
    paths : sequence of str
        The images.
    workers : int
        Number of processes.
    report : callable
        Receives the progress.

    Returns
    -------
    list of (str, str)
        The images that cannot be decoded, and why.

    """
    report(f"decoding {len(paths)} images")
    failed = []
    files = [folder / path for path in paths]
    context = multiprocessing.get_context("spawn")  # a fork would inherit the threads of this process
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin) as pool:
        for done, (path, reason) in enumerate(zip(paths, pool.map(_decode, files, chunksize=64), strict=True), 1):
            if reason:
                failed.append((path, reason))
            if done % 50000 == 0:
                report(f"{done} of {len(paths)} images decoded")
    return failed


def _begin() -> None:
    """Let a process of the pool not outlive the job, however that ends, and be silent about odd metadata."""

    def watch() -> None:
        if (parent := multiprocessing.parent_process()) is not None:  # every process of a pool has one
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent watch").start()
    warnings.simplefilter("ignore")


def _decode(path: Path) -> str:
    """Return why an image cannot be decoded to RGB, or nothing."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.convert("RGB")
    except Exception as error:  # Pillow raises many kinds, and each means the same
        return printable(f"{type(error).__name__}: {error}").splitlines()[0]
    return ""


def printable(path: str) -> str:
    """Return a path as it can be written to a log in UTF-8, whatever bytes it has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
