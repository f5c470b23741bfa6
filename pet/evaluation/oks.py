"""COCO's metrics for keypoints, by object keypoint similarity (OKS) instead of IoU.

Source: https://cocodataset.org/#keypoints-eval.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeypointMetrics:
    """COCO's ten figures for keypoints, in 0..1; -1 if there is no ground truth for a figure.

    AP is the mean over the OKS thresholds 0.50, 0.55 ... 0.95 and the classes, with at most 20
    detections per image; m and l are objects of area 32² to 96² pixels and above. Objects without a
    labelled keypoint are ignored.
    """

    AP: float
    AP50: float  # at OKS 0.50 alone
    AP75: float
    APm: float
    APl: float
    AR: float
    AR50: float
    AR75: float
    ARm: float
    ARl: float
    per_class: Mapping[str, float | None]  # AP by class name; None: no ground truth
    per_class_50: Mapping[str, float | None]  # the same at OKS 0.50 alone
    summary: str  # the ten figures as COCO prints them


def check_sigmas(count: int, sigmas: Sequence[float]) -> None:
    """Raise ValueError if ``sigmas`` are not ``count`` positive numbers, one per keypoint."""
    if len(sigmas) != count:
        raise ValueError(
            f"the score of keypoints needs a number for each of the {count} points of the data "
            f"set, but KRCNN.SIGMAS has {len(sigmas)}; give {count}: how far annotators differ in "
            "each point, relative to the square root of the object's area, from 0.025 for an eye "
            "to 0.107 for a hip in COCO"
        )
    if not all(math.isfinite(sigma) and sigma > 0 for sigma in sigmas):
        raise ValueError(
            f"KRCNN.SIGMAS must be positive numbers, or no point is ever right; got {sigmas}"
        )


def warn_of_sigmas(count: int, sigmas: Sequence[float]) -> None:
    """Log the error of ``check_sigmas`` as a warning, as only testing needs sigmas."""
    try:
        check_sigmas(count, sigmas)
    except ValueError as error:
        _logger.warning("what is trained now cannot be scored as it is: %s", error)
