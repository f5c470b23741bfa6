"""What the labels of trained weights mean in a data set: classes are matched by name."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pet.structures.class_names import UNUSED_CLASS


@dataclass(frozen=True)
class ClassMatch:
    """The classes of a model, K of them, in a data set."""

    category_ids: tuple[int | None, ...]  # K; None: the data set has no such class
    class_names: tuple[str, ...]  # K, as the model calls them
    note: str = ""  # what the user should know; "" where all is as in training
    is_partial: bool = False  # whether a class of one side is not on the other


def match_classes(
    trained: Sequence[str], name: str, class_names: Sequence[str], category_ids: Sequence[int]
) -> ClassMatch:
    """Return what the labels of weights ``trained`` for these classes mean in data set ``name``.

    Its classes are ``class_names``, of ``category_ids``. Where the weights do not name theirs, the
    labels are those of the data set. Raises ValueError where no name is in both, or where a name
    that comes twice leaves open which class is meant.
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
    """Return the category id of each class of ``used`` whose name is ``here``.

    Names that agree but for case and spaces around them are the same where nothing else is meant.
    """
    found = {c: here[c] for c in used if c in here}
    others = _plain(c for c in here if c not in found)
    ours = _plain(c for c in used if c not in found)
    return found | {ours[key]: here[others[key]] for key in ours.keys() & others.keys()}


def _plain(names: Iterable[str]) -> dict[str, str]:
    """Return plain name -> name, of the names that stay different from each other when plain."""
    names = list(names)
    times = Counter(name.strip().casefold() for name in names)
    return {key: c for c in names if times[key := c.strip().casefold()] == 1}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
