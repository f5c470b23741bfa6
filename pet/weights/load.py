"""Loading weights into a model, with a report on all keys."""

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

#: The bias with one value per keypoint.
_POINTS = "Keypoint_RCNN.predictor.deconv.bias"
#: The prefix of a timm model in a trunk.
_TIMM = "Conv_Body.body."
#: Prefix of trunk weights in files -> another prefix that a model may have for them: res5 as the
#: RoI head, and a ResNet of timm in a trunk.
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

    ``weights`` is a checkpoint or state dict of Pet, a foreign file that an importer knows, or the
    result of ``import_weights``. For training (``strict`` False) it may cover a part of the model;
    ``class_names`` and ``keypoints`` are those of the data, if known. ``reinit_mismatched`` skips
    weights of another shape, and layers for other classes or keypoints than these; without it the
    former are an error and the latter are loaded with a warning. For testing (``strict`` True),
    weights and model must have the same keys. If ``cfg`` contradicts the requirements of the
    weights, a warning names the config keys.

    Raises FileNotFoundError, and ValueError if the file is unreadable, unknown, has keys without a
    place in Pet, or does not fit; the model is then unchanged.
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
    """Raise ValueError, with advice, if the weights do not fit the model."""
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
            f"the blocks of the trunk lack weights that {path} ({key}, {name}) has in them: "
            f"{some_keys(foreign)}; give the MODEL.CONV_BODY that the weights are for"
        )


def _point_names(layout: KeypointLayout | None) -> tuple[str, ...]:
    return layout.names if layout else ()


def _without(report: LoadReport, keys: Container[str]) -> LoadReport:
    """Return ``report`` with ``keys`` moved from ``loaded`` to ``other_meaning``."""
    return replace(
        report,
        loaded=tuple(key for key in report.loaded if key not in keys),
        other_meaning=tuple(key for key in report.loaded if key in keys),
    )


def in_model_places(state: Mapping[str, Tensor], model_keys: Container[str]) -> dict[str, Tensor]:
    """Return ``state`` with trunk keys renamed to those of the model (see ``PLACES``).

    The file of a trunk does not show whether res5 belongs to the trunk or is the RoI head.
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
    """Return the report on loading ``state``, from the file ``source``, into ``model_state``.

    Nothing is loaded. ``not_needed`` are keys of the file that Pet does not read; they are not in
    ``state``.
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
    """Copy ``state`` into ``model``, which must have its keys and shapes."""
    held = model.state_dict()
    for key, value in state.items():
        held[key].copy_(value)


def require_weights(path: str | Path, key: str) -> None:
    """Raise FileNotFoundError, with a download URL if known, if the file of ``key`` is missing."""
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
    """Return the skipped keys of timm blocks that are in the model with their other keys.

    Such blocks compute something else. Blocks skipped as a whole come after the last feature map.
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
