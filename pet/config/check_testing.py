"""Contradictions between what testing is to do and the model that there is."""

from yacs.config import CfgNode

#: Section of ``TEST`` -> the key of ``MODEL`` without which it has nothing to work on.
_NEEDS = {"MASK_AUG": "MASK_ON", "KPS_AUG": "KEYPOINT_ON"}


def check_testing(cfg: CfgNode) -> None:
    """Raise ValueError where soft-NMS or a test-time augmentation cannot be done."""
    test, model = cfg.TEST, cfg.MODEL
    for name in ("BBOX_AUG", "MASK_AUG", "KPS_AUG", "SOFT_NMS"):
        if test[name].ENABLED and model.RPN_ONLY:
            raise ValueError(
                f"TEST.{name}.ENABLED is for detections, of which there are none with "
                "MODEL.RPN_ONLY; one of the two must be False"
            )
    for name, branch in _NEEDS.items():
        if test[name].ENABLED and not model[branch]:
            raise ValueError(
                f"TEST.{name}.ENABLED is for a branch that the model lacks; give MODEL.{branch} "
                f"True, or TEST.{name}.ENABLED False"
            )
