"""The parts of a feature map that RoIPool and RoIAlign read."""

import math
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from docs.pictures.blocks import INK, new_figure

#: The RoI, xyxy in pixels of the image, and the stride of the map.
BOX, STRIDE = (40.0, 52.0, 234.0, 205.0), 32
#: Cells of the pooled grid along a side, and sampling points of a cell along a side.
GRID, RATIO = 2, 2

_MAP = (9, 8)  # columns and rows shown
_POOLED, _ALIGNED = "#d55e00", "#0072b2"


@dataclass(frozen=True)
class Span:
    """The whole pixels ``start`` .. ``end`` - 1 of the map along one axis."""

    start: int
    end: int


def pooled_spans(low: float, high: float) -> list[Span]:
    """Return the pixels of each cell of RoIPool along an axis, for an RoI from ``low`` to ``high``.

    Both are in pixels of the image. First the RoI is rounded to whole pixels of the map, then each
    cell (Girshick 2015).
    """
    start, end = (math.floor(side / STRIDE + 0.5) for side in (low, high))
    step = (end - start + 1) / GRID
    return [
        Span(start + math.floor(cell * step), start + math.ceil((cell + 1) * step))
        for cell in range(GRID)
    ]


def aligned_points(low: float, high: float) -> Tensor:
    """Return (GRID * RATIO,) sampling points of RoIAlign along an axis, in pixels of the map.

    Pixel n of the map covers n .. n + 1.
    """
    count = GRID * RATIO
    return (low + (torch.arange(count) + 0.5) * (high - low) / count) / STRIDE


def draw() -> Figure:
    """Draw both, side by side, on the pixels of a map."""
    figure = new_figure(4.5)
    for place, (title, fill) in enumerate((("RoIPool", _draw_pool), ("RoIAlign", _draw_align))):
        axes = figure.add_axes((0.02 + 0.49 * place, 0.12, 0.47, 0.81))
        axes.set(xlim=(0, _MAP[0]), ylim=(_MAP[1], 0), aspect="equal")
        axes.set(xticks=range(_MAP[0] + 1), yticks=range(_MAP[1] + 1))
        axes.grid(color="#cccccc", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(length=0, labelbottom=False, labelleft=False)
        axes.set_title(title, fontsize=13, color=INK)
        centres = [(x + 0.5, y + 0.5) for x in range(_MAP[0]) for y in range(_MAP[1])]
        axes.plot(*zip(*centres, strict=True), ".", color="#aaaaaa", markersize=4)
        _rectangle(axes, tuple(side / STRIDE for side in BOX), INK, width=2.5)
        axes.set_xlabel(fill(axes), fontsize=10, color=INK)
    return figure


def _rectangle(
    axes: Axes, box: tuple[float, ...], color: str, *, width: float, face: str = "none"
) -> None:
    x1, y1, x2, y2 = box
    patch = Rectangle((x1, y1), x2 - x1, y2 - y1, facecolor=face, edgecolor=color, linewidth=width)
    axes.add_patch(patch)


def _draw_pool(axes: Axes) -> str:
    """Draw the rounded cells, and the pixels of the first; return what is seen."""
    columns, rows = (pooled_spans(BOX[axis], BOX[axis + 2]) for axis in range(2))
    for x in reversed(columns):
        for y in reversed(rows):
            first = x is columns[0] and y is rows[0]
            face = _POOLED + "44" if first else "none"
            box = (x.start, y.start, x.end, y.end)
            _rectangle(axes, box, _POOLED, width=2.5 if first else 1.2, face=face)
    width, height = columns[0].end - columns[0].start, rows[0].end - rows[0].start
    return (
        "RoI (black) and cells rounded to whole pixels;\n"
        f"a cell is the maximum of {width} x {height} pixels"
    )


def _draw_align(axes: Axes) -> str:
    """Draw the cells and all sampling points, and how one is made; return what is seen."""
    x1, y1, x2, y2 = (side / STRIDE for side in BOX)
    middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
    axes.plot((middle_x, middle_x), (y1, y2), color=INK, linewidth=1.2, linestyle="--")
    axes.plot((x1, x2), (middle_y, middle_y), color=INK, linewidth=1.2, linestyle="--")
    _rectangle(axes, (x1, y1, middle_x, middle_y), "none", width=0, face=_ALIGNED + "33")
    across, down = aligned_points(BOX[0], BOX[2]).tolist(), aligned_points(BOX[1], BOX[3]).tolist()
    for x in across:
        for y in down:
            axes.plot(x, y, "x", color=_ALIGNED, markersize=9, markeredgewidth=2.4)
    x, y = across[0], down[0]
    for corner in ((dx, dy) for dx in (-0.5, 0.5) for dy in (-0.5, 0.5)):
        pixel = [math.floor(at - 0.5) + 1 + side for at, side in zip((x, y), corner, strict=True)]
        axes.plot((x, pixel[0]), (y, pixel[1]), color=_ALIGNED, linewidth=1.3)
        axes.plot(*pixel, "o", color=_ALIGNED, markersize=5)
    return (
        "nothing is rounded; a cell is the mean of 2 x 2 points,\neach interpolated from 4 pixels"
    )
