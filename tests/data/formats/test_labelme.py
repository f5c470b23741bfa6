"""labelme data sets: shapes, the picture of each file, and classes."""

import json
import math

import numpy as np
import pycocotools.mask as coco_mask
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pet.annotations import annotations_from_records
from pet.data.formats import Part
from pet.data.formats.labelme import LABELME
from pet.data.formats.labelme_shapes import BACKGROUNDS, EMPTY_MASKS, FEW_POINTS, LONELY_POINTS
from pet.data.image_file import ImageReader
from tests.data.formats.attempts import attempt
from tests.data.formats.drawn_labelme import draw_labelme, entry, mask_text, write_json

SIZE = (50, 100)  # height and width
SQUARE = [[10, 10], [20, 10], [20, 20], [10, 20]]


def write_picture(path, size=SIZE, exif=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    more = Image.Exif()
    if exif:
        more[0x112] = exif
    Image.new("RGB", size[::-1]).save(path, exif=more)


def read(images, annotations=None, classes=(), **options):
    reader = ImageReader(**options)
    return LABELME.read(images, annotations or images, classes=classes, reader=reader)


def read_shapes(folder, *shapes, **options):
    """Return the records of a folder with one picture of these shapes."""
    write_picture(folder / "a.png")
    write_json(folder / "a.json", list(shapes), "a.png", SIZE)
    return read(folder, **options)


# Shapes ------------------------------------------------------------------------------------------


def test_each_kind_of_shape(tmp_path):
    records = read_shapes(
        tmp_path,
        entry("cat", SQUARE, "polygon"),
        entry("cat", [[30, 40], [10, 20]], "rectangle"),
        entry("dog", [[50, 25], [53, 29]], "circle"),
        entry("dog", [[1, 2], [3, 4]], "line"),
        entry("dog", [[1, 2], [3, 4], [5, 6]], "linestrip"),
        entry("dog", [[1, 2], [3, 4]], "polygon"),
        entry("eye", [[1, 2]], "point"),
        entry("_background_", SQUARE, "polygon"),
        {"label": "cat", "points": SQUARE},  # as written by the first versions
    )
    polygon, rectangle, circle, old = records.objects
    assert polygon == {
        "image_id": 1,
        "category_id": 1,
        "bbox": [10, 10, 10, 10],
        "segmentation": [[10, 10, 20, 10, 20, 20, 10, 20]],
    }
    assert rectangle == {"image_id": 1, "category_id": 1, "bbox": [10, 20, 20, 20]}
    assert circle["bbox"] == pytest.approx([45, 20, 10, 10])
    corners = np.reshape(circle["segmentation"][0], (-1, 2)) - (50, 25)
    assert np.hypot(*corners.T) == pytest.approx(5)
    assert 5 - np.hypot(*(corners + np.roll(corners, 1, axis=0)).T / 2).min() <= 0.1
    assert old == polygon
    assert records.categories == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    notes = " ".join(records.notes)
    for what in ("of the type 'line'", "'linestrip'", FEW_POINTS, BACKGROUNDS, LONELY_POINTS):
        assert what in notes


def test_shapes_of_one_label_and_group_are_one_object(tmp_path):
    other = [[30, 30], [40, 30], [40, 45]]
    records = read_shapes(
        tmp_path,
        entry("cat", SQUARE, "polygon", 1),
        entry("dog", SQUARE, "polygon", 1),
        entry("cat", other, "polygon", 1),
        entry("cat", other, "polygon", 2),
    )
    first, second, third = records.objects
    assert [part[:2] for part in first["segmentation"]] == [[10, 10], [30, 30]]
    assert first["bbox"] == [10, 10, 30, 35]
    assert second["category_id"] == 2 and second["bbox"] == [10, 10, 10, 10]
    assert third["bbox"] == [30, 30, 10, 15]


def test_points_are_keypoints_of_the_object_in_their_group(tmp_path):
    records = read_shapes(
        tmp_path,
        entry("right_eye", [[3, 4]], "point", 7),
        entry("cat", [[0, 0], [40, 40]], "rectangle", 7),
        entry("left_eye", [[1, 2]], "point", 7),
        entry("cat", SQUARE, "polygon", 8),
        entry("tail", [[5, 6]], "point", 8),
        entry("dog", SQUARE, "polygon"),
        entry("tail", [[5, 6]], "point"),
        entry("tail", [[5, 6]], "point", 9),
    )
    assert records.categories == [
        {"id": 1, "name": "cat", "keypoints": ["left_eye", "right_eye", "tail"]},
        {"id": 2, "name": "dog"},
    ]
    assert [each.get("keypoints") for each in records.objects] == [
        [1, 2, 2, 3, 4, 2, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 5, 6, 2],
        None,
    ]
    assert records.notes == (f"2 {LONELY_POINTS}",)


def test_a_region_to_be_ignored_is_a_crowd_of_each_class(tmp_path):
    records = read_shapes(
        tmp_path,
        entry("cat", SQUARE, "polygon"),
        entry("__ignore__", [[0, 0], [9, 9]], "rectangle"),
        entry("dog", SQUARE, "polygon"),
    )
    crowds = [each for each in records.objects if each.get("iscrowd")]
    assert [each["category_id"] for each in crowds] == [1, 2]
    assert [each["bbox"] for each in crowds] == [[0, 0, 9, 9]] * 2
    assert len(records.categories) == 2 and len(records.objects) == 4


def test_masks_are_decoded_and_joined(tmp_path):
    bits = np.zeros((10, 20), bool)
    bits[2:8, 5:] = True
    outside = [[95, 45], [114, 54]]
    records = read_shapes(
        tmp_path,
        entry("cat", [[30, 20], [49, 29]], "mask", mask=mask_text(bits)),
        entry("cat", outside, "mask", mask=mask_text(bits)),
        entry("cat", [[90, 45], [109, 54]], "mask", mask=mask_text(bits * 255)),
        entry("dog", [[30, 20], [49, 29]], "mask", 1, mask=mask_text(bits)),
        entry("dog", SQUARE, "polygon", 1),
    )
    expected = np.zeros(SIZE, bool)
    expected[22:28, 35:50] = True
    alone, cut, joined = records.objects
    assert (coco_mask.decode(alone["segmentation"]) == expected).all()
    assert alone["bbox"] == [35, 22, 15, 6] and cut["bbox"] == [95, 47, 5, 3]
    expected[10:20, 10:20] = True
    assert (coco_mask.decode(joined["segmentation"]) == expected).all()
    assert joined["bbox"] == [10, 10, 40, 18]
    assert records.notes == (f"1 {EMPTY_MASKS}",)


def bad_png(cut):
    return mask_text(np.ones((9, 9)))[:-cut]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("cat", "it is 'cat', not an object"),
        (entry("", SQUARE, "polygon"), "its label is ''"),
        (entry(3, SQUARE, "polygon"), "its label is 3"),
        (entry("a", SQUARE, 3), "its shape_type is 3"),
        (entry("a", SQUARE, "polygon", [1]), r"its group_id is \[1\]"),
        (entry("a", None, "polygon"), "its points are None"),
        (entry("a", [[1, 2], [3]], "polygon"), r"hold \[3\], which is no pair"),
        (entry("a", [[1, 2], [3, "x"]], "polygon"), r"hold \[3, 'x'\]"),
        (entry("a", [[1, 2], [3, 1e300]], "polygon"), "which is no pair x, y in pixels"),
        (entry("a", [[1, 2]], "rectangle"), "a rectangle has two corners"),
        (entry("a", [[1, 2]], "circle"), "a circle has a centre"),
        (entry("a", [], "point"), "it has no points"),
        (entry("a", [[1, 2]], "mask"), "its mask is None"),
        (entry("a", [[1, 2]], "mask", mask="?"), "its mask is no base64"),
        (entry("a", [[1, 2]], "mask", mask="aaaa"), "its mask is no PNG"),
        (entry("a", [[1, 2]], "mask", mask=bad_png(20)), "not a whole one"),
        (entry("a", [[1, 2]], "mask", mask=mask_text(np.ones((99, 99)))), "more pixels than"),
    ],
)
def test_a_wrong_shape_is_named(tmp_path, shape, message):
    with pytest.raises(ValueError, match=rf"a\.json, shape 2: .*{message}"):
        read_shapes(tmp_path, entry("a", SQUARE, "polygon"), shape, max_pixels=5000)


