"""The files of a part of a Pascal VOC data set, from a list of names or a folder of XML files."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pet.annotations.values import short
from pet.data.formats.notes import Notes
from pet.data.formats.picture_names import without_ending
from pet.data.formats.pictures import PICTURE_ENDINGS
from pet.data.image_file import shown_path

#: Folders of XML files and of pictures, as VOC names them first.
XML_FOLDERS = ("Annotations", "annotations")
PICTURE_FOLDERS = ("JPEGImages", "images", "Images")
#: Folders of PNG files with the number of an object, or of a class, in each pixel.
OBJECTS, CLASSES = "SegmentationObject", "SegmentationClass"

_LEFT_OUT = "-1"
_FLAGS = (_LEFT_OUT, "0", "1")  # of the lists of one class: absent, difficult, present


@dataclass(frozen=True)
class VocLayout:
    """The folders of a data set, which need not exist, and the names of the pictures of a part."""

    xml: Path
    objects: Path  # PNG files with the number of an object in each pixel
    classes: Path  # PNG files with the number of a class in each pixel
    names: tuple[str, ...]  # sorted, without ending, each once

    def xml_of(self, name: str) -> Path:
        """Return the path of the XML file of picture ``name``."""
        return self.xml / f"{name}.xml"

    def objects_of(self, name: str) -> Path:
        """Return the path of the PNG of the objects of picture ``name``."""
        return self.objects / f"{name}.png"

    def classes_of(self, name: str) -> Path:
        """Return the path of the PNG of the classes of picture ``name``."""
        return self.classes / f"{name}.png"

    def has(self, name: str) -> bool:
        """Whether picture ``name`` has an XML file, or PNGs that can replace it."""
        return os.path.isfile(self.xml_of(name)) or os.path.isfile(self.objects_of(name))


def lay_out(images: Path, annotations: Path, notes: Notes) -> VocLayout:
    """Return the files of the part ``annotations``, a list of names or a folder of XML files.

    Raises FileNotFoundError or ValueError, which name the list, the line and the files missing.
    """
    if annotations.is_dir():
        files = [path.relative_to(annotations).as_posix() for path in _xml_files(annotations)]
        if not files:
            raise FileNotFoundError(
                f"there is no XML file in {shown_path(annotations)}; give the folder of the XML "
                "files of Pascal VOC, or one of the lists in ImageSets/Main"
            )
        return _layout(annotations.parent, annotations, sorted(map(without_ending, files)))
    root, xml = _root_of(annotations, images)
    layout = _layout(root, xml, ())
    names: set[str] = set()
    for number, line in enumerate(_lines(annotations), start=1):
        name = _name(line, layout)
        if name is None:
            raise FileNotFoundError(
                f"{shown_path(annotations)}, line {number}: {short(line)} has neither the XML file "
                f"{shown_path(layout.xml_of(line))} nor {shown_path(layout.objects_of(line))}; "
                "fetch it, or take the line out"
            )
        if name in names:
            notes.add("names are listed again, and used once", f"line {number}")
        if name:
            names.add(name)
    return _layout(root, xml, sorted(names))


def _layout(root: Path, xml: Path, names: Iterable[str]) -> VocLayout:
    return VocLayout(xml, root / OBJECTS, root / CLASSES, tuple(names))


def _xml_files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.xml") if not path.name.startswith("."))


def _root_of(file: Path, images: Path) -> tuple[Path, Path]:
    """Return the folder that holds those of VOC, and the one of the XML files.

    Raises FileNotFoundError.
    """
    roots = (*file.absolute().parents[:3], images.absolute().parent)
    for root in roots:
        for folder in XML_FOLDERS:
            if any(_xml_files(root / folder)):
                return root, root / folder
        if (root / OBJECTS).is_dir():
            return root, root / XML_FOLDERS[0]
    if has_xml(images):
        return images.parent, images
    raise FileNotFoundError(
        f"there is no folder {XML_FOLDERS[0]} of XML files for the list {shown_path(file)}: it is "
        f"looked for in {', '.join(map(shown_path, dict.fromkeys(roots)))}"
    )


def has_xml(folder: Path) -> bool:
    """Whether an XML file lies in ``folder`` itself."""
    try:
        with os.scandir(folder) as entries:
            names = (entry.name for entry in entries)
            return any(name.endswith(".xml") and not name.startswith(".") for name in names)
    except OSError:
        return False


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(
            f"{shown_path(file)} is no text in UTF-8; give a list of names, a line for each "
            "picture, such as ImageSets/Main/train.txt"
        ) from None
    return [line.strip() for line in text.splitlines()]


def _name(line: str, layout: VocLayout) -> str | None:
    """Return the name in ``line``, "" if there is none to use, and None if it has no files.

    The whole line may be the name; in the lists of one class a flag follows it.
    """
    if not line or layout.has(line):
        return line
    head, *last = line.rsplit(maxsplit=1)
    if last and last[0] in _FLAGS:
        if last[0] == _LEFT_OUT:
            return ""
        line = head
        if layout.has(line):
            return line
    if line.lower().endswith((*PICTURE_ENDINGS, ".xml")) and layout.has(without_ending(line)):
        return without_ending(line)
    return None
