"""Where the parts of a YOLO data set lie: its pictures, and the labels of each."""

import os
from collections.abc import Iterator
from pathlib import Path

from pet.data.formats.format import Part
from pet.data.formats.pictures import list_pictures
from pet.data.formats.yolo_yaml import SPLITS, YoloFile, find_data_yaml, read_data_yaml
from pet.data.picture_check import resolve_names

_PICTURES, _LABELS = "images", "labels"
#: Text files of the parts, which CVAT and Darknet write beside an obj.names.
_LISTS = {"train": ("train.txt",), "val": ("val.txt", "valid.txt"), "test": ("test.txt",)}


def find(folder: Path) -> tuple[Part, ...]:
    """Return the parts of the YOLO data set in ``folder``, () if there is none.

    Raises FileNotFoundError if no split of its data.yaml is there, and ValueError for a broken one.
    """
    file = find_data_yaml(folder)
    if file is not None:
        yolo = read_data_yaml(file)
        if yolo.splits:
            return _parts_of_yaml(yolo)
    if (folder / "obj.names").is_file():
        lists = [
            (name, folder / file)
            for name, files in _LISTS.items()
            for file in files
            if (folder / file).is_file()
        ]
        return tuple(part for name, path in lists for part in _part_of_list(name, path))
    return _parts_of_folders(folder, file)


def label_folder(pictures: Path) -> Path:
    """Return the folder of the labels of the pictures directly in ``pictures``.

    The last folder named images is exchanged for labels; without one, or if the result does not
    exist, the labels lie beside the pictures.
    """
    parts = list(Path(os.path.abspath(pictures)).parts)
    for place in reversed(range(len(parts))):
        if parts[place] == _PICTURES:
            parts[place] = _LABELS
            labels = Path(*parts)
            return labels if labels.is_dir() else pictures
    return pictures


def pictures_of_split(yolo: YoloFile, images: Path) -> list[str]:
    """Return the names of the pictures under ``images`` that a data.yaml means.

    These are all of them, unless ``images`` is the folder in which all folders of one of its splits
    lie. Raises ValueError if that is so of two splits.
    """
    wanted = os.path.realpath(images)
    lists = {split: _existing(yolo, split) for split in yolo.splits}
    found = {
        split: paths
        for split, paths in lists.items()
        if len(paths) > 1 and os.path.realpath(_common_folder(paths)) == wanted
    }
    if not found:
        return list_pictures(images)
    if len(found) > 1:
        raise ValueError(
            f"{yolo.path}: the folders of {' and '.join(found)} all lie in {images}, so that it "
            "does not tell which are meant; give one of them as DATASETS.<name>.IMAGES, or write "
            "the paths of the pictures into a text file and give it as DATASETS.<name>.ANNOTATIONS"
        )
    (folders,) = found.values()
    names = {
        Path(os.path.relpath(folder, images), name).as_posix()
        for folder in folders
        for name in list_pictures(folder)
    }
    return sorted(names)


def pictures_of_list(file: Path, images: Path) -> list[str]:
    """Return the names, relative to ``images``, of the pictures that a text file lists.

    Its paths are relative to the folder of the file; only their ends count if that leads nowhere.
    Raises ValueError if it lists none, and FileNotFoundError for pictures that are not there.
    """
    lines = _lines(file)
    if not lines:
        raise ValueError(f"{file} lists no pictures; give a path in each line")
    found, missing = resolve_names(file.parent, lines)
    names = [Path(os.path.relpath(file.parent / name, images)).as_posix() for name in found]
    others, lost = resolve_names(images, [lines[place] for place in missing])
    for place, name in zip(missing, others, strict=True):
        names[place] = name
    if lost:
        raise FileNotFoundError(
            f"{len(lost)} of the {len(lines)} pictures that {file} lists are not there, such as "
            f"{lines[missing[lost[0]]]}, which was looked for from {file.parent} and {images}"
        )
    return sorted(set(names))


