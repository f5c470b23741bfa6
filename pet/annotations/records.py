"""Annotations from records in memory, for data sets without a file in COCO's format."""

import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pet.annotations.columns import Columns
from pet.annotations.convert import convert_sections
from pet.annotations.table import Annotations
from pet.annotations.values import Otherwise, flag, short

#: An image, a category or an object: COCO's keys and values.
Record = Mapping[str, Any]

#: Section -> the keys of its entries that are read.
_KEYS = {
    "images": ("id", "file_name", "height", "width"),
    "categories": ("id", "name", "supercategory", "keypoints", "skeleton"),
    "annotations": (
        *("id", "image_id", "category_id", "bbox", "segmentation", "keypoints"),
        *("area", "iscrowd", "ignore"),
    ),
}
_PLAIN = {int, float, bool, str, type(None)}


def annotations_from_records(
    name: str | Path,
    images: Iterable[Record],
    categories: Iterable[Record],
    objects: Iterable[Record] | None,
) -> Annotations:
    """Return the annotations in the records, checked by the same rules as a file.

    ``name`` is used in messages instead of a file name. The keys are COCO's:

    - images: "id", "file_name" (relative to the image folder), "height" and "width" in pixels;
    - categories: "id" and "name"; for keypoints "keypoints", the names of the points, and
      "skeleton", pairs of points counted from 1;
    - objects: "image_id", "category_id" and "bbox": x, y, width, height in pixels; optional are
      "segmentation" (polygons, each x, y, x, y ..., or an RLE with "size" and "counts"),
      "keypoints" (x, y and visibility of each point), "area" in pixels, "iscrowd" and "ignore".
      If no object has an "id", they are numbered from 1.

    An object with "ignore" true, such as a difficult one of Pascal VOC, counts as a crowd: it is
    not used in training, and detections in its box are not counted. Arrays, tensors, tuples and
    NumPy numbers are accepted as lists and numbers; other keys are ignored. With ``objects`` None
    there are no annotations, so the data set cannot be evaluated. Raises ValueError, which names
    ``name``, the record and the fault, as ``read_annotations`` does.
    """
    source = Path(name)
    sections = {
        "images": _entries(source, "images", images),
        "categories": _entries(source, "categories", categories),
    }
    if objects is not None:
        entries = _entries(source, "annotations", objects)
        for place, entry in enumerate(entries):
            _ignore(source, place, entry)
        _number(entries)
        sections["annotations"] = entries
    memory = io.BytesIO()
    convert_sections(source, sections, memory)
    return Annotations(source, Columns.from_memory(memory))


def _entries(source: Path, section: str, records: Iterable[Record]) -> list[Any]:
    """Return copies of ``records`` in the form of a file's entries."""
    entries = []
    for place, record in enumerate(records):
        try:
            entries.append(_entry(record, _KEYS[section]))
        except TypeError as error:
            raise ValueError(f"{source}: {section}, entry {place}: {error}") from None
    return entries


def _entry(record: Record, keys: Iterable[str]) -> Any:
    if not isinstance(record, Mapping):
        return record  # the check of all entries names it
    return {key: _plain(record[key]) for key in keys if key in record}


def _ignore(source: Path, place: int, entry: Any) -> None:
    """Mark ``entry`` as a crowd if its "ignore" is true."""
    if not isinstance(entry, dict) or "ignore" not in entry:
        return
    ignored = flag(entry.get("ignore"), Otherwise())
    if ignored is None:
        where = f"entry {place}" if entry.get("id") is None else f"id {short(entry['id'])}"
        value = short(entry["ignore"])
        raise ValueError(f"{source}: annotations, {where}: 'ignore' is {value}, not 0 or 1")
    if ignored:
        entry["iscrowd"] = 1


def _number(entries: list[Any]) -> None:
    """Number ``entries`` from 1 if none of them has an id."""
    if all(isinstance(entry, dict) and entry.get("id") is None for entry in entries):
        for number, entry in enumerate(entries, 1):
            entry["id"] = number


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON types: dicts, lists, texts and numbers.

    Raises TypeError for other types.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, list | tuple):
        if set(map(type, value)) <= _PLAIN:
            return list(value)
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic | torch.Tensor):
        return value.tolist()
    if isinstance(value, int):  # of an enumeration
        return int(value)
    if isinstance(value, bytes):  # the counts of an RLE from pycocotools
        return value.decode("utf-8", "replace")
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    kind = type(value).__name__
    raise TypeError(f"{short(value)} is a {kind}, and no number, text, list or mapping")
