"""Pascal VOC's average precision of boxes, of 2007 and of 2010 and later.

Source: VOCevaldet.m and VOCap.m of the development kits of VOC2007 and VOC2012.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pet.annotations import Annotations
from pet.annotations.values import shorten
from pet.evaluation.coco import format_per_class, scored_classes
from pet.evaluation.ground_truth import Annotation, annotations_of, ground_truth
from pet.evaluation.result_file import read_results
from pet.evaluation.results import Record

_logger = logging.getLogger(__name__)

_LEAST_IOU = 0.5
_POINTS = 10  # of 2007: the recalls 0, 1/10 ... 1


@dataclass(frozen=True)
class VocMetrics:
    """AP at IoU 0.5 by VOC's rules, in 0..1; the mean over classes is -1 if none has objects.

    A class without objects that count has None, and no part in the mean.
    """

    AP50_2007: float  # the mean of the best precision at 11 recalls or higher ones
    AP50_2010: float  # the area under the curve of these precisions
    per_class_2007: Mapping[str, float | None]
    per_class_2010: Mapping[str, float | None]
    summary: str  # the figures as lines of text


def evaluate_voc(
    truth: str | Path | Annotations,
    result_file: str | Path,
    image_ids: Sequence[int],
    class_names: Sequence[str],
    category_ids: Sequence[int],
) -> VocMetrics:
    """Evaluate the boxes in ``result_file`` on the images ``image_ids``, and log the figures.

    The arguments and errors are those of ``evaluate_coco``; a crowd counts as VOC's difficult
    object. Detections of a class take part in order of score, over all images, those of one score
    in order of the file. Each takes the object of the class with the highest IoU, if that is 0.5 or
    more: it is right if the object is not taken yet, does not count if the object is difficult, and
    is wrong otherwise. The kits count pixels from corner to corner, xmax - xmin + 1, for the IoU;
    the continuous boxes of Pet, from xmin - 1 to xmax, have the same widths.
    """
    if not image_ids:
        raise ValueError("there are no images to evaluate")
    table = annotations_of(truth, ("bbox",))
    classes = scored_classes(table, class_names, category_ids)
    coco = ground_truth(table, "bbox", image_ids)
    objects: dict[int, list[Annotation]] = defaultdict(list)
    for each in coco.anns.values():
        objects[each["category_id"]].append(each)
    found: dict[int, list[Record]] = defaultdict(list)
    for record in read_results(result_file, "bbox", set(image_ids), set(category_ids)):
        found[record["category_id"]].append(record)
    scores = {name: _average_precisions(objects[number], found[number]) for name, number in classes}
    of_2007, of_2010 = ({name: pair[n] for name, pair in scores.items()} for n in (0, 1))
    means = _mean(of_2007), _mean(of_2010)
    metrics = VocMetrics(
        AP50_2007=means[0],
        AP50_2010=means[1],
        per_class_2007=of_2007,
        per_class_2010=of_2010,
        summary=_summary(means),
    )
    _logger.info("%s", _format(metrics))
    return metrics


def _average_precisions(
    objects: Sequence[Annotation], found: Sequence[Record]
) -> tuple[float, float] | tuple[None, None]:
    """Return AP of 2007 and of 2010 of one class, None if no object counts."""
    count = sum(not each["iscrowd"] for each in objects)
    if not count:
        return None, None
    right, wrong = _match(objects, found)
    return eleven_points(right, wrong, count), area(right, wrong, count)


def _match(objects: Sequence[Annotation], found: Sequence[Record]) -> tuple[np.ndarray, np.ndarray]:
    """Return (D,) bool each: whether the detections, best first, are right, and wrong."""
    by_image: dict[int, list[int]] = defaultdict(list)
    for number, each in enumerate(objects):
        by_image[each["image_id"]].append(number)
    boxes = _corners(objects)
    difficult = np.array([bool(each["iscrowd"]) for each in objects])
    order = np.argsort([-float(each["score"]) for each in found], kind="stable")
    right, wrong = np.zeros((2, len(found)), bool)
    taken = np.zeros(len(objects), bool)
    detected = _corners(found)
    for rank, number in enumerate(order.tolist()):
        candidates = by_image.get(found[number]["image_id"])
        if candidates is None:
            wrong[rank] = True
            continue
        overlaps = _ious(detected[number], boxes[candidates])
        best = candidates[int(overlaps.argmax())]
        if overlaps.max() < _LEAST_IOU:
            wrong[rank] = True
        elif not difficult[best]:
            right[rank], wrong[rank] = not taken[best], taken[best]
            taken[best] = True
    return right, wrong


def _corners(entries: Sequence[Record]) -> np.ndarray:
    """Return (N, 4) float64 xyxy of the boxes x, y, width, height of ``entries``."""
    boxes = np.array([each["bbox"] for each in entries], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _ious(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return (N,): the IoU of ``box`` (4,) with each of ``boxes`` (N, 4), 0 for empty ones."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = sides.clip(0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    union = (box[2:] - box[:2]).clip(0).prod() + areas - shared
    return np.divide(shared, union, out=np.zeros(len(boxes)), where=union > 0)


def eleven_points(right: np.ndarray, wrong: np.ndarray, count: int) -> float:
    """Return VOC2007's AP of detections, best first, with ``count`` > 0 objects.

    ``right`` and ``wrong`` (D,) bool are both false for one that does not count. Precision is the
    best at a recall of k / 10 or more, for k 0 to 10, compared without rounding.
    """
    hits, precision = np.cumsum(right), _best_precision(right, wrong)
    # Of each k, the first place where hits / count >= k / 10.
    places = np.searchsorted(hits * _POINTS, np.arange(_POINTS + 1) * count)
    return float(np.append(precision, 0)[places].mean())


def area(right: np.ndarray, wrong: np.ndarray, count: int) -> float:
    """Return the AP of VOC2010 and later; the arguments are those of ``eleven_points``."""
    return float((_best_precision(right, wrong) * right).sum() / count)


def _best_precision(right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Return (D,): the best precision at each detection or a later one."""
    hits = np.cumsum(right)
    precision = hits / np.maximum(hits + np.cumsum(wrong), 1)
    return np.maximum.accumulate(precision[::-1])[::-1]


def _mean(per_class: Mapping[str, float | None]) -> float:
    values = [score for score in per_class.values() if score is not None]
    return float(np.mean(values)) if values else -1.0


def _summary(means: Sequence[float]) -> str:
    kinds = ("VOC2007, 11 points", "VOC2010 and later, area")
    return "\n".join(
        f" Average Precision  (AP) @[ IoU=0.50 | {kind:<23} ] = {mean:.3f}"
        for kind, mean in zip(kinds, means, strict=True)
    )


def _format(metrics: VocMetrics) -> str:
    text = (
        f"VOC box scores:\n{metrics.summary}\n"
        f"box AP of each class (VOC2010 and later):\n{format_per_class(metrics.per_class_2010)}"
    )
    without = [name for name, score in metrics.per_class_2010.items() if score is None]
    if without:
        text += f"\n{len(without)} classes without objects are left out of the mean: "
        text += shorten(without)
    return text
