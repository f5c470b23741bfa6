"""Random small data sets in LVIS's form, with detections."""

import random
from typing import Any

import pycocotools.mask as coco_mask

SIDE = 160  # of the pictures, in pixels
NAMES = ("ant", "bee", "cow", "dog", "elk", "fox", "gnu")
FREQUENCIES = ("r", "c", "f", "f", "r", "c", "f")
CATEGORIES = (2, 3, 5, 7, 11, 13, 17)

Content = dict[str, Any]


def lvis_image(image_id: int, negative=(), not_exhaustive=(), **fields: Any) -> Content:
    return {
        "id": image_id,
        "height": SIDE,
        "width": SIDE,
        "coco_url": f"http://images.cocodataset.org/val2017/{image_id:012}.jpg",
        "neg_category_ids": list(negative),
        "not_exhaustive_category_ids": list(not_exhaustive),
        **fields,
    }


def lvis_object(number: int, image_id: int, category: int, box, **fields: Any) -> Content:
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "bbox": list(box),
        "area": box[2] * box[3],
        "segmentation": [corners(box)],
        **fields,
    }


def lvis_content(images: list[Content], objects: list[Content]) -> Content:
    categories = [
        {"id": c, "name": n, "frequency": f, "synonyms": [n], "image_count": 1}
        for c, n, f in zip(CATEGORIES, NAMES, FREQUENCIES, strict=True)
    ]
    return {"images": images, "annotations": objects, "categories": categories}


def corners(box) -> list[float]:
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def detection(image_id: int, category: int, box, score: float) -> Content:
    return {"image_id": image_id, "category_id": category, "bbox": list(box), "score": score}


def as_masks(records: list[Content]) -> list[Content]:
    """Return ``records`` of boxes with masks in place of these."""
    found = []
    for record in records:
        (rle,) = coco_mask.frPyObjects([corners(record["bbox"])], SIDE, SIDE)
        mask = {"size": rle["size"], "counts": rle["counts"].decode()}
        found.append({k: v for k, v in record.items() if k != "bbox"} | {"segmentation": mask})
    return found


class _Draw:
    """Draws by the numbers of ``random.random`` alone, which no version of Python changes."""

    def __init__(self, seed: int) -> None:
        self._next = random.Random(seed).random

    def between(self, low: float, high: float) -> float:
        return round(low + (high - low) * self._next(), 2)

    def below(self, end: int) -> int:
        return int(end * self._next())

    def happens(self, chance: float) -> bool:
        return self._next() < chance

    def one_of(self, items):
        return items[self.below(len(items))]

    def shuffled(self, items) -> list:
        places = sorted((self._next(), place) for place in range(len(items)))
        return [items[place] for _, place in places]

    def box(self) -> list[float]:
        width, height = (self.one_of((8, 20, 50, 100)) * self.between(0.7, 1.3) for _ in "wh")
        return [self.between(0, SIDE - width), self.between(0, SIDE - height), width, height]

    def score(self) -> float:
        return (1 + self.below(39)) / 40  # of which many are equal


def random_case(seed: int, images: int = 8, crowd: int = 0) -> tuple[Content, list[Content]]:
    """Return annotations and detections; ``crowd`` more of these are in the first image."""
    draw = _Draw(seed)
    ids = draw.shuffled(range(1, 50))[:images]
    pictures, objects = [], []
    for image_id in ids:
        order = draw.shuffled(CATEGORIES)
        positive, negative = order[:3], order[3 : 3 + draw.below(3)]
        doubtful = [category for category in positive if draw.happens(0.3)]
        pictures.append(lvis_image(image_id, negative, doubtful))
        for category in positive[: draw.below(4)]:
            for _ in range(1 + draw.below(3)):
                objects.append(lvis_object(len(objects) + 1, image_id, category, draw.box()))
    records = []
    for entry in objects:
        for _ in range(draw.below(3)):
            box = [max(side + draw.between(-4, 4), 1) for side in entry["bbox"]]
            right = draw.happens(0.8)
            category = entry["category_id"] if right else draw.one_of(CATEGORIES)
            records.append(detection(entry["image_id"], category, box, draw.score()))
    for number in range(30 + crowd):
        image_id = ids[0] if number < crowd else draw.one_of(ids)
        box = draw.box() if draw.happens(0.95) else [5.0, 5.0, 0.0, 20.0]
        records.append(detection(image_id, draw.one_of(CATEGORIES), box, draw.score()))
    return lvis_content(pictures, objects), draw.shuffled(records)
