"""Reading many small files, in threads, with a bar or log lines for the user who waits."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

_logger = logging.getLogger(__name__)

_THREADS = 8
_SECONDS_BETWEEN_LINES = 10.0
_FEW = 1000  # files that are read without a bar

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_many(read: Callable[[Item], Result], items: Sequence[Item], label: str) -> list[Result]:
    """Return ``read(item)`` for all ``items``, in order; ``label`` tells what is read.

    The first error, in order, is raised, and the items that are not yet begun are left out.
    """
    found: list[Result] = []
    hidden = len(items) < _FEW or not sys.stderr.isatty()
    with (
        ThreadPoolExecutor(_THREADS) as pool,
        tqdm(desc=label, total=len(items), disable=hidden) as bar,
    ):
        last = time.monotonic()
        try:
            for result in pool.map(read, items):
                found.append(result)
                bar.update()
                if hidden and time.monotonic() - last > _SECONDS_BETWEEN_LINES:
                    last = time.monotonic()
                    _logger.info("%s: %d of %d", label, len(found), len(items))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return found
