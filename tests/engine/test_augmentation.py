from dataclasses import replace

import numpy as np
import pytest
import torch

from pet.config import freeze
from pet.data.build import make_test_batch
from pet.engine.augmentation import AugmentedDetector, View, with_augmentation
from pet.modeling.build import build_model
from pet.modeling.postprocessing import DetectionRule, join_views
from pet.structures import Detections
from pet.utils.autocast import autocast
from pet.utils.seed import seed_all
from tests.engine.views import SIZE, in_views, picture
from tests.modeling.rcnn.small import small_cfg

RULE = DetectionRule(score_thresh=0.0, nms_thresh=0.5, max_per_image=10)


def aug_cfg(**keys: object):
    return in_views(small_cfg(), **keys)


def model_of(cfg):
    seed_all(0)
    return build_model("cpu", cfg).eval()


def originals(cfg, *images: np.ndarray):
    return make_test_batch(images, cfg)


def test_without_augmentation_the_model_is_as_it_was():
    cfg = aug_cfg()
    model = model_of(cfg)
    assert with_augmentation(model, cfg) is model


def test_a_model_of_ones_own_has_no_augmentation():
    with pytest.raises(
        ValueError, match=r"TEST\.BBOX_AUG.* MODEL\.TYPE .*generalized_rcnn.* has no features, "
    ):
        with_augmentation(torch.nn.Identity(), aug_cfg(BBOX__ENABLED=True))


