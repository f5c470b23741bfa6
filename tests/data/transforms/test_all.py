"""What every transform of training images holds: all parts of a sample stay together."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pet.config import default_cfg
from pet.data.registry import TRANSFORMS
from pet.data.sample import make_targets
from pet.data.transforms import (
    ColorJitter,
    CopyPaste,
    LargeScaleJitter,
    RandomCrop,
    RandomRotate90,
    RandomVerticalFlip,
)
from tests.data.transforms.samples import (
    LAYOUT,
    DrawnData,
    check_pixels,
    check_sample,
    draw_sample,
    same,
    without_masks,
)

DATA = DrawnData(
    [draw_sample(np.random.default_rng(n), (20 + n, 40 - n), 4, first=100) for n in range(5)]
)
COLORS = ColorJitter(prob=0.7, brightness=0.3, contrast=0.5, saturation=0.5, hue=0.1)
# Keypoints are not for copy_paste, which joins boxes, labels, masks and extras.
MOVING = {
    "random_vertical_flip": RandomVerticalFlip(0.5, LAYOUT.flip_order()),
    "random_rotate90": RandomRotate90(0.75),
    "random_crop": RandomCrop(0.9, (0.2, 1.0), 0.3),
}
ALL = {
    **MOVING,
    "color_jitter": COLORS,
    "large_scale_jitter": LargeScaleJitter((32, 40), (0.1, 2.0), (1, 2, 3)),
    "copy_paste": CopyPaste(DATA, [RandomVerticalFlip(0.5, LAYOUT.flip_order())], 0.9, 0.2),
}
_SAMPLES = settings(max_examples=40, derandomize=True, deadline=None, database=None)
SIDES, SEEDS = st.integers(1, 48), st.integers(0, 2**32 - 1)


def drawn(height, width, count, seed, name):
    return draw_sample(
        np.random.default_rng(seed), (height, width), count, points=name != "copy_paste"
    )


def test_each_is_registered_under_its_name():
    assert set(ALL) | {"resize", "random_horizontal_flip"} == set(TRANSFORMS)
    data = DrawnData([])
    cfg = default_cfg()
    cfg.TRAIN.TRANSFORMS = ("large_scale_jitter", "copy_paste")
    for name, transform in ALL.items():
        built = TRANSFORMS[name](cfg, data)
        assert type(built) is type(transform)
        pickle.dumps(built)


@pytest.mark.parametrize("name", ALL)
@_SAMPLES
@given(height=SIDES, width=SIDES, count=st.integers(0, 5), seed=SEEDS)
def test_all_parts_stay_together(name, height, width, count, seed):
    before = drawn(height, width, count, seed, name)
    image = before.image.copy()
    after = ALL[name](before, np.random.default_rng(seed))
    check_sample(after)
    assert after.info == before.info
    assert np.array_equal(before.image, image)  # in place nothing is changed
    if name in MOVING:
        check_pixels(after)


@pytest.mark.parametrize("name", ALL)
def test_chance_is_only_that_of_the_generator(name):
    """The same object, a copy of it, and the same seed give the same sample."""
    before = drawn(30, 40, 5, 3, name)
    copy = pickle.loads(pickle.dumps(ALL[name]))
    differ = 0
    for seed in range(12):
        after = ALL[name](before, np.random.default_rng(seed))
        assert same(after, ALL[name](before, np.random.default_rng(seed)))
        assert same(after, copy(before, np.random.default_rng(seed)))
        differ += not same(after, before)
    assert differ > 2


@pytest.mark.parametrize("name", ALL)
def test_boxes_alone(name):
    """Masks and keypoints may not be read at all."""
    before = without_masks(drawn(30, 40, 5, 3, "copy_paste"))
    if name == "copy_paste":
        with pytest.raises(ValueError, match=r"needs masks, which .* image 1\.png does not give"):
            ALL[name](before, np.random.default_rng(0))
        return
    for seed in range(5):
        after = ALL[name](before, np.random.default_rng(seed))
        assert after.masks is None and after.keypoints is None
        assert len(make_targets(after)) == len(after.boxes)


@_SAMPLES
@given(height=SIDES, width=SIDES, count=st.integers(0, 5), seed=SEEDS)
def test_one_after_the_other(height, width, count, seed):
    """In an order that a config may have; what is cut off never reappears."""
    sample = drawn(height, width, count, seed, "")
    rng = np.random.default_rng(seed)
    for name in (*MOVING, "color_jitter", "large_scale_jitter", "random_rotate90"):
        sample = ALL[name](sample, rng)
    check_sample(sample)
    sample = CopyPaste(DATA, [RandomRotate90(0.5)], 1.0, 0.0)(
        draw_sample(rng, sample.size, 3, points=False), rng
    )
    check_sample(sample)


def test_values_are_those_of_the_keys():
    cfg = default_cfg()
    data = DrawnData([])
    cfg.TRAIN.VERTICAL_FLIP_PROB, cfg.TRAIN.ROTATE90_PROB = 0.1, 0.2
    cfg.TRAIN.RANDOM_CROP.PROB, cfg.TRAIN.RANDOM_CROP.SIDES = 0.3, (0.4, 0.6)
    cfg.TRAIN.RANDOM_CROP.MIN_VISIBLE = 0.7
    crop = TRANSFORMS["random_crop"](cfg, data)
    assert (crop.prob, crop.sides, crop.min_visible) == (0.3, (0.4, 0.6), 0.7)
    assert TRANSFORMS["random_vertical_flip"](cfg, data).prob == 0.1
    assert TRANSFORMS["random_rotate90"](cfg, data).prob == 0.2
    jitter = TRANSFORMS["large_scale_jitter"](cfg, data)
    assert (jitter.size, jitter.scales) == ((1024, 1024), (0.1, 2.0))
    assert jitter.fill == (104, 116, 124)  # torchvision's mean, blue first
    cfg.INPUT.CHANNEL_ORDER = "BGR"
    assert TRANSFORMS["large_scale_jitter"](cfg, data).fill == (124, 116, 104)
    colors = TRANSFORMS["color_jitter"](cfg, data)
    assert colors == ColorJitter(prob=0.5, brightness=0.125, contrast=0.5, saturation=0.5, hue=0.05)
    cfg.TRAIN.TRANSFORMS = ("random_crop", "copy_paste", "resize")
    cfg.TRAIN.COPY_PASTE.PROB, cfg.TRAIN.COPY_PASTE.MIN_VISIBLE = 0.8, 0.9
    paste = TRANSFORMS["copy_paste"](cfg, data)
    assert (paste.prob, paste.min_visible, paste.dataset) == (0.8, 0.9, data)
    assert [type(transform) for transform in paste.before] == [RandomCrop]


def test_a_vertical_flip_needs_pairs_of_points(fresh_cfg):
    data = DrawnData([])
    data.keypoint_layout = LAYOUT
    flip = TRANSFORMS["random_vertical_flip"]
    assert flip(fresh_cfg, data).keypoint_order == (0, 2, 1)
    data.keypoint_layout = type(LAYOUT)(("left_ear",))
    with pytest.raises(ValueError, match=r"'left_ear' .* or give TRAIN\.VERTICAL_FLIP_PROB 0"):
        flip(fresh_cfg, data)
    fresh_cfg.TRAIN.VERTICAL_FLIP_PROB = 0.0
    assert torch.equal(torch.tensor(flip(fresh_cfg, data).keypoint_order), torch.tensor(()))
