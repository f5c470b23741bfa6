import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from pet.data.transforms import color_jitter
from pet.data.transforms.color_jitter import (
    ColorJitter,
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
)
from pet.utils.opencv import cv2
from tests.data.transforms.samples import draw_sample

OURS = {
    "brightness": adjust_brightness,
    "contrast": adjust_contrast,
    "saturation": adjust_saturation,
    "hue": adjust_hue,
}
NONE = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Return noise, soft colours, all shades of grey, black and white."""
    image = np.random.default_rng(0).integers(0, 256, (90, 256, 3), np.uint8)
    image[:40] = cv2.GaussianBlur(image[:40], (0, 0), 3)
    image[40] = np.arange(256)[:, None]
    image[41], image[42] = 0, 255
    return image


def by_torchvision(name: str, image: np.ndarray, value: float) -> np.ndarray:
    pixels = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
    changed = getattr(functional, f"adjust_{name}")(pixels, value)
    return changed.permute(1, 2, 0).numpy()[..., ::-1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, factor) for name in list(OURS)[:3] for factor in (0.0, 0.5, 0.9, 1.3, 2.0)),
        *(("hue", shift) for shift in (-0.5, -0.3, -0.02, 0.0, 0.05, 0.27, 0.5)),
    ],
)
def test_the_values_are_torchvisions_to_rounding(image, name, value):
    ours = OURS[name](image, value)
    assert ours.dtype == np.uint8
    distance = np.abs(ours.astype(int) - by_torchvision(name, image, value))
    assert distance.max() <= 1
    if value != (0.0 if name == "hue" else 1.0):
        assert not np.array_equal(ours, image)


def test_values_by_hand():
    pixel = np.array([[(10, 100, 200)]], np.uint8)
    assert adjust_brightness(pixel, 1.5).tolist() == [[[15, 150, 255]]]
    # A third of a turn makes blue of red, red of green, and green of blue.
    assert adjust_hue(pixel, -1 / 3).tolist() == [[[200, 10, 100]]]
    grey = 0.114 * 10 + 0.587 * 100 + 0.299 * 200
    assert adjust_saturation(pixel, 0.0).tolist() == [[[round(grey)] * 3]]
    assert adjust_contrast(pixel, 0.0).tolist() == [[[round(grey)] * 3]]


@pytest.mark.parametrize("name", OURS)
def test_no_change_is_none(image, name):
    assert np.array_equal(OURS[name](image, 0.0 if name == "hue" else 1.0), image)


@pytest.mark.parametrize("name", OURS)
def test_each_strength_is_that_of_its_change(name):
    """Only one of the four is on; its values reach from end to end, and no further."""
    strength = 0.4
    jitter = ColorJitter(**NONE | {name: strength}, prob=1.0)
    sample = draw_sample(np.random.default_rng(0), (4, 5), 2)
    ends = (-strength, strength) if name == "hue" else (1 - strength, 1 + strength)
    values = np.linspace(*ends, 201)
    reachable = np.stack([OURS[name](sample.image, value) for value in values]).astype(int)
    nearest = []
    for seed in range(100):
        found = jitter(sample, np.random.default_rng(seed)).image
        distance = np.abs(reachable - found).sum(axis=(1, 2, 3))
        assert np.abs(reachable[distance.argmin()] - found).max() <= 3  # half a step of the hue
        nearest.append(int(distance.argmin()))
    assert min(nearest) < 20 and max(nearest) > 180


def test_probability():
    sample = draw_sample(np.random.default_rng(0), (6, 7), 2)

    def changed(jitter):
        images = [jitter(sample, np.random.default_rng(seed)).image for seed in range(300)]
        return sum(not np.array_equal(image, sample.image) for image in images)

    assert changed(ColorJitter(**NONE | {"brightness": 0.5}, prob=0.0)) == 0
    assert 60 < changed(ColorJitter(**NONE | {"brightness": 0.5}, prob=0.3)) < 120
    assert changed(ColorJitter(**NONE, prob=1.0)) == 0
    # Of a strength above 1 the factor still is at least 0.
    assert changed(ColorJitter(**NONE | {"contrast": 3.0}, prob=1.0)) > 280


def test_the_order_is_drawn(monkeypatch):
    orders = set()

    def recorder(name):
        return lambda image, value: order.append(name) or image

    monkeypatch.setattr(color_jitter, "_CHANGES", tuple((name, recorder(name)) for name in OURS))
    sample = draw_sample(np.random.default_rng(0), (2, 3), 1)
    for seed in range(300):
        order = []
        ColorJitter(**dict.fromkeys(OURS, 0.5), prob=1.0)(sample, np.random.default_rng(seed))
        orders.add(tuple(order))
    assert len(orders) == 24 and all(set(order) == set(OURS) for order in orders)
