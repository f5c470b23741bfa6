"""Instance masks: polygons and RLE of a file, crops for training, RLE of predictions.

N masks of an image; a crop is the part of a mask inside a box of whole pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask
import torch
from torch import Tensor

Rle = dict[str, Any]  # COCO's compressed RLE: {"size": [height, width], "counts": str}


@dataclass(frozen=True)
class Crop:
    """The part of a mask inside a box of whole pixels; everything outside is background."""

    bits: np.ndarray  # (height, width) uint8, 0 or 1; preferably column-major, as in pycocotools
    x: int  # image column of the first column of ``bits``
    y: int  # image row of the first row of ``bits``


@dataclass(frozen=True)
class PolygonMask:
    """A mask given by the union of polygons, in continuous pixel coordinates."""

    polygons: tuple[np.ndarray, ...]  # each (n, 2) float64 of x, y, n >= 3

    def resize(self, ratio_x: float, ratio_y: float) -> "PolygonMask":
        """Return the mask after the image is resized by the two ratios."""
        scale = np.array([ratio_x, ratio_y])
        return PolygonMask(tuple(polygon * scale for polygon in self.polygons))

    def flip(self, width: int) -> "PolygonMask":
        """Return the mask after the image, ``width`` pixels wide, is mirrored."""
        mirror, shift = np.array([-1.0, 1.0]), np.array([float(width), 0.0])
        return PolygonMask(tuple(polygon * mirror + shift for polygon in self.polygons))

    def crop(self, size: tuple[int, int]) -> Crop:
        """Rasterise the mask in an image of ``size`` (height, width), by COCO's rules."""
        points = np.concatenate(self.polygons)
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        x, y = min(max(floor(left), 0), size[1]), min(max(floor(top), 0), size[0])
        width = min(max(ceil(right), x), size[1]) - x
        height = min(max(ceil(bottom), y), size[0]) - y
        if not width or not height:
            return Crop(np.zeros((height, width), np.uint8), x, y)
        low = np.array([x, y])
        # COCO rounds corners to fifths of a pixel first; we do so before the shift, which would
        # change the result. Without a shift COCO rounds, as it treats negative corners differently.
        shifted = [
            np.where(low > 0, np.floor(5 * polygon + 0.5) / 5 - low, polygon)
            for polygon in self.polygons
        ]
        flat = [polygon.reshape(-1).tolist() for polygon in shifted]
        rles = coco_mask.frPyObjects(flat, height, width)
        rle = rles[0] if len(rles) == 1 else coco_mask.merge(rles)
        return Crop(coco_mask.decode(rle), x, y)


