"""The embedded data set: pictures of shapes that Pet draws itself, once, in COCO's layout."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pet.data.datasets.mask_polygons import mask_to_polygons
from pet.data.datasets.shapes_art import CLASS_NAMES, Picture, draw_picture
from pet.utils.opencv import cv2

#: Version of the drawings. A folder of another version is redrawn; raise it if pictures change.
VERSION = "1"
#: Split -> number of pictures.
PICTURES = {"train": 800, "val": 100}

_VERSION_FILE = "version.txt"


def draw_shapes(data_dir: Path) -> Path:
    """Return the folder ``data_dir``/shapes; draws it first if it is missing or outdated.

    It holds train/, val/ and annotations/instances_{train,val}.json. The folder gets its name only
    when it is complete, so that several processes may call this at once. Raises FileExistsError if
    the folder was made by something else.
    """
    root = data_dir / "shapes"
    if _drawn_version(root) == VERSION:
        return root
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".shapes-", dir=data_dir) as scratch:
        fresh = Path(scratch, "fresh")
        for number, (split, count) in enumerate(PICTURES.items()):
            _draw_split(fresh, split, count, seed=number)
        (fresh / _VERSION_FILE).write_text(VERSION, encoding="utf-8")
        _install(fresh, root, Path(scratch, "outdated"))
    return root


def _drawn_version(root: Path) -> str | None:
    """Return the version of the drawing in ``root``, or None if there is none."""
    try:
        return (root / _VERSION_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _install(fresh: Path, root: Path, outdated: Path) -> None:
    """Rename ``fresh`` to ``root``, unless another process was faster with the same drawing."""
    if _drawn_version(root) not in (None, VERSION):
        with suppress(FileNotFoundError):  # another process moved it away at this moment
            root.rename(outdated)
    try:
        fresh.rename(root)
    except OSError as error:
        if _drawn_version(root) != VERSION:
            raise FileExistsError(
                f"{root} is in the way of the shapes that Pet draws; move it elsewhere, or set "
                "DATA_DIR to another folder"
            ) from error


def _draw_split(root: Path, split: str, count: int, seed: int) -> None:
    """Draw ``count`` pictures of one split into ``root``, and write their annotations."""
    (root / split).mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    # Shown only on a terminal.
    for image_id in tqdm(range(1, count + 1), desc=f"drawing shapes_{split}", disable=None):
        picture = draw_picture(np.random.default_rng([seed, image_id]))
        name = f"{image_id:06d}.png"
        path = root / split / name
        if not cv2.imwrite(str(path), picture.image):
            raise OSError(f"cannot write {path}; is the disk full?")
        height, width = picture.image.shape[:2]
        images.append({"id": image_id, "file_name": name, "height": height, "width": width})
        annotations += _annotate(picture, image_id, len(annotations) + 1)
    categories = [{"id": label, "name": name} for label, name in enumerate(CLASS_NAMES, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    folder = root / "annotations"
    folder.mkdir(exist_ok=True)
    (folder / f"instances_{split}.json").write_text(json.dumps(content), encoding="utf-8")


def _annotate(picture: Picture, image_id: int, first_id: int) -> list[dict[str, Any]]:
    """Return COCO's annotations of the visible part of each shape, exact to the pixel."""
    annotations = []
    for offset, (label, mask) in enumerate(zip(picture.labels, picture.masks, strict=True)):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        left, top = int(columns[0]), int(rows[0])
        width, height = int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top
        annotations.append(
            {
                "id": first_id + offset,
                "image_id": image_id,
                "category_id": label,
                "iscrowd": 0,
                "bbox": [left, top, width, height],
                "area": int(mask.sum()),
                "segmentation": mask_to_polygons(mask),
            }
        )
    return annotations
