"""The abilities of a model that config keys ask for, and the errors for models that lack one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from torch import nn

from pet.config import CfgNode
from pet.config.keys import value_of
from pet.modeling import registry
from pet.modeling.contract import (
    AnchorRule,
    CompilesDense,
    DetectionLimit,
    DetectsInViews,
    HasBranches,
    TellsAnchors,
    TellsDetectionLimit,
    TellsResultKinds,
)


@dataclass(frozen=True)
class _Demand:
    """A key that asks for an ability."""

    key: str
    ability: type  # the protocol
    remedy: str  # the value that asks for nothing


_BRANCHES = _Demand("MODEL.ROI_BRANCHES", HasBranches, '"()"')
_COMPILING = _Demand("SOLVER.COMPILE", CompilesDense, "False")
_VIEWS = tuple(
    _Demand(f"TEST.{name}.ENABLED", DetectsInViews, "False")
    for name in ("BBOX_AUG", "MASK_AUG", "KPS_AUG")
)
_DEMANDS: Mapping[str, Sequence[_Demand]] = {
    "training": (_BRANCHES, _COMPILING),
    "testing": (_BRANCHES, *_VIEWS),
}
#: Kind of result -> the key of ``MODEL`` that asks for it.
_KEYS_OF_KINDS = {"segm": "MASK_ON", "keypoints": "KEYPOINT_ON"}


def check_abilities(cfg: CfgNode, purpose: str, model: nn.Module | None = None) -> None:
    """Raise ValueError if a key asks for an ability that the model of ``cfg`` lacks.

    ``purpose`` is "training" or "testing". Without ``model``, the class is the one registered for
    ``MODEL.TYPE``, or the annotated return type of the function registered for it; if neither is
    known, nothing is raised. Raises KeyError for an unknown type or RoI branch.
    """
    family = _class_of(cfg.MODEL.TYPE) if model is None else type(model)
    if family is None:
        return
    for demand in _DEMANDS[purpose]:
        if value_of(cfg, demand.key) and not issubclass(family, demand.ability):
            raise ValueError(_describe(demand, family, cfg))
    for name in cfg.MODEL.ROI_BRANCHES:
        registry.ROI_BRANCHES[name]  # raises for an unknown one before data is read
    kinds = result_kinds(cfg, family)
    for kind, key in _KEYS_OF_KINDS.items():
        if cfg.MODEL[key] and kind not in kinds:
            raise ValueError(
                f"MODEL.{key} asks for results of the kind {kind}, and MODEL.TYPE "
                f"{cfg.MODEL.TYPE} gives {', '.join(kinds)} alone; give MODEL.{key} False, or "
                "another MODEL.TYPE"
            )


def result_kinds(cfg: CfgNode, family: type | None = None) -> tuple[str, ...]:
    """Return which of "bbox", "segm" and "keypoints" a model of ``cfg`` gives.

    ``family`` is its class, if the caller has it.
    """
    family = family or _class_of(cfg.MODEL.TYPE)
    if family is not None and issubclass(family, TellsResultKinds):
        return tuple(family.result_kinds(cfg))
    return ("bbox", *(kind for kind, key in _KEYS_OF_KINDS.items() if cfg.MODEL[key]))


def detection_limit(cfg: CfgNode) -> DetectionLimit | None:
    """Return the most detections of an image, or None if the family of ``cfg`` does not tell."""
    family = _class_of(cfg.MODEL.TYPE)
    if family is not None and issubclass(family, TellsDetectionLimit):
        return family.detection_limit(cfg)
    return None


def anchor_rule(cfg: CfgNode) -> AnchorRule | None:
    """Return the anchors of a model of ``cfg``, or None if its family does not tell."""
    family = _class_of(cfg.MODEL.TYPE)
    if family is not None and issubclass(family, TellsAnchors):
        return family.anchor_rule(cfg)
    return None


def _class_of(name: str) -> type | None:
    """Return the class of the models of a ``MODEL.TYPE``, or None if its builder does not tell."""
    builder: Any = registry.MODELS[name]
    if not isinstance(builder, type):
        try:
            builder = get_type_hints(builder).get("return")
        except (NameError, TypeError, AttributeError):  # of annotations that name nothing
            return None
    is_model = isinstance(builder, type) and issubclass(builder, nn.Module)
    return builder if is_model and builder is not nn.Module else None


def _describe(demand: _Demand, family: type, cfg: CfgNode) -> str:
    methods = [name for name in vars(demand.ability) if not name.startswith("_")]
    lacking = [name for name in methods if not hasattr(family, name)]
    able = [
        name
        for name in registry.MODELS
        if (found := _class_of(name)) is not None and issubclass(found, demand.ability)
    ]
    return (
        f"{demand.key} asks for the ability {demand.ability.__name__}, which MODEL.TYPE "
        f"{cfg.MODEL.TYPE} lacks: {family.__name__} has no {', '.join(lacking)}; give "
        f"{demand.key} {demand.remedy}, or a MODEL.TYPE that has it, such as {', '.join(able)}"
    )
