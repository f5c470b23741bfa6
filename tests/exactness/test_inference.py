"""The same weights in torchvision's models and in Pet give the same detections."""

from functools import lru_cache

import pytest
import torch
from torch import Tensor

from pet.config import default_cfg, merge_cfg_from_file, merge_cfg_from_list
from pet.engine.predictor import Predictor
from tests.exactness.fast_paths import take
from tools.benchmark.comparison import build_copy, compare_results, compare_stages, format_table
from tools.benchmark.torchvision_peer import PEERS, build_peer, find_by_peer, liven, noise_images

# RetinaNet has a test of its own.
RCNNS = [name for name in PEERS if "retinanet" not in name]
# No detection is cut off at the end, ...
OPTS = [
    *("DEVICE", "cpu", "TEST.SCALE", 160, "TEST.MAX_SIZE", 256),
    *("FAST_RCNN.DETECTIONS_PER_IMG", 2000, "RPN.POST_NMS_TOP_N_TEST", 200),
]
# ... and these scores leave hundreds to compare.
SCORE_THRESH = {
    "fasterrcnn_resnet50_fpn": 0.12,
    "fasterrcnn_resnet50_fpn_v2": 0.12,
    "maskrcnn_resnet50_fpn": 0.16,
    "maskrcnn_resnet50_fpn_v2": 0.3,
    "keypointrcnn_resnet50_fpn": 0.042,
}
# How Pet finds them, besides the usual way.
MORE_PATHS = {
    "fasterrcnn_resnet50_fpn": ("plain",),
    "maskrcnn_resnet50_fpn": ("plain", "everywhere"),
    "maskrcnn_resnet50_fpn_v2": ("everywhere",),
}
# One is enlarged, one shrunk, and one held to the longest side.
SIZES = ((140, 200), (333, 250), (90, 220))


def yaml_of(name: str) -> str:
    return f"cfgs/rcnn/torchvision/{name}.yaml"


def opts_of(name: str) -> list[object]:
    return [*OPTS, "FAST_RCNN.SCORE_THRESH", SCORE_THRESH[name]]


def cfg_of(name: str):
    cfg = default_cfg()
    merge_cfg_from_file(yaml_of(name), cfg)
    merge_cfg_from_list(opts_of(name), cfg)
    return cfg


@lru_cache(maxsize=1)
def found_by_peer(name: str) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Return the weights of torchvision's model, which are random, and what it finds."""
    images = noise_images(SIZES)
    peer = build_peer(name, cfg_of(name))
    liven(peer, images)
    return peer.state_dict(), find_by_peer(peer, images)


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        (name, paths)
        for name in RCNNS  # one after the other: what torchvision finds is computed once for each
        for paths in ("fast", *MORE_PATHS.get(name, ()))
    ],
)
def test_a_published_file_gives_the_published_detections(name, paths, tmp_path, monkeypatch):
    take(paths, monkeypatch)
    weights, wanted = found_by_peer(name)
    torch.save(weights, tmp_path / "published.pth")
    predictor = Predictor.from_config(yaml_of(name), tmp_path / "published.pth", opts_of(name))
    found = predictor(noise_images(SIZES))

    assert [len(per_image) for per_image in found] == [len(per["labels"]) for per in wanted]
    # Each has 17 keypoints, of a head that takes long.
    assert sum(len(per_image) for per_image in found) > (60 if "keypoint" in name else 120)
    limits = {"boxes": 1e-3, "scores": 1e-5, "masks": 1e-4, "keypoints": 1e-3}
    rows = list(compare_results(found, wanted))
    assert len(rows) == 3 * (3 if "mask" in name or "keypoint" in name else 2)
    for row in rows:
        assert row.unmatched == 0, row
        assert row.largest <= limits[row.stage.split()[1].rstrip(",")], row
    if "mask" in name:
        assert all(0.001 < per_image.masks.float().mean() < 0.5 for per_image in found)


def test_every_stage_is_compared_and_agrees():
    name = "maskrcnn_resnet50_fpn"
    cfg, images = cfg_of(name), noise_images(SIZES[1:])
    peer = build_peer(name, cfg)
    liven(peer, images)
    rows = list(compare_stages(build_copy(peer, cfg), peer, images, cfg))
    for row in rows:
        limit = 1e-4 if "masks" in row.stage else 1e-5 * max(row.scale, 1)
        assert row.unmatched == 0 and row.largest <= limit, row
    stages = "\n".join(format_table(rows))
    for stage in ("network input", "res5", "P6", "RPN deltas P2", "proposals", "mask logits"):
        assert stage in stages


def test_a_difference_is_seen_where_it_arises():
    """The table would find each of the ways in which the families differ."""
    name = "fasterrcnn_resnet50_fpn"
    cfg, images = cfg_of(name), noise_images(SIZES[:1])
    peer = build_peer(name, cfg)
    liven(peer, images)
    other = cfg.clone()
    merge_cfg_from_list(
        [
            "RPN.ANCHOR_ROUNDED",
            False,
            "FAST_RCNN.ROI_XFORM_ALIGNED",
            True,
            "MODEL.BATCH_NORM_EPS",
            0.01,
        ],
        other,
    )
    rows = list(compare_stages(build_copy(peer, other), peer, images, other))
    differ = {row.stage for row in rows if row.unmatched or row.largest > 1e-3 * row.scale}
    assert {"res2", "proposals, image 0", "box logits"} <= differ
    assert not {"network input", "P2", "RPN logits P2"} & differ


def test_unknown_models_are_named():
    with pytest.raises(KeyError, match=r"no torchvision model 'ssd'.*fasterrcnn_resnet50_fpn"):
        build_peer("ssd", default_cfg())
