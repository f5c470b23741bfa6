"""Reading pickles of arrays and plain values without executing code from them."""

import math
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pet.weights.file_kind import require_file

#: Types that a pickle may contain besides arrays, lists, tuples and dicts.
_PLAIN = (str, bytes, bool, int, float, type(None))
#: numpy's names of the dtypes that are read: booleans, integers and floats.
_DTYPE_NAME = re.compile(r"[|<>=]?(?:b1|[iu][1248]|f[248])")


class _RefusedError(Exception):
    """The pickle contains something that is not read; the message names it."""


def read_pickle_file(path: str | Path) -> Any:
    """Return the content of the pickle ``path``: plain values, numpy arrays, lists, tuples, dicts.

    Strings of Python 2 are decoded as Latin-1; a numpy scalar becomes a number, an OrderedDict a
    dict. Raises FileNotFoundError, and ValueError if the file is truncated or refers to anything
    else, such as an array of objects. No code of the file is run, and none of numpy's functions:
    stand-ins build the arrays from their bytes.
    """
    path = Path(path)
    require_file(path)
    try:
        with open(path, "rb") as file:
            return _Plain()(_Reader(file, encoding="latin1").load())
    except OSError:
        raise
    except _RefusedError as error:
        raise ValueError(
            f"{path} is refused, and nothing of it was run: {error}; only numbers, texts and numpy "
            "arrays of numbers in lists, tuples and dicts are read; where it was written, save the "
            "weights alone, as a dict of arrays"
        ) from None
    except Exception as error:
        # A damaged file may raise any exception.
        raise ValueError(
            f"{path} ({path.stat().st_size} bytes) is no readable pickle: it is cut off, damaged, "
            f"or of another kind ({type(error).__name__}: {error})"
        ) from None


class _Reader(pickle.Unpickler):
    """An unpickler that resolves known names to stand-ins and refuses all others."""

    def find_class(self, module: str, name: str) -> "_Global":
        """Return the stand-in for ``module.name``."""
        asked = f"{module}.{name}"
        known = asked.replace("numpy._core.", "numpy.core.").replace("__builtin__.", "builtins.")
        if known not in _STAND_INS:
            raise _RefusedError(f"it asks for {asked}")
        return _Global(known)

    def persistent_load(self, pid: Any) -> None:
        """Refuse: a plain pickle has no external objects."""
        raise _RefusedError("it asks for an object that is kept elsewhere")


class _Global:
    """The stand-in for a name in a pickle: it can only be called."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any) -> Any:
        return _STAND_INS[self.name](*args)

    def __setstate__(self, state: Any) -> None:
        raise _RefusedError(f"it wants to change {self.name}")


class _DType:
    """The stand-in for ``numpy.dtype``, only for numbers; ``__setstate__`` sets the byte order."""

    __slots__ = ("dtype",)

    def __init__(self, name: Any, *_flags: Any) -> None:
        if not isinstance(name, str) or not _DTYPE_NAME.fullmatch(name):
            raise _RefusedError(f"it holds an array of dtype {name!r}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        _, order, subdtype, names, fields, *_ = state
        if (subdtype, names, fields) != (None, None, None):
            raise _RefusedError("it holds an array of a structured dtype")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """The stand-in for an array, which numpy's pickles create empty and then fill."""

    __slots__ = ("value",)

    def __init__(self, value: np.ndarray | None = None) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        if self.value is not None:
            raise _RefusedError("it wants to change an array")
        _, shape, dtype, is_fortran, data = state
        self.value = _array(data, dtype, shape, "F" if is_fortran else "C")


def _array(data: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    """Return a new array in native byte order; ``data`` must have exactly its number of bytes."""
    if isinstance(data, str):
        data = data.encode("latin1")  # bytes that Python 2 wrote
    if not isinstance(dtype, _DType) or not isinstance(data, bytes | bytearray):
        raise _RefusedError("it holds an array of something else than numbers")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"an array of shape {shape!r}")
    if math.prod(shape) * dtype.dtype.itemsize != len(data):
        raise ValueError(f"an array of shape {shape} and {dtype.dtype} has {len(data)} bytes")
    array = np.frombuffer(data, dtype.dtype).reshape(shape, order="F" if order == "F" else "C")
    return np.array(array, dtype.dtype.newbyteorder("="), order="C")


def _reconstruct(kind: Any, *_shape_and_code: Any) -> _Array:
    """Replace numpy's function that creates an array in pickles up to protocol 4."""
    if not isinstance(kind, _Global) or kind.name != "numpy.ndarray":
        raise _RefusedError("it holds an array of an unknown kind")
    return _Array()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> _Array:
    """Replace numpy's function that creates an array in pickles of protocol 5.

    With ``order`` "K" the data are in C order, to be transposed by ``axes``.
    """
    array = _array(data, dtype, shape, order)
    return _Array(array if axes is None else np.ascontiguousarray(array.transpose(axes)))


def _scalar(dtype: Any, data: Any) -> bool | int | float:
    return _array(data, dtype, (), "C").item()


def _encode(text: Any, encoding: Any) -> bytes:
    """Replace ``_codecs.encode``, by which Python 3 stores bytes up to protocol 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _RefusedError(f"it asks for _codecs.encode to {encoding!r}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    return b""


def _no_instance(*_args: Any) -> None:
    raise _RefusedError("it makes an array in an unknown way")


_STAND_INS: Mapping[str, Callable[..., Any]] = {
    "_codecs.encode": _encode,
    "builtins.bytes": _empty_bytes,
    "collections.OrderedDict": dict,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy.dtype": _DType,
    "numpy.ndarray": _no_instance,
}


class _Plain:
    """Converts unpickled values: stand-ins become arrays, other types are refused."""

    def __init__(self) -> None:
        # Identity -> result: a value that occurs several times is converted once.
        self._done: dict[int, Any] = {}

    def __call__(self, value: Any) -> Any:
        if isinstance(value, _PLAIN):
            return value
        key = id(value)
        if key not in self._done:
            self._done[key] = _OPEN
            self._done[key] = self._convert(value)
        if self._done[key] is _OPEN:
            raise _RefusedError(f"it holds a {type(value).__name__} that contains itself")
        return self._done[key]

    def _convert(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self(item) for item in value]
        if isinstance(value, tuple):
            return tuple(self(item) for item in value)
        if isinstance(value, dict):
            return {self(key): self(item) for key, item in value.items()}
        if isinstance(value, _Array) and value.value is not None:
            return value.value
        name = value.name if isinstance(value, _Global) else type(value).__name__.lstrip("_")
        raise _RefusedError(f"it holds {name} as a value")


_OPEN = object()
