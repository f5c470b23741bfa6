"""Annotations from records in memory, for what stands in no file of COCO's format."""

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

#: Section -> the keys that are read of its entries.
_KEYS = {
    "images": ("id", "file_name", "height", "width"),
    "categories": ("id", "name", "keypoints", "skeleton"),
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
    """Return the annotations that the records tell, by the rules and checks of a file.

    ``name`` stands in messages for the file. The keys are COCO's:

    - of an image "id", "file_name" (from the image folder on), "height" and "width" in pixels;
    - of a category "id" and "name", and for keypoints "keypoints", the names of its points, and
      "skeleton", pairs of them counted from 1;
    - of an object "image_id", "category_id" and "bbox": x, y, width, height in pixels; where there
      are any, "segmentation" (polygons, each x, y, x, y ..., or an RLE, "size" and "counts"),
      "keypoints" (x, y and visibility of each point), "area" in pixels, "iscrowd" and "ignore".
      "id" is numbered from 1 where no object has one.

    An object with "ignore" true, such as a difficult one of Pascal VOC, counts as a crowd: it is
    not trained on, and what is found inside its box counts neither way. Arrays, tensors, tuples and
    numbers of NumPy do in place of lists and numbers; other keys are passed over. ``objects`` None
    says that nothing is annotated, so that nothing can be scored. Raises ValueError, naming
    ``name``, the record and what is wrong, as ``read_annotations`` does.
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
    """Return ``records`` as entries of a file, which they stay apart from."""
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
    """Make a crowd of ``entry`` where it is to be ignored."""
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
    """Number ``entries`` from 1 where none has an id."""
    if all(isinstance(entry, dict) and entry.get("id") is None for entry in entries):
        for number, entry in enumerate(entries, 1):
            entry["id"] = number


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON would give it: dicts, lists, texts and numbers.

    Raises TypeError where it is nothing of that kind.
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
    if isinstance(value, bytes):  # the counts of an RLE, as pycocotools has them
        return value.decode("utf-8", "replace")
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    kind = type(value).__name__
    raise TypeError(f"{short(value)} is a {kind}, and no number, text, list or mapping")
