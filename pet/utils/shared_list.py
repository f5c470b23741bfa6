"""A read-only list of plain records that worker processes share instead of copying."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np
import torch


class SharedList(Sequence[Any]):
    """Records of dicts, lists, numbers, strings and None, held as JSON text in two tensors.

    A Python object is written to whenever it is looked at (its reference count), so that a forked
    worker soon owns a copy of every one. A tensor's memory is not: forked workers go on sharing its
    pages, and torch sends it to spawned workers as a handle of shared memory. Each access decodes
    one record; tuples come back as lists, and keys of dicts as strings.
    """

    def __init__(self, records: Iterable[Any]) -> None:
        """Hold ``records``, in order; raises TypeError where one is not plain."""
        texts = [json.dumps(record, separators=(",", ":")).encode() for record in records]
        ends = np.cumsum([0] + [len(text) for text in texts], dtype=np.int64)
        self._ends = torch.from_numpy(ends)
        self._text = torch.empty(int(ends[-1]), dtype=torch.uint8)
        self._text.numpy()[:] = np.frombuffer(b"".join(texts), np.uint8)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        """Return record ``index``, or the list of the records of a slice."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        start, end = self._ends[place : place + 2].tolist()
        return json.loads(self._text.numpy()[start:end].tobytes())
