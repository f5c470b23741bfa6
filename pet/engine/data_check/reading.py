"""Reading the data sets of a config to look at them: a fault is a finding, if others can be read.

Images without objects are kept, and pictures are not looked at.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pet.config import CfgNode
from pet.data.build import build_dataset, cache_folder
from pet.data.dataset import Dataset, ground_truth_of
from pet.data.formats import format as format_module
from pet.engine.data_check.checked_set import CheckedSet
from pet.engine.data_check.findings import ERROR, NOTE, Finding

#: The loggers of reading, whose lines are findings in another form, and the one of the notes of
#: formats, which have no other.
_READING, _NOTES = "pet.data", format_module.__name__


@dataclass(frozen=True)
class ReadSets:
    """The data sets that could be read, and the findings about reading."""

    sets: tuple[CheckedSet, ...]
    findings: tuple[Finding, ...]


def read_sets(cfg: CfgNode) -> ReadSets:
    """Read each of ``TRAIN.DATASETS`` and ``TEST.DATASETS``.

    Raises the error of the first one if none can be read, KeyError for an unknown name, and
    ValueError if none is named.
    """
    wanted = dict.fromkeys((name, True) for name in cfg.TRAIN.DATASETS)
    wanted |= dict.fromkeys((name, False) for name in cfg.TEST.DATASETS)
    if not wanted:
        raise ValueError(
            "TRAIN.DATASETS and TEST.DATASETS name no data set to look at, such as shapes_train"
        )
    sets: list[CheckedSet] = []
    findings: list[Finding] = []
    errors: list[Exception] = []
    for name, is_train in wanted:
        with _notes_of_reading(name, findings):
            try:
                sets.append(_read(name, is_train, cfg, findings))
            except (OSError, ValueError) as error:
                errors.append(error)
                findings.append(_unreadable(name, error))
    if not sets:
        raise errors[0]
    return ReadSets(tuple(sets), tuple(dict.fromkeys(findings)))


def _read(name: str, is_train: bool, cfg: CfgNode, findings: list[Finding]) -> CheckedSet:
    """Return the data set; adds a finding if it can be looked at, but not used with ``cfg``."""
    node = cfg.clone()
    node.defrost()
    node.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
    node.KRCNN.MIN_KEYPOINTS_PER_IMAGE = 0
    try:
        dataset = build_dataset((name,), is_train, node, check_pictures=False)
    except ValueError as error:
        dataset = _read_leniently(name, node, error)
        findings.append(_unreadable(name, error))
    table = ground_truth_of(dataset, cache_folder(cfg))
    return CheckedSet(dataset, is_train, table, bool(cfg.MODEL.MASK_ON))


def _read_leniently(name: str, node: CfgNode, error: ValueError) -> Dataset:
    """Return the data set, read for boxes alone and with its own classes; raises ``error``."""
    node.MODEL.MASK_ON = node.MODEL.KEYPOINT_ON = False
    if "CLASSES" in node.DATASETS.get(name, {}):
        node.DATASETS[name].CLASSES = ()
    try:
        return build_dataset((name,), False, node, check_pictures=False)
    except ValueError:
        raise error from None


def _unreadable(name: str, error: Exception) -> Finding:
    return Finding(
        severity=ERROR,
        kind="unusable-data-set",
        data_sets=(name,),
        text=f"cannot be used: {str(error).removeprefix(f'data set {name!r}: ')}",
    )


@contextmanager
def _notes_of_reading(name: str, findings: list[Finding]) -> Iterator[None]:
    """Take the log of reading in the block; lines of a format become notes among ``findings``."""
    with quiet_reading() as lines:
        yield
    prefix = f"data set {name}: "
    findings += [
        Finding(
            severity=NOTE,
            kind="format-notes",
            data_sets=(name,),
            text=record.getMessage().removeprefix(prefix),
        )
        for record in lines
        if record.name == _NOTES
    ]


class _Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep ``record``."""
        self.records.append(record)


@contextmanager
def quiet_reading() -> Iterator[list[logging.LogRecord]]:
    """Yield the list that takes the log of reading in the block, instead of the usual log."""
    logger, handler = logging.getLogger(_READING), _Kept()
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield handler.records
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
