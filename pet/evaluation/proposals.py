"""Average recall of proposals, by pycocotools."""

import contextlib
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from pycocotools.cocoeval import COCOeval

from pet.annotations import Annotations
from pet.evaluation.ground_truth import annotations_of, ground_truth, make_coco
from pet.evaluation.result_file import read_results

_logger = logging.getLogger(__name__)

_COUNTS = (100, 1000)
_AREAS = {"": "all", "s": "small", "m": "medium", "l": "large"}


@dataclass(frozen=True)
class ProposalMetrics:
    """Average recall of proposals, in 0..1; -1 if there is no ground truth for a figure.

    Recall of the objects of all classes with the 100 or 1000 best proposals of an image, averaged
    over the IoU thresholds 0.50, 0.55 ... 0.95; s, m and l are objects of area below 32², up to 96²
    and above, in pixels.
    """

    AR100: float
    ARs100: float
    ARm100: float
    ARl100: float
    AR1000: float
    ARs1000: float
    ARm1000: float
    ARl1000: float
    summary: str  # the figures as lines of text


PROPOSAL_FIGURES = tuple(field.name for field in fields(ProposalMetrics))[:8]


def evaluate_proposals(
    truth: str | Path | Annotations,
    result_file: str | Path,
    image_ids: Sequence[int],
    category_ids: Sequence[int],
) -> ProposalMetrics:
    """Evaluate the proposals in ``result_file`` on the images ``image_ids``, and log the figures.

    ``truth`` and errors are those of ``evaluate_coco``. The file is in COCO's result format; a box
    may have any of ``category_ids``, which is ignored.
    """
    if not image_ids:
        raise ValueError("there are no images to evaluate")
    coco = ground_truth(annotations_of(truth, ("bbox",)), "bbox", image_ids)
    records = read_results(result_file, "bbox", set(image_ids), set(category_ids))
    if not coco.anns:
        _logger.warning("the images have no annotations, so every figure of the proposals is -1")
    with contextlib.redirect_stdout(io.StringIO()):
        found = coco.loadRes(records) if records else make_coco([], [], [])
        evaluation = COCOeval(coco, found, "bbox")
        evaluation.params.imgIds = sorted(coco.imgs)
        evaluation.params.useCats = 0
        evaluation.params.maxDets = list(_COUNTS)
        evaluation.evaluate()
        evaluation.accumulate()
    recall = evaluation.eval["recall"]  # (IoU, 1, area, count)
    figures = {
        f"AR{letter}{count}": _mean(recall[:, 0, area, number])
        for number, count in enumerate(_COUNTS)
        for area, letter in enumerate(_AREAS)
    }
    metrics = ProposalMetrics(**figures, summary=_summary(figures))
    _logger.info("average recall of the proposals:\n%s", metrics.summary)
    return metrics


def _mean(recall: np.ndarray) -> float:
    return float(recall.mean()) if (recall > -1).all() else -1.0


def _summary(figures: dict[str, float]) -> str:
    lines = [
        f" Average Recall     (AR) @[ IoU=0.50:0.95 | area={area:>6} | maxDets={count:>4} ] = "
        f"{figures[f'AR{letter}{count}']:.3f}"
        for count in _COUNTS
        for letter, area in _AREAS.items()
    ]
    return "\n".join(lines)
