"""ImageNet ResNets of Caffe2, the initial weights of Detectron's models.

R-50, R-101, X-101-32x8d, and R-50 with group norm.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from pet.weights.formats.base import Converted, rename, with_statistics

_PARAMETERS = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
_CONVS = {"1": "downsample.0", "2a": "conv1", "2b": "conv2", "2c": "conv3"}
_NORMS = {"1": "downsample.1", "2a": "bn1", "2b": "bn2", "2c": "bn3"}
_STEM_NORM = re.compile(r"(?:res_)?conv1_[bg]n_(s|b|rm|riv)")
_BLOCK = re.compile(r"res([2-5])_(\d+)_branch(1|2[abc])_(?:w|[bg]n_(s|b|rm|riv))")
#: Optimizer state, the classifier, and the bias of the stem, which Detectron and Detectron2 also
#: drop, as a norm follows.
_NOT_NEEDED = r".*_momentum|lr|(?:pred|fc1000)_[wb]|conv1_b"

#: URLs of the files, which Detectron2 publishes.
DOWNLOADS: Mapping[str, str] = {
    Path(place).name: f"https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/{place}"
    for place in ("MSRA/R-50.pkl", "MSRA/R-101.pkl", "FAIR/X-101-32x8d.pkl", "FAIR/R-50-GN.pkl")
}


class Caffe2Importer:
    """Imports blobs, named like ``res2_0_branch2a_bn_s``, as the trunk."""

    name = "Caffe2 ResNet"
    family = "caffe2"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has the blobs of a ResNet's stem and first block."""
        return {"conv1_w", "res2_0_branch2a_w"} <= state.keys()

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` with Pet's keys."""
        converted = rename(state, _pet_key, _NOT_NEEDED)
        expects = trunk_expects(converted.state)
        if any("_gn_" in blob for blob in state):  # group norm, which has no statistics
            expects |= {"MODEL.BATCH_NORM": "gn", "BACKBONE.STRIDE_IN_1X1": False}
            return replace(converted, expects=expects)
        return replace(converted, state=with_statistics(converted.state), expects=expects)


def _pet_key(blob: str) -> str | None:
    if blob == "conv1_w":
        return "Conv_Body.conv1.weight"
    if norm := _STEM_NORM.fullmatch(blob):
        return f"Conv_Body.bn1.{_PARAMETERS[norm[1]]}"
    if block := _BLOCK.fullmatch(blob):
        stage, index, branch, parameter = block.groups()
        layer = f"{_NORMS[branch]}.{_PARAMETERS[parameter]}" if parameter else None
        return f"Conv_Body.layer{int(stage) - 1}.{index}.{layer or f'{_CONVS[branch]}.weight'}"
    return None


def trunk_expects(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the config values for a trunk from Caffe2, given its ``state`` with Pet's keys.

    The ResNets are MSRA's. A ResNeXt, with grouped 3x3 convolutions, was trained in Caffe2, with
    the stride in the 3x3 convolutions and pixels divided by their deviation.
    """
    conv = state.get("Conv_Body.layer1.0.conv2.weight")
    is_grouped = conv is not None and conv.shape[0] != conv.shape[1]
    return {
        "INPUT.CHANNEL_ORDER": "BGR",
        "INPUT.PIXEL_MEAN": (103.53, 116.28, 123.675),
        "INPUT.PIXEL_STD": (57.375, 57.12, 58.395) if is_grouped else (1.0, 1.0, 1.0),
        "MODEL.BATCH_NORM_EPS": 1e-5,
        "BACKBONE.STRIDE_IN_1X1": not is_grouped,
    }
