"""Two pictures as read, and the same in a batch: resized, one mirrored, padded."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from docs.pictures.blocks import INK, QUIET, new_figure
from docs.pictures.shapes import read_shapes
from pet.data.collate import TrainBatch, TrainCollate
from pet.data.datasets.shapes_art import CLASS_NAMES
from pet.data.sample import Sample, make_targets
from pet.data.transforms import RandomHorizontalFlip, Resize
from pet.structures import ImageList, Targets
from pet.visualization.captions import Color
from pet.visualization.draw import PALETTE, draw_targets

_IMAGE_IDS = (12, 8)
_FLIP_PROBS = (0.0, 1.0)  # so that one of the two is mirrored


def make_batch() -> tuple[list[Sample], TrainBatch]:
    """Return two samples as read, and their batch, with the sizes of the tutorial's config."""
    samples = [read_shapes(image_id) for image_id in _IMAGE_IDS]
    rng = np.random.default_rng(0)
    resize = Resize((800,), 1333)
    items = []
    for sample, prob in zip(samples, _FLIP_PROBS, strict=True):
        changed = RandomHorizontalFlip(prob)(resize(sample, rng), rng)
        items.append((changed.batch_image, make_targets(changed), changed.info))
    return samples, TrainCollate(32)(items)


def draw() -> Figure:
    """Draw the loader's work: left as read, right as in the batch."""
    samples, (images, targets, _) = make_batch()
    figure = new_figure(6.0)
    grid = figure.add_gridspec(
        2, 2, width_ratios=(1, 1.12), left=0.05, right=0.985, top=0.93, bottom=0.06, hspace=0.3
    )
    did = ("resized", "resized and mirrored")
    for row, sample in enumerate(samples):
        height, width = sample.size
        before, after = (figure.add_subplot(grid[row, column]) for column in range(2))
        _show(before, sample.image, make_targets(sample), (height, width))
        before.set_title(f"as read: {width} x {height}", fontsize=11, color=INK)
        _show_padded(after, images, row, targets[row])
        rows, columns = images.sizes[row]
        after.set_title(f"{did[row]}: {columns} x {rows}", fontsize=11, color=INK)
        figure.text(0.475, 0.74 - 0.5 * row, "→", fontsize=26, ha="center", va="center")
    return figure


def _show(axes: Axes, image: np.ndarray, targets: Targets, size: tuple[int, int]) -> None:
    """Show ``image`` with ``targets`` in axes of ``size``, in pixels of the image."""
    picture = draw_targets(image, targets, CLASS_NAMES)[:, :, ::-1]
    height, width = image.shape[:2]
    axes.imshow(picture, extent=(0, width, height, 0), interpolation="antialiased")
    axes.set_xlim(0, size[1])
    axes.set_ylim(size[0], 0)
    axes.tick_params(labelsize=9, colors=QUIET)
    for index, box in enumerate(targets.boxes.tolist()):
        _write_name(axes, CLASS_NAMES[targets.labels[index] - 1], box[:2], PALETTE[index])


def _write_name(axes: Axes, name: str, corner: list[float], color: Color) -> None:
    """Write ``name`` at the corner of a box, larger than ``draw_targets`` does."""
    ground = tuple(channel / 255 for channel in reversed(color))
    at_top = corner[1] < axes.get_ylim()[0] / 12
    axes.text(
        *corner,
        name,
        fontsize=8,
        va="top" if at_top else "bottom",
        bbox={"facecolor": ground, "edgecolor": "none", "pad": 1},
    )


def _show_padded(axes: Axes, images: ImageList, index: int, targets: Targets) -> None:
    """Show image ``index`` of a batch, with its padding."""
    height, width = images.tensor.shape[-2:]
    rows, columns = images.sizes[index]
    image = images.tensor[index].permute(1, 2, 0).numpy()[:rows, :columns]
    _show(axes, np.ascontiguousarray(image), targets, (height, width))
    if columns == width:
        return
    padding = Rectangle((columns, 0), width - columns, height)
    padding.set(facecolor="#f2f2f2", edgecolor="#999999", hatch="//", linewidth=0)
    axes.add_patch(padding)
    wide = width - columns > height / 8
    if wide:
        axes.text(
            (columns + width) / 2,
            height / 2,
            f"padding\n{width - columns}\ncolumns\nof zeros",
            fontsize=10,
            ha="center",
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
