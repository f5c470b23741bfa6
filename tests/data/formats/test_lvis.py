import copy
import json
import random
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pet.annotations import convert, json_pieces, read_annotations, reader
from pet.annotations.federated import name_by_url
from pet.config import merge_cfg_from_list
from pet.data.build import build_dataset
from pet.data.catalog import dataset_names, find_dataset
from pet.data.datasets import CocoDataset
from pet.data.formats import FORMATS
from pet.data.formats.lvis import LVIS
from pet.data.image_file import ImageReader
from tests.annotations.damage import damage

NEGATIVE, NOT_EXHAUSTIVE = "neg_category_ids", "not_exhaustive_category_ids"
URL = "http://images.cocodataset.org/"
POLYGON = [1, 1, 4, 1, 4, 4, 1, 4]


def small_content() -> dict:
    """Return two images in LVIS's form, whose pictures are in two folders, and three classes."""
    images = [
        {"id": 7, "height": 8, "width": 12, "coco_url": f"{URL}val2017/000000000007.jpg"},
        {"id": 2, "height": 8, "width": 12, "coco_url": f"{URL}train2017/000000000002.jpg"},
    ]
    images[0] |= {NEGATIVE: [30], NOT_EXHAUSTIVE: []}
    images[1] |= {NEGATIVE: [10, 30], NOT_EXHAUSTIVE: [20]}
    plain = {"bbox": [1, 1, 3, 3], "area": 9, "segmentation": [POLYGON]}
    objects = [
        {"id": 1, "image_id": 7, "category_id": 20, **plain},
        {"id": 2, "image_id": 7, "category_id": 10, **plain},
        {"id": 3, "image_id": 2, "category_id": 20, **plain},
    ]
    categories = [
        {"id": c, "name": n, "frequency": f, "synonyms": [n], "synset": f"{n}.n.01"}
        for c, n, f in ((30, "cow", "f"), (10, "ant", "r"), (20, "bee", "c"))
    ]
    content = {"info": {}, "images": images, "annotations": objects, "categories": categories}
    return copy.deepcopy(content)


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """Return a folder with COCO's pictures and with a file of LVIS in its folder lvis."""
    root = tmp_path_factory.mktemp("coco")
    for image in small_content()["images"]:
        path = root / image["coco_url"].removeprefix(URL)
        path.parent.mkdir()
        cv2.imwrite(str(path), np.full((8, 12, 3), image["id"], np.uint8))
    (root / "lvis").mkdir()
    (root / "lvis" / "lvis_v1_val.json").write_text(json.dumps(small_content()))
    return root


def read(coco, content=None, is_train=True, **options):
    file = coco / "lvis" / "lvis_v1_val.json"
    if content is not None:
        file = coco / "changed.json"
        file.write_text(json.dumps(content))
    return LVIS.dataset("mine", coco, file, is_train=is_train, **options)


# Reading -----------------------------------------------------------------------------------------


def test_pictures_are_found_by_their_address(coco):
    data = read(coco, with_masks=True)
    data.check_pictures()
    assert data.image_ids == (2, 7) and data.scores == ("lvis",)
    assert data.info(0).file == str(coco / "train2017" / "000000000002.jpg")
    for index, image_id in enumerate(data.image_ids):
        assert abs(data.read(index).image.astype(int) - image_id).max() <= 1
    assert (data.class_names, data.category_ids) == (("ant", "bee", "cow"), (10, 20, 30))
    assert [data.labels(0), data.labels(1)] == [[2], [2, 1]]
    (mask,) = data.read(0).masks
    assert mask.polygons[0].reshape(-1).tolist() == POLYGON


def test_the_lists_and_the_frequencies_are_kept(coco):
    table = read(coco, is_train=False).ground_truth()
    assert table.has_lists.all()
    assert sorted(map(tuple, table.listed(NEGATIVE).tolist())) == [(2, 10), (2, 30), (7, 30)]
    assert table.listed(NOT_EXHAUSTIVE).tolist() == [[2, 20]]
    assert [each["frequency"] for each in table.categories] == ["r", "c", "f"]


def test_a_large_file_is_read_in_pieces_and_cached(coco, tmp_path, monkeypatch):
    whole = read(coco, is_train=False).ground_truth()
    for module in (convert, reader):
        monkeypatch.setattr(module, "LARGE", 1)
    monkeypatch.setattr(json_pieces, "_PIECE", 50)
    first = read(coco, is_train=False, cache=tmp_path).ground_truth()
    monkeypatch.setattr(reader, "convert", None)
    again = read(coco, is_train=False, cache=tmp_path).ground_truth()
    for table in (first, again):
        assert table.file_names([0, 1]) == whole.file_names([0, 1])
        assert table.categories == whole.categories
        for name in ("lists", NEGATIVE, NOT_EXHAUSTIVE, "box", "image_id"):
            assert (table.columns[name] == whole.columns[name]).all()


def test_coco_has_neither_lists_nor_names_by_address(tmp_path, coco):
    content = small_content()
    for image in content["images"]:
        image["file_name"] = f"{image['id']}.jpg"
        del image[NEGATIVE], image[NOT_EXHAUSTIVE]
    (tmp_path / "a.json").write_text(json.dumps(content))
    table = read_annotations(tmp_path / "a.json")
    assert not table.has_lists.any() and table.listed(NEGATIVE).shape == (0, 2)
    assert table.file_names([0, 1]) == ["2.jpg", "7.jpg"]
    assert replace(table, by_url=True).file_names([0, 1]) == ["2.jpg", "7.jpg"]


