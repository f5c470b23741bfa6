"""What Detectron2 makes of predictions, and of targets, each fact with values worked out by hand.

What is tested is built from the YAMLs under cfgs/rcnn/detectron2/.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pet.layers.roi_pooler import RoIPooler, assign_levels
from pet.modeling.rcnn.fast_rcnn import FastRCNN, build_fast_rcnn, select_detections
from pet.modeling.rcnn.mask_rcnn import build_mask_rcnn
from pet.modeling.rcnn.roi_sampling import SampledRoIs, sample_rois
from pet.modeling.rcnn.rpn import build_rpn
from pet.structures import Detections, Targets
from pet.weights.formats import find_importer
from tests.exactness.detectron2_cfg import R_50, SCALES, TORCHVISION, A, B, C, cfg_of, close
from tests.modeling.rcnn.small import losses_of_all

# Pooling -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "ours", "torchvisions"),
    [
        # log2(112 / 224) = -1 and 4 - 1 = 3, the second level; 224 and 448 likewise.
        (112.0, 1, 1),
        (224.0, 2, 2),
        (448.0, 3, 3),
        # A hair below, by 3.6e-7 of the side, the level falls short by 5.2e-7: rounded down, but
        # not behind torchvision's 1e-6. The 1e-8 on the ratio is too little to matter.
        (111.99996, 0, 1),
        (223.99992, 1, 2),
        (447.99984, 2, 3),
        # By 1.8e-6 of the side, the level falls short by 2.6e-6: below for both.
        (111.9998, 0, 0),
        (223.9996, 1, 1),
        (447.9992, 2, 2),
        (0.0, 0, 0),
        (2000.0, 3, 3),
    ],
)
def test_levels_at_their_boundaries(side, ours, torchvisions):
    box = torch.tensor([[0.0, 0.0, side, side]])
    for name, wanted in ((R_50, ours), (TORCHVISION, torchvisions)):
        cfg = cfg_of(name)
        for build in (build_fast_rcnn, build_mask_rcnn):
            pooler = build(8, SCALES, 3, cfg).pooler
            assert assign_levels(box, pooler.spatial_scales, pooler.level_rule).item() == wanted


def pool(name: str, feature: Tensor, box: list[float], cells: int) -> list[float]:
    """Pool a row of ``feature`` at stride 4 into ``cells``, with the pooling of a YAML."""
    pooler = build_fast_rcnn(1, SCALES, 3, cfg_of(name)).pooler
    own = RoIPooler(
        pooler.method,
        resolution=(1, cells),
        sampling_ratio=pooler.sampling_ratio,
        spatial_scales=SCALES[:1],
        aligned=pooler.aligned,
    )
    rows = feature.expand(1, 1, 12, len(feature)).contiguous()
    return own([rows], [torch.tensor([box])])[0, 0, 0].tolist()


def test_pooling_is_aligned_and_samples_as_often_as_there_are_pixels():
    ramp = torch.arange(12.0)
    # Columns 8 / 4 - 0.5 = 1.5 to 24 / 4 - 0.5 = 5.5, so two cells with their middles at 2.5 and
    # 4.5; without the half pixel 3 and 5.
    box = [8.0, 8.0, 24.0, 24.0]
    close(pool(R_50, ramp, box, 2), [2.5, 4.5])
    close(pool(TORCHVISION, ramp, box, 2), [3.0, 5.0])
    # From 1.5 to 6.5 in one cell: points on 2, 3, 4, 5 and 6, one of them on the only pixel that is
    # not 0. Of two points from 2 to 7, not aligned, that on 3.25 sees a quarter of it, that on 5.75
    # nothing.
    impulse = (ramp == 4).float()
    close(pool(R_50, impulse, [8.0, 8.0, 28.0, 24.0], 1), [0.2])
    close(pool(TORCHVISION, impulse, [8.0, 8.0, 28.0, 24.0], 1), [0.125])
    # Half a pixel wide, it is read in its middle, 1.75; not aligned it would be widened to a pixel.
    close(pool(R_50, ramp, [8.0, 8.0, 10.0, 24.0], 1), [1.75])
    close(pool(TORCHVISION, ramp, [8.0, 8.0, 10.0, 24.0], 1), [2.5])


# Detections --------------------------------------------------------------------------------------


class Fixed(nn.Module):
    """Stands in for a part of the model, and returns what it is told to."""

    def __init__(self, *values: Tensor | None) -> None:
        super().__init__()
        self.values = values

    def forward(self, *_inputs: object) -> object:
        return self.values if len(self.values) > 1 else self.values[0]


def box_branch(logits: list[list[float]], deltas: Tensor, **rule) -> FastRCNN:
    """Return the branch of the YAML for two classes, its predictions fixed."""
    branch = build_fast_rcnn(1, SCALES, 3, cfg_of())
    branch.detection_rule = replace(branch.detection_rule, **rule)
    branch.pooler, branch.head = Fixed(None), Fixed(None)
    branch.predictor = Fixed(torch.tensor(logits), deltas)
    return branch


def found_by(branch: FastRCNN, proposals: list[list[float]]) -> list[tuple[int, float, list]]:
    [found] = branch.detect([], [torch.tensor(proposals)], [(60, 45)])
    return [
        (label, round(score, 6), [round(side, 4) for side in box])
        for label, score, box in zip(
            found.labels.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True
        )
    ]


def test_a_detection_is_scored_by_softmax_decoded_and_clipped():
    deltas = torch.zeros(1, 3, 4)
    # Of 20 x 40 pixels around (20, 30): by 5 / 10 of the width to 30, by -10 / 10 of the height to
    # -10, exp(5 log(2) / 5) = 2 times as wide, as high as before.
    deltas[0, 1] = torch.tensor([5.0, -10.0, 5 * math.log(2), 0.0])
    deltas[0, 0] = 99.0  # the background has no box
    # Background 1 / 4, class 1 2 / 4 and class 2 1 / 4.
    logits = [[0.0, math.log(2), 0.0]]
    first, second = (1, 0.5, [10, 0, 45, 10]), (2, 0.25, [10, 10, 30, 50])
    proposals = [[10.0, 10.0, 30.0, 50.0]]
    assert found_by(box_branch(logits, deltas), proposals) == [first, second]
    # A score must be above the threshold, not at it.
    assert found_by(box_branch(logits, deltas, score_thresh=0.25), proposals) == [first]


def test_detections_suppress_their_own_class_above_half():
    logits = [[0.0, 9.0, 8.9], [0.0, 8.8, -9.0]]
    branch = box_branch(logits, torch.zeros(2, 3, 4), score_thresh=0.1)
    half, more = [10.0, 10.0, 20.0, 15.0], [10.0, 10.0, 20.0, 15.1]
    whole = [10.0, 10.0, 20.0, 20.0]
    # 50 / 100 is let through, 51 / 100 not; of the other class there is nothing in the way.
    assert [label for label, _, _ in found_by(branch, [whole, half])] == [1, 1, 2]
    assert [label for label, _, _ in found_by(branch, [whole, more])] == [1, 2]


def test_an_empty_detection_takes_a_place_until_the_boxes_are_scaled():
    # A hundred boxes in a grid and, of the best score, one right of the image.
    corners = torch.cartesian_prod(torch.arange(10.0), torch.arange(10.0)) * 10
    boxes = torch.cat((corners, corners + 8), dim=1)
    boxes = torch.cat((torch.tensor([[101.0, 0.0, 120.0, 9.0]]), boxes))
    scores = torch.linspace(0.9, 0.1, 101)
    rule = build_fast_rcnn(1, SCALES, 2, cfg_of()).detection_rule
    found = select_detections(
        boxes[:, None].expand(-1, 2, -1), torch.stack((1 - scores, scores), 1), (100, 100), rule
    )
    assert len(found) == 100
    assert found.boxes[0].tolist() == [100, 0, 100, 9]
    assert torch.equal(found.boxes[1:], boxes[1:100])  # the last box had to go
    scaled = found.resized((200, 300))
    assert len(scaled) == 99
    assert scaled.boxes[1].tolist() == [0, 20, 24, 36]  # 0, 10, 8, 18 by 3 and by 2


def test_detections_are_scaled_by_both_sides_and_clipped_again():
    boxes = torch.tensor([[30.0, 20.0, 150.0, 100.0], [0.0, 1.0, 15.0, 50.5]])
    found = Detections(boxes, torch.ones(2), torch.ones(2).long(), (100, 150)).resized((201, 299))
    # By 299 / 150 = 1.99333 and by 201 / 100 = 2.01.
    close(found.boxes, [[59.8, 40.2, 299.0, 201.0], [0.0, 2.01, 29.9, 101.505]])
    assert found.boxes[:, 2].max() <= 299 and found.boxes[:, 3].max() <= 201


def test_the_background_is_last_in_the_file_and_0_in_pet():
    predictor = "roi_heads.box_predictor"
    state = {
        "backbone.bottom_up.stem.conv1.weight": torch.zeros(1, 3, 7, 7),
        f"{predictor}.cls_score.bias": torch.tensor([0.1, 0.2, 0.9]),  # two classes, background
        f"{predictor}.bbox_pred.bias": torch.arange(1.0, 9.0),  # four of each class
        "roi_heads.mask_head.predictor.bias": torch.tensor([5.0, 6.0]),
    }
    importer = find_importer(state)
    assert importer is not None
    converted = importer.convert(state).state
    close(converted["Fast_RCNN.predictor.cls_score.bias"], [0.9, 0.1, 0.2])
    # What is not in the file is not read.
    assert converted["Fast_RCNN.predictor.bbox_pred.bias"][4:].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert converted["Mask_RCNN.predictor.mask_logits.bias"][1:].tolist() == [5, 6]


# Masks -------------------------------------------------------------------------------------------


def test_the_mask_head_has_four_convolutions_a_deconvolution_and_a_mask_for_each_class():
    with torch.device("meta"):
        branch = build_mask_rcnn(256, SCALES, 81, cfg_of())
    found = {name: tuple(value.shape) for name, value in branch.state_dict().items()}
    wanted = {f"head.convs.{n}.weight": (256, 256, 3, 3) for n in range(4)}
    wanted |= {f"head.convs.{n}.bias": (256,) for n in range(4)}
    wanted |= {"predictor.deconv.weight": (256, 256, 2, 2), "predictor.deconv.bias": (256,)}
    wanted |= {"predictor.mask_logits.weight": (81, 256, 1, 1), "predictor.mask_logits.bias": (81,)}
    assert found == wanted
    pooled = torch.zeros(2, 256, 14, 14, device="meta")
    labels = torch.zeros(2, dtype=torch.long, device="meta")
    assert branch.predictor(branch.head(pooled), labels).shape == (2, 28, 28)


class FixedMasks(nn.Module):
    """Stands in for a mask predictor, and gives ``logits`` (K + 1, M, M) to every RoI."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, _: object, labels: Tensor) -> Tensor:
        return self.logits[labels]


