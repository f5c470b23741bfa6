"""Small data sets to train and to test on, clean until a test alters them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pet.config import CfgNode, default_cfg, freeze, merge_cfg_from_list
from pet.engine.data_check.check import Report, check_data
from pet.engine.data_check.findings import Finding
from pet.utils.opencv import cv2

HEIGHT, WIDTH = 48, 64
KEYS: dict[str, Any] = {
    "DEVICE": "cpu",
    "FPN.FPN_ON": True,
    "RPN.ANCHOR_SIZES": (16, 32, 64, 128, 256),
    "RPN.FG_IOU_THRESHOLD": 0.5,
    "TRAIN.DATASETS": ("train",),
    "TRAIN.SCALES": (HEIGHT,),
    "TEST.DATASETS": ("val",),
    "TEST.SCALE": HEIGHT,
}


@dataclass
class SmallSet:
    """A data set in COCO's format: images 1..n, and on each a cat and a dog."""

    folder: Path
    name: str
    count: int = 12
    content: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = range(1, self.count + 1)
        self.content = {
            "images": [
                {"id": n, "file_name": f"{n}.png", "height": HEIGHT, "width": WIDTH}
                for n in numbers
            ],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
            "annotations": [],
        }
        for n in numbers:
            self.add(n, [4, 4, 16, 16], 1)
            self.add(n, [32, 8, 24, 28], 2)

    def add(self, image_id: int, bbox: list[float], category: int, **fields: Any) -> None:
        """Add an annotation; the ids count from 1: image n has 2n - 1 and 2n at first."""
        x, y, width, height = bbox
        around = [x, y, x + width, y, x + width, y + height, x, y + height]
        entry = {"id": len(self.content["annotations"]) + 1, "image_id": image_id, "bbox": bbox}
        entry |= {"category_id": category, "segmentation": [around], "iscrowd": 0}
        self.content["annotations"].append(entry | {"area": width * height} | fields)

    def annotation(self, number: int) -> dict[str, Any]:
        return self.content["annotations"][number - 1]

    @property
    def images(self) -> Path:
        return self.folder / self.name

    def picture(self, image_id: int) -> Path:
        return self.images / self.content["images"][image_id - 1]["file_name"]

    def draw(self) -> None:
        """Write a picture of noise for each image, no two alike."""
        self.images.mkdir(parents=True, exist_ok=True)
        for entry in self.content["images"]:
            rng = np.random.default_rng([entry["id"], len(self.name)])
            noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            cv2.imwrite(str(self.images / entry["file_name"]), noise)

    def write(self) -> None:
        """Write the annotations."""
        self.file.write_text(json.dumps(self.content))

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.json"


@dataclass
class SmallData:
    """The two data sets, and the keys of a config for them."""

    folder: Path
    keys: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.train = SmallSet(self.folder, "train")
        self.val = SmallSet(self.folder, "val")
        for each in (self.train, self.val):
            each.draw()
            self.name(each)

    def name(self, each: SmallSet) -> None:
        """Give the config a block for a data set."""
        self.keys[f"DATASETS.{each.name}.IMAGES"] = str(each.images)
        self.keys[f"DATASETS.{each.name}.ANNOTATIONS"] = str(each.file)

    def cfg(self, **changes: Any) -> CfgNode:
        """Write the annotations, and return the frozen config; ``changes`` as SECTION__KEY."""
        for each in (self.train, self.val):
            each.write()
        node = default_cfg()
        values = KEYS | {"CKPT": str(self.folder / "run")} | self.keys
        values |= {key.replace("__", "."): value for key, value in changes.items()}
        merge_cfg_from_list([item for pair in values.items() for item in pair], node)
        freeze(node)
        return node

    def check(self, decode: bool = False, **changes: Any) -> Report:
        return check_data(self.cfg(**changes), decode)


def kinds(report: Report) -> dict[str, str]:
    """Return kind -> severity."""
    return {finding.kind: finding.severity for finding in report.findings}


def the(report: Report, kind: str) -> Finding:
    """Return the only finding of a kind."""
    (found,) = (finding for finding in report.findings if finding.kind == kind)
    return found
