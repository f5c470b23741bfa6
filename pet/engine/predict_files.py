"""Detections of image files, as pictures and as JSON files."""

import json
import logging
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pet.config import CfgNode, cfg
from pet.data.build import build_image_reader
from pet.data.image_file import ImageReader, shown_path
from pet.data.picture_check import looks_dark
from pet.engine.predictor import Predictor
from pet.evaluation.results import image_results
from pet.logger.progress import show_progress
from pet.logger.setup import setup_logging
from pet.structures import Detections
from pet.utils.files import atomic_path
from pet.visualization.draw import draw_detections, save_picture

_logger = logging.getLogger(__name__)

_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_MAX_STEM = 200  # bytes of an output's name; a file system takes 255, with suffixes
_MOST_NAMED = 5  # files that a warning names


def predict_files(
    paths: Sequence[str | Path],
    folder: str | Path | None = None,
    weights: str | Path | None = None,
    cfg: CfgNode = cfg,
) -> None:
    """Write the detections of the model of ``cfg`` in image files into ``folder``.

    ``paths`` as in ``list_images``, ``weights`` as in ``Predictor``; ``folder`` is by default
    CKPT/predict. An image x.png gives x.jpg, a picture of the detections that score ``VIS.VIS_TH``
    or more, and x.json with all of them; see ``name_outputs`` for a second x. Both are in pixels of
    the picture turned upright by its EXIF orientation, or, if ``INPUT.ORIENTATION`` is "stored",
    of the picture as stored.

    Unreadable files are logged and skipped; a ValueError names them all once the others are done.
    Raises, before that, the errors of the functions named here.
    """
    setup_logging()
    files = list_images(paths, cfg)
    outputs = name_outputs(files, Path(folder or Path(cfg.CKPT, "predict")))
    predictor = Predictor(cfg, weights)
    reader = build_image_reader(predictor.cfg)
    unreadable: list[Path] = []
    dark: list[Path] = []
    progress = show_progress(files, "predicting", len(files), "images")
    for batch in _batched(progress, predictor.cfg.TEST.IMS_PER_GPU):
        images = {f: image for f in batch if (image := _read(f, reader, dark)) is not None}
        unreadable += [file for file in batch if file not in images]
        found = predictor(list(images.values()), batch_size=predictor.cfg.TEST.IMS_PER_GPU)
        for (file, image), detections in zip(images.items(), found, strict=True):
            _write(outputs[file], file, image, detections, predictor)
    if dark:
        _warn_of_dark(dark, len(files))
    if done := len(files) - len(unreadable):
        _logger.info("%d pictures and JSON files are in %s", done, outputs[files[0]].parent)
    if unreadable:
        names = ", ".join(map(shown_path, unreadable))
        raise ValueError(f"{len(unreadable)} of {len(files)} images could not be read: {names}")


def list_images(paths: Sequence[str | Path], cfg: CfgNode = cfg) -> list[Path]:
    """Return the files that ``paths`` name, each once; a folder gives the images directly in it.

    The images of a folder are sorted by name. Files need not exist. Raises ValueError if a folder
    has no images, or a path is a key of ``cfg``.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if os.path.isdir(path):  # Path.is_dir raises if a name is too long
            images = [p for p in sorted(path.iterdir()) if p.suffix.lower() in _SUFFIXES]
            if not images:
                raise ValueError(f"the folder {path} has no images in it ({', '.join(_SUFFIXES)})")
            files += images
        elif os.path.exists(path) or re.split("[.=]", str(path))[0] not in cfg:
            files.append(path)
        else:
            raise ValueError(
                f"{path} is a config key and no image; the pairs KEY VALUE stand last, and "
                "another option between them and the images: --images A B --cfg FILE KEY VALUE"
            )
    return list({os.path.abspath(file): file for file in files}.values())


def name_outputs(files: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Return a path in ``folder``, without suffix, for each of ``files``.

    It is the file's name without its suffix, shortened if very long, followed by _2, _3, ... if an
    earlier file has the same. Raises ValueError if a file lies in ``folder`` itself and might be
    overwritten.
    """
    outputs: dict[Path, Path] = {}
    taken: set[str] = set()
    for file in files:
        if _is_one_folder(file.parent, folder):
            raise ValueError(
                f"the outputs cannot go into {folder}, which holds {file.name}, one of the images; "
                "give another folder"
            )
        # OpenCV does not write to names with bytes that are not valid text.
        stem = file.stem.encode("utf-8", "replace")[:_MAX_STEM].decode("utf-8", "ignore")
        name, number = stem, 1
        while _plain(name) in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(_plain(name))
        outputs[file] = folder / name
    return outputs


def _is_one_folder(first: Path, second: Path) -> bool:
    try:
        return first.resolve() == second.resolve()
    except (OSError, ValueError, RuntimeError):  # an impossible folder name, a loop of links
        return False


def _plain(name: str) -> str:
    """Return one form for names that some file systems treat as the same."""
    return unicodedata.normalize("NFKC", name).casefold()


def detection_records(
    detections: Detections, class_names: Sequence[str], keypoint_shift: float = 0.0
) -> list[dict[str, Any]]:
    """Return a record of each detection, best first: as in COCO's results, plus the class's name.

    A record has ``category_id`` (the label), ``class_name``, ``bbox`` (x, y, width, height) and
    ``score``; with masks, ``segmentation`` (RLE); with keypoints, ``keypoints`` (x, y and a third
    value of each), where ``keypoint_shift`` is subtracted from x and y; and ``extras``, as
    ``image_results`` writes them, if a part of the user predicts some.
    """
    labels = range(1, len(class_names) + 1)
    kinds = image_results(0, detections, labels, keypoint_shift).records.values()
    records = []
    for parts in zip(*kinds, strict=True):
        record = {"class_name": class_names[parts[0]["category_id"] - 1]}
        for part in parts:
            record |= part
        del record["image_id"]
        records.append(record)
    return records


def _batched(items: Iterable[Path], size: int) -> Iterator[list[Path]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _read(file: Path, reader: ImageReader, dark: list[Path]) -> np.ndarray | None:
    """Return the image; if it cannot be read, log the reason and return None.

    A file that uses few of its 16 bits is added to ``dark``.
    """
    try:
        image = reader.read(file)
        if reader.bit_depth == 16 and looks_dark(file, image):
            dark.append(file)
        return image
    except (OSError, ValueError) as error:
        _logger.warning("passed over: %s", error)
        return None


def _warn_of_dark(dark: Sequence[Path], total: int) -> None:
    names = [shown_path(file) for file in dark[:_MOST_NAMED]] + ["…"] * (len(dark) > _MOST_NAMED)
    _logger.warning(
        "%d of %d images have 16 bits a channel and no value above 4095, so that they are nearly "
        "black to the model; if 12 bits are used, give INPUT.BIT_DEPTH 12: %s",
        len(dark),
        total,
        ", ".join(names),
    )


def _write(
    output: Path, file: Path, image: np.ndarray, detections: Detections, predictor: Predictor
) -> None:
    """Write the picture and the JSON file of one image."""
    names, layout = predictor.class_names, predictor.keypoint_layout
    picture = draw_detections(image, detections, names, predictor.cfg.VIS.VIS_TH, layout)
    save_picture(output.with_name(f"{output.name}.jpg"), picture)
    content = {
        "file": str(file),
        "height": image.shape[0],
        "width": image.shape[1],
        "detections": detection_records(detections, names, predictor.cfg.KRCNN.PIXEL_SHIFT),
    }
    with atomic_path(output.with_name(f"{output.name}.json")) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False), encoding="utf-8")
