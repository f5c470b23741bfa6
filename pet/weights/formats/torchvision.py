"""Models of torchvision, and the URLs of their files.

ImageNet ResNets and ResNeXts become the trunk. The detectors here (those of RetinaNet are in
``torchvision_retinanet.py``) are keypointrcnn_resnet50_fpn, and
fasterrcnn_resnet50_fpn and maskrcnn_resnet50_fpn in versions V1 and V2 (with norms in the pyramid
and the heads), with today's keys or the older ones that torchvision still reads.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor
from torchvision.models import (
    ResNet18_Weights,
    ResNet34_Weights,
    ResNet50_Weights,
    ResNet101_Weights,
    ResNet152_Weights,
    ResNeXt50_32X4D_Weights,
    ResNeXt101_32X8D_Weights,
    ResNeXt101_64X4D_Weights,
    WeightsEnum,
)
from torchvision.models.detection import (
    FasterRCNN_ResNet50_FPN_V2_Weights,
    FasterRCNN_ResNet50_FPN_Weights,
    KeypointRCNN_ResNet50_FPN_Weights,
    MaskRCNN_ResNet50_FPN_V2_Weights,
    MaskRCNN_ResNet50_FPN_Weights,
    RetinaNet_ResNet50_FPN_V2_Weights,
    RetinaNet_ResNet50_FPN_Weights,
)

from pet.weights.formats.base import RESNET_KEY, TRUNK_LAYER, Converted, Rule, by_rules, rename

_PUBLISHED: tuple[type[WeightsEnum], ...] = (
    ResNet18_Weights,
    ResNet34_Weights,
    ResNet50_Weights,
    ResNet101_Weights,
    ResNet152_Weights,
    ResNeXt50_32X4D_Weights,
    ResNeXt101_32X8D_Weights,
    ResNeXt101_64X4D_Weights,
    FasterRCNN_ResNet50_FPN_Weights,
    FasterRCNN_ResNet50_FPN_V2_Weights,
    MaskRCNN_ResNet50_FPN_Weights,
    MaskRCNN_ResNet50_FPN_V2_Weights,
    KeypointRCNN_ResNet50_FPN_Weights,
    RetinaNet_ResNet50_FPN_Weights,
    RetinaNet_ResNet50_FPN_V2_Weights,
)

#: File name -> URL.
DOWNLOADS: Mapping[str, str] = {
    Path(weights.value.url).name: weights.value.url for family in _PUBLISHED for weights in family
}

#: Config values for a trunk trained by torchvision.
TRUNK_EXPECTS: Mapping[str, Any] = {
    "INPUT.CHANNEL_ORDER": "RGB",
    "INPUT.PIXEL_MEAN": (123.675, 116.28, 103.53),
    "INPUT.PIXEL_STD": (58.395, 57.12, 57.375),
    "MODEL.BATCH_NORM_EPS": 1e-5,
    "BACKBONE.STRIDE_IN_1X1": False,
}
#: Further config values for torchvision's detectors.
_DETECTOR_EXPECTS: Mapping[str, Any] = {
    "INPUT.INTERPOLATION": "float",
    "INPUT.RESIZE_ROUNDING": "floor",
    "FPN.ROI_RATIO_EPS": 0.0,
    "FPN.ROI_LEVEL_EPS": 1e-6,
    "RPN.ANCHOR_ROUNDED": True,
    "RPN.ANCHOR_STEP_FROM_SIZE": True,
    "RPN.MIN_SIZE": 1e-3,
    "FAST_RCNN.ROI_XFORM_ALIGNED": False,
    "FAST_RCNN.ROI_XFORM_SAMPLING_RATIO": 2,
    "FAST_RCNN.MIN_SIZE": 1e-2,
    "MRCNN.ROI_XFORM_ALIGNED": False,
    "MRCNN.ROI_XFORM_SAMPLING_RATIO": 2,
    "MRCNN.PASTE_METHOD": "integer_box",
    "KRCNN.PIXEL_SHIFT": 0.0,
    "KRCNN.ROI_XFORM_ALIGNED": False,
    "KRCNN.ROI_XFORM_SAMPLING_RATIO": 2,
    "KRCNN.SCORE_METHOD": "one",
}
#: Number of outputs of the detectors trained on COCO: category ids 0 (the background) to 90.
COCO_IDS = 91

_DETECTOR_RULES: tuple[Rule, ...] = (
    (rf"backbone\.body\.({TRUNK_LAYER})", r"Conv_Body.\1"),
    (r"backbone\.fpn\.inner_blocks\.(\d)(?:\.0)?", r"Conv_Body_FPN.lateral_convs.\1"),
    (r"backbone\.fpn\.inner_blocks\.(\d)\.1", r"Conv_Body_FPN.lateral_convs.\1.norm"),
    (r"backbone\.fpn\.layer_blocks\.(\d)(?:\.0)?", r"Conv_Body_FPN.output_convs.\1"),
    (r"backbone\.fpn\.layer_blocks\.(\d)\.1", r"Conv_Body_FPN.output_convs.\1.norm"),
    (r"rpn\.head\.conv", r"RPN.head.convs.0"),
    (r"rpn\.head\.conv\.(\d)\.0", r"RPN.head.convs.\1"),
    (r"rpn\.head\.(cls_logits|bbox_pred)", r"RPN.head.\1"),
    (r"roi_heads\.box_head\.fc6", r"Fast_RCNN.head.fc1"),
    (r"roi_heads\.box_head\.fc7", r"Fast_RCNN.head.fc2"),
    (r"roi_heads\.box_head\.(\d)\.0", r"Fast_RCNN.head.convs.\1"),
    (r"roi_heads\.box_head\.(\d)\.1", r"Fast_RCNN.head.convs.\1.norm"),
    # The linear layer after the convolutions.
    (r"roi_heads\.box_head\.\d", r"Fast_RCNN.head.fc1"),
    (r"roi_heads\.box_predictor\.(cls_score|bbox_pred)", r"Fast_RCNN.predictor.\1"),
    (r"roi_heads\.mask_head\.(\d)\.0", r"Mask_RCNN.head.convs.\1"),
    (r"roi_heads\.mask_head\.(\d)\.1", r"Mask_RCNN.head.convs.\1.norm"),
    *((rf"roi_heads\.mask_head\.mask_fcn{i + 1}", f"Mask_RCNN.head.convs.{i}") for i in range(4)),
    (r"roi_heads\.mask_predictor\.conv5_mask", r"Mask_RCNN.predictor.deconv"),
    (r"roi_heads\.mask_predictor\.mask_fcn_logits", r"Mask_RCNN.predictor.mask_logits"),
    # Convolutions and ReLUs are numbered together.
    *((rf"roi_heads\.keypoint_head\.{2 * i}", f"Keypoint_RCNN.head.convs.{i}") for i in range(8)),
    (r"roi_heads\.keypoint_predictor\.kps_score_lowres", r"Keypoint_RCNN.predictor.deconv"),
)


class TorchvisionResNetImporter:
    """Imports a ResNet as the trunk, without its classifier, ``fc``."""

    name = "torchvision ResNet"
    family = "torchvision"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has a ResNet's stem, first and last stage, and no foreign layers."""
        needed = {"conv1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight"}
        return needed <= state.keys() and all(map(RESNET_KEY.fullmatch, state))

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` with the trunk's keys under ``Conv_Body.``."""
        rules = ((f"({TRUNK_LAYER})", r"Conv_Body.\1"),)
        converted = rename(state, by_rules(rules), not_needed=r"fc\..*")
        return replace(converted, expects=TRUNK_EXPECTS)


class TorchvisionDetectorImporter:
    """Imports a detector; classes, anchors and outputs have Pet's order, only the names differ."""

    name = "torchvision detector"
    family = "torchvision"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has a ResNet and a pyramid under torchvision's names."""
        has_pyramid = any(key.startswith("backbone.fpn.") for key in state)
        return has_pyramid and "backbone.body.conv1.weight" in state

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` with Pet's keys."""
        converted = rename(state, by_rules(_DETECTOR_RULES))
        return replace(converted, expects=_expects(converted.state))


def _expects(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the config values for a detector, given its ``state`` with Pet's keys."""
    is_v2 = "Conv_Body_FPN.lateral_convs.0.norm.weight" in state
    expects = {**(TRUNK_EXPECTS if is_v2 else first_form_trunk_expects(state)), **_DETECTOR_EXPECTS}
    scores = state.get("Fast_RCNN.predictor.cls_score.bias")
    if scores is not None and len(scores) == COCO_IDS:
        expects["MODEL.CLASS_LABELS"] = "category_id"
    return expects


def first_form_trunk_expects(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the config values for the trunk of a V1 detector, given its ``state``."""
    if "Conv_Body.bn1.num_batches_tracked" in state:
        return dict(TRUNK_EXPECTS)
    # Frozen norms: the published files need an eps of 0. Files that a user trained with 1e-5 have
    # the same keys.
    return {**TRUNK_EXPECTS, "MODEL.BATCH_NORM_EPS": 0.0}
