"""Rank and world size of this process, also without a process group."""

import torch
import torch.distributed as dist


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
