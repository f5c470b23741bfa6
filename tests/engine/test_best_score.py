"""Which figure of the scorings counts, and how it has gone."""

import pytest

import pet.modeling.build  # noqa: F401  registers the families of models
from pet.engine.best_score import BestScore, best_key
from tests.engine.tiny_run import tiny_cfg

TWO = {"TEST__DATASETS": ("a", "b")}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({}, "shapes_val/segm/AP"),
        ({"MODEL__MASK_ON": False}, "shapes_val/bbox/AP"),
        ({"MODEL__MASK_ON": False, "MODEL__KEYPOINT_ON": True}, "shapes_val/keypoints/AP"),
        ({"MODEL__MASK_ON": False, "MODEL__RPN_ONLY": True}, "shapes_val/proposals/AR1000"),
        ({"TEST__BEST_KEY": "bbox/APs"}, "shapes_val/bbox/APs"),
        ({"TEST__BEST_KEY": "shapes_val/bbox/AR10"}, "shapes_val/bbox/AR10"),
        (TWO, "a/segm/AP"),
        ({**TWO, "TEST__BEST_KEY": "b/bbox/AP50"}, "b/bbox/AP50"),
    ],
)
def test_the_figure_that_counts(tmp_path, changes, key):
    assert best_key(tiny_cfg(tmp_path, **changes)) == key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"TEST__BEST_KEY": "bbox/mAP"}, r"'bbox/mAP' .* give KIND/FIGURE, .* bbox/AP, bbox/AP50"),
        ({"TEST__BEST_KEY": "keypoints/AP"}, r"names no figure of this run"),
        ({**TWO, "TEST__BEST_KEY": "bbox/AP"}, r"give NAME/KIND/FIGURE, NAME of a, b, with"),
        ({**TWO, "TEST__BEST_KEY": "c/bbox/AP"}, r"NAME of a, b"),
    ],
)
def test_a_figure_that_there_is_not(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        best_key(tiny_cfg(tmp_path, **changes))


def test_gains_are_counted_from_the_highest():
    best = BestScore("d/bbox/AP")
    for iteration, figure in ((10, 0.2), (20, 0.5), (30, 0.5), (40, 0.4)):
        best = best.after(iteration, figure)
    assert best == BestScore("d/bbox/AP", iteration=40, figure=0.5, at=20, without_gain=2)
    assert best.after(50, 0.51) == BestScore("d/bbox/AP", 50, 0.51, 50, 0)
    assert BestScore("d/bbox/AP").after(10, 0.0).at == 10
    assert BestScore("d/bbox/APs").after(10, -1.0) == BestScore("d/bbox/APs", 10)  # no objects


def test_the_state_is_resumed_if_the_same_figure_counts():
    state = BestScore("d/bbox/AP", 40, 0.5, 20, 2).state_dict()
    assert BestScore("d/bbox/AP").restored(state) == BestScore("d/bbox/AP", 40, 0.5, 20, 2)
    assert BestScore("d/segm/AP").restored(state) == BestScore("d/segm/AP", 40)
