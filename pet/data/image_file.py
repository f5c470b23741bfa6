"""Reading an image file, with an error wherever the picture is not whole."""

from pathlib import Path

import numpy as np

from pet.utils.opencv import cv2

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"


def read_image(path: str | Path) -> np.ndarray:
    """Return the image in ``path`` as (height, width, 3) uint8 BGR, with its pixels as stored.

    An EXIF orientation is not applied, as COCO's annotations count in stored pixels. Raises
    FileNotFoundError, or ValueError for a file that is no image or ends too early; OpenCV 4 alone
    would fill the missing part with grey.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no image file {path}") from None
    if not data:
        raise ValueError(f"the image file {path} is empty")
    if _is_truncated(data):
        raise ValueError(
            f"the image file {path} is cut off after {len(data)} bytes; fetch it again"
        )
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ValueError(f"the image file {path} cannot be decoded: {error}") from error
    if image is None:
        raise ValueError(f"the image file {path} cannot be decoded; is it an image, and whole?")
    return image


def _is_truncated(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks the mark of its end; False for other formats."""
    if data.startswith(_PNG_START):
        return _PNG_END not in data
    if not data.startswith(_JPEG_START):
        return False
    # Segments before the scan are stepped over: a thumbnail inside one has an end mark of its own.
    place = len(_JPEG_START)
    while data[place : place + 1] == b"\xff" and data[place + 1 : place + 2] != b"\xda":
        if data[place + 1 : place + 2] == b"\xff":
            place += 1  # any number of these bytes may stand before a mark
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return data.rfind(_JPEG_END, place) < 0  # from the end, where it is
