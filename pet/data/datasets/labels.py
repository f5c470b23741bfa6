"""Which category each label stands for."""

from pet.data.datasets.coco_file import CocoFile, shorten
from pet.structures.labels import UNUSED_CLASS


def label_categories(file: CocoFile, labels: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the category ids and the names (K) of the labels 1..K.

    With ``labels`` "contiguous", label l is the l-th category in order of id. With "category_id"
    it is the category of id l, K is the highest id, and a label that no category has for an id is
    named ``UNUSED_CLASS``; raises ValueError where an id is below 1 then.
    """
    names = {int(category["id"]): str(category["name"]) for category in file.categories}
    if labels == "contiguous":
        return tuple(names), tuple(names.values())
    low = [f"{number} ({name})" for number, name in names.items() if number < 1]
    if low:
        raise ValueError(
            f"{file.path}: category ids that cannot be labels: {shorten(low)}; with "
            "MODEL.CLASS_LABELS category_id they begin at 1, as label 0 is the background; number "
            "the categories anew, or give MODEL.CLASS_LABELS contiguous"
        )
    ids = tuple(range(1, max(names, default=0) + 1))
    return ids, tuple(names.get(number, UNUSED_CLASS) for number in ids)
