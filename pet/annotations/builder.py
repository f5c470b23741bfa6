"""Converting the entries of an annotation file to columns.

Entries come as JSON objects, in pieces. A fault of the whole file (an id that is no number) is an
error at once; a flaw of a single annotation is recorded.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from pet.annotations import flaws
from pet.annotations.columns import ColumnWriter
from pet.annotations.rle import read_rles
from pet.annotations.table import NO_MASK, POLYGONS, RUNS, Entry
from pet.annotations.values import (
    Otherwise,
    flag,
    numbers,
    rows_of_numbers,
    short,
    whole_numbers,
)

#: Stands for the id of an annotation without one.
NO_ID = -(2**63)

_BARE_POLYGONS = "polygons without inner brackets"

Columns = dict[str, np.ndarray]


class AnnotationColumns:
    """The columns of all annotations, which are added in pieces."""

    def __init__(self, file: Path, writer: ColumnWriter, otherwise: Otherwise) -> None:
        """``writer`` gets polygons, RLEs and keypoints; ``otherwise`` counts unusual values."""
        self._file, self._writer, self._otherwise = file, writer, otherwise
        self._pieces: list[Columns] = []
        self._polygon_rows: list[Columns] = []
        self._rle_rows: list[Columns] = []
        self._point_rows: list[Columns] = []
        self._length = 0

    def add(self, entries: Sequence[Any]) -> None:
        """Add ``entries``; raises ValueError if one is no object or has an invalid id."""
        for place, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise ValueError(
                    f"{self._file}: annotations, entry {self._length + place}: {short(entry)} is "
                    "no object with id, image_id and category_id"
                )
        if not entries:  # a piece of a file may be empty
            return
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
        """Return the columns of the polygons (G); "owner" is the annotation's index, ascending."""
        return _joined(self._polygon_rows, _NO_POLYGONS)

    def rles(self) -> Columns:
        """Return the columns of the RLEs; "owner" as for polygons."""
        return _joined(self._rle_rows, _NO_RLES)

    def points(self) -> Columns:
        """Return the columns of the keypoints; "owner" as for polygons."""
        return _joined(self._point_rows, _NO_POINTS)

    def _own_ids(self, entries: Sequence[Entry]) -> np.ndarray:
        """Return the ids of ``entries``, ``NO_ID`` for entries without one."""
        missing = [entry.get("id") is None for entry in entries]
        if not any(missing):
            return self._ids(entries, "id")
        filled = [{"id": 0} if entry.get("id") is None else entry for entry in entries]
        found = self._ids(filled, "id")
        found[missing] = NO_ID
        return found

    def _ids(self, entries: Sequence[Entry], key: str) -> np.ndarray:
        found, wrong = whole_numbers([entry.get(key) for entry in entries], self._otherwise)
        if wrong:
            raise self._error(entries, wrong[0], key, "not a whole number")
        return found

    def _error(self, entries: Sequence[Entry], place: int, key: str, what: str) -> ValueError:
        """Return an error that names the entry at ``place`` and the value of its ``key``."""
        number = None if key == "id" else entries[place].get("id")
        name = f"entry {self._length + place}" if number is None else f"id {short(number)}"
        value = short(entries[place].get(key))
        return ValueError(f"{self._file}: annotations, {name}: {key!r} is {value}, {what}")

    def _crowds(self, entries: Sequence[Entry]) -> np.ndarray:
        values = [entry.get("iscrowd") for entry in entries]
        if set(map(type, values)) == {int} and set(values) <= {0, 1}:
            return np.array(values, np.uint8)
        found = [flag(value, self._otherwise) for value in values]
        if None in found:
            raise self._error(entries, found.index(None), "iscrowd", "not 0 or 1")
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
        """Write the polygons of annotations ``owners``; return the flaw of each annotation."""
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
        finite = np.isfinite(rows["bounds"]).all(axis=1) & np.isfinite(rows["perimeter"])
        rows = {name: column[finite] for name, column in rows.items()}
        self._polygon_rows.append(rows)
        return np.where(np.isin(owners, rows["owner"]), 0, flaws.NO_POLYGON)

    def _as_polygons(self, value: list[Any]) -> list[list[Any]]:
        """Return the polygons of an annotation, with [] for items that are no lists."""
        if isinstance(value[0], int | float | str):
            self._otherwise[_BARE_POLYGONS] += 1
            return [value]
        return [part if isinstance(part, list) else [] for part in value]

    def _runs(self, values: list[Entry], owners: np.ndarray) -> np.ndarray:
        """Write the RLEs of annotations ``owners``; return the flaw of each annotation."""
        flaws_of = [np.zeros(0, np.uint8)]
        for rles in read_rles(values, self._otherwise):
            place = sum(map(len, flaws_of))
            sound = owners[place : place + len(rles.flaws)][rles.flaws == 0]
            lengths = np.array([len(text) for text in rles.texts], np.int64)
            start = self._writer.append(np.frombuffer(b"".join(rles.texts), np.uint8))
            self._rle_rows.append(
                {
                    "owner": sound,
                    "size": rles.sizes,
                    "text": np.stack((start + np.cumsum(lengths) - lengths, lengths), axis=1),
                    "bounds": rles.bounds,
                }
            )
            flaws_of.append(rles.flaws)
        return np.concatenate(flaws_of)

    def _points(self, entries: Sequence[Entry]) -> np.ndarray:
        """Write the keypoints of ``entries``; return the flaw of each entry's keypoints."""
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
    """Return the bounds (G, 4) and perimeters (G,) of concatenated polygons.

    A side counts as the longer of its extents in x and y.
    """
    if not len(lengths):
        return {"bounds": np.zeros((0, 4)), "perimeter": np.zeros(0)}
    points = flat.reshape(-1, 2)
    starts = (np.cumsum(lengths) - lengths) // 2
    low = np.minimum.reduceat(points, starts)
    high = np.maximum.reduceat(points, starts)
    following = np.arange(1, len(points) + 1)
    following[np.append(starts[1:], len(points)) - 1] = starts  # from the last to the first
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.abs(points[following] - points).max(axis=1)
        perimeter = np.add.reduceat(steps, starts)
    return {"bounds": np.concatenate((low, high), axis=1), "perimeter": perimeter}


def _joined(pieces: list[Columns], nothing: Mapping[str, np.ndarray]) -> Columns:
    """Concatenate the columns of all ``pieces``, and remove them there to save memory."""
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
    "perimeter": _nothing(0, np.float64),
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
