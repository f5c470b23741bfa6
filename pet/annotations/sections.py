"""The images and the categories of an annotation file."""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pet.annotations.columns import ColumnWriter
from pet.annotations.federated import name_by_url
from pet.annotations.table import MOST_PIXELS, Entry
from pet.annotations.values import Otherwise, short, whole_number, whole_numbers

Arrays = dict[str, np.ndarray]


def image_columns(
    file: Path, entries: Sequence[Any], writer: ColumnWriter, otherwise: Otherwise
) -> Arrays:
    """Return the columns of the images, in the file's order; ValueError for invalid entries."""
    ids = _ids(file, "images", entries, otherwise)
    sides = [_sides(file, ids, entries, key, otherwise) for key in ("height", "width")]
    names = [entry.get("file_name") for entry in entries]
    for number, name, height, width in zip(ids, names, *sides, strict=True):
        if name is not None and not isinstance(name, str):
            raise ValueError(f"{file}: images, id {number}: 'file_name' is {short(name)}, not text")
        if math.prod((int(height), int(width))) > MOST_PIXELS:
            raise ValueError(
                f"{file}: images, id {number}: {width} x {height} pixels, more than an image "
                f"may have ({MOST_PIXELS}); correct the width and height"
            )
    by_url = [
        name_by_url(entry) if name is None else None
        for name, entry in zip(names, entries, strict=True)
    ]
    return {
        "image_id": np.array(ids, np.int64),
        "image_size": np.stack(sides, axis=1),
        "name": _texts(names, writer),
        "url_name": _texts(by_url, writer),
    }


def _texts(texts: Sequence[str | None], writer: ColumnWriter) -> np.ndarray:
    """Write ``texts`` (N); return (N, 2) int64: the place and the length of each, -1 for None."""
    coded = [(text or "").encode("utf-8", "surrogatepass") for text in texts]
    lengths = np.array([len(code) for code in coded], np.int64)
    start = writer.append(np.frombuffer(b"".join(coded), np.uint8))
    starts = start + np.cumsum(lengths) - lengths
    lengths[[text is None for text in texts]] = -1
    return np.stack((starts, lengths), axis=1)


def _sides(
    file: Path, ids: Sequence[int], entries: Sequence[Entry], key: str, otherwise: Otherwise
) -> np.ndarray:
    """Return (N,) int64: a side of each image in pixels, 0 if missing."""
    values = [entry.get(key) for entry in entries]
    values = [0 if value is None else value for value in values]
    sides, wrong = whole_numbers(values, otherwise)
    if wrong:
        value = short(values[wrong[0]])
        raise ValueError(
            f"{file}: images, id {ids[wrong[0]]}: {key!r} is {value}, not a whole number"
        )
    return np.maximum(sides, 0)


def read_categories(
    file: Path, entries: Sequence[Any], otherwise: Otherwise, used: Collection[int]
) -> list[Entry]:
    """Return the categories in order of id; ValueError for invalid entries.

    ``used`` are the ids that annotations have. Roboflow's category 0, which is but the name of the
    project and the supercategory of the others, is left out.
    """
    found, above = [], {}
    for number, entry in zip(_ids(file, "categories", entries, otherwise), entries, strict=True):
        name = entry.get("name")
        if not isinstance(name, str) or not _can_be_written(name):
            raise ValueError(f"{file}: categories, id {number}: 'name' is {short(name)}, not text")
        more = {key: _plain(entry[key]) for key in ("keypoints", "skeleton") if entry.get(key)}
        if isinstance(entry.get("frequency"), str):
            more["frequency"] = entry["frequency"]
        found.append({"id": number, "name": name, **more})
        above[number] = entry.get("supercategory")
    found.sort(key=lambda category: category["id"])
    if _is_group(found, above) and 0 not in used:
        otherwise["category of id 0 left out, as it is but the supercategory of the others"] += 1
        return found[1:]
    return found


def _is_group(categories: Sequence[Entry], above: Mapping[int, Any]) -> bool:
    """Whether the first of ``categories`` has id 0 and is ``above`` all others, and none above it.

    ``above`` are the supercategories by id.
    """
    if len(categories) < 2 or categories[0]["id"] != 0 or above[0] != "none":
        return False
    return all(above[each["id"]] == categories[0]["name"] for each in categories[1:])


def _can_be_written(text: str) -> bool:
    """Whether ``text`` has no lone surrogates, which JSON allows and UTF-8 cannot encode."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _plain(value: Any) -> Any:
    """Return ``value``, or a short text if it is nested deeper than a list of lists."""
    outer = value if isinstance(value, list) else [value]
    inner = [each for item in outer for each in (item if isinstance(item, list) else [item])]
    return short(value) if any(isinstance(each, list | dict) for each in inner) else value


def _ids(file: Path, section: str, entries: Sequence[Any], otherwise: Otherwise) -> list[int]:
    ids = []
    for place, entry in enumerate(entries):
        value = entry.get("id") if isinstance(entry, dict) else None
        number = whole_number(value, otherwise)
        if number is None:
            raise ValueError(
                f"{file}: {section}, entry {place}: 'id' is {short(value)}, not a whole number"
            )
        ids.append(number)
    return ids
