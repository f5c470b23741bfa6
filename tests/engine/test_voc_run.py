"""Mask R-CNN trained and tested on Pascal VOC, drawn and real, with VOC's own scores."""

import json
from pathlib import Path

import torch

from pet.data.formats.voc_masks import VOC_CLASSES
from pet.engine import inference
from pet.engine.inference import run_test
from pet.engine.train import run_training
from pet.modeling.build import build_model
from pet.structures import Detections
from tests.data.formats.drawn_voc import HEIGHT, PARTS, WIDTH, draw_voc
from tests.engine.tiny_run import tiny_cfg


def voc_cfg(folder, root, lists="Segmentation", **changes):
    """Return the config of a tiny run on the lists train and val of the VOC folder ``root``."""
    blocks = {}
    for part in ("train", "val"):
        values = {
            "TYPE": "voc",
            "IMAGES": str(root / "JPEGImages"),
            "ANNOTATIONS": str(root / "ImageSets" / lists / f"{part}.txt"),
        }
        blocks |= {f"DATASETS__{part}__{key}": value for key, value in values.items()}
    names = {"TRAIN__DATASETS": ("train",), "TEST__DATASETS": ("val",)}
    return tiny_cfg(folder, **blocks, **names, **changes)


def metrics(folder):
    return json.loads((folder / "run" / "test" / "val" / "metrics.json").read_text())


def train_and_test(folder, root):
    run_training("tiny.yaml", voc_cfg(folder, root, SOLVER__MAX_ITER=2))
    weights = torch.load(folder / "run" / "model_latest.pth", weights_only=True)
    assert tuple(weights["class_names"]) == VOC_CLASSES
    run_test(voc_cfg(folder, root), nproc=1)
    return metrics(folder)


def test_drawn_pictures_are_trained_and_scored(tmp_path, capsys):
    found = train_and_test(tmp_path, draw_voc(tmp_path / "data"))
    assert set(found) == {"bbox", "segm", "voc"}
    assert [
        name for name, score in found["voc"]["per_class_2007"].items() if score is not None
    ] == [
        "cat",
        "dog",
        "person",
    ]
    assert 0 <= found["voc"]["AP50_2010"] < 1
    assert "17 classes without objects are left out" in capsys.readouterr().out


def test_real_pictures_are_trained_and_scored(voc_mini, tmp_path):
    found = train_and_test(tmp_path, voc_mini / "VOC2012")
    assert found["segm"]["per_class"]["bus"] is not None
    assert 0 <= found["voc"]["AP50_2007"] < 1 and found["voc"]["per_class_2007"]["cat"] is None


def detections(objects):
    labels = [VOC_CLASSES.index(each.name) + 1 for each in objects]
    return Detections(
        torch.tensor([each.box for each in objects], dtype=torch.float32).reshape(-1, 4),
        torch.linspace(0.9, 0.5, len(objects)),
        torch.tensor(labels, dtype=torch.int64),
        (HEIGHT, WIDTH),
    )


def test_detections_of_all_objects_score_1(tmp_path, monkeypatch):
    def detect(model, loader, device, precision):
        for _, infos in loader:
            for info in infos:
                yield info, detections(PARTS["val"][Path(info.file).stem])

    root = draw_voc(tmp_path / "data")
    changes = {"MODEL__MASK_ON": False, "MODEL__NUM_CLASSES": len(VOC_CLASSES) + 1}
    cfg = voc_cfg(tmp_path, root, "Main", **changes)
    (tmp_path / "run").mkdir()
    content = {"model": build_model(cfg=cfg).state_dict(), "class_names": list(VOC_CLASSES)}
    torch.save(content, tmp_path / "run" / "model_latest.pth")
    monkeypatch.setattr(inference, "detect", detect)
    run_test(cfg, nproc=1)
    found = metrics(tmp_path)["voc"]
    assert (found["AP50_2007"], found["AP50_2010"]) == (1.0, 1.0)
    assert found["per_class_2010"]["dog"] == 1.0 and found["per_class_2010"]["cow"] is None
