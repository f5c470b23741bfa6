"""Work on what is done while the next is on its way."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_behind(function: Callable[[T], R], items: Iterable[T], most: int = 4) -> Iterator[R]:
    """Yield ``function(item)`` for each of ``items``, in order.

    The calls run one after the other in a thread beside the caller's, in which the next items are
    made meanwhile. Up to ``most`` items wait for it, or their results for the caller. What a call
    or ``items`` raises is raised here, after all that came before; items not begun are dropped.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(1) as thread:
        try:
            for item in items:
                waiting.append(thread.submit(function, item))
                while waiting and (len(waiting) > most or waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            thread.shutdown(wait=False, cancel_futures=True)
