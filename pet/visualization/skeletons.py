"""Drawing keypoints and the limbs between them."""

from collections.abc import Sequence

import numpy as np

from pet.structures.keypoint_layout import Limb
from pet.utils.opencv import cv2
from pet.visualization.captions import Color

# Predicted points of lower probability are not drawn. Source: Detectron2's visualizer.
_LEAST_SCORE = 0.05
_OUTLINE: Color = (16, 16, 16)
_POINT: Color = (245, 245, 245)


def draw_keypoints(
    picture: np.ndarray, points: np.ndarray, skeleton: Sequence[Limb], color: Color, line: int
) -> None:
    """Draw limbs in ``color``, ``line`` pixels wide, and white points over them, in place.

    ``points`` (P, 3): x, y in pixels of ``picture``, and visibility or probability. Points that
    are not labelled or have a low probability are not drawn, nor are their limbs.
    """
    shown = points[:, 2] >= _LEAST_SCORE
    # A pixel's centre lies half a pixel from its corner.
    places = [(round(x), round(y)) for x, y in (points[:, :2] - 0.5).tolist()]
    limbs = [(places[a], places[b]) for a, b in skeleton if shown[a] and shown[b]]
    for width, paint in ((line + 2, _OUTLINE), (line, color)):
        for start, end in limbs:
            cv2.line(picture, start, end, paint, width, cv2.LINE_AA)
    for place in (places[index] for index in np.flatnonzero(shown)):
        cv2.circle(picture, place, line + 2, _OUTLINE, cv2.FILLED, cv2.LINE_AA)
        cv2.circle(picture, place, line + 1, _POINT, cv2.FILLED, cv2.LINE_AA)
