"""LVIS's average precision and recall, which only count classes that an image is verified for.

An image is verified for the classes of its annotations and those that it lists as absent. All other
detections are dropped, and so are those of a class that is not annotated exhaustively in the image,
where they match nothing. Source: Gupta et al. 2019, section 4, and lvis-api, whose figures are the
same. pycocotools matches, one class at a time: of 1203 classes each image is verified for a few.

T IoU thresholds, R recalls, K classes, A ranges of area.
"""

import contextlib
import io
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params

from pet.annotations import Annotations
from pet.annotations.federated import check_federated
from pet.annotations.table import FREQUENCIES, LISTS
from pet.evaluation.coco import IOU_TYPES, scored_classes
from pet.evaluation.ground_truth import annotations_of, ground_truth, make_coco
from pet.evaluation.result_file import read_results
from pet.evaluation.results import Record

_logger = logging.getLogger(__name__)

#: LVIS's limit of detections per image, of all classes together.
MOST_DETECTIONS = 300
#: The threshold of scores that published models are tested with.
USUAL_SCORE_THRESH = 0.0001

_Pairs = set[tuple[int, int]]  # of image id and category id


@dataclass(frozen=True)
class LvisMetrics:
    """LVIS's thirteen figures, in 0..1; -1 if there is no ground truth for a figure.

    AP is the mean over the IoU thresholds 0.50, 0.55 ... 0.95 and the classes with ground truth,
    with at most 300 detections per image; s, m and l are objects of area below 32², up to 96² and
    above, in pixels; r, c and f are classes in at most 10, in at most 100 and in more images of the
    training set.
    """

    AP: float
    AP50: float  # at IoU 0.50 alone
    AP75: float
    APs: float
    APm: float
    APl: float
    APr: float
    APc: float
    APf: float
    AR300: float  # LVIS prints AR@300, and ARs@300 and so on
    ARs: float
    ARm: float
    ARl: float
    per_class: Mapping[str, float | None]  # AP by class name; None: no ground truth
    summary: str  # the thirteen figures, one a line


FIGURES = tuple(field.name for field in fields(LvisMetrics))[:13]
_AREAS = ("", "s", "m", "l")  # in the order of pycocotools' ranges


def evaluate_lvis(
    truth: str | Path | Annotations,
    result_files: Mapping[str, str | Path],
    image_ids: Sequence[int],
    class_names: Sequence[str],
    category_ids: Sequence[int],
) -> dict[str, LvisMetrics]:
    """Evaluate result files on the images ``image_ids`` against ``truth``, and log the figures.

    ``truth`` is an annotation file of LVIS, or the ``Annotations`` read from it. The rest, and the
    errors, are as for ``evaluate_coco``; the kinds of results are "bbox" and "segm". Raises
    ValueError, too, if an image has no lists of classes, or a class no frequency.
    """
    table = annotations_of(truth, tuple(result_files))
    if not image_ids:
        raise ValueError(f"there are no images to evaluate in {table.file}")
    check_federated(table)
    classes = scored_classes(table, class_names, category_ids)
    metrics = {}
    for iou_type, path in result_files.items():
        coco = ground_truth(table, iou_type, image_ids)
        records = read_results(path, iou_type, set(image_ids), set(category_ids))
        metrics[iou_type] = _evaluate(coco, records, iou_type, classes, table)
        _logger.info(
            "LVIS %s scores (%s):\n%s", IOU_TYPES[iou_type], iou_type, metrics[iou_type].summary
        )
    return metrics


def warn_of_low_limit(name: str, most: int, key: str) -> None:
    """Warn if the model finds at most ``most`` objects in an image, and LVIS counts more.

    ``key`` is the config key of that limit; ``name`` is the data set.
    """
    if most < MOST_DETECTIONS:
        _logger.warning(
            "data set %s: LVIS counts %d detections of an image, but %s lets at most %d be found; "
            "raise it to %d, and lower the score threshold of the same section (SCORE_THRESH) to "
            "the usual %g, as most classes are rare",
            name,
            MOST_DETECTIONS,
            key,
            most,
            MOST_DETECTIONS,
            USUAL_SCORE_THRESH,
        )


