"""Warnings about the data, logged before training starts: what takes no more than a moment."""

import logging
from collections.abc import Iterator

from pet.config import CfgNode
from pet.data.build import build_dataset
from pet.data.dataset import Dataset, HasGroundTruth
from pet.data.datasets import ConcatDataset
from pet.engine.data_check.annotations import tiny_boxes
from pet.engine.data_check.check import fit_of_anchors
from pet.engine.data_check.checked_set import CheckedSet
from pet.engine.data_check.classes import class_differences, class_findings
from pet.engine.data_check.findings import NOTE, Finding
from pet.engine.data_check.network_size import training_sizes
from pet.engine.data_check.reading import quiet_reading

_logger = logging.getLogger(__name__)

_MOST_BOXES = 20_000  # whose anchors are looked at
_MOST_NAMED = 3


def warn_of_data(dataset: Dataset, cfg: CfgNode) -> None:
    """Log what is wrong with ``dataset``, to be trained on, and with ``TEST.DATASETS`` beside it.

    No picture is looked at. An unreadable data set to test on is logged; nothing is raised.
    """
    parts = dataset.parts if isinstance(dataset, ConcatDataset) else (dataset,)
    try:
        trained = [
            CheckedSet(part, True, part.ground_truth(), bool(cfg.MODEL.MASK_ON))
            for part in parts
            if isinstance(part, HasGroundTruth)
        ]
        for finding in _findings(trained, cfg) if len(trained) == len(parts) else ():
            if finding.severity != NOTE:
                _logger.warning("%s", _line(finding))
    except Exception as error:  # of a user's data set: training may do without what fails here
        _logger.warning("the data could not be looked at before training: %s", error)


def _findings(trained: list[CheckedSet], cfg: CfgNode) -> Iterator[Finding]:
    yield from class_findings(trained)
    sizes = training_sizes(cfg)
    for checked in trained:
        yield from tiny_boxes(checked, sizes)
        yield from fit_of_anchors(checked, cfg, _MOST_BOXES)[0]
    for name in cfg.TEST.DATASETS:
        if name not in cfg.TRAIN.DATASETS and (tested := _read(name, cfg)) is not None:
            yield from class_differences(trained, tested)


def _read(name: str, cfg: CfgNode) -> CheckedSet | None:
    """Return a data set to test on, or None, with a warning, if it cannot be read."""
    try:
        with quiet_reading():
            dataset = build_dataset((name,), is_train=False, cfg=cfg, check_pictures=False)
    except (OSError, ValueError, KeyError) as error:
        _logger.warning("data set %r of TEST.DATASETS cannot be read: %s", name, error)
        return None
    if not isinstance(dataset, HasGroundTruth):
        return None
    return CheckedSet(dataset, False, dataset.ground_truth())


def _line(finding: Finding) -> str:
    named = finding.where.named(_MOST_NAMED)
    more = len(finding.where) - len(named)
    places = "; ".join([*named, *[f"{more} more"] * (more > 0)])
    names = " and ".join(finding.data_sets)
    parts = [finding.text, places, finding.remedy]
    return f"data set {names}: {'; '.join(part for part in parts if part)}"
