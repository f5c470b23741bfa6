"""COCO's format in the layouts of COCO and of annotation tools: Roboflow, CVAT, Label Studio."""

import mmap
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from pet.annotations import read_annotations
from pet.annotations.json_pieces import load_json
from pet.annotations.report import describe_left_out, describe_otherwise
from pet.annotations.values import shorten
from pet.data.coco_entries import coco_entries
from pet.data.formats.format import Format, Part, Records
from pet.data.formats.pictures import PICTURE_ENDINGS, picture_size
from pet.data.image_file import ImageReader
from pet.data.picture_check import describe_names, resolve_names

#: Kinds of files in a folder annotations, the one that counts if there are both first.
_KINDS = ("instances", "person_keypoints")
_NAME = re.compile(rf"(?:({'|'.join(_KINDS)})_)?([A-Za-z]+)[-_]?(\d*)")
_PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test",),
    "all": ("default", "all"),
}
_PART_OF = {word: part for part, words in _PARTS.items() for word in words}
#: Names of a file that is alone in its folder, after those by ``_NAME``.
_WHOLE = ("result.json", "annotations.json", "instances.json", "coco.json")
_ROBOFLOW = "_annotations.coco.json"
#: Key of "info" in the files of tools/convert_data.py, which may lie beside what they were made of:
#: the folder in which the names of pictures begin, relative to the file.
IMAGE_FOLDER = "image_folder"
_HEAD = 1 << 16  # bytes of a file in which names of pictures are looked for
_SAMPLE = 5
_SECTION = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')


def find(folder: Path) -> tuple[Part, ...]:
    """Return the parts of the data set in ``folder``, () if there is none in COCO's format.

    Files that tools/convert_data.py wrote come before what they were made of.
    """
    own = _of_names(folder, is_own=True) or _of_whole(folder, is_own=True)
    return _in_order(own) or find_source(folder)


def find_source(folder: Path) -> tuple[Part, ...]:
    """Return the parts as ``find``, but not of files that tools/convert_data.py wrote."""
    for parts in (_of_roboflow(folder), _of_names(folder), _of_whole(folder)):
        found = _in_order(parts)
        if found:
            return found
    return ()


def _in_order(parts: Iterable[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda part: list(_PARTS).index(part.name)))


def read(
    images: Path, annotations: Path, *, classes: Sequence[str], reader: ImageReader
) -> Records:
    """Return the content of the file ``annotations``, with the names of pictures as they exist.

    A picture without height and width gets those of its file.
    """
    table = read_annotations(annotations)
    entries = coco_entries(table)
    nameless = [image["id"] for image in entries["images"] if image["file_name"] is None]
    if nameless:
        raise ValueError(f"{annotations}: images without a file_name: {shorten(nameless)}")
    names = [str(image["file_name"]) for image in entries["images"]]
    found, missing = resolve_names(images, names)
    for image, name in zip(entries["images"], found, strict=True):
        image["file_name"] = name
        if min(image["height"], image["width"]) < 1:
            image["height"], image["width"] = picture_size(images / name, reader)
    changed = [(a, b) for a, b in zip(names, found, strict=True) if a != b]
    notes = [
        *describe_otherwise(table),
        *describe_left_out(table, np.ones(len(table.ids), bool), False),
        *describe_names(changed),
    ]
    if missing:
        notes.append(f"{len(missing)} pictures are not in {images}, such as {names[missing[0]]}")
    return Records(entries["images"], entries["categories"], entries["annotations"], tuple(notes))


def _of_roboflow(folder: Path) -> Iterator[Part]:
    for name, words in _PARTS.items():
        there = [folder / word for word in words if (folder / word / _ROBOFLOW).is_file()]
        for path in there[:1]:
            yield Part(name, path, path / _ROBOFLOW)
    if (folder / _ROBOFLOW).is_file():
        yield Part("all", folder, folder / _ROBOFLOW)


def _of_names(folder: Path, is_own: bool = False) -> list[Part]:
    """Return the parts whose files are named by them, in ``folder`` or its folder annotations."""
    found: dict[str, tuple[tuple[int, str], Part]] = {}
    for place in (folder / "annotations", folder):
        for path in sorted(place.glob("*.json")):
            match = _NAME.fullmatch(path.stem)
            part = _PART_OF.get(match[2].lower()) if match else None
            if match is None or part is None or not (match[1] or _is_coco(path)):
                continue
            if is_own != _is_own(path):
                continue
            images = _image_folder(folder, f"{match[2]}{match[3]}", part, path)
            # instances before person_keypoints, and then the latest year
            rank = (-_KINDS.index(match[1]) if match[1] else 0, match[3])
            if images is not None and (part not in found or rank > found[part][0]):
                found[part] = rank, Part(part, images, path)
        if found:
            break
    parts = [part for _, part in found.values()]
    return [part for part in parts if part.name != "all"] or parts


def _of_whole(folder: Path, is_own: bool = False) -> list[Part]:
    for place in (folder, folder / "annotations"):
        for path in (place / name for name in _WHOLE):
            if _is_coco(path) and is_own == _is_own(path):
                images = _image_folder(folder, "default", "all", path)
                return [Part("all", images or folder, path)]
    return []


def _image_folder(folder: Path, name: str, part: str, file: Path) -> Path | None:
    """Return the folder of the pictures of a part, None if there is no folder with pictures.

    It is the first in which the first pictures of ``file`` are, or else the first that is there.
    """
    words = dict.fromkeys((name, name.lower(), *_PARTS[part]))
    places = [above / word for word in words for above in (folder, folder / "images")]
    places = [place for place in (*places, folder / "images") if place.is_dir()]
    start, names = _first_names(file)
    own = [Path(os.path.normpath(file.parent / start))] if start else []
    for place in (*own, *places, folder):
        if names and all(os.path.isfile(place / name) for name in names):
            return place
    if places:
        return places[0]
    has_pictures = any(path.suffix.lower() in PICTURE_ENDINGS for path in folder.iterdir())
    return folder if has_pictures else None


def named_folder(file: Path) -> Path:
    """Return the image folder that tools/convert_data.py wrote into ``file``, or else its own."""
    return Path(os.path.normpath(file.parent / _first_names(file)[0]))


def _first_names(file: Path) -> tuple[str, list[str]]:
    """Return the image folder that ``file`` names, if any, and some of its names of pictures."""
    with open(file, "rb") as opened:
        text = opened.read(_HEAD)
    folders = _texts(IMAGE_FOLDER, text)
    return (folders[0] if folders else ""), _texts("file_name", text)[:_SAMPLE]


def _texts(key: str, text: bytes) -> list[str]:
    """Return the values of ``key`` in a JSON text that are texts."""
    found = re.findall(rb'"%s"\s*:\s*("(?:[^"\\]|\\.)*")' % key.encode(), text)
    values = []
    for value in found:
        with suppress(ValueError):
            values.append(str(load_json(value)))
    return [value for value in values if "\0" not in value]


def _is_own(path: Path) -> bool:
    """Whether tools/convert_data.py wrote the file."""
    return path.is_file() and bool(_first_names(path)[0])


def _is_coco(path: Path) -> bool:
    """Whether a JSON file has COCO's sections; it may be very large."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
    ):
        return len({match[1] for match in _SECTION.finditer(text)}) == 3


COCO = Format(name="coco", annotations="file", find=find, read=read)
