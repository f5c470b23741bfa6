from pathlib import Path

import pytest

from pet.config import merge_cfg_from_list
from pet.data.catalog import dataset_names, find_dataset
from pet.data.registry import DATASET_TYPES


def _make_coco(root):
    (root / "val2017").mkdir(parents=True)
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val2017.json").write_text("{}")


@pytest.mark.parametrize("folder", ["coco2017", "coco", "."])
def test_coco_under_data_dir(tmp_path, fresh_cfg, folder):
    _make_coco(tmp_path / folder)
    fresh_cfg.DATA_DIR = str(tmp_path)
    files = find_dataset("coco_2017_val", fresh_cfg)
    assert files.images == tmp_path / folder / "val2017"
    assert files.annotations == tmp_path / folder / "annotations" / "instances_val2017.json"
    assert (files.type, files.max_images) == ("coco", 0)


def test_the_first_whole_folder_wins(tmp_path, fresh_cfg):
    (tmp_path / "coco2017" / "val2017").mkdir(parents=True)
    _make_coco(tmp_path / "coco")
    _make_coco(tmp_path)
    fresh_cfg.DATA_DIR = str(tmp_path)
    assert find_dataset("coco_2017_val", fresh_cfg).images == tmp_path / "coco" / "val2017"


def test_missing_coco_names_every_path_and_what_to_do(tmp_path, fresh_cfg):
    (tmp_path / "coco" / "val2017").mkdir(parents=True)
    fresh_cfg.DATA_DIR = str(tmp_path)
    with pytest.raises(FileNotFoundError, match="'coco_2017_val'") as caught:
        find_dataset("coco_2017_val", fresh_cfg)
    message = str(caught.value)
    for folder in ("coco2017/", "coco/", ""):
        annotations = tmp_path / f"{folder}annotations" / "instances_val2017.json"
        assert f"{annotations} (missing)" in message
    assert f"{tmp_path / 'coco' / 'val2017'} (found)" in message
    assert "https://cocodataset.org/" in message and "DATA_DIR" in message
    assert "DATASETS.coco_2017_val.IMAGES" in message


def test_unknown_name(fresh_cfg):
    merge_cfg_from_list(["DATASETS.mine.IMAGES", "x"], fresh_cfg)
    with pytest.raises(KeyError, match="no data set named 'shapes_trian'") as caught:
        find_dataset("shapes_trian", fresh_cfg)
    message = str(caught.value)
    assert "did you mean 'shapes_train'?" in message
    assert "DATASETS.shapes_trian.IMAGES" in message
    for name in ("mine", "coco_2017_train", "coco_2017_val", "shapes_train", "shapes_val"):
        assert name in message and name in dataset_names(fresh_cfg)


def _own(cfg, name, images, annotations, *more):
    keys = [f"DATASETS.{name}.IMAGES", str(images), f"DATASETS.{name}.ANNOTATIONS"]
    merge_cfg_from_list([*keys, str(annotations), *more], cfg)


@pytest.mark.parametrize("place", ["absolute", "working directory", "DATA_DIR"])
def test_own_data_sets(tmp_path, fresh_cfg, monkeypatch, place):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "a.json").write_text("{}")
    root = tmp_path if place == "absolute" else ""
    if place == "working directory":
        monkeypatch.chdir(tmp_path)
    if place == "DATA_DIR":
        fresh_cfg.DATA_DIR = str(tmp_path)
    prefix = f"{root}/" if root else ""
    _own(fresh_cfg, "mine", f"{prefix}pictures", f"{prefix}a.json", "DATASETS.mine.MAX_IMAGES", 5)
    files = find_dataset("mine", fresh_cfg)
    assert files.images.samefile(tmp_path / "pictures")
    assert files.annotations.samefile(tmp_path / "a.json")
    assert files.max_images == 5


def test_a_block_wins_over_a_built_in_name(tmp_path, fresh_cfg):
    _make_coco(tmp_path)
    fresh_cfg.DATA_DIR = str(tmp_path)
    _own(fresh_cfg, "coco_2017_val", "annotations", "annotations/instances_val2017.json")
    assert find_dataset("coco_2017_val", fresh_cfg).images == tmp_path / "annotations"


def test_missing_files_of_own_data_sets(tmp_path, fresh_cfg, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fresh_cfg.DATA_DIR = "elsewhere"
    _own(fresh_cfg, "mine", "pictures", "a.json")
    with pytest.raises(FileNotFoundError, match="'mine': no image folder at") as caught:
        find_dataset("mine", fresh_cfg)
    assert f"{tmp_path / 'pictures'} or {tmp_path / 'elsewhere' / 'pictures'}" in str(caught.value)
    (tmp_path / "pictures").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no annotation file at .*DATASETS\.mine\.ANNOT"):
        find_dataset("mine", fresh_cfg)


def test_unfinished_block(fresh_cfg):
    merge_cfg_from_list(["DATASETS.mine.ANNOTATIONS", "a.json"], fresh_cfg)
    with pytest.raises(ValueError, match=r"DATASETS\.mine\.IMAGES is empty"):
        find_dataset("mine", fresh_cfg)


# Something else at a path ------------------------------------------------------------------------


def _mine(cfg, root, images="pictures", annotations="a.json"):
    (root / "pictures").mkdir(exist_ok=True)
    (root / "a.json").write_text("{}")
    _own(cfg, "mine", root / images, root / annotations)


def test_a_folder_of_annotations_is_named_with_the_files_in_it(tmp_path, fresh_cfg):
    (tmp_path / "labels").mkdir()
    _mine(fresh_cfg, tmp_path, annotations="labels")
    message = r"'mine': DATASETS\.mine\.ANNOTATIONS must be the annotation file, but .*labels is "
    with pytest.raises(ValueError, match=rf"{message}a folder; name the file in it$"):
        find_dataset("mine", fresh_cfg)
    for name in ("g.JSON", "f.json", "e.json", "d.json", "c.json", "b.json", "a.txt"):
        (tmp_path / "labels" / name).touch()
    files = r"b\.json, c\.json, d\.json, e\.json, f\.json$"
    with pytest.raises(ValueError, match=rf"{message}a folder; name the file in it: {files}"):
        find_dataset("mine", fresh_cfg)


@pytest.fixture
def types(monkeypatch):
    """File types that take a file, a folder, and either, or do not say."""
    for table in ("_parts", "_kinds"):
        monkeypatch.setattr(DATASET_TYPES, table, dict(getattr(DATASET_TYPES, table)))
    for kind in ("file", "folder", "file or folder"):
        DATASET_TYPES.register(f"takes {kind}", annotations=kind)(None)
    DATASET_TYPES.register("says nothing")(None)


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("coco", {"file"}),
        ("takes file", {"file"}),
        ("takes folder", {"folder"}),
        ("takes file or folder", {"file", "folder"}),
        ("says nothing", {"file", "folder"}),
    ],
)
def test_a_type_says_whether_annotations_are_a_file_or_a_folder(
    tmp_path, fresh_cfg, types, name, takes
):
    (tmp_path / "labels").mkdir()
    fresh_cfg.DATA_DIR = str(tmp_path)
    _mine(fresh_cfg, tmp_path)
    fresh_cfg.DATASETS.mine.TYPE = name
    for kind, path in (("file", "a.json"), ("folder", "labels")):
        fresh_cfg.DATASETS.mine.ANNOTATIONS = path
        if kind in takes:
            assert find_dataset("mine", fresh_cfg).annotations == tmp_path / path
            continue
        (wanted,) = takes
        message = rf"ANNOTATIONS must be the annotation {wanted}, but .*{path} is a {kind}; name"
        with pytest.raises(ValueError, match=message):
            find_dataset("mine", fresh_cfg)
    fresh_cfg.DATASETS.mine.ANNOTATIONS = "gone"
    wanted = " or ".join(sorted(takes))
    with pytest.raises(FileNotFoundError, match=f"'mine': no annotation {wanted} at .*gone; set"):
        find_dataset("mine", fresh_cfg)


def test_a_file_in_place_of_a_folder_of_annotations_is_named_with_its_folder(
    tmp_path, fresh_cfg, types
):
    _mine(fresh_cfg, tmp_path)
    fresh_cfg.DATASETS.mine.TYPE = "takes folder"
    with pytest.raises(
        ValueError, match=rf"a\.json is a file; name the folder, such as {tmp_path}$"
    ):
        find_dataset("mine", fresh_cfg)


def test_types_are_registered_with_one_of_three_kinds(types):
    with pytest.raises(ValueError, match=r"'x': annotations must be one of file, .*; got 'fi"):
        DATASET_TYPES.register("x", annotations="files")
    with pytest.raises(KeyError, match="already a type of data set named 'coco'"):
        DATASET_TYPES.register("coco", annotations="folder")(None)
    assert DATASET_TYPES.kind_of_annotations("coco") == "file"


def test_an_unknown_type_is_named(tmp_path, fresh_cfg):
    _mine(fresh_cfg, tmp_path)
    fresh_cfg.DATASETS.mine.TYPE = "cocco"
    with pytest.raises(KeyError, match=r"no type of data set named 'cocco' .* mean 'coco'\?"):
        find_dataset("mine", fresh_cfg)


