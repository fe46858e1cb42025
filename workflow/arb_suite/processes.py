"""A job in several processes of one machine: they start, work and end together, and one of them says what went wrong.

Rank 0 is the process that was started; it starts the others as copies of its own command. Or all were started by a launcher,
such as torchrun. What the processes send each other goes through `torch.distributed`.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import torch
from arb_core.distributed import has_several_processes
from torch import Tensor, distributed, nn

from .copies import FAILURES, INPUT, PREFIX, Copies
from .jobs import EXIT_BAD_INPUT, UserError

__all__ = ["anywhere", "average_gradients", "barrier", "joined", "rank", "share", "world_size"]

# A copy that ends is seen at once. This is for one that lives and does not answer; rank 0 may work alone for hours.
TIMEOUT = timedelta(days=1)
LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@contextlib.contextmanager
def joined(count: int, device: str, log: Path, report: Callable[[str], None]) -> Iterator[torch.device]:
    """
    Work in several processes while the block lasts.

    Parameters
    ----------
    count : int
        How many; with 1 nothing is started.
    device : str
        ``"cpu"``, where they talk by gloo, or ``"cuda"``, by NCCL, one GPU each.
    log : Path
        Of this job. A copy is given ``--log`` once more, ``FILE.rankK``.
    report : callable
        Writes to the log and the terminal.

    Yields
    ------
    torch.device
        This process's own. At the end of the block every process waits for the
        others, so that rank 0 can go on alone for as long as it takes.

    Raises
    ------
    UserError
        In rank 0, what a copy says of its input; or if a launcher has started
        another number of processes.
    CopyError
        In rank 0, if a copy fails otherwise (see `copies`).

    Notes
    -----
    If rank 0 cannot leave the block because it waits for a copy that has failed,
    it says the same and ends here. Copies end with rank 0, whatever ends it (see
    ``__main__``).

    """
    launched = "WORLD_SIZE" in os.environ
    if launched:
        _check_launch(count)
    if count == 1:
        yield torch.device(device)
        return
    if launched:
        store, own, _ = next(iter(distributed.rendezvous("env://", timeout=TIMEOUT)))
        store = distributed.PrefixStore(PREFIX, store)
        try:
            yield _initialise(device, store, own, count)
            _end_together(store, own)
        except Exception as error:
            first = _record(error, store, own, device)
            # Of processes that a launcher started, only one says it. (What a copy says reaches rank 0 alone.)
            if isinstance(error, UserError) and not first and distributed.is_torchelastic_launched():
                sys.exit(EXIT_BAD_INPUT)
            raise
        return
    server = distributed.TCPStore("127.0.0.1", 0, count, is_master=True, timeout=TIMEOUT, wait_for_workers=False)
    store = distributed.PrefixStore(PREFIX, server)
    with Copies(count, server.port, log, report) as copies:
        with copies.explaining():
            yield _initialise(device, store, 0, count)
            _end_together(store, 0)
        copies.wait()


def rank() -> int:
    """Return which of the processes this is, from 0; rank 0 alone writes."""
    return distributed.get_rank() if has_several_processes() else 0


def world_size() -> int:
    """Return how many processes there are."""
    return distributed.get_world_size() if has_several_processes() else 1


def share(batch: Tensor) -> Tensor:
    """
    Return this process's part of a batch.

    Parameters
    ----------
    batch : (n, ...) Tensor
        The same in all processes, for example the indices of images.

    Returns
    -------
    (n / world_size, ...) Tensor
        Consecutive rows, so that the parts of all ranks in turn are the batch.

    Raises
    ------
    UserError
        If they cannot have equal parts.

    """
    n, processes = len(batch), world_size()
    if n % processes:
        fitting = " or ".join(str(size) for size in (n // processes * processes, (n // processes + 1) * processes) if size)
        raise UserError(
            f"batch_size {n} cannot be shared equally by {processes} processes; choose a multiple, such as {fitting}"
        )
    size = n // processes
    return batch[rank() * size : (rank() + 1) * size]


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """
    Replace every gradient by its mean over the processes, by one message per dtype.

    Parameters
    ----------
    parameters : iterable of nn.Parameter
        The same in all processes. A gradient that is None counts as zero where
        another process has one, and stays None where none has.

    """
    if not has_several_processes():
        return
    by_dtype: dict[torch.dtype, list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.requires_grad:
            by_dtype.setdefault(parameter.dtype, []).append(parameter)
    for group in by_dtype.values():
        # Behind the gradients, who has one: a difference between the processes neither hangs nor mixes memory.
        present = group[0].new_tensor([parameter.grad is not None for parameter in group])
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in group]
        flat = torch.cat([gradient.detach().reshape(-1) for gradient in gradients] + [present])
        distributed.all_reduce(flat)
        flat /= world_size()
        *means, present = flat.split([each.numel() for each in group] + [len(group)])
        for parameter, mean, anyone in zip(group, means, present.tolist(), strict=True):
            if anyone:
                parameter.grad = mean.view_as(parameter)


def anywhere(flag: bool) -> bool:
    """Tell every process whether the flag is true in any."""
    if not has_several_processes():
        return flag
    flags = torch.tensor(int(flag), device=_own_device())
    distributed.all_reduce(flags, distributed.ReduceOp.MAX)
    return bool(flags.item())


def barrier() -> None:
    """Wait until all processes are here."""
    anywhere(False)  # unlike `distributed.barrier`, it needs no word on the GPU to use, and has ended when it returns


def _check_launch(count: int) -> None:
    missing = [name for name in LAUNCHED if name not in os.environ]
    if missing and count > 1:
        raise UserError(f"WORLD_SIZE is set, but {', '.join(missing)} not; start the job with torchrun, or unset WORLD_SIZE")
    if os.environ["WORLD_SIZE"] != str(count):
        raise UserError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but the settings ask for {count} process(es);"
            " start as many as the settings say, or unset WORLD_SIZE"
        )


def _initialise(device: str, store: distributed.Store, own: int, count: int) -> torch.device:
    if device == "cpu":
        distributed.init_process_group("gloo", store=store, rank=own, world_size=count, timeout=TIMEOUT)
        return torch.device("cpu")
    place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", own)))
    torch.cuda.set_device(place)
    distributed.init_process_group("nccl", store=store, rank=own, world_size=count, timeout=TIMEOUT, device_id=place)
    return place


def _record(error: Exception, store: distributed.Store, own: int, device: str) -> bool:
    """Note in the store that this process fails, before any other can notice and fail of that; tell whether it is the first."""
    try:
        number = store.add(FAILURES, 1)
        store.set(f"{FAILURES}{number}", f"{own} {INPUT if isinstance(error, UserError) else 'other'}")
    except RuntimeError:  # the process with the store has ended
        return True
    if device == "cpu" and distributed.is_initialized():  # otherwise gloo may abort at exit; NCCL would wait for the others
        distributed.destroy_process_group()
    return number == 1


def _own_device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if distributed.get_backend() == "nccl" else torch.device("cpu")


def _end_together(store: distributed.Store, own: int) -> None:
    """Destroy the group when rank 0 is done; a collective instead would keep the others' cores or GPUs busy until then."""
    if own == 0:
        store.set("done", "")
    else:
        store.wait(["done"], TIMEOUT)
    barrier()
    distributed.destroy_process_group()
