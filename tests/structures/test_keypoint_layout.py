import pytest
import torch

from pet.config import default_cfg
from pet.structures import Detections, KeypointLayout, Targets
from pet.structures.keypoint_layout import COCO_PERSON


def test_sides_change_places_in_the_mirror():
    layout = KeypointLayout(("tail", "left_ear", "right_ear", "left", "right_eye", "left_eye"))
    assert layout.flip_order() == (0, 2, 1, 3, 5, 4)
    assert KeypointLayout(()).flip_order() == ()


def test_a_side_without_partner_is_named():
    with pytest.raises(ValueError, match="'left_ear' without 'right_ear'; name the two si") as got:
        KeypointLayout(("nose", "left_ear")).flip_order()
    assert "TRAIN." not in str(got.value)  # whoever mirrors knows which key does


def test_cocos_people():
    sigmas = default_cfg().KRCNN.SIGMAS
    assert len(COCO_PERSON) == len(sigmas) == 17
    assert COCO_PERSON.flip_order() == (0, *(p for n in range(1, 17, 2) for p in (n + 1, n)))
    limbs = {(COCO_PERSON.names[a], COCO_PERSON.names[b]) for a, b in COCO_PERSON.skeleton}
    assert len(limbs) == 19
    assert {
        ("left_knee", "left_hip"),
        ("nose", "left_eye"),
        ("right_elbow", "right_wrist"),
    } <= limbs
    # A pair has one sigma.
    assert [sigmas[p] for p in COCO_PERSON.flip_order()] == list(sigmas)


def detections() -> Detections:
    return Detections(
        torch.tensor([[1.0, 1.0, 5.0, 5.0], [8.0, 1.0, 9.0, 2.0]]),
        torch.tensor([0.9, 0.8]),
        torch.tensor([1, 1]),
        (10, 10),
        keypoints=torch.tensor([[[2.0, 3.0, 0.5]], [[20.0, -1.0, 0.25]]]),
    )


def test_detections_take_their_keypoints_along():
    found = detections()
    assert found[torch.tensor([1])].keypoints.tolist() == [[[20, -1, 0.25]]]
    assert found.to("cpu").keypoints.tolist() == found.keypoints.tolist()
    larger = found.resized((20, 40))
    assert larger.keypoints.tolist() == [[[8, 6, 0.5]], [[80, -2, 0.25]]]  # not clipped
    none = found[torch.zeros(0, dtype=torch.int64)]
    assert none.resized((20, 40)).keypoints.shape == (0, 1, 3)


def test_an_empty_detection_goes_with_its_keypoints():
    found = Detections(
        torch.tensor([[3.0, 3.0, 3.0, 5.0], [8.0, 1.0, 9.0, 2.0]]),
        torch.tensor([0.9, 0.8]),
        torch.tensor([1, 1]),
        (10, 10),
        keypoints=torch.tensor([[[2.0, 3.0, 0.5]], [[8.5, 1.5, 0.25]]]),
    )
    assert found.resized((10, 10)).keypoints.tolist() == [[[8.5, 1.5, 0.25]]]


def test_targets_have_keypoints_for_every_box():
    boxes, labels = torch.zeros(2, 4), torch.ones(2, dtype=torch.int64)
    targets = Targets(boxes, labels, (4, 4), 1, keypoints=torch.ones(2, 5, 3))
    assert targets.to("cpu").keypoints.shape == (2, 5, 3)
    with pytest.raises(AssertionError):
        Targets(boxes, labels, (4, 4), 1, keypoints=torch.ones(1, 5, 3))
    with pytest.raises(AssertionError):
        Targets(boxes, labels, (4, 4), 1, keypoints=torch.ones(2, 5, 2))
