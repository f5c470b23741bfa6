import numpy as np

from pet.config import default_cfg
from pet.data.registry import TRANSFORMS
from pet.data.sample import make_targets
from tools.benchmark import transforms


def test_every_transform_is_measured(monkeypatch):
    monkeypatch.setattr(transforms, "LARGE", (60, 80))
    monkeypatch.setattr(transforms, "SMALL", (30, 40))
    monkeypatch.setattr(transforms, "_IMAGES", 2)
    seen = []

    def paint(cfg, dataset):
        assert cfg.TRAIN.ROTATE90_PROB == cfg.TRAIN.COLOR_JITTER.PROB == 1
        return lambda sample, rng: seen.append((sample.size, len(sample.boxes))) or sample

    monkeypatch.setattr(TRANSFORMS, "_parts", {**TRANSFORMS._parts, "paint": paint})
    found = transforms.measure_transforms(objects=3, rounds=2, cfg=default_cfg())
    assert set(found) == {*TRANSFORMS, "make_targets"}
    assert all(0 < spread.low <= spread.median <= spread.high for spread in found.values())
    assert seen == [((60, 80), 3)] * 6  # two images in each round, and in one to warm up


def test_the_drawn_objects_lie_in_the_picture():
    sample = transforms.draw_sample((80, 133), 10)
    assert sample.image.shape == (80, 133, 3) and sample.image.std() > 20
    targets = make_targets(sample)
    assert np.array_equal(targets.boxes, sample.boxes)
    for index in range(10):
        crop, box = targets.masks.unpack(index), sample.boxes[index].tolist()
        assert 0.3 < crop.bits.sum() / ((box[2] - box[0]) * (box[3] - box[1])) < 0.9
