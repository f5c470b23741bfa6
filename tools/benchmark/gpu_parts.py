"""The parts of ``gpu_check.py``, in order of worth: their commands, and what is read of each.

Needs Python alone, as it also runs where packages are missing.
"""

import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tools.benchmark.packages import PET, TESTS
from tools.benchmark.parts import Part, Reading

#: Where the tests that need a CUDA device lie, which the marker "cuda" picks.
CUDA_TESTS = (
    "tests/engine/test_cuda.py",
    "tests/test_devices.py",
    "tests/benchmark/test_device_busy.py",
    "tests/benchmark/test_device_syncs.py",
    "tests/benchmark/test_memory.py",
    "tests/structures/test_image_list.py",
    "tests/utils/test_batch_transfer.py",
)
_MODEL = "cfgs/rcnn/torchvision/maskrcnn_resnet50_fpn.yaml"
_QUICKSTART = "cfgs/rcnn/shapes/quickstart_e2e_mask_rcnn_R-18-FPN.yaml"
_COCO_FOLDERS = ("coco2017", "coco", "")
_COCO = ("val2017", "annotations/instances_val2017.json")

_RESULT = re.compile(r"^(tests/.+?) (PASSED|FAILED|ERROR|SKIPPED)\b", re.MULTILINE)
_FAILURE = re.compile(r"^(?:FAILED|ERROR) (tests/\S+?)(?: - .*)?$", re.MULTILINE)
_WARNINGS = re.compile(r"\b(\d+) warnings?\b")

# Small enough for a test on a CPU: it shows that the parts run, and measures nothing.
_TINY_MODEL = (
    *("TRAIN.SCALES", "(96,)", "TRAIN.MAX_SIZE", "128", "TEST.SCALE", "96", "TEST.MAX_SIZE", "128"),
    *("FAST_RCNN.DETECTIONS_PER_IMG", "5", "FAST_RCNN.BATCH_SIZE_PER_IMAGE", "8"),
    *("RPN.POST_NMS_TOP_N_TEST", "20", "RPN.POST_NMS_TOP_N_TRAIN", "20"),
)
_LEAST_SHARED = 2**30  # bytes; batches with whole masks are on their way there
_TINY_LIMIT = 240.0  # seconds of a part
_TINY_QUICKSTART = (
    *("SOLVER.MAX_ITER", "4", "SOLVER.WARM_UP_ITERS", "2", "DISPLAY_ITER", "2"),
    *("TRAIN.BATCH_SIZE", "2", "TRAIN.SCALES", "(64,)", "TRAIN.LOADER_THREADS", "0"),
    *("TEST.SCALE", "64", "TEST.LOADER_THREADS", "0"),
    # Of the pictures for testing some alone.
    *("DATASETS.shapes_val.IMAGES", "shapes/val", "DATASETS.shapes_val.MAX_IMAGES", "4"),
    *("DATASETS.shapes_val.ANNOTATIONS", "shapes/annotations/instances_val.json"),
)


@dataclass(frozen=True)
class Check:
    """What is checked, and where."""

    out: Path  # an absolute folder
    device: str  # as DEVICE
    tiny: bool = False
    data: Path | None = None  # the folder of the drawn shapes, as DATA_DIR; None to draw them anew
    coco: Path | None = None  # likewise that of COCO; None to draw pictures

    def parts(self) -> list[Part]:
        """Return the parts, that of most worth first."""
        parts = self._parts()
        # On a CPU, which others may use as well, each takes its time.
        return [replace(part, limit=_TINY_LIMIT) for part in parts] if self.tiny else parts

    def _parts(self) -> list[Part]:
        images = 2 if self.tiny else 32
        train = self._benchmark("train", images, 2 if self.tiny else 4, *self._steps())
        one, many = (1, 2) if self.tiny else (1, 8)
        return [
            Part(
                "environment",
                "what the machine has",
                60,
                (
                    self._python(
                        *("-m", "tools.benchmark.environment", "--device", self.device),
                        *("--json", self._file("environment", "environment.json")),
                    ),
                ),
                _read_environment,
                ("torch", "torchvision", "numpy"),
            ),
            self._tests(),
            self._part("train", "Mask R-CNN R-50-FPN, training", 120, train),
            self._part(
                "infer_1",
                "Mask R-CNN R-50-FPN, one image at a time",
                80,
                self._benchmark("infer", 2 if self.tiny else 8, one),
            ),
            self._part(
                "infer_8",
                f"Mask R-CNN R-50-FPN, {many} images at a time",
                100,
                self._benchmark("infer", 2 if self.tiny else 16, many),
            ),
            self._quickstart(),
            self._compile(),
        ]

    def _tests(self) -> Part:
        tests = ("tests/benchmark/test_device_syncs.py",) if self.tiny else CUDA_TESTS
        command = self._python(
            *("-m", "pytest", *tests, "-m", "cuda and not slow", "--verbose", "--tb=short"),
            # So that on a new machine what Pet does is told apart from what others warn of.
            *("-W", "default", "-p", "no:cacheprovider", "--durations=5"),
        )
        needed = self.device != "cpu"
        return Part(
            "tests",
            "the tests that need CUDA",
            130,
            (command,),
            lambda folder: _read_tests(folder, needed),
            (*PET, *TESTS),
        )

    def _quickstart(self) -> Part:
        options = (
            *("--cfg", _QUICKSTART, "DEVICE", self.device),
            *("CKPT", self._file("quickstart", "run")),
            *("DATA_DIR", str(self.data or self._file("quickstart", "data"))),
            *(_TINY_QUICKSTART if self.tiny else ()),
        )
        commands = (
            self._python("tools/rcnn/train_net.py", *options),
            self._python("tools/rcnn/test_net.py", *options),
        )
        title = "train and test on drawn shapes"
        heavy = ("data", "run/*.pth")
        needs = tuple(PET)
        return Part("quickstart", title, 100, commands, _read_quickstart, needs, discard=heavy)

    def _compile(self) -> Part:
        images, batch = (2, 1) if self.tiny else (16, 4)
        command = self._benchmark(
            "train", images, batch, *self._steps(), "--compile", name="compile", memory=False
        )
        # It takes minutes on a CPU to make the programs.
        env = {"TORCH_COMPILE_DISABLE": "1"} if self.tiny else {}
        return Part(
            "compile",
            "training, before and after torch.compile (SOLVER.COMPILE)",
            100,
            (command,),
            _read_report,
            tuple(PET),
            env,
        )

    def _part(self, name: str, title: str, limit: float, command: tuple[str, ...]) -> Part:
        return Part(name, title, limit, (command,), _read_report, tuple(PET))

    def _steps(self) -> tuple[str, ...]:
        return ("--steps", "1" if self.tiny else "4")

    def _benchmark(
        self,
        work: str,
        images: int,
        batch: int,
        *options: str,
        name: str = "",
        memory: bool = True,
    ) -> tuple[str, ...]:
        """Return the command of a benchmark, whose results go into the folder ``name``."""
        name = name or (f"infer_{8 if batch > 1 else 1}" if work == "infer" else work)
        precisions = "bfloat16" if name == "compile" else "float32,bfloat16"
        data: tuple[str, ...] = ("--drawn",)
        opts: tuple[str, ...] = ("DEVICE", self.device)
        if self.coco is not None:
            # The small half alone, as both sides read the annotations several times.
            data, opts = (), (*opts, "DATA_DIR", str(self.coco), "TRAIN.DATASETS", "coco_2017_val")
        return self._python(
            *("tools/benchmark/benchmark.py", work, "--cfg", _MODEL, *data),
            *("--images", str(images), "--batch-size", str(batch), *options),
            *("--rounds", "1" if self.tiny else "3", "--checked", "1" if self.tiny else "2"),
            *("--precision", "float32" if self.tiny else precisions, "--even-if-unlike"),
            *("--workers", "0" if self.tiny else str(workers())),
            *(() if memory and not self.tiny else ("--no-memory",)),
            *("--json", self._file(name, "report.json")),
            *("--markdown", self._file(name, "report.md")),
            *opts,
            *("CKPT", self._file(name, "run")),
            *(_TINY_MODEL if self.tiny else ()),
        )

    def _python(self, *words: str) -> tuple[str, ...]:
        return (sys.executable, *words)

    def _file(self, part: str, name: str) -> str:
        return str(self.out / part / name)


