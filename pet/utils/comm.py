"""Rank and world size of this process; right with no process group."""

import torch
import torch.distributed as dist


def is_distributed() -> bool:
    """Whether several processes run this program together."""
    return dist.is_available() and dist.is_initialized()


def get_rank() -> int:
    """Number of this process among all, from 0."""
    return dist.get_rank() if is_distributed() else 0


def get_world_size() -> int:
    """Number of processes that run this program together."""
    return dist.get_world_size() if is_distributed() else 1


def is_main_process() -> bool:
    """Whether this is the process that logs and writes files."""
    return get_rank() == 0


def synchronize() -> None:
    """Wait until every process is here."""
    if is_distributed():
        dist.barrier()


def reduce_mean(values: torch.Tensor) -> torch.Tensor:
    """Return the mean of ``values`` over the processes, in each of them."""
    if not is_distributed():
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / get_world_size()