def test_the_type_coco_names_the_type_lvis(coco):
    file = coco / "lvis" / "lvis_v1_val.json"
    with pytest.raises(ValueError, match=r"'file_name' is None, not text; give .*mine\.TYPE lvis"):
        CocoDataset("mine", coco, file, is_train=True)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"{URL}train2017/000000391895.jpg", "train2017/000000391895.jpg"),
        ("https://x/y/train2017/1.jpg?size=2", "train2017/1.jpg"),
        ("train2017/1.jpg", "train2017/1.jpg"),
        *((url, None) for url in (f"{URL}1.jpg", f"{URL}../1.jpg", "1.jpg", "", "//[", None, 5)),
    ],
)
def test_names_by_address(url, name):
    assert name_by_url({"coco_url": url}) == name


def test_records_keep_all_keys(coco):
    file = coco / "lvis" / "lvis_v1_val.json"
    records = FORMATS["lvis"].read(coco, file, classes=(), reader=ImageReader())
    content = small_content()
    names = ["val2017/000000000007.jpg", "train2017/000000000002.jpg"]
    expected = [
        {**image, "file_name": name} for image, name in zip(content["images"], names, strict=True)
    ]
    assert records.images == expected and records.notes == ()
    assert (records.categories, records.objects) == (content["categories"], content["annotations"])


# Errors ------------------------------------------------------------------------------------------


def changed(section, place, **values):
    content = small_content()
    content[section][place] |= values
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed("images", 1, coco_url=None), "images, id 2: there is neither a 'file_name' nor"),
        (changed("images", 0, **{NEGATIVE: "30"}), "id 7: 'neg_category_ids' is '30', not a list"),
        (changed("images", 0, **{NEGATIVE: [30, "x"]}), "id 7: 'neg_category_ids' has 'x', which"),
        (changed("images", 1, **{NOT_EXHAUSTIVE: None}), "id 2: there is no list 'not_exhaustive"),
        (changed("categories", 1, frequency="often"), "categories, id 10: 'frequency' is 'often'"),
    ],
)
def test_a_broken_file_is_named(coco, content, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(coco, content, is_train=False)
    assert str(coco / "changed.json") in str(caught.value)


def test_training_does_without_the_lists(coco):
    content = changed("images", 1, **{NEGATIVE: None})
    assert len(read(coco, content)) == 2
    del content["annotations"]  # as in a test set, which is not scored
    assert len(read(coco, content, is_train=False)) == 2


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(rng=st.randoms(use_true_random=False), is_train=st.booleans())
def test_damaged_files(coco, rng: random.Random, is_train):
    file = coco / "damaged.json"
    file.write_bytes(damage(small_content(), rng))
    message = ""
    try:
        LVIS.dataset("mine", coco, file, is_train=is_train).check_pictures()
        LVIS.read(coco, file, classes=(), reader=ImageReader())
    except (ValueError, FileNotFoundError) as error:
        message = str(error)
    assert not message or str(coco) in message


# Finding -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "pictures"),
    [
        ("lvis_v1_train.json", "train2017"),
        ("annotations/lvis_v1_train.json", "train2017"),
        ("lvis/lvis_v1_train.json", "coco/train2017"),
        ("lvis_v1/annotations/lvis_v1_train.json", "lvis_v1/train2017"),
        ("lvis/lvis_v1_train.json", "coco2017/train2017"),
        ("lvis_v1_train.json", "../coco/train2017"),
    ],
)
def test_parts_of_a_folder(tmp_path, file, pictures):
    folder = tmp_path / "data"
    assert not folder.exists() and LVIS.find(folder) == ()
    (folder / pictures).mkdir(parents=True)
    assert LVIS.find(folder) == ()
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text("{}")
    (part,) = LVIS.find(folder)
    assert (part.name, part.annotations) == ("train", folder / file)
    assert part.images.samefile((folder / pictures).parent)


def test_parts_without_pictures(tmp_path):
    for name in ("train", "val", "minival"):
        (tmp_path / f"lvis_v1_{name}.json").write_text("{}")
    assert [(p.name, p.images) for p in LVIS.find(tmp_path)] == [
        ("train", tmp_path),
        ("val", tmp_path),
    ]


@pytest.mark.parametrize("root", ["coco2017", "coco", "."])
@pytest.mark.parametrize("folder", ["lvis", "{root}/annotations"])
def test_built_in_names(tmp_path, fresh_cfg, root, folder):
    file = tmp_path / folder.format(root=root) / "lvis_v1_val.json"
    fresh_cfg.DATA_DIR = str(tmp_path)
    with pytest.raises(FileNotFoundError, match="lvis_v1_val") as caught:
        find_dataset("lvis_v1_val", fresh_cfg)
    for part in (str(file), "lvisdataset.org", "DATASETS.lvis_v1_val.TYPE lvis"):
        assert part in str(caught.value)
    assert str(caught.value).count(f"{tmp_path}/coco/train2017 (missing)") == 1
    (tmp_path / root / "train2017").mkdir(parents=True)
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    found = find_dataset("lvis_v1_val", fresh_cfg)
    assert (found.type, found.images, found.annotations) == ("lvis", tmp_path / root, file)
    assert {"lvis_v1_train", "lvis_v1_val"} <= set(dataset_names(fresh_cfg))


def test_a_block_of_the_config(coco, fresh_cfg):
    keys = {"TYPE": "lvis", "IMAGES": coco, "ANNOTATIONS": coco / "lvis" / "lvis_v1_val.json"}
    pairs = [(f"DATASETS.mine.{key}", str(value)) for key, value in keys.items()]
    merge_cfg_from_list([item for pair in pairs for item in pair], fresh_cfg)
    data = build_dataset("mine", is_train=False, cfg=fresh_cfg)
    assert data.scores == ("lvis",) and data.class_names == ("ant", "bee", "cow")
