"""Pictures of the images and targets that a loader feeds the network."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pet.config import CfgNode, cfg
from pet.data.build import build_dataset, make_test_data_loader, make_train_data_loader
from pet.structures import ImageList, Targets
from pet.visualization.draw import draw_targets, save_picture

Say = Callable[[str], Any]


def show_training_data(count: int, folder: Path, say: Say = print, cfg: CfgNode = cfg) -> None:
    """Draw the first ``count`` training images, with their targets, and ``say`` the batch shapes.

    These are the first images of a new run with this config, after all transforms.
    """
    dataset = build_dataset(cfg.TRAIN.DATASETS, is_train=True, cfg=cfg)
    drawn = 0
    for images, targets, infos in make_train_data_loader(dataset, cfg=cfg):
        say("\n".join(describe_batch(images, targets)))
        for index, info in enumerate(infos[: count - drawn]):
            image, layout = unpadded(images, index), dataset.keypoint_layout
            picture = draw_targets(image, targets[index], dataset.class_names, layout)
            save_picture(folder / f"train_{drawn:03d}_{Path(info.file).stem}.jpg", picture)
            drawn += 1
        if drawn == count:
            break
    say(f"{drawn} pictures are in {folder}")


def show_test_data(count: int, folder: Path, say: Say = print, cfg: CfgNode = cfg) -> None:
    """Write the first ``count`` images of each test set as the network gets them.

    Raises ValueError if ``TEST.DATASETS`` is empty.
    """
    if not cfg.TEST.DATASETS:
        raise ValueError("TEST.DATASETS names no data set to show, such as coco_2017_val")
    for name in cfg.TEST.DATASETS:
        drawn = 0
        dataset = build_dataset((name,), is_train=False, cfg=cfg)
        for images, infos in make_test_data_loader(dataset, cfg=cfg):
            say("\n".join(describe_batch(images)))
            for index, info in enumerate(infos[: count - drawn]):
                if info.error:
                    raise ValueError(info.error)
                path = folder / f"{name}_{drawn:03d}_{Path(info.file).stem}.jpg"
                save_picture(path, unpadded(images, index))
                drawn += 1
            if drawn == count:
                break
        say(f"{drawn} pictures of {name} are in {folder}")


def describe_batch(images: ImageList, targets: Sequence[Targets] | None = None) -> list[str]:
    """Return a line for each part of a batch with its shape; "6|3" means 6 and 3 objects."""
    lines = [f"data: {tuple(images.tensor.shape)}"]
    if targets is None:
        return lines
    objects = "|".join(str(len(per_image)) for per_image in targets)
    lines.append(f"label: ({len(targets)}, {objects})")
    lines.append(f"box: ({len(targets)}, {objects}, 4)")
    masks = [per_image.masks for per_image in targets if per_image.masks is not None]
    if masks:
        pixels = sum(len(crops.bits) for crops in masks)
        lines.append(f"mask: ({len(targets)}, {objects}) crops of {pixels} pixels in all")
    points = targets[0].keypoints
    if points is not None:
        lines.append(f"keypoint: ({len(targets)}, {objects}, {points.shape[1]}, 3)")
    return lines


def unpadded(images: ImageList, index: int) -> np.ndarray:
    """Return image ``index`` of a batch without its padding, (H, W, 3) uint8 BGR."""
    height, width = images.sizes[index]
    pixels = images.tensor[index, :, :height, :width].permute(1, 2, 0)
    return pixels.round().to(torch.uint8).contiguous().numpy()