@dataclass(frozen=True)
class BitMask:
    """A mask given by its pixels, stored as the crop around its foreground."""

    pixels: Crop
    size: tuple[int, int]  # height, width of the image, in pixels

    @staticmethod
    def from_rle(rle: Rle) -> "BitMask":
        """Decode COCO's RLE; its counts are a list of runs or a compressed text.

        Raises ValueError if the runs do not add up to the size of the image.
        """
        height, width = (int(side) for side in rle["size"])
        counts = rle["counts"]
        runs = counts if isinstance(counts, list) else _run_lengths(counts)
        if min(runs, default=0) < 0 or sum(runs) != height * width:
            raise ValueError(
                f"not a run-length encoded mask of {width} x {height} pixels: its runs add up to "
                f"{sum(runs)}"
            )
        # Runs of background and foreground alternate, column by column.
        values = (np.arange(len(runs)) % 2).astype(np.uint8)
        bits = np.repeat(values, runs).reshape(width, height).T
        rows, columns = np.flatnonzero(bits.any(axis=1)), np.flatnonzero(bits.any(axis=0))
        if not len(rows):
            return BitMask(Crop(np.zeros((0, 0), np.uint8), 0, 0), (height, width))
        tight = bits[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return BitMask(Crop(np.asfortranarray(tight), columns[0], rows[0]), (height, width))

    def resize(self, ratio_x: float, ratio_y: float) -> "BitMask":
        """Return the mask of the image stretched by the two ratios, by nearest pixel centre."""
        height, width = round(self.size[0] * ratio_y), round(self.size[1] * ratio_x)
        rows, y = _nearest(
            start=self.pixels.y, count=self.pixels.bits.shape[0], ratio=ratio_y, limit=height
        )
        columns, x = _nearest(
            start=self.pixels.x, count=self.pixels.bits.shape[1], ratio=ratio_x, limit=width
        )
        bits = self.pixels.bits.T[np.ix_(columns, rows)].T
        return BitMask(Crop(bits, x, y), (height, width))

    def flip(self, width: int) -> "BitMask":
        """Return the mask after the image, ``width`` pixels wide, is mirrored."""
        bits = np.asfortranarray(self.pixels.bits[:, ::-1])
        x = width - self.pixels.x - bits.shape[1]
        return replace(self, pixels=Crop(bits, x, self.pixels.y))

    def crop(self, size: tuple[int, int]) -> Crop:
        """Return the crop around the foreground; ``size`` must be that of the image."""
        assert size == self.size, (size, self.size)
        return self.pixels


def _run_lengths(text: str | bytes) -> list[int]:
    """Return the runs of COCO's compressed RLE ``text``; ValueError if the text is truncated.

    Each character holds five bits and a flag that the value continues. From the fourth on, a run is
    stored as the difference to the run two before (pycocotools, ``rleFrString``).
    """
    codes = text.encode() if isinstance(text, str) else text
    runs: list[int] = []
    value = shift = 0
    for code in codes:
        code -= 48
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError(f"a run-length encoded mask breaks off after {len(codes)} characters")
    return runs


def _nearest(*, start: int, count: int, ratio: float, limit: int) -> tuple[np.ndarray, int]:
    """Return the source offset of each output pixel that falls on the crop, and the first one."""
    first = max(int(np.ceil(start * ratio - 0.5)), 0)
    centres = np.arange(first, min(int(np.ceil((start + count) * ratio - 0.5)), limit)) + 0.5
    source = np.floor(centres / ratio).astype(int) - start
    return np.clip(source, 0, max(count - 1, 0)), first


Mask = PolygonMask | BitMask


@dataclass(frozen=True)
class MaskCrops:
    """N masks of an image as concatenated crops, never as N full images."""

    bits: Tensor  # (total pixels of the crops,) uint8, 0 or 1, each crop column by column
    starts: Tensor  # (N,) int64, index of each crop's first pixel in ``bits``
    origins: Tensor  # (N, 2) int64, x and y of each crop's first pixel in the image
    sizes: Tensor  # (N, 2) int64, width and height of each crop in pixels; may be 0

    def __post_init__(self) -> None:
        assert self.origins.shape == self.sizes.shape == (len(self.starts), 2)

    @staticmethod
    def pack(crops: Sequence[Crop]) -> "MaskCrops":
        """Concatenate ``crops``, in order."""
        shapes = np.array([crop.bits.shape for crop in crops], np.int64).reshape(-1, 2)
        ends = np.cumsum(shapes.prod(axis=1))
        parts = [crop.bits.T.reshape(-1) for crop in crops]
        bits = np.concatenate(parts) if parts else np.zeros(0, np.uint8)
        origins = np.array([(crop.x, crop.y) for crop in crops], np.int64).reshape(-1, 2)
        return MaskCrops(
            bits=torch.from_numpy(np.ascontiguousarray(bits, np.uint8)),
            starts=torch.from_numpy(ends - shapes.prod(axis=1)),
            origins=torch.from_numpy(origins),
            sizes=torch.from_numpy(shapes[:, ::-1].copy()),
        )

    @staticmethod
    def join(packs: Sequence["MaskCrops"]) -> "MaskCrops":
        """Concatenate the masks of all ``packs``, at least one, in order."""
        lengths = [len(pack.bits) for pack in packs]
        ends = np.cumsum(lengths).tolist()
        starts = [p.starts + (e - n) for p, e, n in zip(packs, ends, lengths, strict=True)]
        return MaskCrops(
            bits=torch.cat([pack.bits for pack in packs]),
            starts=torch.cat(starts),
            origins=torch.cat([pack.origins for pack in packs]),
            sizes=torch.cat([pack.sizes for pack in packs]),
        )

    def __len__(self) -> int:
        return len(self.starts)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "MaskCrops":
        """Return the masks on ``device``."""
        return MaskCrops(*(t.to(device, non_blocking=non_blocking) for t in self._tensors()))

    def pin_memory(self) -> "MaskCrops":
        """Return the masks in page-locked memory."""
        return MaskCrops(*(tensor.pin_memory() for tensor in self._tensors()))

    def unpack(self, index: int) -> Crop:
        """Return mask ``index`` as a crop."""
        width, height = self.sizes[index].tolist()
        start = int(self.starts[index])
        bits = self.bits[start : start + width * height].reshape(width, height).T.cpu().numpy()
        x, y = self.origins[index].tolist()
        return Crop(bits, x, y)

    def _tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.bits, self.starts, self.origins, self.sizes


def crop_to_rle(crop: Crop, size: tuple[int, int]) -> Rle:
    """Encode a crop as compressed RLE of an image of ``size`` (height, width).

    The crop must lie inside the image. Equal to ``pycocotools.mask.encode`` of the full mask, which
    is never made.
    """
    height, width = size
    crop_height, crop_width = crop.bits.shape
    assert crop.x >= 0 and crop.x + crop_width <= width
    assert crop.y >= 0 and crop.y + crop_height <= height
    # Column-major, as in COCO; a zero above and below each column marks starts and ends of runs.
    padded = np.zeros((crop_width, crop_height + 2), np.int8)
    padded[:, 1:-1] = crop.bits.T
    steps = np.diff(padded, axis=1)
    columns, rows = np.nonzero(steps)
    places = (columns + crop.x) * height + rows + crop.y
    # A run to the bottom of a column that continues at the top of the next has no end between.
    joined = np.flatnonzero(places[1:] == places[:-1])
    places = np.delete(places, np.concatenate([joined, joined + 1]))
    counts = np.diff(places, prepend=0, append=height * width)
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    rle = coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}
