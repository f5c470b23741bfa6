"""Drawing boxes, masks, keypoints and names on an image.

A small image is enlarged first, so that names are readable: to at least 600 pixels on its longer
side, and to 320 on its shorter side unless the longer would exceed 2400.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from pet.ops.keypoints import scale_keypoints
from pet.structures import Crop, Detections, KeypointLayout, Targets
from pet.utils.opencv import cv2
from pet.visualization.captions import Color, find_font, place_labels, render_label
from pet.visualization.skeletons import draw_keypoints

# Bright colours that are easy to tell apart, in particular neighbours in the list; BGR.
PALETTE: tuple[Color, ...] = (
    (60, 76, 255),
    (255, 160, 30),
    (70, 220, 70),
    (0, 215, 255),
    (230, 60, 200),
    (230, 230, 0),
    (0, 130, 255),
    (200, 100, 120),
    (160, 240, 170),
    (180, 130, 255),
    (0, 180, 170),
    (255, 200, 160),
    (90, 60, 170),
    (60, 255, 200),
    (190, 0, 90),
    (120, 190, 240),
    (200, 160, 0),
    (110, 110, 255),
    (30, 140, 0),
    (220, 150, 230),
)
_OUTLINE: Color = (16, 16, 16)
_MASK_OPACITY = 0.4


@dataclass(frozen=True)
class _Instance:
    """An object to draw, in pixels of the picture."""

    box: tuple[float, ...]  # xyxy
    caption: str
    mask: Crop | None
    points: np.ndarray | None  # (P, 3) x, y and visibility or probability


def draw_detections(
    image: np.ndarray,
    detections: Detections,
    class_names: Sequence[str],
    threshold: float = 0.5,
    layout: KeypointLayout | None = None,
) -> np.ndarray:
    """Return a picture of the detections with a score of at least ``threshold``.

    The detections are in pixels of ``image`` (H, W, 3) uint8 BGR. Label l is
    ``class_names[l - 1]``; label 0 is not drawn. ``layout`` defines the limbs between keypoints;
    without it none are drawn. A small image is enlarged in the picture; ``image`` is not changed.
    """
    assert image.shape[:2] == detections.size, (image.shape, detections.size)
    picture = _enlarged(image)
    detections = detections.to("cpu")
    shown = (detections.scores >= threshold) & (detections.labels > 0)
    detections = detections[shown].resized(picture.shape[:2])
    no_masks = (None,) * len(detections)
    masks = no_masks if detections.mask_probs is None else detections.mask_crops()
    instances = [
        _Instance(tuple(box), f"{_readable(class_names, label)} {score:.2f}", mask, points)
        for box, label, score, mask, points in zip(
            detections.boxes.tolist(),
            detections.labels.tolist(),
            detections.scores.tolist(),
            masks,
            _points(detections.keypoints, len(detections)),
            strict=True,
        )
    ]
    return _draw(picture, instances, layout)


def draw_targets(
    image: np.ndarray,
    targets: Targets,
    class_names: Sequence[str],
    layout: KeypointLayout | None = None,
) -> np.ndarray:
    """Return a picture of the ground truth; see ``draw_detections``."""
    assert image.shape[:2] == targets.size, (image.shape, targets.size)
    picture = _enlarged(image)
    ratio_x, ratio_y = picture.shape[1] / image.shape[1], picture.shape[0] / image.shape[0]
    stretch = np.array([ratio_x, ratio_y, ratio_x, ratio_y])
    keypoints = targets.keypoints
    if keypoints is not None:
        keypoints = scale_keypoints(keypoints, ratio_x, ratio_y)
    instances = [
        _Instance(
            tuple(box * stretch),
            _readable(class_names, label),
            None if targets.masks is None else _stretch(targets.masks.unpack(index), stretch),
            points,
        )
        for index, (box, label, points) in enumerate(
            zip(
                targets.boxes.cpu().numpy(),
                targets.labels.tolist(),
                _points(keypoints, len(targets)),
                strict=True,
            )
        )
    ]
    return _draw(picture, instances, layout)


def save_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write ``picture`` (H, W, 3) uint8 BGR to ``path``; the suffix chooses the format.

    The folder is created if needed. Raises OSError if the file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture):
        raise OSError(f"the picture {path} could not be written")


def _enlarged(image: np.ndarray) -> np.ndarray:
    """Return a copy of ``image``, enlarged if it is small."""
    short, long = sorted(image.shape[:2])
    ratio = max(1.0, 600 / long, min(320 / short, 2400 / long))
    if ratio == 1:
        return np.ascontiguousarray(image).copy()
    size = round(image.shape[1] * ratio), round(image.shape[0] * ratio)
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_CUBIC)


def _points(keypoints: Tensor | None, count: int) -> Iterator[np.ndarray | None]:
    """Yield the keypoints (P, 3) of each of ``count`` objects, or None for each."""
    yield from (None,) * count if keypoints is None else keypoints.cpu().numpy()


def _readable(class_names: Sequence[str], label: int) -> str:
    """Return the name of a class, or "class N" if no font has its letters."""
    name = class_names[label - 1]
    return name if find_font(name) else f"class {label}"


def _stretch(mask: Crop, stretch: np.ndarray) -> Crop:
    """Return a mask resized like the image, by the factors ``stretch`` (x, y, x, y)."""
    rows, columns = mask.bits.shape
    corners = np.array([mask.x, mask.y, mask.x + columns, mask.y + rows]) * stretch
    x1, y1, x2, y2 = np.round(corners).astype(int).tolist()
    if not mask.bits.size or (x2 - x1, y2 - y1) == (columns, rows):
        return Crop(mask.bits, x1, y1)
    bits = cv2.resize(mask.bits, (x2 - x1, y2 - y1), interpolation=cv2.INTER_NEAREST)
    return Crop(bits, x1, y1)


def _draw(
    picture: np.ndarray, instances: Sequence[_Instance], layout: KeypointLayout | None
) -> np.ndarray:
    """Draw on ``picture`` in place: large objects first, small ones over them, then names."""
    skeleton = layout.skeleton if layout else ()
    height, width = picture.shape[:2]
    line = max(round((height + width) / 600), 2)
    colors = [PALETTE[index % len(PALETTE)] for index in range(len(instances))]
    areas = [(i.box[2] - i.box[0]) * (i.box[3] - i.box[1]) for i in instances]
    for index in sorted(range(len(instances)), key=lambda index: -areas[index]):
        mask = instances[index].mask
        if mask is not None and mask.bits.size:
            _draw_mask(picture, mask, colors[index], line)
        _draw_box(picture, instances[index].box, colors[index], line)
        points = instances[index].points
        if points is not None:
            draw_keypoints(picture, points, skeleton, colors[index], line)
    size = max(round(min(height, width) * 0.028), 13)
    labels = [render_label(i.caption, size, c) for i, c in zip(instances, colors, strict=True)]
    places = place_labels(
        [instance.box for instance in instances],
        [(label.shape[0], label.shape[1]) for label in labels],
        (height, width),
    )
    # The first labels, which have the best scores, are pasted last, on top.
    for label, (x1, y1, x2, y2) in reversed(list(zip(labels, places, strict=True))):
        picture[y1:y2, x1:x2] = label[: y2 - y1, : x2 - x1]
    return picture


def _draw_mask(picture: np.ndarray, mask: Crop, color: Color, line: int) -> None:
    """Tint the pixels of a mask and draw its contour, in place."""
    height, width = mask.bits.shape
    region = picture[mask.y : mask.y + height, mask.x : mask.x + width]
    inside = mask.bits.astype(bool)[: region.shape[0], : region.shape[1]]
    tinted = region[inside] * (1 - _MASK_OPACITY) + np.array(color) * _MASK_OPACITY
    region[inside] = tinted.round().astype(np.uint8)
    # Padding with zeros closes the contour where the mask touches the edge of its crop.
    padded = np.pad(mask.bits, 1)
    contours, _ = cv2.findContours(
        padded, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(mask.x - 1, mask.y - 1)
    )
    cv2.drawContours(picture, contours, -1, _OUTLINE, line + 2, cv2.LINE_AA)
    cv2.drawContours(picture, contours, -1, color, line, cv2.LINE_AA)


def _draw_box(picture: np.ndarray, box: Sequence[float], color: Color, line: int) -> None:
    """Draw a box in ``color`` with dark edges, visible on a bright background, in place."""
    x1, y1, x2, y2 = (round(side) for side in box)
    corners = (x1, y1), (max(x2 - 1, x1), max(y2 - 1, y1))
    cv2.rectangle(picture, *corners, _OUTLINE, line + 2)
    cv2.rectangle(picture, *corners, color, line)
