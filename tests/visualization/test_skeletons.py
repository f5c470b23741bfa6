import numpy as np
import torch

from pet.structures import Detections, KeypointLayout, Targets
from pet.visualization.draw import PALETTE, draw_detections, draw_targets
from pet.visualization.skeletons import draw_keypoints

SKELETON = ((0, 1), (1, 2))
LAYOUT = KeypointLayout(("a", "b", "c"), SKELETON)
COLOR = (10, 200, 30)


def has_color(picture, color) -> np.ndarray:
    return (picture == np.array(color)).all(axis=-1)


def test_points_and_limbs_lie_where_they_are():
    picture = np.full((100, 100, 3), 128, np.uint8)
    points = np.array([[20.5, 30.5, 2.0], [80.5, 30.5, 1.0], [80.5, 90.5, 0.0]])
    draw_keypoints(picture, points, SKELETON, COLOR, line=2)
    assert has_color(picture[30, 20], (245, 245, 245)) and has_color(picture[30, 80], (245,) * 3)
    assert has_color(picture[30, 30:70], COLOR).all()
    # The third point is not labelled: neither it nor its limb is drawn.
    assert (picture[40:] == 128).all()


def test_hardly_probable_points_are_left_out():
    picture = np.full((100, 100, 3), 128, np.uint8)
    draw_keypoints(picture, np.array([[20.5, 30.5, 0.04]]), (), COLOR, line=2)
    assert (picture == 128).all()


def test_detections_and_targets_are_drawn_with_their_points():
    image = np.full((700, 800, 3), 128, np.uint8)
    boxes = torch.tensor([[100.0, 100.0, 700.0, 600.0]])
    points = torch.tensor([[[200.0, 300.0, 1.0], [600.0, 300.0, 1.0], [300.0, 500.0, 1.0]]])
    labels = torch.ones(1, dtype=torch.int64)
    found = Detections(boxes, torch.ones(1), labels, (700, 800), keypoints=points)
    targets = Targets(boxes, labels, (700, 800), 1, keypoints=points)
    for picture in (
        draw_detections(image, found, ("person",), layout=LAYOUT),
        draw_targets(image, targets, ("person",), LAYOUT),
    ):
        assert has_color(picture[299:301, 300:500], PALETTE[0]).any(axis=0).all()
        assert has_color(picture[495:505, 295:305], (245, 245, 245)).any()


def test_points_grow_with_a_small_picture():
    image = np.full((100, 100, 3), 128, np.uint8)  # enlarged sixfold
    points = torch.tensor([[[20.0, 50.0, 2.0], [80.0, 50.0, 2.0]]])
    labels = torch.ones(1, dtype=torch.int64)
    boxes = torch.tensor([[10.0, 10.0, 90.0, 90.0]])
    targets = Targets(boxes, labels, (100, 100), 1, keypoints=points)
    picture = draw_targets(image, targets, ("person",), KeypointLayout(("a", "b"), ((0, 1),)))
    assert has_color(picture[299:301, 150:450], PALETTE[0]).any(axis=0).all()
