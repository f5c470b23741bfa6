import logging

import numpy as np
import pytest

from pet.visualization import captions
from pet.visualization.captions import find_font, place_labels, render_label

UNKNOWN = "\U000f0000"  # private use: no font has it


def test_latin_greek_and_cyrillic_need_no_font_of_the_system():
    assert find_font("café Ärger Кот γάτα").endswith("DejaVuSans.ttf")


def test_letters_that_no_font_has_give_a_warning_and_no_font(caplog):
    captions._warn_of_fonts.cache_clear()
    find_font.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert find_font(f"cat {UNKNOWN}") is None
        assert find_font(f"dog {UNKNOWN}") is None
    assert caplog.text.count("no font of this system") == 1


@pytest.mark.parametrize(
    ("color", "ink"), [((255, 255, 255), 16), ((0, 215, 255), 16), ((0, 0, 0), 255)]
)
def test_the_ink_contrasts_with_the_patch(color, ink):
    patch = render_label("person 0.99", 16, color)
    assert patch.dtype == np.uint8 and patch.shape[2] == 3
    inside = patch[2:-2, 2:-2].reshape(-1, 3)
    assert (inside == color).all(axis=1).any()
    assert (inside == ink).all(axis=1).any()
    assert (patch[0] == 16).all() and (patch[:, -1] == 16).all()


def test_a_label_is_as_wide_as_its_text():
    short, long = render_label("a", 16, (0, 0, 0)), render_label("aaaa", 16, (0, 0, 0))
    assert short.shape[0] == long.shape[0]
    assert short.shape[1] < long.shape[1]


def test_a_label_stands_on_its_box():
    assert place_labels([(50, 60, 90, 90)], [(10, 30)], (100, 200)) == [(50, 50, 80, 60)]


def test_labels_stay_inside_the_picture():
    boxes = [(0, 0, 200, 100), (190, 0, 200, 5), (190, 95, 200, 100), (-5, -5, 400, 400)]
    for x1, y1, x2, y2 in place_labels(boxes, [(10, 30)] * 4, (100, 200)):
        assert 0 <= x1 < x2 <= 200 and 0 <= y1 < y2 <= 100
    assert place_labels([(3, 3, 9, 9)], [(50, 300)], (20, 40)) == [(0, 0, 40, 20)]


def test_labels_of_equal_boxes_do_not_overlap():
    picture = np.zeros((200, 300), int)
    places = place_labels([(100, 50, 180, 120)] * 12, [(10, 30)] * 12, picture.shape)
    for x1, y1, x2, y2 in places:
        picture[y1:y2, x1:x2] += 1
    assert picture.max() == 1


def test_where_there_is_no_room_labels_still_get_a_place():
    assert len(place_labels([(0, 0, 10, 10)] * 50, [(10, 30)] * 50, (20, 40))) == 50
    assert place_labels([], [], (20, 40)) == []
