"""A data set of a folder of XML files, from a file outside of the package, trained and scored."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from pet.config import merge_cfg_from_list
from pet.data.build import build_dataset
from pet.engine import inference
from pet.engine.inference import run_test
from pet.engine.train import run_training
from pet.evaluation.coco import evaluate_coco
from pet.modeling.build import build_model
from pet.structures import Detections
from pet.utils.opencv import cv2
from tests.engine.tiny_run import tiny_cfg
from tests.own_file import imported

PARTS = Path(__file__).with_name("voc_like_parts.py")
CLASSES = ("dog", "cat", "bird")
WIDTH, HEIGHT = 80, 60
# Picture -> its objects: class, x1, y1, x2, y2 as continuous corners, whether difficult.
TRAIN = {
    "a": [("cat", 10, 10, 40, 40, 0), ("dog", 45, 5, 75, 35, 0), ("bird", 2, 2, 9, 9, 1)],
    "b": [("bird", 20, 20, 60, 50, 0)],
}
VAL = {  # without a dog
    "c": [("cat", 10, 10, 40, 40, 0), ("cat", 45, 5, 75, 35, 1)],
    "d": [("bird", 20, 20, 60, 50, 0)],
    "e": [],
}
_OBJECT = (
    "<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
    "<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)


def write(folder: Path, pictures: dict) -> None:
    (folder / "images").mkdir(parents=True)
    (folder / "xml").mkdir()
    for name, objects in pictures.items():
        picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        text = f"<filename>{name}.png</filename>"
        text += f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
        for kind, x1, y1, x2, y2, difficult in objects:
            picture[y1:y2, x1:x2] = 255
            text += _OBJECT.format(kind, difficult, x1 + 1, y1 + 1, x2, y2)
        cv2.imwrite(str(folder / "images" / f"{name}.png"), picture)
        (folder / "xml" / f"{name}.xml").write_text(f"<annotation>{text}</annotation>")


@pytest.fixture
def voc_cfg(tmp_path):
    """Yield what makes the config of a run on the two splits."""
    for split, pictures in (("train", TRAIN), ("val", VAL)):
        write(tmp_path / split, pictures)

    def make(**changes):
        blocks = {}
        for split in ("train", "val"):
            files = {"IMAGES": "images", "ANNOTATIONS": "xml"}
            for field, name in files.items():
                blocks[f"DATASETS__{split}__{field}"] = str(tmp_path / split / name)
            blocks[f"DATASETS__{split}__TYPE"] = "voc_like"
            blocks[f"DATASETS__{split}__CLASSES"] = CLASSES
        names = {"TRAIN__DATASETS": ("train",), "TEST__DATASETS": ("val",)}
        return tiny_cfg(tmp_path, **blocks, **names, MODEL__MASK_ON=False, **changes)

    with imported(PARTS):
        yield make


def figures(folder: Path) -> dict:
    return json.loads((folder / "run" / "test" / "val" / "metrics.json").read_text())["bbox"]


def test_its_splits_have_equal_classes_and_no_difficult_objects(voc_cfg):
    cfg = voc_cfg()
    train, val = build_dataset("train", True, cfg), build_dataset("val", False, cfg)
    for dataset in (train, val):
        assert (dataset.class_names, dataset.category_ids) == (CLASSES, (1, 2, 3))
        assert dataset.num_classes == 4 and dataset.keypoint_layout is None
    assert [train.labels(index) for index in range(2)] == [[2, 1], [3]]
    assert train.read(0).boxes.tolist() == [[10, 10, 40, 40], [45, 5, 75, 35]]
    truth = val.ground_truth()
    assert truth.boxes.tolist() == [[10, 10, 30, 30], [45, 5, 30, 30], [20, 20, 40, 30]]
    assert truth.crowds.tolist() == [False, True, False]


def test_it_is_trained_and_scored(voc_cfg, tmp_path):
    run_training("tiny.yaml", voc_cfg(SOLVER__MAX_ITER=2))
    weights = torch.load(tmp_path / "run" / "model_latest.pth", weights_only=True)
    assert tuple(weights["class_names"]) == CLASSES
    run_test(voc_cfg(), nproc=1)
    found = figures(tmp_path)
    assert set(found["per_class"]) == set(CLASSES) and found["per_class"]["dog"] is None
    assert 0 <= found["AP"] < 1
    assert not list(tmp_path.glob("*/*.json"))  # none beside the data


def detections(objects) -> Detections:
    return Detections(
        torch.tensor([each[1:5] for each in objects], dtype=torch.float32).reshape(-1, 4),
        torch.linspace(0.9, 0.5, len(objects)),
        torch.tensor([CLASSES.index(each[0]) + 1 for each in objects], dtype=torch.int64),
        (HEIGHT, WIDTH),
    )


EASY = {name: [each for each in objects if not each[5]] for name, objects in VAL.items()}
# What is found, best first in each picture -> AP of cats, of birds. A wrong cat that is found
# before the right one halves the precision at every recall.
FOUND = {
    "all": (VAL, 1.0, 1.0),
    "all but the difficult": (EASY, 1.0, 1.0),
    "the difficult twice and first": ({**EASY, "c": [VAL["c"][1], *VAL["c"][::-1]]}, 1.0, 1.0),
    "the difficult alone": ({**EASY, "c": VAL["c"][1:]}, 0.0, 1.0),
    "a wrong one first": ({**EASY, "c": [("cat", 0, 40, 9, 59, 0), *EASY["c"]]}, 0.5, 1.0),
    "none": ({}, 0.0, 0.0),
}


@pytest.mark.parametrize("found", FOUND)
def test_the_figures_of_detections_made_by_hand(voc_cfg, tmp_path, monkeypatch, found):
    objects, cats, birds = FOUND[found]

    def detect(model, loader, device, precision):
        for _, infos in loader:
            for info in infos:
                yield info, detections(objects.get(Path(info.file).stem, []))

    model = build_model(cfg=voc_cfg(MODEL__NUM_CLASSES=len(CLASSES) + 1))
    (tmp_path / "run").mkdir()
    content = {"model": model.state_dict(), "class_names": list(CLASSES)}
    torch.save(content, tmp_path / "run" / "model_latest.pth")
    monkeypatch.setattr(inference, "detect", detect)
    run_test(voc_cfg(), nproc=1)
    assert figures(tmp_path)["per_class"] == {
        "dog": None,
        "cat": pytest.approx(cats),
        "bird": pytest.approx(birds),
    }
    assert figures(tmp_path)["AP"] == pytest.approx((cats + birds) / 2)


def test_real_pictures_scored_by_themselves(voc_mini, tmp_path, fresh_cfg):
    folder = voc_mini / "VOC2012"
    files = sorted((folder / "Annotations").glob("*.xml"))
    found = [n.text for file in files for n in ElementTree.parse(file).iter("name")]
    classes = ("aeroplane", *sorted(set(found)))  # the first is one that there is none of
    options = {"TYPE": "voc_like", "IMAGES": str(folder / "JPEGImages"), "CLASSES": classes}
    options["ANNOTATIONS"] = str(folder / "Annotations")
    pairs = [(f"DATASETS.voc.{key}", value) for key, value in options.items()]
    merge_cfg_from_list([item for pair in pairs for item in pair], fresh_cfg)
    with imported(PARTS):
        data = build_dataset("voc", is_train=False, cfg=fresh_cfg)
    truth = data.ground_truth()
    assert len(data) == len(files) == 3 and len(truth.ids) == len(found)
    records = [
        {
            "image_id": int(truth.image_ids[truth.image_of[n]]),
            "category_id": int(truth.category_ids[n]),
            "bbox": truth.boxes[n].tolist(),
            "score": 0.5,
        }
        for n in range(len(truth.ids))
    ]
    (tmp_path / "bbox.json").write_text(json.dumps(records))
    files = {"bbox": tmp_path / "bbox.json"}
    found = evaluate_coco(truth, files, data.image_ids, data.class_names, data.category_ids)
    assert found["bbox"].per_class.pop("aeroplane") is None
    assert found["bbox"].per_class == {name: pytest.approx(1.0) for name in classes[1:]}
