"""A PNG for each picture, whose pixels have the numbers of instances, as in Cityscapes.

Images are numbered from 1 in the order of their names, sorted, within a part. Source of the
numbers: the cityscapesScripts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pet.annotations.values import shorten
from pet.data.formats.format import Format, Records
from pet.data.formats.index_png import IndexMask, masks_of, read_indices
from pet.data.formats.instance_pairs import Pairs, find_instance_pngs, pair
from pet.data.formats.many_files import read_many
from pet.data.formats.notes import Notes
from pet.data.image_file import ImageReader, shown_path

#: The classes of Cityscapes that have instances.
CITYSCAPES_CLASSES = {
    **{24: "person", 25: "rider", 26: "car", 27: "truck"},
    **{28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle"},
}
#: A value from here on is the number of a class times this, plus that of an instance.
_PER_CLASS = 1000
_ONLY_CLASS = "object"


@dataclass(frozen=True)
class _Picture:
    name: str
    png: Path
    size: tuple[int, int]  # height and width, in pixels
    masks: tuple[IndexMask, ...]


@dataclass(frozen=True)
class _Meaning:
    """The meaning of the values: the names of the classes by their ids, which are in the values."""

    names: Mapping[int, str]
    has_classes: bool = True  # otherwise each value is an instance of the only class

    def of(self, value: int) -> tuple[int, bool] | None:
        """Return the class of ``value`` and whether it is a group of instances, None for stuff."""
        if not self.has_classes:
            return 1, False
        is_group = value < _PER_CLASS
        number = value if is_group else value // _PER_CLASS
        return (number, is_group) if number in self.names else None


def read_instance_pngs(
    images: Path, annotations: Path, *, classes: Sequence[str], reader: ImageReader
) -> Records:
    """Return the records of a part, as ``ReadRecords``."""
    notes = Notes()
    pairs = pair(images, annotations, notes)
    pictures = read_many(lambda each: _read(*each, reader), pairs.pictures, annotations)
    meaning = _meaning(pairs, pictures, classes)
    return Records(
        [
            {"id": n, "file_name": each.name, "height": each.size[0], "width": each.size[1]}
            for n, each in enumerate(pictures, start=1)
        ],
        [{"id": number, "name": name} for number, name in meaning.names.items()],
        list(_objects(pictures, meaning, notes)),
        notes.lines(),
    )


def _read(name: str, png: Path, reader: ImageReader) -> _Picture:
    indices = read_indices(png, reader)
    return _Picture(name, png, (indices.shape[0], indices.shape[1]), tuple(masks_of(indices)))


def _meaning(pairs: Pairs, pictures: Sequence[_Picture], classes: Sequence[str]) -> _Meaning:
    """Return the meaning of the values of all ``pictures``; ValueError if ``classes`` do not fit.

    Cityscapes' numbers have names. In other data a class n is the n-th of ``classes``.
    """
    if pairs.of_cityscapes:
        return _Meaning(CITYSCAPES_CLASSES)
    numbers: dict[int, str] = {}  # of the classes with instances -> the first file that has it
    for picture in pictures:
        for mask in picture.masks:
            if mask.value >= _PER_CLASS:
                numbers.setdefault(mask.value // _PER_CLASS, shown_path(picture.png))
    if not numbers:
        if len(classes) > 1:
            raise ValueError(
                f"CLASSES has {len(classes)} names, {shorten(classes)}, but the values in "
                f"{shown_path(pictures[0].png)} and the other PNGs are all below {_PER_CLASS}, so "
                "that each is an instance of one class; give one name, or values of "
                f"{_PER_CLASS} x class + instance, classes from 1"
            )
        return _Meaning({1: classes[0] if classes else _ONLY_CLASS}, has_classes=False)
    if not classes:
        return _Meaning({number: f"class {number}" for number in sorted(numbers)})
    most = max(numbers)
    if most > len(classes):
        raise ValueError(
            f"{numbers[most]} has an instance of class {most} ({_PER_CLASS} x class + instance), "
            f"but CLASSES has {len(classes)} names: {shorten(classes)}; add its name"
        )
    return _Meaning(dict(enumerate(classes, start=1)))


def _objects(
    pictures: Sequence[_Picture], meaning: _Meaning, notes: Notes
) -> Iterator[dict[str, object]]:
    for number, picture in enumerate(pictures, start=1):
        for mask in picture.masks:
            found = meaning.of(mask.value)
            if found is None:
                kind = "regions of classes that have no instances are left out"
                notes.add(kind, f"value {mask.value} in {shown_path(picture.png)}")
                continue
            x1, y1, x2, y2 = mask.box
            yield {
                "image_id": number,
                "category_id": found[0],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "segmentation": mask.rle,
                "ignore": found[1],
            }


INSTANCE_PNG = Format(
    name="instance_png", annotations="folder", find=find_instance_pngs, read=read_instance_pngs
)
