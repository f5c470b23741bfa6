"""A folder of Pascal VOC, drawn: pictures, XML files, lists, and PNGs of objects and classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pet.data.formats.voc_masks import VOC_CLASSES
from pet.utils.opencv import cv2

WIDTH, HEIGHT = 96, 64
BORDER = 255
_COLOURS = {"cat": (40, 200, 250), "dog": (250, 60, 60), "person": (60, 250, 60)}


@dataclass(frozen=True)
class Drawn:
    """An object: its class, x1, y1, x2, y2 in continuous pixels, and whether it is difficult."""

    name: str
    box: tuple[int, int, int, int]
    difficult: int = 0


#: Part -> picture -> its objects.
PARTS: dict[str, dict[str, Sequence[Drawn]]] = {
    "train": {
        "2007_000001": [Drawn("cat", (8, 8, 48, 40)), Drawn("person", (56, 4, 92, 60))],
        "2007_000002": [Drawn("dog", (10, 20, 50, 60)), Drawn("cat", (60, 10, 90, 30), 1)],
        "2007_000003": [Drawn("person", (0, 0, 40, 64))],
        "2007_000004": [Drawn("cat", (30, 12, 80, 52))],
    },
    "val": {
        "2007_000005": [Drawn("cat", (20, 16, 70, 50))],
        "2007_000006": [Drawn("person", (50, 0, 96, 64)), Drawn("dog", (4, 30, 40, 60))],
    },
}

_OBJECT = """
    <object>
        <name>{}</name><pose>Unspecified</pose><truncated>0</truncated>
        <difficult>{}</difficult>
        <bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>
    </object>"""


def voc_xml(name: str, objects: Sequence[Drawn], *, size: tuple[int, int] = (HEIGHT, WIDTH)) -> str:
    """Return the text of an XML file as VOC writes it, which counts pixels from 1."""
    text = "".join(
        _OBJECT.format(each.name, each.difficult, each.box[0] + 1, each.box[1] + 1, *each.box[2:])
        for each in objects
    )
    sides = f"<width>{size[1]}</width><height>{size[0]}</height><depth>3</depth>"
    return (
        f"<annotation>\n    <filename>{name}.jpg</filename>\n    <size>{sides}</size>{text}\n"
        "</annotation>\n"
    )


def draw_voc(folder: Path, parts: dict[str, dict[str, Sequence[Drawn]]] = PARTS) -> Path:
    """Draw VOCdevkit/VOC2012 in ``folder``, and return the path of VOC2012.

    Masks are the boxes without a margin of one pixel, which is the border (255) in both PNGs.
    """
    root = folder / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "Annotations", "SegmentationObject", "SegmentationClass"):
        (root / name).mkdir(parents=True)
    for kind in ("Main", "Segmentation"):
        (root / "ImageSets" / kind).mkdir(parents=True)
        for part, pictures in {**parts, "trainval": {**parts["train"], **parts["val"]}}.items():
            text = "".join(f"{name}\n" for name in pictures)
            (root / "ImageSets" / kind / f"{part}.txt").write_text(text)
    for pictures in parts.values():
        for name, objects in pictures.items():
            _draw(root, name, objects)
    return root


def _draw(root: Path, name: str, objects: Sequence[Drawn]) -> None:
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    numbers, kinds = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    for number, each in enumerate(objects, start=1):
        x1, y1, x2, y2 = each.box
        picture[y1:y2, x1:x2] = _COLOURS[each.name]
        for indices, value in ((numbers, number), (kinds, VOC_CLASSES.index(each.name) + 1)):
            indices[y1:y2, x1:x2] = BORDER
            indices[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1] = value
    cv2.imwrite(str(root / "JPEGImages" / f"{name}.jpg"), picture)
    (root / "Annotations" / f"{name}.xml").write_text(voc_xml(name, objects))
    write_indices(root / "SegmentationObject" / f"{name}.png", numbers)
    write_indices(root / "SegmentationClass" / f"{name}.png", kinds)


def write_indices(path: Path, indices: np.ndarray) -> None:
    """Write ``indices`` (H, W) uint8 as a PNG with a palette in which no colour is its index."""
    image = Image.fromarray(indices)
    image.putpalette([(7 * n + 3) % 256 for n in range(768)])
    assert image.mode == "P"
    image.save(path)
