"""The first steps of training and testing: the processes, and the keys that the data decide."""

import torch

from pet.config import CfgNode, freeze
from pet.launch.processes import get_local_rank, setup_distributed
from pet.utils.env import resolve_device


def join_processes(device_name: str) -> torch.device:
    """Join the process group if a launcher started several; return this process's device."""
    device = resolve_device(device_name)
    if setup_distributed(device.type) and device.type == "cuda":
        return torch.device("cuda", get_local_rank())
    return device


def set_num_classes(cfg: CfgNode, num_classes: int) -> None:
    """Write the number of classes, with the background, into the frozen ``cfg``."""
    cfg.defrost()
    cfg.MODEL.NUM_CLASSES = num_classes
    freeze(cfg)


def set_num_keypoints(cfg: CfgNode, num_keypoints: int) -> None:
    """Write the number of points of an object into the frozen ``cfg``."""
    cfg.defrost()
    cfg.KRCNN.NUM_KEYPOINTS = num_keypoints
    freeze(cfg)
