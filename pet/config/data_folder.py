"""The data sets of a folder given as ``DATA``."""

from collections.abc import Sequence

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
        if not _are_parts(section.DATASETS):
            section.DATASETS = (PART_PREFIX + part,)


def check_parts(cfg: CfgNode, section: str) -> None:
    """Raise ValueError if ``DATA`` would replace the data sets that ``section`` has just got."""
    names = cfg[section].DATASETS
    if cfg.DATA and names and not _are_parts(names):
        raise ValueError(
            f"{section}.DATASETS names {', '.join(names)}, and DATA {cfg.DATA}, which would take "
            'their place; give DATA "" to use them, or name parts of DATA, such as '
            f"{PART_PREFIX}val"
        )


def _are_parts(names: Sequence[str]) -> bool:
    return bool(names) and all(name.startswith(PART_PREFIX) for name in names)
