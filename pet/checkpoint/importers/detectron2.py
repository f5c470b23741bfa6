"""Models of Detectron2: Faster and Mask R-CNN with FPN, and trunks with its key names.

Detectron2 counts K classes and, behind them, the background. Pet counts the background first.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .base import Converted, Rule, by_rules, rename, with_statistics
from .caffe2 import trunk_expects
from .torchvision import TRUNK_EXPECTS

#: What Detectron2's detectors need besides what their trunk needs.
_DETECTOR_EXPECTS: Mapping[str, Any] = {
    "INPUT.INTERPOLATION": "pil",
    "INPUT.RESIZE_ROUNDING": "half_up",
    "MODEL.CLASS_LABELS": "contiguous",
    "FPN.ROI_RATIO_EPS": 1e-8,
    "FPN.ROI_LEVEL_EPS": 0.0,
    "RPN.ANCHOR_ROUNDED": False,
    "RPN.ANCHOR_STEP_FROM_SIZE": False,
    "RPN.MIN_SIZE": 0.0,
    "FAST_RCNN.ROI_XFORM_ALIGNED": True,
    "FAST_RCNN.ROI_XFORM_SAMPLING_RATIO": 0,
    "FAST_RCNN.MIN_SIZE": 0.0,
    "MRCNN.ROI_XFORM_ALIGNED": True,
    "MRCNN.ROI_XFORM_SAMPLING_RATIO": 0,
    "MRCNN.PASTE_METHOD": "pixel_centre",
}

_CLASSES, _BOXES = "Fast_RCNN.predictor.cls_score", "Fast_RCNN.predictor.bbox_pred"
_MASKS = "Mask_RCNN.predictor.mask_logits"


def _trunk_rules(prefix: str) -> list[Rule]:
    rules = [
        (rf"{prefix}stem\.conv1", "Conv_Body.conv1"),
        (rf"{prefix}stem\.conv1\.norm", "Conv_Body.bn1"),
    ]
    for stage in range(1, 5):
        theirs, ours = rf"{prefix}res{stage + 1}\.(\d+)", rf"Conv_Body.layer{stage}.\1"
        rules += [
            (rf"{theirs}\.conv([123])", rf"{ours}.conv\2"),
            (rf"{theirs}\.conv([123])\.norm", rf"{ours}.bn\2"),
            (rf"{theirs}\.shortcut", rf"{ours}.downsample.0"),
            (rf"{theirs}\.shortcut\.norm", rf"{ours}.downsample.1"),
        ]
    return rules


def _numbered(theirs: str, ours: str, first: int, count: int) -> list[Rule]:
    """Return rules for ``count`` convolutions, which they number from ``first`` and we from 0."""
    rules = []
    for index in range(count):
        rules.append((f"{theirs}{index + first}", f"{ours}.{index}"))
        rules.append((rf"{theirs}{index + first}\.norm", f"{ours}.{index}.norm"))
    return rules


_DETECTOR_RULES: tuple[Rule, ...] = (
    *_trunk_rules(r"backbone\.bottom_up\."),
    *_numbered(r"backbone\.fpn_lateral", "Conv_Body_FPN.lateral_convs", first=2, count=4),
    *_numbered(r"backbone\.fpn_output", "Conv_Body_FPN.output_convs", first=2, count=4),
    (r"proposal_generator\.rpn_head\.conv", "RPN.head.convs.0"),
    (r"proposal_generator\.rpn_head\.conv\.conv(\d)", r"RPN.head.convs.\1"),
    (r"proposal_generator\.rpn_head\.objectness_logits", "RPN.head.cls_logits"),
    (r"proposal_generator\.rpn_head\.anchor_deltas", "RPN.head.bbox_pred"),
    (r"roi_heads\.box_head\.(fc[12])", r"Fast_RCNN.head.\1"),
    *_numbered(r"roi_heads\.box_head\.conv", "Fast_RCNN.head.convs", first=1, count=8),
    (r"roi_heads\.box_predictor\.(cls_score|bbox_pred)", r"Fast_RCNN.predictor.\1"),
    *_numbered(r"roi_heads\.mask_head\.mask_fcn", "Mask_RCNN.head.convs", first=1, count=8),
    (r"roi_heads\.mask_head\.deconv", "Mask_RCNN.predictor.deconv"),
    (r"roi_heads\.mask_head\.predictor", _MASKS),
)
_BUFFERS = r"pixel_mean|pixel_std|(?:.*\.)?anchor_generator\.cell_anchors.*"
_HEAD_NORM = re.compile(
    r"(?:backbone\.fpn_|roi_heads\.(?:box|mask)_head\.).*\.norm\.(?:weight|bias)"
)


class Detectron2DetectorImporter:
    """A detector; the background moves from the last place to the first."""

    name = "Detectron2 detector"
    family = "detectron2"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has a ResNet under one of Detectron2's names, with or without FPN."""
        stems = ("backbone.bottom_up.stem.conv1.weight", "backbone.stem.conv1.weight")
        return any(stem in state for stem in stems)

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` with Pet's keys, and its classes in Pet's order.

        Raises ValueError where the predictors do not count the same classes.
        """
        group_norms = _group_norms(state)
        converted = rename(
            {key: value for key, value in state.items() if key not in group_norms},
            by_rules(_DETECTOR_RULES),
            _BUFFERS,
        )
        no_place = (*converted.no_place, *group_norms)
        renamed = converted.state if no_place else _background_first(converted.state)
        expects = {**trunk_expects(renamed), **_DETECTOR_EXPECTS, **_stated_input(state)}
        if expects["INPUT.CHANNEL_ORDER"] == "RGB":
            del expects["BACKBONE.STRIDE_IN_1X1"]  # not a trunk of Caffe2, so nothing tells
        return replace(
            converted, state=with_statistics(renamed), no_place=no_place, expects=expects
        )


class Detectron2TrunkImporter:
    """An ImageNet ResNet, as Detectron2's script writes it from torchvision's weights."""

    name = "Detectron2 ResNet"
    family = "detectron2"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has a ResNet's stem and first stage, without a prefix."""
        return {"stem.conv1.weight", "res2.0.conv1.weight"} <= state.keys()

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` with the trunk's keys under ``Conv_Body.``."""
        converted = rename(state, by_rules(_trunk_rules("")), r"(?:.*\.)?(?:fc|fc1000|pred)\..*")
        trunk = with_statistics(converted.state)
        mean = trunk.get("Conv_Body.bn1.running_mean")
        # Without statistics of its own it is one of Caffe2's, where they are folded.
        is_torchvision = mean is not None and bool(mean.any())
        expects = TRUNK_EXPECTS if is_torchvision else trunk_expects(trunk)
        return replace(converted, state=trunk, expects=expects)


