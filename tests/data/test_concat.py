import pytest

from pet.data.datasets import CocoDataset, ConcatDataset
from tests.data.small_coco import annotation, image, read_small, write_annotations


@pytest.fixture
def two(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = read_small(tmp_path / "a", [image(1), image(2)], [annotation(1, 1)])
    second = read_small(tmp_path / "b", [image(1, width=9)], [annotation(1, 1, category_id=7)])
    return first, second


def test_one_after_the_other(two):
    joined = ConcatDataset(two)
    assert len(joined) == 3
    assert joined.name == "small+small"
    assert joined.image_ids == (1, 2, 1)
    assert joined.sizes.tolist() == [[8, 12], [8, 12], [8, 9]]
    assert [joined.labels(index) for index in range(3)] == [[1], [], [2]]
    assert joined.info(2) == two[1].info(0)
    assert joined.read(2).size == (8, 9) and joined.read(1).size == (8, 12)
    assert (joined.num_classes, joined.class_names) == (3, ("cat", "dog"))
    with pytest.raises(IndexError):
        joined.read(3)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("cat", "cow"), "only in the first: dog; only in the second: cow"),
        (("cat",), "only in the first: dog; only in the second: none"),
        (("dog", "cat"), "order by category id"),
    ],
)
def test_classes_must_agree(two, tmp_path, names, message):
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    entries = [annotation(1, 1, category_id=0)]
    path = write_annotations(tmp_path / "c.json", [image(1)], entries, categories=categories)
    other = CocoDataset("other", tmp_path, path, is_train=True)
    with pytest.raises(ValueError, match=f"'small' and 'other' cannot be .*{message}"):
        ConcatDataset([two[0], other])
