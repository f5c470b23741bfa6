"""Loading weights into a model, with a report of what found its place and what did not."""

import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from pet.config import CfgNode
from pet.structures import KeypointLayout
from pet.weights.config_requirements import contradictions, describe_contradictions
from pet.weights.file_kind import describe_no_file
from pet.weights.formats import download_url
from pet.weights.formats.base import describe_no_place
from pet.weights.import_weights import ImportedWeights, import_weights
from pet.weights.load_report import (
    COUNTERS,
    LoadReport,
    Mismatch,
    group_keys,
    list_mismatches,
    some_keys,
    without_counters,
)
from pet.weights.output_layers import of_other_meaning

_logger = logging.getLogger(__name__)

#: Has a number for each keypoint.
_POINTS = "Keypoint_RCNN.predictor.deconv.bias"
#: Where a trunk holds a model of timm.
_TIMM = "Conv_Body.body."
#: Where files have weights of a trunk, and where else than there a model may hold them: res5 as
#: the head of the RoIs, and a ResNet inside of a trunk of timm.
PLACES = (
    ("Conv_Body.layer4.", "Fast_RCNN.head.layer4."),
    ("Conv_Body.", _TIMM),
)


def load_weights(
    model: nn.Module,
    weights: str | Path | ImportedWeights,
    reinit_mismatched: bool = False,
    strict: bool = False,
    cfg: CfgNode | None = None,
    class_names: Sequence[str] = (),
    keypoints: KeypointLayout | None = None,
) -> LoadReport:
    """Load ``weights`` into ``model``, in place, log the report, and return it.

    They are a file, or what ``import_weights`` made of it: a checkpoint of Pet, a state dict of
    Pet, or one that an importer knows. To train from (``strict`` False), they may be a part of the
    model; ``class_names`` and ``keypoints`` are then those of the data, where they are known.
    ``reinit_mismatched`` leaves weights of another shape, and layers for other classes or keypoints
    than these, at their random start; without it the latter are kept, with a warning. To test
    (``strict`` True), weights and model must agree in every key. Where ``cfg`` is given and says
    otherwise than the weights need, a warning names the keys.

    Raises FileNotFoundError, and ValueError where the file is unreadable, unknown, holds what Pet
    has no place for, or does not fit; the model is then unchanged.
    """
    key = "TEST.WEIGHTS" if strict else "TRAIN.WEIGHTS"
    if not isinstance(weights, ImportedWeights):
        require_weights(weights, key)
        weights = import_weights(weights)
    path, name = weights.source, weights.format
    if weights.no_place:
        raise ValueError(f"{path} ({key}, {name}): {describe_no_place(weights.no_place, count=8)}")
    model_state = model.state_dict()
    state = in_model_places(weights.state, model_state)
    report = compare(model_state, state, path, name, weights.class_names, weights.not_needed)
    report = replace(report, keypoints=weights.keypoints)
    _check_fit(report, weights, model_state, key, reinit_mismatched)
    others = of_other_meaning(
        {k: state[k] for k in report.loaded},
        (weights.class_names, class_names),
        (_point_names(weights.keypoints), _point_names(keypoints)),
    )
    if reinit_mismatched:
        report = _without(report, [key for other in others for key in other.keys])
    copy_into(model, {k: state[k] for k in report.loaded})
    _logger.info("%s", report)
    for other in () if reinit_mismatched else others:
        _logger.warning("%s", other.describe(path, group_keys(other.keys, names=0)))
    if cfg is not None and (differing := contradictions(weights.expects, cfg, report.loaded)):
        _logger.warning("%s", describe_contradictions(f"{path} ({name})", differing))
    return report


def _check_fit(
    report: LoadReport,
    weights: ImportedWeights,
    model_state: Mapping[str, Tensor],
    key: str,
    reinit_mismatched: bool,
) -> None:
    """Raise ValueError, saying what would do, where the weights are not for the model."""
    path, name, strict = report.source, report.format, key == "TEST.WEIGHTS"
    if not report.loaded and not report.mismatched:
        raise ValueError(
            f"nothing in {path} ({key}) is in the model: the file ({name}) has "
            f"{group_keys(weights.state)}, the model {group_keys(model_state)}"
        )
    if report.mismatched and not reinit_mismatched:
        raise ValueError(_describe_mismatches(report, key, strict))
    if strict and (report.missing or report.skipped):
        raise ValueError(
            f"{key} is not of this model; test with the config that it was trained with\n{report}"
        )
    if foreign := _parts_of_blocks(report):
        raise ValueError(
            f"the blocks of the trunk lack what {path} ({key}, {name}) has in them: "
            f"{some_keys(foreign)}; give the MODEL.CONV_BODY that the weights are for"
        )


def _point_names(layout: KeypointLayout | None) -> tuple[str, ...]:
    return layout.names if layout else ()


