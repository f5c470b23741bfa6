"""The data sets that a config can name, and the paths of their files."""

import difflib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pet.config import CfgNode, UnknownNameError, cfg, expand_home
from pet.config.data_folder import PART_PREFIX
from pet.data.datasets import draw_shapes
from pet.data.folder import find_part
from pet.data.registry import DATASET_TYPES

#: Name -> folder of the images and annotation file, under the folder of COCO.
_COCO = {
    "coco_2017_train": ("train2017", "annotations/instances_train2017.json"),
    "coco_2017_val": ("val2017", "annotations/instances_val2017.json"),
    "coco_2017_keypoints_train": ("train2017", "annotations/person_keypoints_train2017.json"),
    "coco_2017_keypoints_val": ("val2017", "annotations/person_keypoints_val2017.json"),
}
_COCO_FOLDERS = ("coco2017", "coco", "")  # under DATA_DIR, in the order they are tried

#: Name -> year of Pascal VOC, and the list of names in its ImageSets.
_VOC = {
    "voc_2007_trainval": ("VOC2007", "Main/trainval.txt"),
    "voc_2007_test": ("VOC2007", "Main/test.txt"),
    "voc_2012_train": ("VOC2012", "Main/train.txt"),
    "voc_2012_val": ("VOC2012", "Main/val.txt"),
    "voc_2012_trainval": ("VOC2012", "Main/trainval.txt"),
    "voc_2012_seg_train": ("VOC2012", "Segmentation/train.txt"),
    "voc_2012_seg_val": ("VOC2012", "Segmentation/val.txt"),
}
_VOC_FOLDERS = ("VOCdevkit", "")  # under DATA_DIR, in the order they are tried

#: Name -> folder of the images and annotation file, under the folder of the drawn shapes.
_SHAPES = {
    "shapes_train": ("train", "annotations/instances_train.json"),
    "shapes_val": ("val", "annotations/instances_val.json"),
}

#: Name -> annotation file of LVIS; its pictures are those of COCO.
_LVIS = {"lvis_v1_train": "lvis_v1_train.json", "lvis_v1_val": "lvis_v1_val.json"}

#: Field of a block -> the word for its files in messages.
_CALLED = {"IMAGES": "image", "ANNOTATIONS": "annotation"}
#: The result of ``_lack`` for a path that does not exist.
_MISSING = "missing"
#: Most files of a folder that a message names.
_MOST_NAMED = 5


@dataclass(frozen=True)
class DatasetFiles:
    """The paths and options of a data set; both paths exist."""

    name: str
    type: str  # file format of the annotations, as in DATASETS.<name>.TYPE
    images: Path  # folder
    annotations: Path  # file, or folder if the type takes one
    max_images: int = 0  # only the first so many by image id; 0 for all
    classes: tuple[str, ...] = ()  # names of the labels 1..K; () takes those of the annotations


def dataset_names(cfg: CfgNode = cfg) -> tuple[str, ...]:
    """Return every name that ``TRAIN.DATASETS`` and ``TEST.DATASETS`` may hold."""
    return tuple(dict.fromkeys((*cfg.DATASETS, *_COCO, *_VOC, *_LVIS, *_SHAPES)))


def find_dataset(name: str, cfg: CfgNode = cfg) -> DatasetFiles:
    """Return the files of data set ``name``; draws the shapes when they are first asked for.

    A ``DATASETS`` block overrides a built-in name. Raises KeyError for an unknown name or type,
    ValueError for an incomplete block or a path that is of another kind or not accessible, and
    FileNotFoundError, naming every path tried, for missing files.
    """
    data_dir = Path(expand_home(cfg.DATA_DIR, "DATA_DIR"))
    if name in cfg.DATASETS:
        return _find_block(name, cfg.DATASETS[name], data_dir)
    if name.startswith(PART_PREFIX):
        return _find_part_of_data(name, cfg)
    if name in {*_COCO, *_VOC, *_LVIS, *_SHAPES}:
        _check_data_dir(data_dir)
    if name in _LVIS:
        return _find_lvis(name, data_dir)
    if name in _COCO:
        roots = [data_dir / folder for folder in _COCO_FOLDERS]
        remedy = (
            "download images and annotations from https://cocodataset.org/#download and set "
            "DATA_DIR to their folder, or give DATASETS."
            f"{name}.IMAGES and DATASETS.{name}.ANNOTATIONS"
        )
        pairs = [tuple(root / part for part in _COCO[name]) for root in roots]
        return _first_present(name, "coco", pairs, remedy)
    if name in _VOC:
        return _find_voc(name, data_dir)
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


def _find_voc(name: str, data_dir: Path) -> DatasetFiles:
    year, names = _VOC[name]
    roots = [data_dir / folder / year for folder in _VOC_FOLDERS]
    remedy = (
        f"download {year} from http://host.robots.ox.ac.uk/pascal/VOC and set DATA_DIR to the "
        f"folder of VOCdevkit, or give DATASETS.{name}.TYPE voc, DATASETS.{name}.IMAGES and "
        f"DATASETS.{name}.ANNOTATIONS"
    )
    pairs = [(root / "JPEGImages", root / "ImageSets" / names) for root in roots]
    return _first_present(name, "voc", pairs, remedy)


