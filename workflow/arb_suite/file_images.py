"""Images that `imagefolder` has listed, read from their files and decoded ahead by threads, a batch at a time."""

import io
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from os import fsdecode
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .files import read_archive
from .folders import folder_of
from .image_files import BLOCK, printable
from .images import Batch, ImageSet, load_images
from .jobs import UserError
from .renders import SPLITS

__all__ = ["FileSet", "decode", "load_files", "open_images"]


def decode(file: Path | BinaryIO, longest: int | None = None) -> Tensor:
    """
    Decode an image to RGB as the loader of torchvision's ImageFolder does.

    Parameters
    ----------
    file : Path or binary file
        In any format and colour space that Pillow reads.
    longest : int, optional
        See `FileSet`.

    Returns
    -------
    (3, H, W) uint8 Tensor
        Contiguous. What Pillow raises, of many kinds, is passed on.

    """
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    shorter = min(image.size)
    if longest is not None and shorter > longest:
        # the sides that torchvision's Resize gives, and its default filter, which Pillow widens where an image shrinks
        image = image.resize([side * longest // shorter for side in image.size], Image.Resampling.BILINEAR)
    # numpy's copy, unlike that of torch, starts no threads of its own from each thread that decodes
    return torch.from_numpy(np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)))


@dataclass(frozen=True, eq=False)
class FileSet:
    """
    Images of one or several splits, in files.

    Attributes
    ----------
    listing : Path
        The npz archive that lists them; named where a file is not as listed.
    folder : Path
        What the paths are relative to.
    paths, lengths, crcs : (n,) ndarray
        Path, size and crc of `imagefolder.build`.
    labels, source : (n,) int64 Tensor
        Class, and number among all images of the list; on CPU.
    classes : int
        Number of classes of the whole data set.
    data_hash : str
        SHA-256 of the whole list.
    device : torch.device or str
        Where `batches` puts images and labels.
    workers : int
        Threads that decode, 1 or more. They change no byte of what comes.
    ahead : int
        Batches that are decoded or being decoded while the last one is in use, 1 or
        more. While a batch is put together its images are in memory twice.
    longest : int or None
        Where the shorter side has more pixels than this, the image is reduced to it
        (bilinearly, antialiased). A batch is as large as its largest height and width
        together, so one image of several megapixels takes memory for each of the
        others. It changes what views are drawn from, and so the views: None, no limit,
        keeps all pixels. It is for training; `evaluate.features` sets its own.
    channels : int
        3.

    """

    listing: Path
    folder: Path
    paths: np.ndarray
    lengths: np.ndarray
    crcs: np.ndarray
    labels: Tensor
    source: Tensor
    classes: int
    data_hash: str
    device: torch.device | str = "cpu"
    workers: int = 1
    ahead: int = 2
    longest: int | None = None
    channels: ClassVar[int] = 3

    def __post_init__(self) -> None:
        for name in ("workers", "ahead", "longest"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} is {value}; it must be 1 or more")

    def __len__(self) -> int:
        return len(self.paths)

    def to(self, device: torch.device | str) -> "FileSet":
        """Return the same images; batches are copied to the device when they are yielded, and nothing waits for the copy."""
        return replace(self, device=device)

    def batches(self, order: Iterable[Tensor]) -> Iterator[Batch]:
        """
        Yield batches of images, the next ones being decoded meanwhile.

        Parameters
        ----------
        order : iterable of (B,) int64 Tensor
            Indices of each batch, so also (steps, B); `ahead` of them are taken before
            the first batch comes.

        Yields
        ------
        Batch
            uint8 with `sizes`. For a CUDA device it is copied from pinned memory.

        Raises
        ------
        UserError
            If a file is not as listed or cannot be decoded, or there is no image of an
            index.

        Notes
        -----
        The threads start with the first batch. They end with the last one, when the
        iterator is closed or dropped, and with an exception; images that are being
        decoded are waited for.

        """
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="decode")
        coming, waiting = iter(order), deque()
        try:
            waiting.extend(self._submit(pool, chosen) for chosen in islice(coming, self.ahead))
            while waiting:
                batch = waiting.popleft().result()
                waiting.extend(self._submit(pool, chosen) for chosen in islice(coming, 1))
                yield self._placed(batch)
                del batch  # or it would be in memory until the next is there
        finally:
            pool.shutdown(cancel_futures=True)

    def read(self, index: int) -> Tensor:
        """
        Read, verify and decode one image.

        Parameters
        ----------
        index : int
            0 to n - 1.

        Returns
        -------
        (3, H, W) uint8 Tensor
            See `decode`.

        Raises
        ------
        UserError
            If its size, or the CRC of both ends, is not as listed, or it cannot be
            read or decoded.

        """
        path = self.folder / fsdecode(self.paths[index])
        try:
            size = path.stat().st_size  # of what may have become a pipe, whose opening would wait for its writer
            content = path.read_bytes() if size == self.lengths[index] else b""
        except OSError as error:
            raise self._refusal(path, f"cannot be read ({error.strerror})") from error
        if len(content) != self.lengths[index]:
            raise self._refusal(path, f"has not the {self.lengths[index]} bytes that are listed")
        # what image_files.check_file reads: all of a file of up to two blocks
        if zlib.crc32(content[max(BLOCK, len(content) - BLOCK) :], zlib.crc32(content[:BLOCK])) != self.crcs[index]:
            raise self._refusal(path, "has other bytes at its ends than listed")
        try:
            return decode(io.BytesIO(content), self.longest)
        except MemoryError:
            raise
        except Exception as error:  # Pillow raises many kinds, and each means the same
            reason = printable(f"{type(error).__name__}: {error}").splitlines()[0]
            raise self._refusal(path, f"cannot be decoded ({reason})", " with full: true, which decodes all of them") from error

    def _refusal(self, path: Path, problem: str, how: str = "") -> UserError:
        advice = f"restore it, then delete {self.listing} and give the command again to check all files{how}"
        return UserError(f"{printable(str(path))} {problem}; {advice}")

    def _submit(self, pool: ThreadPoolExecutor, chosen: Tensor) -> Future:
        """Let the images of a batch be decoded, each by itself, and then the batch be put together."""
        if chosen.ndim != 1 or not len(chosen) or chosen.min() < 0 or chosen.max() >= len(self):
            raise UserError(f"a batch of the indices {chosen.tolist()}; give one or more of 0 to {len(self) - 1}")
        images = [pool.submit(self.read, index) for index in chosen.tolist()]
        # First in, first out: once a thread takes this up, all of the images are done or in the hands of other threads, so
        # that it waits for no one who waits for it.
        return pool.submit(self._assemble, images, chosen.cpu())

    def _assemble(self, decoding: Sequence[Future], chosen: Tensor) -> Batch:
        """Put decoded images, once they are there, into a batch in CPU memory."""
        images = [future.result() for future in decoding]
        pin = torch.device(self.device).type == "cuda"
        sizes = torch.tensor([image.shape[1:] for image in images], pin_memory=pin)
        padded = torch.empty((len(images), 3, *sizes.amax(dim=0).tolist()), dtype=torch.uint8, pin_memory=pin)
        for place, image in zip(padded.numpy(), images, strict=True):
            _, height, width = image.shape
            place[:, :height, :width] = image.numpy()
            place[:, height:] = 0
            place[:, :height, width:] = 0
        labels = self.labels[chosen]
        return Batch(padded, labels.pin_memory() if pin else labels, sizes)

    def _placed(self, batch: Batch) -> Batch:
        """Return a batch on the device; memory that is pinned is not used again before the copy is done, torch sees to it."""
        images, labels = (tensor.to(self.device, non_blocking=True) for tensor in (batch.images, batch.labels))
        return Batch(images, labels, batch.sizes)


