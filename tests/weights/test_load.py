"""Loading weights: formats, reports, and files that do not fit or are no weights."""

import logging
import os
import pickle
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from pet.checkpoint.checkpointer import Checkpointer
from pet.weights.formats import IMPORTERS
from pet.weights.load import load_weights
from tests.weights.foreign_states import (
    caffe2_trunk,
    detectron2_detector,
    detectron2_trunk,
    light,
)
from tests.weights.small_model import Holds, SmallModel, make_run
from tests.weights.small_torchvision import small_mask_rcnn


class WithResNet(nn.Module):
    """A torchvision ResNet as the trunk of a model of Pet, with something on it."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv_Body = torchvision.models.resnet18(weights=None)
        del self.Conv_Body.fc
        self.RPN = nn.Linear(2, 2)


class Malicious:
    """Unpickled, it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def filled(model: nn.Module, value: float) -> dict[str, torch.Tensor]:
    return {key: torch.full_like(tensor, value) for key, tensor in model.state_dict().items()}


@pytest.fixture(scope="module")
def imagenet_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("imagenet") / "resnet18.pth"
    torch.save(filled(torchvision.models.resnet18(weights=None), 2.0), path)
    return path


def test_imagenet_weights_of_torchvision(imagenet_file, caplog):
    model = WithResNet()
    start = model.RPN.weight.clone()
    with caplog.at_level(logging.INFO, "pet"):
        report = load_weights(model, imagenet_file)
    assert (model.Conv_Body.layer4[1].conv2.weight == 2.0).all()
    assert (model.Conv_Body.bn1.running_mean == 2.0).all()
    assert torch.equal(model.RPN.weight, start)
    assert report.format == "torchvision ResNet"
    assert report.not_needed == ("fc.weight", "fc.bias")
    assert report.skipped == ()
    assert report.missing == ("RPN.weight", "RPN.bias")
    assert len(report.loaded) == 120  # 20 convolutions, 20 norms of 5
    assert caplog.messages == [str(report)]
    assert str(report).splitlines() == [
        f"weights from {imagenet_file} (torchvision ResNet): Conv_Body (120)",
        "  not needed: fc.weight, fc.bias",
        "  not in the file, left at their start: RPN (2): RPN.weight, RPN.bias",
    ]


def test_counters_of_batch_norm_are_no_news(tmp_path):
    model = WithResNet()
    state = filled(torchvision.models.resnet18(weights=None), 2.0)
    old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    report = load_weights(model, tmp_path / "old.pth")
    assert report.missing == ("RPN.weight", "RPN.bias")


@pytest.mark.parametrize("wrapped", [False, True])
def test_state_dict_of_pet(tmp_path, wrapped):
    source, model = SmallModel(), SmallModel()
    state = filled(source, 3.0)
    torch.save({"model": state} if wrapped else state, tmp_path / "w.pth")
    report = load_weights(model, tmp_path / "w.pth", strict=True)
    assert (report.format, report.class_names) == ("Pet", ())
    assert (report.skipped, report.missing, report.mismatched) == ((), (), ())
    assert all((value == 3).all() for value in model.state_dict().values())


def test_checkpoint_of_pet_brings_its_class_names(tmp_path):
    run = make_run()
    Checkpointer(tmp_path, class_names=("cat", "dog")).save(*run)
    model = SmallModel()
    report = load_weights(model, tmp_path / "model_latest.pth", strict=True)
    assert report.class_names == ("cat", "dog")
    assert torch.equal(model.Fast_RCNN.cls_score.weight, run[0].Fast_RCNN.cls_score.weight)


@pytest.fixture
def other_classes(tmp_path) -> Path:
    Checkpointer(tmp_path, class_names=("cat", "dog")).save(*make_run(classes=3))
    return tmp_path / "model_latest.pth"


