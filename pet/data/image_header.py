"""Parsing the header of an image file: size, EXIF orientation and bit depth.

OpenCV must decode the whole picture for these. Pillow warns about damaged files, which only a
process-wide setting would silence.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from io import BytesIO
from typing import BinaryIO

PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START, _JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_EXIF_START = b"Exif\0\0"
_JPEG2000_START = b"\xff\x4f\xff\x51"  # of the code stream, which may be inside boxes

# Tags of TIFF 6.0, section 8, also used by EXIF, and the struct letters of its types.
_WIDTH, _HEIGHT, _BITS, _ORIENTATION = 0x100, 0x101, 0x102, 0x112
_TYPES = {1: "B", 3: "H", 4: "I"}
_MAX_TAGS = 4096  # a damaged file may declare 2 ** 64
MAX_STEPS = 2**16  # segments that are visited; a damaged file may have millions


@dataclass(frozen=True)
class ImageHeader:
    """Size, orientation and bit depth of an image file.

    Width and height are in pixels as stored. ``orientation`` is that of EXIF, 1..8; 1 means that
    the stored picture is upright. ``bits`` are per channel. ``mode`` is "colour" unless a JPEG, PNG
    or WebP declares another: "grey", "grey and alpha", "alpha" (beside colours) or "CMYK".
    """

    width: int
    height: int
    _: KW_ONLY
    orientation: int = 1
    bits: int = 8
    mode: str = field(default="colour", compare=False)

    @property
    def stored_size(self) -> tuple[int, int]:
        """Height and width of the pixels as stored."""
        return self.height, self.width

    @property
    def upright_size(self) -> tuple[int, int]:
        """Height and width of the picture turned upright."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)


def parse_header(file: BinaryIO) -> ImageHeader | None:
    """Return the header of the image in ``file``, or None for unknown or damaged headers.

    Supports JPEG, PNG, TIFF, WebP, BMP, GIF, JPEG 2000 and Sun raster; the first four may have an
    orientation. Damaged EXIF data are ignored.
    """
    start = file.read(12)
    for magic, parse in _PARSERS.items():
        if start.startswith(magic):
            try:
                header = parse(file)
            except (struct.error, ValueError):
                return None
            return header if header.width > 0 and header.height > 0 else None
    return None


def without_orientation(data: bytes) -> bytes:
    """Return the TIFF file ``data`` with orientation 1; other files are returned unchanged.

    OpenCV applies the orientation of a TIFF even with IMREAD_IGNORE_ORIENTATION.
    """
    if not data.startswith((b"II", b"MM")):
        return data
    try:
        tag = _tiff_tags(BytesIO(data)).get(_ORIENTATION)
    except (struct.error, ValueError):
        return data
    if tag is None or tag.value == 1:
        return data
    return data[: tag.place] + tag.upright + data[tag.place + len(tag.upright) :]


# File formats ------------------------------------------------------------------------------------


def _parse_jpeg(file: BinaryIO) -> ImageHeader:
    """Parse a JPEG. Source: ITU-T T.81, annex B."""
    frame, orientation = None, 1
    for mark, place, length in _jpeg_segments(file):
        if mark == 0xE1 and orientation == 1 and _at(file, place, 6) == _EXIF_START:
            orientation = _exif_orientation(_at(file, place + 6, length - 6))
        elif 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC) and frame is None:
            frame = struct.unpack(">BHHB", _at(file, place, 6))
    if frame is None:
        raise ValueError("a JPEG without a frame")
    bits, height, width, channels = frame
    mode = {1: "grey", 4: "CMYK"}.get(channels, "colour")
    return ImageHeader(width, height, orientation=orientation, bits=bits, mode=mode)


