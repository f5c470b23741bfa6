"""The folder DATA, and data sets that are named beside it."""

import pytest

from pet.config import freeze, merge_cfg_from_list


@pytest.mark.parametrize("first", [["DATA", "mine"], []])
def test_data_sets_that_the_folder_would_replace_are_refused(fresh_cfg, first):
    merge_cfg_from_list(first, fresh_cfg)
    rest = [] if first else ["DATA", "mine"]
    with pytest.raises(ValueError, match=r"TEST\.DATASETS names shapes_val, and DATA mine"):
        merge_cfg_from_list(["TEST.DATASETS", "shapes_val", *rest], fresh_cfg)
    merge_cfg_from_list(["TEST.DATASETS", "shapes_val", "DATA", ""], fresh_cfg)
    freeze(fresh_cfg)
    assert fresh_cfg.TEST.DATASETS == ("shapes_val",)


def test_the_folder_replaces_those_named_before_it_but_for_parts(fresh_cfg):
    merge_cfg_from_list(["TRAIN.DATASETS", "shapes_train"], fresh_cfg)
    merge_cfg_from_list(["DATA", "mine", "TEST.DATASETS", "data_test"], fresh_cfg)
    freeze(fresh_cfg)
    assert (fresh_cfg.TRAIN.DATASETS, fresh_cfg.TEST.DATASETS) == (("data_train",), ("data_test",))
