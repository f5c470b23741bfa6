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

from pet.structures.polygon_clip import clip_polygon
from pet.structures.run_lengths import run_lengths_of

Rle = dict[str, Any]  # COCO's compressed RLE: {"size": [height, width], "counts": str}


@dataclass(frozen=True)
class Crop:
    """The part of a mask inside a box of whole pixels; everything outside is background."""

    bits: np.ndarray  # (height, width) uint8, 0 or 1; preferably column-major, as in pycocotools
    x: int  # image column of the first column of ``bits``
    y: int  # image row of the first row of ``bits``


#: The crop of a mask without a pixel.
_NOTHING = Crop(np.zeros((0, 0), np.uint8), 0, 0)


@dataclass(frozen=True)
class PolygonMask:
    """A mask given by the union of polygons, in continuous pixel coordinates."""

    # Each (n, 2) float64 of x, y, n >= 3; none if all of them were cut off.
    polygons: tuple[np.ndarray, ...]

    def resize(self, ratio_x: float, ratio_y: float) -> "PolygonMask":
        """Return the mask after the image is resized by the two ratios."""
        scale = np.array([ratio_x, ratio_y])
        return PolygonMask(tuple(polygon * scale for polygon in self.polygons))

    def flip(self, width: int) -> "PolygonMask":
        """Return the mask after the image, ``width`` pixels wide, is mirrored."""
        mirror, shift = np.array([-1.0, 1.0]), np.array([float(width), 0.0])
        return PolygonMask(tuple(polygon * mirror + shift for polygon in self.polygons))

    def flip_vertically(self, height: int) -> "PolygonMask":
        """Return the mask after the image, ``height`` pixels high, is turned upside down."""
        mirror, shift = np.array([1.0, -1.0]), np.array([0.0, float(height)])
        return PolygonMask(tuple(polygon * mirror + shift for polygon in self.polygons))

    def turn(self, width: int) -> "PolygonMask":
        """Return the mask after the image is turned by 90 degrees, counter-clockwise.

        ``width`` is that of the image before the turn, in pixels.
        """
        mirror, shift = np.array([1.0, -1.0]), np.array([0.0, float(width)])
        return PolygonMask(tuple(polygon[:, ::-1] * mirror + shift for polygon in self.polygons))

    def cut(self, x: int, y: int, size: tuple[int, int]) -> "PolygonMask":
        """Return the mask in the part of the image from (``x``, ``y``) on, (height, width) large.

        The polygons are clipped, so that nothing reappears if the part is padded later.
        """
        low = np.array([float(x), float(y)])
        clipped = [clip_polygon(polygon - low, size) for polygon in self.polygons]
        return PolygonMask(tuple(polygon for polygon in clipped if len(polygon)))

    def place(self, x: int, y: int, size: tuple[int, int]) -> "PolygonMask":
        """Return the mask after the image is put at (``x``, ``y``) into a larger one of ``size``.

        ``x`` and ``y`` are at least 0; ``size`` is (height, width).
        """
        shift = np.array([float(x), float(y)])
        return PolygonMask(tuple(polygon + shift for polygon in self.polygons))

    def crop(self, size: tuple[int, int]) -> Crop:
        """Rasterise the mask in an image of ``size`` (height, width), by COCO's rules."""
        if not self.polygons:
            return _NOTHING
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
        runs = counts if isinstance(counts, list) else run_lengths_of(counts)
        if min(runs, default=0) < 0 or sum(runs) != height * width:
            raise ValueError(
                f"not a run-length encoded mask of {width} x {height} pixels: its runs add up to "
                f"{sum(runs)}"
            )
        # Runs of background and foreground alternate, column by column.
        values = (np.arange(len(runs)) % 2).astype(np.uint8)
        bits = np.repeat(values, runs).reshape(width, height).T
        return BitMask.around(Crop(bits, 0, 0), (height, width))

    @staticmethod
    def around(crop: Crop, size: tuple[int, int]) -> "BitMask":
        """Return the mask of ``crop`` in an image of ``size``; its own crop has no empty border."""
        bits = crop.bits
        rows, columns = np.flatnonzero(bits.any(axis=1)), np.flatnonzero(bits.any(axis=0))
        if not len(rows):
            return BitMask(_NOTHING, size)
        tight = bits[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        x, y = crop.x + int(columns[0]), crop.y + int(rows[0])
        return BitMask(Crop(np.asfortranarray(tight), x, y), size)

    def resize(self, ratio_x: float, ratio_y: float) -> "BitMask":
        """Return the mask after the image is resized by the two ratios, by nearest neighbour."""
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

    def flip_vertically(self, height: int) -> "BitMask":
        """Return the mask after the image, ``height`` pixels high, is turned upside down."""
        bits = np.asfortranarray(self.pixels.bits[::-1])
        y = height - self.pixels.y - bits.shape[0]
        return replace(self, pixels=Crop(bits, self.pixels.x, y))

    def turn(self, width: int) -> "BitMask":
        """Return the mask after the image is turned by 90 degrees, counter-clockwise.

        ``width`` is that of the image before the turn, in pixels.
        """
        bits = np.asfortranarray(np.rot90(self.pixels.bits))
        y = width - self.pixels.x - bits.shape[0]
        return BitMask(Crop(bits, self.pixels.y, y), (self.size[1], self.size[0]))

    def cut(self, x: int, y: int, size: tuple[int, int]) -> "BitMask":
        """Return the mask in the part of the image from (``x``, ``y``) on, (height, width) large.

        The part must lie in the image.
        """
        left, top = self.pixels.x - x, self.pixels.y - y
        bits = self.pixels.bits[max(-top, 0) : max(size[0] - top, 0)]
        bits = bits[:, max(-left, 0) : max(size[1] - left, 0)]
        return BitMask.around(Crop(bits, max(left, 0), max(top, 0)), size)

    def place(self, x: int, y: int, size: tuple[int, int]) -> "BitMask":
        """Return the mask after the image is put at (``x``, ``y``) into a larger one of ``size``.

        ``x`` and ``y`` are at least 0; ``size`` is (height, width).
        """
        return BitMask(Crop(self.pixels.bits, self.pixels.x + x, self.pixels.y + y), size)

    def crop(self, size: tuple[int, int]) -> Crop:
        """Return the crop around the foreground; ``size`` must be that of the image."""
        assert size == self.size, (size, self.size)
        return self.pixels


def _nearest(*, start: int, count: int, ratio: float, limit: int) -> tuple[np.ndarray, int]:
    """Return, along one axis, the crop pixel of each output pixel, and the first output pixel."""
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
