"""Keys of wrapped models: of every format, they are read as those of the model by itself."""

import pytest
import torch
import torchvision
from torch import nn

from pet.checkpoint.checkpointer import Checkpointer
from pet.weights.formats import IMPORTERS
from pet.weights.import_weights import import_weights
from pet.weights.load import load_weights
from pet.weights.wrapped_models import without_wrappers
from tests.weights.foreign_states import (
    caffe2_trunk,
    detectron2_trunk,
    filled,
    layer,
    small_detectron2_detector,
)
from tests.weights.small_model import SmallModel, make_run
from tests.weights.small_torchvision import small_mask_rcnn

TRUNK = {"conv1.weight": (2, 3, 7, 7), "layer1.0.conv1.weight": (2, 2, 1, 1)}


def torchvision_retinanet() -> dict[str, tuple[int, ...]]:
    shapes = {f"backbone.body.{key}": shape for key, shape in TRUNK.items()}
    shapes |= layer("backbone.fpn.extra_blocks.p6", (4, 4, 3, 3))
    shapes |= layer("head.classification_head.cls_logits", (18, 4, 3, 3))
    return shapes | layer("head.regression_head.bbox_reg", (36, 4, 3, 3))


def detectron2_retinanet() -> dict[str, tuple[int, ...]]:
    shapes = detectron2_trunk((1, 1, 1, 1), prefix="backbone.bottom_up.", stem=2)
    for name in ("backbone.top_block.p6", "head.cls_subnet.0", "head.bbox_subnet.0"):
        shapes |= layer(name, (4, 4, 3, 3))
    return shapes


STATES = {
    "Pet": SmallModel().state_dict(),
    "original Pet": {
        "Conv_Body.conv1.weight": torch.rand(2, 3, 7, 7),
        "RPN.head.conv.weight": torch.rand(4, 4, 3, 3),
    },
    "torchvision ResNet": torchvision.models.resnet18(weights=None).state_dict(),
    "torchvision detector": small_mask_rcnn(),
    "torchvision RetinaNet": filled(torchvision_retinanet()),
    "Detectron2 detector": filled(small_detectron2_detector()),
    "Detectron2 RetinaNet": filled(detectron2_retinanet()),
    "Detectron2 ResNet": filled(detectron2_trunk((1, 1, 1, 1), stem=2)),
    "Caffe2 ResNet": filled(caffe2_trunk((1, 1, 1, 1), stem=2)),
    "timm model": filled({"conv_stem.weight": (2, 3, 3, 3), "blocks.0.0.bn1.weight": (2,)}),
    "EfficientNet-Lite0": filled(
        {"_conv_stem.weight": (2, 3, 3, 3), "_blocks.0._depthwise_conv.weight": (2, 1, 3, 3)}
    ),
}

#: How keys look, by what wrapped the model.
WRAPPED = {
    "DDP": "module.{}",
    "compiled": "_orig_mod.{}",
    "Lightning": "model.{}",
    "DDP of compiled": "module._orig_mod.{}",
    "compiled DDP": "_orig_mod.module.{}",
    "twice": "module.module.{}",
    "Lightning, all": "model._orig_mod.module.model.{}",
    "FSDP": "_fsdp_wrapped_module.{}",
}


def test_there_is_a_state_of_every_format():
    assert STATES.keys() == {importer.name for importer in IMPORTERS}


@pytest.mark.parametrize("wrapper", WRAPPED)
@pytest.mark.parametrize("name", STATES)
def test_the_same_with_a_wrapper_as_without(tmp_path, name, wrapper):
    wrapped = {WRAPPED[wrapper].format(key): value for key, value in STATES[name].items()}
    torch.save(STATES[name], tmp_path / "bare.pth")
    torch.save({"model": wrapped}, tmp_path / "wrapped.pth")
    one, other = (import_weights(tmp_path / f"{kind}.pth") for kind in ("bare", "wrapped"))
    assert (one.format, other.format) == (name, name)
    assert list(one.state) == list(other.state)
    assert all(torch.equal(value, other.state[key]) for key, value in one.state.items())
    for field in ("used", "not_needed", "no_place", "expects", "class_names", "keypoints"):
        assert getattr(one, field) == getattr(other, field), field


