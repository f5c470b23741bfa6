"""The same weights in torchvision's models and in Pet give the same losses and gradients."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList as PeerImages

from pet.config import CfgNode, default_cfg, merge_cfg_from_file, merge_cfg_from_list
from pet.modeling.rcnn.generalized_rcnn import Generalized_RCNN
from pet.structures import Crop, ImageList, MaskCrops, Targets
from pet.weights.formats import find_importer
from tests.exactness.fast_paths import take
from tools.benchmark.comparison import build_copy
from tools.benchmark.torchvision_peer import (
    PEERS,
    Peer,
    build_peer,
    liven,
    noise_images,
    peer_images,
)

# RetinaNet has a test of its own.
RCNNS = [name for name in PEERS if "retinanet" not in name]
SIZES = ((96, 128), (150, 112), (80, 120))
EVERYTHING = 10**6  # sample sizes so large that nothing is left to chance
OPTS = [
    *("TEST.SCALE", 96, "TEST.MAX_SIZE", 192, "BACKBONE.FREEZE_AT", 0),
    *("RPN.BATCH_SIZE_PER_IMAGE", EVERYTHING, "FAST_RCNN.BATCH_SIZE_PER_IMAGE", EVERYTHING),
    *("RPN.PRE_NMS_TOP_N_TRAIN", 30, "RPN.POST_NMS_TOP_N_TRAIN", 20),
]


def cfg_of(name: str) -> CfgNode:
    cfg = default_cfg()
    merge_cfg_from_file(f"cfgs/rcnn/torchvision/{name}.yaml", cfg)
    merge_cfg_from_list(OPTS, cfg)
    return cfg


def random_objects(
    count: int, size: tuple[int, int], seed: int, num_classes: int = 91
) -> dict[str, Tensor]:
    """Return ``count`` objects as torchvision takes them, with holes in their masks.

    Some of the keypoints are not labelled, some outside the box, and some on its border.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    boxes, masks = np.zeros((count, 4)), np.zeros((count, height, width), np.uint8)
    for box, mask in zip(boxes, masks, strict=True):
        x, y = rng.integers(0, width - 12), rng.integers(0, height - 12)
        right, bottom = rng.integers(x + 10, width + 1), rng.integers(y + 10, height + 1)
        box[:] = x, y, right, bottom
        mask[y:bottom, x:right] = rng.random((bottom - y, right - x)) < 0.8
    labels = torch.from_numpy(rng.integers(1, num_classes, count))
    points = rng.uniform(-0.2, 1.2, (count, 17, 2)).clip(0, 1)
    points = boxes[:, None, :2] + points * (boxes[:, 2:] - boxes[:, :2])[:, None]
    points += rng.choice((0, 3), (count, 17, 1))
    keypoints = np.concatenate([points, rng.integers(0, 3, (count, 17, 1))], axis=2)
    return {
        "boxes": torch.from_numpy(boxes),
        "labels": labels,
        "masks": torch.from_numpy(masks),
        "keypoints": torch.from_numpy(keypoints).float(),
    }


def our_images(resized: PeerImages, model: Generalized_RCNN) -> ImageList:
    """Return the images that torchvision's transform has resized as they were before its norm."""
    pixels = resized.tensors * model.Pixel_Norm.std + model.Pixel_Norm.mean
    return ImageList(pixels.flip(1), tuple(map(tuple, resized.image_sizes)))


def our_target(theirs: dict[str, Tensor], size: tuple[int, int]) -> Targets:
    """Return a target that torchvision's transform has resized as one of Pet's."""
    crops = [Crop(mask.numpy(), 0, 0) for mask in theirs["masks"]]
    masks, keypoints = MaskCrops.pack(crops), theirs["keypoints"]
    return Targets(theirs["boxes"], theirs["labels"], size, 0, masks, keypoints)


