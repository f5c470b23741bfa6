"""Parts from a file outside of the package, as docs/extending.md shows them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pet.utils.opencv import cv2

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SMALL = [
    *("DEVICE", "cpu", "TRAIN.SCALES", 64, "TRAIN.MAX_SIZE", 96, "TEST.SCALE", 64),
    *("TEST.MAX_SIZE", 96, "TRAIN.BATCH_SIZE", 2, "SOLVER.MAX_ITER", 2, "SOLVER.STEPS", "()"),
    *("SOLVER.BASE_LR", 0.001, "TRAIN.LOADER_THREADS", 1, "TEST.LOADER_THREADS", 0),
    *("FPN.DIM", 8, "RPN.PRE_NMS_TOP_N_TRAIN", 50, "RPN.PRE_NMS_TOP_N_TEST", 50),
    *("FAST_RCNN.SCORE_THRESH", 0.0),
]


def block(language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1]


@pytest.fixture
def folder(tmp_path):
    """Return a folder with the page's file, its YAML, and pictures with a box each."""
    (tmp_path / "my_parts.py").write_text(block("python"))
    (tmp_path / "my.yaml").write_text(block("yaml"))
    images = tmp_path / "mine" / "images"
    images.mkdir(parents=True)
    rows = []
    for n in range(4):
        picture = np.full((60, 80, 3), 40 * n, np.uint8)
        picture[10:40, 20:50] = 255
        cv2.imwrite(str(images / f"{n}.png"), picture)
        rows.append(f"{n}.png,{'cat' if n % 2 else 'dog'},20,10,50,40")
    (tmp_path / "mine" / "boxes.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "mine" / "boxes.json").write_text("[]")
    return tmp_path


def run(tool: str, folder: Path, *words: object) -> subprocess.CompletedProcess:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, ROOT / "tools" / "rcnn" / tool, *words]
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def test_the_example_of_the_page_trains_and_tests(folder):
    """One process trains; two started by Pet test, and know the parts as well."""
    options = ["--import", "my_parts.py", "--cfg", "my.yaml", *SMALL]
    done = run("train_net.py", folder, *options)
    assert done.returncode == 0, done.stderr
    assert "classes: cat, dog" in done.stdout + done.stderr
    done = run("test_net.py", folder, "--nproc", 2, *options)
    assert done.returncode == 0, done.stderr
    # Beside the CSV file stands one in COCO's format, whole, and a file of the user's as it was.
    names = {path.name for path in (folder / "mine").iterdir()}
    assert names == {"images", "boxes.csv", "boxes.csv.coco.json", "boxes.json"}
    assert (folder / "mine" / "boxes.json").read_text() == "[]"
    records = json.loads((folder / "ckpts/my/test/mine/bbox.json").read_text())
    assert {record["image_id"] for record in records} == {1, 2, 3, 4}


def test_without_the_file_its_parts_are_not_known(folder):
    done = run("train_net.py", folder, "--cfg", "my.yaml", *SMALL)
    assert done.returncode == 2
    assert "no type of data set named 'csv' (DATASETS.<name>.TYPE)" in done.stderr
    assert "Traceback" not in done.stderr
