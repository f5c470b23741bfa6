"""A class of a user's own in place of ``CocoDataset``: with what docs/extending.md asks of it."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from pet.annotations import annotations_from_records
from pet.config import CfgNode, merge_cfg_from_list
from pet.data.build import (
    build_dataset,
    make_test_data_loader,
    make_train_data_loader,
    resolve_num_classes,
    resolve_num_keypoints,
)
from pet.data.dataset import (
    ChecksPictures,
    Dataset,
    HasAnnotationFile,
    HasGroundTruth,
    ground_truth_of,
)
from pet.data.datasets import CocoDataset
from pet.data.registry import DATASET_TYPES
from pet.data.sample import Sample, bare_sample
from pet.structures import ImageInfo, KeypointLayout
from tests.data.small_coco import annotation, image, write_annotations

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


# What it is scored by -----------------------------------------------------------------------------


def _with(own_cfg, **more):
    """Return the data set with ``more`` attributes and methods."""
    own = build_dataset("mine", is_train=False, cfg=own_cfg)
    del own.annotation_file
    for name, value in more.items():
        setattr(own, name, value)
    return own


def test_it_brings_its_ground_truth(own_cfg):
    table = annotations_from_records("mine", [], [], [])
    own = _with(own_cfg, ground_truth=lambda: table, annotation_file="/nowhere")
    assert ground_truth_of(own) is table


def test_a_file_in_its_place_does(own_cfg, tmp_path):
    path = write_annotations(tmp_path / "b.json", [image(11)], [annotation(1, 11)])
    for file in (path, str(path)):
        assert ground_truth_of(_with(own_cfg, annotation_file=file)).image_ids.tolist() == [11]


def test_without_either_it_cannot_be_tested_on(own_cfg):
    with pytest.raises(ValueError, match=r"'mine' cannot .* as a Own has neither .*ground_truth"):
        ground_truth_of(_with(own_cfg))


# What it may do besides ---------------------------------------------------------------------------


def test_it_may_check_its_pictures(own_cfg, monkeypatch):
    def check(self):
        raise ValueError(f"no pictures in {self.name}")

    build_dataset("mine", is_train=True, cfg=own_cfg)  # it need not
    monkeypatch.setattr(Own, "check_pictures", check, raising=False)
    with pytest.raises(ValueError, match="no pictures in mine"):
        build_dataset("mine", is_train=True, cfg=own_cfg)


def test_a_class_that_reads_in_its_own_way_needs_no_picture_files(tmp_path, fresh_cfg, monkeypatch):
    class Black(CocoDataset):
        def read(self, index):
            return bare_sample(np.zeros((8, 12, 3), np.uint8))

    monkeypatch.setattr(DATASET_TYPES, "_parts", {"black": Black, "coco": CocoDataset})
    path = write_annotations(tmp_path / "a.json", [image(1)], [annotation(1, 1)])
    block = {"TYPE": "black", "IMAGES": str(tmp_path), "ANNOTATIONS": str(path)}
    fresh_cfg.DATASETS.mine = CfgNode({**block, "MAX_IMAGES": 0})
    assert build_dataset("mine", is_train=True, cfg=fresh_cfg).read(0).size == (8, 12)
    fresh_cfg.DATASETS.mine.TYPE = "coco"
    with pytest.raises(FileNotFoundError, match="1 of 1 pictures"):
        build_dataset("mine", is_train=True, cfg=fresh_cfg)


def test_it_must_heed_the_classes_of_the_config(own_cfg):
    own_cfg.DATASETS.mine.CLASSES = ("face",)  # it has them anyway
    assert build_dataset("mine", is_train=True, cfg=own_cfg).class_names == ("face",)
    own_cfg.DATASETS.mine.CLASSES = ("face", "hand")
    with pytest.raises(ValueError, match=r"mine\.CLASSES is .*'hand'\), but the type 'own' gives"):
        build_dataset("mine", is_train=True, cfg=own_cfg)


def test_classes_reach_a_type_that_takes_them(own_cfg, monkeypatch):
    given = []

    def naming(name, images, annotations, *, classes, keypoints, is_train, with_masks, **options):
        given.append(classes)
        return Own(name, images, annotations, keypoints=keypoints)

    def plain(name, images, annotations, *, is_train, with_masks, filter_empty, max_images,
              class_labels, keypoints):  # fmt: skip
        return Own(name, images, annotations, keypoints=keypoints)

    parts = {**DATASET_TYPES._parts, "naming": naming, "plain": plain}
    monkeypatch.setattr(DATASET_TYPES, "_parts", parts)
    own_cfg.DATASETS.mine.TYPE = "naming"
    build_dataset("mine", is_train=True, cfg=own_cfg)
    own_cfg.DATASETS.mine.CLASSES = ("face",)
    build_dataset("mine", is_train=True, cfg=own_cfg)
    assert given == [(), ("face",)]
    own_cfg.DATASETS.mine.TYPE = "plain"  # one of old, which takes no options but those it names
    assert len(build_dataset("mine", is_train=True, cfg=own_cfg)) == 2


def test_it_can_be_joined_with_others(own_cfg):
    joined = build_dataset(("mine", "mine"), is_train=True, cfg=own_cfg)
    assert len(joined) == 4 and joined.read(3).info.image_id == 12


# The page -----------------------------------------------------------------------------------------


def test_the_page_names_what_it_has():
    page = PAGE.read_text(encoding="utf-8")
    table = re.search(r"\| attribute or method .*?\n\n", page, re.DOTALL)[0]
    named = set(re.findall(r"^\| (.*?) \|", table, re.MULTILINE)) - {"attribute or method", "---"}
    named = {re.sub(r"\(.*", "", name) for cell in named for name in re.findall("`(.*?)`", cell)}
    named = {name for name in named if name != "len"}
    wanted = {n for n in vars(Dataset) if n[0] != "_" and n != "register"}
    assert named == wanted
    assert wanted <= set(dir(Own("a", "b", "c")))
    for optional in (HasGroundTruth, HasAnnotationFile, ChecksPictures):
        (name,) = (n for n in vars(optional) if n[0] != "_" and n != "register")
        assert f"`{name}" in page
