"""The whole check of the data of a config."""

from collections.abc import Sequence
from dataclasses import dataclass

import pet.modeling.build  # noqa: F401  registers the families of models
from pet.config import CfgNode
from pet.data.build import build_image_reader, resolve_num_classes
from pet.data.datasets import ConcatDataset
from pet.engine.data_check.anchor_findings import anchor_findings
from pet.engine.data_check.anchors import AnchorFit, fit_anchors
from pet.engine.data_check.annotations import (
    annotation_findings,
    crowded_images,
    empty_images,
    tiny_boxes,
)
from pet.engine.data_check.between_sets import double_pictures, same_sets, unnamed_pictures
from pet.engine.data_check.checked_set import CheckedSet
from pet.engine.data_check.classes import class_differences, class_findings
from pet.engine.data_check.findings import ERROR, Finding, worst_first
from pet.engine.data_check.network_size import testing_sizes, training_sizes
from pet.engine.data_check.picture_findings import Files, find_files, picture_findings
from pet.engine.data_check.pictures import look_at_pictures
from pet.engine.data_check.reading import read_sets
from pet.engine.data_check.summary import Summary, summarise
from pet.modeling.abilities import anchor_rule, detection_limit


@dataclass(frozen=True)
class Report:
    """What is to know about the data of a config."""

    findings: tuple[Finding, ...]  # worst first
    summaries: tuple[Summary, ...]  # of each data set that could be read
    files: tuple[Files, ...]  # of the same


def check_data(cfg: CfgNode, decode: bool = False) -> Report:
    """Look at all data sets of ``cfg``; ``decode``: read all pixels of their pictures.

    Faults of the data are findings. Raises KeyError for an unknown name, ValueError if no data set
    is named, and an error of reading if none can be read.
    """
    read = read_sets(cfg)
    findings, summaries = list(read.findings), []
    trained = {checked.name for checked in read.sets if checked.is_train}
    for checked in read.sets:
        sizes = testing_sizes(cfg)
        fits: tuple[AnchorFit, ...] = ()
        if checked.is_train or checked.name not in trained:
            findings += _image_findings(checked, cfg)
        if checked.is_train:
            sizes = training_sizes(cfg)
            findings += tiny_boxes(checked, sizes)
            found, fits = fit_of_anchors(checked, cfg)
            findings += found
        summaries.append(summarise(checked, sizes, fits))
    findings += findings_between(read.sets, cfg)
    files = tuple(find_files(checked) for checked in read.sets)
    findings += _pictures(files, cfg, decode)
    return Report(worst_first(findings), tuple(summaries), files)


def _image_findings(checked: CheckedSet, cfg: CfgNode) -> list[Finding]:
    return [
        *annotation_findings(checked),
        *crowded_images(checked, detection_limit(cfg)),
        *empty_images(checked, bool(cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS)),
    ]


def fit_of_anchors(
    checked: CheckedSet, cfg: CfgNode, most: int | None = None
) -> tuple[list[Finding], tuple[AnchorFit, ...]]:
    """Return the findings about the anchors of ``cfg`` for a data set to train on, and their fit.

    ``most``: of so many boxes, evenly spaced; by default of all.
    """
    boxes = checked.boxes if most is None else checked.boxes.sampled(most)
    rule, sizes = anchor_rule(cfg), training_sizes(cfg)
    if rule is None or not len(boxes):
        return [], ()
    fits = fit_anchors(checked, boxes, sizes, rule, cfg.INPUT.SIZE_DIVISIBILITY)
    return anchor_findings(checked, boxes, fits, sizes, rule, cfg), tuple(fits)


def findings_between(sets: Sequence[CheckedSet], cfg: CfgNode) -> list[Finding]:
    """Return the findings about the classes of the data sets, beside each other and the config."""
    trained = [checked for checked in sets if checked.is_train]
    tested = [checked for checked in sets if not checked.is_train]
    names = [each.name for each in trained]
    findings = same_sets(names, [each.name for each in tested])
    if trained:
        findings += _wrong_number(trained[0], cfg)
        differ = _training_sets_differ(trained)
        findings += differ
        trained = trained[:1] if differ else trained
        findings += class_findings(trained)
    for checked in tested:
        if checked.name not in names:
            findings += class_findings([checked])
            findings += class_differences(trained, checked) if trained else []
    return findings


def _training_sets_differ(trained: Sequence[CheckedSet]) -> list[Finding]:
    """Return the finding that data sets cannot be trained together, if it is so."""
    try:
        ConcatDataset([each.dataset for each in trained])
    except ValueError as error:
        return [
            Finding(
                severity=ERROR,
                kind="classes-of-training-sets",
                data_sets=tuple(each.name for each in trained),
                text=str(error),
                remedy="name the classes of all alike, in one order, or give DATASETS.<name>."
                "CLASSES",
            )
        ]
    return []


def _wrong_number(checked: CheckedSet, cfg: CfgNode) -> list[Finding]:
    """Return the finding that ``MODEL.NUM_CLASSES`` is not that of the data set, if it is so."""
    try:
        resolve_num_classes(checked.dataset, cfg)
    except ValueError as error:
        return [
            Finding(
                severity=ERROR, kind="number-of-classes", data_sets=(checked.name,), text=str(error)
            )
        ]
    return []


def _pictures(sets: Sequence[Files], cfg: CfgNode, decode: bool) -> list[Finding]:
    reader = build_image_reader(cfg)
    paths = dict.fromkeys(files.paths[n] for files in sets for n in files.present)
    pictures = look_at_pictures(list(paths), reader, decode)
    findings: list[Finding] = []
    seen: set[str] = set()
    for files in sets:
        if files.checked.name not in seen:
            findings += picture_findings(files, pictures, reader)
        seen.add(files.checked.name)
    return [*findings, *double_pictures(sets, pictures), *unnamed_pictures(sets)]
