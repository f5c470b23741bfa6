"""Pascal VOC's files as records and data sets: values by hand, and the errors of other files."""

import logging

import numpy as np
import pycocotools.mask as coco_mask
import pytest

from pet.data.formats import FORMATS
from pet.data.formats.voc import VOC
from pet.data.formats.voc_masks import VOC_CLASSES
from pet.data.image_file import ImageReader
from pet.utils.opencv import cv2
from tests.data.formats.drawn_voc import HEIGHT, PARTS, WIDTH, draw_voc, voc_xml, write_indices

OBJECT = "<object><name>{}</name><bndbox>{}</bndbox>{}</object>"
BOX = "<xmin>11</xmin><ymin>21</ymin><xmax>30</xmax><ymax>40</ymax>"
SIZE = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"


def read(folder, annotations="Annotations", classes=()):
    return VOC.read(
        folder / "JPEGImages", folder / annotations, classes=classes, reader=ImageReader()
    )


@pytest.fixture
def one(tmp_path):
    """Return a function that reads one XML file, ``a.xml``, with pictures a.jpg and b.jpg."""
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "Annotations").mkdir()
    for name in "ab":
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "JPEGImages" / f"{name}.jpg"), picture)

    def make(inner, classes=(), name="a"):
        text = f"<annotation>{inner}</annotation>"
        (tmp_path / "Annotations" / f"{name}.xml").write_text(text)
        return read(tmp_path, classes=classes)

    return make


@pytest.fixture
def drawn(tmp_path):
    return draw_voc(tmp_path)


def test_it_is_a_type_of_data_sets():
    assert FORMATS["voc"] is VOC and VOC.annotations == "file or folder" and VOC.scores == ("voc",)


# XML ---------------------------------------------------------------------------------------------


def test_boxes_count_from_pixel_1_and_hold_both_corners(one):
    found = one(SIZE + OBJECT.format("cat", BOX, ""))
    assert found.objects == [
        {"image_id": 1, "category_id": 8, "bbox": [10, 20, 20, 20], "ignore": False}
    ]
    assert found.images == [{"id": 1, "file_name": "a.jpg", "height": HEIGHT, "width": WIDTH}]
    assert found.notes == ()


def test_fractions(one):
    box = "<xmin>11.5</xmin><ymin>2e1</ymin><xmax> 30.25 </xmax><ymax>40.0</ymax>"
    assert one(SIZE + OBJECT.format("cat", box, "")).objects[0]["bbox"] == [10.5, 19, 19.75, 21]


@pytest.mark.parametrize(
    ("text", "difficult"),
    [
        ("<difficult>1</difficult>", True),
        ("<difficult>0</difficult>", False),
        ("<difficult/>", False),
        ("<truncated>1</truncated><occluded>1</occluded>", False),
    ],
)
def test_difficult_objects_are_ignored_and_truncated_ones_are_not(one, text, difficult):
    assert one(SIZE + OBJECT.format("cat", BOX, text)).objects[0]["ignore"] is difficult


def test_boxes_of_parts_are_left_out(one):
    part = f"<part><name>head</name><bndbox>{BOX.replace('1', '2')}</bndbox></part>"
    found = one(SIZE + OBJECT.format("person", BOX, part))
    assert [each["bbox"] for each in found.objects] == [[10, 20, 20, 20]]
    found = one(SIZE + f"<object><name>person</name>{part}<bndbox>{BOX}</bndbox></object>")
    assert [each["bbox"] for each in found.objects] == [[10, 20, 20, 20]]


@pytest.mark.parametrize(
    "size",
    [
        "",
        "<size/>",
        "<size><width>0</width><height>0</height></size>",
        "<size><width>5</width></size>",
    ],
)
def test_a_missing_size_is_that_of_the_picture(one, size):
    assert one(size).images == [{"id": 1, "file_name": "a.jpg", "height": HEIGHT, "width": WIDTH}]


