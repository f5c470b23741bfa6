"""RetinaNet of torchvision: retinanet_resnet50_fpn, versions V1 and V2.

Its anchors have another order than Pet's. Its output for the background is kept.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from pet.weights.formats.base import TRUNK_LAYER, Converted, Rule, by_rules, rename
from pet.weights.formats.torchvision import COCO_IDS, first_form_trunk_expects

#: Config values for torchvision's RetinaNet, besides those for its trunk.
_EXPECTS: Mapping[str, Any] = {
    "INPUT.INTERPOLATION": "float",
    "INPUT.RESIZE_ROUNDING": "floor",
    "RETINANET.ANCHOR_SIZE_CUT": True,
    "RETINANET.ANCHOR_ROUNDED": True,
    "RETINANET.ANCHOR_STEP_FROM_SIZE": True,
    "RETINANET.CLIP_BEFORE_NMS": True,
    "RETINANET.BACKGROUND_OUTPUT": True,
    "RETINANET.DROP_EMPTY": False,
}

_CLASSES, _BOXES = "RetinaNet.head.cls_logits", "RetinaNet.head.bbox_pred"
_RATIOS, _SIZES = 3, 3  # of the anchors at a pixel

_CLS, _BBOX = r"head\.classification_head", r"head\.regression_head"
_RULES: tuple[Rule, ...] = (
    (rf"backbone\.body\.({TRUNK_LAYER})", r"Conv_Body.\1"),
    (r"backbone\.fpn\.inner_blocks\.(\d)(?:\.0)?", r"Conv_Body_FPN.lateral_convs.\1"),
    (r"backbone\.fpn\.layer_blocks\.(\d)(?:\.0)?", r"Conv_Body_FPN.output_convs.\1"),
    (r"backbone\.fpn\.extra_blocks\.(p[67])", r"Conv_Body_FPN.\1"),
    (rf"{_CLS}\.conv\.(\d)\.0", r"RetinaNet.head.cls_convs.\1"),
    (rf"{_CLS}\.conv\.(\d)\.1", r"RetinaNet.head.cls_convs.\1.norm"),
    (rf"{_BBOX}\.conv\.(\d)\.0", r"RetinaNet.head.bbox_convs.\1"),
    (rf"{_BBOX}\.conv\.(\d)\.1", r"RetinaNet.head.bbox_convs.\1.norm"),
    # Names of the first published file: convolutions and ReLUs are numbered together.
    *((rf"{_CLS}\.conv\.{2 * i}", f"RetinaNet.head.cls_convs.{i}") for i in range(4)),
    *((rf"{_BBOX}\.conv\.{2 * i}", f"RetinaNet.head.bbox_convs.{i}") for i in range(4)),
    (rf"{_CLS}\.cls_logits", _CLASSES),
    (rf"{_BBOX}\.bbox_reg", _BOXES),
)


class TorchvisionRetinaNetImporter:
    """Imports a RetinaNet, with its outputs reordered to Pet's order of anchors."""

    name = "torchvision RetinaNet"
    family = "torchvision"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has a ResNet, P6, P7 and a dense head without centre-ness."""
        wanted = {
            "backbone.body.conv1.weight",
            "backbone.fpn.extra_blocks.p6.weight",
            "head.regression_head.bbox_reg.weight",
        }
        return wanted <= state.keys() and not any("bbox_ctrness" in key for key in state)

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` with Pet's keys and order of outputs.

        Raises ValueError if there are not 9 anchors at a pixel, or if a predictor is missing.
        """
        converted = rename(state, by_rules(_RULES))
        ours = dict(converted.state)
        for parameter in ("weight", "bias") if not converted.no_place else ():
            for layer in (_BOXES, _CLASSES):
                key = f"{layer}.{parameter}"
                if key not in ours:
                    raise ValueError(f"the file has no weights for {key}")
                _check_anchors(len(ours[key]), layer)
                ours[key] = _sizes_outside(ours[key])
        return replace(converted, state=ours, expects=_expects(ours))


def _check_anchors(outputs: int, layer: str) -> None:
    """Raise ValueError if the ``outputs`` of a predictor cannot be those of 9 anchors."""
    anchors = _RATIOS * _SIZES
    if outputs % anchors or (layer == _BOXES and outputs != 4 * anchors):
        raise ValueError(
            f"{outputs} outputs ({layer}) are not those of {anchors} anchors, the only number "
            "whose order is known"
        )


def _sizes_outside(value: Tensor) -> Tensor:
    """Reorder the anchors of ``value`` (A * outputs, ...) from ratio-major to size-major."""
    anchors = value.unflatten(0, (_RATIOS, _SIZES, -1))
    return anchors.transpose(0, 1).flatten(0, 2)


def _expects(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the config values for the model, given its ``state`` with Pet's keys."""
    expects = {**first_form_trunk_expects(state), **_EXPECTS}
    dim, dim_in = state["Conv_Body_FPN.p6.weight"].shape[:2]
    expects["FPN.P6_FROM"] = "P5" if dim_in == dim else "res5"
    scores = state.get(f"{_CLASSES}.bias")
    if scores is not None and len(scores) == _RATIOS * _SIZES * COCO_IDS:
        expects["MODEL.CLASS_LABELS"] = "category_id"
    return expects
