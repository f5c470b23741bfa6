"""Contradictions between the transforms of training images, and with other keys."""

from yacs.config import CfgNode

#: Transforms that need the pixels at the size of the boxes.
_NEED_PIXELS = ("random_crop", "copy_paste")


def check_transforms(cfg: CfgNode) -> None:
    """Raise ValueError, naming a remedy, if ``TRAIN.TRANSFORMS`` cannot work as given."""
    names = tuple(cfg.TRAIN.TRANSFORMS)
    if "large_scale_jitter" in names and "resize" in names:
        raise ValueError(
            "large_scale_jitter resizes images itself, to TRAIN.LARGE_SCALE_JITTER.SIZE, and takes "
            f"the place of resize in TRAIN.TRANSFORMS; leave one of them out. Got {names}"
        )
    for name in ("large_scale_jitter", "copy_paste"):
        if names.count(name) > 1:
            raise ValueError(f"TRAIN.TRANSFORMS names {name} twice; got {names}")
    if "copy_paste" in names:
        _check_copy_paste(cfg)
    if cfg.INPUT.INTERPOLATION == "float" and "resize" in names:
        late = [name for name in names[names.index("resize") :] if name in _NEED_PIXELS]
        if late:
            raise ValueError(
                f"with INPUT.INTERPOLATION float, images are resized on the device, after all "
                f"transforms, so that {late[0]} must come before resize in TRAIN.TRANSFORMS; got "
                f"{names}"
            )


def _check_copy_paste(cfg: CfgNode) -> None:
    """Raise ValueError if there are no masks, or if there are keypoints."""
    if not cfg.MODEL.MASK_ON:
        raise ValueError(
            "copy_paste cuts objects out by their masks, which are read only with MODEL.MASK_ON; "
            "give True, or leave copy_paste out of TRAIN.TRANSFORMS"
        )
    if cfg.MODEL.KEYPOINT_ON:
        raise ValueError(
            "copy_paste does not know which keypoints it hides; give MODEL.KEYPOINT_ON False, or "
            "leave copy_paste out of TRAIN.TRANSFORMS"
        )
