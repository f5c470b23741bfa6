"""What the tests of Detectron2's facts share."""

import torch

from pet.config import CfgNode, default_cfg, merge_cfg_from_file

R_50, X_101 = "mask_rcnn_R_50_FPN_3x", "mask_rcnn_X_101_32x8d_FPN_3x"
TORCHVISION = "torchvision/maskrcnn_resnet50_fpn"
SCALES = (1 / 4, 1 / 8, 1 / 16, 1 / 32)
# Boxes that lie apart.
A, B, C = [0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0], [40.0, 0.0, 50.0, 10.0]


def cfg_of(name: str = R_50, num_classes: int = 81) -> CfgNode:
    cfg = default_cfg()
    folder = "" if "/" in name else "detectron2/"
    merge_cfg_from_file(f"cfgs/rcnn/{folder}{name}.yaml", cfg)
    cfg.MODEL.NUM_CLASSES = num_classes
    return cfg


def close(found, wanted, atol: float = 1e-4) -> None:
    found = torch.as_tensor(found, dtype=torch.float32)
    torch.testing.assert_close(found, torch.tensor(wanted), atol=atol, rtol=0)
