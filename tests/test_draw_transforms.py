"""The picture of docs/transforms.md, and what the page tells of the transforms."""

import numpy as np

from pet.config import default_cfg
from pet.data.registry import TRANSFORMS
from pet.utils.opencv import cv2
from tests.source_code import ROOT
from tests.source_code import keys as keys_of
from tools import draw_transforms


def test_the_page_and_the_picture_have_every_transform():
    page = (ROOT / "docs" / "transforms.md").read_text(encoding="utf-8")
    assert [name for name in TRANSFORMS if f"`{name}`" not in page] == []
    rows = draw_transforms.ROWS.values()
    drawn = {name for row in rows for names in row for name in names}
    assert drawn | {"resize"} == set(TRANSFORMS)


def test_the_page_has_every_key():
    page = (ROOT / "docs" / "transforms.md").read_text(encoding="utf-8")
    node = default_cfg().TRAIN
    sections = ("RANDOM_CROP", "COLOR_JITTER", "LARGE_SCALE_JITTER", "COPY_PASTE")
    keys = {f"{name}.{key}" for name in sections for key in keys_of(node[name])}
    keys |= {"VERTICAL_FLIP_PROB", "ROTATE90_PROB"}
    for key in keys:
        section, _, name = key.rpartition(".")
        in_table = section and f"key of `TRAIN.{section}`" in page and f"| `{name}` |" in page
        assert in_table or f"`TRAIN.{key}`" in page, key


def test_points_and_boxes_of_a_drawn_shape_are_on_its_pixels():
    sample = draw_transforms.DrawnShapes(with_points=True).read(3)
    for box, points, mask in zip(sample.boxes, sample.keypoints, sample.masks, strict=True):
        crop = mask.crop(sample.size)
        (top, left, right), (x1, y1, x2, _) = points.tolist(), box.tolist()
        assert (top[1] - 0.5, left[0] - 0.5, right[0] + 0.5) == (y1, x1, x2)
        for x, y, _ in (top, left, right):
            assert crop.bits[int(y) - crop.y, int(x) - crop.x]
    assert draw_transforms.DrawnShapes(with_points=False).read(3).keypoints is None


def test_a_row_has_a_picture_and_what_becomes_of_it(tmp_path, monkeypatch):
    flips = (("random_vertical_flip",), ("random_vertical_flip", "random_vertical_flip"))
    monkeypatch.setattr(draw_transforms, "ROWS", {"a row": flips})
    monkeypatch.setattr(draw_transforms, "draw_targets", lambda image, *_: image)
    path = tmp_path / "a.jpg"
    monkeypatch.setattr("sys.argv", ["draw_transforms.py", "--out", str(path)])
    draw_transforms.main()
    sheet = cv2.imread(str(path)).astype(int)
    high, wide = draw_transforms.TILE
    first, second, third = (
        sheet[-high - 6 : -6, 6 + n * (wide + 6) : n * (wide + 6) + wide] for n in range(3)
    )
    rows = np.flatnonzero((first < 200).any(axis=(1, 2)))  # of the picture; below it is white
    picture = slice(rows[0], rows[-1] + 1)
    assert np.abs(first[picture] - second[picture][::-1]).mean() < 6
    assert np.abs(first - third).mean() < 6
    assert np.abs(first - second).mean() > 12
