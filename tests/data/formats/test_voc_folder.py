"""The parts of a Pascal VOC data set, in the layouts in which it lies in folders."""

import shutil

import pytest

from pet.data.catalog import find_dataset
from pet.data.formats import Part
from pet.data.formats.voc import VOC
from tests.data.formats.drawn_voc import PARTS, draw_voc, voc_xml


@pytest.fixture
def drawn(tmp_path):
    return draw_voc(tmp_path)


@pytest.mark.parametrize("above", [0, 1, 2])
def test_the_folder_of_a_year_and_those_above_it(drawn, above):
    images, lists = drawn / "JPEGImages", drawn / "ImageSets"
    assert VOC.find([drawn, *drawn.parents][above]) == (
        Part("train", images, lists / "Main" / "train.txt"),
        Part("val", images, lists / "Main" / "val.txt"),
        Part("train-masks", images, lists / "Segmentation" / "train.txt"),
        Part("val-masks", images, lists / "Segmentation" / "val.txt"),
    )


def names(folder):
    return [part.name for part in VOC.find(folder)]


def test_several_years(drawn):
    shutil.copytree(drawn, drawn.with_name("VOC2007"))
    assert names(drawn.parent)[:2] == ["train-VOC2007", "val-VOC2007"]
    assert names(drawn.parent)[-1] == "val-masks-VOC2012"
    assert names(drawn) == ["train", "val", "train-masks", "val-masks"]


def test_without_masks(drawn):
    shutil.rmtree(drawn / "SegmentationObject")
    assert names(drawn) == ["train", "val"]


def test_masks_alone(drawn):
    shutil.rmtree(drawn / "Annotations")
    assert names(drawn) == ["train-masks", "val-masks"]


def test_the_list_of_all_is_the_part_to_train_on_if_there_is_no_other(drawn):
    main = drawn / "ImageSets" / "Main"
    (main / "train.txt").unlink()
    assert names(drawn)[0] == "val"
    (main / "val.txt").rename(main / "test.txt")
    assert VOC.find(drawn)[0] == Part("train", drawn / "JPEGImages", main / "trainval.txt")
    assert names(drawn)[1] == "test"


def test_lists_without_a_folder_of_their_own(drawn):
    for path in (drawn / "ImageSets" / "Main").iterdir():
        path.rename(drawn / "ImageSets" / path.name)
    assert names(drawn)[:2] == ["train", "val"]


@pytest.mark.parametrize("images", ["JPEGImages", "images"])
def test_without_lists_all_pictures_are_one_part(drawn, images):
    shutil.rmtree(drawn / "ImageSets")
    (drawn / "JPEGImages").rename(drawn / images)
    assert VOC.find(drawn) == (Part("all", drawn / images, drawn / "Annotations"),)


def mix(drawn, folder, part):
    """Move the pictures and XML files of ``part`` into one folder."""
    folder.mkdir(parents=True)
    for name in PARTS[part]:
        shutil.copy(drawn / "JPEGImages" / f"{name}.jpg", folder)
        shutil.copy(drawn / "Annotations" / f"{name}.xml", folder)


def test_xml_files_beside_the_pictures(drawn, tmp_path):
    mix(drawn, tmp_path / "mixed", "val")
    (part,) = VOC.find(tmp_path / "mixed")
    assert part == Part("all", tmp_path / "mixed", tmp_path / "mixed")
    assert len(VOC.dataset("v", part.images, part.annotations, is_train=True)) == 2


def test_a_folder_for_each_part(drawn, tmp_path):
    mix(drawn, tmp_path / "export" / "train", "train")
    mix(drawn, tmp_path / "export" / "valid", "val")
    assert VOC.find(tmp_path / "export") == (
        Part("train", tmp_path / "export" / "train", tmp_path / "export" / "train"),
        Part("val", tmp_path / "export" / "valid", tmp_path / "export" / "valid"),
    )


def test_other_folders(tmp_path):
    assert VOC.find(tmp_path) == VOC.find(tmp_path / "missing") == ()
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val2017.json").write_text("{}")
    (tmp_path / "a.xml").write_text("<annotations/>")  # of CVAT
    assert VOC.find(tmp_path) == VOC.find(tmp_path / "a.xml") == ()
    (tmp_path / "a.xml").write_text("no XML")
    assert VOC.find(tmp_path) == ()
    (tmp_path / "._a.xml").write_text(voc_xml("a", []))
    assert VOC.find(tmp_path) == ()
    (tmp_path / "a.xml").write_text(voc_xml("a", []))
    assert names(tmp_path) == ["all"]


def test_real_files(voc_mini):
    assert names(voc_mini) == ["train", "val", "train-masks", "val-masks"]


# Built-in names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "list_", "count"),
    [
        ("voc_2012_train", "Main/train.txt", 4),
        ("voc_2012_val", "Main/val.txt", 2),
        ("voc_2012_trainval", "Main/trainval.txt", 6),
        ("voc_2012_seg_train", "Segmentation/train.txt", 4),
        ("voc_2012_seg_val", "Segmentation/val.txt", 2),
    ],
)
@pytest.mark.parametrize("above", [1, 0])
def test_built_in_names(drawn, fresh_cfg, name, list_, count, above):
    fresh_cfg.DATA_DIR = str(drawn.parents[above])
    files = find_dataset(name, fresh_cfg)
    assert files.type == "voc" and files.images == drawn / "JPEGImages"
    assert files.annotations == drawn / "ImageSets" / list_
    assert len(VOC.dataset(name, files.images, files.annotations, is_train=False)) == count


def test_missing_files_of_built_in_names(tmp_path, fresh_cfg):
    fresh_cfg.DATA_DIR = str(tmp_path)
    with pytest.raises(FileNotFoundError, match="'voc_2007_test'") as caught:
        find_dataset("voc_2007_test", fresh_cfg)
    wanted = tmp_path / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / "test.txt"
    assert f"{wanted} (missing)" in str(caught.value)
    assert "download VOC2007 from http://host.robots.ox.ac.uk" in str(caught.value)
