"""Comparing a config with the values that weights require."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pet.config import CfgNode

#: Section of the config -> key prefix of its part of the model; other sections are for the trunk.
_PARTS: Mapping[str, str | tuple[str, ...]] = {
    "MODEL.CLASS_LABELS": (
        "Fast_RCNN.predictor.cls_score.",
        "Cascade_RCNN.stages.0.predictor.cls_score.",
        "RetinaNet.head.cls_logits.",
    ),
    "MODEL.CLS_AGNOSTIC_BBOX_REG": "Fast_RCNN.predictor.bbox_pred.",
    "FPN": "Conv_Body_FPN.",
    "RPN": "RPN.",
    "FAST_RCNN": ("Fast_RCNN.", "Cascade_RCNN."),
    "CASCADE_RCNN": "Cascade_RCNN.",
    "MRCNN": "Mask_RCNN.",
    "KRCNN": "Keypoint_RCNN.",
    "RETINANET": "RetinaNet.",
}
_NO_KEY = "no such key"


def concerning(expects: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the entries of ``expects`` for parts of the model with weights in ``names``."""
    names = tuple(names)
    kept = {}
    for key, wanted in expects.items():
        part = _PARTS.get(key) or _PARTS.get(key.split(".")[0], "Conv_Body.")
        if any(name.startswith(part) for name in names):
            kept[key] = wanted
    return kept


def contradictions(
    expects: Mapping[str, Any], cfg: CfgNode, loaded: Iterable[str]
) -> list[tuple[str, Any, Any]]:
    """Return (key, value in ``cfg``, value that the weights need) for each key that differs.

    Only keys for parts of the model with ``loaded`` weights are compared.
    """
    values = ((key, _value(cfg, key), to) for key, to in concerning(expects, loaded).items())
    return [
        (key, present, wanted) for key, present, wanted in values if not _equal(present, wanted)
    ]


def describe_contradictions(source: str, differing: Iterable[tuple[str, Any, Any]]) -> str:
    """Return a text that lists each key with both values, and gives advice."""
    lines = [
        f"    {key}: {present} in the config, {wanted} for these weights"
        for key, present, wanted in differing
    ]
    return "\n".join(
        [
            f"the weights of {source} were trained with other values than the config's, so the "
            "results will differ from the published ones:",
            *lines,
            "  the YAMLs under cfgs/rcnn/torchvision/ and cfgs/rcnn/detectron2/ set these keys",
        ]
    )


def _value(cfg: CfgNode, key: str) -> Any:
    value: Any = cfg
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _NO_KEY
        value = value[part]
    return value


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=1e-6)
    return bool(a == b)
