"""Batches on their way from a loader process, in shared memory that is used again.

PyTorch hands over each tensor in a piece of shared memory of its own: a file, a message, a mapping
and fresh pages, which for the ten tensors of an image cost about as much as decoding it. Here all
tensors of a batch lie in one piece. The reader copies them out and marks the piece as free, and
the next batch of that process goes into the same one. Where the system has no shared memory left,
as in a container with little of it, a batch goes through the queue itself.
"""

import io
import itertools
import logging
import math
import os
import pickle
import shutil
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

_logger = logging.getLogger(__name__)

_ALIGNMENT = 64  # bytes, of each tensor's first one
_HEADER = _ALIGNMENT  # bytes before the tensors; the first is 1 from when they are there till read

_SHARED = Path("/dev/shm")  # which Linux gives to processes to share

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

    def take(self, parcel: "_Parcel") -> Tensor:
        """Return a copy of the (size,) uint8 that ``parcel`` holds, whose piece is free then."""
        if parcel.alone is not None:
            return self._copy(parcel.alone)
        if parcel.piece is not None:
            self._pieces[parcel.key] = parcel.piece
        piece = self._pieces[parcel.key].numpy()
        try:
            return self._copy(piece[_HEADER : _HEADER + parcel.size])
        finally:
            piece[0] = 0

    def _copy(self, sent: np.ndarray) -> Tensor:
        copied = torch.empty(
            len(sent), dtype=torch.uint8, device="cpu", pin_memory=self._pin_memory
        )
        # NumPy's copy, as PyTorch's wakes a thread for each core, which go on turning for a while.
        copied.numpy()[:] = sent
        return copied


_numbers = itertools.count()
_readers: "weakref.WeakValueDictionary[int, Reader]" = weakref.WeakValueDictionary()


class Packer:
    """Packs the batches of one process for a ``Reader`` in another."""

    def __init__(self, reader: int) -> None:
        """``reader``: the number of the ``Reader``."""
        self._reader = reader
        self._pieces: list[_Piece] = []
        self._has_warned = False

    def pack(self, batch: Any) -> Any:
        """Return what to send through a queue, which arrives as a ``Packed``.

        What is packed must arrive in order.
        """
        file = io.BytesIO()
        pickler = _Pickler(file)
        pickler.dump(batch)
        piece = self._free_piece(pickler.size)
        if piece is None:
            memory = torch.empty(pickler.size, dtype=torch.uint8, device="cpu")
        else:
            memory = piece.tensors
        for place, tensor in pickler.tensors:
            _tensor_at(memory, place).copy_(tensor)
        parcel = _Parcel(self._reader, file.getvalue(), pickler.size)
        if piece is None:
            return replace(parcel, alone=memory.numpy())
        piece.memory[0] = 1
        is_new, piece.is_sent = not piece.is_sent, True
        return replace(parcel, key=piece.key, piece=piece.memory if is_new else None)

    def _free_piece(self, size: int) -> "_Piece | None":
        """Return a piece for ``size`` bytes, or None where there is no shared memory left."""
        free = [piece for piece in self._pieces if not piece.memory[0]]
        for piece in free:
            if len(piece.tensors) >= size:
                return piece
        # Somewhat larger, as the next batches are not of quite the same size.
        memory = _shared_memory(_HEADER + size + size // 4)
        if memory is None:
            if not self._has_warned:
                _logger.warning(
                    "no shared memory is left for a batch of %.1f MB, which is sent more slowly "
                    "then; give more (of Docker: --shm-size), or run fewer loader processes",
                    size / 1e6,
                )
            self._has_warned = True
            return None
        if free:
            free[0].memory, free[0].is_sent = memory, False
            return free[0]
        self._pieces.append(_Piece((os.getpid(), len(self._pieces)), memory))
        return self._pieces[-1]


@dataclass
class _Piece:
    """Shared memory for a batch."""

    key: tuple[int, int]  # process and place there
    memory: Tensor  # (bytes,) uint8
    is_sent: bool = False

    @property
    def tensors(self) -> Tensor:
        """(bytes,) uint8, where those of a batch lie."""
        return self.memory[_HEADER:]


def _shared_memory(size: int) -> Tensor | None:
    """Return (size,) uint8 of zeros that can be shared, or None where none is left."""
    # PyTorch 2.6 takes more than there is, and the process is killed where it writes.
    if _SHARED.is_dir() and shutil.disk_usage(_SHARED).free < size:
        return None
    try:
        return torch.zeros(size, dtype=torch.uint8, device="cpu").share_memory_()
    except RuntimeError:
        return None


@dataclass(frozen=True)
class Packed:
    """A batch of any structure, whose tensors lie one after the other in one of bytes."""

    frame: bytes  # the pickled structure, with places for the tensors
    memory: Tensor  # (bytes,) uint8
    error: RuntimeError | None = None  # why the memory is not there

    def unpack(self) -> Any:
        """Return the batch. Its tensors share the memory, which is there while one of them is.

        A tensor that was in the batch twice becomes two. Raises RuntimeError where there was no
        memory to copy it to.
        """
        if self.error is not None:
            raise self.error
        return _Unpickler(io.BytesIO(self.frame), self.memory).load()

    def pin_memory(self) -> "Packed":
        """Return the batch, which the ``Reader`` pins if it is told to, as a DataLoader asks."""
        if self.error is not None:
            raise self.error
        return self


@dataclass(frozen=True)
class _Parcel:
    """A batch that is sent, which becomes a ``Packed`` where it arrives."""

    reader: int  # the number of the Reader
    frame: bytes  # as in Packed
    size: int  # bytes of the tensors
    key: tuple[int, int] = (0, 0)  # of the piece that they are in
    piece: Tensor | None = None  # None where the reader has it
    alone: np.ndarray | None = None  # (size,) uint8, the tensors, where they are in no piece

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, (self.reader, self.frame, self.size, self.key, self.piece, self.alone)


def _arrive(number: int, *fields: Any) -> Packed:
    parcel = _Parcel(number, *fields)
    reader = _readers.get(number)
    nothing = torch.empty(0, dtype=torch.uint8, device="cpu")
    if reader is None:  # nobody waits for it any more
        return Packed(parcel.frame, nothing)
    try:
        return Packed(parcel.frame, reader.take(parcel))
    except RuntimeError as error:  # which would end the thread that pins
        return Packed(parcel.frame, nothing, error)


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
        # By .data each tensor is told for itself whether it was changed in place.
        return _tensor_at(self.memory, pid).data


def _tensor_at(memory: Tensor, place: _Place) -> Tensor:
    start, dtype, shape, strides = place
    size = math.prod(shape) * dtype.itemsize
    return memory[start : start + size].view(dtype).as_strided(shape, strides)
