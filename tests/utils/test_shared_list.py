import os

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from pet.utils.shared_list import SharedList

RECORDS = [{"id": 1, "box": [1.5, 2, 3, 4]}, [], "ünïcode", None, {"nested": {"a": [True]}}]


def test_gives_back_what_it_got():
    shared = SharedList(RECORDS)
    assert len(shared) == 5
    assert list(shared) == RECORDS
    assert shared[-1] == RECORDS[-1] and shared[1:3] == RECORDS[1:3]


def test_empty():
    assert len(SharedList([])) == 0 and list(SharedList([])) == []


@pytest.mark.parametrize("index", [5, -6])
def test_index_out_of_range(index):
    with pytest.raises(IndexError):
        SharedList(RECORDS)[index]


def test_refuses_what_is_not_plain():
    with pytest.raises(TypeError, match="set"):
        SharedList([{1, 2}])


class _Touching(Dataset):
    """Looks at every record, and tells how much memory of its own the worker then has."""

    def __init__(self, records) -> None:
        self.records = records

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[int, int]:
        before = _private_bytes()
        total = sum(record["value"] for record in self.records)
        return total, _private_bytes() - before


def _private_bytes() -> int:
    with open("/proc/self/smaps_rollup") as file:
        sizes = dict(line.split(":") for line in file if line.startswith("Private"))
    return sum(int(size.split()[0]) * 1024 for size in sizes.values())


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="needs Linux's /proc")
def test_forked_workers_share_it():
    count, padding = 4000, "x" * 2000  # 8 MB
    shared = SharedList({"value": index, "padding": padding} for index in range(count))
    loader = DataLoader(
        _Touching(shared), num_workers=2, batch_size=None, multiprocessing_context="fork"
    )
    for total, grown in loader:
        assert total == count * (count - 1) // 2
        assert grown < 3e6


def _overwrite(shared: SharedList, place: int) -> None:
    shared._text[place] = ord("7")


def test_spawned_processes_get_a_handle_and_no_copy():
    shared = SharedList([12345])
    context = torch.multiprocessing.get_context("spawn")
    processes = [context.Process(target=_overwrite, args=(shared, place)) for place in (0, 4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert shared[0] == 72347  # written there, seen here
