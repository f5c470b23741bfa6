import pytest

from pet.config import check_cfg


def test_all_together_is_fine(fresh_cfg):
    fresh_cfg.MODEL.MASK_ON = True
    fresh_cfg.TRAIN.TRANSFORMS = (
        *("color_jitter", "random_crop", "random_rotate90", "random_vertical_flip"),
        *("large_scale_jitter", "random_horizontal_flip", "copy_paste"),
    )
    check_cfg(fresh_cfg)
    fresh_cfg.INPUT.INTERPOLATION = "float"
    check_cfg(fresh_cfg)


@pytest.mark.parametrize(
    "order", [("resize", "large_scale_jitter"), ("large_scale_jitter", "resize")]
)
def test_large_scale_jitter_takes_the_place_of_resize(fresh_cfg, order):
    fresh_cfg.TRAIN.TRANSFORMS = order
    with pytest.raises(
        ValueError, match=r"takes the place of resize in TRAIN\.TRANSFORMS; leave one"
    ):
        check_cfg(fresh_cfg)


@pytest.mark.parametrize("name", ["large_scale_jitter", "copy_paste"])
def test_no_two_of_one(fresh_cfg, name):
    fresh_cfg.MODEL.MASK_ON = True
    fresh_cfg.TRAIN.TRANSFORMS = (name, "random_horizontal_flip", name)
    with pytest.raises(ValueError, match=f"names {name} twice"):
        check_cfg(fresh_cfg)


def test_copy_paste_needs_masks_and_no_keypoints(fresh_cfg):
    fresh_cfg.TRAIN.TRANSFORMS = ("resize", "copy_paste")
    with pytest.raises(ValueError, match=r"read only with MODEL\.MASK_ON; give True, or leave"):
        check_cfg(fresh_cfg)
    fresh_cfg.MODEL.MASK_ON = True
    check_cfg(fresh_cfg)
    fresh_cfg.MODEL.KEYPOINT_ON = True
    with pytest.raises(ValueError, match=r"give MODEL\.KEYPOINT_ON False, or leave copy_paste out"):
        check_cfg(fresh_cfg)


@pytest.mark.parametrize("name", ["random_crop", "copy_paste"])
def test_no_crop_of_pictures_that_are_resized_later(fresh_cfg, name):
    fresh_cfg.MODEL.MASK_ON = True
    fresh_cfg.TRAIN.TRANSFORMS = ("resize", "random_rotate90", name)
    check_cfg(fresh_cfg)
    fresh_cfg.INPUT.INTERPOLATION = "float"
    with pytest.raises(ValueError, match=f"float, .* so that {name} must come before resize"):
        check_cfg(fresh_cfg)
    fresh_cfg.TRAIN.TRANSFORMS = (name, "resize", "random_rotate90")
    check_cfg(fresh_cfg)
