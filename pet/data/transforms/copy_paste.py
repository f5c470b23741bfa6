"""Objects of another training picture, pasted onto this one."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pet.config import CfgNode
from pet.data.dataset import Dataset
from pet.data.registry import TRANSFORMS, Transform
from pet.data.sample import Sample
from pet.data.transforms.cut import cut, drop_lost, select
from pet.ops.boxes import shift_boxes
from pet.structures import BitMask, Crop, Mask
from pet.utils.opencv import cv2


class CopyPaste:
    """Pastes a random subset of the objects of another sample, without blending.

    Source: Ghiasi et al. 2021, "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
    Segmentation", section 3, where blending the edges made no difference. The pasted objects hide
    others: masks and boxes become those of the rest that is seen.
    """

    def __init__(
        self, dataset: Dataset, before: Sequence[Transform], prob: float, min_visible: float
    ) -> None:
        """``dataset`` with masks: the other samples. They go through the transforms ``before``.

        ``prob`` of pasting, in [0, 1]. An object stays if at least the share ``min_visible`` of its
        pixels is still seen; with 0, unless all are hidden.
        """
        self.dataset, self.before = dataset, tuple(before)
        self.prob, self.min_visible = prob, min_visible

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return ``sample`` with further objects, or unchanged.

        Raises ValueError if the data set has no masks, and the errors of its ``read``.
        """
        if rng.random() >= self.prob:
            return sample
        other = self.dataset.read(int(rng.integers(len(self.dataset))))
        for transform in self.before:
            other = transform(other, rng)
        count = len(other.boxes)
        if not count:
            return sample
        chosen = rng.permutation(count)[: int(rng.integers(1, count + 1))]
        other = select(other, torch.from_numpy(np.sort(chosen)))
        y, rows, height = _fit(other.size[0], sample.size[0], rng)
        x, columns, width = _fit(other.size[1], sample.size[1], rng)
        _check_alike(sample, other)
        part = drop_lost(cut(_by_pixels(other), columns, rows, (height, width)))
        return paste(sample, part, x=x, y=y, min_visible=self.min_visible)


def _fit(theirs: int, ours: int, rng: np.random.Generator) -> tuple[int, int, int]:
    """Return where along an axis the other picture begins in ours, or ours in it, and the overlap.

    The shorter side lies anywhere within the longer one; of the first two numbers one is 0.
    """
    offset = int(rng.integers(abs(ours - theirs) + 1))
    return (offset, 0, theirs) if theirs < ours else (0, offset, ours)


def _check_alike(sample: Sample, other: Sample) -> None:
    """Raise ValueError if the two have no masks, or other extras."""
    for one in (sample, other):
        if one.masks is None:
            raise ValueError(
                f"copy_paste, in TRAIN.TRANSFORMS, needs masks, which the data set of the image "
                f"{one.info.file} does not give; leave it out"
            )
    if set(sample.extras) != set(other.extras):
        raise ValueError(
            f"copy_paste, in TRAIN.TRANSFORMS, joins the objects of two images, but the extras of "
            f"{sample.info.file} are {sorted(sample.extras)} and those of {other.info.file} "
            f"{sorted(other.extras)}"
        )


def _by_pixels(sample: Sample) -> Sample:
    """Return ``sample`` with its masks as pixels."""
    masks, size = sample.masks or (), sample.size
    return replace(sample, masks=tuple(BitMask.around(mask.crop(size), size) for mask in masks))


def paste(sample: Sample, part: Sample, *, x: int, y: int, min_visible: float) -> Sample:
    """Return ``sample`` with the objects of ``part``, which lies at (``x``, ``y``) within it.

    Both have masks. The new objects come last, and hide the others.
    """
    assert part.masks is not None
    if not part.masks:
        return sample
    crops = [mask.crop(part.size) for mask in part.masks]
    cover = np.zeros(sample.size, np.uint8)
    for crop in crops:
        _window(cover, Crop(crop.bits, crop.x + x, crop.y + y))[...] |= crop.bits
    height, width = part.size
    here = slice(y, y + height), slice(x, x + width)
    image = sample.image.copy()
    image[here] = cv2.copyTo(part.image, cover[here], image[here])
    seen = hide(sample, cover, min_visible)
    assert seen.masks is not None
    pasted = (BitMask.around(crop, part.size).place(x, y, sample.size) for crop in crops)
    return replace(
        seen,
        image=image,
        boxes=torch.cat((seen.boxes, shift_boxes(part.boxes, x, y))),
        labels=torch.cat((seen.labels, part.labels)),
        masks=(*seen.masks, *pasted),
        extras={n: torch.cat((values, part.extras[n])) for n, values in seen.extras.items()},
    )


def hide(sample: Sample, cover: np.ndarray, min_visible: float) -> Sample:
    """Return ``sample`` with its objects as seen if the pixels ``cover`` (H, W) uint8 are hidden.

    Those of which less than the share ``min_visible`` is left, or nothing, are left out; of the
    others that lose pixels the mask becomes the rest, and the box that around it.
    """
    assert sample.masks is not None
    boxes, masks, keep = sample.boxes.clone(), list(sample.masks), []
    for place, mask in enumerate(sample.masks):
        crop = mask.crop(sample.size)
        rest = crop.bits & ~_window(cover, crop)
        before, left = int(crop.bits.sum()), int(rest.sum())
        if left < before:
            masks[place], boxes[place] = _seen(Crop(rest, crop.x, crop.y), sample.size)
        if left == before or left >= max(min_visible * before, 1):
            keep.append(place)
    changed = replace(sample, boxes=boxes, masks=tuple(masks))
    return select(changed, torch.tensor(keep, dtype=torch.int64))


def _seen(crop: Crop, size: tuple[int, int]) -> tuple[Mask, Tensor]:
    """Return the mask of ``crop``, and the box (4,) around its pixels."""
    mask = BitMask.around(crop, size)
    height, width = mask.pixels.bits.shape
    x, y = mask.pixels.x, mask.pixels.y
    return mask, torch.tensor((x, y, x + width, y + height), dtype=torch.float32)


def _window(cover: np.ndarray, crop: Crop) -> np.ndarray:
    """Return the view of ``cover`` that ``crop`` lies on."""
    height, width = crop.bits.shape
    return cover[crop.y : crop.y + height, crop.x : crop.x + width]


@TRANSFORMS.register("copy_paste")
def copy_paste(cfg: CfgNode, dataset: Dataset) -> CopyPaste:
    """Build the pasting of objects by the keys of ``TRAIN.COPY_PASTE``.

    The other picture goes through the transforms before this one in ``TRAIN.TRANSFORMS``, too.
    """
    names = tuple(cfg.TRAIN.TRANSFORMS)
    names = names[: names.index("copy_paste")] if "copy_paste" in names else ()
    before = [TRANSFORMS[name](cfg, dataset) for name in names]
    keys = cfg.TRAIN.COPY_PASTE
    return CopyPaste(dataset, before, keys.PROB, keys.MIN_VISIBLE)
