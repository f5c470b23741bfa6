"""A family of models in one file of a user's own, the example of docs/extending.md."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from pet.config import CfgNode
from pet.data.build import build_dataset, make_train_data_loader
from pet.engine.augmentation import with_augmentation
from pet.engine.inference import run_test
from pet.engine.predictor import Predictor
from pet.engine.train import run_training
from pet.modeling import registry
from pet.modeling.build import build_model
from pet.utils.seed import seed_all
from tests.engine.saved_run import picture
from tests.engine.tiny_run import tiny_cfg
from tests.page_example import import_example


@pytest.fixture(autouse=True)
def example(tmp_path, monkeypatch):
    """Register the family, for one test."""
    monkeypatch.setattr(registry.MODELS, "_parts", dict(registry.MODELS._parts))
    return import_example("TinyOneStage", tmp_path)


def own_cfg(folder: Path, **changes: object) -> CfgNode:
    changes = {"MODEL__TYPE": "tiny_one_stage", "MODEL__MASK_ON": False, **changes}
    return tiny_cfg(folder, **changes)


def state_of(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "model_latest.pth", weights_only=True)["model"]


def test_it_learns_one_batch(folder):
    cfg = own_cfg(folder, MODEL__NUM_CLASSES=6)
    dataset = build_dataset(cfg.TRAIN.DATASETS, is_train=True, cfg=cfg)
    images, targets, _ = next(iter(make_train_data_loader(dataset, cfg=cfg)))
    seed_all(0)
    model = build_model(cfg=cfg).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    losses = []
    for _ in range(30):
        outputs = model(images, targets)
        optimizer.zero_grad()
        outputs["total_loss"].backward()
        optimizer.step()
        losses.append(outputs["total_loss"].item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_resumed_run_equals_one_that_was_never_interrupted(folder):
    run_training("tiny.yaml", own_cfg(folder, CKPT=str(folder / "whole")))
    run_training("tiny.yaml", own_cfg(folder, SOLVER__MAX_ITER=2))
    run_training("tiny.yaml", own_cfg(folder))
    assert "resumed from" in (folder / "run" / "log.txt").read_text()
    one, other = state_of(folder / "whole"), state_of(folder / "run")
    assert {key.split(".")[0] for key in one} == {"body", "head"}
    assert all(torch.equal(value, other[key]) for key, value in one.items())
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    assert {"loss_classifier", "loss_box_reg"} <= json.loads(lines[-1]).keys()


def test_it_is_tested_and_predicts(folder, capsys):
    run_training("tiny.yaml", own_cfg(folder, SOLVER__MAX_ITER=2))
    run_test(own_cfg(folder, FAST_RCNN__DETECTIONS_PER_IMG=1))
    results = folder / "run" / "test" / "shapes_val"
    boxes = json.loads((results / "bbox.json").read_text())
    assert boxes and {record["category_id"] for record in boxes} <= {1, 2, 3, 4, 5}
    assert not (results / "segm.json").exists()
    assert set(json.loads((results / "metrics.json").read_text())) == {"bbox"}
    told = capsys.readouterr().out
    assert "FAST_RCNN.DETECTIONS_PER_IMG lets at most 1 be found in an image" in told

    predictor = Predictor(own_cfg(folder))  # the classes come from the weights
    assert predictor.class_names[0] == "circle"
    found = predictor(picture(150, 200))
    assert len(found) and found.size == (150, 200) and found.masks is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"SOLVER__COMPILE": True},
            r"SOLVER\.COMPILE asks for the ability CompilesDense, which MODEL\.TYPE tiny_one_stage "
            r"lacks: TinyOneStage has no compile_dense; give SOLVER\.COMPILE False, or a "
            r"MODEL\.TYPE that has it, such as generalized_rcnn",
        ),
        ({"MODEL__ROI_BRANCHES": ("a",)}, r"MODEL\.ROI_BRANCHES asks for .* give .* \"\(\)\""),
        ({"MODEL__MASK_ON": True}, r"MODEL\.MASK_ON asks for .* segm, and .* gives bbox alone"),
    ],
)
def test_training_needs_abilities_before_data(folder, changes, message):
    cfg = own_cfg(folder, TRAIN__DATASETS=("not_there",), **changes)
    with pytest.raises(ValueError, match=message):
        run_training("tiny.yaml", cfg)


def test_testing_needs_abilities_before_weights_and_data(folder):
    cfg = own_cfg(folder, TEST__DATASETS=("not_there",), TEST__BBOX_AUG__ENABLED=True)
    message = r"TEST\.BBOX_AUG\.ENABLED asks for .* tiny_one_stage .* features, detect_boxes, join;"
    with pytest.raises(ValueError, match=message):
        run_test(cfg)
    (folder / "weights.pth").write_bytes(b"never read")
    with pytest.raises(ValueError, match=message):
        Predictor(cfg, folder / "weights.pth")


def test_a_builder_that_names_no_class_is_found_out_with_the_model(folder, example):
    """Its abilities are not known before; nothing is refused that it may be able to do."""
    registry.MODELS.register("by_function")(lambda cfg: example.TinyOneStage(cfg))
    changes = {"MODEL__TYPE": "by_function", "SOLVER__COMPILE": True}
    with pytest.raises(KeyError, match="not_there"):
        run_training("tiny.yaml", own_cfg(folder, TRAIN__DATASETS=("not_there",), **changes))
    with pytest.raises(ValueError, match=r"TinyOneStage has no compile_dense"):
        run_training("tiny.yaml", own_cfg(folder, **changes))


def test_what_has_the_abilities_is_compiled_and_sees_views(folder, example):
    class Able(example.TinyOneStage):
        compiled = False

        def compile_dense(self):
            self.compiled = True

        def features(self, images):
            return [self.norm(images)]

        def detect_boxes(self, features, sizes):
            raise NotImplementedError

        def join(self, found):
            raise NotImplementedError

    registry.MODELS.register("able")(Able)
    cfg = own_cfg(folder, MODEL__TYPE="able", SOLVER__COMPILE=True, SOLVER__MAX_ITER=2)
    run_training("tiny.yaml", cfg)
    cfg = own_cfg(folder, MODEL__TYPE="able", MODEL__NUM_CLASSES=6, TEST__BBOX_AUG__ENABLED=True)
    assert with_augmentation(build_model(cfg=cfg), cfg).views["BBOX_AUG"]


def test_a_builder_must_give_a_module(folder):
    registry.MODELS.register("nothing")(lambda cfg: None)
    with pytest.raises(TypeError, match=r"MODEL\.TYPE nothing returned a NoneType"):
        build_model(cfg=own_cfg(folder, MODEL__TYPE="nothing"))
    assert isinstance(build_model(cfg=own_cfg(folder, MODEL__NUM_CLASSES=3)), nn.Module)
