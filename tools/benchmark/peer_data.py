"""COCO as torchvision's training scripts read it: a picture, and N masks of its size.

N objects of an image. Source: the steps of torchvision's references/detection.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask
import torch
from PIL import Image
from pycocotools.coco import COCO
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import functional as F

from pet.data.datasets import CocoDataset

PeerTarget = dict[str, Tensor]
PeerItem = tuple[Tensor, PeerTarget]


class PeerPictures(Dataset[Tensor]):
    """The images of ``files``, as torchvision's models take them in testing."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files = tuple(files)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Tensor:
        """Return image ``index`` (3, H, W), RGB in 0..1."""
        picture = Image.open(self._files[index]).convert("RGB")
        return F.convert_image_dtype(F.pil_to_tensor(picture))


class PeerCoco(Dataset[PeerItem]):
    """The images of ``data`` with their annotations, as torchvision's models take them."""

    def __init__(self, data: CocoDataset, flip_prob: float, with_masks: bool) -> None:
        """``flip_prob`` as TRAIN.FLIP_PROB; ``with_masks`` as MODEL.MASK_ON."""
        self._infos = [data.info(n) for n in range(len(data))]
        self._labels = {category: n for n, category in enumerate(data.category_ids, start=1)}
        coco = COCO(data.annotation_file)
        self._annotations = [
            [a for a in coco.imgToAnns[info.image_id] if not a.get("iscrowd")]
            for info in self._infos
        ]
        self._flip_prob = flip_prob
        self._with_masks = with_masks

    def __len__(self) -> int:
        return len(self._infos)

    def __getitem__(self, index: int) -> PeerItem:
        """Return image ``index`` (3, H, W) in 0..1, its boxes, labels and any masks (N, H, W)."""
        info = self._infos[index]
        picture = Image.open(info.file).convert("RGB")
        target = self._target(self._annotations[index], picture.size)
        if torch.rand(1) < self._flip_prob:
            picture, target = _flip(picture, target)
        return F.convert_image_dtype(F.pil_to_tensor(picture)), target

    def _target(self, annotations: Sequence[dict[str, Any]], size: tuple[int, int]) -> PeerTarget:
        width, height = size
        boxes = torch.as_tensor([a["bbox"] for a in annotations], dtype=torch.float32)
        boxes = boxes.reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        boxes[:, 0::2].clamp_(min=0, max=width)
        boxes[:, 1::2].clamp_(min=0, max=height)
        labels = torch.tensor(
            [self._labels[a["category_id"]] for a in annotations], dtype=torch.int64
        )
        target = {"boxes": boxes, "labels": labels}
        if self._with_masks:
            outlines = [a["segmentation"] for a in annotations]
            target["masks"] = _full_masks(outlines, height, width)
        keep = (boxes[:, 3] > boxes[:, 1]) & (boxes[:, 2] > boxes[:, 0])
        return {key: value[keep] for key, value in target.items()}


def _full_masks(segmentations: Sequence[Any], height: int, width: int) -> Tensor:
    """Return (N, H, W) uint8."""
    masks = []
    for outline in segmentations:
        parts = coco_mask.decode(coco_mask.frPyObjects(outline, height, width))
        masks.append(torch.as_tensor(parts, dtype=torch.uint8).reshape(height, width, -1).any(2))
    if not masks:
        return torch.zeros((0, height, width), dtype=torch.uint8)
    return torch.stack(masks).to(torch.uint8)


def _flip(picture: Image.Image, target: PeerTarget) -> tuple[Image.Image, PeerTarget]:
    boxes = target["boxes"].clone()
    boxes[:, [0, 2]] = picture.width - boxes[:, [2, 0]]
    masks = {"masks": target["masks"].flip(-1)} if "masks" in target else {}
    return F.hflip(picture), {**target, "boxes": boxes, **masks}


def peer_collate(items: Sequence[PeerItem]) -> tuple[list[Tensor], list[PeerTarget]]:
    """Return a list of the images and a list of the targets of ``items``."""
    images, targets = zip(*items, strict=True)
    return list(images), list(targets)


def peer_records(image_id: int, found: PeerTarget, category_ids: Sequence[int]) -> dict[str, Any]:
    """Return the detections of an image as COCO's records, by "bbox" and "segm".

    ``found`` is the output of torchvision's model for it, on the CPU.
    """
    boxes = found["boxes"].clone()
    boxes[:, 2:] -= boxes[:, :2]
    shared = [
        {"image_id": image_id, "category_id": category_ids[label - 1], "score": score}
        for label, score in zip(found["labels"].tolist(), found["scores"].tolist(), strict=True)
    ]
    results = {"bbox": [h | {"bbox": b} for h, b in zip(shared, boxes.tolist(), strict=True)]}
    if "masks" in found:
        rles = [_encode(mask) for mask in found["masks"] > 0.5]
        results["segm"] = [h | {"segmentation": r} for h, r in zip(shared, rles, strict=True)]
    return results


def _encode(mask: Tensor) -> dict[str, Any]:
    """Return the compressed RLE of a mask (1, H, W)."""
    full = np.array(mask[0, :, :, np.newaxis], dtype=np.uint8, order="F")
    rle = coco_mask.encode(full)[0]
    return {"size": rle["size"], "counts": rle["counts"].decode("utf-8")}
