"""COCO's average precision and recall, by pycocotools."""

import contextlib
import io
import json
import logging
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pet.annotations import Annotations
from pet.evaluation.ground_truth import annotations_of, ground_truth, make_coco
from pet.evaluation.oks import KeypointMetrics, check_sigmas
from pet.evaluation.result_file import read_results
from pet.evaluation.results import Record
from pet.structures.class_names import UNUSED_CLASS
from pet.utils.files import atomic_path

_logger = logging.getLogger(__name__)

# pycocotools' name -> the name in messages.
IOU_TYPES = {"bbox": "box", "segm": "mask", "keypoints": "keypoint"}


@dataclass(frozen=True)
class CocoMetrics:
    """COCO's twelve figures, in 0..1; -1 if there is no ground truth for a figure.

    AP is the mean over the IoU thresholds 0.50, 0.55 ... 0.95 and the classes, with at most 100
    detections per image; s, m and l are objects of area below 32², up to 96² and above, in pixels.
    """

    AP: float
    AP50: float  # at IoU 0.50 alone
    AP75: float
    APs: float
    APm: float
    APl: float
    AR1: float  # recall with at most 1 detection an image
    AR10: float
    AR100: float
    ARs: float
    ARm: float
    ARl: float
    per_class: Mapping[str, float | None]  # AP by class name; None: no ground truth
    per_class_50: Mapping[str, float | None]  # the same at IoU 0.50 alone
    summary: str  # the twelve figures as COCO prints them


_MOST_DETECTIONS = 100  # COCO's limit of detections per class and image

# In the order of COCOeval.stats.
FIGURES = tuple(field.name for field in fields(CocoMetrics))[:12]
KEYPOINT_FIGURES = tuple(field.name for field in fields(KeypointMetrics))[:10]

Metrics = CocoMetrics | KeypointMetrics


def evaluate_coco(
    truth: str | Path | Annotations,
    result_files: Mapping[str, str | Path],
    image_ids: Sequence[int],
    class_names: Sequence[str],
    category_ids: Sequence[int],
    keypoint_sigmas: Sequence[float] = (),
) -> dict[str, Metrics]:
    """Evaluate result files on the images ``image_ids`` against ``truth``, and log the figures.

    ``truth`` is an annotation file in COCO's format, or the ``Annotations`` read from it.
    ``result_files`` maps "bbox", "segm" and "keypoints" to files in COCO's result format. Class
    ``class_names[i]`` is category ``category_ids[i]``; ``keypoint_sigmas`` as in ``KRCNN.SIGMAS``.
    A class named ``UNUSED_CLASS`` that the annotation file does not have is ignored: it is not in
    the table or the means, and its detections do not count. Raises FileNotFoundError for a missing
    file, and ValueError for a malformed file or one with other images or categories.
    """
    table = annotations_of(truth, tuple(result_files))
    if not image_ids:
        raise ValueError(f"there are no images to evaluate in {table.file}")
    classes = scored_classes(table, class_names, category_ids)
    warn_of_many_objects(table, image_ids)
    metrics = {}
    for iou_type, path in result_files.items():
        coco = ground_truth(table, iou_type, image_ids)
        records = read_results(path, iou_type, set(image_ids), set(category_ids))
        metrics[iou_type] = _evaluate(coco, records, iou_type, classes, keypoint_sigmas)
        _logger.info("%s", format_metrics(iou_type, metrics[iou_type]))
    return metrics


def scored_classes(
    table: Annotations, class_names: Sequence[str], category_ids: Sequence[int]
) -> list[tuple[str, int]]:
    """Return name and category id of each class to score; unused labels are left out.

    Raises ValueError if ``table`` lacks the category of a class.
    """
    known = {category["id"] for category in table.categories}
    pairs = zip(class_names, category_ids, strict=True)
    classes = [(name, c) for name, c in pairs if c in known or name != UNUSED_CLASS]
    foreign = sorted({c for _, c in classes} - known)
    if foreign:
        raise ValueError(f"{table.file} has no categories {foreign}; it has {sorted(known)}")
    return classes


def warn_of_many_objects(table: Annotations, image_ids: Sequence[int]) -> None:
    """Warn of images with more objects of a class than the detections that COCO counts (100)."""
    places = table.places(image_ids)
    chosen = np.isin(table.image_of, places) & (table.box_flaws == 0) & ~table.crowds
    pairs = np.stack((table.image_of[chosen], table.category_ids[chosen]), axis=1)
    pairs, counts = np.unique(pairs, axis=0, return_counts=True)
    over = np.flatnonzero(counts > _MOST_DETECTIONS)
    if len(over):
        most = over[counts[over].argmax()]
        _logger.warning(
            "%d images have more than %d objects of one class, the most image %d with %d: COCO's "
            "figures count the %d best detections of a class in an image, so that AP and AR cannot "
            "reach 1",
            len(np.unique(pairs[over, 0])),
            _MOST_DETECTIONS,
            table.image_ids[pairs[most, 0]],
            counts[most],
            _MOST_DETECTIONS,
        )


