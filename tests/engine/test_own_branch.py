"""A branch on RoIs in one file of a user's own, the example of docs/extending.md."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from pet.config import CfgNode, UnknownNameError
from pet.data.build import build_dataset, make_test_batch, make_train_data_loader
from pet.data.registry import DATASET_TYPES
from pet.engine.augmentation import with_augmentation
from pet.engine.inference import run_test
from pet.engine.predict_files import predict_files
from pet.engine.predictor import Predictor
from pet.engine.train import run_training
from pet.modeling import registry
from pet.modeling.abilities import check_abilities
from pet.modeling.build import build_model
from pet.utils.opencv import cv2
from pet.utils.seed import seed_all
from tests.engine.saved_run import picture
from tests.engine.tiny_run import tiny_cfg
from tests.page_example import import_example


@pytest.fixture(autouse=True)
def example(tmp_path, monkeypatch):
    """Register the branch and its data set, for one test."""
    for parts in (registry.ROI_BRANCHES, DATASET_TYPES):
        monkeypatch.setattr(parts, "_parts", dict(parts._parts))
    return import_example("BrightnessBranch", tmp_path)


def own_cfg(folder: Path, **changes: object) -> CfgNode:
    shapes = folder / "data" / "shapes"
    blocks = {
        f"DATASETS__{name}__{key}": value
        for name, part in (("mine_train", "train"), ("mine_val", "val"))
        for key, value in (
            ("TYPE", "coco_with_brightness"),
            ("IMAGES", str(shapes / part)),
            ("ANNOTATIONS", str(shapes / "annotations" / f"instances_{part}.json")),
        )
    }
    changes = {
        **blocks,
        "MODEL__ROI_BRANCHES": ("brightness",),
        "TRAIN__DATASETS": ("mine_train",),
        "TEST__DATASETS": ("mine_val",),
        **changes,
    }
    return tiny_cfg(folder, **changes)


def model_of(cfg: CfgNode) -> nn.Module:
    seed_all(0)
    return build_model(cfg=cfg).eval()


def test_its_targets_arrive_with_their_objects(folder):
    """The brightness of an object is that of its pixels, mirrored or not."""
    cfg = own_cfg(folder, TRAIN__FLIP_PROB=1.0, TRAIN__LOADER_THREADS=1)
    dataset = build_dataset(cfg.TRAIN.DATASETS, is_train=True, cfg=cfg)
    _, targets, infos = next(iter(make_train_data_loader(dataset, cfg=cfg)))
    read = {dataset.info(n).image_id: dataset.read(n) for n in range(len(dataset))}
    for target, info in zip(targets, infos, strict=True):
        wanted = read[info.image_id].extras["brightness"]
        assert len(wanted) > 0 and torch.equal(target.extras["brightness"], wanted)


def test_it_trains_is_tested_and_predicts(folder):
    run_training("tiny.yaml", own_cfg(folder, SOLVER__MAX_ITER=2))
    (line, *_) = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    logged = json.loads(line)
    assert 0 < logged["loss_brightness"] < 10
    losses = [value for name, value in logged.items() if name.startswith("loss_")]
    assert logged["total_loss"] == pytest.approx(sum(losses), rel=1e-3)
    assert "loss_brightness" in (folder / "run" / "log.txt").read_text()

    cfg = own_cfg(folder)
    run_test(cfg)
    results = folder / "run" / "test" / "mine_val"
    records = json.loads((results / "bbox.json").read_text())
    assert records and all(isinstance(r["extras"]["brightness"], float) for r in records)
    assert not any("extras" in r for r in json.loads((results / "segm.json").read_text()))

    predictor = Predictor(cfg)
    assert predictor.model.Brightness is not None and predictor.model.Mask_RCNN is not None
    found = predictor(picture(150, 200))
    assert len(found) and found.extras["brightness"].shape == (len(found),)
    cv2.imwrite(str(folder / "a.png"), picture(150, 200))
    predict_files([folder / "a.png"], folder / "out", cfg=cfg)
    [*detections] = json.loads((folder / "out" / "a.json").read_text())["detections"]
    values = [record["extras"]["brightness"] for record in detections]
    assert values == pytest.approx(found.extras["brightness"].tolist(), abs=1e-4)


def test_the_parts_of_pets_own_start_as_they_would_without_it(folder):
    """It is built behind them, and draws its random numbers last."""
    plain = model_of(own_cfg(folder, MODEL__NUM_CLASSES=6, MODEL__ROI_BRANCHES=())).state_dict()
    with_it = model_of(own_cfg(folder, MODEL__NUM_CLASSES=6)).state_dict()
    added = ["Brightness.predictor.weight", "Brightness.predictor.bias"]
    assert list(with_it) == [*plain, *added]
    assert all(torch.equal(with_it[key], value) for key, value in plain.items())


@torch.inference_mode()
def test_views_of_boxes_show_it_the_boxes_in_one(folder):
    cfg = own_cfg(folder, MODEL__NUM_CLASSES=6)
    views = own_cfg(
        folder,
        MODEL__NUM_CLASSES=6,
        TEST__BBOX_AUG__ENABLED=True,
        TEST__BBOX_AUG__H_FLIP=False,
        TEST__BBOX_AUG__SCALES=(),
    )
    model = model_of(cfg)
    [plain] = model(make_test_batch([picture(40, 60)], cfg))
    plain = plain.resized((40, 60))
    [found] = with_augmentation(model, views)(make_test_batch([picture(40, 60)], views))
    assert len(found) > 0 and found.mask_probs is not None and found.size == (40, 60)
    torch.testing.assert_close(found.boxes, plain.boxes)
    torch.testing.assert_close(
        found.extras["brightness"], plain.extras["brightness"], atol=1e-4, rtol=1e-3
    )


class Other(nn.Module):
    attribute = "Other"

    def losses(self, features, rois, targets):
        return {"loss_classifier": features[0].sum()}

    def add(self, features, detections):
        return detections


def build_with(folder: Path, branch: object) -> nn.Module:
    registry.ROI_BRANCHES.register("other")(lambda source, cfg: branch)
    return build_model(cfg=own_cfg(folder, MODEL__ROI_BRANCHES=("other",), MODEL__NUM_CLASSES=6))


@pytest.mark.parametrize("attribute", ["Mask_RCNN", "Fast_RCNN", "forward"])
def test_a_taken_name_in_the_model_is_refused(folder, attribute):
    branch = Other()
    branch.attribute = attribute
    with pytest.raises(ValueError, match=rf"MODEL\.ROI_BRANCHES, Other, is to be '{attribute}'"):
        build_with(folder, branch)


def test_a_taken_name_of_a_loss_is_refused(folder):
    model = build_with(folder, Other()).train()
    cfg = own_cfg(folder)
    dataset = build_dataset(cfg.TRAIN.DATASETS, is_train=True, cfg=cfg)
    images, targets, _ = next(iter(make_train_data_loader(dataset, cfg=cfg)))
    with pytest.raises(ValueError, match=r"branch Other has a loss .*: loss_classifier"):
        model(images, targets)


def test_what_is_no_branch_is_refused(folder):
    with pytest.raises(TypeError, match=r"'other' .* is a Linear; .* lacks attribute, losses, add"):
        build_with(folder, nn.Linear(1, 1))


def test_views_that_there_are_not_are_refused(folder):
    branch = Other()
    branch.views_key, branch.add_in_views = "EAR_AUG", Other.add
    cfg = own_cfg(folder, TEST__BBOX_AUG__ENABLED=True)
    with pytest.raises(ValueError, match=r"views of TEST\.EAR_AUG, .* BBOX_AUG, MASK_AUG, KPS_AUG"):
        with_augmentation(build_with(folder, branch), cfg)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"MODEL__ROI_BRANCHES": ("mask",)}, r"for 'mask' give MODEL\.MASK_ON True"),
        ({"MODEL__ROI_BRANCHES": ("a", "a")}, r"MODEL\.ROI_BRANCHES names 'a' twice"),
        (
            {"MODEL__RPN_ONLY": True, "MODEL__MASK_ON": False},
            r"MODEL\.RPN_ONLY is a model without RoI heads, .* MODEL\.ROI_BRANCHES must be \(\)",
        ),
    ],
)
def test_the_config_is_checked(folder, changes, message):
    with pytest.raises(ValueError, match=message):
        own_cfg(folder, **changes)


def test_an_unknown_branch_names_the_nearest(folder):
    cfg = own_cfg(folder, MODEL__ROI_BRANCHES=("brightnes",), MODEL__NUM_CLASSES=6)
    message = r"MODEL\.ROI_BRANCHES.*did you mean 'brightness'"
    with pytest.raises(UnknownNameError, match=message):
        build_model(cfg=cfg)
    with pytest.raises(UnknownNameError, match=message):  # as runs do before they read data
        check_abilities(cfg, "training")
