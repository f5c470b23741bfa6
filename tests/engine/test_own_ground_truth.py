"""What a class of a user's own, in place of ``CocoDataset``, is scored by."""

import json

import pytest
import torch

from pet.data.datasets import CocoDataset
from pet.data.registry import DATASET_TYPES
from pet.engine import inference
from pet.engine.inference import run_test
from pet.modeling.build import build_model
from pet.utils.seed import seed_all
from tests.engine.tiny_run import tiny_cfg


class Old:
    """A data set with the attributes and options of old, scored by a file."""

    def __init__(self, name, images, annotations, *, is_train, with_masks, filter_empty, max_images,
                 class_labels, keypoints):  # fmt: skip
        data = CocoDataset(name, images, annotations, is_train=is_train, with_masks=with_masks)
        self.annotation_file = data.annotation_file
        self.take(data)

    def take(self, data):
        self.data, self.name = data, data.name
        self.class_names, self.category_ids = data.class_names, data.category_ids
        self.num_classes, self.image_ids = data.num_classes, data.image_ids
        self.sizes, self.keypoint_layout = data.sizes, None

    def __len__(self):
        return len(self.data)

    def info(self, index):
        return self.data.info(index)

    def labels(self, index):
        return self.data.labels(index)

    def read(self, index):
        return self.data.read(index)


class New(Old):
    """One that brings its ground truth, and has no file."""

    def __init__(self, name, images, annotations, **options):
        self.take(CocoDataset(name, images, annotations, **options))

    def ground_truth(self):
        return self.data.annotations


class Mistaken(New):
    def ground_truth(self):
        self.category_ids = (1, 2, 3, 4, 9)
        return self.data.annotations


class Lacking(New):
    ground_truth = None


@pytest.fixture
def own_cfg(folder, monkeypatch):
    """Return what makes the config of a test of a type on the shapes, by random weights."""
    parts = {"old": Old, "new": New, "mistaken": Mistaken, "lacking": Lacking}
    monkeypatch.setattr(DATASET_TYPES, "_parts", {**DATASET_TYPES._parts, **parts})
    seed_all(0)
    model = build_model(cfg=tiny_cfg(folder, MODEL__NUM_CLASSES=6))
    (folder / "run").mkdir()
    torch.save(model.state_dict(), folder / "run" / "model_latest.pth")
    shapes = folder / "data" / "shapes"

    def make(kind):
        keys = {
            "TYPE": kind,
            "IMAGES": str(shapes / "val"),
            "ANNOTATIONS": str(shapes / "annotations" / "instances_val.json"),
        }
        blocks = {f"DATASETS__mine__{key}": value for key, value in keys.items()}
        return tiny_cfg(folder, TEST__DATASETS=("mine",), **blocks)

    return make


def outcome(folder):
    """Return the metrics, and the bytes of what was found."""
    results = folder / "run" / "test" / "mine"
    metrics = json.loads((results / "metrics.json").read_text())
    return metrics, [(results / f"{kind}.json").read_bytes() for kind in ("bbox", "segm")]


@pytest.mark.parametrize("kind", ["old", "new"])
def test_its_scores_are_those_of_a_coco_data_set(folder, own_cfg, kind):
    run_test(own_cfg("coco"), nproc=1)
    wanted = outcome(folder)
    (folder / "run" / "test" / "mine" / "metrics.json").unlink()
    run_test(own_cfg(kind), nproc=1)
    assert outcome(folder) == wanted


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("mistaken", r"instances_val\.json has no categories \[9\]; it has \[1, 2, 3, 4, 5\]"),
        ("lacking", "'mine' cannot be tested on, as a Lacking has neither a method ground_truth"),
    ],
)
def test_what_cannot_be_scored_is_said_before_any_model_is_built(
    own_cfg, monkeypatch, kind, message
):
    config = own_cfg(kind)
    monkeypatch.setattr(inference, "build_model", None)
    with pytest.raises(ValueError, match=message):
        run_test(config, nproc=1)
