"""Masks written as RLE, compressed or as lists of numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask

from pet.annotations import flaws
from pet.annotations.table import MOST_PIXELS, Entry
from pet.annotations.values import Otherwise, whole_number, whole_numbers
from pet.structures.run_lengths import decode_runs, without_empty

_LETTERS = 1 << 20  # characters of counts decoded at a time, at about 80 bytes of memory each

Size = tuple[int, int]  # height and width, in pixels


@dataclass(frozen=True)
class Rles:
    """V masks, of which W are usable."""

    flaws: np.ndarray  # (V,) uint8
    texts: list[bytes]  # W compressed counts; only the first run may have length 0
    sizes: np.ndarray  # (W, 2) int64
    bounds: np.ndarray  # (W, 4) float64, x1, y1, x2, y2 around the foreground


def read_rles(values: Sequence[Entry], otherwise: Otherwise) -> Iterator[Rles]:
    """Yield the masks ``values`` in batches, in order."""
    start = letters = 0
    for place, value in enumerate(values):
        counts = value.get("counts")
        letters += len(counts) if isinstance(counts, str | list) else 0
        if letters >= _LETTERS:
            yield _read(values[start : place + 1], otherwise)
            start, letters = place + 1, 0
    if start < len(values):
        yield _read(values[start:], otherwise)


def _read(values: Sequence[Entry], otherwise: Otherwise) -> Rles:
    sizes = [_size(value, otherwise) for value in values]
    texts = [
        _text(value.get("counts"), size, otherwise)
        for value, size in zip(values, sizes, strict=True)
    ]
    runs = decode_runs([text or b"" for text in texts])
    pixels = np.array([height * width for height, width in sizes], np.int64)
    found = np.zeros(len(values), np.uint8)
    found[runs.foreground() == 0] = flaws.NO_FOREGROUND
    found[runs.totals() != pixels] = flaws.RUNS_DO_NOT_FILL
    found[~runs.sound] = flaws.NO_RUN_LENGTH_CODE
    found[[text is None for text in texts]] = flaws.RUNS_DO_NOT_FILL
    found[pixels == 0] = flaws.OTHER_SIZE
    # pycocotools stops comparing two masks at a position where both have an empty run.
    for place in np.flatnonzero((found == 0) & runs.has_empty()).tolist():
        texts[place] = _compressed(without_empty(runs.of(place)), sizes[place])
    sound = np.flatnonzero(found == 0).tolist()
    kept = [texts[place] or b"" for place in sound]
    kept_sizes = [sizes[place] for place in sound]
    bounds = [
        coco_mask.toBbox({"size": size, "counts": text})
        for size, text in zip(kept_sizes, kept, strict=True)
    ]
    corners = np.array(bounds, np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return Rles(found, kept, np.array(kept_sizes, np.int64).reshape(-1, 2), corners)


def _size(value: Entry, otherwise: Otherwise) -> Size:
    """Return the size of an RLE, or (0, 0) if it is invalid."""
    size = value.get("size")
    if not isinstance(size, list) or len(size) != 2:
        return 0, 0
    height, width = (whole_number(side, otherwise) or 0 for side in size)
    possible = height > 0 and width > 0 and height * width <= MOST_PIXELS
    return (height, width) if possible else (0, 0)


def _text(counts: Any, size: Size, otherwise: Otherwise) -> bytes | None:
    """Return the compressed counts; b"" if invalid, None if they do not add up to the size."""
    if isinstance(counts, str):
        return counts.encode("utf-8", "surrogatepass")
    if not isinstance(counts, list):
        return b""
    runs, wrong = whole_numbers(counts, otherwise)
    if wrong:
        return b""
    pixels = size[0] * size[1]
    # Each run is checked first, as their sum may overflow 64 bits.
    if not len(runs) or runs.min() < 0 or runs.max() > pixels or runs.sum() != pixels:
        return None
    return _compressed(runs, size)


def _compressed(runs: np.ndarray, size: Size) -> bytes:
    rle = coco_mask.frPyObjects({"size": list(size), "counts": runs.tolist()}, *size)
    return bytes(rle["counts"])