def has_coco(data_dir: Path) -> bool:
    """Whether a folder, as DATA_DIR, holds the pictures and annotations of COCO 2017 val."""
    places = [data_dir / folder for folder in _COCO_FOLDERS]
    return any(all((place / name).exists() for name in _COCO) for place in places)


def workers(shared: Path = Path("/dev/shm")) -> int:
    """Return how many loader processes feed a GPU: no more than there are processors.

    None where there is little ``shared`` memory, as in a container: torchvision's would die of it.
    """
    if shared.is_dir() and shutil.disk_usage(shared).free < _LEAST_SHARED:
        return 0
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return min(4, usable)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _read_environment(folder: Path) -> Reading:
    found = _json(folder / "environment.json")
    return Reading(found, f"{found['device']}, torch {found['torch']}")


def _read_tests(folder: Path, needed: bool) -> Reading:
    """Return how the tests went, as far as they came; a problem where ``needed`` and none ran."""
    log = (folder / "log.txt").read_text(encoding="utf-8", errors="replace")
    found = _RESULT.findall(log)
    counts = Counter(result.lower() for _, result in found)
    failed = [name for name, result in found if result in ("FAILED", "ERROR")]
    failed = list(dict.fromkeys([*failed, *_FAILURE.findall(log)]))
    warnings = _WARNINGS.findall(log)
    figures = {
        "passed": counts["passed"],
        "skipped": counts["skipped"],
        "failed": failed,
        "warnings": int(warnings[-1]) if warnings else 0,
    }
    summary = f"{counts['passed']} passed, {len(failed)} failed, {counts['skipped']} skipped"
    if failed:
        summary += f": {', '.join(failed)}"
    idle = needed and not counts["passed"] and not failed
    return Reading(figures, summary, "no test was run" if idle else "")


def _read_report(folder: Path) -> Reading:
    report = _json(folder / "report.json")
    rows = [f"{row['side']} {row['seconds']['median']:.4f}" for row in report["rows"]]
    problem = "the sides are not alike" if report["unlike"] else ""
    return Reading(report, f"s / {report['unit']}: {', '.join(rows)}", problem)


def _read_quickstart(folder: Path) -> Reading:
    metrics = _json(folder / "run" / "test" / "shapes_val" / "metrics.json")
    steps = (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    last = json.loads(steps[-1])
    figures = {"metrics": metrics, "last_step": last}
    box, mask = (metrics[kind]["AP"] for kind in ("bbox", "segm"))
    return Reading(
        figures,
        f"{last['iter']} steps of {last['iter_time']:.4f} s; box AP {box:.4g}, mask AP {mask:.4g}",
    )


def tables(out: Path, names: Sequence[str]) -> list[str]:
    """Return the lines of the tables that the parts ``names`` have written, one after the other."""
    lines = []
    for name in names:
        path = out / name / "report.md"
        if path.is_file():
            lines += ["", *(f"#{line}" if line.startswith("# ") else line for line in _lines(path))]
    return lines


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()
