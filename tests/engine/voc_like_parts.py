"""A file as a user writes one: Pascal VOC's XML, a file for each picture, as a type of data set.

Objects that are marked as difficult are neither trained on nor scored.
"""

from pathlib import Path
from xml.etree import ElementTree

from pet.annotations import annotations_from_records
from pet.data.datasets import CocoDataset
from pet.data.registry import DATASET_TYPES


@DATASET_TYPES.register("voc_like", annotations="folder")
def read_voc_like(name, images, annotations, classes, **options):
    label_of = {each: label for label, each in enumerate(classes, start=1)}
    pictures, objects = [], []
    for number, file in enumerate(sorted(Path(annotations).glob("*.xml")), start=1):
        tree = ElementTree.parse(file)
        size = {side: int(tree.findtext(f"size/{side}")) for side in ("height", "width")}
        pictures.append({"id": number, "file_name": tree.findtext("filename"), **size})
        for each in tree.iter("object"):
            if each.findtext("name") not in label_of:
                raise ValueError(f"{file}: DATASETS.{name}.CLASSES lacks {each.findtext('name')}")
            corners = (each.findtext(f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax"))
            x1, y1, x2, y2 = map(float, corners)
            objects.append(
                {
                    "image_id": number,
                    "category_id": label_of[each.findtext("name")],
                    # VOC counts pixels from 1, and both ends are inside.
                    "bbox": [x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1],
                    "ignore": each.findtext("difficult") == "1",
                }
            )
    categories = [{"id": label, "name": each} for each, label in label_of.items()]
    table = annotations_from_records(annotations, pictures, categories, objects)
    return CocoDataset(name, images, table, classes=classes, **options)
