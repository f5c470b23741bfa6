"""Sending batches from a worker process to the main process through reusable shared memory.

PyTorch allocates shared memory for each tensor: a file, a message, a mapping and fresh pages. For
the ten tensors of an image that costs about as much as decoding it. Here all tensors of a batch
share one buffer. The reader copies them and marks the buffer as free, and the worker's next batch
reuses it. If the system has no shared memory left, as in a container with a small limit, the batch
goes through the queue itself.
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

_ALIGNMENT = 64  # bytes; the offset of each tensor is a multiple of it
_HEADER = _ALIGNMENT  # bytes before the tensors; the first is 1 while they are not read yet

_SHARED = Path("/dev/shm")  # the shared memory of Linux

# The offset of a tensor in bytes, counted from the first tensor, and its type, shape and strides.
_Place = tuple[int, torch.dtype, tuple[int, ...], tuple[int, ...]]


class Reader:
    """The receiving end: copies batches out of the shared memory of the ``Packer``s."""

    def __init__(self, pin_memory: bool = False) -> None:
        """``pin_memory``: whether batches are copied into page-locked memory."""
        self.number = next(_numbers)
        self._pin_memory = pin_memory
        self._buffers: dict[tuple[int, int], Tensor] = {}  # by process id and index
        _readers[self.number] = self

    def take(self, message: "_Message") -> Tensor:
        """Return a copy of the tensors of ``message``, (size,) uint8, and free its buffer."""
        if message.unshared is not None:
            return self._copy(message.unshared)
        if message.buffer is not None:
            self._buffers[message.key] = message.buffer
        buffer = self._buffers[message.key].numpy()
        try:
            return self._copy(buffer[_HEADER : _HEADER + message.size])
        finally:
            buffer[0] = 0

    def _copy(self, sent: np.ndarray) -> Tensor:
        copied = torch.empty(
            len(sent), dtype=torch.uint8, device="cpu", pin_memory=self._pin_memory
        )
        # PyTorch would copy with a thread per core, and those spin for a while afterwards.
        copied.numpy()[:] = sent
        return copied


_numbers = itertools.count()
_readers: "weakref.WeakValueDictionary[int, Reader]" = weakref.WeakValueDictionary()


class Packer:
    """The sending end: writes the batches of one process into memory shared with a ``Reader``."""

    def __init__(self, reader: int) -> None:
        """``reader``: the number of the ``Reader``."""
        self._reader = reader
        self._buffers: list[_Buffer] = []
        self._has_warned = False

    def pack(self, batch: Any) -> Any:
        """Return a message for a queue; unpickling it in the other process gives a ``Packed``.

        The messages must arrive in the order in which they were packed.
        """
        file = io.BytesIO()
        pickler = _Pickler(file)
        pickler.dump(batch)
        buffer = self._free_buffer(pickler.size)
        if buffer is None:
            memory = torch.empty(pickler.size, dtype=torch.uint8, device="cpu")
        else:
            memory = buffer.tensors
        for place, tensor in pickler.tensors:
            _tensor_at(memory, place).copy_(tensor)
        message = _Message(self._reader, file.getvalue(), pickler.size)
        if buffer is None:
            return replace(message, unshared=memory.numpy())
        buffer.memory[0] = 1
        is_new, buffer.is_sent = not buffer.is_sent, True
        return replace(message, key=buffer.key, buffer=buffer.memory if is_new else None)

    def _free_buffer(self, size: int) -> "_Buffer | None":
        """Return a free buffer of ``size`` bytes or more, or None if no shared memory is left."""
        free = [buffer for buffer in self._buffers if not buffer.memory[0]]
        for buffer in free:
            if len(buffer.tensors) >= size:
                return buffer
        # A quarter larger, as the next batches may be a little larger.
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
        self._buffers.append(_Buffer((os.getpid(), len(self._buffers)), memory))
        return self._buffers[-1]


@dataclass
class _Buffer:
    """Shared memory for a batch."""

    key: tuple[int, int]  # process id, index in the process
    memory: Tensor  # (bytes,) uint8
    is_sent: bool = False

    @property
    def tensors(self) -> Tensor:
        """The memory after the header, (bytes,) uint8, which holds the tensors of a batch."""
        return self.memory[_HEADER:]


def _shared_memory(size: int) -> Tensor | None:
    """Return shared memory of zeros, (size,) uint8, or None if too little is left."""
    # PyTorch 2.6 allocates more than is available; the process is killed when it writes there.
    if _SHARED.is_dir() and shutil.disk_usage(_SHARED).free < size:
        return None
    try:
        return torch.zeros(size, dtype=torch.uint8, device="cpu").share_memory_()
    except RuntimeError:
        return None


@dataclass(frozen=True)
class Packed:
    """A received batch of any structure; the bytes of its tensors are concatenated."""

    structure: bytes  # the pickled batch, with the places of the tensors
    memory: Tensor  # (bytes,) uint8
    error: RuntimeError | None = None  # why there was no memory to copy the tensors to

    def unpack(self) -> Any:
        """Return the batch. Its tensors are views of the memory, which lives as long as they do.

        A tensor that was in the batch twice becomes two. Raises RuntimeError if there was no
        memory to copy the batch to.
        """
        if self.error is not None:
            raise self.error
        return _Unpickler(io.BytesIO(self.structure), self.memory).load()

    def pin_memory(self) -> "Packed":
        """Return the batch as it is, for the DataLoader; the ``Reader`` does the pinning."""
        if self.error is not None:
            raise self.error
        return self


@dataclass(frozen=True)
class _Message:
    """A batch as it is sent; unpickling it gives a ``Packed``."""

    reader: int  # the number of the Reader
    structure: bytes  # as in Packed
    size: int  # bytes of the tensors
    key: tuple[int, int] = (0, 0)  # of the buffer that holds the tensors
    buffer: Tensor | None = None  # None if the reader knows the buffer from an earlier message
    unshared: np.ndarray | None = None  # (size,) uint8, the tensors, if they are in no buffer

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (self.structure, self.size, self.key, self.buffer, self.unshared)
        return _receive, (self.reader, *fields)


def _receive(number: int, *fields: Any) -> Packed:
    message = _Message(number, *fields)
    reader = _readers.get(number)
    nothing = torch.empty(0, dtype=torch.uint8, device="cpu")
    if reader is None:  # its loader is gone
        return Packed(message.structure, nothing)
    try:
        return Packed(message.structure, reader.take(message))
    except RuntimeError as error:  # raised later: here it would end the DataLoader's pin thread
        return Packed(message.structure, nothing, error)


class _Pickler(pickle.Pickler):
    """Pickles a batch without the bytes of its tensors, and assigns a place to each tensor."""

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
    """Restores a batch and its tensors. The pickle was written by a worker of this process."""

    def __init__(self, file: io.BytesIO, memory: Tensor) -> None:
        super().__init__(file)
        self.memory = memory

    def persistent_load(self, pid: _Place) -> Tensor:
        # .data gives each tensor a version counter of its own for in-place changes.
        return _tensor_at(self.memory, pid).data


def _tensor_at(memory: Tensor, place: _Place) -> Tensor:
    start, dtype, shape, strides = place
    size = math.prod(shape) * dtype.itemsize
    return memory[start : start + size].view(dtype).as_strided(shape, strides)
