"""Boxes and their best anchors, against all anchors of a picture."""

import numpy as np
import pytest
import torch

from pet.config import default_cfg, freeze, merge_cfg_from_list
from pet.data.sample import Sample
from pet.data.transforms.resize import Resize
from pet.engine.data_check.anchors import best_iou, best_shape_iou
from pet.engine.data_check.checked_set import Boxes
from pet.engine.data_check.findings import NOTE, WARNING
from pet.engine.data_check.network_size import NetworkSizes, training_sizes
from pet.modeling.abilities import anchor_rule
from pet.modeling.build import build_model
from pet.ops.boxes import box_iou
from pet.structures import ImageInfo
from tests.engine.data_check.small_sets import kinds, the


def cfg_of(*pairs):
    node = default_cfg()
    merge_cfg_from_list(["FPN.FPN_ON", True, *pairs], node)
    freeze(node)
    return node


RETINANET = ("MODEL.RETINANET_ON", True, "FPN.BODY", "fpn_p6p7")
MODELS = {
    "fpn": (),
    "rounded and spaced by size": ("RPN.ANCHOR_ROUNDED", True, "RPN.ANCHOR_STEP_FROM_SIZE", True),
    "retinanet": RETINANET,
    "one level": (
        *("FPN.FPN_ON", False, "RPN.ANCHOR_STRIDE", "(16,)", "BACKBONE.OUT_STAGE", 4),
        *("FAST_RCNN.ROI_BOX_HEAD", "roi_res5_head"),
    ),
}


def random_boxes(count: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 1, (count, 2, 2)), axis=1) * (width, height)
    corners[:, 1] += 1
    return corners.reshape(count, 4)


@pytest.mark.parametrize("pairs", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("size", [(96, 160), (200, 130)])
def test_the_best_anchor_is_that_of_all(pairs, size):
    generator = anchor_rule(cfg_of(*pairs)).anchors
    padded = [-(-side // 32) * 32 for side in size]
    maps = [torch.zeros(1, 1, *(-(-side // s) for side in padded)) for s in generator.strides]
    boxes = random_boxes(60, *size)
    anchors = torch.cat(generator(maps)).double()
    wanted = box_iou(torch.from_numpy(boxes), anchors).max(dim=1).values.numpy()
    found = best_iou(boxes, np.tile(padded, (len(boxes), 1)), generator)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    centred = best_shape_iou(boxes, generator.cells.reshape(-1, 4).double().numpy())
    if not generator.step_from_size:
        assert (centred >= found - 1e-6).all()


def test_the_best_shape_by_hand():
    cells = np.array([[-16.0, -16, 16, 16], [-8, -8, 8, 8]])
    boxes = np.array([[5.0, 5, 37, 37], [0, 0, 16, 32], [0, 0, 4, 4]])
    np.testing.assert_allclose(best_shape_iou(boxes, cells), [1, 0.5, 16 / 256])


@pytest.mark.parametrize(
    "pairs",
    [(), RETINANET],
    ids=["rpn", "retinanet"],
)
def test_the_anchors_are_those_of_the_model(pairs):
    cfg = cfg_of("MODEL.CONV_BODY", "resnet18_1x64d", "MODEL.NUM_CLASSES", 3, *pairs)
    model, rule = build_model(torch.device("cpu"), cfg), anchor_rule(cfg)
    own = (model.RPN or model.RetinaNet).anchors
    assert torch.equal(own.cells, rule.anchors.cells) and own.strides == rule.anchors.strides
    assert rule.fg_iou == (0.5 if pairs else 0.7)


# The size in training ----------------------------------------------------------------------------


@pytest.mark.parametrize("rounding", ["half_up", "floor"])
def test_boxes_are_resized_as_in_training(rounding):
    size, box = (61, 97), torch.tensor([[3.0, 5, 20, 40]])
    info = ImageInfo(1, *size, "a")
    sample = Sample(np.zeros((*size, 3), np.uint8), info, box, torch.ones(1).long(), None)
    wanted = Resize((40,), 60, "opencv", rounding)(sample, np.random.default_rng(0))
    sizes = NetworkSizes((40,), 60, rounding, "TRAIN.SCALES")
    old = np.array([[9, 9], size])
    new = sizes.resized(old, 40)
    assert tuple(new[1]) == wanted.size
    one = np.ones(1, np.int64)
    boxes = Boxes(numbers=one, labels=one, images=one, corners=box.double().numpy())
    np.testing.assert_allclose(boxes.resized(old, new), wanted.boxes, rtol=1e-6)


def test_scales_to_look_at():
    assert training_sizes(cfg_of("TRAIN.SCALES", "(800, 640)")).scales == (640, 800)
    many = str(tuple(range(480, 801)))
    assert training_sizes(cfg_of("TRAIN.SCALES", many)).scales == (480, 560, 640, 720, 800)
    stored = training_sizes(cfg_of("TRAIN.TRANSFORMS", "('random_horizontal_flip',)"))
    assert stored.scales == (0,)
    assert stored.resized(np.array([[7, 9]]), 0).tolist() == [[7, 9]]


# Findings ----------------------------------------------------------------------------------------


def test_boxes_without_anchors(data):
    """Twelve boxes are 16 x 16, as an anchor, where there is one; twelve are 24 x 28."""
    other = {"RPN__ANCHOR_SIZES": (24, 48, 96, 192, 384), "RPN__FG_IOU_THRESHOLD": 0.9}
    found = the(data.check(**other), "boxes-without-anchors")
    assert found.severity == WARNING and "24 boxes of 24 (100 %)" in found.text
    assert "RPN.FG_IOU_THRESHOLD" in found.text and "RPN.ANCHOR_SIZES" in found.remedy
    shares = the(data.check(RPN__FG_IOU_THRESHOLD=0.9), "boxes-without-anchors")
    assert shares.severity == NOTE and "12 boxes of 24 (50 %)" in shares.text
    assert shares.where.annotation_ids == tuple(range(2, 25, 2))


def test_boxes_smaller_than_all_anchors(data):
    report = data.check(RPN__ANCHOR_SIZES=(64, 128, 256, 512, 1024))
    below = the(report, "boxes-below-anchors")
    assert below.severity == WARNING and "24 boxes of 24 (100 %)" in below.text
    assert "smallest anchor, 64 px" in below.text
    assert "RPN.ANCHOR_SIZES" in below.remedy and "TRAIN.SCALES" in below.remedy
    far = the(report, "boxes-far-from-anchors")
    assert "all of TRAIN.SCALES" not in far.text and "at TRAIN.SCALES 48" in far.text
    larger = data.check(RPN__ANCHOR_SIZES=(64, 128, 256, 512, 1024), TRAIN__SCALES=(192,))
    assert "boxes-below-anchors" not in kinds(larger)  # 16 px become 64


def test_a_box_counts_if_no_scale_fits(data):
    sizes = {"RPN__ANCHOR_SIZES": (64, 128, 256, 512, 1024), "TRAIN__MAX_SIZE": 400}
    report = data.check(TRAIN__SCALES=(48, 192), **sizes)
    assert kinds(report).get("boxes-below-anchors") is None
    fits = report.summaries[0].fits
    assert [(fit.scale, fit.smaller.mean()) for fit in fits] == [(48, 1), (192, 0)]


def test_a_model_that_tells_no_anchors(data, monkeypatch):
    monkeypatch.setattr("pet.engine.data_check.check.anchor_rule", lambda cfg: None)
    report = data.check()
    assert report.findings == () and report.summaries[0].fits == ()