def detect_masks(logits: Tensor, box: list[float], size: tuple[int, int]) -> Detections:
    """Return what the branch of the YAML makes of ``logits`` (K + 1, M, M) for label 2."""
    branch = build_mask_rcnn(1, SCALES, 3, cfg_of())
    branch.pooler, branch.head = Fixed(None), Fixed(None)
    branch.predictor = FixedMasks(logits)
    found = Detections(torch.tensor([box]), torch.ones(1), torch.tensor([2]), size)
    return branch.add([], [found])[0]


def test_a_mask_is_the_sigmoid_of_its_class():
    logits = torch.tensor([9.0, 8.0, math.log(3)])[:, None, None].expand(3, 28, 28)
    found = detect_masks(logits, [0.0, 0.0, 9.0, 9.0], (9, 9))
    assert found.mask_probs is not None
    close(found.mask_probs, [[[0.75] * 28] * 28])  # 3 / (1 + 3)


def drawn(row: list[float], box: list[float]) -> str:
    """Return one row of pixels of a mask whose rows have the probabilities ``row``."""
    logits = torch.tensor(row).logit().expand(3, len(row), len(row))
    found = detect_masks(logits, box, (32, 12))
    assert found.masks is not None
    return "".join("#" if bit else "." for bit in found.masks[0, 20].tolist())