def _group_norms(state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Return the keys of norms in pyramid and heads that keep no statistics: group norms."""
    return tuple(
        key
        for key in state
        if _HEAD_NORM.fullmatch(key) and f"{key.rpartition('.')[0]}.running_mean" not in state
    )


def _background_first(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Move the background's score to the front, and put zeros there for its box and mask.

    Detectron2 predicts neither for it, and Pet does not read them.
    """
    moved = dict(state)
    for parameter in ("weight", "bias"):
        scores = state.get(f"{_CLASSES}.{parameter}")
        if scores is None:
            continue
        moved[f"{_CLASSES}.{parameter}"] = scores.roll(1, 0)
        for layer, rows in ((_BOXES, 4), (_MASKS, 1)):
            key = f"{layer}.{parameter}"
            if key in state:
                moved[key] = _with_zeros_in_front(state[key], rows, len(scores) - 1, key)
    return moved


def _with_zeros_in_front(value: Tensor, rows: int, num_classes: int, key: str) -> Tensor:
    if len(value) != rows * num_classes:
        raise ValueError(
            f"{key} has shape {tuple(value.shape)}: {num_classes} classes need "
            f"{rows * num_classes} rows; models whose boxes or masks do not depend on the class "
            "are not read"
        )
    return torch.cat((value.new_zeros(rows, *value.shape[1:]), value))


def _stated_input(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what the file itself says about its input; older files keep mean and deviation."""
    if "pixel_mean" not in state or "pixel_std" not in state:
        return {}
    mean, std = (
        tuple(round(value, 4) for value in state[key].flatten().tolist())
        for key in ("pixel_mean", "pixel_std")
    )
    stated: dict[str, Any] = {"INPUT.PIXEL_MEAN": mean, "INPUT.PIXEL_STD": std}
    if mean[0] != mean[-1]:
        # Red is the brightest colour of photographs, and blue the darkest.
        stated["INPUT.CHANNEL_ORDER"] = "BGR" if mean[0] < mean[-1] else "RGB"
    return stated