def test_empty_boxes_are_left_out_and_counted(one):
    swapped = "<xmin>30</xmin><ymin>21</ymin><xmax>11</xmax><ymax>40</ymax>"
    pixel = "<xmin>5</xmin><ymin>6</ymin><xmax>5</xmax><ymax>6</ymax>"
    found = one(SIZE + OBJECT.format("cat", swapped, "") + OBJECT.format("cat", pixel, ""))
    assert [each["bbox"] for each in found.objects] == [[4, 5, 1, 1]]
    (note,) = found.notes
    assert note.startswith("1 objects whose xmax") and note.endswith("a.xml, <object> 1")


def test_boxes_that_begin_at_0_are_counted(one):
    zero = "<xmin>0</xmin><ymin>0</ymin><xmax>11</xmax><ymax>40</ymax>"
    found = one(SIZE + OBJECT.format("cat", zero, "") * 2)
    assert found.objects[0]["bbox"] == [-1, -1, 12, 41]
    (note,) = found.notes
    assert note.startswith("2 boxes begin before pixel 1") and "the first: " in note


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (OBJECT.format("", BOX, ""), r"a\.xml: <object> 1 has no <name>"),
        ("<object><name>cat</name></object>", r"a\.xml: <object> 1 has no <bndbox>"),
        (
            OBJECT.format("cat", BOX, "") + OBJECT.format("cat", "", ""),
            r"<object> 2: <bndbox>: <xm",
        ),
        (OBJECT.format("cat", BOX.replace("30", "3O"), ""), r"<bndbox>: <xmax> is '3O', not a num"),
        (OBJECT.format("cat", BOX.replace("40", "nan"), ""), r"<ymax> is 'nan', not a number"),
        (OBJECT.format("cat", BOX.replace("40", "1e999"), ""), r"<ymax> is '1e999', not a number"),
        (OBJECT.format("cat", BOX, "<difficult>2</difficult>"), r"<difficult> is '2', not 0 or 1"),
        ("<size><width>x</width></size>", r"a\.xml: <size>: <width> is 'x', not a number"),
        ("<size><width>-5</width></size>", r"<width> is '-5', no number of pixels"),
        ("<size><width>5.5</width></size>", r"<width> is '5\.5', no number of pixels"),
    ],
)
def test_wrong_values_are_named_with_file_and_tag(one, inner, message):
    with pytest.raises(ValueError, match=message):
        one(inner)


def test_other_xml_files_are_named(one, tmp_path):
    one("")
    (tmp_path / "Annotations" / "b.xml").write_text("<annotations/>")
    with pytest.raises(ValueError, match=r"b\.xml begins with <annotations>, and is no file of Pa"):
        read(tmp_path)


# Pictures ----------------------------------------------------------------------------------------


def test_the_picture_has_the_name_of_the_xml_file(one):
    found = one("<filename>b.jpg</filename>")
    assert found.images[0]["file_name"] == "a.jpg"
    assert found.notes == (
        "1 XML files have another picture in <filename> than the one of their own name, which is "
        "used; 'a'",
    )


def test_or_the_one_in_filename(one, tmp_path):
    one("", name="a")
    assert one("<filename>b.jpg</filename>", name="c").images[1]["file_name"] == "b.jpg"


@pytest.mark.parametrize("name", ["a", "a.jpg", "a.png", r"C:\\old\\a.jpg", "/home/me/a.jpg"])
def test_other_spellings_of_the_name_need_no_note(one, name):
    found = one(f"<filename>{name}</filename>")
    assert found.images[0]["file_name"] == "a.jpg" and found.notes == ()


def test_no_picture_has_two_xml_files(one):
    one("", name="a")
    one("<filename>b.jpg</filename>", name="b")
    with pytest.raises(
        ValueError, match=r"no picture for one of .* 'b' and 'c', which both name 'b"
    ):
        one("<filename>b.jpg</filename>", name="c")


