"""A Mask R-CNN that torchvision builds, as small as Pet's tiny one, and the config of that."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.models import resnet18
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

from pet.config import CfgNode
from tests.engine.tiny_run import tiny_cfg

#: What torchvision's models need and the tiny config does not say.
FAMILY: dict[str, Any] = {
    "INPUT__INTERPOLATION": "float",
    "INPUT__RESIZE_ROUNDING": "floor",
    "FPN__ROI_RATIO_EPS": 0.0,
    "FPN__ROI_LEVEL_EPS": 1e-6,
    "RPN__ANCHOR_ROUNDED": True,
    "RPN__ANCHOR_STEP_FROM_SIZE": True,
    "RPN__MIN_SIZE": 0.001,
    "FAST_RCNN__ROI_XFORM_ALIGNED": False,
    "FAST_RCNN__MIN_SIZE": 0.01,
    "MRCNN__ROI_XFORM_ALIGNED": False,
    "MRCNN__PASTE_METHOD": "integer_box",
}


def small_mask_rcnn(num_classes: int = 4) -> dict[str, Tensor]:
    """Return the state dict of random weights; ``num_classes`` with the background."""
    torch.manual_seed(1)
    stages = {f"layer{stage}": str(stage - 1) for stage in range(1, 5)}
    pyramid = BackboneWithFPN(resnet18(weights=None), stages, [64, 128, 256, 512], 16)
    model = MaskRCNN(
        pyramid,
        box_head=TwoMLPHead(16 * 7 * 7, 32),
        box_predictor=FastRCNNPredictor(32, num_classes),
        mask_head=MaskRCNNHeads(16, (16,), 1),
        mask_predictor=MaskRCNNPredictor(16, 16, num_classes),
    )
    return model.state_dict()


def small_cfg(folder: Path, **changes: Any) -> CfgNode:
    """Return the config of the same model, with norms that count, as torchvision builds them."""
    return tiny_cfg(folder, **{"MODEL__NUM_CLASSES": 4, **changes})
