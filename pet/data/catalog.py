"""The data sets that a config can name, and where their files lie."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from pet.config import CfgNode, UnknownNameError, cfg
from pet.data.datasets import draw_shapes

#: Name -> folder of the images and annotation file, under the folder of COCO.
_COCO = {
    "coco_2017_train": ("train2017", "annotations/instances_train2017.json"),
    "coco_2017_val": ("val2017", "annotations/instances_val2017.json"),
    "coco_2017_keypoints_train": ("train2017", "annotations/person_keypoints_train2017.json"),
    "coco_2017_keypoints_val": ("val2017", "annotations/person_keypoints_val2017.json"),
}
_COCO_FOLDERS = ("coco2017", "coco", "")  # under DATA_DIR, in the order they are tried

#: Name -> the same, under the folder of the drawn shapes.
_SHAPES = {
    "shapes_train": ("train", "annotations/instances_train.json"),
    "shapes_val": ("val", "annotations/instances_val.json"),
}


@dataclass(frozen=True)
class DatasetFiles:
    """Where a data set lies; both paths exist."""

    name: str
    type: str  # file format of the annotations, as in DATASETS.<name>.TYPE
    images: Path  # folder
    annotations: Path  # file
    max_images: int = 0  # only the first so many by image id; 0 for all


def dataset_names(cfg: CfgNode = cfg) -> tuple[str, ...]:
    """Return every name that ``TRAIN.DATASETS`` and ``TEST.DATASETS`` may hold."""
    return tuple(dict.fromkeys((*cfg.DATASETS, *_COCO, *_SHAPES)))


def find_dataset(name: str, cfg: CfgNode = cfg) -> DatasetFiles:
    """Return where data set ``name`` lies; draws the shapes where they are asked for first.

    A ``DATASETS`` block wins over a built-in name. Raises KeyError for an unknown name, ValueError
    for an unfinished block and FileNotFoundError, naming every path tried, for missing files.
    """
    data_dir = Path(cfg.DATA_DIR).expanduser()
    if name in cfg.DATASETS:
        return _find_block(name, cfg.DATASETS[name], data_dir)
    if name in _COCO:
        roots = [data_dir / folder for folder in _COCO_FOLDERS]
        remedy = (
            "download images and annotations from https://cocodataset.org/#download and set "
            "DATA_DIR to their folder, or give DATASETS."
            f"{name}.IMAGES and DATASETS.{name}.ANNOTATIONS"
        )
        pairs = [tuple(root / part for part in _COCO[name]) for root in roots]
        return _first_present(name, pairs, remedy)
    if name in _SHAPES:
        root = draw_shapes(data_dir)
        images, annotations = _SHAPES[name]
        return DatasetFiles(name, "coco", root / images, root / annotations)
    near = difflib.get_close_matches(name, dataset_names(cfg), n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UnknownNameError(
        f"no data set named {name!r}; {hint}there are {', '.join(dataset_names(cfg))}; add your "
        f"own with DATASETS.{name}.IMAGES FOLDER DATASETS.{name}.ANNOTATIONS FILE"
    )


def _find_block(name: str, block: CfgNode, data_dir: Path) -> DatasetFiles:
    found = {}
    for key in ("IMAGES", "ANNOTATIONS"):
        if not block[key]:
            raise ValueError(f"DATASETS.{name}.{key} is empty; give the path")
        path = Path(block[key]).expanduser()
        # Joining an absolute path to a folder gives that path again: it is tried once.
        tried = list(dict.fromkeys((path, data_dir / path)))
        present = [place for place in tried if _is_there(place, key)]
        if not present:
            what = "image folder" if key == "IMAGES" else "annotation file"
            raise FileNotFoundError(
                f"data set {name!r}: no {what} at {' or '.join(str(p.absolute()) for p in tried)}; "
                f"set DATASETS.{name}.{key}, or DATA_DIR if the path is relative to it"
            )
        found[key] = present[0]
    return DatasetFiles(name, block.TYPE, found["IMAGES"], found["ANNOTATIONS"], block.MAX_IMAGES)


def _first_present(name: str, pairs: list[tuple[Path, ...]], remedy: str) -> DatasetFiles:
    """Return the first pair of image folder and annotation file of which both exist."""
    for images, annotations in pairs:
        if images.is_dir() and annotations.is_file():
            return DatasetFiles(name, "coco", images, annotations)
    tried = [
        f"{path.absolute()} ({'found' if path.exists() else 'missing'})"
        for pair in pairs
        for path in pair
    ]
    raise FileNotFoundError(
        f"data set {name!r}: its image folder and annotation file do not lie side by side in any "
        f"of the places tried: {', '.join(tried)}; {remedy}"
    )


def _is_there(path: Path, key: str) -> bool:
    return path.is_dir() if key == "IMAGES" else path.is_file()
