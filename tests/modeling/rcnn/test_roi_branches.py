"""The branches on RoIs: which there are, in which order, and how one of a user's own takes part."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pet.data.build import make_test_batch
from pet.engine.augmentation import View, with_augmentation
from pet.modeling import registry
from pet.modeling.build import build_model
from pet.modeling.rcnn.roi_branch import RoIBranch
from pet.modeling.rcnn.shared_res5 import SharedRes5
from pet.utils.seed import seed_all
from tests.engine.views import SIZE, in_views, picture
from tests.modeling.rcnn.small import box_targets, noise_images, small_cfg
from tests.modeling.rcnn.test_single_level import c4


@pytest.fixture(autouse=True)
def _own_names(monkeypatch):
    monkeypatch.setattr(registry.ROI_BRANCHES, "_parts", dict(registry.ROI_BRANCHES._parts))


class Own(nn.Module):
    """Says of each box how wide it is, in parts of the view's width."""

    attribute = "Own"

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def losses(self, features, rois, targets):
        return {"loss_own": 0 * self.layer.weight.sum()}

    def add(self, features, detections):
        return [replace(d, extras={"width": self.widths(d)}) for d in detections]

    def widths(self, d):
        return (d.boxes[:, 2] - d.boxes[:, 0]) / d.size[1]


class InViews(Own):
    """Notes the views that it is shown."""

    views_key = "BBOX_AUG"

    def add_in_views(self, views, detections, point_order):
        self.seen = [(view.detections.size, view.flipped) for view in views]
        return replace(detections, extras={"views": torch.full((len(detections),), len(self.seen))})


class OnRes5(Own):
    """Stands on res5 of the box branch, as masks do."""

    shares_res5 = True

    def losses_on_res5(self, foreground, rois, targets):
        self.seen = foreground
        return {"loss_own": foreground.mean()}


def own_cfg(branch: nn.Module, masks: bool = True):
    registry.ROI_BRANCHES.register("own")(lambda source, cfg: branch)
    cfg = small_cfg()
    cfg.MODEL.ROI_BRANCHES, cfg.MODEL.MASK_ON = ("own",), masks
    return cfg


def built(cfg) -> nn.Module:
    seed_all(0)
    return build_model("cpu", cfg)


def test_the_order_of_parts_weights_and_losses():
    cfg = own_cfg(Own())
    cfg.MODEL.KEYPOINT_ON, cfg.KRCNN.NUM_KEYPOINTS = True, 3
    cfg.KRCNN.NUM_CONVS, cfg.KRCNN.CONV_DIM = 1, 8
    model = built(cfg).train()
    parts = ["Conv_Body", "Conv_Body_FPN", "RPN", "Fast_RCNN", "Mask_RCNN", "Keypoint_RCNN", "Own"]
    assert list(dict.fromkeys(key.split(".")[0] for key in model.state_dict())) == parts
    assert [name for name, _ in model.named_children()] == ["Pixel_Norm", *parts]
    assert [branch.attribute for branch in model.branches()] == parts[4:]
    assert all(isinstance(branch, RoIBranch) for branch in model.branches())
    target = box_targets([[10, 10, 60, 50]], [2])
    target = replace(target, keypoints=torch.full((1, 3, 3), 20.0))
    losses = model(noise_images((96, 128)), [target])["losses"]
    assert list(losses)[2:] == [
        *("loss_classifier", "loss_box_reg", "loss_mask", "loss_keypoint", "loss_own")
    ]


def test_branches_that_are_off_are_none():
    cfg = small_cfg()
    cfg.MODEL.MASK_ON = False
    model = built(cfg)
    assert model.Mask_RCNN is model.Keypoint_RCNN is None and model.branches() == []


def test_all_that_share_res5_are_given_it_once(monkeypatch):
    branch = OnRes5()
    model = built(c4(own_cfg(branch))).train()
    calls = []
    predict = SharedRes5.predict
    monkeypatch.setattr(SharedRes5, "predict", lambda *args: calls.append(1) or predict(*args))
    outputs = model(noise_images((96, 128)), [box_targets([[10, 10, 60, 50]], [2])])
    assert list(outputs["losses"])[-2:] == ["loss_mask", "loss_own"] and calls == [1]
    assert branch.seen.shape[1:] == (512, 3, 4)  # of RoIs of 6 x 8


@torch.inference_mode()
def test_a_branch_for_one_view_keeps_what_it_says_there():
    cfg = in_views(own_cfg(Own()), BBOX__ENABLED=True, BBOX__SCALES=(96,), BBOX__H_FLIP=True)
    [found] = with_augmentation(built(cfg).eval(), cfg)(make_test_batch([picture()], cfg))
    assert len(found) > 0 and found.mask_probs is not None and found.size == SIZE
    wanted = (found.boxes[:, 2] - found.boxes[:, 0]) / SIZE[1]
    torch.testing.assert_close(found.extras["width"], wanted)


@torch.inference_mode()
def test_a_branch_for_views_is_shown_them_in_order():
    branch = InViews()
    cfg = in_views(own_cfg(branch), BBOX__ENABLED=True, BBOX__SCALES=(96,), BBOX__H_FLIP=True)
    detector = with_augmentation(built(cfg).eval(), cfg)
    [found] = detector(make_test_batch([picture()], cfg))
    assert branch.seen == [
        ((64, 96), False),
        ((96, 144), False),
        ((64, 96), True),
        ((96, 144), True),
    ]
    assert found.extras["views"].tolist() == [4] * len(found)
    # Of 64 and 96 pixels, straight and mirrored: all are seen by boxes, and by this branch again.
    assert detector.shared_views >= {View(64, 128), View(64, 128, True)}


def test_views_without_a_branch_for_them_are_refused():
    cfg = own_cfg(Own(), masks=False)
    cfg.TEST.MASK_AUG.ENABLED = True  # unchecked, as it is not frozen
    with pytest.raises(ValueError, match=r"TEST\.MASK_AUG\.ENABLED asks for a branch that sees"):
        with_augmentation(built(cfg), cfg)
