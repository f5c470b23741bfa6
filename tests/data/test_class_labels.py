import pytest

from pet.annotations import read_annotations
from pet.data.datasets import CocoDataset, ConcatDataset
from pet.data.datasets.class_labels import label_categories
from pet.structures.class_names import UNUSED_CLASS
from tests.data.small_coco import annotation, image, read_small, write_annotations


def _file(tmp_path, categories):
    entries = [{"id": number, "name": name} for number, name in categories]
    return read_annotations(write_annotations(tmp_path / "a.json", [], [], categories=entries))


def test_both_ways_by_hand(tmp_path):
    file = _file(tmp_path, [(2, "cat"), (3, "dog"), (6, "cow")])
    assert label_categories(file, "contiguous") == ((2, 3, 6), ("cat", "dog", "cow"))
    assert label_categories(file, "category_id") == (
        (1, 2, 3, 4, 5, 6),
        ("N/A", "cat", "dog", "N/A", "N/A", "cow"),
    )


def test_without_gaps_they_are_the_same(tmp_path):
    file = _file(tmp_path, [(1, "cat"), (2, "dog")])
    assert label_categories(file, "contiguous") == label_categories(file, "category_id")
    nothing = _file(tmp_path, [])
    assert label_categories(nothing, "contiguous") == ((), ())
    assert label_categories(nothing, "category_id") == ((), ())


@pytest.mark.parametrize("number", [0, -4, 10**9])
def test_an_id_that_cannot_be_a_label_is_named(tmp_path, number):
    file = _file(tmp_path, [(number, "cat"), (1, "dog")])
    assert set(label_categories(file, "contiguous")[0]) == {number, 1}
    with pytest.raises(
        ValueError, match=rf"a\.json: category ids .*: {number} \(cat\); .*begin at 1"
    ):
        label_categories(file, "category_id")


def test_a_data_set_by_hand(tmp_path):
    annotations = [annotation(1, 1, category_id=7), annotation(2, 1, category_id=3)]
    dataset = read_small(tmp_path, [image(1)], annotations, class_labels="category_id")
    assert dataset.category_ids == (1, 2, 3, 4, 5, 6, 7)
    assert dataset.class_names == ("N/A", "N/A", "cat", "N/A", "N/A", "N/A", "dog")
    assert dataset.num_classes == 8
    assert dataset.labels(0) == [7, 3]
    assert dataset.read(0).labels.tolist() == [7, 3]


@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_coco(coco_mini, split):
    path = coco_mini / "annotations" / f"instances_{split}.json"
    contiguous, by_id = (
        CocoDataset("mini", coco_mini / split, path, is_train=True, class_labels=labels)
        for labels in ("contiguous", "category_id")
    )
    assert (contiguous.num_classes, by_id.num_classes) == (81, 91)
    assert by_id.category_ids == tuple(range(1, 91))
    assert by_id.class_names.count(UNUSED_CLASS) == 10
    # Of torchvision's list of categories: the first gap, and the last class.
    assert by_id.class_names[11] == UNUSED_CLASS and by_id.class_names[12] == "stop sign"
    assert by_id.class_names[89] == "toothbrush"
    for index in range(len(by_id)):
        labels = by_id.labels(index)
        assert labels == [contiguous.category_ids[label - 1] for label in contiguous.labels(index)]


def test_joined(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    parts = [
        read_small(tmp_path / "a", [image(1)], [annotation(1, 1)], class_labels="category_id"),
        read_small(
            tmp_path / "b",
            [image(1)],
            [annotation(1, 1, category_id=7)],
            class_labels="category_id",
        ),
    ]
    joined = ConcatDataset(parts)
    assert (joined.num_classes, joined.category_ids) == (8, (1, 2, 3, 4, 5, 6, 7))
    assert [joined.labels(index) for index in range(2)] == [[3], [7]]


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ([(3, "cat"), (8, "dog")], "differ: their category ids are not the same"),
        ([(3, "dog"), (7, "cat")], "differ: their order by category id is not the same"),
        ([(3, "cat")], "only in the first: dog; only in the second: none"),
    ],
)
def test_joined_classes_must_agree(tmp_path, categories, message):
    options = {"is_train": True, "class_labels": "category_id"}
    first = read_small(tmp_path, [image(1)], [annotation(1, 1)], **options)
    entries = [{"id": number, "name": name} for number, name in categories]
    path = write_annotations(
        tmp_path / "b.json", [image(1)], [annotation(1, 1)], categories=entries
    )
    other = CocoDataset("other", tmp_path, path, **options)
    with pytest.raises(ValueError, match=message):
        ConcatDataset([first, other])
