"""Findings about anchors that do not fit the boxes of a data set.

B boxes.
"""

from collections.abc import Sequence

import numpy as np

from pet.config import CfgNode
from pet.config.keys import value_of
from pet.engine.data_check.anchors import AnchorFit
from pet.engine.data_check.checked_set import Boxes, CheckedSet
from pet.engine.data_check.findings import (
    NOTE,
    WARNING,
    Finding,
    annotations_at,
    counted,
    share,
)
from pet.engine.data_check.network_size import NetworkSizes
from pet.modeling.contract import AnchorRule

#: Below this IoU a box has little in common even with its best anchor: an anchor of twice its
#: sides has 0.25. Of COCO at scale 800 two boxes in a hundred are below it.
POOR_IOU = 0.25
# Shares of the boxes from which on a warning is given. COCO has 0.02, 0.14 and 0.6, at scale 800
# and with the anchors of FPN.
_MANY_POOR, _MANY_SMALL, _MANY_UNMATCHED = 0.05, 0.3, 0.85


def anchor_findings(
    checked: CheckedSet,
    boxes: Boxes,
    fits: Sequence[AnchorFit],
    sizes: NetworkSizes,
    rule: AnchorRule,
    cfg: CfgNode,
) -> list[Finding]:
    """Return the findings about ``boxes`` (B,), given their ``fits`` at the scales of ``sizes``.

    A box counts if it is so at every scale.
    """
    if not len(boxes):
        return []
    best = np.max([fit.best for fit in fits], axis=0)
    smaller = np.all([fit.smaller for fit in fits], axis=0)
    scales = _describe(sizes)

    def finding(kind: str, found: np.ndarray, many: float, text: str, remedy: str) -> list[Finding]:
        if not found.any():
            return []
        part = share(int(found.sum()), len(boxes))
        return [
            Finding(
                severity=WARNING if found.mean() >= many else NOTE,
                kind=kind,
                data_sets=(checked.name,),
                text=f"{counted(int(found.sum()), 'box', 'boxes')} of {len(boxes)} ({part}) {text} "
                f"({scales})",
                remedy=remedy if found.mean() >= many else "",
                where=annotations_at(checked.table, boxes.numbers[found]),
            )
        ]

    section, anchor_sizes = rule.section, value_of(cfg, f"{rule.section}.ANCHOR_SIZES")
    smallest = _smallest(rule)
    of_boxes = np.sqrt(np.prod(boxes.sides, axis=1) * _areas_scale(checked, boxes, sizes))
    tenth = float(np.quantile(of_boxes, 0.1))
    fix_sizes = (
        f"fit {section}.ANCHOR_SIZES {tuple(anchor_sizes)} and {section}.ASPECT_RATIOS to the boxes"
    )
    enlarge = f"a larger {sizes.key}" if sizes.short_sides else "larger pictures"
    return [
        *finding(
            "boxes-far-from-anchors",
            best < POOR_IOU,
            _MANY_POOR,
            f"overlap no anchor by an IoU of {POOR_IOU} or more: such objects are hard to find",
            f"{fix_sizes} (nine tenths of them have a square root of the area of {tenth:.0f} px or "
            f"more), or give {enlarge}",
        ),
        *finding(
            "boxes-below-anchors",
            smaller,
            _MANY_SMALL,
            f"are smaller than the smallest anchor, {smallest:.0f} px as square root of its area",
            f"give smaller {section}.ANCHOR_SIZES, or {enlarge}",
        ),
        *finding(
            "boxes-without-anchors",
            best < rule.fg_iou,
            _MANY_UNMATCHED,
            f"have no anchor with an IoU of {rule.fg_iou} ({section}.FG_IOU_THRESHOLD) or more; "
            "each is learnt only by the anchors that overlap it most",
            f"{fix_sizes}, or give {enlarge}",
        ),
    ]


def _describe(sizes: NetworkSizes) -> str:
    if not sizes.short_sides:
        return "as annotated, as TRAIN.TRANSFORMS has no resize"
    low, high = sizes.short_sides[0], sizes.short_sides[-1]
    return f"at {sizes.key} {low}" if low == high else f"at all of {sizes.key} from {low} to {high}"


def _smallest(rule: AnchorRule) -> float:
    cells = rule.anchors.cells.reshape(-1, 4)
    return float(((cells[:, 2] - cells[:, 0]) * (cells[:, 3] - cells[:, 1])).min().sqrt())


def _areas_scale(checked: CheckedSet, boxes: Boxes, sizes: NetworkSizes) -> np.ndarray:
    """Return (B,): the factor of each box's area at the largest scale."""
    new = sizes.resized(checked.sizes, sizes.scales[-1])
    return np.prod(new / np.maximum(checked.sizes, 1), axis=1)[boxes.images]
