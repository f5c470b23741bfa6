"""One XML file of Pascal VOC: a picture and its objects.

Source: the development kits of VOC2007 to VOC2012.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from pet.annotations.values import Otherwise, flag, number, short
from pet.data.formats.xml_file import parse_xml
from pet.data.image_file import shown_path

_ROOT = "annotation"
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_HEIGHT_WIDTH = ("height", "width")
_LONGEST = 2**31  # pixels


@dataclass(frozen=True)
class VocObject:
    """An object with its box in continuous pixels: x1, y1, x2, y2, counted from 0.

    VOC numbers pixels from 1, and the pixels of both corners belong to the box, so that x1 is
    xmin - 1 and x2 is xmax. Detectron2 subtracts the same.
    """

    name: str
    box: tuple[float, float, float, float]
    difficult: bool = False


@dataclass(frozen=True)
class VocFile:
    """The content of a file that is used."""

    file_name: str  # <filename>, which may be out of date, or ""
    size: tuple[int, int]  # height and width in pixels, zeros if the file does not tell
    objects: tuple[VocObject, ...]


def read_voc_file(path: Path) -> VocFile:
    """Return the content of the XML file ``path``; boxes of parts inside objects are left out.

    Raises FileNotFoundError, or ValueError naming the file, the object, the tag and the value.
    """
    root = parse_xml(path)
    if root.tag != _ROOT:
        raise ValueError(
            f"{shown_path(path)} begins with <{root.tag}>, and is no file of Pascal VOC, which "
            f"begins with <{_ROOT}>"
        )
    size = root.find("size")
    sides = (0, 0)
    if size is not None:
        height, width = (_side(size, tag, f"{shown_path(path)}: <size>") for tag in _HEIGHT_WIDTH)
        sides = (height, width) if height and width else (0, 0)
    objects = tuple(
        _object(each, f"{shown_path(path)}: <object> {n}")
        for n, each in enumerate(root.findall("object"), start=1)
    )
    return VocFile(_text(root, "filename"), sides, objects)


def is_voc_file(path: Path) -> bool:
    """Whether ``path`` is an XML file whose root is that of Pascal VOC."""
    try:
        return parse_xml(path).tag == _ROOT
    except (FileNotFoundError, ValueError):
        return False


def _object(element: Element, where: str) -> VocObject:
    name = _text(element, "name")
    if not name:
        raise ValueError(f"{where} has no <name>; give the name of its class")
    difficult = flag(_text(element, "difficult"), Otherwise())
    if difficult is None:
        found = short(_text(element, "difficult"))
        raise ValueError(f"{where}: <difficult> is {found}, not 0 or 1")
    box = element.find("bndbox")
    if box is None:
        raise ValueError(f"{where} has no <bndbox>; give one, or take the object out")
    x1, y1, x2, y2 = (_number(box, tag, f"{where}: <bndbox>") for tag in _SIDES)
    return VocObject(name, (x1 - 1, y1 - 1, x2, y2), difficult)


def _side(element: Element, tag: str, where: str) -> int:
    """Return a side of the picture in pixels, 0 if it is not given."""
    if not _text(element, tag):
        return 0
    side = _number(element, tag, where)
    if side != int(side) or not 0 <= side < _LONGEST:
        raise ValueError(f"{where}: <{tag}> is {short(_text(element, tag))}, no number of pixels")
    return int(side)


def _number(element: Element, tag: str, where: str) -> float:
    text = _text(element, tag)
    value = number(text, Otherwise())
    if math.isnan(value):
        found = f"is {short(text)}, not a number" if text else "is missing"
        raise ValueError(f"{where}: <{tag}> {found}; give pixels")
    return value


def _text(element: Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()
