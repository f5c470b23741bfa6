"""Histograms of a data set as a PNG: sizes and aspects of boxes, objects of images."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from pet.engine.data_check.summary import Summary

_SIZE = (11.5, 3.0)  # inches
_MARGINS = {"left": 0.04, "right": 0.99, "bottom": 0.1, "top": 0.9, "wspace": 0.14}
_DPI = 90
_BARS, _TICKS = 40, 8
_BLUE, _ORANGE, _GREY = "#3b6ea8", "#d9822b", "#777777"
_MOST_BARS_OF_COUNTS = 60  # one for each number of objects, if there are no more


def draw_charts(summary: Summary, anchor_sides: tuple[float, ...] = ()) -> bytes:
    """Return a PNG with the histograms of a data set.

    ``anchor_sides``: square roots of the areas of the anchors, which are marked.
    """
    figure = Figure(figsize=_SIZE)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(**_MARGINS)
    sizes, aspects, counts = figure.subplots(1, 3)
    _draw_sizes(sizes, summary, anchor_sides)
    _draw_aspects(aspects, summary)
    _draw_counts(counts, summary)
    for axes in (sizes, aspects, counts):
        axes.tick_params(labelsize=8)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=_DPI)
    return written.getvalue()


def _draw_sizes(axes: Axes, summary: Summary, anchor_sides: tuple[float, ...]) -> None:
    axes.set_title("size of boxes: √area in pixels", fontsize=9)
    drawn = [("as annotated", summary.sides, _BLUE)]
    scales = list(summary.network_sides)
    if scales:
        scale = scales[-1]
        drawn.append((f"{summary.scale_key} {scale}", summary.network_sides[scale], _ORANGE))
    values = np.concatenate([each for _, each, _ in drawn])
    if not len(values):
        return
    low, high = max(values.min(), 0.1), max(values.max(), 1.0) * 1.01
    edges = np.geomspace(low, high, _BARS + 1).tolist()
    for label, each, colour in drawn:
        axes.hist(each, edges, histtype="stepfilled", alpha=0.35, color=colour, label=label)
        axes.hist(each, edges, histtype="step", color=colour, linewidth=1)
    for n, side in enumerate(anchor_sides):
        label = "_" if n else "anchors"  # names that begin so are not in the legend
        axes.axvline(side, color=_GREY, linestyle="--", linewidth=0.8, label=label)
    _use_powers_of_two(axes)
    axes.legend(fontsize=7, frameon=False)


def _draw_aspects(axes: Axes, summary: Summary) -> None:
    axes.set_title("aspect of boxes: height / width", fontsize=9)
    if not len(summary.aspects):
        return
    farthest = max(float(np.abs(np.log2(summary.aspects)).max()), 0.5)
    edges = 2 ** np.linspace(-farthest, farthest * 1.001, _BARS + 1)
    axes.hist(summary.aspects, edges.tolist(), color=_BLUE, alpha=0.8)
    _use_powers_of_two(axes)


def _use_powers_of_two(axes: Axes) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=_TICKS))
    axes.xaxis.set_major_formatter("{x:g}")


def _draw_counts(axes: Axes, summary: Summary) -> None:
    axes.set_title("objects of an image", fontsize=9)
    if not summary.images:
        return
    most = int(summary.objects_per_image.max())
    step = -(-(most + 1) // _MOST_BARS_OF_COUNTS)
    edges = np.arange(0, most + step + 1, step) - 0.5
    axes.hist(summary.objects_per_image, edges.tolist(), color=_BLUE, alpha=0.8, edgecolor="white")
