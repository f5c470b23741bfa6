import pytest
from torch import nn

from pet.modeling import registry
from pet.modeling.abilities import check_abilities, detection_limit, result_kinds
from pet.modeling.contract import (
    CompilesDense,
    DetectionLimit,
    DetectsInViews,
    HasBranches,
    TellsDetectionLimit,
)
from pet.modeling.rcnn.generalized_rcnn import Generalized_RCNN


class Compiled(nn.Module):
    """Can be compiled, and nothing else."""

    def compile_dense(self):
        pass


def by_annotation(cfg) -> Compiled:
    raise AssertionError("a check builds no model")


def by_base_class(cfg) -> nn.Module:
    return Compiled()


def by_unknown_name(cfg) -> "NotThere":  # noqa: F821
    return Compiled()


@pytest.fixture
def cfg(fresh_cfg, monkeypatch):
    parts = {
        "class": Compiled,
        "annotated": by_annotation,
        "base": by_base_class,
        "unknown": by_unknown_name,
        "lambda": lambda cfg: Compiled(),
    }
    monkeypatch.setattr(registry.MODELS, "_parts", registry.MODELS._parts | parts)
    return fresh_cfg


def test_generalized_rcnn_has_all_abilities_of_a_class(cfg):
    for ability in (CompilesDense, DetectsInViews, HasBranches, TellsDetectionLimit):
        assert issubclass(Generalized_RCNN, ability)
        assert not issubclass(nn.Module, ability)


@pytest.mark.parametrize("name", ["class", "annotated"])
def test_what_is_registered_tells_the_abilities(cfg, name):
    cfg.MODEL.TYPE = name
    cfg.SOLVER.COMPILE = True
    check_abilities(cfg, "training")
    cfg.TEST.KPS_AUG.ENABLED = True
    check_abilities(cfg, "training")  # which has no views
    with pytest.raises(ValueError, match=rf"TEST\.KPS_AUG\.ENABLED .* MODEL\.TYPE {name} lacks"):
        check_abilities(cfg, "testing")


@pytest.mark.parametrize("name", ["base", "unknown", "lambda"])
def test_a_builder_that_does_not_tell_is_checked_by_its_model(cfg, name):
    cfg.MODEL.TYPE = name
    cfg.TEST.BBOX_AUG.ENABLED = True
    check_abilities(cfg, "testing")
    with pytest.raises(ValueError, match=r"Compiled has no features, detect_boxes, join"):
        check_abilities(cfg, "testing", registry.MODELS[name](cfg))


def test_kinds_of_results_are_those_that_the_config_asks_for(cfg):
    for name in ("generalized_rcnn", "class", "lambda"):
        cfg.MODEL.TYPE = name
        cfg.MODEL.MASK_ON = cfg.MODEL.KEYPOINT_ON = False
        assert result_kinds(cfg) == ("bbox",)
        cfg.MODEL.KEYPOINT_ON = True
        assert result_kinds(cfg) == ("bbox", "keypoints")
        cfg.MODEL.MASK_ON = True
        assert result_kinds(cfg) == ("bbox", "segm", "keypoints")


def test_the_key_of_most_detections_is_that_of_the_model(cfg):
    cfg.FAST_RCNN.DETECTIONS_PER_IMG, cfg.RETINANET.DETECTIONS_PER_IMG = 7, 8
    assert detection_limit(cfg) == DetectionLimit(7, "FAST_RCNN.DETECTIONS_PER_IMG")
    cfg.MODEL.RETINANET_ON = True
    assert detection_limit(cfg) == DetectionLimit(8, "RETINANET.DETECTIONS_PER_IMG")
    cfg.MODEL.RETINANET_ON, cfg.MODEL.RPN_ONLY = False, True
    assert detection_limit(cfg) is None  # there are proposals alone
    cfg.MODEL.TYPE = "class"
    assert detection_limit(cfg) is None
