"""Parts from a file outside of the package, as docs/extending.md shows them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pet.config import merge_cfg_from_file, merge_cfg_from_list
from pet.data.build import build_dataset, make_train_data_loader
from pet.utils.opencv import cv2
from tests.own_file import imported

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
    assert "classes: dog, cat, bird" in done.stdout + done.stderr
    done = run("test_net.py", folder, "--nproc", 2, *options)
    assert done.returncode == 0, done.stderr
    # Nothing was written beside the CSV file.
    assert {path.name for path in (folder / "mine").iterdir()} == {"images", "boxes.csv"}
    metrics = json.loads((folder / "ckpts/my/test/mine/metrics.json").read_text())
    assert set(metrics["bbox"]["per_class"]) == {"dog", "cat", "bird"}
    assert metrics["bbox"]["per_class"]["bird"] is None
    records = json.loads((folder / "ckpts/my/test/mine/bbox.json").read_text())
    assert {record["image_id"] for record in records} == {1, 2, 3, 4}


def test_the_transform_of_the_page_reaches_the_batches(folder, monkeypatch, fresh_cfg):
    monkeypatch.chdir(folder)
    merge_cfg_from_file("my.yaml", fresh_cfg)
    merge_cfg_from_list([*SMALL, "TRAIN.LOADER_THREADS", 0, "SOLVER.MAX_ITER", 8], fresh_cfg)

    def brightest():
        dataset = build_dataset(fresh_cfg.TRAIN.DATASETS, is_train=True, cfg=fresh_cfg)
        batches = make_train_data_loader(dataset, cfg=fresh_cfg)
        return [int(pixels.max()) for images, _, _ in batches for pixels in images.tensor]

    with imported(folder / "my_parts.py"):
        values = brightest()
        fresh_cfg.TRAIN.TRANSFORMS = fresh_cfg.TRAIN.TRANSFORMS[:2]
        assert brightest() == [255] * 16
    # Of each picture the brightest pixel is 255; times 0.6 to 1.4 that is 153 to 255.
    assert 153 <= min(values) < 200 and max(values) == 255 and len(set(values)) > 4


def test_the_classes_of_the_page_must_be_given(folder, monkeypatch, fresh_cfg):
    monkeypatch.chdir(folder)
    merge_cfg_from_file("my.yaml", fresh_cfg)
    with imported(folder / "my_parts.py"):
        fresh_cfg.DATASETS.mine.CLASSES = ()
        with pytest.raises(ValueError, match=r"give DATASETS\.mine\.CLASSES"):
            build_dataset("mine", is_train=True, cfg=fresh_cfg)
        fresh_cfg.DATASETS.mine.CLASSES = ("cat",)
        with pytest.raises(ValueError, match=r"boxes\.csv: categories .* does not name: dog \(2\)"):
            build_dataset("mine", is_train=True, cfg=fresh_cfg)


def test_without_the_file_its_parts_are_not_known(folder):
    plain = ("TRAIN.TRANSFORMS", "resize")
    for words, message in (
        ((), "no transform named 'random_brightness' (TRAIN.TRANSFORMS)"),
        (plain, "no type of data set named 'csv' (DATASETS.<name>.TYPE)"),
    ):
        done = run("train_net.py", folder, "--cfg", "my.yaml", *SMALL, *words)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr
