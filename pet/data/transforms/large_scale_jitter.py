"""Large scale jitter: pictures of very different scales, cropped or padded to one size."""

from dataclasses import replace

import numpy as np

from pet.config import CfgNode
from pet.data.dataset import Dataset
from pet.data.registry import TRANSFORMS
from pet.data.sample import Sample
from pet.data.transforms.cut import cut, drop_lost
from pet.data.transforms.resize import resize_image
from pet.ops.boxes import scale_boxes
from pet.ops.keypoints import scale_keypoints

Fill = tuple[int, int, int]  # blue, green and red, 0..255


class LargeScaleJitter:
    """Resizes a sample by a random scale, and crops or pads it to a fixed size.

    Source: Ghiasi et al. 2021, "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
    Segmentation", section 3; the steps are those of Detectron2's ``ResizeScale`` and
    ``FixedSizeCrop``.
    """

    def __init__(
        self,
        size: tuple[int, int],
        scales: tuple[float, float],
        fill: Fill,
        interpolation: str = "opencv",
    ) -> None:
        """``size`` (height, width) of all results, in pixels.

        At scale 1 the picture just fits into ``size``; ``scales`` are the least and the greatest.
        Padding, on the right and below, has the colour ``fill``. ``interpolation`` is that of
        ``resize_image``; with "float" the pixels are rounded.
        """
        self.size, self.fill = size, fill
        self.scales = min(scales), max(scales)
        self.interpolation = interpolation

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return ``sample`` at the fixed size; objects that are cut off or vanish are left out."""
        scale = rng.uniform(*self.scales)
        ratio = scale * min(
            wanted / side for wanted, side in zip(self.size, sample.size, strict=True)
        )
        height, width = (max(round(side * ratio), 1) for side in sample.size)
        return fixed_size_crop(self._resize(sample, (height, width)), self.size, self.fill, rng)

    def _resize(self, sample: Sample, size: tuple[int, int]) -> Sample:
        assert sample.resize_to is None, "the picture is resized twice"
        ratio_y, ratio_x = size[0] / sample.size[0], size[1] / sample.size[1]
        image = resize_image(sample.image, size, self.interpolation)
        masks, keypoints = sample.masks, sample.keypoints
        return replace(
            sample,
            image=image if image.dtype == np.uint8 else np.rint(image).astype(np.uint8),
            boxes=scale_boxes(sample.boxes, ratio_x, ratio_y),
            masks=None if masks is None else tuple(mask.resize(ratio_x, ratio_y) for mask in masks),
            keypoints=None if keypoints is None else scale_keypoints(keypoints, ratio_x, ratio_y),
        )


def fixed_size_crop(
    sample: Sample, size: tuple[int, int], fill: Fill, rng: np.random.Generator
) -> Sample:
    """Return ``sample`` at ``size`` (height, width): a random window of it, padded if too small.

    The padding is on the right and below, so that a window that needs some begins at the first
    pixel. Objects without an area or a pixel left are left out.
    """
    height, width = (min(pair) for pair in zip(size, sample.size, strict=True))
    y = int(rng.integers(sample.size[0] - height + 1))
    x = int(rng.integers(sample.size[1] - width + 1))
    part = drop_lost(cut(sample, x, y, (height, width)))
    image = np.empty((*size, 3), np.uint8)
    image[:height, :width] = part.image
    image[height:] = fill
    image[:height, width:] = fill
    masks = part.masks
    if masks is not None:
        masks = tuple(mask.place(0, 0, size) for mask in masks)
    return replace(part, image=image, masks=masks)


@TRANSFORMS.register("large_scale_jitter")
def large_scale_jitter(cfg: CfgNode, dataset: Dataset) -> LargeScaleJitter:
    """Build the jitter of training images by the keys of ``TRAIN.LARGE_SCALE_JITTER``.

    Padding is ``INPUT.PIXEL_MEAN``, rounded, and so nearly 0 to the network (as in torchvision).
    """
    keys = cfg.TRAIN.LARGE_SCALE_JITTER
    first, second, third = (min(max(round(mean), 0), 255) for mean in cfg.INPUT.PIXEL_MEAN)
    fill = (third, second, first) if cfg.INPUT.CHANNEL_ORDER == "RGB" else (first, second, third)
    return LargeScaleJitter(keys.SIZE, keys.SCALES, fill, cfg.INPUT.INTERPOLATION)
