import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pet.checkpoint.checkpointer import build_checkpointer
from pet.config import cfg as global_cfg
from pet.config import default_cfg
from pet.data.build import build_dataset, make_test_data_loader
from pet.engine.inference import detect
from pet.engine.predictor import Predictor
from pet.evaluation.results import image_results
from pet.modeling import registry
from pet.modeling.build import build_model
from pet.solver.lr_scheduler import build_lr_scheduler
from pet.solver.optimizer import make_optimizer, parameter_groups
from pet.structures import Detections, KeypointLayout
from pet.utils.opencv import cv2
from tests.engine.saved_run import picture, save_run
from tests.engine.tiny_run import draw_few_shapes, tiny_cfg

NAMES = ("ant", "bee", "cat")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Return the config of a run with three classes."""
    return save_run(tmp_path_factory.mktemp("three"), 4, NAMES)


@pytest.fixture(scope="module")
def other_config(tmp_path_factory):
    """Return the config of a run with one class, whose checkpoint does not name it."""
    return save_run(tmp_path_factory.mktemp("one"), 2)


@pytest.fixture(scope="module")
def predictor(config):
    return Predictor.from_config(config)


def assert_equal(one: Detections, other: Detections, atol: float = 0.0) -> None:
    assert one.size == other.size and torch.equal(one.labels, other.labels)
    for name in ("boxes", "scores", "mask_probs"):
        assert torch.allclose(getattr(one, name), getattr(other, name), rtol=0, atol=atol), name


# What comes out ----------------------------------------------------------------------------------


def test_detections_are_in_pixels_of_the_image_given(predictor):
    found = predictor(picture(150, 200))
    assert isinstance(found, Detections) and len(found) > 5
    assert found.size == (150, 200)
    # TEST.SCALE is 64: in pixels of the network input nothing would lie beyond 64 and 85.
    assert found.boxes[:, 2].max() > 100 and found.boxes[:, 3].max() > 75
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert (found.boxes[:, 2:] <= torch.tensor([200, 150])).all()
    assert found.masks.shape == (len(found), 150, 200) and found.masks.dtype == torch.bool
    assert set(found.labels.tolist()) <= {1, 2, 3}
    assert ((found.scores > 0) & (found.scores <= 1)).all()
    assert (found.scores.diff() <= 0).all()


def test_a_file_and_its_pixels_give_the_same(predictor, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    from_array = predictor(picture())
    assert_equal(predictor(tmp_path / "a.png"), from_array)
    assert_equal(predictor(str(tmp_path / "a.png")), from_array)


def test_views_of_arrays_are_as_good_as_copies(predictor):
    mirrored = picture()[:, ::-1]
    assert_equal(predictor(mirrored), predictor(mirrored.copy()))
    frozen = picture()
    frozen.flags.writeable = False
    assert_equal(predictor(frozen), predictor(picture()))


def test_a_list_gives_what_its_images_give(predictor, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), picture(seed=4))
    images = [picture(seed=1), picture(68, 90, seed=2), picture(120, 40, seed=3)]
    found = predictor([*images, tmp_path / "a.png"], batch_size=1)
    assert len(found) == 4
    for one, image in zip(found, [*images, picture(seed=4)], strict=True):
        assert_equal(one, predictor(image))
    assert_equal(predictor(tuple(images), batch_size=1)[1], found[1])


def test_images_of_one_padded_size_do_not_change_each_other(predictor):
    images = [picture(seed=1), picture(68, 90, seed=2), picture(seed=3)]
    for one, image in zip(predictor(images), images, strict=True):
        assert_equal(one, predictor(image), atol=1e-3)


def test_a_list_is_worked_off_in_padded_batches(predictor):
    seen = []
    hook = predictor.model.register_forward_pre_hook(lambda _, args: seen.append(args[0].sizes))
    predictor([picture(), picture(90, 70), picture(68, 90)], batch_size=2)
    hook.remove()
    assert seen == [((64, 82), (82, 64)), ((64, 85),)]


def test_a_batch_holds_an_image_at_least(predictor):
    with pytest.raises(ValueError, match="batch_size must be at least 1; got 0"):
        predictor([picture()], batch_size=0)


def test_a_list_of_one_is_a_list_and_an_empty_one_is_empty(predictor):
    (found,) = predictor([picture()])
    assert_equal(found, predictor(picture()))
    assert predictor([]) == []


def test_nothing_found_is_no_trouble(config):
    found = Predictor.from_config(config, opts=["FAST_RCNN.SCORE_THRESH", 1.0])(picture())
    assert len(found) == 0
    assert found.boxes.shape == (0, 4) and found.masks.shape == (0, 70, 90)


def test_without_a_mask_branch_masks_are_none(config, tmp_path):
    cfg = tiny_cfg(tmp_path, MODEL__NUM_CLASSES=2, MODEL__MASK_ON=False)
    torch.save(build_model(cfg=cfg).state_dict(), tmp_path / "boxes.pth")
    found = Predictor(cfg, tmp_path / "boxes.pth")(picture())
    assert len(found) > 0 and found.masks is None


def test_what_comes_out_may_be_changed(predictor):
    found = predictor(picture())
    for tensor in (found.boxes, found.scores, found.labels, found.mask_probs, found.masks):
        assert not tensor.is_inference() and not tensor.requires_grad
        tensor[0] = 0
    (found.boxes.requires_grad_() * 2).sum().backward()
    assert found.boxes.grad is not None


@pytest.mark.parametrize("interpolation", ["opencv", "pil", "float"])
def test_testing_writes_the_same_records(monkeypatch, tmp_path, interpolation):
    draw_few_shapes(monkeypatch, tmp_path / "data")
    opts = ["INPUT.INTERPOLATION", interpolation]
    predictor = Predictor.from_config(save_run(tmp_path, 6), opts=opts)
    dataset = build_dataset("shapes_val", is_train=False, cfg=predictor.cfg)
    loader = make_test_data_loader(dataset, cfg=predictor.cfg)
    seen = 0
    for info, tested in detect(predictor.model, loader, predictor.device):
        records = [
            json.dumps(image_results(info.image_id, found, dataset.category_ids).records)
            for found in (tested, predictor(info.file))
        ]
        assert records[0] == records[1] and "counts" in records[0]
        seen += 1
    assert seen == 5


# Configs and weights -----------------------------------------------------------------------------


def test_two_stand_side_by_side(config, other_config):
    three, one = Predictor.from_config(config), Predictor.from_config(other_config)
    before = three(picture())
    assert set(one(picture()).labels.tolist()) == {1}
    assert_equal(three(picture()), before)
    assert max(before.labels) > 1
    assert (three.cfg.MODEL.NUM_CLASSES, one.cfg.MODEL.NUM_CLASSES) == (4, 2)
    assert three.class_names == NAMES
    assert one.class_names == ("class 1",)
    assert three.cfg.is_frozen()
    assert global_cfg == default_cfg() and not global_cfg.is_frozen()


def test_a_config_that_is_given_stays_as_it_is(config, other_config):
    cfg = tiny_cfg(config.parents[1])
    assert cfg.MODEL.NUM_CLASSES == -1
    file = other_config.parents[1] / "run" / "model_latest.pth"
    predictor = Predictor(cfg, file)
    assert cfg.MODEL.NUM_CLASSES == -1 and not cfg.TEST.WEIGHTS
    used = predictor.cfg
    assert used.MODEL.NUM_CLASSES == 2 and Path(used.TEST.WEIGHTS) == file


def test_weights_come_from_the_argument_the_config_or_the_run(config, other_config):
    run, other = (c.parents[1] / "run" / "model_latest.pth" for c in (config, other_config))
    opts = ["TEST.WEIGHTS", str(other)]
    used = [
        Predictor.from_config(config).cfg,
        Predictor.from_config(config, opts=opts).cfg,
        Predictor.from_config(config, run, opts).cfg,
    ]
    assert [Path(cfg.TEST.WEIGHTS) for cfg in used] == [run, other, run]


def test_the_global_config_is_the_default(config):
    global_cfg.merge_from_other_cfg(tiny_cfg(config.parents[1]))
    assert Predictor().class_names == NAMES


def test_missing_weights_are_named(config, tmp_path, fresh_cfg):
    with pytest.raises(FileNotFoundError, match="give the file as weights, or as TEST"):
        Predictor(fresh_cfg)
    with pytest.raises(FileNotFoundError, match=r"run/model_latest\.pth does not exist; give"):
        Predictor(tiny_cfg(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no file nowhere\.pth"):
        Predictor.from_config(config, "nowhere.pth")


def test_weights_that_do_not_fit_are_refused(config, tmp_path):
    with pytest.raises(ValueError, match="the number of classes differs"):
        Predictor.from_config(config, opts=["MODEL.NUM_CLASSES", 7])
    with pytest.raises(ValueError, match="not of this model"):
        Predictor.from_config(config, opts=["MODEL.MASK_ON", False])
    torch.save({"Conv_Body.conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "trunk.pth")
    with pytest.raises(ValueError, match=r"trunk\.pth .*does not say how many classes.*MODEL\.NUM"):
        Predictor.from_config(config, tmp_path / "trunk.pth")


def test_the_file_is_read_once(monkeypatch, config, tmp_path):
    layout = KeypointLayout(("left_eye", "right_eye", "tail"))
    cfg = keypoint_cfg(tmp_path, KRCNN__NUM_KEYPOINTS=3, MODEL__NUM_CLASSES=4)
    save_checkpoint(build_model(cfg=cfg), cfg, NAMES, layout)
    reads = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **b: reads.append(a[0]) or load(*a, **b))
    Predictor.from_config(config)
    assert [path.name for path in reads] == ["model_latest.pth"]
    reads.clear()
    predictor = Predictor(keypoint_cfg(tmp_path))
    assert [path.name for path in reads] == ["model_latest.pth"]
    assert predictor.class_names == NAMES
    assert predictor.keypoint_layout == layout
    assert predictor.cfg.KRCNN.NUM_KEYPOINTS == 3


def test_contradictions_in_the_config_are_found(config):
    with pytest.raises(ValueError, match=r"FAST_RCNN\.NMS"):
        Predictor.from_config(config, opts=["FAST_RCNN.NMS", 2])
    with pytest.raises(KeyError, match=r"FAST_RCNN\.NSM"):
        Predictor.from_config(config, opts=["FAST_RCNN.NSM", 0.5])
    with pytest.raises(FileNotFoundError, match=r"no config file nowhere\.yaml"):
        Predictor.from_config("nowhere.yaml")


# What is no image --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "kind", "message"),
    [
        (picture()[:, :, 0], ValueError, r"\(70, 90\), a grey image; cv2.cvtColor"),
        (picture()[:, :, :1], ValueError, r"\(70, 90, 1\), a grey image"),
        (np.zeros((7, 9, 4), np.uint8), ValueError, "alpha channel; image.*leaves it out"),
        (np.zeros((3, 7, 9), np.uint8), ValueError, "channels first; image.transpose"),
        (np.zeros((2, 7, 9, 3), np.uint8), ValueError, "a stack of images; list"),
        (np.zeros((0, 9, 3), np.uint8), ValueError, "no pixels"),
        (np.zeros((7, 9, 5), np.uint8), ValueError, r"the shape \(7, 9, 5\); give the path"),
        (picture() / 255, TypeError, "an array of float64, not of 0..255 as uint8"),
        (torch.zeros(7, 9, 3), TypeError, "the image is a Tensor; give the path"),
        (None, TypeError, "the image is a NoneType"),
        ([picture(), 3], TypeError, "image 1 of the list is a int"),
        ([picture(), picture()[:, :, 0]], ValueError, "image 1 of the list .* a grey image"),
    ],
)
def test_what_is_no_image_is_named(predictor, image, kind, message):
    with pytest.raises(kind, match=message):
        predictor(image)


def test_what_is_no_image_file_is_named(predictor, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no image file nowhere\.jpg"):
        predictor("nowhere.jpg")
    (tmp_path / "a.jpg").write_text("text")
    with pytest.raises(ValueError, match=r"a\.jpg cannot be decoded"):
        predictor([picture(), tmp_path / "a.jpg"])


# Other models ------------------------------------------------------------------------------------


def save_checkpoint(model, cfg, names, layout=None):
    """Save ``model`` as a run of ``cfg`` would have done."""
    optimizer = make_optimizer(
        "SGD",
        parameter_groups(
            model,
            weight_decay=0.0,
            weight_decay_bias=0.0,
            weight_decay_norm=0.0,
            bias_lr_factor=1.0,
        ),
        0.1,
    )
    checkpointer = build_checkpointer(names, cfg, layout)
    checkpointer.save(model, optimizer, build_lr_scheduler(optimizer, cfg))


def keypoint_cfg(folder, **changes):
    options = {"MODEL__KEYPOINT_ON": True, "KRCNN__NUM_CONVS": 1, "KRCNN__CONV_DIM": 8}
    return tiny_cfg(folder, **{**options, **changes})


class OfMyOwn(nn.Module):
    """A model whose layers nobody knows."""

    def __init__(self, cfg):
        super().__init__()
        self.model = nn.ModuleDict({"scorer": nn.Linear(2, cfg.MODEL.NUM_CLASSES)})
        if cfg.MODEL.KEYPOINT_ON:
            self.model["points"] = nn.Linear(2, cfg.KRCNN.NUM_KEYPOINTS)


@pytest.mark.parametrize("keypoints", [True, False])
def test_the_classes_of_a_model_of_ones_own_are_those_that_its_file_names(
    monkeypatch, tmp_path, keypoints
):
    monkeypatch.setitem(registry.MODELS._parts, "mine", OfMyOwn)
    changes = {"MODEL__TYPE": "mine", "MODEL__KEYPOINT_ON": keypoints}
    cfg = tiny_cfg(tmp_path, MODEL__NUM_CLASSES=4, KRCNN__NUM_KEYPOINTS=2, **changes)
    layout = KeypointLayout(("head", "tail")) if keypoints else None
    save_checkpoint(OfMyOwn(cfg), cfg, NAMES, layout)
    predictor = Predictor(tiny_cfg(tmp_path, **changes))
    assert predictor.class_names == NAMES
    assert predictor.cfg.MODEL.NUM_CLASSES == 4 == len(predictor.model.model["scorer"].bias)
    if keypoints:
        assert predictor.cfg.KRCNN.NUM_KEYPOINTS == 2 == len(predictor.model.model["points"].bias)


def save_untrained(folder, **changes):
    """Save an untrained model of three classes; return the config, without their number."""
    model = build_model(cfg=tiny_cfg(folder, MODEL__NUM_CLASSES=4, **changes))
    (folder / "run").mkdir()
    torch.save(model.state_dict(), folder / "run" / "model_latest.pth")
    return tiny_cfg(folder, **changes)


def test_the_classes_of_a_cascade_are_counted(tmp_path):
    predictor = Predictor(save_untrained(tmp_path, MODEL__CASCADE_ON=True))
    assert predictor.class_names == ("class 1", "class 2", "class 3")
    assert len(predictor(picture())) > 0


@pytest.mark.parametrize("num_classes", [-1, 4])
def test_proposals_are_objects(tmp_path, num_classes):
    cfg = save_untrained(tmp_path, MODEL__RPN_ONLY=True, MODEL__MASK_ON=False)
    cfg.defrost()
    cfg.MODEL.NUM_CLASSES = num_classes
    predictor = Predictor(cfg)
    assert predictor.class_names == ("object",)
    found = predictor(picture())
    assert len(found) > 0 and set(found.labels.tolist()) == {1}
