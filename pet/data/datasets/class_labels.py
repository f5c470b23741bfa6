"""Which category each label stands for."""

from collections import Counter
from collections.abc import Sequence

from pet.annotations import Annotations
from pet.annotations.values import shorten
from pet.structures.class_names import UNUSED_CLASS

_MOST_LABELS = 20_000  # of a model: each costs memory, whether a category has its id or not


def check_classes(name: str, classes: Sequence[str], labels: str) -> None:
    """Raise ValueError where ``classes``, of data set ``name``, cannot be those of 1..K.

    ``labels`` is ``MODEL.CLASS_LABELS``.
    """
    key = f"DATASETS.{name}.CLASSES"
    twice = _twice(classes)
    if twice:
        raise ValueError(f"{key} names more than once: {shorten(twice)}")
    if "" in classes:
        raise ValueError(f"{key} holds an empty name")
    if classes and labels != "contiguous":
        raise ValueError(
            f"{key} gives the labels 1, 2 ... to its names, and MODEL.CLASS_LABELS {labels} to "
            "other ones; give one of the two alone"
        )


def fix_classes(table: Annotations, name: str, classes: Sequence[str]) -> Annotations:
    """Return ``table`` with a category for each of ``classes``, of data set ``name``.

    Raises ValueError where it has a category of another name, or two of one name.
    """
    key, known = f"DATASETS.{name}.CLASSES", set(classes)
    names = [str(each["name"]) for each in table.categories]
    others = [f"{each['name']} ({each['id']})" for each in table.categories]
    others = [text for text, each in zip(others, names, strict=True) if each not in known]
    if others:
        raise ValueError(
            f"{table.file}: categories that {key} does not name: {shorten(others)}; it names "
            f"{shorten(classes)}; add them to it, or take them out of the annotations"
        )
    twice = _twice(names)
    if twice:
        raise ValueError(
            f"{table.file}: more than one category is named {shorten(twice)}, so that {key} does "
            "not tell which is meant; give each a name of its own"
        )
    return table.with_classes(classes)


def _twice(names: Sequence[str]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


def label_categories(
    file: Annotations, labels: str, classes: Sequence[str] = ()
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the category ids and the names (K) of the labels 1..K.

    Where ``classes`` are given, which are the names of all categories, label l is the l-th of them.
    Else, with ``labels`` "contiguous", label l is the l-th category in order of id. With
    "category_id" it is the category of id l, K is the highest id, and a label that no category has
    for an id is named ``UNUSED_CLASS``; raises ValueError where an id is below 1, or above 20 000,
    then.
    """
    names = {int(category["id"]): str(category["name"]) for category in file.categories}
    if classes:
        id_of = {name: number for number, name in names.items()}
        return tuple(id_of[name] for name in classes), tuple(classes)
    if labels == "contiguous":
        return tuple(names), tuple(names.values())
    odd = [f"{n} ({name})" for n, name in names.items() if not 1 <= n <= _MOST_LABELS]
    if odd:
        raise ValueError(
            f"{file.file}: category ids that cannot be labels: {shorten(odd)}; with "
            "MODEL.CLASS_LABELS category_id they begin at 1, as label 0 is the background, and end "
            f"at {_MOST_LABELS}; number the categories anew, or give MODEL.CLASS_LABELS contiguous"
        )
    ids = tuple(range(1, max(names, default=0) + 1))
    return ids, tuple(names.get(number, UNUSED_CLASS) for number in ids)
