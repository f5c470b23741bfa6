"""Multiple processes for one job, started by a launcher or by Pet."""

import os
import pickle
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from pet.utils.extensions import import_inherited_extensions
from pet.utils.sigint import holding_interrupts, take_one_interrupt

_ADVICE = "start the processes with torchrun or python -m torch.distributed.launch, which set it"

_WAIT_POLICY = "OMP_WAIT_POLICY"
# The time that a child process has to exit after Ctrl-C.
_SECONDS_TO_END = 30.0


class ChildError(RuntimeError):
    """An error in a child process, with its traceback as text."""


def get_local_rank(env: Mapping[str, str] = os.environ) -> int:
    """Return the local rank that the launcher set, or 0 if there is only one process."""
    return _number(env, "LOCAL_RANK") if _number(env, "WORLD_SIZE", 1) > 1 else 0


def setup_distributed(device_type: str, env: Mapping[str, str] = os.environ) -> bool:
    """Join the process group that a launcher describes in ``env``; return whether there is one.

    Does nothing if WORLD_SIZE is 1 or not set. On "cuda" the backend is NCCL, and each process
    takes the GPU of its local rank; on "cpu" the backend is Gloo. Raises ValueError if ``env`` is
    incomplete, or if this machine has fewer GPUs than processes.
    """
    world_size = _number(env, "WORLD_SIZE", 1)
    if world_size <= 1:
        return False
    rank, local_rank = _number(env, "RANK"), _number(env, "LOCAL_RANK")
    if device_type != "cuda":
        dist.init_process_group("gloo", rank=rank, world_size=world_size)
        return True
    local_size = _number(env, "LOCAL_WORLD_SIZE", local_rank + 1)
    gpus = torch.cuda.device_count()
    if local_size > gpus:
        raise ValueError(
            f"{local_size} processes were started on this machine (WORLD_SIZE {world_size}), but "
            f"it has {gpus} GPUs; start --nproc_per_node={max(gpus, 1)}, or give DEVICE cpu"
        )
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    dist.init_process_group("nccl", rank=rank, world_size=world_size, device_id=device)
    return True


def teardown_distributed() -> None:
    """Destroy the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def spawn(
    fn: Callable[..., None], nproc: int, args: Sequence[Any] = (), threads: int | None = None
) -> None:
    """Run ``fn(rank, world_size, *args)`` in ``nproc`` new processes on this machine, and wait.

    ``fn`` must be a module-level function, and ``args`` must be picklable. Each process has
    ``threads`` CPU threads, by default an equal share of this process's. No process group is
    created. The first error ends all processes and is raised here, with its type and message.
    Ctrl-C ends all processes.
    """
    context = mp.get_context("spawn")
    threads = threads or max(1, torch.get_num_threads() // nproc)
    processes: dict[Connection, SpawnProcess] = {}
    try:
        for rank in range(nproc):
            # The child sends its error through this pipe; the pipe closes when the child exits.
            reader, writer = context.Pipe(duplex=False)
            child = context.Process(
                target=_run_child, args=(rank, nproc, threads, writer, fn, args), name=f"{rank}"
            )
            with _sleeping_threads(), holding_interrupts():
                child.start()
            writer.close()
            processes[reader] = child
        _wait_for_all(processes)
    except KeyboardInterrupt:
        _interrupt(processes.values())
        raise
    finally:
        for child in processes.values():
            child.terminate()
        for reader, child in processes.items():
            child.join()
            reader.close()


def _interrupt(children: Iterable[SpawnProcess]) -> None:
    """Send SIGINT to ``children``, and give them time to remove their temporary files."""
    running = [child for child in children if child.is_alive()]
    for child in running:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGINT)
    deadline = time.monotonic() + _SECONDS_TO_END
    for child in running:
        child.join(max(0.0, deadline - time.monotonic()))


@contextmanager
def _sleeping_threads() -> Iterator[None]:
    """Make OpenMP threads of processes started in the block sleep while they wait.

    By default they spin, on CPUs that the other processes need.
    """
    before = os.environ.get(_WAIT_POLICY)
    os.environ.setdefault(_WAIT_POLICY, "PASSIVE")
    try:
        yield
    finally:
        if before is None:
            del os.environ[_WAIT_POLICY]


def _run_child(
    rank: int,
    world_size: int,
    threads: int,
    writer: Connection,
    fn: Callable[..., None],
    args: Sequence[Any],
) -> None:
    torch.set_num_threads(threads)
    try:
        take_one_interrupt()
        import_inherited_extensions()
        fn(rank, world_size, *args)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        text = f"in process {rank} of {world_size}:\n{traceback.format_exc()}"
        writer.send((_picklable(error), text))
        raise SystemExit(1) from None


def _picklable(error: Exception) -> Exception:
    """Return ``error``, or a ChildError with its text if it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return ChildError(f"{type(error).__name__}: {error}")
    return error


def _wait_for_all(processes: Mapping[Connection, SpawnProcess]) -> None:
    """Wait until all processes have exited; raise the first error of any of them."""
    running = dict(processes)
    while running:
        for reader in wait(list(running)):
            assert isinstance(reader, Connection)
            child = running.pop(reader)
            try:
                error, text = reader.recv()
            except EOFError:
                child.join()
                if child.exitcode != 0:
                    raise _exit_error(child) from None
                continue
            raise error from ChildError(text)


def _exit_error(child: SpawnProcess) -> ChildError:
    code = child.exitcode or 0
    how = f"by signal {-code} (out of memory?)" if code < 0 else f"with status {code}"
    return ChildError(f"process {child.name} ended {how}")


def _number(env: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = env.get(name)
    if text is None and default is not None:
        return default
    if text is None:
        raise ValueError(f"WORLD_SIZE is set but {name} is not; {_ADVICE}")
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name} must be a whole number; got {text!r}; {_ADVICE}") from None
