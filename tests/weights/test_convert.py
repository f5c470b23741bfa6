"""Converting a published file: the report, the check against a config, and what is written."""

import pickle
import re
import runpy
import sys

import pytest
import torch
import yaml

from pet.modeling.build import build_model
from pet.weights.convert import (
    FAMILIES,
    check_fit,
    describe_weights,
    read_foreign_weights,
    write_weights,
)
from pet.weights.load import load_weights
from tests.source_code import ROOT
from tests.weights.foreign_states import caffe2_trunk, filled, small_detectron2_detector
from tests.weights.small_model import SmallModel
from tests.weights.small_torchvision import FAMILY, small_cfg, small_mask_rcnn


@pytest.fixture(scope="module")
def state():
    return small_mask_rcnn()


@pytest.fixture
def source(tmp_path, state):
    torch.save(state, tmp_path / "source.pth")
    return tmp_path / "source.pth"


def test_families():
    assert FAMILIES == (
        "torchvision",
        "detectron2",
        "caffe2",
        "timm",
        "efficientnet-lite",
        "pet-legacy",
    )


def test_what_is_written(tmp_path, source, state):
    weights = read_foreign_weights(source, "torchvision")
    write_weights(weights, tmp_path / "out" / "w.pth")
    content = torch.load(tmp_path / "out" / "w.pth", weights_only=True)
    assert set(content) == {"model", "source", "expects", "class_names", "keypoints"}
    assert content["source"] == "source.pth (torchvision detector)"
    assert content["expects"]["INPUT.PIXEL_STD"] == (58.395, 57.12, 57.375)
    assert content["class_names"] == []
    assert len(content["model"]) == len(state)
    fc1 = content["model"]["Fast_RCNN.head.fc1.weight"]
    assert torch.equal(fc1, state["roi_heads.box_head.fc6.weight"])


def test_only_the_bytes_of_each_weight_are_written(tmp_path):
    shapes = small_detectron2_detector()
    big = torch.rand(10_000)
    state = {key: big[: value.numel()].view(value.shape) for key, value in filled(shapes).items()}
    torch.save({"model": state}, tmp_path / "w.pth")
    weights = read_foreign_weights(tmp_path / "w.pth")
    write_weights(weights, tmp_path / "out.pth")
    for value in torch.load(tmp_path / "out.pth", weights_only=True)["model"].values():
        assert value.untyped_storage().nbytes() == value.nbytes


