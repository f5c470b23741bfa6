"""Pascal VOC: an XML file for each picture, lists of pictures, and PNGs with the masks.

Images are numbered from 1 in the order of their names, sorted, within a part. Source: the
development kits of VOC2007 to VOC2012.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pet.annotations.values import short, shorten
from pet.data.formats.format import Format, Records
from pet.data.formats.notes import Notes
from pet.data.formats.picture_names import PictureNames, without_ending
from pet.data.formats.pictures import picture_size
from pet.data.formats.progress import show_reading
from pet.data.formats.voc_folder import find_voc
from pet.data.formats.voc_layout import VocLayout, lay_out
from pet.data.formats.voc_masks import VOC_CLASSES, VocMask, class_name, match_masks, read_masks
from pet.data.formats.voc_xml import VocFile, VocObject, read_voc_file
from pet.data.image_file import ImageReader, shown_path

Entry = dict[str, Any]


@dataclass(frozen=True)
class _Picture:
    """A picture and its objects; ``masks`` are COCO's RLE by the place of an object."""

    name: str  # without ending
    file: VocFile
    masks: Mapping[int, Entry]


def read_voc(
    images: Path, annotations: Path, *, classes: Sequence[str], reader: ImageReader
) -> Records:
    """Return the records of a part, as ``ReadRecords``."""
    notes = Notes()
    layout = lay_out(images, annotations, notes)
    files = {name: _read_xml(layout.xml_of(name), classes) for name in layout.names}
    found = {each.name for file in files.values() if file for each in file.objects}
    # The class of each index of SegmentationClass, from 1.
    of_index = VOC_CLASSES if {*VOC_CLASSES}.issuperset({*found, *classes}) else tuple(classes)
    pictures = [
        _picture(layout, name, file, of_index, reader, notes)
        for name, file in show_reading(files.items(), len(files), annotations)
    ]
    order = _class_order(
        classes, {each.name for picture in pictures for each in picture.file.objects}
    )
    entries = list(_images(pictures, PictureNames(images), reader, notes))
    objects = list(_objects(pictures, order, layout, notes))
    categories = [{"id": label, "name": name} for label, name in enumerate(order, start=1)]
    return Records(entries, categories, objects, notes.lines())


def _read_xml(path: Path, classes: Sequence[str]) -> VocFile | None:
    """Return the content of an XML file, or None if it does not exist.

    Raises ValueError if it has a class that is not among ``classes``, if there are any.
    """
    if not path.is_file():
        return None
    file = read_voc_file(path)
    for number, each in enumerate(file.objects, start=1):
        if classes and each.name not in classes:
            raise ValueError(
                f"{shown_path(path)}: <object> {number}: <name> is {short(each.name)}, which is "
                f"not among the CLASSES of the data set: {shorten(classes)}; add it to them, or "
                "take the object out"
            )
    return file


def _picture(
    layout: VocLayout,
    name: str,
    file: VocFile | None,
    of_index: Sequence[str],
    reader: ImageReader,
    notes: Notes,
) -> _Picture:
    """Return picture ``name`` with its masks; without an XML file, they are its objects."""
    png, kinds = layout.objects_of(name), layout.classes_of(name)
    if file is not None and not png.is_file():
        return _Picture(name, file, {})
    size, masks = read_masks(png, kinds, reader)
    if file is None:
        return _from_masks(name, size, [_named(each, kinds, of_index) for each in masks], masks)
    if all(file.size) and file.size != size:
        raise ValueError(
            f"{shown_path(png)} has {size[1]} x {size[0]} pixels, but the <size> in "
            f"{shown_path(layout.xml_of(name))} is {file.size[1]} x {file.size[0]}; they are of "
            "different pictures, or one of them is wrong"
        )
    matched = match_masks(masks, file.objects, of_index if of_index is VOC_CLASSES else ())
    for _ in range(len(masks) - len(matched)):
        notes.add("masks that no object of the XML file has, which are left out", shown_path(png))
    file = VocFile(file.file_name, size, file.objects)
    return _Picture(name, file, {place: mask.rle for place, mask in matched.items()})


