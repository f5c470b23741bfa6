"""YOLO data sets: label lines, data.yaml, and where the parts lie."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pet.data.datasets import KeypointOptions
from pet.data.formats import Part
from pet.data.formats.yolo import YOLO
from pet.data.formats.yolo_labels import CLIPPED, TWICE, read_labels
from pet.data.formats.yolo_yaml import Points, YoloFile, read_data_yaml
from pet.data.image_file import ImageReader
from pet.structures import KeypointLayout
from tests.data.formats.attempts import attempt
from tests.data.formats.drawn_yolo import draw_yolo

SIZE = (50, 100)  # height and width
TWO = YoloFile(Path("data.yaml"), {0: "cat", 1: "dog"})
POSE = YoloFile(Path("data.yaml"), {0: "cat"}, Points(("point_1", "left_2", "right_2"), 3))
FLAT = YoloFile(Path("data.yaml"), {0: "cat"}, Points(("a", "b"), 2))


def labels_of(folder, text, yolo=TWO):
    (folder / "1.txt").write_text(text, encoding="utf-8")
    return read_labels(folder / "1.txt", yolo, SIZE)


def write_picture(path, size=SIZE, exif=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    more = Image.Exif()
    if exif:
        more[0x112] = exif
    Image.new("RGB", size[::-1]).save(path, exif=more)


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def read(images, annotations, classes=()):
    return YOLO.read(images, annotations, classes=classes, reader=ImageReader())


# Lines -------------------------------------------------------------------------------------------


def test_a_box_and_a_polygon_in_one_file(tmp_path):
    found = labels_of(tmp_path, "\ufeff1 0.5 0.5 0.2 0.4\n\n0.0 0.1 0.2 0.3 0.2 0.2 0.6\n")
    box, polygon = found.objects
    assert box["category_id"] == 2 and set(box) == {"category_id", "bbox"}
    assert box["bbox"] == pytest.approx([40, 15, 20, 20])
    assert polygon["category_id"] == 1
    assert polygon["segmentation"] == [pytest.approx([10, 10, 30, 10, 20, 30])]
    assert polygon["bbox"] == pytest.approx([10, 10, 20, 20])
    assert not +found.changes


def test_keypoints_with_and_without_visibility(tmp_path):
    text = "0 0.5 0.5 0.2 0.4 0.1 0.2 2 0.3 0.4 1.0 0.9 0.9 0\n0 0.5 0.5 1 1"
    with_points, bare = labels_of(tmp_path, text, POSE).objects
    assert with_points["keypoints"] == pytest.approx([10, 10, 2, 30, 20, 1, 0, 0, 0])
    assert "keypoints" not in bare
    (found,) = labels_of(tmp_path, "0 0.5 0.5 0.2 0.4 0.1 0.2 0 0", FLAT).objects
    assert found["keypoints"] == pytest.approx([10, 10, 2, 0, 0, 0])


def test_what_reaches_out_a_little_is_clipped_and_counted(tmp_path):
    text = "0 0.95 0.5 0.2 0.4\n1 -0.2 0 1.2 0 0.5 1\n0 0.5 0.5 1.00001 1\n0 0.1 0.1 0.2 0.2"
    found = labels_of(tmp_path, text)
    assert found.objects[0]["bbox"] == pytest.approx([85, 15, 15, 20])
    assert found.objects[1]["segmentation"] == [pytest.approx([0, 0, 100, 0, 50, 50])]
    assert found.objects[2]["bbox"] == [0, 0, 100, 50]
    assert found.changes == {CLIPPED: 2}


def test_a_line_that_comes_twice_counts_once(tmp_path):
    found = labels_of(tmp_path, "0 0.1 0.1 0.1 0.1\n0  0.1 0.1 0.1 0.1\n1 0.1 0.1 0.1 0.1\n")
    assert [each["category_id"] for each in found.objects] == [1, 2]
    assert found.changes[TWICE] == 1


@pytest.mark.parametrize(
    ("line", "yolo", "message"),
    [
        ("0 50 25 20 20", TWO, r"x is 50\.0; .*not pixels"),
        ("0 0.5 0.5 0.2 400", TWO, r"height is 400\.0"),
        ("0 0.1 0.2 0.3 0.2 0.2 16", TWO, r"y is 16\.0; numbers are parts of the sides"),
        ("2 0.5 0.5 0.2 0.4", TWO, r"the class is 2, but data\.yaml names the classes 0 to 1"),
        ("-1 0.5 0.5 0.2 0.4", TWO, "the class is -1"),
        ("0.5 0.5 0.5 0.2 0.4", TWO, r"the class is '0\.5', not a whole number"),
        ("cat 0.5 0.5 0.2 0.4", TWO, "'cat' is not a number"),
        ("0,0.5,0.5,0.2,0.4", TWO, "is not a number; numbers are separated by spaces"),
        ("0 nan 0.5 0.2 0.4", TWO, "'nan' is not a number"),
        ("0 0.5 0.5 -0.2 0.4", TWO, r"the box has the width -0\.2"),
        ("0 0.5 0.5 0.2 0.4 0.9", TWO, "5 numbers follow the class; .* a fifth, such as the sc"),
        ("0 0.5", TWO, "1 numbers follow the class; a box has 4"),
        ("0", TWO, "0 numbers follow"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", TWO, "7 numbers .* and a polygon 6 or more, an even"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3", POSE, r"keypoints 13, by kpt_shape \[3, 3\] of data\.yaml"),
        ("0 0.5 0.5 0.2 0.4 9 9 0 0", FLAT, r"x is 9\.0"),
        ("0 .5 .5 .2 .4 .1 .2 3 .3 .4 1 .9 .9 0", POSE, r"the visibility of point 1 is 3\.0"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, yolo, message):
    with pytest.raises(ValueError, match=rf"1\.txt, line 2: .*{message}"):
        labels_of(tmp_path, f"0 0.5 0.5 0.1 0.1\n{line}\n", yolo)


def test_a_label_file_that_is_no_text(tmp_path):
    (tmp_path / "1.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"1\.txt is no text in UTF-8"):
        read_labels(tmp_path / "1.txt", TWO, SIZE)


_WORDS = ["0", "1", "1.0", "0.5", "2", "-1", "1e-3", ".25", "-0.1", "1.2", "nan", "1e400", "1_0"]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    words=st.lists(st.sampled_from(_WORDS), max_size=16),
    more=st.text(" 0.a,\n\té-", max_size=3),
    yolo=st.sampled_from([TWO, POSE, FLAT]),
)
def test_any_line_is_an_error_that_names_it_or_a_right_object(tmp_path, words, more, yolo):
    text = f"0 {' '.join(words)}\n1 .5 .5 .1 .1{more}"
    (tmp_path / "1.txt").write_text(text, encoding="utf-8", errors="replace")
    found = attempt(lambda: read_labels(tmp_path / "1.txt", yolo, SIZE), "1.txt, line ")
    for each in found.objects if found else ():
        assert each["category_id"] - 1 in yolo.names
        x, y, width, height = each["bbox"]
        assert min(x, y, width, height) >= 0
        assert x + width <= 100.0001 and y + height <= 50.0001
        assert len(each.get("keypoints", ())) in (0, 3 * len(yolo.points.names))


# data.yaml ---------------------------------------------------------------------------------------


def test_names_are_read_as_they_are_written(tmp_path):
    text = "names: [no, 1.10, 2024-01-05, 'a b', 0x10]\nnc: 5\ntrain: images\ntest:\n"
    found = read_data_yaml(write_text(tmp_path / "data.yaml", text))
    assert list(found.names.values()) == ["no", "1.10", "2024-01-05", "a b", "0x10"]
    assert found.splits == {"train": ("images",)}
    found = read_data_yaml(write_text(tmp_path / "data.yaml", "names: {2: c, 0: a}\nval: [x, y]"))
    assert found.names == {0: "a", 2: "c"} and found.splits == {"val": ("x", "y")}
    assert read_data_yaml(write_text(tmp_path / "a.yaml", "nc: 2")).names == {
        0: "class_0",
        1: "class_1",
    }


def points_of(folder, text):
    return read_data_yaml(write_text(folder / "data.yaml", f"names: [a]\n{text}")).points


def test_names_of_keypoints_mirror_them(tmp_path):
    points = points_of(tmp_path, "kpt_shape: [5, 3]\nflip_idx: [0, 2, 1, 4, 3]")
    assert points.names == ("point_1", "left_2", "right_2", "left_4", "right_4")
    assert KeypointLayout(points.names).flip_order() == (0, 2, 1, 4, 3)
    assert points.values == 3 and points.has_pairs
    points = points_of(tmp_path, "kpt_shape: [2, 2]")
    assert points == Points(("point_1", "point_2"), 2, has_pairs=False)


def test_given_names_of_keypoints_count_if_they_mirror_likewise(tmp_path):
    text = "kpt_shape: [3, 3]\nflip_idx: [0, 2, 1]\nkpt_names:\n  0: [nose, {}, {}]"
    points = points_of(tmp_path, text.format("left_eye", "right_eye"))
    assert points.names == ("nose", "left_eye", "right_eye")
    points = points_of(tmp_path, text.format("eye_l", "eye_r"))
    assert points.names == ("point_1", "left_2", "right_2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: a", "names is None"),
        ("names: cat", "names is cat, not the list"),
        ("names: []", "names is empty"),
        ("names: [a, [b]]", "which is no name of a class"),
        ("names: [a, '']", "which is no name of a class"),
        ("names: {a: b}", "names has the key 'a'"),
        ("names: [a]\nnc: 2", "nc is 2, but names has 1"),
        ("names: [a]\nnc: x", "nc is x, not the number"),
        ("names: [a]\ntrain: {a: b}", "train is .*, not a path"),
        ("names: [a]\nkpt_shape: 3", "kpt_shape is 3, not"),
        ("names: [a]\nkpt_shape: [3, 4]", r"kpt_shape is \[3, 4\], not"),
        ("names: [a]\nkpt_shape: [3, 2]\nflip_idx: [0, 1]", r"flip_idx is \[0, 1\]; for the 3"),
        ("names: [a]\nkpt_shape: [3, 2]\nflip_idx: [1, 2, 0]", "point 0 becomes 1 .* that one 2"),
        ("[a", "data.yaml is not a YAML file"),
        ("names: [!!python/object:os.system a]", "data.yaml is not a YAML file"),
    ],
)
def test_a_wrong_data_yaml_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_data_yaml(write_text(tmp_path / "data.yaml", text))
    assert "data.yaml" in str(caught.value)


_SCALARS = st.sampled_from(["1", "3", "a", "''", "null", "1.5", "-1", "[]", "{}", "[1, 0]", "*x"])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.sampled_from(["names", "nc", "train", "path", "kpt_shape", "flip_idx", "kpt_names"]),
        st.one_of(
            _SCALARS,
            st.lists(_SCALARS, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
            st.lists(st.tuples(_SCALARS, _SCALARS), max_size=3).map(
                lambda pairs: "{" + ", ".join(f"{a}: {b}" for a, b in pairs) + "}"
            ),
            st.text(" 0.a,:[{&*!#\n\té-", max_size=6),
        ),
    )
)
def test_any_data_yaml_is_an_error_that_names_it_or_read(tmp_path, content):
    text = "\n".join(f"{key}: {value}" for key, value in content.items())
    (tmp_path / "data.yaml").write_text(text, encoding="utf-8", errors="replace")
    found = attempt(lambda: read_data_yaml(tmp_path / "data.yaml"), "data.yaml")
    attempt(lambda: YOLO.find(tmp_path), "data.yaml")
    if found:
        assert found.names and all(found.names.values())
        layout = KeypointLayout(found.points.names)
        assert len(layout.flip_order()) == len(found.points.names)


# Data sets ---------------------------------------------------------------------------------------


def test_a_drawn_data_set_has_its_shapes(tmp_path):
    pictures = draw_yolo(tmp_path)
    parts = YOLO.find(tmp_path)
    assert parts == tuple(
        Part(name, tmp_path / "images" / name, tmp_path / "data.yaml") for name in ("train", "val")
    )
    for part in parts:
        records = read(part.images, part.annotations)
        assert records.categories == [{"id": 1, "name": "square"}, {"id": 2, "name": "triangle"}]
        assert [each["file_name"] for each in records.images] == [
            picture.path.name for picture in pictures[part.name]
        ]
        shapes = [shape for picture in pictures[part.name] for shape in picture.shapes]
        for shape, found in zip(shapes, records.objects, strict=True):
            x, y, width, height = found["bbox"]
            assert [x, y, x + width, y + height] == pytest.approx(shape.box, abs=1e-3)
            if shape.name == "triangle":
                (polygon,) = found["segmentation"]
                assert polygon == pytest.approx(shape.corners.reshape(-1).tolist(), abs=1e-3)
        assert records.notes == ("1 of 4 pictures have no labels, and so no objects",)


def test_it_is_a_type_of_data_sets(tmp_path):
    draw_yolo(tmp_path)
    dataset = YOLO.dataset(
        "mine", tmp_path / "images/train", tmp_path / "data.yaml", is_train=True, with_masks=True
    )
    assert dataset.class_names == ("square", "triangle") and len(dataset) == 4
    assert dataset.labels(0) == [2]  # the square has no mask
    dataset.check_pictures()
    assert dataset.read(0).image.shape == (48, 64, 3)


def test_numbers_count_in_the_upright_picture(tmp_path):
    write_picture(tmp_path / "images/a.jpg", (50, 100), exif=6)
    write_text(tmp_path / "labels/a.txt", "0 0.5 0.25 1 0.5")
    write_text(tmp_path / "data.yaml", "names: [a]\ntrain: images")
    for orientation in ("auto", "upright", "stored"):
        records = YOLO.read(
            tmp_path / "images",
            tmp_path / "data.yaml",
            classes=(),
            reader=ImageReader(orientation=orientation),
        )
        assert (records.images[0]["height"], records.images[0]["width"]) == (100, 50)
        assert records.objects[0]["bbox"] == [0, 0, 50, 50]


def test_a_folder_of_labels_takes_names_from_around_it_or_from_the_config(tmp_path):
    draw_yolo(tmp_path / "set")
    images, labels = tmp_path / "set/images/train", tmp_path / "set/labels/train"
    by_yaml = read(images, labels)
    assert by_yaml.objects == read(images, tmp_path / "set/data.yaml").objects
    (tmp_path / "set/data.yaml").unlink()
    with pytest.raises(ValueError, match=r"does not tell the names .*CLASSES"):
        read(images, labels)
    assert read(images, labels, ("square", "triangle")).categories == by_yaml.categories
    write_text(tmp_path / "set/classes.txt", "square\ntriangle\n\n")
    assert read(images, labels, ("triangle", "square")).categories == by_yaml.categories
    write_text(tmp_path / "set/labels/train/classes.txt", "square\n\ntriangle\n")
    with pytest.raises(ValueError, match=r"classes\.txt must have one in each line; line 2"):
        read(images, labels)


def test_labels_of_no_picture_are_counted_and_none_at_all_is_an_error(tmp_path):
    draw_yolo(tmp_path, 2)
    write_text(tmp_path / "labels/train/other.txt", "0 1 1 1 1")
    notes = read(tmp_path / "images/train", tmp_path / "data.yaml").notes
    assert any(note.startswith("1 label files belong to no picture: ") for note in notes)
    for path in (tmp_path / "labels/train").iterdir():
        path.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"none of the 2 .* that of 000\.png would be .*txt"
    ):
        read(tmp_path / "images/train", tmp_path / "data.yaml")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no pictures in"):
        read(tmp_path / "empty", tmp_path / "data.yaml")
    with pytest.raises(ValueError, match=r"x\.json is neither a data\.yaml"):
        read(tmp_path / "images/train", tmp_path / "x.json")


def test_keypoints_come_with_the_names_that_mirror_them(tmp_path):
    write_picture(tmp_path / "images/a.png")
    write_text(tmp_path / "labels/a.txt", "0 .5 .5 .2 .4 .1 .2 2 .3 .4 1 0 0 0")
    text = "names: [a]\ntrain: images\nkpt_shape: [3, 3]\nflip_idx: [0, 2, 1]"
    write_text(tmp_path / "data.yaml", text)
    found = YOLO.dataset(
        "mine",
        tmp_path / "images",
        tmp_path / "data.yaml",
        is_train=True,
        keypoints=KeypointOptions(),
    )
    assert found.keypoint_layout.flip_order() == (0, 2, 1)
    expected = [[[10, 10, 2], [30, 20, 1], [0, 0, 0]]]
    np.testing.assert_allclose(found.read(0).keypoints, expected, rtol=1e-6)


def test_pictures_without_pairs_of_keypoints_are_noted(tmp_path):
    write_picture(tmp_path / "images/a.png")
    write_text(tmp_path / "labels/a.txt", "0 .5 .5 .2 .4 .1 .2")
    write_text(tmp_path / "data.yaml", "names: [a]\ntrain: images\nkpt_shape: [1, 2]")
    records = read(tmp_path / "images", tmp_path / "data.yaml")
    assert records.categories[0]["keypoints"] == ["point_1"]
    assert "no flip_idx" in records.notes[0]


# Layouts -----------------------------------------------------------------------------------------


def layout(folder, *names, label="0 0.5 0.5 0.2 0.2"):
    """Write pictures and, exchanging images for labels, their labels."""
    for name in names:
        write_picture(folder / f"{name}.png")
        parts = ["labels" if part == "images" else part for part in Path(name).parts]
        write_text(folder / Path(*parts).with_suffix(".txt"), label)


def found_in(folder):
    """Return each part with the names of its pictures."""
    return {
        part.name: [each["file_name"] for each in read(part.images, part.annotations).images]
        for part in YOLO.find(folder)
    }


def test_roboflow_names_folders_one_level_too_high(tmp_path):
    layout(tmp_path, "train/images/a", "valid/images/b", "test/images/c")
    text = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\nnames: ['x']"
    write_text(tmp_path / "data.yaml", text)
    assert found_in(tmp_path) == {"train": ["a.png"], "val": ["b.png"], "test": ["c.png"]}


def test_lists_of_folders_and_a_path_of_another_machine(tmp_path):
    layout(tmp_path, "images/a/1", "images/b/2", "images/c/3")
    text = "path: /content/none\ntrain: [images/a, images/b]\nval: images/c\nnames: [x]"
    write_text(tmp_path / "data.yaml", text)
    assert found_in(tmp_path) == {"train": ["a/1.png", "b/2.png"], "val": ["3.png"]}
    write_text(tmp_path / "data.yaml", f"{text}\ntest: [images/c, images/a]")
    with pytest.raises(ValueError, match=r"the folders of train and test all lie in"):
        found_in(tmp_path)


def test_text_files_of_pictures(tmp_path):
    layout(tmp_path, "images/1", "images/2", "images/3")
    write_text(tmp_path / "data.yaml", "train: train.txt\nval: val.txt\ntest: no.txt\nnames: [x]")
    write_text(tmp_path / "train.txt", f"./images/1.png\n{tmp_path}/images/3.png\n")
    write_text(tmp_path / "val.txt", "C:\\data\\images\\2.png\n")
    assert found_in(tmp_path) == {"train": ["1.png", "3.png"], "val": ["2.png"]}
    write_text(tmp_path / "val.txt", "images/2.png\nimages/none.png\n")
    with pytest.raises(FileNotFoundError, match=r"1 of the 2 pictures that .*val\.txt .*none\.png"):
        found_in(tmp_path)
    write_text(tmp_path / "val.txt", "\n")
    with pytest.raises(ValueError, match="lists no pictures"):
        read(tmp_path / "images", tmp_path / "val.txt")


def test_darknet_as_cvat_exports_it(tmp_path):
    for name in ("a", "b"):
        write_picture(tmp_path / f"obj_train_data/{name}.png")
        write_text(tmp_path / f"obj_train_data/{name}.txt", "1 0.5 0.5 0.2 0.2")
    write_text(tmp_path / "obj.names", "x\ny\n")
    write_text(tmp_path / "obj.data", "classes = 2\ntrain = data/train.txt\n")
    write_text(tmp_path / "train.txt", "data/obj_train_data/a.png\ndata/obj_train_data/b.png\n")
    assert found_in(tmp_path) == {"train": ["a.png", "b.png"]}


def test_label_studio_has_one_folder_of_each(tmp_path):
    layout(tmp_path, "images/a")
    write_text(tmp_path / "classes.txt", "x")
    assert found_in(tmp_path) == {"all": ["a.png"]}


def test_without_a_yaml_the_folders_tell(tmp_path):
    layout(tmp_path / "one", "images/train/a", "images/val/b")
    write_text(tmp_path / "one/classes.txt", "x")
    assert found_in(tmp_path / "one") == {"train": ["a.png"], "val": ["b.png"]}
    write_text(tmp_path / "one/labels/train/classes.txt", "x")
    assert found_in(tmp_path / "one") == {"train": ["a.png"], "val": ["b.png"]}
    layout(tmp_path / "two", "train/images/a", "valid/images/b")
    write_text(tmp_path / "two/data.yaml", "names: [x]")
    assert found_in(tmp_path / "two") == {"train": ["a.png"], "val": ["b.png"]}


def test_other_folders_are_none_of_yolo(tmp_path):
    layout(tmp_path / "kitti", "images/a", label="Car 0.00 0 1.5 0 0 10 10")
    write_text(tmp_path / "run/config.yaml", "MODEL:\n  MASK_ON: True\n")
    write_picture(tmp_path / "plain/images/a.png")
    for name in ("kitti", "run", "plain"):
        assert YOLO.find(tmp_path / name) == ()


def test_splits_that_are_not_there(tmp_path):
    layout(tmp_path, "images/train/a")
    write_picture(tmp_path / "images/test/c.png")
    text = "train: images/train\nval: images/val\ntest: images/test\nnames: [x]"
    write_text(tmp_path / "data.yaml", text)
    assert [part.name for part in YOLO.find(tmp_path)] == ["train"]  # test has no labels
    write_text(tmp_path / "data.yaml", "train: images/none\nnames: [x]")
    with pytest.raises(FileNotFoundError, match=r"train is images/none, but .* nothing at"):
        YOLO.find(tmp_path)
    write_text(tmp_path / "data.yaml", f"train: {'a' * 5000}\nnames: [x]")
    with pytest.raises(FileNotFoundError, match="nothing at"):
        YOLO.find(tmp_path)
    write_text(tmp_path / "b.yaml", "train: images/none\nnames: [x]")
    (tmp_path / "data.yaml").rename(tmp_path / "a.yaml")
    with pytest.raises(ValueError, match=r"several YAML files .* a\.yaml, b\.yaml"):
        YOLO.find(tmp_path)
