"""Named arrays in one file or memory block, which processes map instead of copying.

A file consists of blocks of bytes, each aligned to eight bytes, a JSON text with the positions of
the named arrays, and the length of that text, its checksum and a mark. It holds only numbers and
text.
"""

import io
import json
import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

_MARK = b"PETCOLS1"
_TAIL = struct.Struct("<QQ8s")
_ALIGNMENT = 8
_NOT_WHOLE = "not a file of columns, or not a whole one"

_State = tuple[int, int, int, int]  # device, inode, size and modification time of a file


class ColumnWriter:
    """Writes blocks one after the other, and the named arrays at the end."""

    def __init__(self, file: BinaryIO) -> None:
        """``file``: an empty file, opened for writing."""
        self._file = file
        self._length = 0

    def append(self, values: np.ndarray) -> int:
        """Write ``values``, and return their offset in bytes."""
        start = self._length
        data = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        padding = -len(data) % _ALIGNMENT
        self._file.write(data)
        self._file.write(bytes(padding))
        self._length += len(data) + padding
        return start

    def finish(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Write ``arrays`` and ``facts``, which must be serialisable as JSON."""
        places = {
            name: {
                "start": self.append(array),
                "type": array.dtype.newbyteorder("=").str,
                "shape": array.shape,
            }
            for name, array in arrays.items()
        }
        entries = {"arrays": places, "facts": facts, "length": self._length}
        text = json.dumps(entries).encode()
        self._file.write(text)
        self._file.write(_TAIL.pack(len(text), zlib.crc32(text), _MARK))


class Columns:
    """The content written by a ``ColumnWriter``; the arrays are read-only.

    Pickled for another process, it is the path of the file, or shared memory if there is no file or
    it has changed.
    """

    def __init__(
        self,
        content: np.ndarray,
        origin: tuple[Path, _State] | None = None,
    ) -> None:
        """Parse ``content`` (bytes,) uint8; raises ValueError if it is damaged or truncated.

        ``origin`` is the mapped file and its state, or None for content in memory.
        """
        self._origin, self._content = origin, content
        self._shared: torch.Tensor | None = None  # a copy for other processes
        text = _text_of(content)
        entries = json.loads(text)
        length = len(content) - _TAIL.size - len(text)
        if entries["length"] != length:
            raise ValueError(_NOT_WHOLE)
        self.facts: dict[str, Any] = entries["facts"]
        self._arrays = {name: self._array(place) for name, place in entries["arrays"].items()}
        #: The whole content; offsets of blocks refer to it.
        self.bytes = content
        self.numbers = content[:length].view(np.float64)

    @staticmethod
    def from_memory(written: io.BytesIO) -> "Columns":
        """Return the columns in the memory file ``written``."""
        return Columns(np.frombuffer(written.getbuffer().toreadonly(), np.uint8))

    @staticmethod
    def from_file(file: Path) -> "Columns":
        """Map ``file``; raises OSError if it is missing, ValueError if it is damaged."""
        with open(file, "rb") as opened:
            if not opened.seek(0, io.SEEK_END):
                raise ValueError("an empty file")
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            origin = file, _state(os.fstat(opened.fileno()))
        return Columns(np.frombuffer(mapped, np.uint8), origin=origin)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arrays."""
        return tuple(self._arrays)

    def __getstate__(self) -> dict[str, Any]:
        if self._origin is not None and _is_unchanged(*self._origin):
            return {"file": self._origin[0], "tensor": None}
        if self._shared is None:
            # A tensor is sent as a handle. It is a copy, as sending moves it to shared memory.
            self._shared = torch.tensor(self._content)
        return {"file": None, "tensor": self._shared}

    def __setstate__(self, state: dict[str, Any]) -> None:
        file, tensor = state["file"], state["tensor"]
        same = Columns.from_file(file) if tensor is None else Columns(_read_only(tensor.numpy()))
        vars(self).update(vars(same))

    def _array(self, place: Mapping[str, Any]) -> np.ndarray:
        kind, shape = np.dtype(place["type"]), tuple(place["shape"])
        size = kind.itemsize * int(np.prod(shape))
        block = self._content[place["start"] : place["start"] + size]
        return block.view(kind).reshape(shape)


def _state(found: os.stat_result) -> _State:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _is_unchanged(file: Path, state: _State) -> bool:
    try:
        return _state(file.stat()) == state
    except OSError:
        return False


def _text_of(content: np.ndarray) -> bytes:
    """Return the JSON text in ``content``; raises ValueError if the content is damaged."""
    end = len(content) - _TAIL.size
    length, checksum, mark = _TAIL.unpack(content[end:].tobytes()) if end >= 0 else (0, 0, b"")
    text = content[end - length : end].tobytes() if length <= end else b""
    if mark != _MARK or zlib.crc32(text) != checksum:
        raise ValueError(_NOT_WHOLE)
    return text


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
