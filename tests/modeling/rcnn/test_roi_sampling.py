import torch

from pet.modeling.rcnn.roi_sampling import RoISamplingRule, match_rois, sample_rois
from tests.modeling.rcnn.small import box_targets, random_boxes

RULE = RoISamplingRule(fg_iou=0.5, bg_iou=0.5, batch_size=16, positive_fraction=0.25)
TARGET = box_targets([[0, 0, 20, 20], [40, 40, 80, 60]], [3, 1])


def test_labels_and_matches_by_hand():
    proposals = torch.tensor(
        [
            [100.0, 0.0, 120.0, 20.0],  # overlaps nothing
            [40.0, 40.0, 80.0, 80.0],  # IoU 0.5 with the second box
            [0.0, 0.0, 20.0, 9.0],  # IoU 0.45 with the first
        ]
    )
    torch.manual_seed(0)
    [rois] = sample_rois([proposals], [TARGET], RULE)
    assert rois.num_foreground == 3
    # The proposal comes before the ground truth, which is always among the candidates.
    assert rois.foreground_boxes.tolist() == [
        [40.0, 40.0, 80.0, 80.0],
        [0.0, 0.0, 20.0, 20.0],
        [40.0, 40.0, 80.0, 60.0],
    ]
    assert rois.matched.tolist() == [1, 0, 1]
    assert rois.foreground_labels.tolist() == [1, 3, 1]
    assert rois.labels.tolist() == [1, 3, 1, 0, 0]
    assert rois.boxes[3:].tolist() == [proposals[0].tolist(), proposals[2].tolist()]


def test_what_lies_between_the_thresholds_is_not_sampled():
    proposals = torch.tensor([[0.0, 0.0, 20.0, 9.0], [100.0, 0.0, 120.0, 20.0]])
    rule = RoISamplingRule(fg_iou=0.5, bg_iou=0.4, batch_size=16, positive_fraction=0.25)
    [rois] = sample_rois([proposals], [TARGET], rule)
    assert rois.labels.tolist() == [3, 1, 0]


def test_counts_and_order():
    torch.manual_seed(0)
    near = TARGET.boxes[torch.arange(200) % 2] + torch.rand(200, 4)
    proposals = torch.cat([random_boxes(300, (96, 128)), near])
    [rois] = sample_rois([proposals], [TARGET], RULE)
    assert (len(rois.boxes), rois.num_foreground) == (16, 4)
    assert (rois.labels[:4] > 0).all() and (rois.labels[4:] == 0).all()
    assert torch.equal(rois.foreground_labels, TARGET.labels[rois.matched])


def test_an_image_without_ground_truth_is_background():
    [rois] = sample_rois([random_boxes(40, (96, 128))], [box_targets([], [])], RULE)
    assert rois.labels.tolist() == [0] * 16
    assert rois.labels.dtype == rois.matched.dtype == torch.int64
    assert rois.foreground_boxes.shape == (0, 4)


def test_without_proposals_the_ground_truth_is_what_there_is():
    none = torch.zeros(0, 4)
    full, empty = sample_rois([none, none], [TARGET, box_targets([], [])], RULE)
    assert full.labels.tolist() == [3, 1]
    assert torch.equal(full.boxes, TARGET.boxes)
    assert empty.boxes.shape == (0, 4)
    assert empty.labels.shape == (0,)


def test_the_seed_decides():
    proposals = random_boxes(300, (96, 128))
    picks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        picks.append(sample_rois([proposals], [TARGET], RULE)[0].boxes)
    assert torch.equal(picks[0], picks[1])
    assert not torch.equal(picks[0], picks[2])


def test_all_boxes_are_matched_and_none_is_added():
    target = box_targets([[0, 0, 10, 10]], [3])
    boxes = torch.tensor([[0, 0, 10, 5], [0, 0, 10, 8], [50, 50, 60, 60]]).float()
    [rois] = match_rois([boxes], [target], 0.5)
    assert rois.boxes.tolist() == boxes.tolist() and rois.labels.tolist() == [3, 3, 0]
    [rois] = match_rois([boxes], [target], 0.6)
    assert rois.boxes.tolist() == boxes[[1, 0, 2]].tolist()
    assert rois.labels.tolist() == [3, 0, 0] and rois.matched.tolist() == [0]
