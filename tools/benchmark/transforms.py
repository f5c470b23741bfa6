"""Measure the CPU time that each transform of training images takes, for one image, on one core.

    python tools/benchmark/transforms.py

The picture has 800 x 1333 pixels, or 480 x 800 for the transforms that resize it, and a number of
objects with boxes and polygons, and all but copy_paste have three keypoints each. Every transform
acts each time; reading a file is not included, for copy_paste neither.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

from pet.utils.sigint import leave_on_interrupt

if __name__ == "__main__":
    leave_on_interrupt()  # the imports below take seconds

import numpy as np
import torch

from pet.config import CfgNode, cfg, merge_cfg_from_list
from pet.data.registry import TRANSFORMS
from pet.data.sample import Sample, make_targets
from pet.data.transforms import Transform
from pet.launch.command_line import ToolParser, positive_int, run_tool
from pet.structures import ImageInfo, KeypointLayout, PolygonMask
from pet.utils.opencv import cv2
from tools.benchmark.measure import Spread

LARGE, SMALL = (800, 1333), (480, 800)
#: Transforms that resize: they get the small picture.
RESIZING = ("resize", "large_scale_jitter")
#: So that each of them acts on every image.
ALWAYS = (
    *("TRAIN.FLIP_PROB", "1.0", "TRAIN.VERTICAL_FLIP_PROB", "1.0", "TRAIN.ROTATE90_PROB", "1.0"),
    *("TRAIN.RANDOM_CROP.PROB", "1.0", "TRAIN.COLOR_JITTER.PROB", "1.0"),
)
_IMAGES = 8  # of a round, with different seeds

#: The change of an image, with a seed.
Work = Callable[[int], Any]


class OnePicture:
    """A data set of one picture, with the members that transforms use."""

    keypoint_layout = KeypointLayout(("middle", "left_end", "right_end"))

    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    def __len__(self) -> int:
        return 1

    def read(self, index: int) -> Sample:
        """Return the picture."""
        return self._sample


def main() -> None:
    """Measure every transform, and print a table."""
    args = _parser().parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    print("| transform | ms | quartiles |\n|---|---|---|")
    for name, spread in measure_transforms(args.objects, args.rounds).items():
        print(f"| `{name}` | {spread.median:.2f} | {spread.low:.2f} – {spread.high:.2f} |")


def measure_transforms(objects: int, rounds: int, cfg: CfgNode = cfg) -> dict[str, Spread]:
    """Return the milliseconds per image of every transform, and of making the targets."""
    merge_cfg_from_list(ALWAYS, cfg)
    large = draw_sample(LARGE, objects)
    works = {name: _work(name, objects, cfg) for name in TRANSFORMS}
    works["make_targets"] = lambda seed: make_targets(large)
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(-1, rounds):  # the first does not count
        for name, work in works.items():
            milliseconds = _cpu_milliseconds(work)
            if number >= 0:
                taken[name].append(milliseconds)
    return {name: Spread.of(values) for name, values in taken.items()}


def _work(name: str, objects: int, cfg: CfgNode) -> Work:
    sample = draw_sample(SMALL if name in RESIZING else LARGE, objects, name != "copy_paste")
    transform: Transform = TRANSFORMS[name](cfg, OnePicture(sample))  # type: ignore[arg-type]
    return lambda seed: transform(sample, np.random.default_rng(seed))


def _cpu_milliseconds(work: Work) -> float:
    """Return the time of ``work``, the mean of several seeds; other processes do not change it."""
    start = time.process_time()
    for seed in range(_IMAGES):
        work(seed)
    return 1000 * (time.process_time() - start) / _IMAGES


def draw_sample(size: tuple[int, int], objects: int, points: bool = True) -> Sample:
    """Return a picture of soft noise of ``size`` with ``objects`` outlines of 25 corners each."""
    rng = np.random.default_rng(0)
    height, width = size
    noise = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
    outlines = [_outline(rng, size) for _ in range(objects)]
    boxes = np.array([(*o.min(axis=0), *o.max(axis=0)) for o in outlines]).reshape(-1, 4)
    middle = (boxes[:, 1] + boxes[:, 3]) / 2
    columns = ((boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 0], boxes[:, 2])
    keypoints = np.stack([np.stack((x, middle, 0 * x + 2), axis=1) for x in columns], axis=1)
    return Sample(
        cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC),
        ImageInfo(1, height, width, "drawn"),
        torch.from_numpy(boxes.astype(np.float32)),
        torch.ones(objects, dtype=torch.int64),
        tuple(PolygonMask((outline,)) for outline in outlines),
        torch.from_numpy(keypoints.astype(np.float32)) if points else None,
    )


def _outline(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Return an outline (25, 2) of x and y; its diameter is a tenth to a half of the height."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, 25))
    radii = size[0] * rng.uniform(0.05, 0.25) * rng.uniform(0.7, 1, 25)
    centre = rng.uniform((0.25 * size[0],) * 2, (size[1] - 0.25 * size[0], 0.75 * size[0]))
    return centre + radii[:, None] * np.stack((np.cos(angles), np.sin(angles)), axis=1)


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(description="Measure the transforms of training images.")
    parser.add_argument("--objects", type=positive_int, default=10, help="objects; default 10")
    parser.add_argument("--rounds", type=positive_int, default=20, help="rounds; default 20")
    return parser


if __name__ == "__main__":
    run_tool(main)
