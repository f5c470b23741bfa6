"""Reading and checking an annotation file of COCO's format."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Entry = dict[str, Any]  # one image, annotation or category, as the file spells it

_SHOWN = 5  # entries that an error names before it says "and N more"


@dataclass(frozen=True)
class CocoFile:
    """What an annotation file holds, checked: every id is unique and refers to something."""

    path: Path
    images: list[Entry]  # in order of id; each has id, file_name, height and width
    categories: list[Entry]  # in order of id; each has id and name
    annotations: dict[int, list[Entry]]  # image id -> its annotations, in the order of the file


def read_coco_file(path: Path) -> CocoFile:
    """Read ``path``, without its ``info`` and ``licenses``; no annotations at all are fine.

    Raises FileNotFoundError, or ValueError naming the file, the ids and what is wrong with them.
    """
    content = _load(path)
    images = _entries(path, content, "images", {"file_name": str, "height": int, "width": int})
    categories = _entries(path, content, "categories", {"name": str})
    references = {"image_id": int, "category_id": int}
    annotations = _entries(path, {"annotations": [], **content}, "annotations", references)
    empty = [image["id"] for image in images if min(image["height"], image["width"]) < 1]
    if empty:
        raise ValueError(f"{path}: images with no height or width: {shorten(empty)}")
    by_image: dict[int, list[Entry]] = {image["id"]: [] for image in images}
    _check_references(path, annotations, "image_id", set(by_image), "images")
    known_categories = {category["id"] for category in categories}
    _check_references(path, annotations, "category_id", known_categories, "categories")
    for annotation in annotations:
        by_image[annotation["image_id"]].append(annotation)
    return CocoFile(path, _by_id(images), _by_id(categories), by_image)


def shorten(items: Sequence[object]) -> str:
    """Return the first few of ``items`` as text, and how many more there are."""
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(str(item) for item in items[:_SHOWN]) + more


def are_numbers(values: Any, least: int) -> bool:
    """Whether ``values`` is a list of ``least`` or more finite numbers."""
    return (
        isinstance(values, list)
        and len(values) >= least
        and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    )


def _load(path: Path) -> Entry:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no annotation file {path}") from None
    except ValueError as error:
        what = "is empty" if not path.stat().st_size else f"is not JSON text: {error}"
        raise ValueError(f"the annotation file {path} {what}") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"the annotation file {path} holds a {type(content).__name__}, not COCO's sections "
            "images, annotations and categories"
        )
    return content


def _entries(path: Path, content: Entry, section: str, fields: Mapping[str, type]) -> list[Entry]:
    """Return the list under ``section``, each entry with a unique ``id`` and all ``fields``."""
    entries = content.get(section)
    if not isinstance(entries, list):
        found = f"there are {', '.join(content) or 'none'}"
        raise ValueError(f"{path} has no list {section!r} among its sections; {found}")
    for place, entry in enumerate(entries):
        for field, kind in {"id": int, **fields}.items():
            value = entry.get(field) if isinstance(entry, dict) else None
            if not isinstance(value, kind):
                what = "text" if kind is str else "a whole number"
                name = f"id {entry['id']}" if field != "id" and "id" in entry else f"entry {place}"
                raise ValueError(f"{path}: {section}, {name}: {field!r} is {value!r}, not {what}")
    times = Counter(entry["id"] for entry in entries)
    twice = [number for number, count in times.items() if count > 1]
    if twice:
        raise ValueError(f"{path}: ids that come more than once in {section}: {shorten(twice)}")
    return entries


def _check_references(
    path: Path, annotations: list[Entry], field: str, known: set[int], section: str
) -> None:
    """Raise ValueError where ``field`` of an annotation is not one of ``known``."""
    lost = [
        f"annotation {annotation['id']} has {annotation[field]}"
        for annotation in annotations
        if annotation[field] not in known
    ]
    if lost:
        raise ValueError(f"{path}: {field} not among its {section}: {shorten(lost)}")


def _by_id(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry["id"])
