"""YOLO: a text file for each picture, with the classes and numbers 0..1 of its objects.

Source: the description of data sets at https://docs.ultralytics.com/datasets.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pet.data.formats.format import Format, Records
from pet.data.formats.many_files import read_many
from pet.data.formats.pictures import list_pictures, picture_size
from pet.data.formats.yolo_labels import Labels, read_labels
from pet.data.formats.yolo_layout import (
    find,
    label_folder,
    pictures_of_list,
    pictures_of_split,
)
from pet.data.formats.yolo_yaml import YoloFile, find_names, read_data_yaml
from pet.data.image_file import ImageReader

Size = tuple[int, int]  # height and width, in pixels


def read(
    images: Path, annotations: Path, *, classes: Sequence[str], reader: ImageReader
) -> Records:
    """Return the records of the pictures under ``images``.

    ``annotations`` is a data.yaml, the folder of the labels, or a text file that lists pictures.
    The numbers of a label count in the upright picture. A picture without a label file, or with an
    empty one, has no objects.
    """
    yolo = _classes_of(annotations, classes)
    if annotations.is_dir():
        names = list_pictures(images)
        labels = {name: annotations / Path(name).with_suffix(".txt") for name in names}
    else:
        is_list = annotations.suffix.lower() == ".txt"
        names = (
            pictures_of_list(annotations, images) if is_list else pictures_of_split(yolo, images)
        )
        labels = _labels_of(images, names)
    if not names:
        raise FileNotFoundError(f"there are no pictures in {images}")
    there = _existing(labels)
    if not there:
        raise FileNotFoundError(
            f"none of the {len(names)} pictures in {images} has a label file; that of {names[0]} "
            f"would be {labels[names[0]]}"
        )
    upright = replace(reader, orientation="upright")
    found = read_many(
        partial(_read_picture, images=images, labels=there, yolo=yolo, reader=upright),
        names,
        images,
    )
    notes = _notes(yolo, found, [] if annotations.suffix == ".txt" else _strays(labels, there))
    return _records(names, found, yolo, notes)


def _classes_of(annotations: Path, classes: Sequence[str]) -> YoloFile:
    """Return the classes of ``annotations``, in order of precedence those of a file, or given."""
    kind = annotations.suffix.lower()
    if not annotations.is_dir() and kind in (".yaml", ".yml"):
        return read_data_yaml(annotations)
    if not annotations.is_dir() and kind != ".txt":
        raise ValueError(
            f"{annotations} is neither a data.yaml, nor a text file of pictures, nor the folder of "
            "the label files"
        )
    found = find_names(annotations if annotations.is_dir() else annotations.parent)
    if found is not None:
        return found
    if not classes:
        raise ValueError(
            f"{annotations} does not tell the names of the classes; give its data.yaml as "
            "DATASETS.<name>.ANNOTATIONS, or the names as DATASETS.<name>.CLASSES, or put a "
            "classes.txt beside it with one name in each line"
        )
    return YoloFile(Path("DATASETS.<name>.CLASSES"), dict(enumerate(classes)))


def _labels_of(images: Path, names: Sequence[str]) -> dict[str, Path]:
    """Return the path of the label file of each picture, whether it exists or not."""
    folders = {os.path.dirname(name) for name in names}
    labels = {folder: label_folder(images / folder) for folder in folders}
    return {name: labels[os.path.dirname(name)] / f"{Path(name).stem}.txt" for name in names}


def _existing(labels: Mapping[str, Path]) -> dict[str, Path]:
    """Return those of ``labels`` that exist; each folder is listed once."""
    listed = {
        folder: set(os.listdir(folder)) if folder.is_dir() else set()
        for folder in {path.parent for path in labels.values()}
    }
    return {name: path for name, path in labels.items() if path.name in listed[path.parent]}


def _read_picture(
    name: str, *, images: Path, labels: Mapping[str, Path], yolo: YoloFile, reader: ImageReader
) -> tuple[Size, Labels]:
    size = picture_size(images / name, reader)
    return size, read_labels(labels[name], yolo, size) if name in labels else Labels()


def _strays(labels: Mapping[str, Path], there: Mapping[str, Path]) -> list[str]:
    """Return the label files in the folders of ``labels`` that belong to no picture."""
    used = set(there.values())
    return sorted(
        str(path)
        for folder in {path.parent for path in labels.values()}
        for path in folder.glob("*.txt")
        if path not in used and path.name != "classes.txt"
    )


def _notes(
    yolo: YoloFile, found: Sequence[tuple[Size, Labels]], strays: Sequence[str]
) -> tuple[str, ...]:
    changes = sum((labels.changes for _, labels in found), Counter[str]())
    notes = [f"{count} {what}" for what, count in changes.items()]
    empty = sum(not labels.objects for _, labels in found)
    if empty:
        notes.append(f"{empty} of {len(found)} pictures have no labels, and so no objects")
    if strays:
        notes.append(f"{len(strays)} label files belong to no picture: {strays[0]}, ...")
    if yolo.points.names and not yolo.points.has_pairs:
        notes.append(
            f"{yolo.path} has no flip_idx, so that no points swap in a mirrored picture; if there "
            "are left and right ones, add it, or give TRAIN.FLIP_PROB 0"
        )
    return tuple(notes)


def _records(
    names: Sequence[str],
    found: Sequence[tuple[Size, Labels]],
    yolo: YoloFile,
    notes: tuple[str, ...],
) -> Records:
    images = [
        {"id": number, "file_name": name, "height": size[0], "width": size[1]}
        for number, (name, (size, _)) in enumerate(zip(names, found, strict=True), 1)
    ]
    points = {"keypoints": list(yolo.points.names)} if yolo.points.names else {}
    categories = [{"id": n + 1, "name": name, **points} for n, name in yolo.names.items()]
    objects = [
        {"image_id": number, **record}
        for number, (_, labels) in enumerate(found, 1)
        for record in labels.objects
    ]
    return Records(images, categories, objects, notes)


YOLO = Format(name="yolo", annotations="file or folder", find=find, read=read)
