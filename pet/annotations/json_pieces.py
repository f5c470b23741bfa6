"""Reading a large annotation file in pieces, without all of it as Python objects at once."""

import codecs
import json
import mmap
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

_PIECE = 4 << 20  # bytes of annotations that become Python objects at a time
_LIST = re.compile(rb'"annotations"\s*:\s*\[')
_BETWEEN = re.compile(rb"\}\s*,\s*(?=\{)")
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class UnusualJsonError(ValueError):
    """The text cannot be read in pieces, but perhaps as a whole."""


def load_json(data: bytes) -> Any:
    """Parse the JSON text ``data``; NaN and Infinity are allowed.

    Raises ValueError if it is no JSON or nested too deeply.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        pass  # the standard library accepts more, and its errors tell the position
    try:
        return json.loads(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def without_mark(data: bytes) -> tuple[bytes, str]:
    """Return JSON text as UTF-8 without a byte order mark, and a note if it was changed."""
    if data.startswith(codecs.BOM_UTF8):
        return data[len(codecs.BOM_UTF8) :], "a byte order mark at the beginning"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16").encode(), "UTF-16 in place of UTF-8"
    return data, ""


class PiecewiseFile:
    """A file of one JSON object, whose list "annotations" is read in pieces.

    After ``pieces``, ``rest`` returns everything else.
    """

    def __init__(self, file: Path) -> None:
        """Open ``file``; raises UnusualJsonError if the list is not found."""
        with open(file, "rb") as opened:
            self._text = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        found = _LIST.search(self._text)
        if found is None:
            raise UnusualJsonError('there is no list "annotations"')
        self._start, self._end = found.end(), -1
        self._forgotten = 0
        #: A note on the encoding if it is not plain UTF-8, else "".
        self.mark = ""

    def __len__(self) -> int:
        return len(self._text)

    def pieces(self) -> Iterator[tuple[list[Any], int]]:
        """Yield some annotations at a time, and the byte offset after them.

        Raises UnusualJsonError if the text is no list.
        """
        place = self._start
        while self._end < 0:
            items, place = self._next(place)
            yield items, place
            self._forget(place)

    def rest(self) -> dict[str, Any]:
        """Return the object with an empty list of annotations.

        Raises UnusualJsonError if the text is no object, or if the list is not its "annotations".
        """
        # A random word replaces the list, to detect another list of this name, nested or duplicate.
        word = secrets.token_hex(16)
        text = self._text[: self._start] + f'"{word}"'.encode() + self._text[self._end :]
        try:
            text, self.mark = without_mark(text)
            content = load_json(text)
        except ValueError as error:
            raise UnusualJsonError(str(error)) from None
        if not isinstance(content, dict) or content.get("annotations") != [word]:
            raise UnusualJsonError("the list of annotations is not that of the file")
        return {**content, "annotations": []}

    def _next(self, place: int) -> tuple[list[Any], int]:
        """Return the annotations of the piece at ``place``, and the place of the next piece."""
        cut = _BETWEEN.search(self._text, min(place + _PIECE, len(self._text)))
        if cut is not None:
            try:
                # A cut inside an annotation is detected, as the piece is no valid JSON then.
                return orjson.loads(b"[" + self._text[place : cut.start() + 1] + b"]"), cut.end()
            except ValueError:
                pass
        return self._one_by_one(place)

    def _one_by_one(self, place: int) -> tuple[list[Any], int]:
        """Do the same as ``_next``, slower, without guessing where an annotation ends."""
        window = 2 * _PIECE
        while True:
            data = self._text[place : place + window]
            at_end = place + window >= len(self._text)
            items, used, is_over = _decode_items(data, at_end)
            if is_over:
                self._end = place + used
            if items or is_over:
                return items, place + used
            if at_end:
                raise UnusualJsonError("the list of annotations does not end")
            window *= 4

    def _forget(self, place: int) -> None:
        """Release the mapped pages before ``place`` from memory."""
        page = place // mmap.PAGESIZE * mmap.PAGESIZE
        if hasattr(self._text, "madvise") and page > self._forgotten:
            self._text.madvise(mmap.MADV_DONTNEED, self._forgotten, page - self._forgotten)
            self._forgotten = page


def _decode_items(data: bytes, at_end: bool) -> tuple[list[Any], int, bool]:
    """Return the complete items at the start of ``data``, their bytes, and whether the list ended.

    ``data`` begins with an item or the closing bracket. The bytes include everything before the
    next item or the bracket. Raises UnusualJsonError for malformed lists.
    """
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data, at_end)
    except UnicodeDecodeError as error:
        raise UnusualJsonError(str(error)) from None
    items: list[Any] = []
    place = done = _skip(text, 0)
    if text[place : place + 1] == "]":
        return items, len(text[:place].encode()), True
    while place < len(text):
        try:
            item, place = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            break
        place = _skip(text, place)
        mark = text[place : place + 1]
        if mark == "]":
            return [*items, item], len(text[:place].encode()), True
        if mark not in ("", ","):
            raise UnusualJsonError("something else than a comma stands between two annotations")
        place = _skip(text, place + 1)
        if place >= len(text):
            break  # the item may continue, or a bracket may follow
        if text[place] == "]":
            raise UnusualJsonError("a comma stands before the end of the list")
        items.append(item)
        done = place
    return items, len(text[:done].encode()), False


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    assert found is not None
    return found.end()
