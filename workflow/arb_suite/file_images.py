"""Images that `imagefolder` has listed, read from their files and decoded ahead by threads, a batch at a time."""

import io
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from os import fsdecode
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .decoders import DECODERS, alone_on, decode, decode_jpegs, is_common_jpeg
from .files import read_archive
from .folders import folder_of
from .image_files import BLOCK, printable
from .images import Batch, ImageSet, load_images
from .jobs import UserError
from .renders import SPLITS

__all__ = ["FileSet", "load_files", "open_images"]


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
        Where `batches` puts images and labels; a GPU with its number, as `to` has it.
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
    decoder : {"pillow", "torchvision"}
        With torchvision one thread decodes the JPEGs of a batch, on the device if that is
        an NVIDIA GPU, which then holds the `ahead` batches; it changes pixels a little, see
        `decoders.decode_jpegs`. Pillow decodes what torchvision cannot, and everything for
        `evaluate.features`.
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
    decoder: str = "pillow"
    channels: ClassVar[int] = 3

    def __post_init__(self) -> None:
        for name in ("workers", "ahead", "longest"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} is {value}; it must be 1 or more")
        if self.decoder not in DECODERS:
            raise UserError(f"decoder is {self.decoder!r}; it must be {' or '.join(DECODERS)}")

    def __len__(self) -> int:
        return len(self.paths)

    def to(self, device: torch.device | str) -> "FileSet":
        """Return the same images; batches are copied to the device when they are yielded, and nothing waits for the copy."""
        return replace(self, device=torch.empty(0, device=device).device)  # with its number: each thread has a current GPU

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
        coming, waiting = iter(order), deque[Future[Batch]]()
        try:
            waiting.extend(self._submit(pool, chosen) for chosen in islice(coming, self.ahead))
            while waiting:
                batch = waiting.popleft().result()
                waiting.extend(self._submit(pool, chosen) for chosen in islice(coming, 1))
                yield self._placed(batch)
                del batch  # or it would be in memory until the next is there
        finally:
            pool.shutdown(cancel_futures=True)

    def read(self, index: int) -> Tensor | bytes:
        """
        Read, verify and decode one image, if it is not for torchvision to decode.

        Parameters
        ----------
        index : int
            0 to n - 1.

        Returns
        -------
        (3, H, W) uint8 Tensor or bytes
            See `decoders.decode`; or the content of a JPEG that torchvision decodes, with
            the others of its batch.

        Raises
        ------
        UserError
            If its size, or the CRC of both ends, is not as listed, or it cannot be
            read or decoded.

        """
        path = self._path(index)
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
        return self._decoded(index, content, self.decoder)

    def _decoded(self, index: int, content: bytes, decoder: str) -> Tensor | bytes:
        """Decode an image with Pillow, or return it as it is for torchvision."""
        try:
            if decoder == "torchvision" and is_common_jpeg(content):
                return content
            return decode(io.BytesIO(content), self.longest)
        except MemoryError:
            raise
        except Exception as error:  # Pillow raises many kinds, and each means the same
            reason = printable(f"{type(error).__name__}: {error}").splitlines()[0]
            how = " with full: true, which decodes all of them"
            raise self._refusal(self._path(index), f"cannot be decoded ({reason})", how) from error

    def _path(self, index: int) -> Path:
        return self.folder / fsdecode(self.paths[index])

    def _refusal(self, path: Path, problem: str, how: str = "") -> UserError:
        advice = f"restore it, then delete {self.listing} and give the command again to check all files{how}"
        return UserError(f"{printable(str(path))} {problem}; {advice}")

    def _submit(self, pool: ThreadPoolExecutor, chosen: Tensor) -> Future[Batch]:
        """Let the images of a batch be decoded, each by itself, and then the batch be put together."""
        if chosen.ndim != 1 or not len(chosen) or chosen.min() < 0 or chosen.max() >= len(self):
            raise UserError(f"a batch of the indices {chosen.tolist()}; give one or more of 0 to {len(self) - 1}")
        images = [pool.submit(self.read, index) for index in chosen.tolist()]
        # First in, first out: once a thread takes this up, all of the images are done or in the hands of other threads, so
        # that it waits for no one who waits for it.
        return pool.submit(self._assemble, images, chosen.cpu())

    def _assemble(self, decoding: Sequence[Future[Tensor | bytes]], chosen: Tensor) -> Batch:
        """Put images, once they are there, into a batch: in CPU memory, or on the GPU where torchvision decodes."""
        results = [future.result() for future in decoding]
        on_gpu = torch.device(self.device).type == "cuda"
        decodes = on_gpu and self.decoder == "torchvision"
        with alone_on(self.device) if decodes else nullcontext():
            images = self._all_decoded(results, chosen)
            sizes = torch.tensor([image.shape[1:] for image in images], pin_memory=on_gpu)
            where = {"device": self.device} if decodes else {"pin_memory": on_gpu}
            padded = torch.empty((len(images), 3, *sizes.amax(dim=0).tolist()), dtype=torch.uint8, **where)
            for place, image in zip(padded if decodes else padded.numpy(), images, strict=True):
                _, height, width = image.shape
                place[:, :height, :width] = image if decodes else image.numpy()
                place[:, height:] = 0
                place[:, :height, width:] = 0
        labels = self.labels[chosen]
        return Batch(padded, labels.pin_memory() if on_gpu else labels, sizes)

    def _all_decoded(self, images: Sequence[Tensor | bytes], chosen: Tensor) -> list[Tensor]:
        """Return images with those that are left to torchvision decoded by it, or by Pillow if it cannot."""
        left = {i: content for i, content in enumerate(images) if isinstance(content, bytes)}
        done = [*images]
        if left:
            decoded = decode_jpegs([*left.values()], self.longest, self.device)
            for (i, content), image in zip(left.items(), decoded, strict=True):
                done[i] = self._decoded(int(chosen[i]), content, "pillow") if image is None else image
        return [image for image in done if isinstance(image, Tensor)]  # all of them

    def _placed(self, batch: Batch) -> Batch:
        """Return a batch on the device; memory that is pinned is not used again before the copy is done, torch sees to it."""
        images, labels = (tensor.to(self.device, non_blocking=True) for tensor in (batch.images, batch.labels))
        if images.is_cuda:
            images.record_stream(torch.cuda.current_stream(images.device))  # what it is on may be that of `alone_on`
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
        ``device``, ``workers``, ``ahead``, ``longest`` and ``decoder`` of `FileSet`.

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
    path: Path,
    dataset: str,
    splits: Sequence[str],
    root: Path | None,
    workers: int,
    longest: int | None = None,
    decoder: str = "pillow",
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
    longest, decoder
        See `FileSet`; of files alone.

    """
    arrays, _ = read_archive(path)
    if "path" not in arrays:
        return load_images(path, splits)
    if root is None:
        raise UserError(f"{path} lists files; give --root, the folder that holds them")
    return load_files(path, folder_of(root, dataset), splits, workers=workers, longest=longest, decoder=decoder)