def test_points_that_could_belong_to_several_objects(tmp_path):
    point = entry("eye", [[1, 2]], "point", 1)
    with pytest.raises(ValueError, match=r"shape 2: there is a second point 'eye' with the group"):
        read_shapes(tmp_path, point, point, entry("cat", SQUARE, "polygon", 1))
    with pytest.raises(ValueError, match=r"shape 1: .*'cat', 'dog' share the group id 1"):
        read_shapes(
            tmp_path,
            point,
            entry("cat", SQUARE, "polygon", 1),
            entry("dog", SQUARE, "polygon", 1),
        )


# Pictures ----------------------------------------------------------------------------------------


def test_the_picture_of_a_file(tmp_path):
    images, files = tmp_path / "images", tmp_path / "files"
    cases = {  # JSON file -> its imagePath, picture
        "1.json": ("../images/x1.png", "x1.png"),
        "sub/2.json": ("..\\..\\images\\sub\\2.jpg", "sub/2.jpg"),
        "sub/3.json": ("/elsewhere/stale.jpg", "sub/3.jpg"),
        "4.json": ("moved.png", "deep/er/moved.png"),
        "5.json": (None, "deep/er/5.png"),
        "sub/6.json": ("6.png", "sub/6.png"),
    }
    for file, (image_path, picture) in cases.items():
        write_picture(images / picture)
        write_json(files / file, [entry("cat", SQUARE, "polygon")], image_path, SIZE)
    write_picture(images / "6.png")  # another of the name
    records = read(images, files)
    names = {each["id"]: each["file_name"] for each in records.images}
    found = [names[each["image_id"]] for each in records.objects]
    assert sorted(found) == sorted(picture for _, picture in cases.values())
    assert records.notes == ("1 pictures have no JSON file, and so no objects: 6.png",)


