"""A class of a user's own in place of ``CocoDataset``: with what docs/extending.md asks of it."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from pet.config import merge_cfg_from_list
from pet.data.build import (
    build_dataset,
    make_test_data_loader,
    make_train_data_loader,
    resolve_num_classes,
    resolve_num_keypoints,
)
from pet.data.registry import DATASET_TYPES
from pet.data.sample import Sample
from pet.structures import ImageInfo, KeypointLayout

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
POINTS = [[[2.0, 3.0, 2.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]]


class Own:
    """Two pictures of 8 x 16 with a face each, whose right eye is not labelled."""

    def __init__(self, name, images, annotations, *, keypoints=None, **options):
        self.name = name
        self.annotation_file = str(annotations)
        self.class_names, self.category_ids = ("face",), (4,)
        self.num_classes = 2
        self.image_ids = (11, 12)
        self.sizes = np.array([[8, 16], [8, 16]], np.int64)
        self.keypoint_layout = None
        self._points = None
        if keypoints is not None:
            self.keypoint_layout = KeypointLayout(
                names=("nose", "left_eye", "right_eye"), skeleton=((0, 1), (0, 2))
            )
            shift = torch.tensor([keypoints.pixel_shift, keypoints.pixel_shift, 0.0])
            points = torch.tensor(POINTS)
            self._points = torch.where(points[..., 2:] > 0, points + shift, points)

    def __len__(self):
        return len(self.image_ids)

    def info(self, index):
        return ImageInfo(self.image_ids[index], 8, 16, f"{index}.png")

    def labels(self, index):
        return [1]

    def read(self, index):
        image = np.zeros((8, 16, 3), np.uint8)
        boxes, labels = torch.tensor([[0.0, 0.0, 6.0, 6.0]]), torch.tensor([1])
        return Sample(image, self.info(index), boxes, labels, None, self._points)


@pytest.fixture
def own_cfg(tmp_path, fresh_cfg, monkeypatch):
    monkeypatch.setattr(DATASET_TYPES, "_parts", {**DATASET_TYPES._parts, "own": Own})
    (tmp_path / "a.txt").write_text("")
    options = {
        "DATASETS.mine.TYPE": "own",
        "DATASETS.mine.IMAGES": str(tmp_path),
        "DATASETS.mine.ANNOTATIONS": str(tmp_path / "a.txt"),
        "MODEL.KEYPOINT_ON": True,
        "DEVICE": "cpu",
        "TRAIN.SCALES": "(8,)",
        "TRAIN.FLIP_PROB": 1.0,
        "TRAIN.BATCH_SIZE": 1,
        "TRAIN.LOADER_THREADS": 0,
        "TEST.SCALE": 8,
        "TEST.LOADER_THREADS": 0,
        "SOLVER.MAX_ITER": 1,
    }
    merge_cfg_from_list([item for pair in options.items() for item in pair], fresh_cfg)
    return fresh_cfg


def test_its_keypoints_reach_the_network_mirrored(own_cfg):
    dataset = build_dataset(("mine",), is_train=True, cfg=own_cfg)
    assert resolve_num_classes(dataset, own_cfg) == 2
    assert resolve_num_keypoints(dataset, own_cfg) == 3
    [(_, [target], _)] = list(make_train_data_loader(dataset, cfg=own_cfg))
    # x becomes 16 - (x + 0.5); the left eye is the right one now, and the left one is not labelled.
    wanted = torch.tensor([[[13.5, 3.5, 2.0], [0.0, 0.0, 0.0], [14.5, 1.5, 1.0]]])
    assert torch.equal(target.keypoints, wanted)


def test_it_is_tested_and_read_without_keypoints(own_cfg):
    own_cfg.MODEL.KEYPOINT_ON = False
    dataset = build_dataset(("mine",), is_train=False, cfg=own_cfg)
    infos = [info for _, infos in make_test_data_loader(dataset, cfg=own_cfg) for info in infos]
    assert [info.image_id for info in infos] == [11, 12]
    [(_, [target], _)] = list(make_train_data_loader(dataset, cfg=own_cfg))
    assert target.keypoints is None


def test_the_page_names_what_it_has():
    page = PAGE.read_text(encoding="utf-8")
    table = re.search(r"\| attribute or method .*?\n\n", page, re.DOTALL)[0]
    named = set(re.findall(r"`(\w+)(?:\(index\))?`", table)) - {"CocoDataset", "KeypointLayout"}
    own = Own("a", "b", "c")
    assert named - {"None"} == {name for name in dir(own) if not name.startswith("_")}
