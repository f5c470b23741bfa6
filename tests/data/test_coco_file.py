import pytest

from pet.data.datasets.coco_file import read_coco_file
from tests.data.small_coco import annotation, image, write_annotations


def test_sorted_by_id_and_without_info(tmp_path):
    images = [image(9), image(4)]
    path = write_annotations(tmp_path / "a.json", images, [annotation(2, 9), annotation(1, 9)])
    file = read_coco_file(path)
    assert [entry["id"] for entry in file.images] == [4, 9]
    assert [entry["name"] for entry in file.categories] == ["cat", "dog"]
    assert {key: [a["id"] for a in found] for key, found in file.annotations.items()} == {
        4: [],
        9: [2, 1],
    }


def test_annotations_may_be_missing(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"images": [], "categories": []}')
    assert read_coco_file(path).annotations == {}


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
        ('{"images": [{"id": 5}], "categories": []}', "images, id 5: 'file_name' is None"),
    ],
)
def test_broken_files(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_coco_file(path)
    assert str(path) in str(caught.value)


def test_not_text(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(ValueError, match="is not JSON"):
        read_coco_file(path)


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no annotation file .*a\.json"):
        read_coco_file(tmp_path / "a.json")


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
        ([image(1, height=0)], [], "no height or width: 1"),
    ],
)
def test_wrong_ids(tmp_path, images, annotations, message):
    path = write_annotations(tmp_path / "a.json", images, annotations)
    with pytest.raises(ValueError, match=message) as caught:
        read_coco_file(path)
    assert str(path) in str(caught.value)


def test_duplicate_categories(tmp_path):
    categories = [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]
    path = write_annotations(tmp_path / "a.json", [], [], categories=categories)
    with pytest.raises(ValueError, match="more than once in categories: 1"):
        read_coco_file(path)