def test_a_mask_is_sampled_at_the_centres_of_pixels_and_kept_from_a_half_on():
    # Two cells on x = 2 .. 10, with their centres at 4 and 8. The centre 5.5 is 3/8 of the way:
    # 5/8, foreground; 6.5 has 3/8. Left of 4, what is missing of the cell fades to zero: 5/8 at
    # 2.5, the first pixel of the box, and no pixel beyond it, as there is neither a rim nor a + 1.
    assert drawn([1.0, 0.0], [2.0, 0.0, 10.0, 32.0]) == "..####......"
    # A half is foreground.
    assert drawn([0.5, 0.5], [2.0, 0.0, 10.0, 32.0]) == "....####...."
    assert drawn([0.4999, 0.4999], [2.0, 0.0, 10.0, 32.0]) == "." * 12
    # Boxes are not rounded: one from 2.4 to 9.6 holds the centre 2.5, one from 2.6 does not.
    assert drawn([1.0, 1.0], [2.4, 0.0, 9.6, 32.0]) == "..########.."
    assert drawn([1.0, 1.0], [2.6, 0.0, 9.4, 32.0]) == "...######..."
    # At the image's border what hangs over is cut off.
    assert drawn([1.0, 1.0], [-4.0, 0.0, 4.0, 32.0]) == "####........"