def _without(report: LoadReport, keys: Container[str]) -> LoadReport:
    """Return ``report`` where the weights ``keys`` are not loaded, as they mean something else."""
    return replace(
        report,
        loaded=tuple(key for key in report.loaded if key not in keys),
        other_meaning=tuple(key for key in report.loaded if key in keys),
    )


def in_model_places(state: Mapping[str, Tensor], model_keys: Container[str]) -> dict[str, Tensor]:
    """Return ``state`` with the names that the model has for the weights of its trunk.

    A file of a trunk cannot tell whether res5 belongs to it or is the head of the RoIs.
    """
    return {_place(key, model_keys): value for key, value in state.items()}


def _place(key: str, model_keys: Container[str]) -> str:
    if key in model_keys:
        return key
    moved = (there + key.removeprefix(here) for here, there in PLACES if key.startswith(here))
    return next((other for other in moved if other in model_keys), key)


def compare(
    model_state: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    source: str,
    format_name: str = "Pet",
    class_names: tuple[str, ...] = (),
    not_needed: tuple[str, ...] = (),
) -> LoadReport:
    """Return how ``state``, from the file ``source``, fits ``model_state``; change neither.

    ``not_needed`` are keys of the file that are not in ``state``, as Pet does not read them.
    """
    shared = [key for key in model_state if key in state]
    mismatched = tuple(
        Mismatch(key, tuple(state[key].shape), tuple(model_state[key].shape))
        for key in shared
        if state[key].shape != model_state[key].shape
    )
    other_shape = {pair.key for pair in mismatched}
    unknown = [key for key in state if key not in model_state]
    return LoadReport(
        source=source,
        format=format_name,
        loaded=tuple(key for key in shared if key not in other_shape),
        not_needed=(*not_needed, *(key for key in unknown if key.endswith(COUNTERS))),
        skipped=without_counters(unknown),
        missing=without_counters(key for key in model_state if key not in state),
        mismatched=mismatched,
        class_names=class_names,
    )


@torch.no_grad()
def copy_into(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy the values of ``state``, whose keys and shapes are the model's, into ``model``."""
    held = model.state_dict()
    for key, value in state.items():
        held[key].copy_(value)


def require_weights(path: str | Path, key: str) -> None:
    """Raise FileNotFoundError, saying where to get it, where ``key`` names a missing file."""
    path = Path(path)
    if path.is_file():
        return
    url = download_url(path.name)
    advice = f"download it from {url} to that place, or " if url else ""
    if key == "TRAIN.WEIGHTS":
        advice += 'give another file, or TRAIN.WEIGHTS "" for random weights'
    else:
        advice += "train first, or give the file of a trained model"
    raise FileNotFoundError(f"{describe_no_file(path)} ({key}); {advice}")


def _parts_of_blocks(report: LoadReport) -> list[str]:
    """Return the keys that a trunk of timm lacks in blocks that it has otherwise.

    Such blocks compute something else. Whole blocks that it lacks stand behind its last map.
    """
    blocks = {_block(key) for key in report.loaded}
    return [key for key in report.skipped if key.startswith(_TIMM) and _block(key) in blocks]


def _block(key: str) -> str:
    """Return "Conv_Body.body.layer1.0" for "Conv_Body.body.layer1.0.conv1.weight"."""
    return ".".join(key.split(".")[:4])


def _describe_mismatches(report: LoadReport, key: str, strict: bool) -> str:
    lines = [f"{report.source} ({key}) does not fit the model:"]
    lines += list_mismatches(report.mismatched)
    if any(pair.key.startswith("Conv_Body.") for pair in report.mismatched):
        lines.append("the trunk differs: give the MODEL.CONV_BODY that the weights are for")
        return "\n".join(lines)
    if any(pair.looks_like_class_count for pair in report.mismatched):
        known = f" ({len(report.class_names)} classes without background)"
        lines.append(
            "the number of classes differs: the file is for another data set"
            + (known if report.class_names else "")
        )
    points = [pair for pair in report.mismatched if pair.key == _POINTS]
    for pair in points:
        lines.append(
            f"the number of keypoints differs: {pair.file_shape[0]} in the file, and "
            f"KRCNN.NUM_KEYPOINTS {pair.model_shape[0]}"
        )
    if strict and (report.missing or report.skipped):
        lines.append(f"not in the file: {group_keys(report.missing, names=0)}")
        lines.append(f"not in the model: {group_keys(report.skipped, names=0)}")
        lines.append("test with the config that the weights were trained with")
    elif strict:
        count = "KRCNN.NUM_KEYPOINTS" if points else "MODEL.NUM_CLASSES (with the background)"
        lines.append(
            f"{count}, the data set and the sizes of the heads must be those that the weights were "
            "trained with"
        )
    else:
        lines.append(
            "give TRAIN.REINIT_MISMATCHED True to start these at random, or weights that fit"
        )
    return "\n".join(lines)
