"""Formats of data sets beside COCO's, one file each, read as they lie on disk."""

from pet.data.formats.coco import COCO
from pet.data.formats.format import Format, Part, ReadRecords, Records
from pet.data.formats.instance_png import INSTANCE_PNG
from pet.data.formats.labelme import LABELME
from pet.data.formats.lvis import LVIS
from pet.data.formats.voc import VOC
from pet.data.formats.yolo import YOLO
from pet.data.registry import DATASET_TYPES

__all__ = ["FORMATS", "Format", "Part", "ReadRecords", "Records"]

_ALL: tuple[Format, ...] = (COCO, LVIS, VOC, YOLO, LABELME, INSTANCE_PNG)
#: Name -> format; each is a type of data sets.
FORMATS = {each.name: each for each in _ALL}

for _format in FORMATS.values():
    if _format is COCO:  # its files are read without records, and registered with the types
        continue
    DATASET_TYPES.register(_format.name, annotations=_format.annotations)(_format.dataset)