def test_the_ending_in_filename_decides_between_two(one, tmp_path):
    cv2.imwrite(str(tmp_path / "JPEGImages" / "a.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert one("<filename>a.png</filename>").images[0]["file_name"] == "a.png"
    with pytest.raises(ValueError, match=r"have the name 'a': a\.jpg, a\.png; take out all but on"):
        one("<filename>x.png</filename>")


def test_missing_pictures_are_named_together(one, tmp_path):
    one(SIZE + OBJECT.format("cat", BOX, ""), name="x")
    dataset = VOC.dataset("v", tmp_path / "JPEGImages", tmp_path / "Annotations", is_train=True)
    with pytest.raises(FileNotFoundError, match=r"1 of 1 pictures .* x\.jpg \(image id 1\)"):
        dataset.check_pictures()


# Classes -----------------------------------------------------------------------------------------


def test_the_classes_of_voc_are_in_its_order(one):
    found = one(SIZE + OBJECT.format("tvmonitor", BOX, "") + OBJECT.format("person", BOX, ""))
    assert [each["name"] for each in found.categories] == [*VOC_CLASSES]
    assert [each["category_id"] for each in found.objects] == [20, 15]


def test_other_classes_are_sorted(one):
    found = one(SIZE + OBJECT.format("person", BOX, "") + OBJECT.format("apple", BOX, ""))
    assert found.categories == [{"id": 1, "name": "apple"}, {"id": 2, "name": "person"}]
    assert [each["category_id"] for each in found.objects] == [2, 1]


def test_given_classes(one):
    found = one(SIZE + OBJECT.format("cat", BOX, ""), classes=("dog", "cat"))
    assert [each["name"] for each in found.categories] == ["dog", "cat"]
    assert found.objects[0]["category_id"] == 2
    with pytest.raises(
        ValueError, match=r"a\.xml: <object> 1: <name> is 'cat', which .*: dog; add"
    ):
        one(SIZE + OBJECT.format("cat", BOX, ""), classes=("dog",))


# Lists -------------------------------------------------------------------------------------------


def test_a_list_gives_the_pictures_of_a_part(drawn):
    found = read(drawn, "ImageSets/Main/val.txt")
    names = [each["file_name"] for each in found.images]
    assert names == ["2007_000005.jpg", "2007_000006.jpg"]
    assert [each["id"] for each in found.images] == [1, 2]
    boxes = [each.box for objects in PARTS["val"].values() for each in objects]
    assert [each["bbox"] for each in found.objects] == [
        [x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in boxes
    ]


def test_a_list_of_one_class_names_the_pictures_with_it(drawn):
    text = "2007_000002  0\n2007_000004\t1\n2007_000003 -1\n\n"
    (drawn / "ImageSets" / "Main" / "cat_train.txt").write_text(text)
    found = read(drawn, "ImageSets/Main/cat_train.txt")
    assert [each["file_name"][:-4] for each in found.images] == ["2007_000002", "2007_000004"]
    assert [each["ignore"] for each in found.objects] == [False, True, False]


def test_names_with_endings_spaces_and_repetitions(drawn):
    for folder, ending in (("JPEGImages", "jpg"), ("Annotations", "xml")):
        path = drawn / folder / f"2007_000002.{ending}"
        path.rename(path.with_name(f"a 1.{ending}"))
    text = "\ufeff2007_000001.jpg\r\na 1\na 1\n2007_000003.xml"
    (drawn / "list.txt").write_text(text, encoding="utf-8")
    found = read(drawn, "list.txt")
    names = [each["file_name"] for each in found.images]
    assert names == ["2007_000001.jpg", "2007_000003.jpg", "a 1.jpg"]
    assert "1 names are listed again, and used once; line 3" in found.notes


def test_a_name_without_files_is_named_with_its_line(drawn):
    (drawn / "ImageSets" / "Main" / "train.txt").write_text("2007_000001\nnobody\n")
    message = (
        r"train\.txt, line 2: 'nobody' has neither the XML file .*nobody\.xml nor .*nobody\.pn"
    )
    with pytest.raises(FileNotFoundError, match=message):
        read(drawn, "ImageSets/Main/train.txt")


def test_a_list_that_is_no_text(drawn):
    (drawn / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"list\.txt is no text in UTF-8; give a list of names"):
        read(drawn, "list.txt")


def test_a_list_without_a_folder_of_xml_files(tmp_path):
    (tmp_path / "a" / "JPEGImages").mkdir(parents=True)
    (tmp_path / "a" / "list.txt").write_text("1")
    with pytest.raises(
        FileNotFoundError, match=r"no folder Annotations .* for the list .*list\.txt"
    ):
        read(tmp_path / "a", "list.txt")


def test_a_folder_without_xml_files(tmp_path):
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "Annotations").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no XML file in .*Annotations; give"):
        read(tmp_path)


def test_folders_in_folders(drawn):
    for folder, ending in (("JPEGImages", "jpg"), ("Annotations", "xml")):
        (drawn / folder / "deep").mkdir()
        path = drawn / folder / f"2007_000001.{ending}"
        path.rename(drawn / folder / "deep" / path.name)
    assert read(drawn).images[-1]["file_name"] == "deep/2007_000001.jpg"
    (drawn / "list.txt").write_text("deep/2007_000001")
    assert read(drawn, "list.txt").images[0]["file_name"] == "deep/2007_000001.jpg"


# Masks -------------------------------------------------------------------------------------------


def test_masks_end_at_the_border_of_objects(drawn):
    found = read(drawn, "ImageSets/Segmentation/train.txt")
    every = [each for objects in PARTS["train"].values() for each in objects]
    assert len(found.objects) == len(every) == 6 and found.notes == ()
    for entry, each in zip(found.objects, every, strict=True):
        x1, y1, x2, y2 = each.box
        wanted = np.zeros((HEIGHT, WIDTH), np.uint8)
        wanted[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1] = 1
        assert (coco_mask.decode(entry["segmentation"]) == wanted).all()
        assert entry["bbox"] == [x1, y1, x2 - x1, y2 - y1]  # that of the XML file
        assert VOC_CLASSES[entry["category_id"] - 1] == each.name


def test_boxes_and_classes_of_masks_replace_a_missing_xml_file(drawn):
    for path in (drawn / "Annotations").iterdir():
        path.unlink()
    found = read(drawn, "ImageSets/Segmentation/val.txt")
    assert found.images[0] == {
        "id": 1,
        "file_name": "2007_000005.jpg",
        "height": HEIGHT,
        "width": WIDTH,
    }
    assert [each["bbox"] for each in found.objects] == [
        [21, 17, 48, 32],
        [51, 1, 44, 62],
        [5, 31, 34, 28],
    ]
    assert [each["category_id"] for each in found.objects] == [8, 15, 12]
    with pytest.raises(ValueError, match=r"000006\.png has an object of the class 'person', which"):
        read(drawn, "ImageSets/Segmentation/val.txt", classes=("cat", "dog"))


def test_own_classes_name_the_indices_of_masks_without_an_xml_file(drawn):
    for path in (drawn / "Annotations").iterdir():
        path.unlink()
    classes = tuple(f"kind {n}" for n in range(1, 13))
    message = r"no XML file, and .*SegmentationClass.2007_000006\.png .* object 1: its index is 15"
    with pytest.raises(ValueError, match=message):
        read(drawn, "ImageSets/Segmentation/val.txt", classes=classes)
    (drawn / "list.txt").write_text("2007_000005")
    found = read(drawn, "list.txt", classes=classes)
    assert [each["category_id"] for each in found.objects] == [8]


def test_without_class_pngs_masks_still_have_their_objects(drawn):
    for path in (drawn / "SegmentationClass").iterdir():
        path.unlink()
    found = read(drawn, "ImageSets/Segmentation/train.txt")
    assert all("segmentation" in each for each in found.objects)


def test_a_png_of_another_size_is_named(drawn):
    png = drawn / "SegmentationObject" / "2007_000005.png"
    write_indices(png, np.ones((5, 6), np.uint8))
    with pytest.raises(
        ValueError, match=r"SegmentationClass.* has 96 x 64 pixels, and .* has 6 x 5"
    ):
        read(drawn, "ImageSets/Main/val.txt")
    write_indices(drawn / "SegmentationClass" / png.name, np.ones((5, 6), np.uint8))
    message = r"Object.2007_000005\.png has 6 x 5 pixels, but the <size> in .*\.xml is 96 x 64"
    with pytest.raises(ValueError, match=message):
        read(drawn, "ImageSets/Main/val.txt")


def test_masks_without_an_object_are_counted(drawn):
    name, objects = "2007_000006", PARTS["val"]["2007_000006"]
    (drawn / "Annotations" / f"{name}.xml").write_text(voc_xml(name, objects[:1]))
    found = read(drawn, "ImageSets/Main/val.txt")
    assert len(found.objects) == 2
    (note,) = found.notes
    assert note.startswith("1 masks that no object of the XML file has") and name in note


# Data sets ---------------------------------------------------------------------------------------


def test_a_data_set_to_train_on(drawn, caplog):
    caplog.set_level(logging.INFO)
    images, names = drawn / "JPEGImages", drawn / "ImageSets" / "Main" / "train.txt"
    dataset = VOC.dataset("v", images, names, is_train=True, with_masks=True)
    dataset.check_pictures()
    assert dataset.scores == ("voc",) and dataset.num_classes == 21
    sample = dataset.read(1)  # with a difficult cat
    assert sample.boxes.tolist() == [[10, 20, 50, 60]] and sample.labels.tolist() == [12]
    assert sample.image.shape == (HEIGHT, WIDTH, 3) and len(sample.masks) == 1
    assert dataset.ground_truth().crowds.tolist() == [False, False, False, True, False, False]


def test_real_files(voc_mini):
    folder = voc_mini / "VOC2012"
    found = read(folder, "ImageSets/Segmentation/trainval.txt")
    assert [each["file_name"] for each in found.images] == [
        "2011_000003.jpg",
        "2011_000006.jpg",
        "2011_000025.jpg",
    ]
    assert found.objects[0]["bbox"] == [191, 107, 123, 221]
    # Mask 7 of the second picture, whose XML file has six objects, is that of the sofa.
    assert all("segmentation" in each for each in found.objects) and found.notes == ()
    for each in found.objects:  # the boxes of these files are those of the masks
        assert coco_mask.toBbox(each["segmentation"]).tolist() == each["bbox"]


def test_a_list_of_xml_files_that_all_lie_in_folders(drawn):
    (drawn / "Annotations" / "deep").mkdir()
    for path in (drawn / "Annotations").glob("*.xml"):
        path.rename(path.parent / "deep" / path.name)
    (drawn / "list.txt").write_text("deep/2007_000001")
    assert read(drawn, "list.txt").images[0]["file_name"] == "2007_000001.jpg"


def test_an_empty_list_and_pictures_without_objects(drawn):
    images, names = drawn / "JPEGImages", drawn / "list.txt"
    names.write_text("\n")
    with pytest.raises(ValueError, match=r"data set 'v': .*list\.txt holds no images"):
        VOC.dataset("v", images, names, is_train=False)
    names.write_text("2007_000001")
    (drawn / "Annotations" / "2007_000001.xml").write_text(voc_xml("2007_000001", []))
    dataset = VOC.dataset("v", images, names, is_train=False)
    assert len(dataset) == 1 and dataset.num_classes == 21
    assert len(dataset.ground_truth().ids) == 0 and dataset.ground_truth().has_annotations
    with pytest.raises(ValueError, match="data set 'v': "):
        VOC.dataset("v", images, names, is_train=True)
