"""Reading image files, with an error for truncated or damaged ones."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pet.data.image_header import (
    JPEG_END,
    JPEG_START,
    MAX_STEPS,
    PNG_START,
    ImageHeader,
    parse_header,
    without_orientation,
)
from pet.utils.opencv import cv2

_PNG_END = b"IEND"
_MAX_BYTES = 2**31 - 1  # the largest file that OpenCV decodes
_MAX_NAME = 500  # the longest path in a message, in characters
_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_ODD_FILES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_header(source: bytes | str | Path) -> ImageHeader | None:
    """Return the header of an image file, given its content or its path, without decoding it.

    None for rare image formats and files that are no images. From a path only the required parts
    are read. Raises FileNotFoundError, ValueError or OSError if it is no readable regular file.
    """
    if isinstance(source, bytes):
        return parse_header(BytesIO(source))
    with _open(source) as file:
        return parse_header(file)


def read_image(path: str | Path) -> np.ndarray:
    """Return the image in ``path``, upright, read by an ``ImageReader`` with default values."""
    return ImageReader().read(path)


def read_values(path: str | Path) -> np.ndarray:
    """Return the image in ``path`` as stored, (H, W, 3) BGR, uint8 or uint16.

    Raises the errors of ``ImageReader.read``.
    """
    return _decode(_fetch(path), path, _FLAGS | cv2.IMREAD_ANYDEPTH)


def check_whole(path: str | Path) -> None:
    """Raise ValueError if the image file ``path`` is empty, too large or truncated.

    Only JPEG and PNG tell the last. Raises the errors of ``ImageReader.read`` if there is no file.
    """
    _fetch(path)


def shown_path(path: str | Path) -> str:
    """Return ``path`` for a message: on one line, with escapes, and shortened if it is long."""
    text = str(path)
    text = text if text.isprintable() else repr(text)
    half = _MAX_NAME // 2
    return text if len(text) <= _MAX_NAME else f"{text[:half]}…{text[-half:]}"


@dataclass(frozen=True)
class ImageReader:
    """Settings for reading image files as arrays.

    ``orientation`` decides when the EXIF orientation is applied: "upright" always, "stored" never,
    "auto" unless an annotation file declares a size that only the stored pixels have. Images with
    more than ``max_pixels`` are refused. A file with 16 bits per channel is assumed to use
    ``bit_depth`` (8..16) of them; brighter values become 255.
    """

    orientation: str = "auto"
    max_pixels: int = 250_000_000
    bit_depth: int = 16

    def read(self, path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return the image in ``path`` as (height, width, 3) uint8 BGR.

        ``size`` is the height and width that an annotation file declares. Raises FileNotFoundError,
        ValueError if the file is no regular file, no image, truncated, too large or of another
        size, and OSError if it cannot be read. Without the check for truncation OpenCV 4 would fill
        the missing part with grey.
        """
        data = _fetch(path)
        header = read_header(data)
        turn = 1 if header is None else self.plan(path, header, size)
        image = self._decode(data, path, header)
        height, width = image.shape[:2]
        decoded = replace(header or ImageHeader(width, height), width=width, height=height)
        if decoded != header:
            turn = self.plan(path, decoded, size)
        return _turned(image, turn)

    def plan(self, path: str | Path, header: ImageHeader, size: tuple[int, int] | None) -> int:
        """Return the orientation to apply to the image in ``path``, 1 for none.

        Raises ValueError if it has too many pixels or not the ``size`` (height, width).
        """
        if header.width * header.height > self.max_pixels:
            raise ValueError(
                f"the image file {shown_path(path)} is {_sides(header.stored_size)} and has "
                f"{header.width * header.height} pixels, more than INPUT.MAX_PIXELS, which is "
                f"{self.max_pixels}; give a higher number if it is right"
            )
        choices = self._choices(header)
        if size is None:
            return choices[0][0]
        declared = (int(size[0]), int(size[1]))
        for turn, found in choices:
            if found == declared:
                return turn
        raise ValueError(self._misfit(path, header, declared))

    def _choices(self, header: ImageHeader) -> tuple[tuple[int, tuple[int, int]], ...]:
        """Return (orientation, resulting size) for the allowed orientations, preferred first."""
        upright, stored = (header.orientation, header.upright_size), (1, header.stored_size)
        return {"auto": (upright, stored), "upright": (upright,), "stored": (stored,)}[
            self.orientation
        ]

    def _misfit(self, path: str | Path, header: ImageHeader, size: tuple[int, int]) -> str:
        """Return the error message if no allowed orientation gives ``size``."""
        found = self._choices(header)[0][1]
        text = (
            f"the image file {shown_path(path)} is {_sides(found)}, but the annotation file says "
            f"{size[1]} and {size[0]}; "
        )
        exif = f"its EXIF orientation, {header.orientation},"
        if size == header.upright_size:
            return f"{text}it fits where {exif} is applied: give INPUT.ORIENTATION auto"
        if size == header.stored_size:
            return f"{text}it fits where {exif} is not applied: give INPUT.ORIENTATION auto"
        if size == found[::-1]:
            return (
                f"{text}the two are swapped: correct the annotation file, or turn the picture, "
                "which may have lost its EXIF orientation"
            )
        return f"{text}correct the one or give the other that belongs to it"

    def _decode(self, data: bytes, path: str | Path, header: ImageHeader | None) -> np.ndarray:
        """Return the image in ``data`` as stored, reduced to the upper 8 of its used bits."""
        if self.bit_depth < 16 and (header is None or header.bits > 8):
            values = _decode(data, path, _FLAGS | cv2.IMREAD_ANYDEPTH)
            if values.dtype == np.uint16:
                return np.minimum(values >> (self.bit_depth - 8), 255).astype(np.uint8)
        return _decode(data, path, _FLAGS)


