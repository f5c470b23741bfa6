"""The check of whole data sets: each fault, by hand, is one finding, and nothing else is."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from pet.data.formats import Format, Records
from pet.data.registry import DATASET_TYPES
from pet.engine.data_check.check import check_data
from pet.engine.data_check.findings import ERROR, NOTE, WARNING
from pet.utils.opencv import cv2
from tests.engine.data_check.small_sets import HEIGHT, WIDTH, SmallSet, kinds, the
from tests.engine.tiny_run import draw_few_shapes, tiny_cfg


def test_clean_data(data):
    report = data.check()
    assert report.findings == ()
    train, val = report.summaries
    assert (train.name, train.purpose, val.purpose) == ("train", "train", "test")
    assert (train.images, train.objects, train.crowds, train.without_objects) == (12, 24, 0, 0)
    assert train.objects_per_class.tolist() == train.images_per_class.tolist() == [12, 12]
    assert train.coco_sizes == (24, 0, 0)
    assert sorted(set(train.sides.round(3))) == [16, 25.923]


def test_drawn_shapes_are_clean(monkeypatch, tmp_path):
    draw_few_shapes(monkeypatch, tmp_path / "data")
    report = check_data(tiny_cfg(tmp_path, TRAIN__SCALES=(128,)))
    assert {finding.kind for finding in report.findings if finding.severity != NOTE} <= {
        "classes-with-few-objects"  # there are six pictures
    }


# Annotations: what is altered -> kind, severity, image ids and annotation ids.


def no_width(train):
    train.annotation(3)["bbox"][2] = 0


def outside(train):
    train.annotation(4)["bbox"][0] = 100


def beyond(train):
    train.annotation(6)["bbox"][2] = 60


def normalised(train):
    train.annotation(5)["bbox"] = [0.1, 0.1, 0.5, 0.5]


def repeated(train):
    train.add(4, [32, 8.2, 24, 28], 2)
    train.add(4, [32, 8.2, 24, 28], 1)  # of another class
    train.add(4, [34, 8.2, 24, 28], 2)  # IoU 22 / 26


def thin(train):
    train.annotation(7)["bbox"] = [4, 4, 0.5, 16]


def elsewhere(train):
    train.annotation(9)["segmentation"] = [[40, 30, 50, 30, 50, 40]]


def no_polygon(train):
    train.annotation(11)["segmentation"] = [[40, 30]]


def poor_area(train):
    train.annotation(1)["area"] = -1


def painted(train):
    counts = {"size": [48, 64], "counts": [100, 50, 48 * 64 - 150]}
    train.content["annotations"] = train.content["annotations"][:10]  # of images 1 to 5
    for n in range(1, 6):
        train.add(n, [30, 4, 8, 8], 1, segmentation=counts, iscrowd=1)
    for n in range(6, 13):
        train.add(n, [4, 4, 16, 16], 1 + n % 2)


ANNOTATIONS = [
    (no_width, "unusable-boxes", WARNING, (2,), (3,)),
    (outside, "unusable-boxes", WARNING, (2,), (4,)),
    (beyond, "boxes-beyond-image", WARNING, (3,), (6,)),
    (normalised, "normalised-boxes", WARNING, (3,), (5,)),
    (repeated, "repeated-boxes", WARNING, (4,), (25,)),
    (thin, "tiny-boxes", WARNING, (4,), (7,)),
    (elsewhere, "masks-elsewhere", WARNING, (5,), (9,)),
    (no_polygon, "unusable-masks", WARNING, (6,), (11,)),
    (poor_area, "poor-areas", NOTE, (1,), (1,)),
]


@pytest.mark.parametrize(
    ("alter", "kind", "severity", "images", "numbers"),
    ANNOTATIONS,
    ids=[case[0].__name__ for case in ANNOTATIONS],
)
def test_flawed_annotations(data, alter, kind, severity, images, numbers):
    alter(data.train)
    report = data.check(MODEL__MASK_ON=True)
    found = the(report, kind)
    assert (found.severity, found.data_sets) == (severity, ("train",))
    assert (found.where.image_ids, found.where.annotation_ids) == (images, numbers)
    assert found.text.startswith("1 ") and (found.remedy or severity == NOTE)
    others = {"boxes-far-from-anchors", "boxes-below-anchors", "boxes-without-anchors"}
    if alter in (normalised, thin):  # such boxes have other oddities, too
        others |= {"tiny-boxes", "masks-elsewhere"}
    assert set(kinds(report)) - others <= {kind}


def test_crowds_that_are_not_meant(data):
    painted(data.train)
    found = the(data.check(), "painted-crowds")
    assert (found.severity, found.where.annotation_ids) == (WARNING, (11, 12, 13, 14, 15))
    assert found.text.startswith("5 annotations of 22 ") and "crowds-as-objects" in found.remedy


def test_masks_count_only_for_models_with_masks(data):
    no_polygon(data.train)
    assert data.check().findings == ()


def test_crowded_and_empty_images(data):
    data.val.add(3, [8, 8, 8, 8], 1)
    data.train.content["annotations"] = data.train.content["annotations"][2:]
    report = data.check(FAST_RCNN__DETECTIONS_PER_IMG=2)
    crowded, empty = the(report, "crowded-images"), the(report, "images-without-objects")
    assert (crowded.severity, crowded.data_sets) == (WARNING, ("val",))
    assert crowded.where.named() == ["image 3 (3 objects)"]
    assert "FAST_RCNN.DETECTIONS_PER_IMG" in crowded.remedy
    assert (empty.severity, empty.where.image_ids) == (NOTE, (1,))
    assert empty.text == (
        "1 image (8.3 %) without objects; they are left out (DATALOADER.FILTER_EMPTY_ANNOTATIONS)"
    )
    assert report.summaries[0].without_objects == 1


def test_only_the_first_images_count(data):
    no_width(data.train)  # of image 2
    data.keys["DATASETS.train.MAX_IMAGES"] = 1
    report = data.check()
    assert "unusable-boxes" not in kinds(report) and report.summaries[0].images == 1


# Pictures ----------------------------------------------------------------------------------------


def test_missing_pictures(data):
    data.train.picture(3).unlink()
    data.train.picture(5).unlink()
    found = the(data.check(), "missing-pictures")
    assert (found.severity, found.where.image_ids) == (ERROR, (3, 5))
    assert found.where.details == ("3.png", "5.png")
    assert found.text == f"2 pictures of 12 missing in {data.train.images}"
    assert "DATASETS.train.IMAGES" in found.remedy


def test_damaged_pictures(data):
    cut = data.train.picture(2)
    cut.write_bytes(cut.read_bytes()[:-60])
    data.train.picture(4).write_text("no picture")
    found = the(data.check(), "damaged-pictures")
    assert (found.severity, found.where.image_ids) == (ERROR, (2, 4))
    assert "2.png is cut off after" in found.where.details[0]
    assert "4.png cannot be decoded" in found.where.details[1]


def test_damage_that_only_decoding_shows(data):
    file = data.train.picture(2)
    content = bytearray(file.read_bytes())
    content[60:400] = bytes(340)  # of the compressed pixels
    file.write_bytes(content)
    assert data.check().findings == ()
    assert the(data.check(decode=True), "damaged-pictures").where.image_ids == (2,)


def test_pictures_of_another_size(data):
    data.train.content["images"][1] |= {"height": 50, "width": 70}
    found = the(data.check(), "pictures-of-other-size")
    assert (found.severity, found.where.image_ids) == (ERROR, (2,))
    assert found.where.details == ("2.png: declared 70 x 50, is 64 x 48",)


@pytest.mark.parametrize(
    ("orientation", "size", "kind", "severity"),
    [
        (6, (WIDTH, HEIGHT), "pictures-turned", NOTE),
        (6, (HEIGHT, WIDTH), "pictures-not-turned", NOTE),
        (3, (HEIGHT, WIDTH), "pictures-perhaps-turned", WARNING),
    ],
)
def test_orientation(data, orientation, size, kind, severity):
    exif = Image.Exif()
    exif[0x112] = orientation
    with Image.open(data.train.picture(2)) as picture:
        picture.convert("RGB").save(data.train.picture(2), exif=exif)
    data.train.content["images"][1] |= {"height": size[0], "width": size[1]}
    report = data.check()
    assert kinds(report) == {kind: severity} or kind == "pictures-turned"
    assert the(report, kind).where.image_ids == (2,)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "pictures-grey"), ("LA", "pictures-grey-and-alpha"), ("RGBA", "pictures-alpha")],
)
def test_modes(data, mode, kind):
    Image.new(mode, (WIDTH, HEIGHT), 7).save(data.train.picture(2))
    report = data.check()
    assert kinds(report) == {kind: NOTE} and the(report, kind).where.image_ids == (2,)


@pytest.mark.parametrize(("ending", "mode"), [("jpg", "L"), ("jpg", "CMYK"), ("webp", "RGBA")])
def test_modes_of_other_formats(data, ending, mode):
    data.train.content["images"][1]["file_name"] = f"2.{ending}"
    Image.new(mode, (WIDTH, HEIGHT), 7).save(data.train.picture(2))
    kind = {"L": "grey", "CMYK": "cmyk", "RGBA": "alpha"}[mode]
    assert the(data.check(), f"pictures-{kind}").where.image_ids == (2,)


def test_sixteen_bits(data):
    grey = np.full((HEIGHT, WIDTH, 3), 3000, np.uint16)
    cv2.imwrite(str(data.train.picture(2)), grey)
    report = data.check()
    assert kinds(report) == {"pictures-of-many-bits": NOTE, "dark-pictures": WARNING}
    assert "INPUT.BIT_DEPTH 12" in the(report, "dark-pictures").remedy
    assert kinds(data.check(INPUT__BIT_DEPTH=12)) == {"pictures-of-many-bits": NOTE}


def test_repeated_pictures(data):
    shutil.copy(data.train.picture(3), data.train.picture(7))
    report = data.check()
    assert kinds(report) == {"repeated-pictures": WARNING}
    found = the(report, "repeated-pictures")
    assert found.where.named() == ["image 7 (7.png, as image 3)"]


def test_pictures_trained_and_tested(data):
    shutil.copy(data.train.picture(3), data.val.picture(8))
    report = data.check()
    assert kinds(report) == {"pictures-trained-and-tested": ERROR}
    found = the(report, "pictures-trained-and-tested")
    assert found.data_sets == ("train", "val")
    assert found.where.named() == ["image 3 (3.png, as image 8 of val)"]


def test_a_set_trained_and_tested(data):
    report = data.check(TEST__DATASETS=("train",))
    assert kinds(report) == {"same-data-set": WARNING}
    assert [summary.purpose for summary in report.summaries] == ["train", "test"]


def test_pictures_that_are_named_with_folders_of_another_place(data):
    """As training finds them."""
    for image in data.train.content["images"]:
        image["file_name"] = f"images\\4/{image['file_name']}"
    assert kinds(data.check()) == {}


def test_pictures_that_no_annotation_names(data):
    (data.train.images / "deep").mkdir()
    shutil.copy(data.val.picture(1), data.train.images / "deep" / "other.png")
    report = data.check()
    assert kinds(report) == {"pictures-without-annotations": NOTE}
    assert the(report, "pictures-without-annotations").where.named() == ["deep/other.png"]


def test_two_sets_of_one_folder_name_its_pictures_together(data):
    for entry in data.val.content["images"]:
        shutil.move(data.val.images / entry["file_name"], data.train.images / f"v{entry['id']}.png")
        entry["file_name"] = f"v{entry['id']}.png"
    data.keys["DATASETS.val.IMAGES"] = str(data.train.images)
    assert data.check().findings == ()


# Classes -----------------------------------------------------------------------------------------


def test_classes_with_few_or_no_objects(data):
    data.train.content["categories"] += [{"id": 3, "name": "cow"}, {"id": 4, "name": "hen"}]
    data.val.content["categories"] += [{"id": 3, "name": "cow"}, {"id": 4, "name": "hen"}]
    data.train.annotation(1)["category_id"] = 3
    data.val.annotation(1)["category_id"] = 4
    report = data.check()
    assert the(report, "classes-with-few-objects").text == (
        "1 of 4 classes has fewer than 10 objects: cow (1)"
    )
    never = [each for each in report.findings if each.kind == "classes-without-objects"]
    assert [(each.severity, each.data_sets, each.text) for each in never] == [
        (WARNING, ("train",), "1 of 4 classes has no object: hen"),
        (NOTE, ("val",), "1 of 4 classes has no object: cow"),
    ]
    assert the(report, "classes-not-trained").text == (
        "val has objects of 1 class without an object to train on: hen"
    )


def test_classes_of_other_names(data):
    data.val.content["categories"] = [{"id": 1, "name": "dog"}, {"id": 2, "name": "mouse"}]
    report = data.check()
    assert the(report, "classes-not-tested").text.endswith("2 classes to train on: cat")
    assert the(report, "classes-unknown").text.endswith("has 1 class unknown to training: mouse")
    assert set(kinds(report).values()) == {WARNING}


def test_classes_of_another_order_and_spelling(data):
    data.val.content["categories"] = [{"id": 1, "name": "Dog"}, {"id": 2, "name": "cat"}]
    report = data.check()
    assert kinds(report) == {"classes-spelt-otherwise": NOTE, "classes-in-other-order": NOTE}
    assert "'dog' as 'Dog'" in the(report, "classes-spelt-otherwise").text


def test_no_common_class(data):
    data.val.content["categories"] = [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}]
    found = the(data.check(), "classes-not-matched")
    assert found.severity == ERROR and "cat, dog" in found.text and "car, bus" in found.text


def more(data, name: str) -> SmallSet:
    other = SmallSet(data.folder, name, count=2)
    other.draw()
    other.write()
    data.name(other)
    return other


def test_sets_trained_together(data):
    other = more(data, "more")
    both = {"TRAIN__DATASETS": ("train", "more")}
    assert data.check(**both).findings == ()  # the four objects of the second are not few
    other.content["categories"][1]["name"] = "cow"
    other.write()
    found = the(data.check(**both), "classes-of-training-sets")
    assert (found.severity, found.data_sets) == (ERROR, ("train", "more"))
    assert "only in the second: cow" in found.text


def test_the_number_of_classes_of_the_config(data):
    found = the(data.check(MODEL__NUM_CLASSES=4), "number-of-classes")
    assert found.severity == ERROR and "give 3, or -1" in found.text


# Data sets that cannot be used -------------------------------------------------------------------


def test_an_unreadable_set_beside_others(data):
    more(data, "more").file.write_text("{}")
    report = data.check(TRAIN__DATASETS=("train", "more"))
    found = the(report, "unusable-data-set")
    assert (found.severity, found.data_sets) == (ERROR, ("more",))
    assert str(data.folder / "more.json") in found.text
    assert [summary.name for summary in report.summaries] == ["train", "val"]


def test_nothing_can_be_read(data):
    more(data, "more").file.write_text("{}")
    with pytest.raises(ValueError, match=r"more\.json"):
        data.check(TRAIN__DATASETS=("more",), TEST__DATASETS=())
    with pytest.raises(FileNotFoundError, match=r"DATASETS\.gone\.ANNOTATIONS"):
        data.check(
            **{
                "DATASETS__gone__IMAGES": str(data.folder),
                "DATASETS__gone__ANNOTATIONS": "no.json",
                "TRAIN__DATASETS": ("gone",),
                "TEST__DATASETS": (),
            }
        )
    with pytest.raises(KeyError, match="no data set named 'trian'"):
        data.check(TRAIN__DATASETS=("trian",))
    with pytest.raises(ValueError, match=r"TRAIN\.DATASETS and TEST\.DATASETS name no data set"):
        data.check(TRAIN__DATASETS=(), TEST__DATASETS=())


def test_a_set_without_masks_is_looked_at_for_boxes(data):
    for entry in data.train.content["annotations"]:
        del entry["segmentation"]
    report = data.check(MODEL__MASK_ON=True)
    found = the(report, "unusable-data-set")
    assert found.text.startswith("cannot be used: nothing to train on")
    assert the(report, "unusable-masks").where.annotation_ids == tuple(range(1, 25))


def test_a_class_that_the_config_does_not_name(data):
    data.keys["DATASETS.train.CLASSES"] = "('cat',)"
    report = data.check()
    assert (
        "categories that DATASETS.train.CLASSES does not name: dog (2)"
        in the(report, "unusable-data-set").text
    )
    assert report.summaries[0].class_names == ("cat", "dog")


def test_a_type_of_the_user_that_reads_no_files(data, monkeypatch):
    monkeypatch.setattr(DATASET_TYPES, "_parts", dict(DATASET_TYPES._parts))

    class Drawn(DATASET_TYPES["coco"]):
        def read(self, index):
            raise AssertionError("no picture is read")

    DATASET_TYPES.register("drawn")(Drawn)
    data.keys["DATASETS.train.TYPE"] = "drawn"
    data.train.picture(3).unlink()
    report = data.check()
    assert kinds(report) == {"pictures-not-looked-at": NOTE}
    assert the(report, "pictures-not-looked-at").where.image_ids == (3,)


def test_reading_logs_nothing_that_the_report_says(data, caplog):
    data.train.annotation(1)["bbox"][0] = "4"
    assert kinds(data.check()) == {"read-otherwise": NOTE}
    assert not caplog.records


def test_notes_of_a_format_are_notes(data, monkeypatch, caplog):
    monkeypatch.setattr(DATASET_TYPES, "_parts", dict(DATASET_TYPES._parts))
    monkeypatch.setattr(DATASET_TYPES, "_kinds", dict(DATASET_TYPES._kinds))
    numbers = range(1, 13)

    def read(images, annotations, *, classes, reader):
        return Records(
            [{"id": n, "file_name": f"{n}.png", "height": 48, "width": 64} for n in numbers],
            [{"id": 1, "name": "cat"}],
            [{"image_id": n, "category_id": 1, "bbox": [4, 4, 20, 20]} for n in numbers],
            ("2 lines left out",),
        )

    noted = Format("noted", "file", find=lambda folder: (), read=read)
    DATASET_TYPES.register("noted", annotations="file")(noted.dataset)
    data.keys["DATASETS.train.TYPE"] = "noted"
    found = the(data.check(), "format-notes")
    assert (found.severity, found.text) == (NOTE, "2 lines left out")
    assert not caplog.records


# Real pictures -----------------------------------------------------------------------------------


def test_real_pictures(coco_mini, tmp_path, fresh_cfg):
    fresh_cfg.DATA_DIR, fresh_cfg.CKPT = str(coco_mini), str(tmp_path)
    fresh_cfg.TRAIN.DATASETS = ("coco_2017_train",)
    fresh_cfg.TEST.DATASETS = ("coco_2017_val",)
    fresh_cfg.FPN.FPN_ON = True
    report = check_data(fresh_cfg)
    assert ERROR not in kinds(report).values()
    content = json.loads((coco_mini / "annotations/instances_train2017.json").read_text())
    crowds = sum(each["iscrowd"] for each in content["annotations"])
    train = report.summaries[0]
    assert (train.images, train.crowds) == (len(content["images"]), crowds)
    assert train.objects == len(content["annotations"]) - crowds
