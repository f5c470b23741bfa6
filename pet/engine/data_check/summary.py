"""The figures of a data set: counts, sizes and aspects of boxes.

B boxes; S scales.
"""

from dataclasses import dataclass

import numpy as np

from pet.engine.data_check.anchors import AnchorFit
from pet.engine.data_check.checked_set import CheckedSet
from pet.engine.data_check.network_size import NetworkSizes

#: Limits of COCO's small and medium objects: squares of these sides, in pixels.
_SMALL, _MEDIUM = 32, 96
QUANTILES = (0.0, 0.1, 0.5, 0.9, 1.0)


@dataclass(frozen=True)
class Summary:
    """The figures of a data set."""

    name: str
    purpose: str  # "train" or "test"
    images: int
    without_objects: int
    objects: int  # with a usable box
    crowds: int
    objects_per_image: np.ndarray  # (images,) int64
    class_names: tuple[str, ...]  # K, without unused labels
    objects_per_class: np.ndarray  # (K,) int64
    images_per_class: np.ndarray  # (K,) int64
    coco_sizes: tuple[int, int, int]  # small, medium and large boxes, in pixels of the file
    sides: np.ndarray  # (B,) float64: square roots of areas, in pixels of the file
    aspects: np.ndarray  # (B,) float64: height / width
    network_sides: dict[int, np.ndarray]  # scale -> (B,): square roots of areas at this scale
    scale_key: str  # of the config
    fits: tuple[AnchorFit, ...]  # S, or none if the model has no anchors


def summarise(
    checked: CheckedSet, sizes: NetworkSizes, fits: tuple[AnchorFit, ...] = ()
) -> Summary:
    """Return the figures of a data set, whose images the network gets in ``sizes``."""
    boxes, used = checked.boxes, checked.used_labels - 1
    height, width = boxes.sides.T
    sides = np.sqrt(height * width)
    return Summary(
        name=checked.name,
        purpose=checked.purpose,
        images=len(checked.image_ids),
        without_objects=int((checked.objects_per_image == 0).sum()),
        objects=len(boxes),
        crowds=int((checked.chosen & checked.table.crowds).sum()),
        objects_per_image=checked.objects_per_image,
        class_names=tuple(checked.class_names[n] for n in used.tolist()),
        objects_per_class=checked.objects_per_class[used],
        images_per_class=checked.images_per_class[used],
        coco_sizes=(
            int((sides < _SMALL).sum()),
            int(((sides >= _SMALL) & (sides < _MEDIUM)).sum()),
            int((sides >= _MEDIUM).sum()),
        ),
        sides=sides,
        aspects=height / width,
        network_sides={scale: _network_sides(checked, sizes, scale) for scale in sizes.short_sides},
        scale_key=sizes.key,
        fits=fits,
    )


def _network_sides(checked: CheckedSet, sizes: NetworkSizes, scale: int) -> np.ndarray:
    corners = checked.boxes.resized(checked.sizes, sizes.resized(checked.sizes, scale))
    return np.sqrt((corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1]))


def quantiles(values: np.ndarray) -> list[float]:
    """Return the ``QUANTILES`` of ``values``, none of no values."""
    return np.quantile(values, QUANTILES).tolist() if len(values) else []
