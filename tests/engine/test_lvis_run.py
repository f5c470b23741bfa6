"""Drawn shapes in the form of LVIS, trained on and scored."""

import json
from pathlib import Path

import pytest
import torch

from pet.data.build import build_dataset
from pet.engine import inference
from pet.engine.inference import run_test
from pet.engine.scoring import build_scoring
from pet.engine.train import run_training
from pet.evaluation.lvis import FIGURES, evaluate_lvis
from pet.structures import Detections
from tests.engine.tiny_run import tiny_cfg

FREQUENCIES = ("r", "c", "f", "f", "f")


def as_lvis(folder: Path, split: str) -> dict:
    """Rewrite the annotations of the shapes of ``split``, and return the keys of the data set."""
    root = folder / "data" / "shapes"
    content = json.loads((root / "annotations" / f"instances_{split}.json").read_text())
    for image in content["images"]:
        image["coco_url"] = f"http://images.example/{split}/{image.pop('file_name')}"
        image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    for category, frequency in zip(content["categories"], FREQUENCIES, strict=True):
        category["frequency"] = frequency
    for annotation in content["annotations"]:
        del annotation["iscrowd"]
    file = root / f"lvis_v1_{split}.json"
    file.write_text(json.dumps(content))
    keys = {"TYPE": "lvis", "IMAGES": str(root), "ANNOTATIONS": str(file)}
    return {f"DATASETS__lvis_{split}__{key}": value for key, value in keys.items()}


@pytest.fixture
def lvis_cfg(folder):
    """Return a maker of the config of a run on both splits."""
    blocks = {
        **as_lvis(folder, "train"),
        **as_lvis(folder, "val"),
        "TRAIN__DATASETS": ("lvis_train",),
        "TEST__DATASETS": ("lvis_val",),
        "DATALOADER__SAMPLER_TRAIN": "RepeatFactorTrainingSampler",
    }
    return lambda **changes: tiny_cfg(folder, **blocks, **changes)


def figures(folder: Path) -> dict:
    return json.loads((folder / "run" / "test" / "lvis_val" / "metrics.json").read_text())


def test_it_is_trained_and_scored(lvis_cfg, folder, monkeypatch):
    run_training("tiny.yaml", lvis_cfg(SOLVER__MAX_ITER=2))
    run_test(lvis_cfg(), nproc=1)
    log = (folder / "run" / "log.txt").read_text()
    assert "FAST_RCNN.DETECTIONS_PER_IMG lets at most 100" in log
    assert "LVIS box scores (bbox):" in log and "LVIS mask scores (segm):" in log
    found = figures(folder)
    data = build_dataset(("lvis_val",), is_train=False, cfg=lvis_cfg())
    for kind, metrics in found.items():
        assert list(metrics) == [*FIGURES, "per_class"]
        files = {kind: folder / "run" / "test" / "lvis_val" / f"{kind}.json"}
        truth = folder / "data" / "shapes" / "lvis_v1_val.json"
        again = evaluate_lvis(truth, files, data.image_ids, data.class_names, data.category_ids)
        assert {name: getattr(again[kind], name) for name in FIGURES} == {
            name: metrics[name] for name in FIGURES
        }

    def detect(model, loader, device, precision):
        """Find every object, and before these one of each class that the image does not have."""
        for _, infos in loader:
            for info in infos:
                yield info, perfect(data, info)

    monkeypatch.setattr(inference, "detect", detect)
    run_test(lvis_cfg(FAST_RCNN__DETECTIONS_PER_IMG=300), nproc=1)
    assert figures(folder)["bbox"]["AP"] == pytest.approx(1)
    assert (folder / "run" / "log.txt").read_text().count("LVIS counts 300 detections") == 1


def test_the_figure_that_counts_is_one_of_lvis(lvis_cfg):
    names = json.loads(Path(lvis_cfg().DATASETS.lvis_val.ANNOTATIONS).read_text())["categories"]
    names = [category["name"] for category in sorted(names, key=lambda each: each["id"])]
    assert build_scoring(names, lvis_cfg(TEST__EVAL_PERIOD=1)) is not None
    with pytest.raises(ValueError, match=r"by LVIS's rules, without AR100; give one of AP, AP50"):
        build_scoring(names, lvis_cfg(TEST__EVAL_PERIOD=1, TEST__BEST_KEY="bbox/AR100"))


def perfect(data, info) -> Detections:
    truth = data.ground_truth()
    first, end = truth.first[truth.places([info.image_id])[0] :][:2].tolist()
    boxes = torch.tensor(truth.boxes[first:end].tolist()).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = [data.category_ids.index(c) + 1 for c in truth.category_ids[first:end].tolist()]
    others = sorted(set(range(1, data.num_classes)) - set(labels))
    return Detections(
        torch.cat((torch.tensor([[1.0, 1.0, 9.0, 9.0]]).expand(len(others), 4), boxes)),
        torch.tensor([0.9] * len(others) + [0.5] * len(labels)),
        torch.tensor([*others, *labels]),
        (info.height, info.width),
    )
