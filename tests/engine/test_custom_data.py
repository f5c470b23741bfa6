"""The steps of docs/custom_data.md, from a folder of each format to predictions."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pet.config import CfgNode, default_cfg, freeze, merge_cfg_from_file, merge_cfg_from_list
from pet.data.convert_formats import convert_data
from pet.engine.data_check.run import CheckOptions, run_check
from pet.engine.inference import run_test
from pet.engine.predict_files import predict_files
from pet.engine.train import run_training
from tests.data.formats.drawn_labelme import draw_labelme
from tests.data.formats.drawn_voc import draw_voc
from tests.data.formats.drawn_yolo import draw_yolo
from tests.engine.tiny_run import TINY
from tests.source_code import ROOT

RECIPE = ROOT / "cfgs/rcnn/finetune/mask_rcnn_R-50-FPN.yaml"
#: The keys of a tiny run that make the model and its pictures small.
SMALL = {
    key: value
    for key, value in TINY.items()
    if not key.startswith(("SOLVER", "TRAIN.DATASETS", "TEST.DATASETS"))
}
SIZE = (48, 64)


def divided(source: Path, folder: Path) -> Path:
    """Divide the data of ``source`` as the page says, and return their folder."""
    file = folder / "annotations" / "instances.json"
    convert_data(source, file, shares=(0.7, 0.3))
    return folder


def labelme(folder: Path) -> Path:
    draw_labelme(folder, 10, SIZE)
    return divided(folder, folder)


def yolo(folder: Path) -> Path:
    draw_yolo(folder, 5, SIZE)
    return folder


def voc(folder: Path) -> Path:
    draw_voc(folder)
    return folder / "VOCdevkit"


def coco(folder: Path) -> Path:
    draw_labelme(folder / "images", 10, SIZE)
    return divided(folder / "images", folder)


def recipe_for(data: Path, ckpt: Path) -> CfgNode:
    cfg = default_cfg()
    merge_cfg_from_file(RECIPE, cfg)
    changes = {**SMALL, "DATA": str(data), "CKPT": str(ckpt), "TRAIN.WEIGHTS": ""}
    changes |= {"SOLVER.MAX_EPOCHS": 2, "SOLVER.SNAPSHOT_EPOCHS": 1, "INPUT.PIXEL_STD": (58,) * 3}
    merge_cfg_from_list([item for pair in changes.items() for item in pair], cfg)
    freeze(cfg)
    return cfg


@pytest.mark.parametrize("draw", [labelme, yolo, voc, coco])
def test_from_a_folder_to_predictions(draw: Callable[[Path], Path], tmp_path, capsys):
    data, ckpt = draw(tmp_path / "mine"), tmp_path / "ckpt"
    page = tmp_path / "check.html"
    run_check("recipe", CheckOptions(html=page), cfg=recipe_for(data, ckpt))
    assert "data_train" in capsys.readouterr().out
    assert page.stat().st_size > 1000

    cfg = recipe_for(data, ckpt)
    run_training("recipe", cfg)
    epoch = -(-cfg.SOLVER.MAX_ITER // 2)
    assert cfg.SOLVER.MAX_ITER == 2 * epoch == 2 * cfg.TEST.EVAL_PERIOD
    entries = [json.loads(line) for line in (ckpt / "metrics.jsonl").read_text().splitlines()]
    scored = {each["iter"]: each for each in entries if "val/data_val/segm/AP" in each}
    assert list(scored) == [epoch, 2 * epoch]
    assert len((ckpt / "seg_results.txt").read_text().splitlines()) == 2

    tested = default_cfg()
    merge_cfg_from_file(ckpt / "config.yaml", tested)
    merge_cfg_from_list(["TEST.WEIGHTS", str(ckpt / "model_best.pth")], tested)
    freeze(tested)
    run_test(tested)
    metrics = json.loads((ckpt / "test" / "data_val" / "metrics.json").read_text())
    best = max(each["val/data_val/segm/AP"] for each in scored.values())
    assert metrics["segm"]["AP"] == best
    assert ("voc" in metrics) == (draw is voc)

    picture = next(data.rglob("*.jpg" if draw is voc else "*.png"))
    predict_files([str(picture)], str(tmp_path / "found"), str(ckpt / "model_best.pth"), tested)
    assert {path.suffix for path in (tmp_path / "found").iterdir()} == {".jpg", ".json"}
