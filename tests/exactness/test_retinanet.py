"""The same weights in torchvision's RetinaNets and in Pet give the same results and gradients."""

import pytest
import torch

from pet.config import CfgNode, default_cfg, merge_cfg_from_file, merge_cfg_from_list
from pet.engine.predictor import Predictor
from pet.ops.boxes import valid_boxes
from tests.exactness.test_training import (
    compare_gradients,
    fix_norms,
    our_images,
    our_target,
    random_objects,
)
from tools.benchmark.comparison import build_copy, compare_results, compare_stages
from tools.benchmark.torchvision_peer import (
    build_peer,
    find_by_peer,
    liven,
    noise_images,
    peer_images,
)

NAMES = ("retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2")
SIZES = ((140, 200), (167, 120), (90, 220))
# No detection is cut off at the end; on the finer levels the cut before NMS is felt, and on the
# coarser ones the score.
OPTS = [
    *("DEVICE", "cpu", "TEST.SCALE", 128, "TEST.MAX_SIZE", 224),
    *("RETINANET.DETECTIONS_PER_IMG", 5000, "RETINANET.PRE_NMS_TOP_N", 200),
    *("RETINANET.SCORE_THRESH", 0.3),
]


def yaml_of(name: str) -> str:
    return f"cfgs/rcnn/torchvision/{name}.yaml"


def cfg_of(name: str, opts: list[object]) -> CfgNode:
    cfg = default_cfg()
    merge_cfg_from_file(yaml_of(name), cfg)
    merge_cfg_from_list(opts, cfg)
    return cfg


@pytest.mark.parametrize("name", NAMES)
def test_a_published_file_gives_the_published_detections(name, tmp_path):
    images = noise_images(SIZES)
    peer = build_peer(name, cfg_of(name, OPTS), seed=1)
    liven(peer, images)
    torch.save(peer.state_dict(), tmp_path / "published.pth")

    predictor = Predictor.from_config(yaml_of(name), tmp_path / "published.pth", OPTS)
    found, wanted = predictor(images), find_by_peer(peer, images)
    assert predictor.class_names[0] == "person" and len(predictor.class_names) == 90
    assert [len(per_image) for per_image in found] == [len(per["labels"]) for per in wanted]
    assert sum(len(per_image) for per_image in found) > 300
    assert all(len(per_image.labels.unique()) > 5 for per_image in found)
    # torchvision keeps boxes that lie in the padding and are empty once they are clipped.
    assert any(not valid_boxes(per_image.boxes).all() for per_image in found)
    for row in compare_results(found, wanted):
        assert row.unmatched == 0, row
        assert row.largest <= (1e-3 if "boxes" in row.stage else 1e-5), row


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_is_compared_and_agrees(name):
    cfg, images = cfg_of(name, OPTS), noise_images(SIZES[1:2])
    peer = build_peer(name, cfg)
    liven(peer, images)
    rows = list(compare_stages(build_copy(peer, cfg), peer, images, cfg))
    levels = [f"P{n}" for n in range(3, 8)]
    wanted = ["network input", "res3", "res4", "res5", *levels]
    wanted += [f"{what} {level}" for what in ("class logits", "box deltas") for level in levels]
    wanted += ["result boxes, image 0", "result scores, image 0"]
    assert [row.stage for row in rows] == wanted
    for row in rows[:-2]:
        assert row.largest <= 1e-5 * max(row.scale, 1), row


@pytest.mark.parametrize("name", NAMES)
def test_losses_and_gradients_are_torchvisions(name):
    sizes = ((96, 128), (150, 112), (80, 120))
    opts = ["TEST.SCALE", 96, "TEST.MAX_SIZE", 192, "BACKBONE.FREEZE_AT", 0]
    cfg, images = cfg_of(name, opts), noise_images(sizes)
    peer = build_peer(name, cfg)
    liven(peer, images)
    peer.train()
    fix_norms(peer)
    # In float64: in float32 one ReLU in a million falls on the other side of its kink.
    model = build_copy(peer, cfg).train().double()
    fix_norms(model)
    peer.double()
    inputs = [image.double() for image in peer_images(images)]
    # A crowd, an image with nothing, and a few objects: each is divided by its own foreground.
    objects = [random_objects(n, size, n) for n, size in zip((16, 0, 3), sizes, strict=True)]
    wanted = peer(inputs, objects)
    sum(wanted.values()).backward()

    resized, theirs = peer.transform(inputs, objects)
    targets = [our_target(t, size) for t, size in zip(theirs, resized.image_sizes, strict=True)]
    outputs = model(our_images(resized, model), targets)
    outputs["total_loss"].backward()

    ours = outputs["losses"]
    for loss, name in (("loss_classifier", "classification"), ("loss_box_reg", "bbox_regression")):
        assert wanted[name].item() > 0.01
        torch.testing.assert_close(ours[loss], wanted[name], rtol=1e-4, atol=0, check_dtype=False)
    assert len(ours) == len(wanted) == 2
    compare_gradients(model, peer)
