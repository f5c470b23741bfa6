"""Looking at picture files in threads: header, end, bytes and, if asked for, pixels."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pet.data.image_file import ImageReader, check_whole
from pet.data.image_header import JPEG_END, JPEG_START, PNG_START, ImageHeader
from pet.data.picture_check import look_at_header
from pet.logger.progress import show_progress

_THREADS = 8
_TAIL = 4096  # bytes
_PNG_END = b"IEND"


@dataclass(frozen=True)
class Picture:
    """A picture file: its header, or the reason why it cannot be read; its size and its end."""

    header: ImageHeader | None
    fault: str = ""
    length: int = 0  # in bytes, 0 if it cannot be read
    tail: bytes = b""  # checksum of the last bytes: files with other ones differ


def look_at_pictures(paths: Sequence[str], reader: ImageReader, decode: bool) -> dict[str, Picture]:
    """Return each of ``paths``, existing files, with what was found.

    ``decode``: read the pixels of all of them, too.
    """

    def look(path: str) -> Picture:
        return look_at_picture(path, reader, decode)

    what = "decoding pictures" if decode else "looking at pictures"
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(show_progress(pool.map(look, paths), what, len(paths), "pictures"))
    return dict(zip(paths, found, strict=True))


def look_at_picture(path: str, reader: ImageReader, decode: bool) -> Picture:
    """Return the picture in ``path``; never raises."""
    header = look_at_header(path, reader)
    if isinstance(header, str):
        return Picture(None, header)
    try:
        with open(path, "rb") as file:
            start = file.read(len(PNG_START))
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL, 0))
            tail = file.read()
        if size <= _TAIL or _lacks_end(start, tail):  # in a small file it may be a thumbnail's end
            check_whole(path)
        if decode:
            reader.read(path)
    except (OSError, ValueError) as error:
        return Picture(header, str(error))
    return Picture(header, "", size, _checksum(tail))


def _lacks_end(start: bytes, tail: bytes) -> bool:
    """Whether the last bytes of a JPEG or PNG have no end marker, so that it may be truncated."""
    if start.startswith(PNG_START):
        return _PNG_END not in tail
    return start.startswith(JPEG_START) and JPEG_END not in tail


def equal_pictures(pictures: Mapping[str, Picture]) -> list[list[str]]:
    """Return the groups of paths whose files have the same bytes, each of two or more.

    Only files of equal length and end are read.
    """
    alike: dict[tuple[int, bytes], list[str]] = {}
    for path, picture in pictures.items():
        if picture.length:
            alike.setdefault((picture.length, picture.tail), []).append(path)
    candidates = [path for paths in alike.values() if len(paths) > 1 for path in paths]
    with ThreadPoolExecutor(_THREADS) as pool:
        sums = pool.map(_checksum_of_file, candidates)
        progress = show_progress(sums, "comparing pictures", len(candidates), "pictures")
        found = list(progress) if candidates else []
    same: dict[bytes, list[str]] = {}
    for path, checksum in zip(candidates, found, strict=True):
        if checksum:
            same.setdefault(checksum, []).append(path)
    return [paths for paths in same.values() if len(paths) > 1]


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _checksum_of_file(path: str) -> bytes:
    """Return the checksum of the file's bytes, b"" if it cannot be read any more."""
    try:
        with open(path, "rb") as file:
            return _checksum(file.read())
    except OSError:
        return b""
