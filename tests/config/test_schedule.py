"""The schedule in epochs, fractions, and for another batch size or length."""

import pytest

from pet.config import freeze, merge_cfg_from_file, merge_cfg_from_list
from pet.config.schedule import lr_steps
from pet.solver.schedule import base_lr, set_iterations


@pytest.mark.parametrize(
    ("pairs", "steps"),
    [
        (["SOLVER.MAX_ITER", 45000], (30000, 40000)),
        (["SOLVER.MAX_ITER", 1000], (666, 888)),
        (["SOLVER.MAX_ITER", 85000], (60000, 80000)),  # not beyond it
        (["SOLVER.MAX_ITER", 270000], (60000, 80000)),
        (["SOLVER.MAX_ITER", 2], (1,)),  # both fall at the same iteration
        (["SOLVER.MAX_ITER", 1], ()),
        (["SOLVER.MAX_ITER", 1000, "SOLVER.STEPS", "(0.5, 0.75)"], (500, 750)),
        (["SOLVER.STEPS", "(0.5, 0.75)", "SOLVER.MAX_ITER", 10], (5, 8)),
    ],
)
def test_steps_beyond_the_last_iteration_are_scaled_with_it(fresh_cfg, pairs, steps):
    merge_cfg_from_list(pairs, fresh_cfg)
    freeze(fresh_cfg)
    assert lr_steps(fresh_cfg.SOLVER) == steps


def test_each_file_of_a_chain_scales_the_steps_of_its_base(fresh_cfg, tmp_path):
    (tmp_path / "base.yaml").write_text("SOLVER: {MAX_ITER: 100, STEPS: [60, 80]}\n")
    (tmp_path / "own.yaml").write_text("_BASE_: base.yaml\nSOLVER: {MAX_ITER: 50}\n")
    merge_cfg_from_file(tmp_path / "own.yaml", fresh_cfg)
    assert fresh_cfg.SOLVER.STEPS == (30, 40)
    merge_cfg_from_list(["SOLVER.MAX_ITER", 5], fresh_cfg)
    assert fresh_cfg.SOLVER.STEPS == (3, 4)


def test_a_step_is_a_whole_number_or_a_fraction(fresh_cfg):
    fresh_cfg.SOLVER.STEPS = (0.5, 2.5)
    with pytest.raises(ValueError, match=r"SOLVER\.STEPS .* has 2\.5, which is neither"):
        freeze(fresh_cfg)


@pytest.mark.parametrize("steps", ["(.nan, 1)", "(.inf,)"])
def test_a_length_with_unusable_steps_is_refused_by_their_rule(fresh_cfg, tmp_path, steps):
    text = f"SOLVER: {{MAX_ITER: 100, STEPS: [{steps.strip('(),').split(',')[0]}]}}\n"
    (tmp_path / "a.yaml").write_text(text)
    merge_cfg_from_file(tmp_path / "a.yaml", fresh_cfg)
    merge_cfg_from_list(["SOLVER.MAX_ITER", 10], fresh_cfg)
    with pytest.raises(ValueError, match=r"SOLVER\.STEPS must be finite"):
        freeze(fresh_cfg)


def test_epochs(fresh_cfg):
    pairs = ["SOLVER.MAX_EPOCHS", 12, "TRAIN.BATCH_SIZE", 16, "SOLVER.SNAPSHOT_EPOCHS", 3]
    pairs += ["TEST.EVAL_EPOCHS", 2, "SOLVER.STEPS", "(0.5, 0.75)"]
    merge_cfg_from_list(pairs, fresh_cfg)
    set_iterations(fresh_cfg, images=100)  # 7 batches hold each of them
    solver = fresh_cfg.SOLVER
    assert (solver.MAX_ITER, solver.WARM_UP_ITERS, solver.SNAPSHOT_ITERS) == (84, 7, 21)
    assert fresh_cfg.TEST.EVAL_PERIOD == 14
    assert lr_steps(solver) == (42, 63)
    set_iterations(fresh_cfg, images=100)  # as for a config that a run has written
    assert (solver.MAX_ITER, lr_steps(solver)) == (84, (42, 63))


def test_steps_in_iterations_are_scaled_to_the_epochs(fresh_cfg):
    fresh_cfg.SOLVER.MAX_EPOCHS = 9
    set_iterations(fresh_cfg, images=1600)
    assert (fresh_cfg.SOLVER.MAX_ITER, fresh_cfg.SOLVER.STEPS) == (900, (600, 800))


def test_periods_in_epochs_need_no_length_in_epochs(fresh_cfg):
    pairs = ["SOLVER.SNAPSHOT_EPOCHS", 3, "TEST.EVAL_EPOCHS", 2, "TRAIN.BATCH_SIZE", 16]
    merge_cfg_from_list(pairs, fresh_cfg)
    set_iterations(fresh_cfg, images=100)
    assert (fresh_cfg.SOLVER.SNAPSHOT_ITERS, fresh_cfg.TEST.EVAL_PERIOD) == (21, 14)
    assert (fresh_cfg.SOLVER.MAX_ITER, fresh_cfg.SOLVER.WARM_UP_ITERS) == (90000, 500)


def test_of_iterations_and_epochs_the_later_counts(fresh_cfg, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "SOLVER: {MAX_ITER: 7, MAX_EPOCHS: 12, STEPS: [], SNAPSHOT_EPOCHS: 2}\n"
        "TEST: {EVAL_PERIOD: 3, EVAL_EPOCHS: 1}\n"
    )
    merge_cfg_from_file(tmp_path / "a.yaml", fresh_cfg)
    solver, test = fresh_cfg.SOLVER, fresh_cfg.TEST
    assert (solver.MAX_EPOCHS, solver.SNAPSHOT_EPOCHS, test.EVAL_EPOCHS) == (12, 2, 1)
    changes = ["SOLVER.MAX_ITER", 9, "SOLVER.SNAPSHOT_ITERS", 4, "TEST.EVAL_PERIOD", 0]
    merge_cfg_from_list(changes, fresh_cfg)
    assert (solver.MAX_EPOCHS, solver.SNAPSHOT_EPOCHS, test.EVAL_EPOCHS) == (0, 0, 0)
    set_iterations(fresh_cfg, images=100)
    assert (solver.MAX_ITER, solver.SNAPSHOT_ITERS, test.EVAL_PERIOD) == (9, 4, 0)


def test_without_epochs_nothing_is_set(fresh_cfg):
    before = fresh_cfg.clone()
    set_iterations(fresh_cfg, images=100)
    assert fresh_cfg == before


def test_the_learning_rate_is_proportional_to_the_batch_size(fresh_cfg):
    fresh_cfg.TRAIN.BATCH_SIZE = 4
    assert base_lr(fresh_cfg) == 0.02
    fresh_cfg.SOLVER.REFERENCE_BATCH_SIZE = 16
    assert base_lr(fresh_cfg) == 0.005
