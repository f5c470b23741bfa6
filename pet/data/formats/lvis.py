"""LVIS v1: pictures of COCO with 1203 classes, of which each picture has a few that are verified.

A file is close to COCO's, with these differences. An image has a "coco_url" and no "file_name": its
picture lies in COCO's train2017 or val2017, so the folder of the pictures is the one that holds
both. It lists the classes that it lacks and those that are not annotated exhaustively; there are no
crowds. A category has a "frequency". Source: https://www.lvisdataset.org/dataset.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pet.annotations import Annotations, read_annotations
from pet.annotations.federated import check_federated
from pet.annotations.json_pieces import load_json, without_mark
from pet.annotations.values import Otherwise, whole_number
from pet.data.datasets import CocoDataset
from pet.data.formats.format import Format, Part, Records
from pet.data.image_file import ImageReader

#: Name of a part -> its file.
_FILES = {"train": "lvis_v1_train.json", "val": "lvis_v1_val.json"}
_PLACES = ("", "annotations", "lvis", "lvis_v1/annotations")  # of the files, in a folder
_COCO_FOLDERS = ("", "coco2017", "coco")  # of the pictures, in a folder
_PICTURES = "train2017"


class _LvisFormat(Format):
    """The format, whose large files are read and cached as those of COCO's format."""

    def dataset(
        self,
        name: str,
        images: Path,
        annotations: Path,
        *,
        cache: Path | None = None,
        **options: Any,
    ) -> CocoDataset:
        """Read a part as a data set; the arguments are those of ``CocoDataset``."""
        table = _read_table(annotations, cache)
        if table.has_annotations and not options["is_train"]:
            check_federated(table)
        dataset = CocoDataset(name, images, table, **options)
        dataset.scores = self.scores
        return dataset


def _read_table(file: Path, cache: Path | None = None) -> Annotations:
    """Read ``file``; raises the errors of ``read_annotations``, and ValueError for a lack of names.

    ``cache`` as in ``read_annotations``.
    """
    table = replace(read_annotations(file, cache), by_url=True)
    nameless = table.nameless()
    if len(nameless):
        raise ValueError(
            f"{file}: images, id {table.image_ids[nameless[0]]}: there is neither a 'file_name' "
            "nor a 'coco_url' that ends in a folder and a file, such as train2017/000000391895.jpg"
        )
    return table


def find(folder: Path) -> tuple[Part, ...]:
    """Return the parts whose files are in ``folder``, or in its annotations, lvis or lvis_v1.

    The pictures lie in the first folder that has train2017: that of the file, and those above it up
    to the one that contains ``folder``, each also with coco2017 or coco in it. Without train2017 it
    is that of the file.
    """
    found = []
    for name, file_name in _FILES.items():
        file = next(
            (folder / p / file_name for p in _PLACES if (folder / p / file_name).is_file()), None
        )
        if file is not None:
            found.append(Part(name, _images_of(file, folder), file))
    return tuple(found)


def _images_of(file: Path, folder: Path) -> Path:
    above = [place for place in file.parents if place.is_relative_to(folder)]
    places = [place / coco for place in (*above, folder.parent) for coco in _COCO_FOLDERS]
    return next((place for place in places if (place / _PICTURES).is_dir()), file.parent)


def read(
    images: Path, annotations: Path, *, classes: Sequence[str] = (), reader: ImageReader
) -> Records:
    """Return the content of ``annotations``, each image with its "file_name".

    All other keys are kept. This takes some gigabytes of memory for LVIS's training file.
    """
    table = _read_table(annotations)  # which raises the errors
    content = load_json(without_mark(annotations.read_bytes())[0])
    names = dict(
        zip(table.image_ids.tolist(), table.file_names(range(len(table.image_ids))), strict=True)
    )
    pictures = [
        {**image, "file_name": names[whole_number(image["id"], Otherwise())]}
        for image in content["images"]
    ]
    return Records(pictures, content["categories"], content.get("annotations", []))


LVIS = _LvisFormat("lvis", "file", find, read, scores=("lvis",))
