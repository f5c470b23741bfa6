"""Models of Detectron2: RPN, Faster, Mask, Keypoint and Cascade R-CNN, and trunks.

In Detectron2 the background comes after the K classes, in Pet before them.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pet.weights.formats.base import Converted, Rule, by_rules, rename, with_statistics
from pet.weights.formats.caffe2 import trunk_expects
from pet.weights.formats.torchvision import TRUNK_EXPECTS

#: Config values for Detectron2's detectors, besides those for their trunk.
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
    "CASCADE_RCNN.BBOX_REG_WEIGHTS": ((10, 10, 5, 5), (20, 20, 10, 10), (30, 30, 15, 15)),
    "MRCNN.ROI_XFORM_ALIGNED": True,
    "MRCNN.ROI_XFORM_SAMPLING_RATIO": 0,
    "MRCNN.PASTE_METHOD": "pixel_centre",
    "KRCNN.PIXEL_SHIFT": 0.5,
    "KRCNN.ROI_XFORM_ALIGNED": True,
    "KRCNN.ROI_XFORM_SAMPLING_RATIO": 0,
    "KRCNN.SCORE_METHOD": "probability",
}

#: The class logits of a box branch, in Pet's keys.
_CLASSES = re.compile(r"(Fast_RCNN|Cascade_RCNN\.stages\.\d)\.predictor\.cls_score\.(weight|bias)")
_MASKS = "Mask_RCNN.predictor.mask_logits"


def _stage_rules(theirs: str, ours: str) -> list[Rule]:
    theirs, ours = rf"{theirs}\.(\d+)", rf"{ours}.\1"
    return [
        (rf"{theirs}\.conv([123])", rf"{ours}.conv\2"),
        (rf"{theirs}\.conv([123])\.norm", rf"{ours}.bn\2"),
        (rf"{theirs}\.conv2_offset", rf"{ours}.conv2.offset"),
        (rf"{theirs}\.shortcut", rf"{ours}.downsample.0"),
        (rf"{theirs}\.shortcut\.norm", rf"{ours}.downsample.1"),
    ]


def trunk_rules(prefix: str) -> list[Rule]:
    """Return rules for a ResNet whose names begin with the pattern ``prefix``."""
    rules = [
        (rf"{prefix}stem\.conv1", "Conv_Body.conv1"),
        (rf"{prefix}stem\.conv1\.norm", "Conv_Body.bn1"),
    ]
    for stage in range(1, 5):
        rules += _stage_rules(f"{prefix}res{stage + 1}", f"Conv_Body.layer{stage}")
    return rules


def numbered(theirs: str, ours: str, first: int, count: int) -> list[Rule]:
    """Return rules for ``count`` convolutions, numbered from ``first`` there and from 0 in Pet."""
    rules = []
    for index in range(count):
        rules.append((f"{theirs}{index + first}", f"{ours}.{index}"))
        rules.append((rf"{theirs}{index + first}\.norm", f"{ours}.{index}.norm"))
    return rules


def _cascade_rules(stages: int) -> list[Rule]:
    rules = []
    for stage in range(stages):
        head, ours = rf"roi_heads\.box_head\.{stage}\.", f"Cascade_RCNN.stages.{stage}"
        rules += [
            (rf"{head}(fc[12])", rf"{ours}.head.\1"),
            *numbered(rf"{head}conv", f"{ours}.head.convs", first=1, count=8),
            (
                rf"roi_heads\.box_predictor\.{stage}\.(cls_score|bbox_pred)",
                rf"{ours}.predictor.\1",
            ),
        ]
    return rules


_DETECTOR_RULES: tuple[Rule, ...] = (
    *trunk_rules(r"backbone\.(?:bottom_up\.)?"),
    *_stage_rules(r"roi_heads\.res5", "Fast_RCNN.head.layer4"),
    *numbered(r"backbone\.fpn_lateral", "Conv_Body_FPN.lateral_convs", first=2, count=4),
    *numbered(r"backbone\.fpn_output", "Conv_Body_FPN.output_convs", first=2, count=4),
    (r"proposal_generator\.rpn_head\.conv", "RPN.head.convs.0"),
    (r"proposal_generator\.rpn_head\.conv\.conv(\d)", r"RPN.head.convs.\1"),
    (r"proposal_generator\.rpn_head\.objectness_logits", "RPN.head.cls_logits"),
    (r"proposal_generator\.rpn_head\.anchor_deltas", "RPN.head.bbox_pred"),
    (r"roi_heads\.box_head\.(fc[12])", r"Fast_RCNN.head.\1"),
    *numbered(r"roi_heads\.box_head\.conv", "Fast_RCNN.head.convs", first=1, count=8),
    (r"roi_heads\.box_predictor\.(cls_score|bbox_pred)", r"Fast_RCNN.predictor.\1"),
    *_cascade_rules(stages=3),
    *numbered(r"roi_heads\.mask_head\.mask_fcn", "Mask_RCNN.head.convs", first=1, count=8),
    (r"roi_heads\.mask_head\.deconv", "Mask_RCNN.predictor.deconv"),
    (r"roi_heads\.mask_head\.predictor", _MASKS),
    *numbered(r"roi_heads\.keypoint_head\.conv_fcn", "Keypoint_RCNN.head.convs", first=1, count=8),
    (r"roi_heads\.keypoint_head\.score_lowres", "Keypoint_RCNN.predictor.deconv"),
)
BUFFERS = r"pixel_mean|pixel_std|(?:.*\.)?anchor_generator\.cell_anchors.*"
_HEAD_NORM = re.compile(
    r"(?:backbone\.fpn_|roi_heads\.(?:box|mask)_head\.).*\.norm\.(?:weight|bias)"
)


class Detectron2DetectorImporter:
    """Imports a detector; the background moves from the last output to the first."""

    name = "Detectron2 detector"
    family = "detectron2"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has a ResNet under a prefix of Detectron2, with or without FPN."""
        stems = ("backbone.bottom_up.stem.conv1.weight", "backbone.stem.conv1.weight")
        return any(stem in state for stem in stems)

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` with Pet's keys and order of classes.

        Raises ValueError if the predictors have different numbers of classes.
        """
        converted = rename(state, by_rules(_DETECTOR_RULES), BUFFERS)
        renamed = converted.state if converted.no_place else _background_first(converted.state)
        expects = {**input_expects(state, renamed), **_DETECTOR_EXPECTS}
        if (boxes := "Fast_RCNN.predictor.bbox_pred.bias") in converted.state:
            agnostic = _is_class_agnostic(boxes, converted.state)
            expects["MODEL.CLS_AGNOSTIC_BBOX_REG"] = agnostic
        has_pyramid = any(key.startswith("Conv_Body_FPN.") for key in renamed)
        if not has_pyramid and "Conv_Body.layer4.0.conv1.weight" in renamed:
            expects["BACKBONE.RES5_DILATION"] = 2  # a detector of DC5; Detectron2 has none of C5
        if _has_group_norms(state):
            expects["BACKBONE.STRIDE_IN_1X1"] = False  # as in Caffe2's trunk with group norm
        else:
            renamed = with_statistics(renamed)
        return replace(converted, state=_with_pet_factors(renamed), expects=expects)


class Detectron2TrunkImporter:
    """Imports an ImageNet ResNet as written by Detectron2's script for torchvision's weights."""

    name = "Detectron2 ResNet"
    family = "detectron2"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has a ResNet's stem and first stage, without a prefix."""
        return {"stem.conv1.weight", "res2.0.conv1.weight"} <= state.keys()

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` with the trunk's keys under ``Conv_Body.``."""
        converted = rename(state, by_rules(trunk_rules("")), r"(?:.*\.)?(?:fc|fc1000|pred)\..*")
        trunk = with_statistics(converted.state)
        mean = trunk.get("Conv_Body.bn1.running_mean")
        # A trunk without statistics is Caffe2's, which has them folded.
        is_torchvision = mean is not None and bool(mean.any())
        expects = TRUNK_EXPECTS if is_torchvision else trunk_expects(trunk)
        return replace(converted, state=trunk, expects=expects)


