"""From the entries of an annotation file to columns.

Entries come as JSON has them, some at a time. What breaks the file (an id that is no number) is an
error at once; what is wrong with a single annotation is put on record.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask

from pet.annotations import flaws
from pet.annotations.columns import ColumnWriter
from pet.annotations.table import MOST_PIXELS, NO_MASK, POLYGONS, RUNS, Entry
from pet.annotations.values import (
    Otherwise,
    flag,
    numbers,
    rows_of_numbers,
    short,
    whole_number,
    whole_numbers,
)
from pet.structures.run_lengths import decode_runs

#: In place of the id of an annotation that has none.
NO_ID = -(2**63) + 1

_BARE_POLYGONS = "polygons without inner brackets"

Columns = dict[str, np.ndarray]


class AnnotationColumns:
    """The columns of all annotations, which come in pieces."""

    def __init__(self, file: Path, writer: ColumnWriter, otherwise: Otherwise) -> None:
        """Write what is long into ``writer``; count in ``otherwise`` what is read all the same."""
        self._file, self._writer, self._otherwise = file, writer, otherwise
        self._pieces: list[Columns] = []
        self._polygon_rows: list[Columns] = []
        self._rle_rows: list[Columns] = []
        self._point_rows: list[Columns] = []
        self._length = 0

    def add(self, entries: Sequence[Any]) -> None:
        """Add ``entries``; raises ValueError where one is no object, or lacks an id."""
        for place, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise ValueError(
                    f"{self._file}: annotations, entry {self._length + place}: {short(entry)} is "
                    "no object with id, image_id and category_id"
                )
        columns: Columns = {"id": self._own_ids(entries)}
        columns |= {key: self._ids(entries, key) for key in ("image_id", "category_id")}
        columns["crowd"] = self._crowds(entries)
        columns["box"], columns["box_flaw"] = self._boxes(entries)
        areas = [entry.get("area") for entry in entries]
        columns["area"] = numbers(areas, self._otherwise)
        columns["poor_area"] = np.isnan(columns["area"]) & [area is not None for area in areas]
        columns |= self._masks(entries)
        columns["point_flaw"] = self._points(entries)
        self._pieces.append(columns)
        self._length += len(entries)

    def joined(self) -> Columns:
        """Return the columns of the annotations (M), in the file's order."""
        return _joined(self._pieces, _NO_ENTRIES)

    def polygons(self) -> Columns:
        """Return those of the polygons (G): "owner" is the place of the annotation, rising."""
        return _joined(self._polygon_rows, _NO_POLYGONS)

    def rles(self) -> Columns:
        """Return those of the RLEs, likewise."""
        return _joined(self._rle_rows, _NO_RLES)

    def points(self) -> Columns:
        """Return those of the keypoints, likewise."""
        return _joined(self._point_rows, _NO_POINTS)

    def _own_ids(self, entries: Sequence[Entry]) -> np.ndarray:
        """Return the ids of ``entries``, ``NO_ID`` for one that has none."""
        if all(entry.get("id") is not None for entry in entries):
            return self._ids(entries, "id")
        return self._ids([{"id": NO_ID, **_without_none(entry)} for entry in entries], "id")

    def _ids(self, entries: Sequence[Entry], key: str) -> np.ndarray:
        found, wrong = whole_numbers([entry.get(key) for entry in entries], self._otherwise)
        if wrong:
            entry = entries[wrong[0]]
            name = (
                f"id {short(entry['id'])}"
                if key != "id" and "id" in entry
                else (f"entry {self._length + wrong[0]}")
            )
            raise ValueError(
                f"{self._file}: annotations, {name}: {key!r} is {short(entry.get(key))}, not a "
                "whole number"
            )
        return found

    def _crowds(self, entries: Sequence[Entry]) -> np.ndarray:
        values = [entry.get("iscrowd") for entry in entries]
        if set(map(type, values)) == {int} and set(values) <= {0, 1}:
            return np.array(values, np.uint8)
        found = [flag(value, self._otherwise) for value in values]
        for entry, value in zip(entries, found, strict=True):
            if value is None:
                raise ValueError(
                    f"{self._file}: annotations, id {entry['id']}: 'iscrowd' is "
                    f"{short(entry['iscrowd'])}, not 0 or 1"
                )
        return np.array(found, np.uint8)

    def _boxes(self, entries: Sequence[Entry]) -> tuple[np.ndarray, np.ndarray]:
        values: list[Any] = [entry.get("bbox") for entry in entries]
        found = np.zeros(len(values), np.uint8)
        if set(map(type, values)) != {list} or set(map(len, values)) != {4}:
            found[:] = [_box_flaw(value) for value in values]
            unread = [0, 0, 0, 0]
            values = [unread if flaw else box for box, flaw in zip(values, found, strict=True)]
        boxes, _ = rows_of_numbers(values, self._otherwise)
        boxes = boxes.reshape(-1, 4)
        boxes[found > 0] = np.nan
        return boxes, found

    def _masks(self, entries: Sequence[Entry]) -> Columns:
        values = [entry.get("segmentation") for entry in entries]
        kinds = np.array([_mask_kind(value) for value in values], np.uint8)
        empty = [not value for value in values]
        found = np.where(empty, flaws.NO_SEGMENTATION, flaws.OTHER_KIND).astype(np.uint8)
        found[kinds != NO_MASK] = 0
        polygons, runs = np.flatnonzero(kinds == POLYGONS), np.flatnonzero(kinds == RUNS)
        if len(polygons):
            of_polygons = [values[place] for place in polygons.tolist()]
            found[polygons] = self._polygons(of_polygons, self._length + polygons)
        if len(runs):
            of_runs = [values[place] for place in runs.tolist()]
            found[runs] = self._runs(of_runs, self._length + runs)
        return {"mask_kind": kinds, "mask_flaw": found}

    def _polygons(self, values: list[list[Any]], owners: np.ndarray) -> np.ndarray:
        """Write the polygons of the annotations ``owners``, and return the flaw of each."""
        if set(map(type, chain.from_iterable(values))) != {list}:
            values = [self._as_polygons(value) for value in values]
        counts = np.fromiter(map(len, values), np.int64, len(values))
        flat, lengths = rows_of_numbers(list(chain.from_iterable(values)), self._otherwise)
        keep = (lengths >= 6) & (lengths % 2 == 0)
        if not keep.all():
            flat = flat[np.repeat(keep, lengths)]
        owner, lengths = np.repeat(owners, counts)[keep], lengths[keep]
        start = self._writer.append(flat) // 8
        rows = {
            "owner": owner,
            "part": np.stack((start + np.cumsum(lengths) - lengths, lengths), axis=1),
            **_measure(flat, lengths),
        }
        finite = np.isfinite(rows["bounds"]).all(axis=1) & np.isfinite(rows["outline"])
        rows = {name: column[finite] for name, column in rows.items()}
        self._polygon_rows.append(rows)
        return np.where(np.isin(owners, rows["owner"]), 0, flaws.NO_POLYGON)

    def _as_polygons(self, value: list[Any]) -> list[list[Any]]:
        """Return the polygons of an annotation, [] for each that is none."""
        if isinstance(value[0], int | float | str):
            self._otherwise[_BARE_POLYGONS] += 1
            return [value]
        return [part if isinstance(part, list) else [] for part in value]

    def _runs(self, values: list[Entry], owners: np.ndarray) -> np.ndarray:
        """Write the RLEs of the annotations ``owners``, and return the flaw of each."""
        sizes = [_rle_size(value, self._otherwise) for value in values]
        texts = [
            _rle_text(value.get("counts"), size, self._otherwise)
            for value, size in zip(values, sizes, strict=True)
        ]
        decoded = decode_runs([text or b"" for text in texts])
        pixels = np.array([size[0] * size[1] for size in sizes], np.int64)
        found = np.zeros(len(values), np.uint8)
        found[decoded.foreground() == 0] = flaws.NO_FOREGROUND
        found[decoded.totals() != pixels] = flaws.RUNS_DO_NOT_FILL
        found[~decoded.sound] = flaws.NO_RUN_LENGTH_CODE
        found[[text is None for text in texts]] = flaws.RUNS_DO_NOT_FILL
        found[pixels == 0] = flaws.OTHER_SIZE
        sound = np.flatnonzero(found == 0)
        kept = [texts[place] or b"" for place in sound.tolist()]
        kept_sizes = [sizes[place] for place in sound.tolist()]
        lengths = np.array([len(text) for text in kept], np.int64)
        start = self._writer.append(np.frombuffer(b"".join(kept), np.uint8))
        boxes = [
            coco_mask.toBbox({"size": size, "counts": text})
            for size, text in zip(kept_sizes, kept, strict=True)
        ]
        corners = np.array(boxes, np.float64).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        self._rle_rows.append(
            {
                "owner": owners[sound],
                "size": np.array(kept_sizes, np.int64).reshape(-1, 2),
                "text": np.stack((start + np.cumsum(lengths) - lengths, lengths), axis=1),
                "bounds": corners,
            }
        )
        return found

    def _points(self, entries: Sequence[Entry]) -> np.ndarray:
        """Write the keypoints, and return the flaw of those of each entry."""
        values = [entry.get("keypoints") for entry in entries]
        found = np.zeros(len(values), np.uint8)
        places = []
        for place, value in enumerate(values):
            if isinstance(value, list) and value:
                places.append(place)
            elif value:
                found[place] = flaws.NOT_NUMBERS
        if not places:
            return found
        flat, lengths = rows_of_numbers([values[place] or [] for place in places], self._otherwise)
        starts = np.cumsum(lengths) - lengths
        unmeant = np.add.reduceat(~(np.abs(flat) <= flaws.LARGEST_COORDINATE), starts) > 0
        uneven = np.where(lengths % 3 > 0, flaws.NOT_THREE_EACH, 0)
        found[places] = np.where(unmeant, flaws.NOT_NUMBERS, uneven)
        start = self._writer.append(flat) // 8
        rows = {
            "owner": self._length + np.array(places, np.int64),
            "range": np.stack((start + starts, lengths), axis=1),
        }
        self._point_rows.append({name: row[found[places] == 0] for name, row in rows.items()})
        return found


