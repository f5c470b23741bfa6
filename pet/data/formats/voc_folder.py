"""The parts of a Pascal VOC data set in a folder."""

from pathlib import Path

from pet.data.formats.format import Part
from pet.data.formats.voc_layout import OBJECTS, PICTURE_FOLDERS, XML_FOLDERS, has_xml
from pet.data.formats.voc_xml import is_voc_file

_PARTS = ("train", "val", "test")
#: Name of a part -> names of folders, such as those that Roboflow writes.
_PART_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


def find_voc(folder: Path) -> tuple[Part, ...]:
    """Return the parts of the data set in ``folder``, () if it is not of Pascal VOC.

    ``folder`` may be VOCdevkit, the folder that holds it, a folder such as VOC2012, one with XML
    files beside the pictures, or one with a folder of these kinds for each part. The parts are
    those of the lists in ImageSets/Main and, with names such as "train-masks", of
    ImageSets/Segmentation, whose pictures have masks; "train" is the list trainval if there are
    neither train nor val. Without lists all pictures are one part. If there are several years,
    such as VOC2007 and VOC2012, their names follow: "train-VOC2007".
    """
    years = [
        year
        for root in (folder, folder / "VOCdevkit")
        for year in sorted(root.glob("VOC[0-9]*"))
        if _parts(year)
    ]
    if years:
        return tuple(
            Part(f"{part.name}-{year.name}", part.images, part.annotations)
            if len(years) > 1
            else part
            for year in years
            for part in _parts(year)
        )
    return _parts(folder) or _from_part_folders(folder)


def _from_part_folders(folder: Path) -> tuple[Part, ...]:
    found = []
    for name, folders in _PART_FOLDERS.items():
        for each in folders:
            parts = _parts(folder / each)
            if len(parts) == 1:
                found.append(Part(name, parts[0].images, parts[0].annotations))
    return tuple(found)


def _parts(root: Path) -> tuple[Part, ...]:
    """Return the parts of one data set, of one year."""
    images = next((root / name for name in PICTURE_FOLDERS if (root / name).is_dir()), root)
    xml = next((root / name for name in XML_FOLDERS if _holds_voc(root / name)), None)
    if xml is None and _holds_voc(root):
        xml = root  # beside the pictures, or above their folder
    lists = root / "ImageSets"
    main = _lists(images, lists / "Main") or _lists(images, lists)
    masks = _lists(images, lists / "Segmentation") if (root / OBJECTS).is_dir() else ()
    with_masks = tuple(Part(f"{each.name}-masks", each.images, each.annotations) for each in masks)
    if xml is None:
        return with_masks
    return (*(main or (Part("all", images, xml),)), *with_masks)


def _lists(images: Path, folder: Path) -> tuple[Part, ...]:
    found = [Part(name, images, folder / f"{name}.txt") for name in _PARTS]
    there = [part for part in found if part.annotations.is_file()]
    whole = folder / "trainval.txt"
    if whole.is_file() and all(part.name == "test" for part in there):
        there.insert(0, Part("train", images, whole))
    return tuple(there)


def _holds_voc(folder: Path) -> bool:
    """Whether the first XML file in ``folder`` is one of Pascal VOC."""
    if not has_xml(folder):
        return False
    files = (path for path in folder.glob("*.xml") if not path.name.startswith("."))
    return is_voc_file(min(files))