def _from_masks(
    name: str, size: tuple[int, int], names: Sequence[str], masks: Sequence[VocMask]
) -> _Picture:
    objects = tuple(VocObject(kind, each.mask.box) for kind, each in zip(names, masks, strict=True))
    rles = {place: each.mask.rle for place, each in enumerate(masks)}
    return _Picture(name, VocFile("", size, objects), rles)


def _named(mask: VocMask, kinds: Path, of_index: Sequence[str]) -> str:
    """Return the name of the class of ``mask``; raises ValueError if it has none."""
    name = class_name(mask.class_index, of_index)
    if name is None:
        raise ValueError(
            f"there is no XML file, and {shown_path(kinds)} does not tell the class of object "
            f"{mask.mask.value}: its index is {mask.class_index}, and there are "
            f"{len(of_index)} CLASSES; add the XML file, or give DATASETS.<name>.CLASSES"
        )
    return name


def _class_order(classes: Sequence[str], found: Collection[str]) -> Sequence[str]:
    """Return the names of the labels 1..K."""
    if classes:
        return classes
    return VOC_CLASSES if set(found) <= {*VOC_CLASSES} else sorted(found)


def _images(
    pictures: Sequence[_Picture], names: PictureNames, reader: ImageReader, notes: Notes
) -> Iterator[Entry]:
    owners: dict[str, str] = {}
    for number, picture in enumerate(pictures, start=1):
        file_name = _file_name(picture, names, notes)
        owner = owners.setdefault(file_name, picture.name)
        if owner != picture.name:
            raise ValueError(
                f"{shown_path(names.folder)} has no picture for one of the XML files "
                f"{short(owner)} and {short(picture.name)}, which both name {short(file_name)} in "
                "<filename>; add the picture, or take out the XML file"
            )
        height, width = picture.file.size
        if not height or not width:
            height, width = picture_size(names.folder / file_name, reader)
        yield {"id": number, "file_name": file_name, "height": height, "width": width}


def _file_name(picture: _Picture, names: PictureNames, notes: Notes) -> str:
    """Return the file of a picture: the one of its name, else the one in <filename>.

    Tools leave old names in <filename>. Raises ValueError if several files have the name.
    """
    named = picture.file.file_name.replace("\\", "/")
    own = names.of_stem(picture.name)
    if named in own or (named in names and not own):
        return named
    if len(own) > 1:
        raise ValueError(
            f"several pictures in {shown_path(names.folder)} have the name {short(picture.name)}: "
            f"{shorten(own)}; take out all but one"
        )
    if not own:
        return named or f"{picture.name}.jpg"  # the check of the pictures tells all missing ones
    if named and _last(picture.name) not in (_last(named), without_ending(_last(named))):
        kind = "XML files have another picture in <filename> than the one of their own name, which"
        notes.add(f"{kind} is used", short(picture.name))
    return own[0]


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _objects(
    pictures: Sequence[_Picture], order: Sequence[str], layout: VocLayout, notes: Notes
) -> Iterator[Entry]:
    label_of = {name: label for label, name in enumerate(order, start=1)}
    for number, picture in enumerate(pictures, start=1):
        for place, each in enumerate(picture.file.objects):
            if each.name not in label_of:
                raise ValueError(
                    f"{shown_path(layout.objects_of(picture.name))} has an object of the class "
                    f"{short(each.name)}, which is not among the CLASSES of the data set: "
                    f"{shorten(order)}; add it to them"
                )
            x1, y1, x2, y2 = each.box
            where = f"{shown_path(layout.xml_of(picture.name))}, <object> {place + 1}"
            if x2 <= x1 or y2 <= y1:
                notes.add("objects whose xmax or ymax is below xmin or ymin are left out", where)
                continue
            if x1 < 0 or y1 < 0:
                notes.add("boxes begin before pixel 1, the first of VOC, and are clipped", where)
            entry: Entry = {"image_id": number, "category_id": label_of[each.name]}
            entry |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "ignore": each.difficult}
            if place in picture.masks:
                entry["segmentation"] = picture.masks[place]
            yield entry


VOC = Format(
    name="voc", annotations="file or folder", find=find_voc, read=read_voc, scores=("voc",)
)