def _has_group_norms(state: Mapping[str, Tensor]) -> bool:
    """Whether norms in the pyramid or heads have no statistics; then the trunk's have none, too."""
    return any(
        _HEAD_NORM.fullmatch(key) and f"{key.rpartition('.')[0]}.running_mean" not in state
        for key in state
    )


def _with_pet_factors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Halve the weights of modulated deformable convolutions.

    Detectron2 multiplies the sampled values by a sigmoid, Pet by twice the sigmoid.
    """
    halved = dict(state)
    for key, offset in state.items():
        if key.endswith(".conv2.offset.weight") and len(offset) == 27:
            weight = key.replace(".offset.", ".")
            halved[weight] = state[weight] / 2
    return halved


def _background_first(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Move the background's logits to the front, and insert zeros for its boxes and masks.

    Detectron2 predicts no box and mask of the background, and Pet does not use them.
    Class-agnostic box predictors are not changed.
    """
    moved = dict(state)
    for scores_key in filter(_CLASSES.fullmatch, state):
        moved[scores_key] = state[scores_key].roll(1, 0)
        boxes_key = scores_key.replace("cls_score", "bbox_pred")
        masks_key = f"{_MASKS}.{scores_key.rpartition('.')[2]}"
        for key, outputs in ((boxes_key, 4), (masks_key, 1)):
            if key in state and not _is_class_agnostic(key, state):
                num_classes = len(state[scores_key]) - 1
                moved[key] = _with_zeros_in_front(state[key], outputs, num_classes, key)
    return moved


