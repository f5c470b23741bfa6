"""PNG files whose pixels are indices, such as the numbers of objects, and the masks in them."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask
from PIL import Image

from pet.data.image_file import ImageReader, read_header, shown_path
from pet.utils.opencv import cv2

# Pillow's modes of one value per pixel: two colours, grey, a palette, and grey of 16 bits.
_MODES = ("1", "L", "P", "I;16", "I;16B", "I")
# What Pillow raises for damaged files, each from a place of its own.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)


@dataclass(frozen=True)
class IndexMask:
    """The pixels of a picture that have one value."""

    value: int
    rle: dict[str, Any]  # COCO's compressed RLE: "size", height and width, and "counts", a text
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 around them, in pixels


def read_indices(path: Path, reader: ImageReader) -> np.ndarray:
    """Return the values of the PNG file ``path``, (H, W) uint8, uint16 or int32.

    The values of a palette are its indices, not its colours. Raises FileNotFoundError, or
    ValueError if the file is damaged, has colours or more pixels than ``reader`` allows.
    """
    header = read_header(path)
    if header is None:
        raise ValueError(f"{shown_path(path)} is no PNG file")
    reader.plan(path, header, None)  # refuses too many pixels
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.mode not in _MODES:
                raise _ColourError
            indices = np.array(image)
    except _ColourError:
        raise ValueError(
            f"{shown_path(path)} has colours (mode {image.mode}), and must have an index in each "
            "pixel; write it with a palette, or in shades of grey"
        ) from None
    except _DAMAGE as error:
        raise ValueError(
            f"the PNG file {shown_path(path)} is damaged: {error}; fetch or write it again"
        ) from None
    if indices.dtype == bool:
        return indices.astype(np.uint8)
    if image.mode == "L" and header.bits in (2, 4):  # which Pillow stretches to 0..255
        return indices // (255 // (2**header.bits - 1))
    return indices


class _ColourError(Exception):
    """A picture has several values per pixel."""


def masks_of(indices: np.ndarray, *, without: tuple[int, ...] = (0,)) -> list[IndexMask]:
    """Return the mask of each value in ``indices`` (H, W), ascending, but those in ``without``.

    All masks are found in one pass over the pixels, so that many objects cost no more than few.
    """
    height, width = indices.shape
    if not indices.size:
        return []
    # Column by column, as RLE counts. NumPy takes seven times as long to transpose.
    flat = cv2.transpose(indices).ravel()
    starts = np.append(0, np.flatnonzero(flat[1:] != flat[:-1]) + 1)
    ends = np.append(starts[1:], flat.size)
    order = np.argsort(flat[starts], kind="stable")
    values, first = np.unique(flat[starts][order], return_index=True)
    runs = np.split(order, first[1:])
    return [
        _mask(int(value), starts[chosen], ends[chosen], (height, width))
        for value, chosen in zip(values, runs, strict=True)
        if int(value) not in without
    ]


def _mask(value: int, starts: np.ndarray, ends: np.ndarray, size: tuple[int, int]) -> IndexMask:
    """Return the mask of the runs from ``starts`` (R,) to ``ends`` (R,) of the flat picture."""
    counts = np.empty(2 * len(starts) + 1, np.int64)
    counts[0:-1:2] = starts - np.append(0, ends[:-1])
    counts[1::2] = ends - starts
    counts[-1] = size[0] * size[1] - ends[-1]
    runs = counts.tolist() if counts[-1] else counts[:-1].tolist()
    rle = coco_mask.frPyObjects({"size": list(size), "counts": runs}, *size)
    x, y, width, height = coco_mask.toBbox(rle).tolist()
    text = rle["counts"].decode("ascii")
    return IndexMask(value, {"size": list(size), "counts": text}, (x, y, x + width, y + height))