def _jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Yield marker, offset and length of each segment before the scan."""
    place = len(JPEG_START)
    for _ in range(MAX_STEPS):
        start = _at(file, place, 4)
        if len(start) < 4 or start[:2] in (_JPEG_SCAN, JPEG_END):
            return
        if start[0] != 0xFF or start[1] in (0x00, 0xFF):  # fill bytes, or not a marker
            place += 1
        elif start[1] == 0x01 or 0xD0 <= start[1] <= 0xD8:  # a marker without a segment
            place += 2
        else:
            length = int.from_bytes(start[2:], "big")
            yield start[1], place + 4, length - 2
            place += 2 + max(length, 2)


def _parse_png(file: BinaryIO) -> ImageHeader:
    """Parse a PNG; eXIf may come before or after the pixels. Source: PNG (Third Edition), W3C."""
    width, height, bits, colour = struct.unpack(">IIBB", _at(file, 16, 10))
    orientation = 1
    for kind, place, length in _png_chunks(file):
        if kind == b"eXIf":
            orientation = _exif_orientation(_at(file, place, length))
            break
    bits = 8 if colour == 3 else bits  # 3: a palette
    mode = {0: "grey", 4: "grey and alpha", 6: "alpha"}.get(colour, "colour")
    return ImageHeader(width, height, orientation=orientation, bits=bits, mode=mode)


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, offset and length of each chunk after the first."""
    place = 33
    for _ in range(MAX_STEPS):
        start = _at(file, place, 8)
        if len(start) < 8:
            return
        length = int.from_bytes(start[:4], "big")
        yield start[4:], place + 8, length
        place += 12 + length


def _parse_tiff(file: BinaryIO) -> ImageHeader:
    tags = _tiff_tags(file)
    if _WIDTH not in tags or _HEIGHT not in tags:
        raise ValueError("a TIFF without a size")
    bits = tags[_BITS].value if _BITS in tags else 1
    return ImageHeader(
        tags[_WIDTH].value, tags[_HEIGHT].value, orientation=_orientation_of(tags), bits=bits
    )


def _parse_webp(file: BinaryIO) -> ImageHeader:
    """Parse a WebP. Source: RFC 9649."""
    if _at(file, 8, 4) != b"WEBP":
        raise ValueError("a RIFF file without a picture")
    size, orientation, mode = None, 1, "colour"
    for kind, place, length in _webp_chunks(file):
        if kind == b"VP8X" and _at(file, place, 1)[0] & 0x10:
            mode = "alpha"
        if kind == b"EXIF":
            orientation = _exif_orientation(_at(file, place, length).removeprefix(_EXIF_START))
            break
        if size is None and kind in (b"VP8X", b"VP8 ", b"VP8L"):
            size = _webp_size(kind, _at(file, place, 10))
    if size is None:
        raise ValueError("a WebP without a picture")
    return ImageHeader(*size, orientation=orientation, mode=mode)