def test_the_converted_file_loads_as_the_source_does(tmp_path, source):
    cfg = small_cfg(tmp_path)
    write_weights(read_foreign_weights(source), tmp_path / "w.pth")
    direct, converted = build_model(cfg=cfg), build_model(cfg=cfg)
    load_weights(direct, source, strict=True)
    report = load_weights(converted, tmp_path / "w.pth", strict=True)
    assert report.format == "Pet"
    pairs = zip(direct.state_dict().values(), converted.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_report_accounts_for_every_key(tmp_path):
    arrays = {
        key: value.numpy() for key, value in filled(caffe2_trunk((1, 1, 1, 1), stem=2)).items()
    }
    arrays |= {"conv1_w_momentum": arrays["conv1_w"], "lr": 0.1, "rpn_conv_w": arrays["conv1_w"]}
    (tmp_path / "R.pkl").write_bytes(pickle.dumps(arrays, protocol=2))
    weights = read_foreign_weights(tmp_path / "R.pkl")
    lines = describe_weights(weights).splitlines()
    assert lines[0].endswith("R.pkl (Caffe2 ResNet):")
    assert lines[1:4] == [
        f"  used: {len(arrays) - 5} keys, for Conv_Body ({len(weights.state)})",
        "  not needed: 4 keys, fc1000_w, fc1000_b, conv1_w_momentum, lr",
        "  without a place: 1 keys, rpn_conv_w",
    ]
    assert "    INPUT.CHANNEL_ORDER: BGR" in lines
    with pytest.raises(ValueError, match="1 keys have no place in Pet: rpn_conv_w"):
        write_weights(weights, tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


def test_cocos_classes_are_told_and_written(tmp_path):
    shapes = small_detectron2_detector(80)
    torch.save({"model": filled(shapes)}, tmp_path / "w.pth")
    weights = read_foreign_weights(tmp_path / "w.pth")
    assert "  classes: 80, COCO's" in describe_weights(weights).splitlines()
    write_weights(weights, tmp_path / "out.pth")
    names = torch.load(tmp_path / "out.pth", weights_only=True)["class_names"]
    assert (len(names), names[0]) == (80, "person")


def test_the_source_is_not_overwritten(source):
    before = source.read_bytes()
    with pytest.raises(ValueError, match="is the file to convert"):
        write_weights(read_foreign_weights(source), source)
    assert source.read_bytes() == before


def test_pets_own_files_need_no_conversion(tmp_path):
    torch.save(SmallModel().state_dict(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"has Pet's keys already: .*--from pet-legacy"):
        read_foreign_weights(tmp_path / "w.pth")


# Against a config --------------------------------------------------------------------------------


def test_a_config_that_fits(tmp_path, source):
    weights = read_foreign_weights(source)
    text = check_fit(weights, small_cfg(tmp_path, **FAMILY))
    assert re.fullmatch(r"all \d+ weights of the model are there, and the config suits them", text)


def test_a_config_that_fits_but_means_other_numbers(tmp_path, source):
    changes = {**FAMILY, "RPN__ANCHOR_ROUNDED": False, "INPUT__CHANNEL_ORDER": "BGR"}
    lines = check_fit(read_foreign_weights(source), small_cfg(tmp_path, **changes)).splitlines()
    assert lines[1:-1] == [
        "    INPUT.CHANNEL_ORDER: BGR in the config, RGB for these weights",
        "    RPN.ANCHOR_ROUNDED: False in the config, True for these weights",
    ]


def test_every_weight_that_does_not_fit_is_named(tmp_path, source):
    weights = read_foreign_weights(source)
    with pytest.raises(ValueError, match="does not fit the model of the config") as caught:
        check_fit(weights, small_cfg(tmp_path, FPN__DIM=8, MODEL__NUM_CLASSES=6))
    message = str(caught.value)
    assert (
        "Conv_Body_FPN.lateral_convs.0.weight: (16, 64, 1, 1) in the file, (8, 64, 1, 1)" in message
    )
    assert "Mask_RCNN.predictor.mask_logits.bias: (4,) in the file, (6,) in the model" in message
    assert len(message.splitlines()) > 20


def test_what_the_file_or_the_model_lacks_is_named(tmp_path, source):
    weights = read_foreign_weights(source)
    with pytest.raises(ValueError, match=r"not in the model: .*Mask_RCNN\.predictor\.deconv\.bias"):
        check_fit(weights, small_cfg(tmp_path, MODEL__MASK_ON=False))
    with pytest.raises(ValueError, match=r"not in the file: 2 keys, RPN\.head\.convs\.1\.weight"):
        check_fit(weights, small_cfg(tmp_path, RPN__NUM_CONVS=2))


def test_a_trunk_is_checked_against_the_trunk(tmp_path, state):
    body = "backbone.body."
    trunk = {k.removeprefix(body): v for k, v in state.items() if k.startswith(body)}
    torch.save(trunk, tmp_path / "trunk.pth")
    weights = read_foreign_weights(tmp_path / "trunk.pth")
    assert "config suits them" in check_fit(weights, small_cfg(tmp_path))
    with pytest.raises(ValueError, match=r"Conv_Body\.conv1\.weight: \(64, .*, \(32, 3, 7, 7\) in"):
        check_fit(weights, small_cfg(tmp_path, MODEL__CONV_BODY="resnet18_1x32d"))


def test_a_config_that_leaves_the_classes_open(tmp_path, source):
    with pytest.raises(ValueError, match=r"MODEL\.NUM_CLASSES is -1.*set it"):
        check_fit(read_foreign_weights(source), small_cfg(tmp_path, MODEL__NUM_CLASSES=-1))


# The tool ----------------------------------------------------------------------------------------


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["convert_weights.py", *map(str, arguments)])
    runpy.run_path(str(ROOT / "tools" / "convert_weights.py"), run_name="__main__")


def test_the_tool(tmp_path, source, monkeypatch, capsys):
    yaml_file, out = tmp_path / "small.yaml", tmp_path / "out.pth"
    yaml_file.write_text(yaml.safe_dump(yaml.safe_load(small_cfg(tmp_path, **FAMILY).dump())))
    run(monkeypatch, source, out, "--from", "torchvision", "--cfg", yaml_file)
    printed = capsys.readouterr().out
    assert "source.pth (torchvision detector):" in printed
    assert "the config suits them" in printed
    assert printed.endswith(f"written to {out}\n")
    assert len(torch.load(out, weights_only=True)["model"]) > 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{source}", "{out}", "--from", "caffe2"], "it looks like torchvision detector"),
        (["{source}x", "{out}"], "there is no file"),
        (["{source}", "{out}", "--cfg", "none.yaml"], "no config file none.yaml"),
        (["{source}", "{source}"], "is the file to convert"),
        (["{source}", "{out}", "--import", "none.py"], "to import"),
    ],
)
def test_the_tool_ends_with_one_line(tmp_path, source, monkeypatch, capsys, arguments, message):
    places = {"source": source, "out": tmp_path / "out.pth"}
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *(argument.format(**places) for argument in arguments))
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out.pth").exists()
