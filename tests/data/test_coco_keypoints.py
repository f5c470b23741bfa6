import json

import numpy as np
import pytest
import torch

from pet.config import default_cfg, merge_cfg_from_list
from pet.data.build import (
    build_dataset,
    make_train_data_loader,
    resolve_num_keypoints,
)
from pet.data.datasets import CocoDataset, ConcatDataset, KeypointOptions
from pet.data.sample import make_targets
from pet.data.transforms import RandomHorizontalFlip, Resize
from pet.structures.keypoint_layout import COCO_PERSON
from tests.data.small_coco import annotation, image, read_small, write_annotations

NAMES = ["nose", "left_ear", "right_ear"]
PERSON = {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2], [3, 1]]}
POINTS = [2, 3, 2, 4, 5, 1, 9, 9, 0]


def person(number: int, image_id: int, points: list | None = POINTS, **fields):
    extra = {} if points is None else {"keypoints": points}
    return annotation(number, image_id, category_id=1, **extra, **fields)


def read_people(folder, annotations, options=None, category=PERSON, images=(1,), **settings):
    """Read a data set of people through a file whose categories are ``category``."""
    entries = [image(number) for number in images]
    read_small(folder, entries, [annotation(1, images[0])])  # draws the pictures
    path = write_annotations(folder / "p.json", entries, annotations, categories=[category])
    settings = {"is_train": True, **settings}
    options = options or KeypointOptions()
    return CocoDataset("people", folder / "images", path, keypoints=options, **settings)


def test_a_sample_by_hand(tmp_path):
    dataset = read_people(tmp_path, [person(1, 1), person(2, 1, None), person(3, 1, [])])
    assert dataset.keypoint_layout.names == tuple(NAMES)
    assert dataset.keypoint_layout.skeleton == ((0, 1), (2, 0))
    sample = dataset.read(0)
    assert sample.keypoints.dtype == torch.float32
    assert sample.keypoints.tolist() == [[[2, 3, 2], [4, 5, 1], [0, 0, 0]], *[[[0, 0, 0]] * 3] * 2]
    assert make_targets(sample).keypoints.tolist() == sample.keypoints.tolist()


def test_pixels_may_be_counted_from_their_middle(tmp_path):
    dataset = read_people(tmp_path, [person(1, 1)], KeypointOptions(pixel_shift=0.5))
    assert dataset.read(0).keypoints.tolist() == [[[2.5, 3.5, 2], [4.5, 5.5, 1], [0, 0, 0]]]


def test_points_go_with_their_box(tmp_path):
    outside = person(2, 1, [1] * 9, bbox=[50, 50, 3, 3])
    sample = read_people(tmp_path, [outside, person(1, 1)]).read(0)
    assert sample.keypoints[:, 0].tolist() == [[2, 3, 2]]


def test_resize_and_flip_by_hand(tmp_path):
    sample = read_people(tmp_path, [person(1, 1)], KeypointOptions(0.5)).read(0)
    rng = np.random.default_rng(0)
    larger = Resize([16], 100)(sample, rng)  # 12 x 8 pixels become 24 x 16
    assert larger.keypoints.tolist() == [[[5, 7, 2], [9, 11, 1], [0, 0, 0]]]
    flipped = RandomHorizontalFlip(1.0, (0, 2, 1))(larger, rng)
    assert flipped.keypoints.tolist() == [[[19, 7, 2], [0, 0, 0], [15, 11, 1]]]


def test_an_object_left_without_a_box_loses_its_points(tmp_path):
    sample = read_people(tmp_path, [person(1, 1), person(2, 1, [7] * 9)]).read(0)
    sample.boxes[0] = 0
    assert make_targets(sample).keypoints.tolist() == [[[7, 7, 7]] * 3]


def test_images_with_few_labelled_points_may_be_left_out(tmp_path):
    annotations = [person(1, 1), person(2, 2, None), person(3, 2, [0] * 9)]
    every = read_people(tmp_path, annotations, images=(1, 2))
    assert every.image_ids == (1, 2)
    assert every.read(1).keypoints.shape == (2, 3, 3)
    some = read_people(tmp_path, annotations, KeypointOptions(0.5, 2), images=(1, 2))
    assert some.image_ids == (1,)
    with pytest.raises(ValueError, match=r"no image of .*p\.json has 3 labelled keypoints"):
        read_people(tmp_path, annotations, KeypointOptions(0.5, 3), images=(1, 2))