def load_files(path: Path, root: Path, splits: Sequence[str], **options: Any) -> FileSet:
    """
    Open some splits of the images that an npz archive lists; no image is read.

    Parameters
    ----------
    path : Path
        As `imagefolder.build` wrote it, with the description beside it.
    root : Path
        The folder of ``train`` and ``val``; see `folders.folder_of`.
    splits : sequence of {"train", "validation", "test"}
        Which of them.
    **options
        ``device``, ``workers``, ``ahead`` and ``longest`` of `FileSet`.

    Returns
    -------
    FileSet
        Training images first, in the order of the list.

    Raises
    ------
    UserError
        If either file is missing, cannot be read, is not what was made or lists no
        images of these splits, or the root has no folders ``train`` and ``val``.

    """
    arrays, description = read_archive(path)
    if "path" not in arrays:
        raise UserError(f"{path} holds images and does not list files; give the list of ImageNet-1k or ImageNet-100")
    missing = [name for name in ("train", "val") if not (root / name).is_dir()]
    if missing:
        raise UserError(f"{root} has no folder {' and no folder '.join(missing)}; give the folder that was checked for {path}")
    chosen = np.isin(arrays["split"], [SPLITS.index(name) for name in splits])
    if not chosen.any():
        raise UserError(f"{path} lists no images of {', '.join(splits) or 'no split'}; give train or test")
    return FileSet(
        listing=path,
        folder=root,
        paths=arrays["path"][chosen],
        lengths=arrays["size"][chosen],
        crcs=arrays["crc"][chosen],
        labels=torch.from_numpy(arrays["labels"][chosen]),
        source=torch.from_numpy(arrays["source"][chosen]),
        classes=description["classes"],
        data_hash=description["data_hash"],
        **options,
    )


def open_images(
    path: Path, dataset: str, splits: Sequence[str], root: Path | None, workers: int, longest: int | None = None
) -> ImageSet | FileSet:
    """
    Open some splits of a data set: its images where the npz archive holds them, or else the files that it lists.

    Parameters
    ----------
    path : Path
        The npz archive.
    dataset : str
        Its name, after which its folder below `root` may be called.
    splits : sequence of {"train", "validation", "test"}
        Which of them.
    root : Path or None
        The folder of the paper's data sets.
    workers : int
        Threads that decode.
    longest : int, optional
        See `FileSet`; of files alone.

    """
    arrays, _ = read_archive(path)
    if "path" not in arrays:
        return load_images(path, splits)
    if root is None:
        raise UserError(f"{path} lists files; give --root, the folder that holds them")
    return load_files(path, folder_of(root, dataset), splits, workers=workers, longest=longest)
