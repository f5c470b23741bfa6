import numpy as np
import pytest
import torch

from pet.data.build import make_test_batch
from pet.engine.augmentation import with_augmentation
from pet.modeling.build import build_model
from pet.ops.keypoints import flip_keypoints
from pet.structures import KeypointLayout
from pet.utils.autocast import autocast
from pet.utils.seed import seed_all
from tests.engine.views import SIZE, in_views, picture
from tests.modeling.rcnn.small import small_cfg

LAYOUT = KeypointLayout(("nose", "left_ear", "right_ear"))


def keypoint_cfg(**keys: object):
    cfg = small_cfg()
    cfg.MODEL.KEYPOINT_ON, cfg.MODEL.MASK_ON = True, False
    cfg.KRCNN.NUM_KEYPOINTS, cfg.KRCNN.NUM_CONVS, cfg.KRCNN.CONV_DIM = 3, 1, 8
    return in_views(cfg, **keys)


def model_of(cfg):
    seed_all(0)
    model = build_model("cpu", cfg).eval()
    torch.nn.init.normal_(model.Keypoint_RCNN.predictor.deconv.weight)  # no heatmap is flat
    return model


@torch.inference_mode()
def test_one_view_gives_what_the_model_gives():
    plain, cfg = keypoint_cfg(), keypoint_cfg(KPS__ENABLED=True, KPS__SCALES=(), KPS__H_FLIP=False)
    model = model_of(cfg)
    [wanted] = model(make_test_batch([picture()], plain))
    [found] = with_augmentation(model, cfg)(make_test_batch([picture()], cfg))
    wanted = wanted.resized(SIZE)
    assert len(found) == len(wanted) > 0
    torch.testing.assert_close(found.keypoints, wanted.keypoints, atol=1e-2, rtol=1e-3)


@torch.inference_mode()
def test_a_mirrored_image_gives_the_mirrored_points():
    """Both see the same two pictures, in the other order."""
    cfg = keypoint_cfg(BBOX__ENABLED=True, BBOX__SCALES=(), KPS__ENABLED=True, KPS__SCALES=())
    model = with_augmentation(model_of(cfg), cfg, LAYOUT)
    [one] = model(make_test_batch([picture()], cfg))
    [other] = model(make_test_batch([np.ascontiguousarray(picture()[:, ::-1])], cfg))
    assert len(one) == len(other) > 0
    mirrored = flip_keypoints(other.keypoints, SIZE[1], LAYOUT.flip_order())
    nearest = torch.cdist(one.keypoints.flatten(1), mirrored.flatten(1)).min(dim=1).values
    # But for peaks that are as high as another one.
    assert (nearest < 0.05).float().mean() > 0.7


@torch.inference_mode()
def test_views_change_the_points():
    model_cfg = keypoint_cfg()
    cfg = keypoint_cfg(KPS__ENABLED=True, KPS__SCALES=(96,), KPS__MAX_SIZE=160)
    model = model_of(cfg)
    augmented = with_augmentation(model, cfg, LAYOUT)
    assert len(augmented.views["KPS_AUG"]) == 4 and len(augmented.views["BBOX_AUG"]) == 1
    [found] = augmented(make_test_batch([picture()], cfg))
    [plain] = model(make_test_batch([picture()], model_cfg))
    plain = plain.resized(SIZE)
    torch.testing.assert_close(found.boxes, plain.boxes)
    assert not torch.allclose(found.keypoints, plain.keypoints, atol=0.5)


@torch.inference_mode()
def test_points_are_pooled_in_float32_where_the_model_runs_in_bfloat16():
    cfg = keypoint_cfg(KPS__ENABLED=True, KPS__SCALES=(), KPS__H_FLIP=False)
    model = model_of(cfg)
    maps = []
    model.Keypoint_RCNN.pooler.register_forward_hook(lambda _, args, out: maps.extend(args[0]))
    with autocast(torch.device("cpu"), "bfloat16"):
        with_augmentation(model, cfg)(make_test_batch([picture()], cfg))
    assert {per_level.dtype for per_level in maps} == {torch.float32}


def test_mirrored_views_need_the_names_of_the_points():
    cfg = keypoint_cfg(KPS__ENABLED=True)
    with pytest.raises(ValueError, match=r"TEST\.KPS_AUG\.H_FLIP needs the names"):
        with_augmentation(model_of(cfg), cfg)


def test_mirrored_views_need_partners():
    cfg = keypoint_cfg(KPS__ENABLED=True)
    lonely = KeypointLayout(("nose", "left_ear", "tail"))
    with pytest.raises(ValueError, match=r"without 'right_ear'.*TEST\.KPS_AUG\.H_FLIP False"):
        with_augmentation(model_of(cfg), cfg, lonely)
