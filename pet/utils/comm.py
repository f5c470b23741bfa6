"""Rank and world size of this process, and what processes tell each other, also without a group."""

import torch
import torch.distributed as dist

_TEXT_BYTES = 2000  # of a text for the other processes


def is_distributed() -> bool:
    """Whether there is a process group."""
    return dist.is_available() and dist.is_initialized()


def get_rank() -> int:
    """Return the rank of this process, 0 without a process group."""
    return dist.get_rank() if is_distributed() else 0


def get_world_size() -> int:
    """Return the number of processes in the process group, 1 without one."""
    return dist.get_world_size() if is_distributed() else 1


def is_main_process() -> bool:
    """Whether this is rank 0, the process that logs and writes files."""
    return get_rank() == 0


def synchronize() -> None:
    """Wait until every process has called this."""
    if is_distributed():
        dist.barrier()


def reduce_mean(values: torch.Tensor) -> torch.Tensor:
    """Return the mean of ``values`` over all processes; every process gets it."""
    if not is_distributed():
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / get_world_size()


def from_main(values: torch.Tensor) -> torch.Tensor:
    """Return the ``values`` of rank 0; all have equal shapes. The argument is not changed."""
    if not is_distributed():
        return values
    shared = values.clone()
    dist.broadcast(shared, 0)
    return shared


def gather_texts(text: str, device: torch.device) -> list[str]:
    """Return the ``text`` of every process, in order of rank; every process gets them.

    A long text is cut. ``device`` is that of the processes' communication.
    """
    if not is_distributed():
        return [text]
    # Tensors, not objects: those would be unpickled.
    letters = text.encode()[:_TEXT_BYTES]
    mine = torch.zeros(_TEXT_BYTES, dtype=torch.uint8)
    mine[: len(letters)] = torch.tensor(list(letters), dtype=torch.uint8)
    mine = mine.to(device)
    every = [torch.empty_like(mine) for _ in range(get_world_size())]
    dist.all_gather(every, mine)
    return [bytes(each.tolist()).rstrip(b"\0").decode(errors="ignore") for each in every]
