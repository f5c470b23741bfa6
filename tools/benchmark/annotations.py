"""Measure how long an annotation file of COCO's size takes to read, and how much memory.

    python tools/benchmark/annotations.py --folder data/large

A synthetic file is written into the folder first, with as many images, objects and coordinates as
COCO's instances_train2017.json, 460 MB. Pet's first and later starts are compared with pycocotools'
``COCO`` and with plain JSON readers, each in a separate process.
"""

import argparse
import json
import multiprocessing
import shutil
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from pet.utils.sigint import leave_on_interrupt

if __name__ == "__main__":
    leave_on_interrupt()  # the imports below take seconds

import numpy as np
import orjson
from pycocotools.coco import COCO

from pet.data.datasets import CocoDataset
from pet.launch.command_line import ToolParser, run_tool
from pet.utils.files import atomic_path

IMAGES, OBJECTS, CLASSES = 118_287, 860_000, 80
_IMAGE = (
    '{"license": 3, "file_name": "%012d.jpg", "coco_url": "http://images.cocodataset.org/train2017/'
    '%012d.jpg", "height": 480, "width": 640, "date_captured": "2013-11-14 11:18:45", "flickr_url":'
    ' "http://farm9.staticflickr.com/8186/8119368305_4e622c8349_z.jpg", "id": %d}'
)


def main() -> None:
    """Write the file if it is missing, read it with every reader, and print a table."""
    args = _parser().parse_args()
    folder = Path(args.folder)
    file, cache = folder / "annotations.json", folder / "cache"
    if not file.is_file():
        write_annotations(file)
    shutil.rmtree(cache, ignore_errors=True)
    print("| reader | s | peak memory, MB | memory afterwards, MB |\n|---|---|---|---|")
    for name, read in READERS.items():
        seconds, peak, after = _measured(read, file, cache)
        print(f"| {name} | {seconds:.1f} | {peak} | {after} |", flush=True)


def write_annotations(file: Path, images: int = IMAGES, objects: int = OBJECTS) -> None:
    """Write a file of ``images`` and ``objects`` with a polygon each, of 4 to 49 corners."""
    rng = np.random.default_rng(0)
    owner = np.sort(rng.integers(1, images + 1, objects))
    with atomic_path(file) as path, open(path, "w", encoding="utf-8") as out:
        out.write('{"info": {}, "licenses": [], "images": [')
        out.write(",".join(_IMAGE % (n, n, n) for n in range(1, images + 1)))
        out.write('],"annotations": [')
        for number, image_id in enumerate(owner.tolist(), 1):
            out.write(f"{',' if number > 1 else ''}{_annotation(number, image_id, rng)}")
        categories = [{"id": n, "name": f"class {n}"} for n in range(1, CLASSES + 1)]
        out.write(f'],"categories": {json.dumps(categories)}}}')


def _annotation(number: int, image_id: int, rng: np.random.Generator) -> str:
    corners = int(rng.integers(4, 50))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(5, 95) * rng.uniform(0.6, 1, corners)
    centre = rng.uniform((100, 100), (540, 380))
    points = centre + radius[:, None] * np.stack((np.cos(angles), np.sin(angles)), axis=1)
    points = points.round(2)
    (x, y), (width, height) = points.min(axis=0), np.ptp(points, axis=0)
    return (
        f'{{"segmentation": [[{",".join(map(repr, points.ravel().tolist()))}]],"area": '
        f'{width * height * 0.7:.4f},"iscrowd": 0,"image_id": {image_id},"bbox": [{x:.2f},{y:.2f},'
        f'{width:.2f},{height:.2f}],"category_id": {int(rng.integers(1, CLASSES + 1))},'
        f'"id": {number}}}'
    )


def _read_json(file: Path, cache: Path) -> object:
    return json.loads(file.read_bytes())


def _read_orjson(file: Path, cache: Path) -> object:
    return orjson.loads(file.read_bytes())


def _read_pycocotools(file: Path, cache: Path) -> object:
    return COCO(str(file))


def _read_pet(file: Path, cache: Path) -> object:
    return CocoDataset("large", file.parent, file, is_train=True, with_masks=True, cache=cache)


Reader = Callable[[Path, Path], object]
READERS: dict[str, Reader] = {
    "json.loads": _read_json,
    "orjson.loads": _read_orjson,
    "pycocotools COCO()": _read_pycocotools,
    "Pet, first start": _read_pet,
    "Pet, later start": _read_pet,
}


def _measured(read: Reader, file: Path, cache: Path) -> tuple[float, int, int]:
    """Return the seconds, and the resident memory in MB at its peak and afterwards."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_measure, args=(read, file, cache, there))
    child.start()
    found = here.recv()
    child.join()
    return found


def _measure(read: Reader, file: Path, cache: Path, parent: Connection) -> None:
    start = time.perf_counter()
    content = read(file, cache)
    seconds = time.perf_counter() - start
    text = Path("/proc/self/status").read_text(encoding="ascii")
    status = dict(line.split(":", 1) for line in text.splitlines())
    peak, after = (int(status[key].split()[0]) // 1024 for key in ("VmHWM", "VmRSS"))
    parent.send((seconds, peak, after))
    del content


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(description="Measure how an annotation file of COCO's size is read.")
    parser.add_argument("--folder", required=True, help="folder for the file, and what is kept")
    return parser


if __name__ == "__main__":
    run_tool(main)
