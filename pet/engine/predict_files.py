"""Detections of image files, as pictures and as JSON files."""

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pet.config import CfgNode, cfg
from pet.data.image_file import read_image
from pet.engine.logging_setup import setup_logging
from pet.engine.predictor import Predictor
from pet.engine.progress import show_progress
from pet.evaluation.results import image_results
from pet.structures import Detections
from pet.utils.files import atomic_path
from pet.visualization.draw import draw_detections, save_picture

_logger = logging.getLogger(__name__)

_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def predict_files(
    paths: Sequence[str | Path],
    folder: str | Path | None = None,
    weights: str | Path | None = None,
    cfg: CfgNode = cfg,
) -> None:
    """Write what the model of ``cfg`` finds in image files into ``folder``.

    ``paths`` as in ``list_images``, ``weights`` as in ``Predictor``; ``folder`` is CKPT/predict
    unless it is given. For an image x.png there is x.jpg, a picture of the detections that score
    ``VIS.VIS_TH`` or more, and x.json with all of them; see ``name_outputs`` for a second x.

    A file that cannot be read is named and passed over; a ValueError names them all once the
    others are done. Raises before that what the functions named here raise.
    """
    setup_logging()
    files = list_images(paths, cfg)
    outputs = name_outputs(files, Path(folder or Path(cfg.CKPT, "predict")))
    predictor = Predictor(cfg, weights)
    unreadable: list[Path] = []
    progress = show_progress(files, "predicting", len(files), "images")
    for batch in _batched(progress, predictor.cfg.TEST.IMS_PER_GPU):
        images = {file: image for file in batch if (image := _read(file)) is not None}
        unreadable += [file for file in batch if file not in images]
        found = predictor(list(images.values()), batch_size=predictor.cfg.TEST.IMS_PER_GPU)
        for (file, image), detections in zip(images.items(), found, strict=True):
            _write(outputs[file], file, image, detections, predictor)
    if done := len(files) - len(unreadable):
        _logger.info("%d pictures and JSON files are in %s", done, outputs[files[0]].parent)
    if unreadable:
        names = ", ".join(map(str, unreadable))
        raise ValueError(f"{len(unreadable)} of {len(files)} images could not be read: {names}")


def list_images(paths: Sequence[str | Path], cfg: CfgNode = cfg) -> list[Path]:
    """Return the files that ``paths`` name, each once; a folder stands for the images right in it.

    These come in order of their names. Files need not exist. Raises ValueError where a folder has
    no images, or a path is a key of ``cfg``.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            images = [p for p in sorted(path.iterdir()) if p.suffix.lower() in _SUFFIXES]
            if not images:
                raise ValueError(f"the folder {path} has no images in it ({', '.join(_SUFFIXES)})")
            files += images
        elif path.exists() or re.split("[.=]", str(path))[0] not in cfg:
            files.append(path)
        else:
            raise ValueError(
                f"{path} is a config key and no image; the pairs KEY VALUE stand last, and "
                "another option between them and the images: --images A B --cfg FILE KEY VALUE"
            )
    return list({os.path.abspath(file): file for file in files}.values())


def name_outputs(files: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Return for each of ``files`` a path in ``folder`` to which a suffix can be added.

    It is the file's name without suffix, with _2, _3, ... behind it where an earlier one has it.
    Raises ValueError where a file lies in ``folder`` itself and might be overwritten.
    """
    outputs: dict[Path, Path] = {}
    taken: set[str] = set()
    for file in files:
        if file.parent.resolve() == folder.resolve():
            raise ValueError(
                f"the outputs cannot go into {folder}, which holds {file.name}, one of the images; "
                "give another folder"
            )
        name, number = file.stem, 1
        while name.lower() in taken:  # not all file systems tell upper case from lower
            number += 1
            name = f"{file.stem}_{number}"
        taken.add(name.lower())
        outputs[file] = folder / name
    return outputs


def detection_records(
    detections: Detections, class_names: Sequence[str], keypoint_shift: float = 0.0
) -> list[dict[str, Any]]:
    """Return a record of each detection, best first: as in COCO's results, plus the class's name.

    A record has ``category_id`` (the label), ``class_name``, ``bbox`` (x, y, width, height),
    ``score`` and, where there are masks, ``segmentation`` (RLE), where there are keypoints,
    ``keypoints`` (x, y and a third value of each), whose places are ``keypoint_shift`` less.
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


def _read(file: Path) -> np.ndarray | None:
    """Return the image, or None, having said why, where it cannot be read."""
    try:
        return read_image(file)
    except (OSError, ValueError) as error:
        _logger.warning("passed over: %s", error)
        return None


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
