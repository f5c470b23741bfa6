"""Drawn samples whose pixels tell their object: blue is its label, 0 on the ground."""

from dataclasses import replace

import numpy as np
import torch

from pet.data.datasets.mask_polygons import mask_to_polygons
from pet.data.sample import Sample, make_targets
from pet.structures import BitMask, Crop, ImageInfo, KeypointLayout, Mask, PolygonMask

LAYOUT = KeypointLayout(("nose", "left_ear", "right_ear"))


def draw_sample(
    rng: np.random.Generator, size: tuple[int, int], count: int, first: int = 1, points: bool = True
) -> Sample:
    """Return a picture of ``size`` with at most ``count`` rectangles, of labels from ``first`` on.

    Later ones hide earlier ones. Masks are exact, as polygons or as pixels; ``points`` asks for
    keypoints, of which a third is not labelled.
    """
    height, width = size
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    image[..., 0] = 0
    for label in range(first, first + count):
        x1, x2 = np.sort(rng.integers(0, width + 1, 2)).tolist()
        y1, y2 = np.sort(rng.integers(0, height + 1, 2)).tolist()
        image[y1:y2, x1:x2, 0] = label
    labels = [n for n in range(first, first + count) if (image[..., 0] == n).any()]
    masks = tuple(mask_of(image[..., 0] == n, bool(rng.integers(2))) for n in labels)
    boxes = [box_of(image[..., 0] == n) for n in labels]
    return Sample(
        image,
        ImageInfo(first, height, width, f"{first}.png"),
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        masks,
        _points(boxes, rng) if points else None,
        extras={"age": torch.tensor(labels, dtype=torch.int64) * 10},
    )


def mask_of(pixels: np.ndarray, as_polygons: bool) -> Mask:
    """Return the mask of ``pixels`` (H, W) bool."""
    if as_polygons:
        outlines = mask_to_polygons(pixels)
        return PolygonMask(tuple(np.array(o, np.float64).reshape(-1, 2) for o in outlines))
    return BitMask.around(Crop(pixels.astype(np.uint8), 0, 0), pixels.shape)


def box_of(pixels: np.ndarray) -> list[float]:
    """Return the box around ``pixels`` (H, W) bool, at least one of them true."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    return [float(v) for v in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)]


def _points(boxes: list[list[float]], rng: np.random.Generator) -> torch.Tensor:
    points = [
        [(x1 + (x2 - x1) * rng.random(), y1 + (y2 - y1) * rng.random(), v) for v in (0, 1, 2)]
        for x1, y1, x2, y2 in boxes
    ]
    keypoints = torch.tensor(points, dtype=torch.float32).reshape(-1, 3, 3)
    return torch.where(keypoints[..., 2:] > 0, keypoints, 0.0)


def pixels_of(mask: Mask, size: tuple[int, int]) -> np.ndarray:
    """Return ``mask`` as (H, W) bool."""
    crop, pixels = mask.crop(size), np.zeros(size, bool)
    height, width = crop.bits.shape
    assert crop.x >= 0 and crop.y >= 0
    pixels[crop.y : crop.y + height, crop.x : crop.x + width] = crop.bits
    return pixels


def check_pixels(sample: Sample) -> None:
    """Assert that the mask of each object covers just the pixels that are blue with its label."""
    for label, mask in zip(sample.labels.tolist(), sample.masks, strict=True):
        assert np.array_equal(pixels_of(mask, sample.size), sample.image[..., 0] == label)


def check_sample(sample: Sample, size: tuple[int, int] | None = None) -> None:
    """Assert that all parts of ``sample`` fit together, and that the picture has ``size``."""
    height, width = sample.size
    assert sample.image.dtype == np.uint8 and sample.image.shape == (height, width, 3)
    assert size is None or size == (height, width)
    assert sample.boxes.dtype == torch.float32 and sample.labels.dtype == torch.int64
    assert torch.equal(sample.extras["age"], sample.labels * 10)
    assert sample.boxes.isfinite().all()
    assert (sample.boxes >= 0).all()
    assert (sample.boxes <= torch.tensor([width, height, width, height])).all()
    assert (sample.boxes[:, 2:] > sample.boxes[:, :2]).all()
    for box, mask in zip(sample.boxes.tolist(), sample.masks, strict=True):
        assert isinstance(mask, PolygonMask) or mask.size == sample.size
        pixels = box_of(pixels_of(mask, sample.size))  # there is at least one
        assert all(pixels[side] >= box[side] - 1 for side in (0, 1))
        assert all(pixels[side] <= box[side] + 1 for side in (2, 3))
    if sample.keypoints is not None:
        check_points(sample.keypoints, (height, width))
    assert len(make_targets(sample)) == len(sample.labels)


def check_points(keypoints: torch.Tensor, size: tuple[int, int]) -> None:
    """Assert that labelled points lie in the picture, and that the others have no place."""
    x, y, visibility = keypoints.unbind(-1)
    shown = visibility > 0
    inside = (x >= 0) & (x <= size[1]) & (y >= 0) & (y <= size[0])
    assert inside[shown].all() and keypoints.isfinite().all()
    assert not keypoints[~shown].any()


def same(first: Sample, second: Sample) -> bool:
    """Whether the pictures and all annotations of two samples are the same."""
    one, other = make_targets(first), make_targets(second)
    both = first.keypoints is None or torch.equal(first.keypoints, second.keypoints)
    return (
        both
        and np.array_equal(first.image, second.image)
        and first.size == second.size
        and torch.equal(first.labels, second.labels)
        and torch.equal(first.boxes, second.boxes)
        and torch.equal(one.masks.bits, other.masks.bits)
        and torch.equal(one.masks.origins, other.masks.origins)
    )


class DrawnData:
    """A data set of a few drawn samples; only the members that a transform needs."""

    keypoint_layout = None

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, index: int) -> Sample:
        return self.samples[index]


def without_masks(sample: Sample) -> Sample:
    return replace(sample, masks=None)