def test_a_file_without_a_picture(tmp_path):
    write_json(tmp_path / "a.json", [], "a.png", SIZE, imageData="aaaa")
    with pytest.raises(FileNotFoundError, match=r"a\.json: .* 'a\.png' .* labelme_export_json"):
        read(tmp_path)
    write_picture(tmp_path / "a.png")
    write_json(tmp_path / "b.json", [], "a.png", SIZE)
    with pytest.raises(ValueError, match=r"a\.json and .*b\.json both describe .* a\.png"):
        read(tmp_path)


def test_sizes_are_those_of_the_upright_picture(tmp_path):
    write_picture(tmp_path / "a.jpg", (50, 100), exif=6)
    write_picture(tmp_path / "b.jpg", (50, 100), exif=6)
    write_json(tmp_path / "a.json", [entry("cat", SQUARE, "polygon")], "a.jpg", (None, None))
    for orientation in ("auto", "stored"):
        records = read(tmp_path, orientation=orientation)
        assert [(each["height"], each["width"]) for each in records.images] == [(100, 50)] * 2
    write_json(tmp_path / "a.json", [], "a.jpg", (7, "8"))
    assert (read(tmp_path).images[0]["height"], read(tmp_path).images[0]["width"]) == (7, 8)
    write_json(tmp_path / "a.json", [], "a.jpg", (7, "x"))
    with pytest.raises(ValueError, match=r"a\.json: imageHeight and imageWidth are 7 and 'x'"):
        read(tmp_path)


def test_files_that_are_not_of_labelme(tmp_path):
    write_picture(tmp_path / "a.png")
    (tmp_path / "notes.json").write_text('{"images": []}')
    with pytest.raises(FileNotFoundError, match=r"none of the 1 JSON files .* a list of shapes"):
        read(tmp_path)
    write_json(tmp_path / "a.json", [], "a.png", SIZE)
    assert read(tmp_path).notes == ("1 JSON files are not labelme's, and are left out",)
    (tmp_path / "b.json").write_text('{"shapes": [')
    with pytest.raises(ValueError, match=r"b\.json is not JSON text"):
        read(tmp_path)


