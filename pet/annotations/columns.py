"""Named arrays in one file, or one piece of memory, that processes map and do not copy.

A file is blocks of bytes, each at a multiple of eight, then a JSON text that says where the named
arrays lie, then how long that text is, and a mark. It holds numbers and text alone.
"""

import io
import json
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

_MARK = b"PETCOLS1"
_TAIL = struct.Struct("<Q8s")
_ALIGNMENT = 8


class ColumnWriter:
    """Writes blocks as they come, and the named arrays at the end."""

    def __init__(self, file: BinaryIO) -> None:
        """Write into ``file``, from its beginning."""
        self._file = file
        self._length = 0

    def append(self, values: np.ndarray) -> int:
        """Write ``values``, and return the number of the byte at which they begin."""
        start = self._length
        data = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        padding = -len(data) % _ALIGNMENT
        self._file.write(data)
        self._file.write(bytes(padding))
        self._length += len(data) + padding
        return start

    def finish(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Write ``arrays``, and ``facts``, which JSON must be able to hold."""
        places = {
            name: {
                "start": self.append(array),
                "type": array.dtype.newbyteorder("=").str,
                "shape": array.shape,
            }
            for name, array in arrays.items()
        }
        text = json.dumps({"arrays": places, "facts": facts}).encode()
        self._file.write(text)
        self._file.write(_TAIL.pack(len(text), _MARK))


class Columns:
    """What a ``ColumnWriter`` wrote; the arrays are read-only.

    Another process gets the path of the file, or, where there is none, shared memory.
    """

    def __init__(
        self, content: np.ndarray, file: Path | None = None, tensor: torch.Tensor | None = None
    ) -> None:
        """Look into ``content`` (bytes,) uint8, which is that of ``file`` or ``tensor``.

        Raises ValueError where it is not whole.
        """
        self._file, self._tensor, self._content = file, tensor, content
        raw = content.tobytes() if len(content) < _TAIL.size else content[-_TAIL.size :].tobytes()
        length, mark = _TAIL.unpack(raw) if len(raw) == _TAIL.size else (0, b"")
        end = len(content) - _TAIL.size
        if mark != _MARK or length > end:
            raise ValueError("not a file of columns, or not a whole one")
        entries = json.loads(content[end - length : end].tobytes())
        self.facts: dict[str, Any] = entries["facts"]
        self._arrays = {name: self._array(place) for name, place in entries["arrays"].items()}
        #: The whole content, by which blocks are found.
        self.bytes = content
        self.numbers = content[: (end - length) // 8 * 8].view(np.float64)

    @staticmethod
    def from_memory(written: io.BytesIO) -> "Columns":
        """Return what was written into memory."""
        buffer = np.frombuffer(written.getbuffer(), np.uint8)
        # A tensor, as that goes to another process as a handle of shared memory.
        content = torch.empty(len(buffer), dtype=torch.uint8)
        content.numpy()[:] = buffer
        return Columns(content.numpy(), tensor=content)

    @staticmethod
    def from_file(file: Path) -> "Columns":
        """Map ``file``; raises OSError or ValueError where it is missing or not whole."""
        with open(file, "rb") as opened:
            if not opened.seek(0, io.SEEK_END):
                raise ValueError("an empty file")
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        return Columns(np.frombuffer(mapped, np.uint8), file)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self._file, "tensor": self._tensor}

    def __setstate__(self, state: dict[str, Any]) -> None:
        file, tensor = state["file"], state["tensor"]
        same = Columns.from_file(file) if tensor is None else Columns(tensor.numpy(), tensor=tensor)
        vars(self).update(vars(same))

    def _array(self, place: Mapping[str, Any]) -> np.ndarray:
        kind, shape = np.dtype(place["type"]), tuple(place["shape"])
        size = kind.itemsize * int(np.prod(shape))
        block = self._content[place["start"] : place["start"] + size]
        return block.view(kind).reshape(shape)