def _fetch(path: str | Path) -> bytes:
    """Return the content of an image file; ValueError if it is empty, too large or truncated."""
    with _open(path) as file:
        length = os.fstat(file.fileno()).st_size
        if length > _MAX_BYTES:
            raise ValueError(
                f"the image file {shown_path(path)} has {length} bytes, and OpenCV reads no more "
                f"than {_MAX_BYTES}; save it in another format, or in parts"
            )
        data = file.read()
    if not data:
        raise ValueError(f"the image file {shown_path(path)} is empty")
    if _is_truncated(data):
        raise ValueError(
            f"the image file {shown_path(path)} is cut off after {len(data)} bytes; fetch it again"
        )
    return data


@contextmanager
def _open(path: str | Path) -> Iterator[BinaryIO]:
    """Open a regular file; reading a pipe or a device might never end.

    Errors, also while the file is read in the block, become errors that name the file.
    """
    if "\0" in os.fspath(path):
        raise ValueError(
            f"the image file {shown_path(path)} cannot be there: no name has a zero byte"
        )
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
        if kind != stat.S_IFREG:
            what = _ODD_FILES.get(kind, "something else")
            raise ValueError(f"{shown_path(path)} is {what} and no image file")
        with open(path, "rb") as file:
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"there is no image file {shown_path(path)}") from None
    except PermissionError:
        raise PermissionError(
            f"the image file {shown_path(path)} may not be read: permission denied"
        ) from None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise FileNotFoundError(f"there is no image file {shown_path(path)}") from None
        raise OSError(
            f"the image file {shown_path(path)} cannot be read: {error.strerror or error}"
        ) from None


def _decode(data: bytes, path: str | Path, flags: int) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(without_orientation(data), np.uint8), flags)
    except cv2.error as error:
        text = " ".join(str(error).split())
        raise ValueError(f"the image file {shown_path(path)} cannot be decoded: {text}") from error
    if image is None:
        header = read_header(data)
        why = "is it an image, and whole?"
        if header is not None and header.bits not in (1, 2, 4, 8, 16):
            why = f"it has {header.bits} bits a channel; save it with 8, or 16, if it is whole"
        raise ValueError(f"the image file {shown_path(path)} cannot be decoded; {why}")
    return image


def _turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """Return ``image`` turned by an EXIF orientation. Source: EXIF 2.32, table 6."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


def _sides(size: tuple[int, int]) -> str:
    return f"{size[1]} wide and {size[0]} high"


def _is_truncated(data: bytes) -> bool:
    """Whether a JPEG or PNG has no end marker; False for other formats."""
    if data.startswith(PNG_START):
        return _is_truncated_png(data)
    if not data.startswith(JPEG_START):
        return False
    # Segments before the scan are skipped: a thumbnail in one has an end marker, too.
    place = len(JPEG_START)
    for _ in range(MAX_STEPS):
        if data[place : place + 1] != b"\xff" or data[place + 1 : place + 2] == b"\xda":
            break
        if data[place + 1 : place + 2] == b"\xff":
            place += 1  # a marker may have any number of these fill bytes before it
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return data.rfind(JPEG_END, place) < 0  # searched from the end, where it usually is


def _is_truncated_png(data: bytes) -> bool:
    """Whether following the chunk lengths does not lead to the end chunk.

    OpenCV would allocate the declared length of a chunk, even if the file is shorter.
    """
    place = len(PNG_START)
    while kind := data[place + 4 : place + 8]:
        if kind == _PNG_END:
            return False
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    return True