def _webp_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, offset and length of each chunk."""
    place = 12
    for _ in range(MAX_STEPS):
        start = _at(file, place, 8)
        if len(start) < 8:
            return
        length = int.from_bytes(start[4:], "little")
        yield start[:4], place + 8, length
        place += 8 + length + length % 2


def _webp_size(kind: bytes, content: bytes) -> tuple[int, int]:
    """Return width and height from the first bytes, ``content``, of a chunk."""
    if kind == b"VP8X":
        packed = int.from_bytes(struct.unpack("<4x6s", content)[0], "little")
        return (packed & 0xFFFFFF) + 1, (packed >> 24) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack("<6xHH", content)
        return width & 0x3FFF, height & 0x3FFF
    packed = struct.unpack("<xI5x", content)[0]
    return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1


def _parse_bmp(file: BinaryIO) -> ImageHeader:
    if _at(file, 14, 4) == b"\x0c\0\0\0":  # the old header of OS/2
        return ImageHeader(*struct.unpack("<HH", _at(file, 18, 4)))
    width, height = struct.unpack("<ii", _at(file, 18, 8))
    return ImageHeader(width, abs(height))  # negative: stored from top to bottom


def _parse_gif(file: BinaryIO) -> ImageHeader:
    return ImageHeader(*struct.unpack("<HH", _at(file, 6, 4)))


def _parse_jpeg2000(file: BinaryIO) -> ImageHeader:
    """Parse a JPEG 2000; a few boxes precede the code stream. Source: ITU-T T.800, annex A.5.1."""
    data = _at(file, 0, 2**16)
    place = data.find(_JPEG2000_START)
    right, bottom, left, top = struct.unpack(">IIII", data[place + 8 : place + 24])
    bits = (struct.unpack(">B", data[place + 42 : place + 43])[0] & 0x7F) + 1
    return ImageHeader(right - left, bottom - top, bits=bits)


def _parse_sun(file: BinaryIO) -> ImageHeader:
    return ImageHeader(*struct.unpack(">II", _at(file, 4, 8)))


_PARSERS: dict[bytes, Callable[[BinaryIO], ImageHeader]] = {
    JPEG_START: _parse_jpeg,
    PNG_START: _parse_png,
    b"II*\0": _parse_tiff,
    b"MM\0*": _parse_tiff,
    b"II+\0": _parse_tiff,  # with offsets of 64 bits
    b"MM\0+": _parse_tiff,
    b"RIFF": _parse_webp,
    b"BM": _parse_bmp,
    b"GIF8": _parse_gif,
    b"\0\0\0\x0cjP  ": _parse_jpeg2000,
    _JPEG2000_START: _parse_jpeg2000,
    b"\x59\xa6\x6a\x95": _parse_sun,
}


# EXIF and TIFF -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tag:
    value: int
    place: int  # offset of the value in the file
    upright: bytes  # the bytes of the value 1


def _exif_orientation(exif: bytes) -> int:
    """Return the orientation in an EXIF block, which has the TIFF format; 1 if there is none."""
    try:
        return _orientation_of(_tiff_tags(BytesIO(exif)))
    except (struct.error, ValueError):
        return 1


def _orientation_of(tags: dict[int, _Tag]) -> int:
    value = tags[_ORIENTATION].value if _ORIENTATION in tags else 1
    return value if 1 <= value <= 8 else 1


def _tiff_tags(file: BinaryIO) -> dict[int, _Tag]:
    """Return the first value of each tag in the first directory that is needed here."""
    start = _at(file, 0, 16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2], "")
    version = struct.unpack(order + "H", start[2:4])[0]
    if not order or version not in (42, 43):
        raise ValueError("no TIFF")
    count_format, offset_format, offset_place = ("H", "I", 4) if version == 42 else ("Q", "Q", 8)
    room = struct.calcsize(offset_format)
    (place,) = struct.unpack(order + offset_format, start[offset_place : offset_place + room])
    count_size = struct.calcsize(count_format)
    (count,) = struct.unpack(order + count_format, _at(file, place, count_size))
    place += count_size
    entry_size = 4 + 2 * room
    tags: dict[int, _Tag] = {}
    entries = _at(file, place, min(count, _MAX_TAGS) * entry_size)
    for n in range(0, len(entries) - entry_size + 1, entry_size):
        tag, kind = struct.unpack_from(order + "HH", entries, n)
        if tag not in (_WIDTH, _HEIGHT, _BITS, _ORIENTATION) or kind not in _TYPES or tag in tags:
            continue
        (values,) = struct.unpack_from(order + offset_format, entries, n + 4)
        letter, value_place = order + _TYPES[kind], place + n + 4 + room
        if values * struct.calcsize(letter) > room:  # too long for the entry itself
            (value_place,) = struct.unpack_from(order + offset_format, entries, n + 4 + room)
        content = _at(file, value_place, struct.calcsize(letter))
        tags[tag] = _Tag(struct.unpack(letter, content)[0], value_place, struct.pack(letter, 1))
    return tags


def _at(file: BinaryIO, place: int, size: int) -> bytes:
    """Return up to ``size`` bytes from offset ``place`` on."""
    try:
        file.seek(place)
    except (OSError, OverflowError):  # larger than any file
        raise ValueError(f"no place {place} in a file") from None
    return file.read(max(size, 0))
