"""The keys that the data decide."""

from pet.engine.start import set_schedule
from tests.engine.tiny_run import tiny_cfg


def test_drops_of_the_rate_that_are_lost_in_epochs_are_told(tmp_path, caplog):
    long = {"SOLVER__MAX_EPOCHS": 2, "SOLVER__MAX_ITER": 90000}
    set_schedule(tiny_cfg(tmp_path, **long, SOLVER__STEPS=(0.5, 0.75)), images=100)
    assert not caplog.records
    set_schedule(tiny_cfg(tmp_path, **long, SOLVER__STEPS=(60, 80)), images=100)
    assert "SOLVER.STEPS 60, 80 count in the 90000 iterations" in caplog.text
    assert "only 0 are left; give fractions" in caplog.text
