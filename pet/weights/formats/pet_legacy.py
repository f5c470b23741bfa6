"""Checkpoints of the original Pet, as far as their keys are known.

The known names are those that Pet has kept: the parts ``Conv_Body``, ``Conv_Body_FPN``, ``RPN``,
``Fast_RCNN`` and ``Mask_RCNN``, and those of torchvision's ResNet in the trunk. The background has
index 0, as in Pet today. Names inside the other parts are unknown if they differ from today's; such
keys are listed, and the file is refused. No such file was available when this was written.

Files of the original Pet are recognised by a few names that only it has. A file without them is
taken for a file of today's Pet, which requires no config values, unless the user gives its family.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from pet.weights.formats.base import TRUNK_LAYER, Converted, Rule, by_rules, rename

#: Names that only the original Pet has, and no user's part is likely to have: the convolution of
#: its RPN, and the two halves of each branch.
_ORIGINAL = re.compile(r"RPN\.head\.conv\.(?:weight|bias)|\w+_RCNN\.(?:Head|Output)\..+")
#: Detectron's values, which the original Pet had by default; its configs could change them.
_EXPECTS: Mapping[str, Any] = {
    "INPUT.CHANNEL_ORDER": "BGR",
    "INPUT.PIXEL_MEAN": (102.9801, 115.9465, 122.7717),
    "INPUT.PIXEL_STD": (1.0, 1.0, 1.0),
    "FAST_RCNN.ROI_XFORM_ALIGNED": False,
    "MRCNN.ROI_XFORM_ALIGNED": False,
}
_RULES: tuple[Rule, ...] = (
    (rf"(Conv_Body\.{TRUNK_LAYER})", r"\1"),
    (r"(Conv_Body_FPN\.(?:lateral|output)_convs\.\d(?:\.norm)?)", r"\1"),
    (r"RPN\.head\.conv", "RPN.head.convs.0"),
    (r"(RPN\.head\.(?:convs\.\d|cls_logits|bbox_pred))", r"\1"),
    (r"(Fast_RCNN\.head\.(?:fc[12]|convs\.\d(?:\.norm)?))", r"\1"),
    (r"(Fast_RCNN\.predictor\.(?:cls_score|bbox_pred))", r"\1"),
    (r"(Mask_RCNN\.head\.convs\.\d(?:\.norm)?)", r"\1"),
    (r"(Mask_RCNN\.predictor\.(?:deconv|mask_logits))", r"\1"),
)


class PetLegacyImporter:
    """Imports the keys with today's names and the RPN's convolution; others have no place."""

    name = "original Pet"
    family = "pet-legacy"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has a trunk under Pet's name."""
        return any(key.startswith("Conv_Body.") for key in state)

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` with Pet's keys."""
        return replace(rename(state, by_rules(_RULES)), expects=_EXPECTS)


def has_original_names(state: Mapping[str, Tensor]) -> bool:
    """Whether ``state`` has a name that only the original Pet has."""
    return any(map(_ORIGINAL.fullmatch, state))
