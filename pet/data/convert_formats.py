"""Writing a data set of any format as files in COCO's format, whole or divided anew."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from pet.annotations import annotations_from_records
from pet.annotations.report import describe_left_out
from pet.annotations.values import shorten
from pet.data.coco_entries import (
    Entries,
    coco_entries,
    join_entries,
    select_images,
    unify_categories,
)
from pet.data.formats import FORMATS, Format, Part
from pet.data.formats.coco import IMAGE_FOLDER, find_source, named_folder
from pet.data.image_file import ImageReader, shown_path
from pet.data.stratify import stratify
from pet.utils.files import atomic_path

#: Names of the parts of a data set that is divided, by their number.
_PARTS = {2: ("train", "val"), 3: ("train", "val", "test")}
_ROUNDING = 1e-6  # of the sum of the shares


@dataclass(frozen=True)
class _Content:
    """What is written into a file."""

    name: str
    images: Path  # folder in which the names of the pictures begin
    entries: Entries


def convert_data(
    source: Path,
    out: Path,
    *,
    kind: str = "",
    images: Path | None = None,
    shares: Sequence[float] = (),
    seed: int = 0,
    crowds_as_objects: bool = False,
) -> list[str]:
    """Write the data set in the folder ``source``, or a file of COCO's format, as COCO JSON.

    A data set of one part becomes ``out``; of several, each becomes a file with the name of the
    part at the end of that of ``out``. With ``shares``, two or three with the sum 1, all parts
    together are divided into train, val and perhaps test, by ``stratify`` with ``seed``. ``kind``
    is the name of the format, by default the one that the folder has; files that this function
    wrote do not count. Names of pictures are relative to ``images``, by
    default the image folder of their part. ``crowds_as_objects``: no annotation is a crowd.

    Returns lines that tell what was written, and which image folder goes with which file. Raises
    FileNotFoundError or ValueError before anything is written.
    """
    if out.suffix.lower() != ".json":
        raise ValueError(f"the file to write is {out}; its name must end in .json")
    _check_shares(shares)
    if seed < 0:
        raise ValueError(f"--seed is {seed}; give 0 or more")
    form, parts = find_parts(source, kind, images)
    names = _PARTS[len(shares)] if shares else tuple(part.name for part in parts)
    files = [_file_of(out, name if len(names) > 1 else "") for name in names]
    _check_not_source(files, source, parts)
    common = Path(os.path.commonpath([os.path.abspath(part.images) for part in parts]))
    lines: list[str] = []
    contents = []
    for part in parts:
        base = images or (common if shares else part.images)
        entries, notes = _read(form, part, base)
        lines += [f"{part.name}: {note}" for note in notes]
        contents.append(_Content(part.name, base, entries))
    unify_categories([each.entries for each in contents], [str(part.images) for part in parts])
    if crowds_as_objects:
        lines.append(f"{_free_crowds(contents)} crowds are written as objects")
    if shares:
        joined, repeats = join_entries([each.entries for each in contents])
        if repeats:
            lines.append(f"{repeats} pictures are in several parts, and come once")
        contents = _divided(joined, contents[0].images, shares, seed)
    for file, each in zip(files, contents, strict=True):
        info = {IMAGE_FOLDER: Path(os.path.relpath(each.images, file.parent)).as_posix()}
        with atomic_path(file) as path:
            path.write_bytes(orjson.dumps({"info": info, **each.entries}))
        lines += _describe(each, file)
    return lines


def find_parts(
    source: Path, kind: str = "", images: Path | None = None
) -> tuple[Format, tuple[Part, ...]]:
    """Return the format of the data set in the folder ``source``, and its parts.

    A file is one part in COCO's format, with the pictures in ``images``, or in its
    ``named_folder``. Raises FileNotFoundError or ValueError if there is no data set, or not of the
    format ``kind``.
    """
    if source.is_file():
        if kind not in ("", "coco") or source.suffix.lower() != ".json":
            raise ValueError(
                f"{source} is a file; give the folder of the data set, or a JSON file of COCO's "
                "format"
            )
        return FORMATS["coco"], (Part("all", images or named_folder(source), source),)
    if not source.is_dir():
        raise FileNotFoundError(f"there is no folder {source}")
    formats = [FORMATS[kind]] if kind else list(FORMATS.values())
    found = [(form, parts) for form in formats if (parts := _find(form, source))]
    if len(found) > 1:
        raise ValueError(
            f"{source} could be of several formats: "
            f"{', '.join(form.name for form, _ in found)}; choose with --type"
        )
    if not found:
        raise ValueError(
            f"{source} has no data set of the format {kind or ', '.join(FORMATS)}; docs/formats.md "
            "shows where their files lie"
        )
    return found[0]


def _find(form: Format, source: Path) -> tuple[Part, ...]:
    return find_source(source) if form.name == "coco" else form.find(source)


def parse_shares(text: str) -> tuple[float, ...]:
    """Return the shares in a text such as "0.8,0.2"; raises ValueError for another."""
    try:
        shares = tuple(float(word) for word in text.split(","))
    except ValueError:
        shares = ()
    _check_shares(shares or (0.0,))
    return shares


def _check_shares(shares: Sequence[float]) -> None:
    if not shares:
        return
    fits = len(shares) in _PARTS and all(share > 0 for share in shares)
    if not fits or abs(sum(shares) - 1) > _ROUNDING:
        raise ValueError(
            "--split takes the shares of train and val, or of train, val and test, such as "
            f"0.8,0.2, above 0 and with the sum 1; got {','.join(f'{s:g}' for s in shares)}"
        )


def _read(form: Format, part: Part, base: Path) -> tuple[Entries, list[str]]:
    """Return the content of a part, with names of pictures relative to ``base``, and its flaws."""
    reader = ImageReader()
    records = form.read(part.images, part.annotations, classes=(), reader=reader)
    table = annotations_from_records(
        part.annotations, records.images, records.categories, records.objects
    )
    notes = [*records.notes, *describe_left_out(table, np.ones(len(table.ids), bool), False)]
    entries = coco_entries(table)
    for image in entries["images"]:
        try:
            image["file_name"].encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"{shown_path(part.images / image['file_name'])} has a name that is no text in "
                "UTF-8, which JSON needs; rename the picture"
            ) from None
        path = os.path.relpath(part.images / image["file_name"], base)
        image["file_name"] = Path(path).as_posix()
    return entries, notes


def _free_crowds(contents: Sequence[_Content]) -> int:
    """Make all crowds objects, and return their number."""
    crowds = [
        entry for each in contents for entry in each.entries["annotations"] if entry["iscrowd"]
    ]
    for entry in crowds:
        entry["iscrowd"] = 0
    return len(crowds)


def _divided(joined: Entries, images: Path, shares: Sequence[float], seed: int) -> list[_Content]:
    """Return train, val and perhaps test, of all images."""
    numbers = {category["id"]: n for n, category in enumerate(joined["categories"])}
    classes_of: dict[int, set[int]] = {image["id"]: set() for image in joined["images"]}
    for entry in joined["annotations"]:
        if not entry["iscrowd"]:
            classes_of[entry["image_id"]].add(numbers[entry["category_id"]])
    chosen = stratify(list(classes_of.values()), shares, seed)
    names = _PARTS[len(shares)]
    empty = [name for name, places in zip(names, chosen, strict=True) if not places]
    if empty:
        raise ValueError(
            f"{len(classes_of)} images are too few to divide: {' and '.join(empty)} would have none"
        )
    return [
        _Content(name, images, select_images(joined, places))
        for name, places in zip(names, chosen, strict=True)
    ]


def _file_of(out: Path, name: str) -> Path:
    return out.with_name(f"{out.stem}_{name}{out.suffix}") if name else out


def _check_not_source(files: Sequence[Path], source: Path, parts: Sequence[Part]) -> None:
    """Raise ValueError if a file to write is one that was read."""
    read = {os.path.realpath(part.annotations) for part in parts}
    for file in files:
        if os.path.realpath(file) in read or file.is_dir():
            raise ValueError(f"{file} is a part of {source}, and is not overwritten; name another")


def _describe(each: _Content, file: Path) -> list[str]:
    """Return lines about a file that was written."""
    entries = each.entries
    counts = Counter(entry["category_id"] for entry in entries["annotations"])
    lines = [
        f"{file}: {len(entries['images'])} images, {len(entries['annotations'])} annotations of "
        f"{len(counts)} of {len(entries['categories'])} classes",
        f"  with DATASETS.<name>.ANNOTATIONS {file} goes DATASETS.<name>.IMAGES {each.images}",
    ]
    without = [name["name"] for name in entries["categories"] if name["id"] not in counts]
    return lines + [f"  none is of the class {shorten(without)}"] * bool(without)
