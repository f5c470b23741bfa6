"""Small models and batches for the tests of the R-CNN family."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pet.config import CfgNode, default_cfg
from pet.data.collate import batch_images
from pet.modeling.rcnn.rpn_loss import RPNLossRule, rpn_losses, sample_anchors
from pet.structures import Crop, ImageList, MaskCrops, Targets

NUM_CLASSES = 4  # with the background


def small_cfg() -> CfgNode:
    """Return a config of Mask R-CNN that takes a few hundredths of a second an image."""
    cfg = default_cfg()
    cfg.MODEL.CONV_BODY = "resnet18_1x64d"
    cfg.MODEL.NUM_CLASSES = NUM_CLASSES
    cfg.MODEL.MASK_ON = True
    cfg.FPN.FPN_ON = True
    cfg.FPN.DIM = 16
    cfg.RPN.ANCHOR_SIZES = (16, 32, 64, 96, 128)
    cfg.RPN.PRE_NMS_TOP_N_TRAIN = cfg.RPN.PRE_NMS_TOP_N_TEST = 100
    cfg.RPN.POST_NMS_TOP_N_TRAIN = cfg.RPN.POST_NMS_TOP_N_TEST = 50
    cfg.RPN.BATCH_SIZE_PER_IMAGE = 64
    cfg.FAST_RCNN.MLP_HEAD_DIM = 32
    cfg.FAST_RCNN.BATCH_SIZE_PER_IMAGE = 32
    cfg.FAST_RCNN.DETECTIONS_PER_IMG = 10
    cfg.MRCNN.CONV_DIM = 8
    cfg.MRCNN.NUM_CONVS = 2
    return cfg


def without_pyramid(cfg: CfgNode) -> CfgNode:
    """Set ``cfg`` to work on res5 alone, and return it."""
    cfg.FPN.FPN_ON = False
    cfg.RPN.ANCHOR_STRIDE = (32,)
    return cfg


def noise_images(*sizes: tuple[int, int], seed: int = 0) -> ImageList:
    """Return a batch of noise; each image depends on ``seed`` and its place alone."""
    pictures = [
        np.random.default_rng((seed, n)).integers(0, 256, (*size, 3), np.uint8)
        for n, size in enumerate(sizes)
    ]
    return batch_images(pictures, 32)


def box_targets(
    boxes: Sequence[Sequence[float]] | Tensor,
    labels: Sequence[int],
    size: tuple[int, int] = (96, 128),
) -> Targets:
    """Return ground truth whose masks fill the boxes, which have whole coordinates."""
    crops = [
        Crop(np.ones((int(y2 - y1), int(x2 - x1)), np.uint8), int(x1), int(y1))
        for x1, y1, x2, y2 in boxes
    ]
    return Targets(
        boxes=torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.int64),
        size=size,
        image_id=1,
        masks=MaskCrops.pack(crops),
    )


def random_boxes(count: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Return (count, 4) boxes of 8 pixels and more inside an image of ``size``."""
    generator = torch.Generator().manual_seed(seed)
    limit = torch.tensor([size[1], size[0]], dtype=torch.float32)
    corner = torch.rand(count, 2, generator=generator) * (limit - 8)
    side = 8 + torch.rand(count, 2, generator=generator) * (limit - corner - 8)
    return torch.cat([corner, corner + side], dim=1)


def losses_of_all(
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    targets: Sequence[Targets],
    rule: RPNLossRule,
) -> dict[str, Tensor]:
    """Return the losses of an RPN whose head says ``logits`` (N, A) and ``deltas`` (N, A, 4)."""
    sample = sample_anchors(anchors, targets, rule)
    place = sample.image, sample.anchor
    return rpn_losses(logits[place], deltas[place], sample, rule)
