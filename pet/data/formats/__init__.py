"""Formats of data sets beside COCO's, one file each, read as they lie on disk."""

from pet.data.formats.format import Format, Part, ReadRecords, Records
from pet.data.formats.lvis import LVIS
from pet.data.registry import DATASET_TYPES

__all__ = ["FORMATS", "Format", "Part", "ReadRecords", "Records"]

_ALL: tuple[Format, ...] = (LVIS,)
#: Name -> format; each is a type of data sets.
FORMATS = {each.name: each for each in _ALL}

for _format in FORMATS.values():
    DATASET_TYPES.register(_format.name, annotations=_format.annotations)(_format.dataset)