def test_parts_that_were_compiled(tmp_path):
    model = SmallModel()
    expected = dict(model.state_dict())
    for name in ("Conv_Body", "Fast_RCNN"):
        setattr(model, name, torch.compile(getattr(model, name)))
    state = model.state_dict()
    assert "Conv_Body._orig_mod.0.weight" in state
    bare = without_wrappers(nn.DataParallel(model).state_dict())
    assert list(bare) == list(expected)
    torch.save(state, tmp_path / "w.pth")
    report = load_weights(SmallModel(), tmp_path / "w.pth", strict=True)
    assert set(report.loaded) >= {"Conv_Body.0.weight", "Fast_RCNN.cls_score.weight"}


def test_a_model_that_was_averaged(tmp_path):
    averaged = torch.optim.swa_utils.AveragedModel(SmallModel())
    assert "n_averaged" in averaged.state_dict()
    torch.save(averaged.state_dict(), tmp_path / "w.pth")
    assert load_weights(SmallModel(), tmp_path / "w.pth", strict=True).format == "Pet"
    alone = {"n_averaged": torch.zeros(1), "a": torch.zeros(1)}
    assert without_wrappers(alone) == alone


def test_what_only_some_keys_have_is_theirs():
    state = {"model.a": torch.zeros(1), "head.b": torch.zeros(1), "x.module.c": torch.zeros(1)}
    assert list(without_wrappers(state)) == list(state)
    assert list(without_wrappers({"module.": torch.zeros(1)})) == ["module."]
    assert list(without_wrappers({"my_orig_mod.a": torch.zeros(1)})) == ["my_orig_mod.a"]
    assert without_wrappers({}) == {}


def test_two_keys_that_become_one(tmp_path):
    keys = ("Conv_Body._orig_mod.0.weight", "Conv_Body.0.weight")
    torch.save({key: torch.zeros(1) for key in keys}, tmp_path / "w.pth")
    with pytest.raises(
        ValueError, match=r"w\.pth: Conv_Body\._orig_mod\.0\.weight and Conv_Body\.0\.weight both"
    ):
        import_weights(tmp_path / "w.pth")


def test_an_unknown_file_is_told_by_the_keys_that_it_has(tmp_path):
    torch.save({f"module.trunk.{i}": torch.zeros(1) for i in range(9)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"keys module\.trunk\.0, .*and 4 more; known are"):
        import_weights(tmp_path / "w.pth")


# What a checkpoint of Pet says -------------------------------------------------------------------


def checkpoint(folder, **changes):
    """Write a checkpoint of Pet whose keys are behind ``module.``; return its path."""
    Checkpointer(folder, class_names=("cat", "dog")).save(*make_run())
    path = folder / "model_latest.pth"
    content = torch.load(path, weights_only=True)
    content["model"] = {f"module.{key}": value for key, value in content["model"].items()}
    path.unlink()
    torch.save(content | changes, path)
    return path


def test_a_wrapped_checkpoint_of_pet_needs_nothing_of_the_config(tmp_path, fresh_cfg, caplog):
    fresh_cfg.INPUT.CHANNEL_ORDER = "BGR"
    path = checkpoint(tmp_path)
    bare = tmp_path / "bare.pth"
    torch.save({"model": torch.load(path, weights_only=True)["model"]}, bare)
    for file, names in ((path, ("cat", "dog")), (bare, ())):
        report = load_weights(SmallModel(), file, strict=True, cfg=fresh_cfg)
        assert (report.format, report.class_names) == ("Pet", names)
    assert "for these weights" not in caplog.text


def test_a_model_of_a_users_own_keeps_its_keys(tmp_path):
    state = {"model.RPN.head.conv.weight": torch.zeros(1), "model._orig_mod.x": torch.zeros(1)}
    weights = import_weights(checkpoint(tmp_path, model=state))
    assert weights.format == "Pet"
    assert weights.state.keys() == state.keys()


def test_names_of_the_original_pet_in_a_checkpoint_of_todays(tmp_path):
    state = {"Conv_Body.x": torch.zeros(1), "RPN.head.conv.weight": torch.zeros(1)}
    path = checkpoint(tmp_path, model=state)
    assert import_weights(path).format == "Pet"
    assert import_weights(path, "pet-legacy").format == "original Pet"
    with pytest.raises(ValueError, match=r"no file of timm, it looks like Pet; Pet reads it"):
        import_weights(path, "timm")
