"""Which category each label stands for."""

from pet.annotations import Annotations
from pet.annotations.values import shorten
from pet.structures.class_names import UNUSED_CLASS

_MOST_LABELS = 20_000  # of a model: each costs memory, whether a category has its id or not


def label_categories(file: Annotations, labels: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the category ids and the names (K) of the labels 1..K.

    With ``labels`` "contiguous", label l is the l-th category in order of id. With "category_id"
    it is the category of id l, K is the highest id, and a label that no category has for an id is
    named ``UNUSED_CLASS``; raises ValueError where an id is below 1, or above 20 000, then.
    """
    names = {int(category["id"]): str(category["name"]) for category in file.categories}
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