def test_another_class_count_in_testing(other_classes):
    model = SmallModel(classes=6)
    with pytest.raises(ValueError, match=r"TEST\.WEIGHTS") as caught:
        load_weights(model, other_classes, strict=True)
    message = str(caught.value)
    assert "Fast_RCNN.cls_score.weight: (3, 4) in the file, (6, 4) in the model" in message
    assert "number of classes differs: the file is for another data set (2 classes" in message
    assert "MODEL.NUM_CLASSES" in message
    assert "REINIT_MISMATCHED" not in message


def test_another_class_count_in_training(other_classes):
    model = SmallModel(classes=6)
    trunk = model.Conv_Body[0].weight.clone()
    with pytest.raises(ValueError, match=r"TRAIN\.REINIT_MISMATCHED True"):
        load_weights(model, other_classes)
    assert torch.equal(model.Conv_Body[0].weight, trunk)


def test_reinitialised_where_asked(other_classes):
    model = SmallModel(classes=6)
    start = model.Fast_RCNN.cls_score.weight.clone()
    report = load_weights(model, other_classes, reinit_mismatched=True)
    assert torch.equal(model.Fast_RCNN.cls_score.weight, start)
    assert [pair.key for pair in report.mismatched] == [
        f"Fast_RCNN.{name}.{kind}"
        for name in ("cls_score", "bbox_pred")
        for kind in ("weight", "bias")
    ]
    assert "Conv_Body.0.weight" in report.loaded
    assert "cls_score.bias: (3,) in the file, (6,) in the model" in str(report)


def test_another_width_is_not_called_another_class_count(tmp_path):
    state = SmallModel().state_dict() | {"Conv_Body.0.weight": torch.zeros(8, 3, 1, 1)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"\(8, 3, 1, 1\) in the file") as caught:
        load_weights(SmallModel(), tmp_path / "w.pth")
    assert "classes" not in str(caught.value)
    assert "give the MODEL.CONV_BODY that the weights are for" in str(caught.value)


def test_many_mismatches_do_not_flood(imagenet_file):
    model = WithResNet()
    model.Conv_Body = torchvision.models.resnet50(weights=None)
    with pytest.raises(ValueError, match=r"and \d+ more\n") as caught:
        load_weights(model, imagenet_file)
    assert len(str(caught.value).splitlines()) == 11


@pytest.mark.parametrize("strict", [True, False])
def test_another_number_of_keypoints(tmp_path, strict):
    def state(points):
        predictor = {"weight": torch.zeros(6, points, 4, 4), "bias": torch.zeros(points)}
        keypoints = {f"Keypoint_RCNN.predictor.deconv.{k}": v for k, v in predictor.items()}
        return {"Conv_Body.0.weight": torch.zeros(1), **keypoints}

    torch.save(state(17), tmp_path / "w.pth")
    with pytest.raises(ValueError, match="does not fit") as caught:
        load_weights(Holds(state(5)), tmp_path / "w.pth", strict=strict)
    message = str(caught.value)
    assert "keypoints differs: 17 in the file, and KRCNN.NUM_KEYPOINTS 5" in message
    assert "NUM_CLASSES" not in message
    assert ("REINIT_MISMATCHED" in message) != strict