def _without_none(entry: Entry) -> Entry:
    return {key: value for key, value in entry.items() if value is not None}


def _box_flaw(value: Any) -> int:
    if value is None:
        return flaws.NO_BBOX
    if not isinstance(value, list) or len(value) not in (4, 5):
        return flaws.NOT_FOUR
    return flaws.ROTATED if len(value) == 5 else 0


def _mask_kind(value: Any) -> int:
    if not value:
        return NO_MASK
    return POLYGONS if isinstance(value, list) else RUNS if isinstance(value, dict) else NO_MASK


def _measure(flat: np.ndarray, lengths: np.ndarray) -> Columns:
    """Return the bounds (G, 4) of polygons that lie end to end, and their outlines (G,)."""
    if not len(lengths):
        return {"bounds": np.zeros((0, 4)), "outline": np.zeros(0)}
    points = flat.reshape(-1, 2)
    starts = (np.cumsum(lengths) - lengths) // 2
    low = np.minimum.reduceat(points, starts)
    high = np.maximum.reduceat(points, starts)
    following = np.arange(1, len(points) + 1)
    following[np.append(starts[1:], len(points)) - 1] = starts  # the last goes to the first
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.abs(points[following] - points).max(axis=1)
        outline = np.add.reduceat(steps, starts)
    return {"bounds": np.concatenate((low, high), axis=1), "outline": outline}


