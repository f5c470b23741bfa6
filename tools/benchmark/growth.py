"""How the cost of training grows with what is asked for, beside torchvision."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from pet.utils.env import cpu_count
from pet.utils.files import atomic_path
from tools.benchmark import loader, train
from tools.benchmark.crowded_images import write_crowded_images
from tools.benchmark.measure import Spread, measure
from tools.benchmark.memory import make_sides
from tools.benchmark.setting import Setting

Say = Callable[[str], Any]


@dataclass(frozen=True)
class Load:
    """What a training step is asked for."""

    batch: int = 2  # images of a step
    size: int = 256  # shorter side of an image, in pixels; the longer one is 5 / 4 of it
    boxes: int = 10  # objects of an image
    classes: int = 80  # without the background
    workers: int = 0  # loader processes

    def setting(self, cfg_file: str, opts: Sequence[str], folder: Path) -> Setting:
        """Return the benchmark of it, with data drawn into ``folder``."""
        size = (self.size, self.size * 5 // 4)
        images = 2 * self.batch
        data = write_crowded_images(
            folder, images=images, size=size, boxes=self.boxes, classes=self.classes
        )
        side = ("TRAIN.SCALES", f"({self.size},)", "TRAIN.MAX_SIZE", str(2 * self.size))
        given = (*opts, *data, *side)
        return Setting(
            cfg_file,
            given,
            images=images,
            batch_size=self.batch,
            workers=self.workers,
            is_train=True,
        )


#: What grows, and through which values.
AXES: Mapping[str, tuple[int, ...]] = {
    "batch": (1, 2, 4, 8),
    "size": (128, 256, 512, 1024),
    "boxes": (1, 10, 100, 500, 2000),
    "classes": (1, 20, 80, 365, 1203),
    "workers": (0, 1, 2, 4),
}
_LABELS = {
    "batch": "images of a step",
    "size": "shorter side of an image, pixels",
    "boxes": "objects of an image",
    "classes": "classes",
    "workers": "loader processes",
}


@dataclass(frozen=True)
class Point:
    """The cost at one value of an axis, by side."""

    value: int
    seconds: Mapping[str, Spread]  # of a step; for workers, of loading an image
    memory: Mapping[str, int]  # bytes at the peak; for workers, none


def measure_growth(
    axis: str, cfg_file: str, opts: Sequence[str], rounds: int, say: Say = print
) -> list[Point]:
    """Return the cost at each value of ``axis``, and ``say`` each as it is measured."""
    points = []
    values = [n for n in AXES[axis] if axis != "workers" or n <= cpu_count()]
    for value in values:
        load = replace(Load(), **{axis: value})
        with tempfile.TemporaryDirectory() as folder:
            setting = load.setting(cfg_file, opts, Path(folder, "data"))
            point = _point(axis, value, setting, rounds)
        points.append(point)
        costs = [f"{side} {spread.median:.4f} s" for side, spread in point.seconds.items()]
        costs += [f"{side} {number / 1e6:.0f} MB" for side, number in point.memory.items()]
        say(f"{axis} {value}: {', '.join(costs)}")
    return points


def _point(axis: str, value: int, setting: Setting, rounds: int) -> Point:
    device = setting.device()
    if axis == "workers":
        batches = 10
        # With "float" images are resized on the device, which torchvision leaves to its model.
        resize = setting.cfg().INPUT.INTERPOLATION != "float"
        sides = {
            "torchvision": loader.peer_side(setting, batches, resize),
            "Pet": loader.our_side(setting, batches),
        }
        units = batches * setting.batch_size
        taken = measure(sides, rounds, torch.device("cpu"))
        return Point(value, {k: Spread.of([s / units for s in v]) for k, v in taken.items()}, {})
    makers: dict[str, tuple[Any, ...]] = {
        "torchvision": (train.peer_side, setting, "float32", 1),
        "Pet": (train.our_side, setting, "float32", 1),
    }
    sides, memory = make_sides(device, makers)
    taken = measure(sides, rounds, device)
    return Point(value, {side: Spread.of(values) for side, values in taken.items()}, memory)


def plot_growth(axis: str, points: Sequence[Point], path: str | Path) -> None:
    """Draw time and memory along ``axis`` as a PNG at ``path``."""
    panels = ["seconds of a step", "peak memory, MB"] if points[0].memory else ["seconds an image"]
    figure = Figure(figsize=(4.5 * len(panels), 3.5), layout="constrained")
    values = [point.value for point in points]
    for place, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place)
        for side in points[0].seconds:
            if place == 1:
                cost = [point.seconds[side].median for point in points]
            else:
                cost = [point.memory[side] / 1e6 for point in points]
            axes.plot(values, cost, marker="o", label=side)
        axes.set_xscale("symlog" if axis == "workers" else "log")
        axes.set_xticks(values, [str(value) for value in values])
        axes.minorticks_off()  # whose labels would stand among these
        axes.set_ylim(bottom=0)
        axes.set_xlabel(_LABELS[axis])
        axes.set_ylabel(panel)
        axes.grid(alpha=0.3)
        axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
