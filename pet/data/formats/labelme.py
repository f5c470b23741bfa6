"""labelme: a JSON file of shapes for each picture.

Source: https://github.com/wkentaro/labelme, the files that version 5 writes.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any

from pet.annotations.json_pieces import load_json, without_mark
from pet.annotations.table import MOST_PIXELS
from pet.annotations.values import Otherwise, short, shorten, whole_number
from pet.data.formats.format import Format, Part, Records
from pet.data.formats.labelme_shapes import IGNORE, Object, read_shapes
from pet.data.formats.many_files import read_many
from pet.data.formats.pictures import list_pictures, picture_size
from pet.data.image_file import ImageReader

_SHAPES = re.compile(rb'"shapes"\s*:\s*\[')
_MOST_LOOKED_AT = 50  # JSON files of a folder, to tell whether they are labelme's
_SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}

Size = tuple[int, int]  # height and width, in pixels


@dataclass(frozen=True)
class _File:
    """The content of a JSON file."""

    path: Path
    picture: str  # name under the image folder
    size: Size
    objects: list[Object]
    left_out: Counter[str]


# Finding -----------------------------------------------------------------------------------------


def find(folder: Path) -> tuple[Part, ...]:
    """Return the parts of the labelme data set in ``folder``, () if there is none."""
    parts = []
    for name, keys in _SPLITS.items():
        there = [folder / key for key in keys if _has_files(folder / key)]
        parts += [Part(name, path, path) for path in there[:1]]
    if parts:
        return tuple(parts)
    if _has_files(folder, deep=False):
        return (Part("all", folder, folder),)
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir())
    for path in subfolders:
        if _has_files(path):
            images = folder / "images"
            return (Part("all", images if images.is_dir() else folder, path),)
    return ()


def _has_files(folder: Path, deep: bool = True) -> bool:
    """Whether JSON files of labelme lie in ``folder``, or, if ``deep``, in a folder of it."""
    files = chain(folder.glob("*.json"), folder.glob("*/*.json") if deep else ())
    return any(
        path.is_file() and _SHAPES.search(path.read_bytes())
        for path in islice(files, _MOST_LOOKED_AT)
    )


# Reading -----------------------------------------------------------------------------------------


def read(
    images: Path, annotations: Path, *, classes: Sequence[str], reader: ImageReader
) -> Records:
    """Return the records of the pictures under ``images`` and the JSON files in ``annotations``.

    The classes are ``classes``, then the other labels by the alphabet. A picture without a JSON
    file has no objects. A region to be ignored is a crowd of each class.
    """
    pictures = _Pictures(images, annotations)
    paths = sorted(path for path in annotations.rglob("*.json") if path.is_file())
    upright = replace(reader, orientation="upright")
    found = read_many(
        partial(_read_file, pictures=pictures, reader=upright),
        paths,
        annotations,
    )
    files = [each for each in found if each is not None]
    if not files:
        raise FileNotFoundError(
            f"none of the {len(paths)} JSON files in {annotations} has a list of shapes, as those "
            "of labelme have"
        )
    _check_one_each(files)
    described = {each.picture for each in files}
    bare = [name for name in pictures.names if name not in described]
    sizes = read_many(lambda name: picture_size(images / name, upright), bare, images)
    sized = {each.picture: each.size for each in files} | dict(zip(bare, sizes, strict=True))
    return _records(files, sized, classes, _notes(files, len(paths), bare))


class _Pictures:
    """The pictures under the image folder, by several of their names."""

    def __init__(self, images: Path, annotations: Path) -> None:
        self.folder, self.names = images, list_pictures(images)
        self._annotations = annotations
        self._known = set(self.names)
        self._by_base: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._by_path_stem: dict[str, list[str]] = defaultdict(list)
        for name in self.names:
            path = PurePosixPath(name)
            self._by_base[path.name].append(name)
            self._by_stem[path.stem].append(name)
            self._by_path_stem[path.with_suffix("").as_posix()].append(name)

    def of(self, file: Path, image_path: Any) -> str:
        """Return the picture of a JSON file: that of its imagePath, or else of its own name.

        Raises FileNotFoundError if there is none.
        """
        written = image_path.replace("\\", "/") if isinstance(image_path, str) else ""
        base = PurePosixPath(written).name
        beside = file.relative_to(self._annotations).with_suffix("")
        named = [os.path.relpath(file.parent / written, self.folder)] if base else []
        named += [(beside.parent / base).as_posix(), written] if base else []
        named = [Path(name).as_posix() for name in named if Path(name).as_posix() in self._known]
        for names in (
            named[:1],
            self._by_path_stem.get(beside.as_posix(), []),
            self._by_base.get(base, []),
            self._by_stem.get(file.stem, []),
        ):
            if len(names) == 1:
                return names[0]
        raise FileNotFoundError(
            f"{file}: there is no one picture {short(image_path)} (imagePath), nor one named "
            f"{file.stem}, in {self.folder}; give the folder of the pictures as "
            "DATASETS.<name>.IMAGES, or write the imageData of the file into a picture there, with "
            "labelme_export_json"
        )


def _read_file(path: Path, *, pictures: _Pictures, reader: ImageReader) -> _File | None:
    """Return the content of a JSON file, or None if it is not labelme's."""
    try:
        content = load_json(without_mark(path.read_bytes())[0])
    except ValueError as error:
        raise ValueError(f"{path} is not JSON text in UTF-8: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        return None
    picture = pictures.of(path, content.get("imagePath"))
    size = _size(path, content, pictures.folder / picture, reader)
    objects, left_out = read_shapes(path, content["shapes"], size, reader.max_pixels)
    return _File(path, picture, size, objects, left_out)


def _size(path: Path, content: Mapping[str, Any], picture: Path, reader: ImageReader) -> Size:
    """Return height and width as the JSON file has them, or else of the upright picture."""
    values = [content.get(key) for key in ("imageHeight", "imageWidth")]
    if not all(values):
        return picture_size(picture, reader)
    sides = [whole_number(value, Otherwise()) or 0 for value in values]
    if min(sides) < 1 or sides[0] * sides[1] > MOST_PIXELS:
        raise ValueError(
            f"{path}: imageHeight and imageWidth are {short(values[0])} and {short(values[1])}, "
            "no size of a picture in pixels"
        )
    return sides[0], sides[1]


def _check_one_each(files: Sequence[_File]) -> None:
    """Raise ValueError if two files describe the same picture."""
    seen: dict[str, Path] = {}
    for each in files:
        if each.picture in seen:
            raise ValueError(
                f"{seen[each.picture]} and {each.path} both describe the picture {each.picture}; "
                "remove one of them, or correct its imagePath"
            )
        seen[each.picture] = each.path


def _notes(files: Sequence[_File], count: int, bare: Sequence[str]) -> tuple[str, ...]:
    left_out = sum((each.left_out for each in files), Counter[str]())
    notes = [f"{number} {what}" for what, number in left_out.items()]
    if count > len(files):
        notes.append(f"{count - len(files)} JSON files are not labelme's, and are left out")
    if bare:
        notes.append(f"{len(bare)} pictures have no JSON file, and so no objects: {shorten(bare)}")
    return tuple(notes)


# Records -----------------------------------------------------------------------------------------


@dataclass
class _Labels:
    """The names that the objects of all files have."""

    categories: list[str]  # in order of the ids 1, 2 ...
    points: list[str]  # names of keypoints
    with_points: set[str] = field(default_factory=set)  # categories of objects that have keypoints


def _records(
    files: Sequence[_File],
    sized: Mapping[str, Size],
    classes: Sequence[str],
    notes: tuple[str, ...],
) -> Records:
    labels = _labels_of(files, classes)
    number_of = {name: number for number, name in enumerate(sorted(sized), 1)}
    images = [
        {"id": number, "file_name": name, "height": sized[name][0], "width": sized[name][1]}
        for name, number in number_of.items()
    ]
    categories: list[dict[str, Any]] = [
        {"id": number, "name": name} for number, name in enumerate(labels.categories, 1)
    ]
    for category in categories:
        if category["name"] in labels.with_points:
            category["keypoints"] = labels.points
    objects = [
        {"image_id": number_of[each.picture], **record}
        for each in sorted(files, key=lambda each: number_of[each.picture])
        for found in each.objects
        for record in _records_of(found, each.size, labels)
    ]
    return Records(images, categories, objects, notes)


def _labels_of(files: Sequence[_File], classes: Sequence[str]) -> _Labels:
    objects = [found for each in files for found in each.objects if found.label != IGNORE]
    others = sorted({found.label for found in objects} - set(classes))
    return _Labels(
        categories=[*classes, *others],
        points=sorted({name for found in objects for name in found.points}),
        with_points={found.label for found in objects if found.points},
    )


def _records_of(found: Object, size: Size, labels: _Labels) -> list[dict[str, Any]]:
    """Return the records of an object: one, or for a region to be ignored one of each category."""
    record: dict[str, Any] = {"bbox": found.box}
    segmentation = found.segmentation(size)
    if segmentation is not None:
        record["segmentation"] = segmentation
    if found.label == IGNORE:
        numbers = range(1, len(labels.categories) + 1)
        return [{"category_id": number, "iscrowd": 1, **record} for number in numbers]
    if found.points:
        places = [found.points.get(name) for name in labels.points]
        record["keypoints"] = [
            value for place in places for value in ((*place, 2) if place else (0, 0, 0))
        ]
    return [{"category_id": labels.categories.index(found.label) + 1, **record}]


LABELME = Format(name="labelme", annotations="folder", find=find, read=read)