def test_testing_reads_the_names_alone(tmp_path):
    dataset = read_people(tmp_path, [person(1, 1)], is_train=False)
    assert len(dataset.keypoint_layout) == 3
    assert dataset.read(0).keypoints.shape == (0, 3, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": None}, r'p\.json: no category has "keypoints".*person_keypoints_train2017'),
        (
            {"keypoints": ["a", "a"]},
            r"category 'person': \"keypoints\" must be a list of different",
        ),
        ({"keypoints": "nose"}, r"must be a list of different names; got 'nose'"),
        ({"skeleton": [[1, 4]]}, r"\"skeleton\" must be a list of pairs of points, 1 to 3"),
        ({"skeleton": [[0, 1]]}, r"pairs of points, 1 to 3; got \[\[0, 1\]\]"),
        ({"skeleton": 5}, r"pairs of points, 1 to 3; got 5"),
    ],
)
def test_categories_that_cannot_be_meant(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        read_people(tmp_path, [person(1, 1)], category={**PERSON, **change})


@pytest.mark.parametrize("points", [[1, 2, 2], [*POINTS, 0], [1, 2, "x"] * 3, "1 2 2"])
@pytest.mark.parametrize("is_train", [True, False])
def test_points_that_cannot_be_meant(tmp_path, points, is_train):
    with pytest.raises(ValueError, match=r"p\.json: annotation 7: the key 'keypoints'.* 9 finite"):
        read_people(tmp_path, [person(7, 1, points)], is_train=is_train)


@pytest.mark.parametrize("is_train", [True, False])
def test_annotations_without_any_keypoints(tmp_path, is_train):
    with pytest.raises(ValueError, match=r'p\.json: no annotation has "keypoints"'):
        read_people(tmp_path, [person(1, 1, None)], is_train=is_train)


def test_points_written_as_text_are_read(tmp_path):
    dataset = read_people(tmp_path, [person(1, 1, [str(value) for value in POINTS])])
    assert dataset.read(0).keypoints.tolist() == [[[2, 3, 2], [4, 5, 1], [0, 0, 0]]]


def test_other_categories_may_have_no_points(tmp_path):
    both = [PERSON, {"id": 2, "name": "ball"}]
    entries = [image(1)]
    ball = annotation(2, 1, category_id=2)
    read_small(tmp_path, entries, [annotation(1, 1)])
    path = write_annotations(tmp_path / "b.json", entries, [person(1, 1), ball], categories=both)
    dataset = CocoDataset(
        "both", tmp_path / "images", path, is_train=True, keypoints=KeypointOptions()
    )
    assert dataset.read(0).keypoints[:, :, 2].tolist() == [[2, 1, 0], [0, 0, 0]]
    both[1]["keypoints"] = ["a", "b", "c"]
    write_annotations(path, entries, [person(1, 1), ball], categories=both)
    with pytest.raises(ValueError, match=r"'person' and 'ball' have different \"keypoints\""):
        CocoDataset("both", tmp_path, path, is_train=True, keypoints=KeypointOptions())


def test_joined_data_sets_have_the_same_points(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = read_people(tmp_path / "a", [person(1, 1)])
    joined = ConcatDataset([first, first])
    assert joined.keypoint_layout is first.keypoint_layout
    assert joined.read(1).keypoints.shape == (1, 3, 3)
    other = {**PERSON, "keypoints": ["nose", "right_ear", "left_ear"]}
    second = read_people(tmp_path / "b", [person(1, 1)], category=other)
    with pytest.raises(ValueError, match=r"keypoints differ: nose, left_ear, right_ear in the fi"):
        ConcatDataset([first, second])


def cfg_of(folder, category=PERSON, flip_prob=0.0):
    entries = [image(1)]
    read_small(folder, entries, [annotation(1, 1)])
    write_annotations(folder / "p.json", entries, [person(1, 1)], categories=[category])
    cfg = default_cfg()
    values = {
        "DATASETS.people.IMAGES": str(folder / "images"),
        "DATASETS.people.ANNOTATIONS": str(folder / "p.json"),
        "MODEL.KEYPOINT_ON": True,
        "TRAIN.DATASETS": ("people",),
        "TRAIN.BATCH_SIZE": 1,
        "TRAIN.LOADER_THREADS": 0,
        "TRAIN.SCALES": (8,),
        "TRAIN.FLIP_PROB": flip_prob,
    }
    merge_cfg_from_list([item for pair in values.items() for item in pair], cfg)
    return cfg


def test_the_loader_swaps_the_sides(tmp_path):
    cfg = cfg_of(tmp_path, flip_prob=1.0)
    loader = make_train_data_loader(build_dataset(cfg.TRAIN.DATASETS, True, cfg), cfg=cfg)
    _, [targets], _ = next(iter(loader))
    assert targets.keypoints.tolist() == [[[9.5, 3.5, 2], [0, 0, 0], [7.5, 5.5, 1]]]


def test_flips_need_partners(tmp_path):
    lonely = {**PERSON, "keypoints": ["nose", "left_ear", "tail"]}
    cfg = cfg_of(tmp_path, lonely, flip_prob=0.5)
    dataset = build_dataset(cfg.TRAIN.DATASETS, True, cfg)
    with pytest.raises(ValueError, match=r"'left_ear' without 'right_ear'.*TRAIN\.FLIP_PROB 0"):
        make_train_data_loader(dataset, cfg=cfg)
    cfg.TRAIN.FLIP_PROB = 0.0
    make_train_data_loader(dataset, cfg=cfg)


def test_the_number_of_points_comes_from_the_data_set(tmp_path):
    cfg = cfg_of(tmp_path)
    dataset = build_dataset(cfg.TRAIN.DATASETS, True, cfg)
    assert resolve_num_keypoints(dataset, cfg) == 3
    cfg.KRCNN.NUM_KEYPOINTS = 17
    with pytest.raises(ValueError, match=r"is 17, but data set 'people' has 3 keypoints, nose, "):
        resolve_num_keypoints(dataset, cfg)


def test_without_keypoints_nothing_is_read(tmp_path):
    cfg = cfg_of(tmp_path)
    cfg.MODEL.KEYPOINT_ON = False
    dataset = build_dataset(cfg.TRAIN.DATASETS, True, cfg)
    assert dataset.keypoint_layout is None
    assert dataset.read(0).keypoints is None


def test_cocos_people(coco_mini, fresh_cfg):
    fresh_cfg.DATA_DIR = str(coco_mini)
    fresh_cfg.MODEL.KEYPOINT_ON = True
    fresh_cfg.KRCNN.PIXEL_SHIFT = 0.0
    dataset = build_dataset("coco_2017_keypoints_train", True, fresh_cfg)
    assert dataset.keypoint_layout == COCO_PERSON
    assert dataset.class_names == ("person",)
    file = json.loads((coco_mini / "annotations/person_keypoints_train2017.json").read_text())
    wanted = {
        a["image_id"]: a["keypoints"]
        for a in file["annotations"]
        if a["num_keypoints"] and not a["iscrowd"]
    }
    seen = 0
    for index, image_id in enumerate(dataset.image_ids):
        sample = dataset.read(index)
        rows = sample.keypoints.flatten(1).tolist()
        assert image_id not in wanted or wanted[image_id] in rows
        x, y, visibility = sample.keypoints.unbind(-1)
        height, width = sample.size
        assert ((x >= 0) & (x < width) & (y >= 0) & (y < height)).all()
        seen += int((visibility > 0).any(dim=1).sum())
    assert seen > 50
    assert build_dataset("coco_2017_keypoints_val", False, fresh_cfg).keypoint_layout == COCO_PERSON
    with pytest.raises(ValueError, match=r"instances_train2017\.json: no category has"):
        build_dataset("coco_2017_train", True, fresh_cfg)