@torch.inference_mode()
def test_one_view_gives_what_the_model_gives():
    plain, cfg = aug_cfg(), aug_cfg(BBOX__ENABLED=True, BBOX__SCALES=(), BBOX__H_FLIP=False)
    model = model_of(cfg)
    [wanted] = model(make_test_batch([picture()], plain))
    wanted = wanted.resized(SIZE)
    [found] = with_augmentation(model, cfg)(originals(cfg, picture()))
    assert found.size == SIZE
    torch.testing.assert_close(found.boxes, wanted.boxes)
    assert torch.equal(found.scores, wanted.scores) and torch.equal(found.labels, wanted.labels)
    torch.testing.assert_close(found.mask_probs, wanted.mask_probs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("method", ["ROIAlign", "ROIPool"])
@torch.inference_mode()
def test_one_view_pools_what_the_model_does_in_bfloat16(method):
    plain, cfg = aug_cfg(), aug_cfg(BBOX__ENABLED=True, BBOX__SCALES=(), BBOX__H_FLIP=False)
    for node in (plain, cfg):
        node.defrost()
        node.FAST_RCNN.ROI_XFORM_METHOD = node.MRCNN.ROI_XFORM_METHOD = method
        freeze(node)
    model = model_of(cfg)
    pooled = []
    for branch in (model.Fast_RCNN, model.Mask_RCNN):
        branch.pooler.register_forward_hook(lambda _, args, out: pooled.append((args[0], out)))
    with autocast(torch.device("cpu"), "bfloat16"):
        model(make_test_batch([picture()], plain))
        with_augmentation(model, cfg)(originals(cfg, picture()))
    (_, wanted_boxes), _, (box_maps, boxes), (mask_maps, _) = pooled
    assert {maps.dtype for maps in (*box_maps, *mask_maps)} == {torch.float32}
    assert torch.equal(boxes, wanted_boxes)


@torch.inference_mode()
def test_a_view_of_boxes_and_masks_is_computed_once():
    cfg = aug_cfg(
        BBOX__ENABLED=True, BBOX__SCALES=(32, 96), MASK__ENABLED=True, MASK__SCALES=(96, 48)
    )
    model = model_of(cfg)
    sizes = []
    model.Conv_Body.register_forward_hook(lambda _, args, out: sizes.append(args[0].shape[2:]))
    detector = with_augmentation(model, cfg)
    [found] = detector(originals(cfg, picture()))
    # Of 64, 32, 96 and 48 pixels, each straight and mirrored.
    assert len(found) and len(sizes) == 8
    detector(originals(cfg, picture(1)))  # which is not taken for the first
    assert len(sizes) == 16


@torch.inference_mode()
def test_a_later_change_of_the_config_is_not_seen():
    cfg = aug_cfg(BBOX__ENABLED=True, BBOX__SCALES=(), BBOX__H_FLIP=False)
    detector = with_augmentation(model_of(cfg), cfg)
    images = originals(cfg, picture())
    [wanted] = detector(images)
    cfg.defrost()
    cfg.INPUT.INTERPOLATION = "pil"
    [found] = detector(images)
    assert torch.equal(found.boxes, wanted.boxes)


@torch.inference_mode()
def test_views_for_masks_alone_leave_the_boxes_as_they_were():
    """A second round of soft NMS would lower their scores once more."""
    cfg = aug_cfg(MASK__ENABLED=True, MASK__SCALES=())
    cfg.defrost()
    cfg.TEST.SOFT_NMS.ENABLED, cfg.TEST.SOFT_NMS.METHOD = True, "gaussian"
    freeze(cfg)
    model = model_of(cfg)
    [wanted] = model(make_test_batch([picture()], cfg, (cfg.TEST.SCALE, cfg.TEST.MAX_SIZE)))
    wanted = wanted.resized(SIZE)
    [found] = with_augmentation(model, cfg)(originals(cfg, picture()))
    assert len(found) and torch.equal(found.scores, wanted.scores)
    torch.testing.assert_close(found.boxes, wanted.boxes)


@torch.inference_mode()
def test_a_mirrored_image_gives_the_mirrored_detections():
    """Both see the same two pictures, in the other order."""
    cfg = aug_cfg(
        BBOX__ENABLED=True, BBOX__SCALES=(), MASK__ENABLED=True, MASK__SCALES=(), MASK__H_FLIP=True
    )
    model = with_augmentation(model_of(cfg), cfg)
    [one] = model(originals(cfg, picture()))
    [other] = model(originals(cfg, np.ascontiguousarray(picture()[:, ::-1])))
    assert len(one) == len(other) > 0
    mirrored = torch.stack(
        [
            SIZE[1] - other.boxes[:, 2],
            other.boxes[:, 1],
            SIZE[1] - other.boxes[:, 0],
            other.boxes[:, 3],
        ],
        dim=1,
    )
    torch.testing.assert_close(one.scores, other.scores)
    torch.testing.assert_close(one.boxes, mirrored, atol=1e-3, rtol=0)
    torch.testing.assert_close(one.mask_probs, other.mask_probs.flip(-1), atol=1e-3, rtol=0)


class Fixed:
    """Stands for a model that finds one box in each view, by the view's size."""

    def __init__(
        self, found: dict[tuple[int, int], tuple[list[float], float]], drop_empty: bool = True
    ) -> None:
        self.found, self.drop_empty = found, drop_empty

    def __call__(self, *_):
        raise AssertionError

    def parameters(self):
        yield torch.zeros(1)

    def features(self, images):
        return [images.tensor]

    def detect_boxes(self, _, sizes):
        box, score = self.found[sizes[0]]
        found = Detections(torch.tensor([box]), torch.tensor([score]), torch.tensor([1]), sizes[0])
        return [replace(found, drop_empty=self.drop_empty)]

    def join(self, found):
        return join_views(found, RULE)


def detector(model: Fixed, views: list[View]) -> AugmentedDetector:
    built = AugmentedDetector(torch.nn.Identity(), {"BBOX_AUG": views}, aug_cfg(BBOX__ENABLED=True))
    built.__dict__["_modules"].pop("model")
    object.__setattr__(built, "model", model)
    return built


def test_views_are_joined_by_nms_in_pixels_of_the_image_by_hand():
    # The image is 40 x 60. Twice as large, the model finds [20, 20, 60, 40], which is
    # [10, 10, 30, 20] in the image; as it is, a lower-scored box beside it, IoU 19 / 21.
    model = Fixed(
        {(80, 120): ([20.0, 20.0, 60.0, 40.0], 0.9), (40, 60): ([11.0, 10.0, 31.0, 20.0], 0.8)}
    )
    views = [View(40, 100), View(80, 200)]
    [found] = detector(model, views)(originals(aug_cfg(BBOX__ENABLED=True), picture()))
    assert found.boxes.tolist() == [[10.0, 10.0, 30.0, 20.0]]
    assert found.scores.tolist() == pytest.approx([0.9])


def test_a_mirrored_view_is_mirrored_back_by_hand():
    model = Fixed({(40, 60): ([5.0, 10.0, 15.0, 20.0], 0.9)})
    views = [View(40, 100, flipped=True)]
    [found] = detector(model, views)(originals(aug_cfg(BBOX__ENABLED=True), picture()))
    assert found.boxes.tolist() == [[45.0, 10.0, 55.0, 20.0]]


@pytest.mark.parametrize("drop_empty", [True, False])
def test_joined_views_keep_the_empty_boxes_that_each_would(drop_empty):
    model = Fixed({(40, 60): ([60.0, 10.0, 60.0, 20.0], 0.9)}, drop_empty)
    views = [View(40, 100), View(40, 100, flipped=True)]
    [found] = detector(model, views)(originals(aug_cfg(BBOX__ENABLED=True), picture()))
    assert len(found) == len(found.resized(SIZE)) == (0 if drop_empty else 2)


def test_the_config_names_the_views():
    cfg = aug_cfg(BBOX__ENABLED=True, BBOX__SCALES=(32, 96), BBOX__MAX_SIZE=300)
    built = with_augmentation(model_of(cfg), cfg)
    straight = [View(64, 128), View(32, 300), View(96, 300)]
    mirrored = [View(view.short_side, view.max_size, True) for view in straight]
    assert list(built.views["BBOX_AUG"]) == straight + mirrored
    assert built.views["MASK_AUG"] == built.views["KPS_AUG"] == (View(64, 128),)


@torch.inference_mode()
def test_nothing_found_in_any_view():
    cfg = aug_cfg(BBOX__ENABLED=True, MASK__ENABLED=True)
    model = model_of(cfg)
    model.Fast_RCNN.detection_rule = DetectionRule(
        score_thresh=1.0, nms_thresh=0.5, max_per_image=10
    )
    [found] = with_augmentation(model, cfg)(originals(cfg, picture()))
    assert len(found) == 0 and found.mask_probs.shape == (0, 28, 28)
