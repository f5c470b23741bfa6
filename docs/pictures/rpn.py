"""The anchors of the RPN, those that are foreground and background, and the head."""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from docs.pictures.blocks import CONV, INK, LEVEL_COLORS, QUIET, arrow, block, new_figure, sheet
from docs.pictures.shapes import read_shapes
from pet.config import default_cfg
from pet.data.collate import batch_images
from pet.data.transforms import Resize
from pet.modeling.anchors import AnchorGenerator
from pet.modeling.matcher import BACKGROUND, FOREGROUND, IGNORED, match_boxes

_IMAGE_ID = 9
_IOU, _BEST, _IGNORED, _BACKGROUND = "#00785a", "#0072b2", "#e69f00", "#b0104f"

# The head: its input, and each predictor with its layer, channels and output.
_MAP = "map\n256 x H x W"
_OBJECTNESS = ("cls_logits", "3", "objectness\nH x W x 3 anchors")
_DELTAS = ("bbox_pred", "3 · 4 = 12", "box deltas, 4 of each\nH x W x 3 anchors")


@dataclass(frozen=True)
class Matched:
    """A picture in the batch, its objects, and its anchors with their kinds."""

    image: np.ndarray  # (H, W, 3) uint8 BGR, padded
    boxes: Tensor  # (G, 4) xyxy of the objects
    anchors: list[Tensor]  # (H_l * W_l * A, 4) of each level
    above: Tensor  # (A_all,) bool, by IoU alone
    kinds: Tensor  # (A_all,) FOREGROUND, BACKGROUND or IGNORED


