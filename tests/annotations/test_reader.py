import pytest

from pet.annotations import read_annotations
from tests.data.small_coco import annotation, image, write_annotations


def test_sorted_by_id_and_without_info(tmp_path):
    images = [image(9), image(4)]
    entries = [annotation(2, 9), annotation(7, 4), annotation(1, 9)]
    file = read_annotations(write_annotations(tmp_path / "a.json", images, entries))
    assert file.image_ids.tolist() == [4, 9]
    assert [file.file_name(place) for place in range(2)] == ["4.png", "9.png"]
    assert file.sizes.tolist() == [[8, 12]] * 2
    assert file.categories == [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]
    assert file.ids.tolist() == [7, 2, 1] and file.first.tolist() == [0, 1, 3]
    assert file.image_of.tolist() == [0, 1, 1]
    assert file.boxes.tolist() == [[1, 1, 3, 3]] * 3 and file.areas.tolist() == [9] * 3
    assert [polygon.tolist() for polygon in file.polygons(1)] == [[[1, 1], [4, 1], [4, 4], [1, 4]]]


def test_annotations_may_be_missing(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"images": [], "categories": []}')
    file = read_annotations(path)
    assert not file.has_annotations and not len(file.ids)
    path.write_text('{"images": [], "categories": [], "annotations": []}')
    assert read_annotations(path).has_annotations


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("{'images'", "is not JSON"),
        ("\x80", "no list 'images'|is not JSON"),
        ("[1]", "holds a list, not COCO's sections"),
        ("{}", "no list 'images' among its sections; there are none"),
        ('{"images": []}', "no list 'categories' among its sections; there are images"),
        ('{"images": {}, "categories": []}', "no list 'images'"),
        ('{"images": [3], "categories": []}', "images, entry 0: 'id' is None"),
        ('{"images": [{"id": "a"}], "categories": []}', "'id' is 'a', not a whole number"),
        ('{"images": [{"id": true}], "categories": []}', "'id' is True, not a whole number"),
        ('{"images": [{"id": 1.5}], "categories": []}', "'id' is 1.5, not a whole number"),
        ('{"images": [{"id": 1e30}], "categories": []}', "'id' is 1e.30, not a whole number"),
        ('{"images": [], "categories": [], "annotations": {}}', "no list 'annotations'"),
        ('{"images": [], "categories": [], "annotations": [[]]}', r"entry 0: \[\] is no object"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_broken_files(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_annotations(path)
    assert str(path) in str(caught.value)


def test_not_text(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(ValueError, match="is not JSON"):
        read_annotations(path)


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no annotation file .*a\.json; give"):
        read_annotations(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("images", "annotations", "message"),
    [
        ([image(1), image(1)], [], "more than once in images: 1"),
        ([image(1)], [annotation(5, 1), annotation(5, 1)], "more than once in annotations: 5"),
        ([image(1)], [annotation(5, 2)], "image_id not among its images: annotation 5 has 2"),
        (
            [image(1)],
            [annotation(n, 1, category_id=99) for n in range(7)],
            "category_id not among its categories: annotation 0 has 99, .* and 2 more",
        ),
        ([image(1)], [annotation(5, None)], "annotations, id 5: 'image_id' is None"),
        ([image(1, height=1.5)], [], "images, id 1: 'height' is 1.5, not a whole number"),
        (
            [image(1, height=10**6, width=10**6)],
            [],
            "1000000 x 1000000 pixels, more than",
        ),
        ([image(1)], [annotation(5, 1, iscrowd=2)], "id 5: 'iscrowd' is 2, not 0 or 1"),
        ([image(1)], [annotation(5, 1, iscrowd="maybe")], "id 5: 'iscrowd' is 'maybe', not 0 or 1"),
    ],
)
def test_wrong_ids(tmp_path, images, annotations, message):
    path = write_annotations(tmp_path / "a.json", images, annotations)
    with pytest.raises(ValueError, match=message) as caught:
        read_annotations(path)
    assert str(path) in str(caught.value)


def test_duplicate_categories(tmp_path):
    categories = [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]
    path = write_annotations(tmp_path / "a.json", [], [], categories=categories)
    with pytest.raises(ValueError, match="more than once in categories: 1"):
        read_annotations(path)