def _is_class_agnostic(key: str, state: Mapping[str, Tensor]) -> bool:
    """Whether ``key`` of ``state`` (Pet's keys) belongs to a class-agnostic box predictor."""
    if key.startswith("Cascade_RCNN."):
        return True
    scores = state.get(key.replace("bbox_pred", "cls_score"))
    # With a single class, four outputs are those of the class.
    has_classes = scores is not None and len(scores) > 2
    return "bbox_pred" in key and has_classes and len(state[key]) == 4


def _with_zeros_in_front(value: Tensor, outputs: int, num_classes: int, key: str) -> Tensor:
    """Return ``value`` with zeros for the background before its ``outputs`` per class."""
    if len(value) != outputs * num_classes:
        raise ValueError(
            f"{key} has shape {tuple(value.shape)}: {num_classes} classes need "
            f"{outputs * num_classes} rows; class-agnostic masks are not read"
        )
    return torch.cat((value.new_zeros(outputs, *value.shape[1:]), value))


def input_expects(state: Mapping[str, Tensor], renamed: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the config values for a detector's input and trunk.

    They are those of Caffe2's trunks, unless ``state`` has its own mean and deviation. ``renamed``
    is ``state`` with Pet's keys.
    """
    expects = {**trunk_expects(renamed), **_stated_input(state)}
    if expects["INPUT.CHANNEL_ORDER"] == "RGB":
        del expects["BACKBONE.STRIDE_IN_1X1"]  # not a trunk of Caffe2: the stride is unknown
    return expects


def _stated_input(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the config values for mean and deviation in ``state``; only older files have them."""
    if "pixel_mean" not in state or "pixel_std" not in state:
        return {}
    mean, std = (
        tuple(round(value, 4) for value in state[key].flatten().tolist())
        for key in ("pixel_mean", "pixel_std")
    )
    stated: dict[str, Any] = {"INPUT.PIXEL_MEAN": mean, "INPUT.PIXEL_STD": std}
    if mean[0] != mean[-1]:
        # In photographs red is the brightest channel on average, and blue the darkest.
        stated["INPUT.CHANNEL_ORDER"] = "BGR" if mean[0] < mean[-1] else "RGB"
    return stated
