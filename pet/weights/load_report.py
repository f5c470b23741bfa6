"""A report on the keys of a weight file and a model: loaded, skipped, missing, mismatched."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pet.structures import KeypointLayout
from pet.weights.output_layers import is_of_classes

#: Buffers that training counts with and detections do not depend on; they may be missing.
COUNTERS = (".num_batches_tracked", ".loss_average")


@dataclass(frozen=True)
class Mismatch:
    """A weight whose shape in the file differs from that in the model."""

    key: str
    file_shape: tuple[int, ...]
    model_shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.key}: {self.file_shape} in the file, {self.model_shape} in the model"

    @property
    def looks_like_class_count(self) -> bool:
        """Whether only the number of outputs differs, as for another number of classes."""
        return is_of_classes(self.key) and self.file_shape[1:] == self.model_shape[1:]


@dataclass(frozen=True)
class LoadReport:
    """The keys of a weight file and of a model, by outcome."""

    source: str  # the file
    format: str  # name of the importer that recognised it
    loaded: tuple[str, ...]  # model keys that now hold the file's values
    not_needed: tuple[str, ...]  # keys of the file that no model of Pet reads
    skipped: tuple[str, ...]  # keys of the file, renamed, that are not in this model
    missing: tuple[str, ...]  # model keys that are not in the file; unchanged
    mismatched: tuple[Mismatch, ...]  # model keys with another shape in the file; unchanged
    class_names: tuple[str, ...]  # the classes that the weights were trained for, or ()
    keypoints: KeypointLayout | None = None  # the keypoints that they were trained for, or None
    other_meaning: tuple[str, ...] = ()  # model keys for other classes or keypoints; unchanged

    def __str__(self) -> str:
        lines = [f"weights from {self.source} ({self.format}): {group_keys(self.loaded, names=0)}"]
        if named := without_counters(self.not_needed):
            lines.append(f"  not needed: {some_keys(named)}")
        if self.skipped:
            lines.append(f"  not in the model, skipped: {group_keys(self.skipped)}")
        if self.missing:
            lines.append(f"  not in the file, left at their start: {group_keys(self.missing)}")
        if self.mismatched:
            lines.append("  of another shape, left at their start:")
            lines += list_mismatches(self.mismatched)
        if self.other_meaning:
            names = group_keys(self.other_meaning)
            lines.append(f"  for other classes or keypoints, left at their start: {names}")
        return "\n".join(lines)


def without_counters(keys: Iterable[str]) -> tuple[str, ...]:
    """Return ``keys`` without the counters of training (``COUNTERS``)."""
    return tuple(key for key in keys if not key.endswith(COUNTERS))


def group_keys(keys: Iterable[str], names: int = 3) -> str:
    """Return the number of ``keys`` per first part, with up to ``names`` keys of each, as text."""
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


def some_keys(keys: Sequence[str], count: int = 5) -> str:
    """Return the first ``count`` of ``keys`` and the number of the others, as text."""
    more = f" and {len(keys) - count} more" if len(keys) > count else ""
    return ", ".join(keys[:count]) + more


def list_mismatches(pairs: Sequence[Mismatch], count: int = 8) -> list[str]:
    """Return a line for each of the first ``count`` pairs, and one line for the rest."""
    lines = [f"    {pair}" for pair in pairs[:count]]
    return [*lines, f"    and {len(pairs) - count} more"] if len(pairs) > count else lines