def match_anchors(image_id: int = _IMAGE_ID) -> Matched:
    """Return a picture of shapes at the tutorial's size, its anchors, and their kinds."""
    rpn = default_cfg().RPN
    sample = Resize((800,), 1333)(read_shapes(image_id), np.random.default_rng(0))
    images = batch_images([sample.batch_image], 32).tensor
    generator = AnchorGenerator(
        sizes=[(size,) for size in rpn.ANCHOR_SIZES],
        ratios=rpn.ASPECT_RATIOS,
        strides=rpn.ANCHOR_STRIDE,
    )
    height, width = images.shape[-2:]
    maps = [torch.zeros(1, 1, -(-height // step), -(-width // step)) for step in rpn.ANCHOR_STRIDE]
    anchors = generator(maps)
    kinds = [
        match_boxes(
            sample.boxes,
            torch.cat(anchors),
            rpn.FG_IOU_THRESHOLD,
            rpn.BG_IOU_THRESHOLD,
            allow_low_quality=lowered,
        )[1]
        for lowered in (False, True)
    ]
    image = images[0].permute(1, 2, 0).numpy()
    return Matched(image, sample.boxes, anchors, kinds[0] == FOREGROUND, kinds[1])


def draw_anchors() -> Figure:
    """Draw the anchors of one position, the foreground, and some of the others."""
    matched = match_anchors()
    figure = new_figure(3.6)
    panels = [figure.add_axes((0.01 + 0.33 * n, 0.185, 0.32, 0.745)) for n in range(3)]
    for axes in panels:
        _show(axes, matched)
    _draw_one_position(panels[0], matched)
    _draw_foreground(panels[1], matched)
    _draw_others(panels[2], matched)
    return figure


def at_position(matched: Matched, x: float, y: float) -> list[Tensor]:
    """Return the (A, 4) anchors of each level whose centre is ``x``, ``y``."""
    centre = torch.tensor((x, y))
    return [
        level[((level[:, :2] + level[:, 2:]) / 2 - centre).abs().amax(dim=1) < 1e-3]
        for level in matched.anchors
    ]


def _show(axes: Axes, matched: Matched) -> None:
    axes.imshow(matched.image[:, :, ::-1], interpolation="antialiased", alpha=0.55)
    height, width = matched.image.shape[:2]
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=(), yticks=())


def _outline(
    axes: Axes, box: Tensor, color: str, *, dashed: bool = False, width: float = 2
) -> None:
    x1, y1, x2, y2 = box.tolist()
    style = "--" if dashed else "-"
    patch = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, linewidth=width, linestyle=style)
    patch.set_edgecolor(color)
    axes.add_patch(patch)


def _caption(axes: Axes, title: str, lines: list[tuple[str, str]]) -> None:
    """Write ``title`` above the axes, and lines of (colour, text) below."""
    axes.set_title(title, fontsize=11, color=INK)
    for row, (color, text) in enumerate(lines):
        axes.text(
            0.5,
            -0.035 - 0.085 * row,
            text,
            color=color,
            fontsize=10,
            ha="center",
            va="top",
            transform=axes.transAxes,
        )


def _draw_one_position(axes: Axes, matched: Matched) -> None:
    x, y = 448, 384  # a multiple of every stride
    for level, color in zip(at_position(matched, x, y), LEVEL_COLORS, strict=True):
        for box in level:
            _outline(axes, box, color, width=1.4)
    axes.plot(x, y, "o", color=INK, markersize=3)
    sizes = default_cfg().RPN.ANCHOR_SIZES
    _caption(axes, "anchors of one position", [])
    ratios = ", ".join(f"{ratio:g}" for ratio in default_cfg().RPN.ASPECT_RATIOS)
    label = f"sizes in pixels, ratios {ratios}"
    axes.text(0.5, -0.23, label, fontsize=9, ha="center", va="top", transform=axes.transAxes)
    for place, (size, color) in enumerate(zip(sizes, LEVEL_COLORS, strict=True)):
        axes.text(
            0.1 + 0.2 * place,
            -0.035,
            f"P{place + 2}\n{size}",
            color=color,
            fontsize=10,
            fontweight="bold",
            ha="center",
            va="top",
            transform=axes.transAxes,
        )


def _draw_foreground(axes: Axes, matched: Matched) -> None:
    anchors = torch.cat(matched.anchors)
    lifted = (matched.kinds == FOREGROUND) & ~matched.above
    for box in anchors[lifted]:
        _outline(axes, box, _BEST, dashed=True)
    for box in anchors[matched.above]:
        _outline(axes, box, _IOU)
    _draw_objects(axes, matched)
    lines = [
        (_IOU, f"IoU from 0.7 on: {int(matched.above.sum())}"),
        (_BEST, f"best of an object (dashed): {int(lifted.sum())}"),
    ]
    count = int((matched.kinds == FOREGROUND).sum())
    _caption(axes, f"foreground: {count} (objects black)", lines)


def _draw_objects(axes: Axes, matched: Matched) -> None:
    for box in matched.boxes:
        _outline(axes, box, INK, width=3)


def _draw_others(axes: Axes, matched: Matched) -> None:
    anchors = torch.cat(matched.anchors)
    ignored = torch.nonzero(matched.kinds == IGNORED).flatten()
    background = torch.nonzero(matched.kinds == BACKGROUND).flatten()
    for index in _some(ignored, 9):
        _outline(axes, anchors[index], _IGNORED)
    for index in _some(background[background >= len(matched.anchors[0])], 24):
        _outline(axes, anchors[index], _BACKGROUND, width=1.2)
    _draw_objects(axes, matched)
    lines = [
        ("#a86c00", f"IoU 0.3 to 0.7, ignored: {len(ignored)}"),
        (_BACKGROUND, f"below 0.3, background: {len(background)}"),
    ]
    _caption(axes, "some of the others", lines)


def _some(indices: Tensor, count: int) -> Tensor:
    """Return ``count`` of ``indices``, evenly spaced."""
    return indices[torch.linspace(0, len(indices) - 1, count).long()]


def draw_head() -> Figure:
    """Draw the layers of the RPN's head, with their names and shapes."""
    figure = new_figure(2.9)
    axes = sheet(figure, 2.9)
    for shift in (1.6, 0.8, 0):  # one map behind the other: the levels
        block(axes, (9 + shift, 14 + shift), (14, 9), "" if shift else _MAP)
    block(axes, (32, 14), (15, 9), "convs.0\n3x3, 256\nReLU", color=CONV, font=10)
    arrow(axes, (17.6, 14), (24.5, 14))
    for y, conv, channels, result in ((21, *_OBJECTNESS), (7, *_DELTAS)):
        block(axes, (54, y), (17, 8), f"{conv}\n1x1, {channels}", color=CONV, font=10)
        block(axes, (79, y), (20, 8), result, font=10)
        arrow(axes, (39.5, 14), (45.5, y))
        arrow(axes, (62.5, y), (69, y))
    axes.text(10, 22, "P2 … P6, each", ha="center", fontsize=10, color=QUIET)
    axes.text(43, 0.7, "RPN.head: the same weights on every level and position", ha="center")
    return figure
