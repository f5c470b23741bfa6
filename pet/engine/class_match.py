"""Matching the classes of trained weights to those of a data set, by name."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pet.structures.class_names import UNUSED_CLASS


@dataclass(frozen=True)
class ClassMatch:
    """The classes of a model, K of them, in a data set."""

    category_ids: tuple[int | None, ...]  # K; None: the data set has no such class
    class_names: tuple[str, ...]  # K, as the model calls them
    note: str = ""  # a message for the user; "" if all classes are as in training
    is_partial: bool = False  # whether either side has a class that the other lacks


def match_classes(
    trained: Sequence[str], name: str, class_names: Sequence[str], category_ids: Sequence[int]
) -> ClassMatch:
    """Match the classes ``trained`` of the weights to those of data set ``name``.

    Its classes are ``class_names``, with ``category_ids``. If the weights do not name their
    classes, the labels are those of the data set. Raises ValueError if the two share no name, or
    if a name that comes twice makes the match ambiguous.
    """
    if not trained or tuple(trained) == tuple(class_names):
        return ClassMatch(tuple(category_ids), tuple(class_names))
    here = {c: n for c, n in zip(class_names, category_ids, strict=True) if c != UNUSED_CLASS}
    used = [c for c in trained if c != UNUSED_CLASS]
    found = _matched(used, here)
    if not found:
        raise ValueError(
            f"the weights were trained for other classes than those of data set {name!r}: "
            f"{_some(used)} there, {_some(list(here))} here, and no name is in both; test on data "
            "whose categories have the names that the weights were trained with, or give weights "
            "trained for these"
        )
    names_here = [c for c in class_names if c != UNUSED_CLASS]
    twice = [c for names in (used, names_here) for c, n in Counter(names).items() if n > 1]
    if twice:
        raise ValueError(
            f"the classes of the weights and of data set {name!r} are not the same, and cannot be "
            f"matched by name, as {twice[0]!r} comes more than once; give each category a name of "
            "its own"
        )
    lost = [c for c in used if c not in found]
    taken = set(found.values())
    unknown = [c for c, number in here.items() if number not in taken]
    notes = [f"the classes of data set {name!r} and of the weights are matched by their names"]
    if lost:
        notes.append(f"the data set lacks {_some(lost)}, and what is found of them is left out")
    if unknown:
        notes.append(f"the weights lack {_some(unknown)}, which cannot be found")
    return ClassMatch(
        tuple(found.get(c) for c in trained),
        tuple(trained),
        "; ".join(notes),
        is_partial=bool(lost or unknown),
    )


def _matched(used: Sequence[str], here: Mapping[str, int]) -> dict[str, int]:
    """Return the category id of each class of ``used`` whose name is in ``here``.

    Names that differ only in case or surrounding spaces match if that is unambiguous.
    """
    found = {c: here[c] for c in used if c in here}
    others = _plain(c for c in here if c not in found)
    ours = _plain(c for c in used if c not in found)
    return found | {ours[key]: here[others[key]] for key in ours.keys() & others.keys()}


def _plain(names: Iterable[str]) -> dict[str, str]:
    """Return plain name -> name, for names whose plain form is unique."""
    names = list(names)
    times = Counter(name.strip().casefold() for name in names)
    return {key: c for c in names if times[key := c.strip().casefold()] == 1}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
