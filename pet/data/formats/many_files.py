"""Reading many small files in threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pet.data.formats.progress import show_reading

_THREADS = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_many(read: Callable[[Item], Result], items: Sequence[Item], source: Path) -> list[Result]:
    """Return ``read(item)`` for all ``items``, in order; ``source`` is named while it takes long.

    The first error, in order, is raised, and the items that are not yet begun are left out.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            return list(show_reading(pool.map(read, items), len(items), source))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
