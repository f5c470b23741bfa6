"""URLs of published files."""

from pathlib import Path

import pytest

from pet.config import default_cfg, merge_cfg_from_file
from pet.weights.formats import download_url
from tests.source_code import ROOT

ZOO = "https://dl.fbaipublicfiles.com/detectron2"


def test_a_model_of_detectron2_by_both_of_its_names():
    url = f"{ZOO}/COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x/137849600/model_final_f10217.pkl"
    assert download_url("model_final_f10217.pkl") == url
    assert download_url("mask_rcnn_R_50_FPN_3x.pkl") == url


@pytest.mark.parametrize(
    "path",
    [path for path in (ROOT / "cfgs/rcnn/detectron2").glob("*.yaml") if "base" not in path.stem],
    ids=lambda path: path.stem,
)
def test_each_model_of_detectron2_has_its_url(path):
    url = download_url(f"{path.stem}.pkl")
    assert url is not None and f"/{path.stem}/" in url


@pytest.mark.parametrize("path", sorted((ROOT / "cfgs").rglob("*.yaml")), ids=lambda p: p.stem)
def test_the_url_of_the_weights_of_each_config_is_known(path):
    """Or a comment in the file tells how to get them."""
    cfg = default_cfg()
    merge_cfg_from_file(path, cfg)
    name = Path(cfg.TRAIN.WEIGHTS).name
    assert not name or download_url(name) or name in path.read_text(encoding="utf-8")
