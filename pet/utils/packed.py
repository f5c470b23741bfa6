"""Batches on their way from a loader process, in shared memory that is used again.

PyTorch hands over each tensor in a piece of shared memory of its own: a file, a message, a mapping
and fresh pages, which for the ten tensors of an image cost about as much as decoding it. Here all
tensors of a batch lie in one piece. The reader copies them out and marks the piece as free, and
the next batch of that process goes into the same one.
"""

import io
import itertools
import math
import os
import pickle
import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_ALIGNMENT = 64  # bytes, of each tensor's first one
_HEADER = _ALIGNMENT  # bytes before the tensors; the first is 1 from when they are there till read

# Where a tensor lies, in bytes from the first tensor's, and its type, shape and strides.
_Place = tuple[int, torch.dtype, tuple[int, ...], tuple[int, ...]]


class Reader:
    """Where batches arrive; keeps the memory that packers of other processes put them into."""

    def __init__(self, pin_memory: bool = False) -> None:
        """``pin_memory``: whether batches are copied into page-locked memory."""
        self.number = next(_numbers)
        self._pin_memory = pin_memory
        self._pieces: dict[tuple[int, int], Tensor] = {}  # by process and place there
        _readers[self.number] = self

    def copy(self, parcel: "_Parcel") -> Tensor:
        """Return a copy of the (size,) uint8 that ``parcel`` holds, whose memory is free then."""
        if parcel.memory is not None:
            self._pieces[parcel.key] = parcel.memory
        memory = self._pieces[parcel.key]
        copied = torch.empty(parcel.size, dtype=torch.uint8, pin_memory=self._pin_memory)
        # NumPy's copy, as PyTorch's wakes a thread for each core, which go on turning for a while.
        copied.numpy()[:] = memory.numpy()[_HEADER : _HEADER + parcel.size]
        memory[0] = 0
        return copied


_numbers = itertools.count()
_readers: "weakref.WeakValueDictionary[int, Reader]" = weakref.WeakValueDictionary()


class Packer:
    """Packs the batches of one process for a ``Reader`` in another."""

    def __init__(self, reader: int) -> None:
        """``reader``: the number of the ``Reader``."""
        self._reader = reader
        self._pieces: list[Tensor] = []

    def pack(self, batch: Any) -> Any:
        """Return what to send through a queue, which arrives as a ``Packed``.

        All that is sent must arrive in order, and be sent before what is packed next.
        """
        file = io.BytesIO()
        pickler = _Pickler(file)
        pickler.dump(batch)
        place, is_new = self._free_piece(pickler.size)
        memory = self._pieces[place]
        for at, tensor in pickler.tensors:
            _tensor_at(memory[_HEADER:], at).copy_(tensor)
        memory[0] = 1
        key = os.getpid(), place
        return _Parcel(self._reader, key, memory if is_new else None, pickler.size, file.getvalue())

    def _free_piece(self, size: int) -> tuple[int, bool]:
        """Return the place of a piece for ``size`` bytes, and whether the reader has to get it."""
        free = [place for place, memory in enumerate(self._pieces) if not memory[0]]
        for place in free:
            if len(self._pieces[place]) >= _HEADER + size:
                return place, False
        # Somewhat larger, as the next batches are not of quite the same size.
        memory = torch.zeros(_HEADER + size + size // 4, dtype=torch.uint8).share_memory_()
        if free:
            self._pieces[free[0]] = memory
            return free[0], True
        self._pieces.append(memory)
        return len(self._pieces) - 1, True


@dataclass(frozen=True)
class Packed:
    """A batch of any structure, whose tensors lie one after the other in one of bytes."""

    frame: bytes  # the pickled structure, with places for the tensors
    memory: Tensor  # (bytes,) uint8

    def unpack(self) -> Any:
        """Return the batch; its tensors share the memory."""
        return _Unpickler(io.BytesIO(self.frame), self.memory).load()

    def pin_memory(self) -> "Packed":
        """Return the batch, which the ``Reader`` has pinned, as the DataLoader asks for it."""
        return self


@dataclass(frozen=True)
class _Parcel:
    """A batch in shared memory, which becomes a ``Packed`` where it arrives."""

    reader: int
    key: tuple[int, int]
    memory: Tensor | None  # None where the reader has it
    size: int  # bytes that are taken
    frame: bytes

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, (self.reader, self.key, self.memory, self.size, self.frame)


def _arrive(
    number: int, key: tuple[int, int], memory: Tensor | None, size: int, frame: bytes
) -> Packed:
    reader = _readers.get(number)
    if reader is None:  # nobody waits for it any more
        return Packed(frame, torch.empty(0, dtype=torch.uint8))
    return Packed(frame, reader.copy(_Parcel(number, key, memory, size, frame)))


class _Pickler(pickle.Pickler):
    """Pickles all but tensors, for which it finds places."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.tensors: list[tuple[_Place, Tensor]] = []
        self.size = 0

    def persistent_id(self, obj: Any) -> _Place | None:
        if type(obj) is not Tensor:
            return None
        last = obj.dim() == 4 and obj.is_contiguous(memory_format=torch.channels_last)
        tensor = obj if last else obj.contiguous()
        place = self.size, tensor.dtype, tuple(tensor.shape), tensor.stride()
        self.tensors.append((place, tensor))
        self.size += -(-tensor.numel() * tensor.element_size() // _ALIGNMENT) * _ALIGNMENT
        return place


class _Unpickler(pickle.Unpickler):
    """Puts the tensors back; what it reads comes from a process of this one's own."""

    def __init__(self, file: io.BytesIO, memory: Tensor) -> None:
        super().__init__(file)
        self.memory = memory

    def persistent_load(self, pid: _Place) -> Tensor:
        return _tensor_at(self.memory, pid)


def _tensor_at(memory: Tensor, place: _Place) -> Tensor:
    start, dtype, shape, strides = place
    size = math.prod(shape) * dtype.itemsize
    return memory[start : start + size].view(dtype).as_strided(shape, strides)
