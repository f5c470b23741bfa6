"""Reading many small files in threads."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread
from typing import Generic, TypeVar

from pet.data.formats.progress import show_reading

_THREADS = 8
_SECONDS_BETWEEN_LOOKS = 0.005

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_many(read: Callable[[Item], Result], items: Sequence[Item], source: Path) -> list[Result]:
    """Return ``read(item)`` for all ``items``, in order; ``source`` is named while it takes long.

    The first error, in order, is raised, and the items that are not yet begun are left out.
    """
    work = _Work(read, items)
    # Not an executor: Ctrl-C while it takes orders may leave one of its locks held for ever.
    threads = [Thread(target=work.do, daemon=True) for _ in range(min(_THREADS, len(items)))]
    try:
        for thread in threads:
            thread.start()
        return list(show_reading(work.results(), len(items), source))
    finally:
        work.is_stopped = True
        for thread in threads:
            if thread.ident is not None:
                thread.join()


class _Work(Generic[Item, Result]):
    """Items that threads take in order, and their results."""

    def __init__(self, read: Callable[[Item], Result], items: Sequence[Item]) -> None:
        self.is_stopped = False
        self._read, self._items = read, items
        self._places = iter(range(len(items)))  # taking the next one cannot be interrupted
        self._found: dict[int, Result] = {}
        self._errors: dict[int, BaseException] = {}

    def do(self) -> None:
        """Read items until there are none, or one has an error, or the work is stopped."""
        while not self.is_stopped:
            place = next(self._places, None)
            if place is None:
                return
            # An item that was taken is read, as ``results`` waits for those before an error.
            try:
                self._found[place] = self._read(self._items[place])
            except BaseException as error:
                self._errors[place] = error
                self.is_stopped = True

    def results(self) -> Iterator[Result]:
        """Yield the results in order, as they come; raises the error of an item at its place."""
        for place in range(len(self._items)):
            while place not in self._found:
                if place in self._errors:
                    raise self._errors[place]
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            yield self._found.pop(place)