def test_testing_wants_every_key(tmp_path):
    state = SmallModel().state_dict()
    del state["Fast_RCNN.bbox_pred.bias"]
    state["Mask_RCNN.deconv.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="not of this model") as caught:
        load_weights(SmallModel(), tmp_path / "w.pth", strict=True)
    assert "skipped: Mask_RCNN (1): Mask_RCNN.deconv.weight" in str(caught.value)
    assert "left at their start: Fast_RCNN (1): Fast_RCNN.bbox_pred.bias" in str(caught.value)


def test_testing_another_model_names_its_parts_and_not_the_classes(tmp_path):
    state = SmallModel(classes=5).state_dict() | {"Mask_RCNN.deconv.weight": torch.zeros(1)}
    del state["Fast_RCNN.bbox_pred.bias"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="does not fit the model") as caught:
        load_weights(SmallModel(), tmp_path / "w.pth", strict=True)
    assert "not in the file: Fast_RCNN (1)\nnot in the model: Mask_RCNN (1)" in str(caught.value)
    assert str(caught.value).endswith("test with the config that the weights were trained with")


def test_nothing_in_common(tmp_path):
    torch.save({"Conv_Body.stem.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"nothing in .*TRAIN\.WEIGHTS.* is in the model"):
        load_weights(SmallModel(), tmp_path / "w.pth")


@pytest.mark.parametrize(
    "content",
    [
        {"backbone.body.conv1.weight": torch.zeros(1)},
        {"model": {"epoch": 3}},
        [torch.zeros(1)],
        {"model": None},
    ],
)
def test_unknown_format(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="known are the state dicts of: torchvision ResNet"):
        load_weights(SmallModel(), tmp_path / "w.pth")


def test_unknown_format_names_some_keys(tmp_path):
    torch.save({f"trunk.{i}": torch.zeros(1) for i in range(40)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"keys trunk\.0, .*trunk\.4 and 35 more"):
        load_weights(SmallModel(), tmp_path / "w.pth")


def test_importers_do_not_overlap():
    states = [
        SmallModel().state_dict(),
        torchvision.models.resnet18(weights=None).state_dict(),
        light(detectron2_detector()),
        light(detectron2_trunk()),
        light(caffe2_trunk()),
        small_mask_rcnn(),
        light({"conv_stem.weight": (1,), "blocks.0.0.conv_dw.weight": (1,)}),
        light({"_conv_stem.weight": (1,), "_blocks.0._depthwise_conv.weight": (1,)}),
    ]
    found = [[i.name for i in IMPORTERS if i.matches(state)] for state in states]
    assert found == [
        ["Pet", "original Pet"],  # nothing in their keys tells these two apart
        ["torchvision ResNet"],
        ["Detectron2 detector"],
        ["Detectron2 ResNet"],
        ["Caffe2 ResNet"],
        ["torchvision detector"],
        ["timm model"],
        ["EfficientNet-Lite0"],
    ]
    assert not any(importer.matches({}) for importer in IMPORTERS)


# Files that cannot be read -----------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_something_is_refused(tmp_path, zipped):
    made = tmp_path / "made"
    path = tmp_path / "w.pth"
    torch.save({"model": Malicious(made)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"w\.pth is refused, and nothing of it was run") as caught:
        load_weights(SmallModel(), path)
    assert f"{os.name}.mkdir" in str(caught.value)
    assert not made.exists()


def test_a_plain_pickle_is_refused(tmp_path):
    made = tmp_path / "made"
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"model": Malicious(made)}))
    with pytest.raises(ValueError, match="is refused"):
        load_weights(SmallModel(), tmp_path / "w.pkl")
    assert not made.exists()


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>404</html>", b"PK\x03\x04abc"])
def test_a_file_of_another_kind(tmp_path, content):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ValueError, match=rf"w\.pth \({len(content)} bytes\) is no readable torch"):
        load_weights(SmallModel(), tmp_path / "w.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file(tmp_path, zipped):
    path = tmp_path / "w.pth"
    torch.save(SmallModel().state_dict(), path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(ValueError, match="cut off"):
        load_weights(SmallModel(), path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.pth \(TRAIN\.WEIGHTS\); .*WEIGHTS ""'):
        load_weights(SmallModel(), tmp_path / "none.pth")
    with pytest.raises(FileNotFoundError, match=r"none\.pth \(TEST\.WEIGHTS\); train first"):
        load_weights(SmallModel(), tmp_path / "none.pth", strict=True)


def test_a_missing_imagenet_file_says_where_it_is_to_be_had(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_weights(SmallModel(), tmp_path / "resnet50-0676ba61.pth")
    assert "https://download.pytorch.org/models/resnet50-0676ba61.pth" in str(caught.value)
    assert 'TRAIN.WEIGHTS "" for random weights' in str(caught.value)
