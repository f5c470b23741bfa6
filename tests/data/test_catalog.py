import pytest

from pet.config import merge_cfg_from_list
from pet.data.catalog import dataset_names, find_dataset


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