def sample_everything(peer: Peer) -> None:
    """Set torchvision's ``peer`` up to train with norms fixed and nothing drawn."""
    peer.train()
    fix_norms(peer)
    for sampler in (peer.rpn.fg_bg_sampler, peer.roi_heads.fg_bg_sampler):
        sampler.batch_size_per_image = EVERYTHING


def fix_norms(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


# Models of one name follow each other: torchvision's step is computed once for each.
CASES = [
    *(("fasterrcnn_resnet50_fpn", paths) for paths in ("fast", "plain")),
    *(("maskrcnn_resnet50_fpn", paths) for paths in ("fast", "everywhere")),
    pytest.param("maskrcnn_resnet50_fpn", "compiled", marks=pytest.mark.slow),
    ("fasterrcnn_resnet50_fpn_v2", "fast"),
    ("maskrcnn_resnet50_fpn_v2", "fast"),
    ("keypointrcnn_resnet50_fpn", "fast"),
]


@dataclass(frozen=True)
class PeerStep:
    """A step of torchvision's model, and all that Pet needs to repeat it."""

    peer: Peer  # with gradients
    losses: dict[str, Tensor]
    weights: dict[str, Tensor]  # of Pet's model
    images: PeerImages  # as torchvision resizes them
    objects: list[dict[str, Tensor]]  # likewise


@lru_cache(maxsize=1)
def step_of_peer(name: str) -> PeerStep:
    cfg, images = cfg_of(name), noise_images(SIZES)
    peer = build_peer(name, cfg)
    liven(peer, images)
    sample_everything(peer)
    weights = build_copy(peer, cfg).state_dict()
    # In float64: in float32 one ReLU in a million falls on the other side of its kink.
    peer.double()
    inputs = [image.double() for image in peer_images(images)]
    # A crowd, an image with nothing, and a few objects.
    counts, classes = (7, 0, 3), cfg.MODEL.NUM_CLASSES
    objects = [random_objects(n, s, n, classes) for n, s in zip(counts, SIZES, strict=True)]
    losses = peer(inputs, objects)
    sum(losses.values()).backward()
    losses = {name: loss.detach() for name, loss in losses.items()}
    return PeerStep(peer, losses, weights, *peer.transform(inputs, objects))


def test_every_model_of_torchvision_is_compared():
    assert {case[0] for case in CASES if len(case) == 2} == set(RCNNS)


@pytest.mark.parametrize(("name", "paths"), CASES)
@pytest.mark.filterwarnings("ignore")  # of what the compiler itself imports
def test_losses_and_gradients_are_torchvisions(name, paths, monkeypatch):
    step = step_of_peer(name)
    take(paths, monkeypatch)
    model = Generalized_RCNN(cfg_of(name))
    model.load_state_dict(step.weights)
    model.train().double()
    fix_norms(model)
    if paths == "compiled":
        model.compile_dense()
    sizes = step.images.image_sizes
    targets = [our_target(t, size) for t, size in zip(step.objects, sizes, strict=True)]
    outputs = model(our_images(step.images, model), targets)
    outputs["total_loss"].backward()

    wanted = step.losses
    assert set(outputs["losses"]) == set(wanted)
    for loss, value in wanted.items():
        assert value.item() > 0.001, loss
        torch.testing.assert_close(
            outputs["losses"][loss], value, rtol=1e-4, atol=0, check_dtype=False
        )
    compare_gradients(model, step.peer)


def compare_gradients(model: nn.Module, peer: Peer) -> None:
    """Hold each parameter's gradient to torchvision's: 1e-4 of its norm.

    A number added to a whole heatmap changes nothing, so that its gradient is 0 but for rounding.
    """
    grads = {key: parameter.grad for key, parameter in peer.named_parameters()}
    wanted = find_importer(peer.state_dict()).convert(grads).state
    seen = 0
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        difference = (parameter.grad - wanted[key]).norm().item()
        assert difference <= 1e-4 * wanted[key].norm().item() + 1e-15, key
        seen += wanted[key].norm().item() > 0
    # Of the classes no object has, masks get no gradient; all else does.
    assert seen == len(list(model.parameters())) > 80
