"""Converting a published weight file into one with Pet's keys."""

from dataclasses import asdict
from pathlib import Path

import torch

from pet.config import CfgNode, cfg
from pet.modeling.build import build_model
from pet.weights.config_requirements import contradictions, describe_contradictions
from pet.weights.formats import IMPORTERS
from pet.weights.formats.base import describe_no_place
from pet.weights.import_weights import ImportedWeights, import_weights
from pet.weights.load import PLACES, compare, in_model_places
from pet.weights.load_report import LoadReport, group_keys, list_mismatches
from pet.weights.torch_file import write_torch_file

#: The publishers whose files can be converted.
FAMILIES = tuple(dict.fromkeys(i.family for i in IMPORTERS if i.family != "pet"))


def read_foreign_weights(path: str | Path, family: str = "") -> ImportedWeights:
    """Return the weights in ``path``, published by ``family`` (one of ``FAMILIES``, "" to detect).

    Raises as ``import_weights`` does, and ValueError if the file has Pet's keys already.
    """
    weights = import_weights(path, family)
    if weights.family == "pet":
        raise ValueError(
            f"{path} has Pet's keys already: give it as TRAIN.WEIGHTS or TEST.WEIGHTS; if the "
            "original Pet wrote it, give --from pet-legacy"
        )
    return weights


def describe_weights(weights: ImportedWeights) -> str:
    """Return a text: the keys used, all keys not used, and the config values required."""
    lines = [
        f"weights from {weights.source} ({weights.format}):",
        f"  used: {weights.used} keys, for {group_keys(weights.state, names=0)}",
        f"  not needed: {_all(weights.not_needed)}",
        f"  without a place: {_all(weights.no_place)}",
        "  the config must say:",
        *(f"    {key}: {value}" for key, value in weights.expects.items()),
    ]
    if weights.class_names:
        lines.append(f"  classes: {len(weights.class_names)}, COCO's")
    return "\n".join(lines)


def check_fit(weights: ImportedWeights, cfg: CfgNode = cfg) -> str:
    """Return a text on how ``weights`` fit the model of ``cfg``, with config keys to change.

    A file with only a trunk is checked against the trunk. Raises ValueError that lists every key
    that is missing, unknown, or of another shape.
    """
    if cfg.MODEL.NUM_CLASSES == -1:
        raise ValueError(
            "MODEL.NUM_CLASSES is -1, so that the model depends on the data set; to check weights "
            "against a config, set it there to the number of their classes, with the background"
        )
    with torch.device("meta"):  # shapes only
        model_state = build_model("meta", cfg).state_dict()
    if all(key.startswith("Conv_Body.") for key in weights.state):
        trunk = tuple(place for pair in PLACES for place in pair)
        model_state = {k: v for k, v in model_state.items() if k.startswith(trunk)}
    state = in_model_places(weights.state, model_state)
    report = compare(model_state, state, weights.source, weights.format)
    if report.mismatched or report.missing or report.skipped:
        raise ValueError(_describe_misfit(report))
    differing = contradictions(weights.expects, cfg, report.loaded)
    if differing:
        return describe_contradictions(weights.source, differing)
    return f"all {len(report.loaded)} weights of the model are there, and the config suits them"


def write_weights(weights: ImportedWeights, path: str | Path) -> None:
    """Write ``weights`` to ``path``, atomically, as a file with Pet's keys.

    It holds ``model``, ``source``, ``expects``, ``class_names`` and ``keypoints``, as tensors and
    plain types. Raises ValueError if some keys have no place in Pet, or if ``path`` is the source.
    """
    if weights.no_place:
        raise ValueError(f"{weights.source}: {describe_no_place(weights.no_place)}")
    if Path(path).resolve() == Path(weights.source).resolve():
        raise ValueError(f"{path} is the file to convert; give another one to write")
    content = {
        # Copies: a view would store the whole tensor that it belongs to.
        "model": {
            key: value.detach().clone(memory_format=torch.contiguous_format)
            for key, value in weights.state.items()
        },
        "source": f"{Path(weights.source).name} ({weights.format})",
        "expects": dict(weights.expects),
        "class_names": list(weights.class_names),
        "keypoints": asdict(weights.keypoints) if weights.keypoints else None,
    }
    write_torch_file(content, path)


def _describe_misfit(report: LoadReport) -> str:
    lines = [f"{report.source} ({report.format}) does not fit the model of the config:"]
    lines += list_mismatches(report.mismatched, count=len(report.mismatched))
    if report.missing:
        lines.append(f"    not in the file: {_all(report.missing)}")
    if report.skipped:
        lines.append(f"    not in the model: {_all(report.skipped)}")
    return "\n".join(lines)


def _all(keys: tuple[str, ...]) -> str:
    return f"{len(keys)} keys, {', '.join(keys)}" if keys else "none"
