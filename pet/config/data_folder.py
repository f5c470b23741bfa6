"""The data sets of a folder given as ``DATA``."""

from yacs.config import CfgNode

#: How the names of the parts of ``DATA`` begin.
PART_PREFIX = "data_"


def use_data_folder(cfg: CfgNode) -> None:
    """Set the data sets to the parts of the folder ``DATA``, if it is given.

    ``TRAIN.DATASETS`` becomes data_train and ``TEST.DATASETS`` data_val, unless they already name
    only parts.
    """
    if not cfg.DATA:
        return
    for section, part in ((cfg.TRAIN, "train"), (cfg.TEST, "val")):
        names = section.DATASETS
        if not names or not all(name.startswith(PART_PREFIX) for name in names):
            section.DATASETS = (PART_PREFIX + part,)