def test_a_file_of_images_is_named_with_its_folder(tmp_path, fresh_cfg):
    _mine(fresh_cfg, tmp_path, images="a.json")
    with pytest.raises(
        ValueError, match=r"DATASETS\.mine\.IMAGES must be the image fold"
    ) as caught:
        find_dataset("mine", fresh_cfg)
    assert f"{tmp_path / 'a.json'} is a file; name the folder, such as {tmp_path}" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("images", "annotations", "message"),
    [
        ("x" * 300, "a.json", r"IMAGES must be .* cannot be looked at: File name too long"),
        ("pictures", "x" * 300, r"ANNOTATIONS must be .* cannot be looked at: File name too long"),
        ("pictures", "loop", r"ANNOTATIONS must be .* cannot be looked at: Too many levels"),
        ("lost", "a.json", r"IMAGES must be .*lost is a link to .*gone, which is not there"),
        ("pictures", "lost", r"ANNOTATIONS must be .*lost is a link to .*gone, which is not there"),
        ("a.json/b", "a.json", r"IMAGES must be .* cannot be there, as .*a\.json is a file"),
        ("pictures", "/dev/null", r"ANNOTATIONS must be .* is neither a file nor a folder"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_key(
    tmp_path, fresh_cfg, images, annotations, message
):
    (tmp_path / "lost").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    _mine(fresh_cfg, tmp_path, images, annotations)
    with pytest.raises(ValueError, match=rf"data set 'mine': DATASETS\.mine\.{message}"):
        find_dataset("mine", fresh_cfg)


def test_what_must_not_be_looked_at_is_named_with_its_key(tmp_path, fresh_cfg, monkeypatch):
    def stat(self, **_):
        raise PermissionError(13, "Permission denied", str(self))

    _mine(fresh_cfg, tmp_path)
    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(ValueError, match=r"mine\.IMAGES .* cannot be looked at: Permission denied"):
        find_dataset("mine", fresh_cfg)


@pytest.mark.parametrize("key", ["IMAGES", "ANNOTATIONS"])
def test_a_path_with_a_zero_character_is_named_with_its_key(tmp_path, fresh_cfg, key):
    _mine(fresh_cfg, tmp_path)
    fresh_cfg.DATASETS.mine[key] = "a\0b"
    with pytest.raises(ValueError, match=rf"DATASETS\.mine\.{key} holds a zero character"):
        find_dataset("mine", fresh_cfg)


def test_the_right_kind_is_found_behind_the_wrong_one(tmp_path, fresh_cfg, monkeypatch):
    (tmp_path / "here" / "a.json").mkdir(parents=True)
    (tmp_path / "data" / "pictures").mkdir(parents=True)
    (tmp_path / "data" / "a.json").write_text("{}")
    monkeypatch.chdir(tmp_path / "here")
    fresh_cfg.DATA_DIR = str(tmp_path / "data")
    _own(fresh_cfg, "mine", "pictures", "a.json")
    assert find_dataset("mine", fresh_cfg).annotations == tmp_path / "data" / "a.json"


@pytest.mark.parametrize("name", ["coco_2017_val", "shapes_val", "mine"])
def test_a_data_dir_that_is_a_file_is_named(tmp_path, fresh_cfg, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").write_text("")
    (tmp_path / "lost").symlink_to("gone")
    _own(fresh_cfg, "mine", "pictures", "a.json")
    with pytest.raises(ValueError, match=r"DATA_DIR must be a folder, but .*data is a file"):
        find_dataset(name, fresh_cfg)
    fresh_cfg.DATA_DIR = "lost"
    with pytest.raises(ValueError, match=r"DATA_DIR must be a folder, .*lost is a link to gone"):
        find_dataset(name, fresh_cfg)


def test_a_data_dir_that_is_a_file_hurts_no_full_path(tmp_path, fresh_cfg):
    _mine(fresh_cfg, tmp_path)
    fresh_cfg.DATA_DIR = str(tmp_path / "a.json")
    assert find_dataset("mine", fresh_cfg).images == tmp_path / "pictures"


def test_home_folders_in_a_config_that_is_set_in_python(tmp_path, fresh_cfg, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    _make_coco(tmp_path / "coco")
    fresh_cfg.DATA_DIR = "~"
    files = find_dataset("coco_2017_val", fresh_cfg)
    assert files.images == tmp_path / "coco" / "val2017"
    fresh_cfg.DATA_DIR = "~nobody_such"
    with pytest.raises(ValueError, match="DATA_DIR '~nobody_such': there is no home folder"):
        find_dataset("coco_2017_val", fresh_cfg)


def test_a_data_set_with_a_number_for_a_name(tmp_path, fresh_cfg):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "a.json").write_text("{}")
    _own(fresh_cfg, "2024", tmp_path / "pictures", tmp_path / "a.json", "TRAIN.DATASETS", "2024")
    assert find_dataset(fresh_cfg.TRAIN.DATASETS[0], fresh_cfg).name == "2024"
