"""Blocks, arrows and files of the pictures."""

import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

Point = tuple[float, float]

INK = "#222222"
QUIET = "#666666"
CONV = "#f6efe2"  # the ground of convolutions
#: P2 .. P6; colours that stay apart for colour-blind eyes (Okabe and Ito).
LEVEL_COLORS = ("#0072b2", "#009e73", "#e69f00", "#d55e00", "#cc79a7")
_DPI = 110
_WIDTH = 9.0  # inches
_FILE_COLORS = 128


def new_figure(height: float) -> Figure:
    """Return an empty white figure of 9 by ``height`` inches."""
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def sheet(figure: Figure, height: float) -> Axes:
    """Return axes over the whole figure without ticks: x in 0..90, y in 0..10 * ``height``."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, 10 * _WIDTH)
    axes.set_ylim(0, 10 * height)
    axes.set_axis_off()
    return axes


def block(
    axes: Axes, centre: Point, size: Point, text: str, *, color: str = "#e8eef5", font: float = 9
) -> None:
    """Draw a rectangle with rounded corners and ``text`` in it."""
    left, bottom = centre[0] - size[0] / 2, centre[1] - size[1] / 2
    style = "round,pad=0,rounding_size=0.8"
    patch = FancyBboxPatch((left, bottom), *size, boxstyle=style, facecolor=color, edgecolor=INK)
    axes.add_patch(patch)
    axes.text(*centre, text, ha="center", va="center", fontsize=font, color=INK)


def arrow(axes: Axes, start: Point, end: Point, *, color: str = INK, bend: str = "arc3") -> None:
    """Draw an arrow from ``start`` to ``end``."""
    arrowprops = {"arrowstyle": "-|>", "color": color, "linewidth": 1.4, "connectionstyle": bend}
    axes.annotate("", end, start, arrowprops={**arrowprops, "shrinkA": 0, "shrinkB": 0})


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` as a PNG of few colours."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI)
    picture = Image.open(content).convert("RGB")
    picture.quantize(_FILE_COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