def _rle_size(value: Entry, otherwise: Otherwise) -> tuple[int, int]:
    """Return height and width of an RLE; 0, 0 where they cannot be meant."""
    size = value.get("size")
    if not isinstance(size, list) or len(size) != 2:
        return 0, 0
    height, width = (whole_number(side, otherwise) or 0 for side in size)
    possible = height > 0 and width > 0 and height * width <= MOST_PIXELS
    return (height, width) if possible else (0, 0)


def _rle_text(counts: Any, size: tuple[int, int], otherwise: Otherwise) -> bytes | None:
    """Return the compressed counts; b"" for what are none, None for runs that do not fill."""
    if isinstance(counts, str):
        return counts.encode("utf-8", "surrogatepass")
    if not isinstance(counts, list):
        return b""
    runs, wrong = whole_numbers(counts, otherwise)
    if wrong:
        return b""
    pixels = size[0] * size[1]
    # Each by itself first, as their sum may be more than 64 bits hold.
    if not len(runs) or runs.min() < 0 or runs.max() > pixels or runs.sum() != pixels:
        return None
    rle = coco_mask.frPyObjects({"size": list(size), "counts": runs.tolist()}, *size)
    return bytes(rle["counts"])


def _joined(pieces: list[Columns], nothing: Mapping[str, np.ndarray]) -> Columns:
    """Return the columns of all ``pieces``, which are used up, one after the other."""
    return {
        name: np.concatenate([piece.pop(name) for piece in pieces]) if pieces else empty
        for name, empty in nothing.items()
    }


def _nothing(width: int, kind: type) -> np.ndarray:
    return np.zeros((0, width) if width else 0, kind)


_NO_ENTRIES: Mapping[str, np.ndarray] = {
    **{key: _nothing(0, np.int64) for key in ("id", "image_id", "category_id")},
    **{key: _nothing(0, np.uint8) for key in ("crowd", "box_flaw", "mask_kind", "mask_flaw")},
    "point_flaw": _nothing(0, np.uint8),
    "poor_area": _nothing(0, np.bool_),
    "area": _nothing(0, np.float64),
    "box": _nothing(4, np.float64),
}
_NO_POLYGONS: Mapping[str, np.ndarray] = {
    "owner": _nothing(0, np.int64),
    "part": _nothing(2, np.int64),
    "bounds": _nothing(4, np.float64),
    "outline": _nothing(0, np.float64),
}
_NO_RLES: Mapping[str, np.ndarray] = {
    "owner": _nothing(0, np.int64),
    "size": _nothing(2, np.int64),
    "text": _nothing(2, np.int64),
    "bounds": _nothing(4, np.float64),
}
_NO_POINTS: Mapping[str, np.ndarray] = {
    "owner": _nothing(0, np.int64),
    "range": _nothing(2, np.int64),
}