def _parts_of_yaml(yolo: YoloFile) -> tuple[Part, ...]:
    parts = [part for split in yolo.splits for part in _part_of_yaml(yolo, split)]
    if not parts:
        split, texts = next(iter(yolo.splits.items()))
        raise FileNotFoundError(
            f"{yolo.path}: {split} is {texts[0]}, but there is nothing at "
            f"{' or '.join(map(str, _candidates(yolo, texts[0])))}"
        )
    labelled = [part for part in parts if part.annotations != yolo.path or _has_labels(part.images)]
    return tuple(labelled or parts)


def _part_of_yaml(yolo: YoloFile, split: str) -> Iterator[Part]:
    paths = _existing(yolo, split)
    files = [path for path in paths if path.is_file()]
    if files and len(paths) > 1:
        raise ValueError(
            f"{yolo.path}: {split} is a list with a text file, {files[0].name}; give folders, or "
            "one text file"
        )
    if files:
        yield from _part_of_list(split, files[0])
    elif paths:
        yield Part(split, _common_folder(paths), yolo.path)


def _part_of_list(name: str, file: Path) -> Iterator[Part]:
    """Yield the part whose pictures ``file`` lists, if they have labels."""
    lines = _lines(file)
    found, missing = resolve_names(file.parent, lines)
    lost = set(missing)
    folders = {
        Path(os.path.normpath(file.parent / name)).parent
        for place, name in enumerate(found)
        if place not in lost
    }
    if any(_has_labels(folder) for folder in folders):
        yield Part(name, _common_folder(sorted(folders)), file)


def _parts_of_folders(folder: Path, file: Path | None) -> tuple[Part, ...]:
    """Return the parts that lie as images/train and labels/train, or train/images, or undivided."""
    parts = []
    for name, keys in SPLITS.items():
        for key in keys:
            for images in (folder / _PICTURES / key, folder / key / _PICTURES):
                labels = label_folder(images)
                if images.is_dir() and labels != images and _is_labels(labels):
                    parts.append(Part(name, images, file or labels))
    images, labels = folder / _PICTURES, folder / _LABELS
    if not parts and images.is_dir() and _is_labels(labels):
        parts.append(Part("all", images, file or labels))
    return tuple(parts)


def _existing(yolo: YoloFile, split: str) -> list[Path]:
    """Return the folders and files of a split that exist."""
    found = []
    for text in yolo.splits[split]:
        there = [path for path in _candidates(yolo, text) if os.path.exists(path)]
        found += there[:1]
    return found


def _candidates(yolo: YoloFile, text: str) -> list[Path]:
    """Return the paths that an entry of a split may mean, the likeliest first.

    ``path`` is often that of another machine. Roboflow writes ../train for the folder train beside
    its data.yaml.
    """
    folder = yolo.path.parent
    text = text.replace("\\", "/")
    inside = text
    while inside.startswith("../"):
        inside = inside.removeprefix("../")
    paths = [root / name for name in (text, inside) for root in (folder / yolo.root, folder)]
    return list(dict.fromkeys(Path(os.path.normpath(path)) for path in paths))


def _common_folder(paths: list[Path]) -> Path:
    return Path(os.path.commonpath([os.path.abspath(path) for path in paths]))


def _has_labels(pictures: Path) -> bool:
    return label_folder(pictures) != pictures or next(pictures.rglob("*.txt"), None) is not None


def _is_labels(folder: Path) -> bool:
    """Whether ``folder`` has a text file whose first line begins with the number of a class."""
    files = folder.rglob("*.txt") if folder.is_dir() else iter(())
    file = next((path for path in files if path.name != "classes.txt"), None)
    if file is None:
        return False
    with open(file, "rb") as opened:
        first = opened.readline(1000).split()
    return not first or first[0].removesuffix(b".0").isdigit()


def _lines(file: Path) -> list[str]:
    """Return the paths in a text file."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"the list of pictures {file} is no text in UTF-8; save it so") from None
    return [line.strip() for line in lines if line.strip()]
