"""Processing results in a background thread while the next ones are computed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_in_background(function: Callable[[T], R], items: Iterable[T], most: int = 4) -> Iterator[R]:
    """Yield ``function(item)`` for each of ``items``, in order.

    The calls run one after the other in a second thread, while ``items`` is iterated in the
    caller's thread. Up to ``most`` items or results wait in the queue. An exception from a call or
    from ``items`` is raised here, after the results of all earlier items; later items are dropped.
    """
    waiting: deque[Future[R]] = deque()
    errors: list[Exception] = []
    with ThreadPoolExecutor(1) as thread:
        try:
            for item in _until_error(items, errors):
                waiting.append(thread.submit(function, item))
                while waiting and (len(waiting) > most or waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            thread.shutdown(wait=False, cancel_futures=True)
    if errors:
        raise errors[0]


def _until_error(items: Iterable[T], errors: list[Exception]) -> Iterator[T]:
    """Yield ``items`` until iterating them raises, and append the exception to ``errors``."""
    try:
        yield from items
    except Exception as error:  # raised again, once the results before it are out
        errors.append(error)