# Training ----------------------------------------------------------------------------------------

GT = Targets(torch.tensor([A]), torch.tensor([1]), (100, 100), image_id=1)


def test_rpn_losses_are_l1_and_divided_by_256_an_image():
    rule = build_rpn(8, cfg_of()).loss_rule
    # An anchor on the ground truth and one on nothing, both of logit 0: a loss of log(2) each.
    deltas = torch.tensor([[[0.01, -0.02, 0.03, 0.0], [9.0, 9.0, 9.0, 9.0]]])
    losses = losses_of_all(torch.zeros(1, 2), deltas, torch.tensor([A, B]), [GT], rule)
    close(losses["loss_objectness"], 2 * math.log(2) / 256, atol=1e-7)
    close(losses["loss_rpn_box_reg"], 0.06 / 256, atol=1e-7)


def test_box_losses_are_l1_and_divided_by_all_rois():
    deltas = torch.zeros(4, 3, 4)
    deltas[0, 1] = torch.tensor([0.01, 0.02, -0.03, 0.04])
    deltas[0, 2] = deltas[1:] = 9.0  # of another class, and of the background
    branch = box_branch([[0.0, 0.0, 0.0]] * 4, deltas)
    rois = SampledRoIs(torch.tensor([A, B, B, C]), torch.tensor([1, 0, 0, 0]), torch.tensor([0]))
    losses, _ = branch.losses([], [rois], [GT])
    close(losses["loss_classifier"], math.log(3), atol=1e-6)
    close(losses["loss_box_reg"], 0.1 / 4, atol=1e-6)


def test_ground_truth_is_among_the_sampled_rois():
    rule = build_fast_rcnn(1, SCALES, 3, cfg_of()).sampling_rule
    assert (rule.batch_size, rule.positive_fraction) == (512, 0.25)
    [rois] = sample_rois([torch.tensor([B])], [GT], rule)
    assert rois.boxes.tolist() == [A, B]
    # An overlap of just a half is foreground.
    [rois] = sample_rois([torch.tensor([[0.0, 0.0, 10.0, 5.0]])], [GT], rule)
    assert rois.labels.tolist() == [1, 1]
