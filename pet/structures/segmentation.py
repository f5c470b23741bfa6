"""Instance masks on the way from a file to a training target, and from a prediction to a file.

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
    """The part of a mask inside a box of whole pixels; all outside it is background."""

    bits: np.ndarray  # (height, width) uint8, 0 or 1; best column by column, as pycocotools has it
    x: int  # column of the image that is column 0 of ``bits``
    y: int  # row of the image that is row 0 of ``bits``


@dataclass(frozen=True)
class PolygonMask:
    """A mask as the union of polygons, in continuous pixel coordinates."""

    polygons: tuple[np.ndarray, ...]  # each (n, 2) float64 of x, y, n >= 3

    def resize(self, ratio_x: float, ratio_y: float) -> "PolygonMask":
        """Return the mask of the image stretched by the two ratios."""
        scale = np.array([ratio_x, ratio_y])
        return PolygonMask(tuple(polygon * scale for polygon in self.polygons))

    def flip(self, width: int) -> "PolygonMask":
        """Return the mask of the mirrored image; ``width`` of the image in pixels."""
        mirror, shift = np.array([-1.0, 1.0]), np.array([float(width), 0.0])
        return PolygonMask(tuple(polygon * mirror + shift for polygon in self.polygons))

    def crop(self, size: tuple[int, int]) -> Crop:
        """Rasterise inside an image of ``size`` (height, width), by COCO's own rules."""
        points = np.concatenate(self.polygons)
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        x, y = min(max(floor(left), 0), size[1]), min(max(floor(top), 0), size[0])
        width = min(max(ceil(right), x), size[1]) - x
        height = min(max(ceil(bottom), y), size[0]) - y
        if not width or not height:
            return Crop(np.zeros((height, width), np.uint8), x, y)
        low = np.array([x, y])
        # COCO first rounds corners to fifths of a pixel; so do we, lest the shift change the mask.
        # Where nothing is shifted it may do so itself: corners left of the image round otherwise.
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
    """A mask as pixels, held as the crop around its foreground."""

    pixels: Crop
    size: tuple[int, int]  # height, width of the image, in pixels

    @staticmethod
    def from_rle(rle: Rle) -> "BitMask":
        """Decode COCO's RLE, with counts as a list of runs or compressed.

        Raises ValueError where the runs do not fill the image exactly.
        """
        height, width = (int(side) for side in rle["size"])
        counts = rle["counts"]
        runs = counts if isinstance(counts, list) else _run_lengths(counts)
        if min(runs, default=0) < 0 or sum(runs) != height * width:
            raise ValueError(
                f"not a run-length encoded mask of {width} x {height} pixels: its runs add up to "
                f"{sum(runs)}"
            )
        # Runs of background and foreground take turns, down one column after the other.
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
        """Return the mask of the mirrored image; ``width`` of the image in pixels."""
        bits = np.asfortranarray(self.pixels.bits[:, ::-1])
        x = width - self.pixels.x - bits.shape[1]
        return replace(self, pixels=Crop(bits, x, self.pixels.y))

    def crop(self, size: tuple[int, int]) -> Crop:
        """Return the pixels; ``size`` (height, width) must be the size of the image."""
        assert size == self.size, (size, self.size)
        return self.pixels


def _run_lengths(text: str | bytes) -> list[int]:
    """Return the runs that COCO's compressed ``text`` spells; ValueError where it breaks off.

    Each character holds five bits and a mark that more follow. From the fourth on, a run is the
    difference to the one two before (pycocotools, ``rleFrString``).
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
    """N masks of an image as their crops, packed end to end: never N images."""

    bits: Tensor  # (total pixels of the crops,) uint8, 0 or 1, each crop column by column
    starts: Tensor  # (N,) int64, where each crop begins in ``bits``
    origins: Tensor  # (N, 2) int64, x and y of each crop's first pixel in the image
    sizes: Tensor  # (N, 2) int64, width and height of each crop in pixels; may be 0

    def __post_init__(self) -> None:
        assert self.origins.shape == self.sizes.shape == (len(self.starts), 2)

    @staticmethod
    def pack(crops: Sequence[Crop]) -> "MaskCrops":
        """Pack ``crops``, in order."""
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
        """Return the masks of all ``packs``, of which there is at least one, in order."""
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
    """Encode a crop as the compressed RLE of its image of ``size``, without drawing that image.

    The crop must lie inside the image. Equal to ``pycocotools.mask.encode`` of the full mask.
    """
    height, width = size
    crop_height, crop_width = crop.bits.shape
    assert crop.x >= 0 and crop.x + crop_width <= width
    assert crop.y >= 0 and crop.y + crop_height <= height
    # Column-major, as COCO counts; a zero row above and below marks where runs start and end.
    padded = np.zeros((crop_width, crop_height + 2), np.int8)
    padded[:, 1:-1] = crop.bits.T
    steps = np.diff(padded, axis=1)
    columns, rows = np.nonzero(steps)
    places = (columns + crop.x) * height + rows + crop.y
    # A run to the bottom of one column goes on at the top of the next: both marks fall away.
    joined = np.flatnonzero(places[1:] == places[:-1])
    places = np.delete(places, np.concatenate([joined, joined + 1]))
    counts = np.diff(places, prepend=0, append=height * width)
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    rle = coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}
