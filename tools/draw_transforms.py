"""Draw every transform of training images on drawn shapes: the picture of docs/transforms.md.

    python tools/draw_transforms.py --out docs/images/transforms.jpg

A row has a picture as it is, and what a transform makes of it with other random numbers each time.
Keypoints are the top of a shape and its two sides; the limb joins the top with the left one.
"""

import argparse
from collections.abc import Mapping, Sequence

from pet.utils.sigint import leave_on_interrupt

if __name__ == "__main__":
    leave_on_interrupt()  # the imports below take seconds

import numpy as np
import torch

from pet.config import CfgNode, cfg, merge_cfg_from_list
from pet.data.datasets.mask_polygons import mask_to_polygons
from pet.data.datasets.shapes_art import CLASS_NAMES, draw_picture
from pet.data.registry import TRANSFORMS
from pet.data.sample import Sample, make_targets
from pet.data.transforms import Transform
from pet.launch.command_line import ToolParser, run_tool
from pet.structures import ImageInfo, KeypointLayout, PolygonMask
from pet.utils.files import atomic_path
from pet.utils.opencv import cv2
from pet.visualization.captions import render_label
from pet.visualization.draw import draw_targets

_FLIPS = ("random_horizontal_flip", "random_vertical_flip")
#: Title of a row -> the transforms of each picture but the first, which has none.
ROWS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "random_horizontal_flip, random_vertical_flip, both": (_FLIPS[:1], _FLIPS[1:], _FLIPS),
    "random_rotate90": (("random_rotate90",),) * 3,
    "random_crop": (("random_crop",),) * 3,
    "color_jitter": (("color_jitter",),) * 3,
    "large_scale_jitter": (("large_scale_jitter",),) * 3,
    "large_scale_jitter, random_horizontal_flip, copy_paste": (
        *(("large_scale_jitter", "random_horizontal_flip", "copy_paste"),) * 3,
    ),
}
#: Each transform acts every time, and the fixed size fits the row.
OPTIONS = (
    *("TRAIN.FLIP_PROB", "1.0", "TRAIN.VERTICAL_FLIP_PROB", "1.0", "TRAIN.ROTATE90_PROB", "1.0"),
    *("TRAIN.RANDOM_CROP.PROB", "1.0", "TRAIN.COLOR_JITTER.PROB", "1.0"),
    *("TRAIN.LARGE_SCALE_JITTER.SIZE", "(220, 260)", "TRAIN.LARGE_SCALE_JITTER.SCALES", "(.3, 2)"),
)
COLUMNS = 4
TILE = (210, 250)  # height and width of a picture in the sheet, in pixels
LAYOUT = KeypointLayout(("top", "left_side", "right_side"), ((0, 1),))
_MARGIN, _CAPTION, _QUALITY = 6, 14, 80


class DrawnShapes:
    """A data set of pictures drawn in memory, with the members that transforms use."""

    def __init__(self, with_points: bool) -> None:
        self.keypoint_layout = LAYOUT if with_points else None

    def __len__(self) -> int:
        return 100

    def read(self, index: int) -> Sample:
        """Return picture ``index`` and its shapes."""
        picture = draw_picture(np.random.default_rng(index))
        height, width = picture.image.shape[:2]
        boxes, points, masks = [], [], []
        for mask in picture.masks:
            y, x = np.nonzero(mask)
            boxes.append((x.min(), y.min(), x.max() + 1, y.max() + 1))
            ends = [int(values.argmin()) for values in (y, x, -x)]
            points.append([(x[end] + 0.5, y[end] + 0.5, 2) for end in ends])
            outlines = [np.array(o, np.float64).reshape(-1, 2) for o in mask_to_polygons(mask)]
            masks.append(PolygonMask(tuple(outlines)))
        keypoints = torch.tensor(np.array(points), dtype=torch.float32)
        return Sample(
            picture.image,
            ImageInfo(index, height, width, f"shapes {index}"),
            torch.tensor(np.array(boxes), dtype=torch.float32),
            torch.tensor(picture.labels),
            tuple(masks),
            keypoints if self.keypoint_layout else None,
        )


def main() -> None:
    """Draw the sheet and write it."""
    args = _parser().parse_args()
    sheet = draw_sheet()
    done, data = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done
    with atomic_path(args.out) as path:
        path.write_bytes(data.tobytes())
    print(f"the picture, {sheet.shape[1]} x {sheet.shape[0]} pixels, is {args.out}")


def draw_sheet(cfg: CfgNode = cfg) -> np.ndarray:
    """Return the sheet (H, W, 3) uint8 BGR, with a row for each of ``ROWS``."""
    merge_cfg_from_list(OPTIONS, cfg)
    rows = []
    for number, (title, columns) in enumerate(ROWS.items()):
        dataset = DrawnShapes(with_points="copy_paste" not in title)
        samples = [dataset.read(number + 2)]
        for seed, names in enumerate(columns):
            cfg.TRAIN.TRANSFORMS = names
            built = [TRANSFORMS[name](cfg, dataset) for name in names]  # type: ignore[arg-type]
            samples.append(_changed(samples[0], built, np.random.default_rng(seed)))
        rows.append(_row(title, samples))
    return np.concatenate(rows)


def _changed(sample: Sample, transforms: Sequence[Transform], rng: np.random.Generator) -> Sample:
    for transform in transforms:
        sample = transform(sample, rng)
    return sample


def _row(title: str, samples: Sequence[Sample]) -> np.ndarray:
    """Return the pictures of ``samples`` side by side, with ``title`` above them."""
    caption = render_label(title, _CAPTION, (235, 235, 235))
    width = COLUMNS * (TILE[1] + _MARGIN) + _MARGIN
    row = np.full((caption.shape[0] + TILE[0] + 2 * _MARGIN, width, 3), 255, np.uint8)
    row[: caption.shape[0], _MARGIN : _MARGIN + caption.shape[1]] = caption
    for place, sample in enumerate(samples):
        tile = _tile(sample)
        y, x = caption.shape[0] + _MARGIN, _MARGIN + place * (TILE[1] + _MARGIN)
        row[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return row


def _tile(sample: Sample) -> np.ndarray:
    """Return the picture and annotations of ``sample``, as large as fits into ``TILE``."""
    picture = draw_targets(sample.image, make_targets(sample), CLASS_NAMES, LAYOUT)
    ratio = min(room / side for room, side in zip(TILE, picture.shape[:2], strict=True))
    size = (int(picture.shape[1] * ratio), int(picture.shape[0] * ratio))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(description="Draw the transforms of training images.")
    parser.add_argument("--out", default="transforms.jpg", help="the file; default transforms.jpg")
    return parser


if __name__ == "__main__":
    run_tool(main)