def write_metrics(path: str | Path, metrics: Mapping[str, Any]) -> None:
    """Write ``metrics``, dataclasses by kind, as JSON.

    It has no ``summary`` and no AP50 of each class. The AP of a class without ground truth is null.
    """
    content = {kind: asdict(figures) for kind, figures in metrics.items()}
    for figures in content.values():
        del figures["summary"]
        figures.pop("per_class_50", None)
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def format_metrics(iou_type: str, metrics: Metrics) -> str:
    """Return COCO's twelve lines (ten for keypoints), followed by the AP of each class."""
    name = IOU_TYPES[iou_type]
    return (
        f"COCO {name} scores ({iou_type}):\n{metrics.summary}\n"
        f"{name} AP of each class:\n{format_per_class(metrics.per_class)}"
    )


def format_per_class(per_class: Mapping[str, float | None], width: int = 100) -> str:
    """Return "class  AP" pairs in as many aligned columns as fit ``width``, column by column."""
    if not per_class:
        return "  (no classes)"
    longest = max(map(display_width, per_class))
    cells = [
        f"  {name}{' ' * (longest - display_width(name))}  {_format_score(score)}"
        for name, score in per_class.items()
    ]
    columns = max(width // (longest + 11), 1)
    rows = -(-len(cells) // columns)
    lines = ("  ".join(cells[row::rows]) for row in range(rows))
    return "\n".join(line.rstrip() for line in lines)


def _format_score(score: float | None) -> str:
    return "    -" if score is None else f"{score:.3f}"


def display_width(text: str) -> int:
    """Return the width of ``text`` on a terminal; wide characters, as in Chinese, count twice."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _evaluate(
    truth: COCO,
    records: list[Record],
    iou_type: str,
    classes: Sequence[tuple[str, int]],
    sigmas: Sequence[float] = (),
) -> Metrics:
    """Run pycocotools on ``classes`` (name, category id) and capture its printed summary."""
    if not truth.anns:
        _logger.warning("the images have no annotations, so every %s figure is -1", iou_type)
    elif not records:
        _logger.warning(
            "there are no detections at all, so every %s figure is 0; a model trained for longer, "
            "or a lower FAST_RCNN.SCORE_THRESH (RETINANET.SCORE_THRESH), would give some",
            iou_type,
        )
    with contextlib.redirect_stdout(io.StringIO()):
        found = truth.loadRes(records) if records else make_coco([], [], [])
        evaluation = COCOeval(truth, found, iou_type)
        if iou_type == "keypoints":
            evaluation.params.kpt_oks_sigmas = _sigmas_of(truth, records, sigmas)
        evaluation.params.imgIds = sorted(truth.imgs)
        evaluation.params.catIds = sorted(category for _, category in classes)
        evaluation.evaluate()
        evaluation.accumulate()
    with contextlib.redirect_stdout(io.StringIO()) as summary:
        evaluation.summarize()
    stats = [float(figure) for figure in evaluation.stats]
    precision = evaluation.eval["precision"]  # (IoU, recall, class, area, detections)
    values: dict[str, Any] = {
        "per_class": _per_class(precision, classes),
        "per_class_50": _per_class(precision[:1], classes),
        "summary": summary.getvalue().rstrip("\n"),
    }
    if iou_type == "keypoints":
        values |= zip(KEYPOINT_FIGURES, stats, strict=True)
        return KeypointMetrics(**values)
    values |= zip(FIGURES, stats, strict=True)
    return CocoMetrics(**values)


def _sigmas_of(truth: COCO, records: list[Record], sigmas: Sequence[float]) -> np.ndarray:
    """Return ``sigmas``, checked against the number of keypoints of annotations and results."""
    objects = [*truth.anns.values(), *records]
    counts = sorted({len(each["keypoints"]) / 3 for each in objects})
    if len(counts) > 1:
        raise ValueError(
            "objects of the annotation file and the result file differ in their number of "
            f"keypoints: {', '.join(f'{count:g}' for count in counts)}"
        )
    if counts:
        check_sigmas(int(counts[0]), sigmas)
    return np.array(sigmas)


def _per_class(
    precision: np.ndarray, classes: Sequence[tuple[str, int]]
) -> dict[str, float | None]:
    """Return the AP of each class from ``precision`` (IoU, recall, class, area, detections)."""
    scores: dict[str, float | None] = {}
    order = sorted(category for _, category in classes)
    for name, category in classes:
        values = precision[:, :, order.index(category), 0, -1]
        key = name if name not in scores else f"{name} ({category})"
        scores[key] = float(values.mean()) if (values > -1).all() else None
    return scores
