"""RetinaNet of Detectron2."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from pet.weights.formats.base import Converted, Rule, by_rules, rename, with_statistics
from pet.weights.formats.detectron2 import BUFFERS, input_expects, numbered, trunk_rules

#: Config values for Detectron2's RetinaNet, besides those for its trunk.
_EXPECTS: Mapping[str, Any] = {
    "INPUT.INTERPOLATION": "pil",
    "INPUT.RESIZE_ROUNDING": "half_up",
    "MODEL.CLASS_LABELS": "contiguous",
    "FPN.P6_FROM": "res5",
    "RETINANET.ANCHOR_SIZE_CUT": False,
    "RETINANET.ANCHOR_ROUNDED": False,
    "RETINANET.ANCHOR_STEP_FROM_SIZE": False,
    "RETINANET.CLIP_BEFORE_NMS": False,
    "RETINANET.DROP_EMPTY": True,
}

_RULES: tuple[Rule, ...] = (
    *trunk_rules(r"backbone\.bottom_up\."),
    *numbered(r"backbone\.fpn_lateral", "Conv_Body_FPN.lateral_convs", first=3, count=3),
    *numbered(r"backbone\.fpn_output", "Conv_Body_FPN.output_convs", first=3, count=3),
    (r"backbone\.top_block\.(p[67])", r"Conv_Body_FPN.\1"),
    # Convolutions and ReLUs are numbered together.
    *((rf"head\.cls_subnet\.{2 * i}", f"RetinaNet.head.cls_convs.{i}") for i in range(4)),
    *((rf"head\.bbox_subnet\.{2 * i}", f"RetinaNet.head.bbox_convs.{i}") for i in range(4)),
    (r"head\.cls_score", "RetinaNet.head.cls_logits"),
    (r"head\.bbox_pred", "RetinaNet.head.bbox_pred"),
)


class Detectron2RetinaNetImporter:
    """Imports a RetinaNet; classes and anchors have Pet's order, only the names differ."""

    name = "Detectron2 RetinaNet"
    family = "detectron2"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has a ResNet, P6 and P7, and RetinaNet's two towers."""
        wanted = {
            "backbone.bottom_up.stem.conv1.weight",
            "backbone.top_block.p6.weight",
            "head.cls_subnet.0.weight",
            "head.bbox_subnet.0.weight",
        }
        return wanted <= state.keys()

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` with Pet's keys."""
        converted = rename(state, by_rules(_RULES), BUFFERS)
        expects = {**input_expects(state, converted.state), **_EXPECTS}
        return replace(converted, state=with_statistics(converted.state), expects=expects)
