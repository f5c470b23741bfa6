import hashlib
import json
import multiprocessing

import numpy as np
import pycocotools.mask as coco_mask
import pytest

from pet.data.datasets import CocoDataset, shapes
from pet.data.datasets.shapes import draw_shapes
from pet.data.datasets.shapes_art import CLASS_NAMES, draw_picture
from pet.data.image_file import read_image


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(shapes, "PICTURES", {"train": 4, "val": 2})


def _digest(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    text = b"".join(path.name.encode() + path.read_bytes() for path in files)
    return len(files), hashlib.sha256(text).hexdigest()


def test_pictures_are_as_promised():
    seen, sizes, upright = set(), [], 0
    for seed in range(40):
        picture = draw_picture(np.random.default_rng(seed))
        height, width = picture.image.shape[:2]
        assert picture.image.dtype == np.uint8
        assert min(height, width) >= 144 and max(height, width) <= 240
        assert 1 <= len(picture.labels) == len(picture.masks) <= 7
        assert np.sum(picture.masks, axis=0).max() <= 1  # no pixel is two shapes'
        sizes += [int(mask.sum()) for mask in picture.masks]
        seen.update(picture.labels)
        upright += height > width
    assert seen == set(range(1, len(CLASS_NAMES) + 1))
    assert min(sizes) >= 60 and max(sizes) > 4000
    assert 8 < upright < 32


def test_equal_seeds_give_equal_pictures():
    first, second = (draw_picture(np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.image, second.image) and first.labels == second.labels
    assert not np.array_equal(first.image[:100, :100], _other().image[:100, :100])


def _other():
    return draw_picture(np.random.default_rng(6))


def test_annotations_are_exact(few, tmp_path):
    root = draw_shapes(tmp_path)
    content = json.loads((root / "annotations" / "instances_train.json").read_text())
    assert [category["name"] for category in content["categories"]] == list(CLASS_NAMES)
    for entry in content["images"]:
        picture = draw_picture(np.random.default_rng([0, entry["id"]]))
        assert np.array_equal(read_image(root / "train" / entry["file_name"]), picture.image)
        height, width = picture.image.shape[:2]
        assert (entry["height"], entry["width"]) == (height, width)
        found = [a for a in content["annotations"] if a["image_id"] == entry["id"]]
        assert [a["category_id"] for a in found] == picture.labels
        for annotation, mask in zip(found, picture.masks, strict=True):
            rle = coco_mask.merge(coco_mask.frPyObjects(annotation["segmentation"], height, width))
            assert np.array_equal(coco_mask.decode(rle), mask)
            assert annotation["area"] == mask.sum()
            assert annotation["bbox"] == coco_mask.toBbox(rle).tolist()


def test_the_reader_takes_them_whole(few, tmp_path):
    root = draw_shapes(tmp_path)
    dataset = CocoDataset(
        "shapes_val",
        root / "val",
        root / "annotations" / "instances_val.json",
        is_train=True,
        with_masks=True,
    )
    assert len(dataset) == 2 and dataset.dropped == {} and dataset.num_classes == 6
    assert len(dataset.read(1).masks) == len(dataset.labels(1)) > 0


def test_drawn_once_and_the_same_everywhere(few, tmp_path):
    first = draw_shapes(tmp_path / "a")
    assert first == tmp_path / "a" / "shapes"
    times = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    assert draw_shapes(tmp_path / "a") == first
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == times
    assert _digest(draw_shapes(tmp_path / "b")) == _digest(first)
    assert _digest(first)[0] == 4 + 2 + 2 + 1


def test_another_version_draws_anew(few, tmp_path, monkeypatch):
    root = draw_shapes(tmp_path)
    (root / "train" / "000001.png").write_bytes(b"old")
    monkeypatch.setattr(shapes, "VERSION", "another")
    draw_shapes(tmp_path)
    assert read_image(root / "train" / "000001.png").ndim == 3
    assert [path.name for path in tmp_path.iterdir()] == ["shapes"]


def test_an_interrupted_drawing_leaves_nothing(few, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shapes, "_annotate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            draw_shapes(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert _digest(draw_shapes(tmp_path))[0] == 9


def test_a_folder_of_somebody_else_is_left_alone(few, tmp_path):
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "mine.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="is in the way of the shapes"):
        draw_shapes(tmp_path)
    assert (tmp_path / "shapes" / "mine.txt").read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1


def _draw(data_dir, start):
    start.wait()
    shapes.PICTURES = {"train": 4, "val": 2}
    draw_shapes(data_dir)
    assert _digest(data_dir / "shapes")[0] == 9


def test_several_processes_at_once(few, tmp_path):
    context = multiprocessing.get_context("fork")
    start = context.Barrier(3)
    processes = [context.Process(target=_draw, args=(tmp_path, start)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["shapes"]
