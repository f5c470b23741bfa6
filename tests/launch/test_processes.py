"""Processes that a launcher or Pet itself starts."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from pet.config import UnknownNameError
from pet.launch.processes import (
    ChildError,
    _picklable,
    get_local_rank,
    setup_distributed,
    spawn,
    teardown_distributed,
)
from pet.utils import comm

LAUNCHED = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}


def test_without_a_launcher_there_is_no_group():
    assert setup_distributed("cpu", {}) is False
    assert setup_distributed("cuda", {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}) is False
    assert get_local_rank({}) == 0
    assert not dist.is_initialized()
    teardown_distributed()


def test_local_rank():
    assert get_local_rank(LAUNCHED) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"RANK": None}, "WORLD_SIZE is set but RANK is not; .*torchrun"),
        ({"LOCAL_RANK": None}, "LOCAL_RANK is not"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE must be a whole number; got 'two'"),
    ],
)
def test_incomplete_environment(change, message):
    env = {key: value for key, value in {**LAUNCHED, **change}.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        setup_distributed("cpu", env)


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match=r"2 processes .* has 1 GPUs; .*nproc_per_node=1"):
        setup_distributed("cuda", LAUNCHED)


def _raise_in_one(rank: int, world_size: int, folder: Path) -> None:
    if rank == 1:
        raise UnknownNameError("no part named 'x'")
    time.sleep(600)  # longer than processes take to start on the busiest machine
    (folder / "late.txt").touch()


def _die(rank: int, world_size: int) -> None:
    os._exit(3)


class _TwoArgumentsError(Exception):
    """An exception that does not survive pickling."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def _mean_over_gloo(rank: int, world_size: int, folder: Path, port: int) -> None:
    env = {"WORLD_SIZE": world_size, "RANK": rank, "LOCAL_RANK": rank, "MASTER_PORT": port}
    os.environ.update({key: str(value) for key, value in env.items()}, MASTER_ADDR="127.0.0.1")
    assert setup_distributed("cpu")
    mean = comm.reduce_mean(torch.tensor([float(rank), 10.0 * rank]))
    place = f"{comm.get_rank()} of {comm.get_world_size()}, {torch.get_num_threads()} threads"
    (folder / f"{rank}.txt").write_text(f"{place}: {mean.tolist()}")
    teardown_distributed()


def test_an_error_keeps_its_type_and_ends_the_others(tmp_path, capfd):
    with pytest.raises(UnknownNameError, match="no part named 'x'") as caught:
        spawn(_raise_in_one, 2, (tmp_path,))
    assert not (tmp_path / "late.txt").exists()
    assert "in process 1 of 2" in str(caught.value.__cause__)
    assert "_raise_in_one" in str(caught.value.__cause__)
    assert "no part named" not in capfd.readouterr().err


def test_a_process_that_dies_is_reported():
    with pytest.raises(ChildError, match="process 0 ended with status 3"):
        spawn(_die, 1)


#: What a child imports must not meet Ctrl-C: Python would print a traceback.
SAYS_WHETHER_IMPORTS_ARE_SAFE = """
import signal
from pet.launch.processes import spawn
blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
def say(rank, world_size):
    print(f"{rank}: {blocked}", flush=True)
if __name__ == "__main__":
    print("parent:", blocked, flush=True)
    spawn(say, 2)
    print("parent:", signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""


def test_no_child_meets_an_interrupt_while_it_imports(tmp_path):
    (tmp_path / "says.py").write_text(SAYS_WHETHER_IMPORTS_ARE_SAFE)
    done = subprocess.run(
        [sys.executable, "says.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    first, *children, last = done.stdout.splitlines()
    assert first == last == "parent: False"
    assert sorted(children) == ["0: True", "1: True"]


def test_an_error_that_cannot_travel_becomes_its_text():
    error = _picklable(_TwoArgumentsError("left", "right"))
    assert isinstance(error, ChildError)
    assert str(error) == "_TwoArgumentsError: left right"


def test_two_processes_share_the_threads_and_talk_over_gloo(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        spawn(_mean_over_gloo, 2, (tmp_path, port))
    finally:
        torch.set_num_threads(before)
    assert (tmp_path / "0.txt").read_text() == "0 of 2, 1 threads: [0.5, 5.0]"
    assert (tmp_path / "1.txt").read_text() == "1 of 2, 1 threads: [0.5, 5.0]"
