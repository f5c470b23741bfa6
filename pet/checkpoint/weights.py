"""Loading weights into a model, with a report of what found its place and what did not."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .importers import IMPORTERS
from .importers.torchvision import download_url
from .torch_file import read_torch_file

_logger = logging.getLogger(__name__)

#: Counters that no computation of ours reads; files and models have them or not.
_COUNTER = ".num_batches_tracked"
#: Last layers of the heads, with outputs for each class.
_PREDICTORS = (".cls_score.", ".bbox_pred.", ".mask_logits.")


@dataclass(frozen=True)
class Mismatch:
    """A weight whose shape in the file is not the model's."""

    key: str
    file_shape: tuple[int, ...]
    model_shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.key}: {self.file_shape} in the file, {self.model_shape} in the model"

    @property
    def looks_like_class_count(self) -> bool:
        """Whether only the number of outputs differs, as with a predictor of other classes."""
        return (
            not self.key.startswith("RPN.")
            and any(name in self.key for name in _PREDICTORS)
            and self.file_shape[1:] == self.model_shape[1:]
        )


@dataclass(frozen=True)
class LoadReport:
    """What became of every key of a file and of a model."""

    source: str  # the file
    format: str  # name of the importer that knew it
    loaded: tuple[str, ...]  # model keys that now hold the file's values
    skipped: tuple[str, ...]  # keys of the file that the model lacks
    missing: tuple[str, ...]  # model keys that the file lacks: left as they were
    mismatched: tuple[Mismatch, ...]  # of another shape: left as they were
    class_names: tuple[str, ...]  # the classes that a checkpoint of Pet was trained for; or ()

    def __str__(self) -> str:
        lines = [f"weights from {self.source} ({self.format}): {_group(self.loaded, names=0)}"]
        if self.skipped:
            lines.append(f"  not in the model, skipped: {_group(self.skipped)}")
        if self.missing:
            lines.append(f"  not in the file, left at their start: {_group(self.missing)}")
        if self.mismatched:
            lines.append("  of another shape, left at their start:")
            lines += _list_some(self.mismatched)
        return "\n".join(lines)


def load_weights(
    model: nn.Module, path: str | Path, reinit_mismatched: bool = False, strict: bool = False
) -> LoadReport:
    """Load the file at ``path`` into ``model``, in place, log the report, and return it.

    The file is a checkpoint of Pet, a state dict of Pet, or one that an importer knows. To train
    from (``strict`` False), the file may hold a part of the model; ``reinit_mismatched`` leaves
    weights of another shape at their random start. To test (``strict`` True), file and model must
    agree in every key.

    Raises FileNotFoundError, and ValueError where the file is unreadable, unknown, or does not
    fit; the model is then unchanged.
    """
    key = "TEST.WEIGHTS" if strict else "TRAIN.WEIGHTS"
    require_weights(path, key)
    content = read_torch_file(path)
    name, state = _convert(_find_state(content, path), path)
    names = content.get("class_names", ()) if isinstance(content, Mapping) else ()
    report = compare(model.state_dict(), state, str(path), name, tuple(names))
    if not report.loaded and not report.mismatched:
        raise ValueError(
            f"nothing in {path} ({key}) is in the model: the file ({name}) has "
            f"{_group(state)}, the model {_group(model.state_dict())}"
        )
    if report.mismatched and not reinit_mismatched:
        raise ValueError(_describe_mismatches(report, key, strict))
    if strict and (report.missing or report.skipped):
        raise ValueError(
            f"{key} is not of this model; test with the config that it was trained with\n{report}"
        )
    copy_into(model, {k: state[k] for k in report.loaded})
    _logger.info("%s", report)
    return report


def compare(
    model_state: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    source: str,
    format_name: str = "Pet",
    class_names: tuple[str, ...] = (),
) -> LoadReport:
    """Return how ``state``, from the file ``source``, fits ``model_state``; change neither."""
    shared = [key for key in model_state if key in state]
    mismatched = tuple(
        Mismatch(key, tuple(state[key].shape), tuple(model_state[key].shape))
        for key in shared
        if state[key].shape != model_state[key].shape
    )
    other_shape = {pair.key for pair in mismatched}
    return LoadReport(
        source=source,
        format=format_name,
        loaded=tuple(key for key in shared if key not in other_shape),
        skipped=_without_counters(key for key in state if key not in model_state),
        missing=_without_counters(key for key in model_state if key not in state),
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
    raise FileNotFoundError(f"there is no file {path} ({key}); {advice}")


def _find_state(content: Any, path: str | Path) -> dict[str, Tensor]:
    """Return the state dict in ``content``: itself, or what lies under "model" or "state_dict"."""
    state = content
    if isinstance(content, Mapping):
        for wrapper in ("model", "state_dict"):
            if isinstance(content.get(wrapper), Mapping):
                state = content[wrapper]
                break
    if not isinstance(state, Mapping):
        raise ValueError(f"{path} holds a {type(state).__name__}; {_supported()}")
    tensors = {str(key): value for key, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"{path} holds no tensors under {_some(map(str, state))}; {_supported()}")
    return tensors


def _convert(state: dict[str, Tensor], path: str | Path) -> tuple[str, dict[str, Tensor]]:
    for importer in IMPORTERS:
        if importer.matches(state):
            return importer.name, importer.convert(state)
    raise ValueError(
        f"{path} is of a kind that Pet does not know, with {_some(state)}; {_supported()}"
    )


def _supported() -> str:
    return "known are the state dicts of: " + ", ".join(importer.name for importer in IMPORTERS)


def _describe_mismatches(report: LoadReport, key: str, strict: bool) -> str:
    lines = [f"{report.source} ({key}) does not fit the model:"]
    lines += _list_some(report.mismatched)
    if any(pair.key.startswith("Conv_Body.") for pair in report.mismatched):
        lines.append("the trunk differs: give the MODEL.CONV_BODY that the weights are for")
        return "\n".join(lines)
    if any(pair.looks_like_class_count for pair in report.mismatched):
        known = f" ({len(report.class_names)} classes without background)"
        lines.append(
            "the number of classes differs: the file is for another data set"
            + (known if report.class_names else "")
        )
    if strict:
        lines.append(
            "MODEL.NUM_CLASSES (with the background), the data set and the sizes of the heads must "
            "be those that the weights were trained with"
        )
    else:
        lines.append(
            "give TRAIN.REINIT_MISMATCHED True to start these at random, or weights that fit"
        )
    return "\n".join(lines)


def _without_counters(keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(key for key in keys if not key.endswith(_COUNTER))


def _group(keys: Iterable[str], names: int = 3) -> str:
    """Return ``keys`` as counts by their first part, naming up to ``names`` of each."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(key.split(".")[0], []).append(key)
    shown = []
    for prefix, members in groups.items():
        text = f"{prefix} ({len(members)})"
        if names:
            text += f": {', '.join(members[:names])}{', …' if len(members) > names else ''}"
        shown.append(text)
    return ("; " if names else ", ").join(shown) or "nothing"


def _list_some(pairs: Sequence[Mismatch], count: int = 8) -> list[str]:
    lines = [f"    {pair}" for pair in pairs[:count]]
    return [*lines, f"    and {len(pairs) - count} more"] if len(pairs) > count else lines


def _some(keys: Iterable[str], count: int = 5) -> str:
    names = list(keys)
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return "keys " + ", ".join(names[:count]) + more if names else "no keys"
