"""What the labels of trained weights mean in a data set: classes are matched by name."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pet.structures.labels import UNUSED_CLASS


@dataclass(frozen=True)
class ClassMatch:
    """The classes of a model, K of them, in a data set."""

    category_ids: tuple[int | None, ...]  # K; None: the data set has no such class
    class_names: tuple[str, ...]  # K, as the model calls them
    note: str = ""  # what the user should know; "" where all is as in training


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
    known = {c: n for c, n in zip(class_names, category_ids, strict=True) if c != UNUSED_CLASS}
    used = [c for c in trained if c != UNUSED_CLASS]
    names_here = [c for c in class_names if c != UNUSED_CLASS]
    twice = [c for names in (used, names_here) for c, n in Counter(names).items() if n > 1]
    found = {c: known[c] for c in used if c in known} or _ignoring_case(used, known)
    if not found:
        raise ValueError(
            f"the weights were trained for other classes than those of data set {name!r}: "
            f"{_some(used)} there, {_some(list(known))} here, and no name is in both; test on data "
            "whose categories have the names that the weights were trained with, or give weights "
            "trained for these"
        )
    if twice:
        raise ValueError(
            f"the classes of the weights and of data set {name!r} are not the same, and cannot be "
            f"matched by name, as {twice[0]!r} comes more than once; give each category a name of "
            "its own"
        )
    lost = [c for c in used if c not in found]
    unknown = sorted(set(known.values()) - set(found.values()))
    parts = [f"{len(found)} of the {len(used)} classes of the weights are matched by name"]
    if lost:
        parts.append(f"what is found of the others is left out: {_some(lost)}")
    if unknown:
        names = [c for c, number in known.items() if number in unknown]
        parts.append(f"the weights do not know, and cannot find: {_some(names)}")
    return ClassMatch(
        tuple(found.get(c) for c in trained),
        tuple(trained),
        f"the classes of data set {name!r} are not those that the weights were trained for, or in "
        f"another order: {'; '.join(parts)}",
    )


def _ignoring_case(used: Sequence[str], known: dict[str, int]) -> dict[str, int]:
    """Return the ids of the classes whose names agree but for case and spaces around them."""
    plain = {c.strip().casefold(): number for c, number in known.items()}
    keys = {c: c.strip().casefold() for c in used}
    return {c: plain[key] for c, key in keys.items() if key in plain}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
