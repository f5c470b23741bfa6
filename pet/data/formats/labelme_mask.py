"""Masks of labelme: a PNG picture, as base64 text, at a corner of the annotated picture."""

import base64
import binascii

import numpy as np
import pycocotools.mask as coco_mask

from pet.data.image_file import read_header
from pet.data.image_header import PNG_START
from pet.structures import Crop, Rle
from pet.structures.segmentation import crop_to_rle
from pet.utils.opencv import cv2

_PNG_END = b"IEND\xaeB`\x82"

Size = tuple[int, int]  # height and width of the annotated picture, in pixels


def decode_mask(text: str, corner: tuple[float, float], size: Size, max_pixels: int) -> Rle | None:
    """Return the mask in ``text`` whose first pixel is at ``corner`` (x, y), None for an empty one.

    The part outside the picture is cut off. Raises ValueError if the text is no PNG, or one with
    more than ``max_pixels``.
    """
    bits = _decode(text, max_pixels)
    x, y = round(corner[0]), round(corner[1])
    height, width = size
    bits = bits[max(-y, 0) : max(height - y, 0), max(-x, 0) : max(width - x, 0)]
    if not bits.any():
        return None
    return crop_to_rle(Crop(bits.astype(np.uint8), max(x, 0), max(y, 0)), size)


def mask_box(rle: Rle) -> list[float]:
    """Return x1, y1, x2, y2 around the pixels of a mask."""
    x, y, width, height = coco_mask.toBbox(rle).tolist()
    return [x, y, x + width, y + height]


def join_masks(masks: list[Rle], polygons: list[list[float]], size: Size) -> Rle:
    """Return the union of masks and polygons, each polygon x, y, x, y, ..."""
    height, width = size
    # Rasterising costs memory by the length of an outline, which may leave the picture by far.
    inside = [np.clip(np.reshape(part, (-1, 2)), 0, (width, height)) for part in polygons]
    flat = [part.reshape(-1).tolist() for part in inside]
    parts = [*masks, *(coco_mask.frPyObjects(flat, height, width) if flat else ())]
    joined = coco_mask.merge(parts)
    return {"size": [height, width], "counts": joined["counts"].decode("ascii")}


def _decode(text: str, max_pixels: int) -> np.ndarray:
    """Return the picture in ``text`` as (height, width) bool."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("its mask is no base64 text") from None
    header = read_header(data)
    if header is None or not data.startswith(PNG_START) or not data.endswith(_PNG_END):
        raise ValueError("its mask is no PNG picture, or not a whole one")
    if header.width * header.height > max_pixels:
        raise ValueError(
            f"its mask is {header.width} wide and {header.height} high, more pixels than "
            f"INPUT.MAX_PIXELS, which is {max_pixels}"
        )
    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    if values is None:
        raise ValueError("its mask is a PNG picture that cannot be decoded")
    return values != 0 if values.ndim == 2 else (values[:, :, :3] != 0).any(axis=2)