def _find_lvis(name: str, data_dir: Path) -> DatasetFiles:
    """Return the files of a part of LVIS; the pictures are in the train2017 and val2017 of COCO."""
    roots = [data_dir / folder for folder in _COCO_FOLDERS]
    pairs: list[tuple[Path, ...]] = [
        (root / "train2017", folder / _LVIS[name])
        for root in roots
        for folder in (data_dir / "lvis", root / "annotations")
    ]
    remedy = (
        "download the annotations from https://www.lvisdataset.org/dataset and the images of COCO "
        "2017, train and val, from https://cocodataset.org/#download, and set DATA_DIR to their "
        f"folder, or give DATASETS.{name}.TYPE lvis, DATASETS.{name}.IMAGES, the folder that holds "
        f"train2017 and val2017, and DATASETS.{name}.ANNOTATIONS"
    )
    found = _first_present(name, "lvis", pairs, remedy)
    return replace(found, images=found.images.parent)


def _find_block(name: str, block: CfgNode, data_dir: Path) -> DatasetFiles:
    wanted = {"IMAGES": "folder", "ANNOTATIONS": DATASET_TYPES.kind_of_annotations(block.TYPE)}
    images, annotations = [
        _find_path(name, field, block[field], kind, data_dir) for field, kind in wanted.items()
    ]
    classes = tuple(block.get("CLASSES", ()))  # a block made in Python may lack it
    return DatasetFiles(name, block.TYPE, images, annotations, block.MAX_IMAGES, classes)


def _find_part_of_data(name: str, cfg: CfgNode) -> DatasetFiles:
    """Return the files of a part of the folder ``DATA``."""
    part = name.removeprefix(PART_PREFIX)
    if not cfg.DATA:
        raise ValueError(
            f"data set {name!r} is the part {part!r} of the folder DATA, which is empty; give the "
            "folder of your data: DATA FOLDER, or the option --data-path FOLDER"
        )
    found_as, found = find_part(Path(expand_home(cfg.DATA, "DATA")), part, cfg.MODEL.MASK_ON)
    return DatasetFiles(name, found_as, found.images, found.annotations)


def _find_path(name: str, field: str, given: str, wanted: str, data_dir: Path) -> Path:
    """Return the first existing path for ``given``, the value of ``DATASETS.name.field``.

    It must be ``wanted``: "file", "folder" or "file or folder".
    """
    key, what = f"DATASETS.{name}.{field}", f"{_CALLED[field]} {wanted}"
    if not given:
        raise ValueError(f"{key} is empty; give the path")
    path = Path(expand_home(given, key))
    # Joining an absolute path to a folder gives the same path, which is tried once.
    lacks = {place: _lack(place, wanted) for place in (path, data_dir / path)}
    for place, lack in lacks.items():
        if not lack:
            return place
    for place, lack in lacks.items():
        if place != path:
            _check_data_dir(data_dir)
        if lack != _MISSING:
            raise ValueError(
                f"data set {name!r}: {key} must be the {what}, but {place.absolute()} {lack}"
            )
    tried = " or ".join(str(place.absolute()) for place in lacks)
    raise FileNotFoundError(
        f"data set {name!r}: no {what} at {tried}; "
        f"set {key}, or DATA_DIR if the path is relative to it"
    )


def _check_data_dir(data_dir: Path) -> None:
    """Raise ValueError if ``DATA_DIR`` exists and is not a folder."""
    lack = _lack(data_dir, "folder")
    if lack not in ("", _MISSING):
        raise ValueError(f"DATA_DIR must be a folder, but {data_dir.absolute()} {lack}")


def _first_present(
    name: str, kind: str, pairs: Sequence[tuple[Path, ...]], remedy: str
) -> DatasetFiles:
    """Return the first pair of image folder and annotation file that both exist."""
    tried = []
    for images, annotations in pairs:
        lacks = {images: _lack(images, "folder"), annotations: _lack(annotations, "file")}
        if not any(lacks.values()):
            return DatasetFiles(name, kind, images, annotations)
        tried += [f"{path.absolute()} ({lack or 'found'})" for path, lack in lacks.items()]
    tried = list(dict.fromkeys(tried))
    raise FileNotFoundError(
        f"data set {name!r}: its image folder and annotation file do not lie side by side in any "
        f"of the places tried: {', '.join(tried)}; {remedy}"
    )


def _lack(path: Path, wanted: str) -> str:
    """Return the fault of ``path``, or "" if it is ``wanted``, as in ``_find_path``."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        is_link = path.is_symlink()
        return f"is a link to {os.readlink(path)}, which is not there" if is_link else _MISSING
    except NotADirectoryError:
        file = next((above for above in path.parents if above.is_file()), path.parent)
        return f"cannot be there, as {file.absolute()} is a file"
    except (OSError, ValueError) as error:
        return f"cannot be looked at: {getattr(error, 'strerror', None) or error}"
    found = "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else ""
    if not found:
        return "is neither a file nor a folder"
    if found in wanted.split(" or "):
        return ""
    if found == "folder":
        return f"is a folder; {_name_a_file(path)}"
    return f"is a file; name the folder, such as {path.parent}"


def _name_a_file(folder: Path) -> str:
    try:
        names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() == ".json")
    except OSError:
        names = []
    return f"name the file in it{': ' if names else ''}{', '.join(names[:_MOST_NAMED])}"