def test_classes_that_are_given_keep_their_order(tmp_path):
    shapes = [entry(label, SQUARE, "polygon") for label in ("dog", "cat", "ant")]
    categories = read_shapes(tmp_path, *shapes, classes=("dog", "eel", "cat")).categories
    assert [each["name"] for each in categories] == ["dog", "eel", "cat", "ant"]


# Data sets ---------------------------------------------------------------------------------------


def test_a_drawn_data_set_has_its_shapes(tmp_path):
    pictures = draw_labelme(tmp_path)
    assert LABELME.find(tmp_path) == (Part("all", tmp_path, tmp_path),)
    records = read(tmp_path)
    shapes = [shape for picture in pictures for shape in picture.shapes]
    for shape, found in zip(shapes, records.objects, strict=True):
        x, y, width, height = found["bbox"]
        assert [x, y, x + width, y + height] == shape.box
        if shape.name == "triangle":
            assert found["segmentation"] == [shape.corners.reshape(-1).tolist()]
    assert records.notes == ("1 pictures have no JSON file, and so no objects: 003.png",)


def test_it_is_a_type_of_data_sets(tmp_path):
    draw_labelme(tmp_path)
    dataset = LABELME.dataset("mine", tmp_path, tmp_path, is_train=True)
    assert dataset.class_names == ("square", "triangle") and dataset.labels(0) == [1, 2]
    dataset.check_pictures()


def test_where_the_parts_lie(tmp_path):
    for name in ("train", "valid"):
        draw_labelme(tmp_path / "parts" / name, 2)
    parts = tmp_path / "parts"
    assert LABELME.find(parts) == (
        Part("train", parts / "train", parts / "train"),
        Part("val", parts / "valid", parts / "valid"),
    )
    draw_labelme(tmp_path / "two/images", 2)
    (tmp_path / "two/labels").mkdir()
    (tmp_path / "two/images/000.json").rename(tmp_path / "two/labels/000.json")
    assert LABELME.find(tmp_path / "two") == (
        Part("all", tmp_path / "two/images", tmp_path / "two/labels"),
    )
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco/train.json").write_text('{"images": [], "annotations": []}')
    assert LABELME.find(tmp_path / "coco") == ()


_VALUES = st.sampled_from([None, 1, -3.5, "1", "cat", [], {}, [[1, 2]], True, 1e300, "__ignore__"])
_PAIRS = st.lists(
    st.one_of(_VALUES, st.lists(st.one_of(_VALUES, st.integers(-9, 99)), max_size=3)), max_size=4
)
_KINDS = st.sampled_from(["polygon", "rectangle", "circle", "mask", "point", "line", None, 1])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shapes=st.lists(
        st.one_of(
            _VALUES,
            st.fixed_dictionaries(
                {},
                optional={
                    "label": st.one_of(st.just("cat"), _VALUES),
                    "points": st.one_of(st.just(SQUARE), _PAIRS, _VALUES),
                    "shape_type": _KINDS,
                    "group_id": st.one_of(st.just(1), _VALUES),
                    "mask": st.one_of(_VALUES, st.just(mask_text(np.ones((3, 4))))),
                },
            ),
        ),
        max_size=4,
    ),
    more=st.dictionaries(
        st.sampled_from(["imagePath", "imageHeight", "imageWidth", "imageData"]), _VALUES
    ),
)
def test_any_file_is_an_error_that_names_it_or_read(tmp_path, shapes, more):
    write_picture(tmp_path / "a.png")
    content = {"imagePath": "a.png", "imageHeight": 50, "imageWidth": 100, **more}
    (tmp_path / "a.json").write_text(json.dumps({**content, "shapes": shapes}))
    records = attempt(lambda: read(tmp_path), "a.json")
    if records is None:
        return
    annotations_from_records("x", records.images, records.categories, records.objects)
    for each in records.objects:
        assert len(each["bbox"]) == 4 and all(map(math.isfinite, each["bbox"]))
        assert 1 <= each["category_id"] <= len(records.categories)