def _evaluate(
    truth: COCO,
    records: list[Record],
    iou_type: str,
    classes: Sequence[tuple[str, int]],
    table: Annotations,
) -> LvisMetrics:
    """Score ``records`` of ``classes`` (name, category id) by ``truth``, class by class."""
    objects = _by_class(truth.anns.values())
    lists = {key: set(map(tuple, table.listed(key).tolist())) for key in LISTS}
    verified = lists[LISTS[0]] | {
        (entry["image_id"], category) for category, found in objects.items() for entry in found
    }
    if not objects:
        _logger.warning("the images have no annotations, so every %s figure is -1", iou_type)
    elif not records:
        _logger.warning("there are no detections at all, so every %s figure is 0", iou_type)
    found = _by_class(_counted(truth, records, verified))
    rule = Params(iouType=iou_type)
    ids = sorted(category for _, category in classes)
    shape = len(rule.iouThrs), len(rule.recThrs), len(ids), len(rule.areaRng)
    precision = np.full(shape, -1.0)  # (T, R, K, A)
    recall = np.full((shape[0], *shape[2:]), -1.0)  # (T, K, A)
    for place, category in enumerate(ids):
        if category in objects:
            one = _evaluate_class(
                truth, objects[category], found[category], iou_type, lists[LISTS[1]]
            )
            precision[:, :, place], recall[:, place] = one
    return _metrics(precision, recall, rule.iouThrs, classes, _frequencies(table, ids))


def _by_class(entries: Iterable[dict[str, Any]]) -> defaultdict[int, list[dict[str, Any]]]:
    """Return the entries of each category; those without area do not count in LVIS."""
    found = defaultdict(list)
    for entry in entries:
        if entry["area"] > 0:
            found[entry["category_id"]].append(entry)
    return found


def _counted(truth: COCO, records: list[Record], verified: _Pairs) -> list[dict[str, Any]]:
    """Return the best ``records`` of each image, as many as count, of its ``verified`` classes."""
    of_image = defaultdict(list)
    for record in records:
        of_image[record["image_id"]].append(record)
    kept = [
        record
        for some in of_image.values()
        # The sort is stable: of equal scores, the first in the file counts.
        for record in sorted(some, key=lambda record: -record["score"])[:MOST_DETECTIONS]
        if (record["image_id"], record["category_id"]) in verified
    ]
    if not kept:
        return []
    with contextlib.redirect_stdout(io.StringIO()):
        return truth.loadRes(kept).dataset["annotations"]


def _evaluate_class(
    truth: COCO,
    objects: list[dict[str, Any]],
    found: list[dict[str, Any]],
    iou_type: str,
    not_exhaustive: _Pairs,
) -> tuple[np.ndarray, np.ndarray]:
    """Return precision (T, R, A) and recall (T, A) of one class, by pycocotools."""
    category = objects[0]["category_id"]
    image_ids = {entry["image_id"] for entry in (*objects, *found)}
    images = [truth.imgs[image_id] for image_id in image_ids]
    sides = [make_coco(images, some, [truth.cats[category]]) for some in (objects, found)]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(*sides, iou_type)
        evaluation.params.maxDets = [MOST_DETECTIONS]
        evaluation.evaluate()
        for match in evaluation.evalImgs:
            if match is not None and (int(match["image_id"]), category) in not_exhaustive:
                match["dtIgnore"] |= match["dtMatches"] == 0
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, 0, :, 0], evaluation.eval["recall"][:, 0, :, 0]


def _frequencies(table: Annotations, ids: Sequence[int]) -> np.ndarray:
    """Return the frequency (K,) of each of the categories ``ids``, "" if it has none."""
    of_category = {each["id"]: each.get("frequency", "") for each in table.categories}
    return np.array([of_category[category] for category in ids], dtype=object)


def _metrics(
    precision: np.ndarray,
    recall: np.ndarray,
    thresholds: np.ndarray,
    classes: Sequence[tuple[str, int]],
    frequencies: np.ndarray,
) -> LvisMetrics:
    """Return the means of precision (T, R, K, A) and recall (T, K, A), classes in order of id."""
    figures = {"AP": _mean(precision[..., 0])}
    for percent in (50, 75):
        figures[f"AP{percent}"] = _mean(precision[thresholds == percent / 100, ..., 0])
    for place, letter in enumerate(_AREAS[1:], 1):
        figures[f"AP{letter}"] = _mean(precision[..., place])
    for letter in FREQUENCIES:
        figures[f"AP{letter}"] = _mean(precision[:, :, frequencies == letter, 0])
    for place, letter in enumerate(_AREAS):
        figures[f"AR{letter or MOST_DETECTIONS}"] = _mean(recall[..., place])
    per_class: dict[str, float | None] = {}
    order = sorted(category for _, category in classes)
    for name, category in classes:
        score = _mean(precision[:, :, order.index(category), 0])
        per_class[name if name not in per_class else f"{name} ({category})"] = (
            None if score < 0 else score
        )
    summary = "\n".join(f"  {name:<6}{figures[name]:7.3f}" for name in FIGURES)
    return LvisMetrics(**figures, per_class=per_class, summary=summary)


def _mean(values: np.ndarray) -> float:
    """Return the mean of ``values`` that have ground truth, or -1 if there are none."""
    counted = values[values > -1]
    return float(np.mean(counted)) if counted.size else -1.0
