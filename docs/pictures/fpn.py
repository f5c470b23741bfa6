"""The feature pyramid, and the level that an RoI is pooled from."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from docs.pictures.blocks import CONV, INK, LEVEL_COLORS, QUIET, arrow, block, new_figure, sheet
from pet.layers.roi_pooler import assign_levels

_SCALES = (1 / 4, 1 / 8, 1 / 16, 1 / 32)  # of P2 .. P5, the levels of the branches
_CHANNELS = (256, 512, 1024, 2048)  # of C2 .. C5 in a ResNet-50
_WIDTHS = (19, 16, 13.5, 12)  # of the blocks C2 .. C5, in the sheet's units
_ROWS = (23, 32, 41, 50)  # y of C2 .. C5, and of P2 .. P5
_P6_ROW = 58
_TRUNK, _LATERAL, _SUM, _OUTPUT, _LEVEL = 13, 34, 46.5, 59, 79  # x of the columns
_SIDES = (28, 896)  # ends of the axis of sides, in pixels


def draw() -> Figure:
    """Draw the pyramid from C2 .. C5 to P2 .. P6, and the rule of its levels."""
    figure = new_figure(6.7)
    axes = sheet(figure, 6.7)
    heads = ((_TRUNK, "Conv_Body"), ((_LATERAL + _LEVEL) / 2, "Conv_Body_FPN"))
    for x, name in heads:
        axes.text(x, 63.5, name, ha="center", fontsize=13, family="monospace", color=INK)
    for row in range(4):
        _draw_row(axes, row)
    _draw_top(axes)
    axes.axhline(17.2, color="#cccccc", linewidth=1)
    _draw_rule(axes)
    return figure


def _draw_row(axes: Axes, row: int) -> None:
    """Draw the way from C(row + 2) to P(row + 2)."""
    y, level = _ROWS[row], row + 2
    text = f"C{level}  layer{row + 1}\n{_CHANNELS[row]} x 1/{2**level}"
    block(axes, (_TRUNK, y), (_WIDTHS[row], 5.4), text)
    block(axes, (_LATERAL, y), (13, 4.8), f"lateral_convs.{row}\n1x1", color=CONV, font=8.5)
    block(axes, (_OUTPUT, y), (13, 4.8), f"output_convs.{row}\n3x3", color=CONV, font=8.5)
    _draw_level(axes, y, level)
    axes.add_patch(Circle((_SUM, y), 1.5, facecolor="white", edgecolor=INK, linewidth=1.4))
    axes.text(_SUM, y, "+", ha="center", va="center", fontsize=14, color=INK)
    arrow(axes, (_TRUNK + _WIDTHS[row] / 2, y), (_LATERAL - 6.5, y))
    arrow(axes, (_LATERAL + 6.5, y), (_SUM - 1.5, y))
    arrow(axes, (_SUM + 1.5, y), (_OUTPUT - 6.5, y))
    arrow(axes, (_OUTPUT + 6.5, y), (_LEVEL - 9, y))
    if row < 3:
        arrow(axes, (_TRUNK, y + 2.7), (_TRUNK, _ROWS[row + 1] - 2.7))
        arrow(axes, (_SUM, _ROWS[row + 1] - 1.5), (_SUM, y + 1.5), color="#b0104f")
        axes.text(_SUM + 1, y + 4.5, "x 2", va="center", fontsize=10, color="#b0104f")


def _draw_level(axes: Axes, y: float, level: int) -> None:
    text = f"P{level}  stride {2**level}"
    block(axes, (_LEVEL, y), (18, 4.4), text, color=LEVEL_COLORS[level - 2] + "55", font=10)


def _draw_top(axes: Axes) -> None:
    """Draw P6, the captions, and the image below C2."""
    _draw_level(axes, _P6_ROW, 6)
    arrow(axes, (_LEVEL, _ROWS[3] + 2.2), (_LEVEL, _P6_ROW - 2.2))
    axes.text(_LEVEL - 1, 54, "every second cell", ha="right", va="center", fontsize=9, color=QUIET)
    axes.text(_SUM, 54.2, "top-down: enlarge,\nthen add", ha="center", fontsize=9, color="#b0104f")
    axes.text(_TRUNK, 54.2, "channels x scale", ha="center", fontsize=9, color=QUIET)
    axes.text(_TRUNK, 18.6, "↑ image, stem", ha="center", fontsize=9, color=QUIET)
    axes.text(_LEVEL, 18.6, "256 channels each", ha="center", fontsize=9, color=QUIET)


def levels_of_sides(sides: torch.Tensor) -> torch.Tensor:
    """Return the level, 2 .. 5, that square RoIs of ``sides`` pixels are pooled from."""
    boxes = torch.stack((sides * 0, sides * 0, sides, sides), dim=1)
    return assign_levels(boxes, _SCALES) + 2


def _draw_rule(axes: Axes) -> None:
    """Draw the axis of sides, coloured by level."""
    axes.text(
        45,
        13.2,
        "an RoI of w x h pixels is pooled from level floor(4 + log2(√(w·h) / 224)), 2 to 5:",
        ha="center",
        fontsize=11,
        color=INK,
    )
    low, high = torch.tensor(_SIDES).log2().tolist()
    edges = torch.linspace(low, high, 721)
    levels = levels_of_sides(2 ** ((edges[:-1] + edges[1:]) / 2))
    place = 8 + 74 * (edges - low) / (high - low)
    for level in range(2, 6):
        cells = torch.nonzero(levels == level).flatten()
        start, end = float(place[cells[0]]), float(place[cells[-1] + 1])
        color = LEVEL_COLORS[level - 2] + "55"
        axes.fill_between((start, end), 7, 11, color=color, linewidth=0)
        axes.text((start + end) / 2, 9, f"P{level}", ha="center", va="center", fontsize=12)
        if level > 2:
            side = round(float(2 ** edges[cells[0]]))
            axes.plot((start, start), (6.3, 11), color=INK, linewidth=1.4)
            axes.text(start, 3.6, f"{side}", ha="center", fontsize=11, color=INK)
    axes.text(8, 3.6, "small", fontsize=10, color=QUIET)
    axes.text(82, 3.6, "large", ha="right", fontsize=10, color=QUIET)
    axes.text(
        45, 0.9, "side √(w·h) in pixels of the network input", ha="center", fontsize=10, color=QUIET
    )
