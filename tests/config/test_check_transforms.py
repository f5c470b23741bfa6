import pytest

from pet.config import check_cfg, default_cfg, merge_cfg_from_list


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


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("VERTICAL_FLIP_PROB", 1.5, r"must lie in \[0, 1\]"),
        ("ROTATE90_PROB", -0.1, r"must lie in \[0, 1\]"),
        ("RANDOM_CROP.PROB", 2, r"must lie in \[0, 1\]"),
        ("RANDOM_CROP.SIDES", (0.9, 0.5), "needs two shares of a side, the least and the greatest"),
        ("RANDOM_CROP.SIDES", (0, 0.5), "needs two shares of a side"),
        ("RANDOM_CROP.MIN_VISIBLE", -1, r"must lie in \[0, 1\]"),
        ("LARGE_SCALE_JITTER.SIZE", (1024,), "needs 2 values"),
        ("LARGE_SCALE_JITTER.SIZE", (0, 1024), "must be at least 1"),
        ("LARGE_SCALE_JITTER.SCALES", (2.0, 0.1), "needs two scales above 0"),
        ("COLOR_JITTER.PROB", 2, r"must lie in \[0, 1\]"),
        ("COLOR_JITTER.BRIGHTNESS", -1, "must be at least 0"),
        ("COLOR_JITTER.CONTRAST", -1, "must be at least 0"),
        ("COLOR_JITTER.SATURATION", -1, "must be at least 0"),
        ("COLOR_JITTER.HUE", 0.6, r"must lie in \[0, 0\.5\]"),
        ("COPY_PASTE.PROB", 2, r"must lie in \[0, 1\]"),
        ("COPY_PASTE.MIN_VISIBLE", 2, r"must lie in \[0, 1\]"),
    ],
)
def test_values_that_no_transform_takes(key, value, message):
    node = default_cfg()
    merge_cfg_from_list([f"TRAIN.{key}", value], node)
    with pytest.raises(ValueError, match=rf"TRAIN\.{key} {message}"):
        check_cfg(node)
