"""The object of each mask, by its number, its class and its box."""

import numpy as np
import pytest

from pet.data.formats.index_png import masks_of
from pet.data.formats.voc_masks import VOC_CLASSES, VocMask, match_masks, read_masks
from pet.data.formats.voc_xml import VocObject
from pet.data.image_file import ImageReader
from tests.data.formats.drawn_voc import write_indices

CAT, DOG = VOC_CLASSES.index("cat") + 1, VOC_CLASSES.index("dog") + 1


def mask(value, box, kind=CAT):
    x1, y1, x2, y2 = box
    indices = np.zeros((50, 100), np.uint8)
    indices[y1:y2, x1:x2] = value
    return VocMask(masks_of(indices)[0], kind)


def matched(masks, objects, names=VOC_CLASSES):
    """Return the number of the mask of each object, or None."""
    found = match_masks(masks, objects, names)
    return [found[n].value if n in found else None for n in range(len(objects))]


LEFT, RIGHT = (0, 0, 40, 40), (50, 0, 90, 40)


def test_the_number_decides():
    objects = [VocObject("cat", LEFT), VocObject("cat", (5, 0, 45, 40))]
    # Both masks overlap both objects by half, and each the object of the other more.
    masks = [mask(1, (5, 0, 45, 40)), mask(2, LEFT)]
    assert matched(masks, objects) == [1, 2]


def test_a_number_without_such_an_object_goes_to_the_largest_overlap():
    objects = [VocObject("cat", LEFT), VocObject("cat", RIGHT)]
    assert matched([mask(7, (52, 0, 90, 40)), mask(9, LEFT)], objects) == [9, 7]


def test_a_number_in_another_order():
    objects = [VocObject("cat", LEFT), VocObject("cat", RIGHT)]
    assert matched([mask(1, RIGHT), mask(2, LEFT)], objects) == [2, 1]


def test_the_class_excludes():
    objects = [VocObject("dog", LEFT), VocObject("cat", LEFT)]
    assert matched([mask(1, LEFT, CAT)], objects) == [None, 1]
    assert matched([mask(1, LEFT, CAT)], objects[:1]) == [None]
    # Without names of the indices, or without an index, the number decides.
    assert matched([mask(1, LEFT, CAT)], objects, ()) == [1, None]
    assert matched([mask(1, LEFT, 0)], objects) == [1, None]
    assert matched([mask(1, LEFT, 200)], objects) == [1, None]


def test_half_of_the_box_of_a_mask_lies_inside_the_box_of_its_object():
    assert matched([mask(1, (20, 0, 60, 40))], [VocObject("cat", LEFT)]) == [1]
    assert matched([mask(1, (22, 0, 62, 40))], [VocObject("cat", LEFT)]) == [None]
    assert matched([mask(1, RIGHT)], [VocObject("cat", LEFT)]) == [None]
    assert matched([mask(1, (18, 18, 22, 22))], [VocObject("cat", LEFT)]) == [1]


def test_each_object_and_each_mask_is_used_once():
    objects = [VocObject("cat", LEFT), VocObject("cat", LEFT)]
    assert matched([mask(5, LEFT)], objects) == [5, None]
    assert matched([mask(5, LEFT), mask(6, (0, 0, 30, 40))], objects[:1]) == [5]


def test_nothing_to_match():
    assert matched([], [VocObject("cat", LEFT)]) == [None]
    assert matched([mask(1, LEFT)], []) == []


def test_the_class_of_a_mask_is_that_of_most_of_its_pixels(tmp_path):
    objects, kinds = np.zeros((2, 20, 30), np.uint8)
    objects[2:8, 2:8] = 3
    kinds[2:8, 2:8] = 255  # the border does not count
    kinds[2:4, 2:4], kinds[6, 6] = DOG, CAT
    objects[10:12, 10:12] = 4  # which has no class
    objects[15:18, 15:18] = 255
    for name, indices in (("o", objects), ("c", kinds)):
        write_indices(tmp_path / f"{name}.png", indices)
    size, found = read_masks(tmp_path / "o.png", tmp_path / "c.png", ImageReader())
    assert size == (20, 30)
    assert [(each.mask.value, each.class_index) for each in found] == [(3, DOG), (4, 0)]
    _, found = read_masks(tmp_path / "o.png", tmp_path / "none.png", ImageReader())
    assert [each.class_index for each in found] == [0, 0]
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        read_masks(tmp_path / "none.png", tmp_path / "c.png", ImageReader())
