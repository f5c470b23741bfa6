"""Comparing Pet with torchvision, stage by stage, with the same weights and images.

Each stage of Pet gets the output of torchvision's previous stage, so that a difference shows at
its source. N images, A anchors of a pixel, R proposals, K classes without the background.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pet.config import CfgNode, cfg
from pet.data.build import build_image_reader, make_test_batch
from pet.modeling.rcnn.generalized_rcnn import Generalized_RCNN
from pet.structures import Detections
from pet.weights.formats import find_importer
from pet.weights.load import compare, copy_into
from tools.benchmark.torchvision_peer import (
    Peer,
    anchors_in_order,
    build_peer,
    find_by_peer,
    is_retinanet,
    liven,
    load_peer,
    noise_images,
    peer_images,
)

_NOISE_SIZES = ((200, 300), (333, 250), (180, 420))
_TRUNK = ("res2", "res3", "res4", "res5")


@dataclass(frozen=True)
class Difference:
    """The difference between Pet and torchvision at one stage."""

    stage: str
    compared: str  # the things compared, such as a shape or a count
    largest: float  # largest absolute difference between partners
    scale: float  # largest absolute value of torchvision's
    unmatched: int = 0  # number without a partner, of both sides


def compare_with_torchvision(
    name: str, weights: str | Path | None, files: Sequence[str | Path], cfg: CfgNode = cfg
) -> Iterator[Difference]:
    """Yield the difference at each stage between the model of ``cfg`` and torchvision's ``name``.

    ``weights`` is a state dict of torchvision's model, by default random; ``files`` are images, by
    default noise. Raises the errors of reading them, KeyError for a ``name`` that is not among
    ``PEERS``, and ValueError if the weights do not fit.
    """
    peer = build_peer(name, cfg)
    read = build_image_reader(cfg).read
    images = [read(file) for file in files] or noise_images(_NOISE_SIZES)
    if weights is None:
        liven(peer, images)
    else:
        load_peer(peer, weights)
    yield from compare_stages(build_copy(peer, cfg), peer, images, cfg)


def build_copy(peer: Peer, cfg: CfgNode = cfg) -> Generalized_RCNN:
    """Return the model of ``cfg`` in eval mode, with the weights of torchvision's ``peer``.

    Raises ValueError if the two differ in shape.
    """
    state = peer.state_dict()
    importer = find_importer(state)
    assert importer is not None
    model = Generalized_RCNN(cfg)
    converted = importer.convert(state).state
    report = compare(model.state_dict(), converted, "torchvision's model")
    if report.skipped or report.missing or report.mismatched:
        raise ValueError(f"the config is of another model than torchvision's\n{report}")
    copy_into(model, {key: converted[key] for key in report.loaded})
    return model.to(memory_format=torch.channels_last).eval()


@torch.inference_mode()
def compare_stages(
    model: Generalized_RCNN, peer: Peer, images: Sequence[np.ndarray], cfg: CfgNode
) -> Iterator[Difference]:
    """Yield the difference at each stage, from the network input to the results.

    ``images`` (H, W, 3) uint8 BGR form one batch; ``cfg`` is that of ``model``. The last entries
    compare the results of both whole models, in pixels of ``images``.
    """
    batch = make_test_batch(images, cfg)
    theirs, _ = peer.transform(peer_images(images))
    yield _differ("network input", model.Pixel_Norm(batch), theirs.tensors)

    maps = list(peer.backbone.body(theirs.tensors).values())  # without res2 in a RetinaNet
    own_maps = model.Conv_Body(theirs.tensors)[-len(maps) :]
    for name, ours, wanted in zip(_TRUNK[-len(maps) :], own_maps, maps, strict=True):
        yield _differ(name, ours, wanted)
    features = peer.backbone(theirs.tensors)
    levels = list(features.values())
    assert model.Conv_Body_FPN is not None
    names = [f"P{6 - len(maps) + n}" for n in range(len(levels))]
    for name, ours, wanted in zip(names, model.Conv_Body_FPN(maps), levels, strict=True):
        yield _differ(name, ours, wanted)

    if is_retinanet(peer):
        yield from _compare_retinanet(model, peer, names, levels)
    else:
        yield from _compare_rpn(model, peer, names, levels)
        assert model.RPN is not None
        proposals, _ = peer.rpn(theirs, features)
        for n, ours in enumerate(model.RPN(levels, batch.sizes)[0]):
            mine, other = pair_boxes(ours, proposals[n])
            counts = (len(ours), len(proposals[n]))
            yield _differ(f"proposals, image {n}", ours[mine], proposals[n][other], counts)
        yield from _compare_branches(model, peer, features, proposals, theirs.image_sizes)
        yield from _compare_keypoints(model, peer, features, proposals, theirs.image_sizes)
    yield from compare_results(find(model, images, cfg), find_by_peer(peer, images))


def _compare_retinanet(
    model: Generalized_RCNN, peer: Peer, names: Sequence[str], levels: list[Tensor]
) -> Iterator[Difference]:
    outputs = peer.head(levels)
    assert model.RetinaNet is not None
    our_logits, our_deltas = model.RetinaNet(levels)
    counts = [len(logit[0]) for logit in our_logits]
    logits = anchors_in_order(outputs["cls_logits"]).split(counts, dim=1)
    for name, ours, theirs in zip(names, our_logits, logits, strict=True):
        yield _differ(f"class logits {name}", ours, theirs)
    deltas = anchors_in_order(outputs["bbox_regression"]).split(counts, dim=1)
    for name, ours, theirs in zip(names, our_deltas, deltas, strict=True):
        yield _differ(f"box deltas {name}", ours, theirs)


def _compare_rpn(
    model: Generalized_RCNN, peer: Peer, names: Sequence[str], levels: list[Tensor]
) -> Iterator[Difference]:
    logits, deltas = peer.rpn.head(levels)
    assert model.RPN is not None
    for name, our_logits, our_deltas, logit, delta in zip(
        names, *model.RPN.head(levels), logits, deltas, strict=True
    ):
        anchors = logit.shape[1]
        yield _differ(f"RPN logits {name}", our_logits, logit.permute(0, 2, 3, 1).flatten(1))
        boxes = delta.unflatten(1, (anchors, 4)).permute(0, 3, 4, 1, 2)  # (N, H, W, A, 4)
        yield _differ(f"RPN deltas {name}", our_deltas, boxes.flatten(1, 3))


def _compare_branches(
    model: Generalized_RCNN,
    peer: Peer,
    features: dict[str, Tensor],
    proposals: list[Tensor],
    sizes: list[tuple[int, int]],
) -> Iterator[Difference]:
    """Compare the box and mask branches on torchvision's ``proposals``."""
    levels, heads = list(features.values()), peer.roi_heads
    pooled = heads.box_roi_pool(features, proposals, sizes)
    logits, deltas = heads.box_predictor(heads.box_head(pooled))
    assert model.Fast_RCNN is not None
    our_logits, our_deltas = model.Fast_RCNN(levels, proposals)
    yield _differ("box logits", our_logits, logits)
    yield _differ("box deltas", our_deltas, deltas.unflatten(1, (-1, 4)))
    if heads.mask_predictor is None or model.Mask_RCNN is None:
        return
    some = [boxes[:20] for boxes in proposals]
    pooled = heads.mask_roi_pool(features, some, sizes)
    masks = heads.mask_predictor(heads.mask_head(pooled))  # (R, K + 1, M, M)
    for label in (0, 1, masks.shape[1] - 1):
        labels = [torch.full((len(boxes),), label) for boxes in some]
        ours = model.Mask_RCNN(levels, some, labels)
        yield _differ(f"mask logits, class {label}", ours, masks[:, label])


def _compare_keypoints(
    model: Generalized_RCNN,
    peer: Peer,
    features: dict[str, Tensor],
    proposals: list[Tensor],
    sizes: list[tuple[int, int]],
) -> Iterator[Difference]:
    """Compare the keypoint branch on torchvision's ``proposals``."""
    heads = peer.roi_heads
    if heads.keypoint_predictor is None or model.Keypoint_RCNN is None:
        return
    some = [boxes[:20] for boxes in proposals]
    pooled = heads.keypoint_roi_pool(features, some, sizes)
    heatmaps = heads.keypoint_predictor(heads.keypoint_head(pooled))
    ours = model.Keypoint_RCNN(list(features.values()), some)
    yield _differ("keypoint logits", ours, heatmaps)


def find(model: Generalized_RCNN, images: Sequence[np.ndarray], cfg: CfgNode) -> list[Detections]:
    """Return Pet's detections in ``images``, as one batch, in their own pixels."""
    found = model(make_test_batch(images, cfg))
    return [d.resized(image.shape[:2]) for d, image in zip(found, images, strict=True)]


def compare_results(
    ours: Sequence[Detections], theirs: Sequence[dict[str, Tensor]]
) -> Iterator[Difference]:
    """Yield the differences of boxes, scores, masks and keypoints, image by image.

    A detection's partner is the nearest one of the same label. The difference of masks is the
    fraction of their pixels in which partners differ.
    """
    for n, (found, wanted) in enumerate(zip(ours, theirs, strict=True)):
        # Labels as a distant coordinate, so that partners have the same label.
        mine, other = pair_boxes(
            torch.cat([found.boxes, found.labels[:, None] * 1e6], dim=1),
            torch.cat([wanted["boxes"], wanted["labels"][:, None] * 1e6], dim=1),
        )
        counts = (len(found), len(wanted["labels"]))
        for name, values in (("boxes", found.boxes), ("scores", found.scores)):
            yield _differ(f"result {name}, image {n}", values[mine], wanted[name][other], counts)
        if found.masks is not None:
            differ = found.masks[mine] != (wanted["masks"][other, 0] > 0.5)
            share = differ.float().sum().reshape(-1) / max(differ.numel(), 1)
            row = _differ(f"result masks, image {n}", share, torch.zeros_like(share))
            yield replace(row, compared=f"{counts[0]} and {counts[1]}")
        if found.keypoints is not None:
            points, other_points = found.keypoints[mine], wanted["keypoints"][other]
            yield _differ(f"result keypoints, image {n}", points, other_points, counts)


def pair_boxes(ours: Tensor, theirs: Tensor, limit: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return the indices (P,) of ``ours`` (n, D) and of ``theirs`` (m, D) that are partners.

    Each of ``theirs``, in order, takes the nearest remaining one of ``ours``, if no coordinate is
    more than ``limit`` away.
    """
    distance = torch.cdist(theirs.double(), ours.double(), p=float("inf"))
    pairs = []
    for other in range(len(theirs) if len(ours) else 0):
        nearest, mine = distance[other].min(dim=0)
        if nearest <= limit:
            pairs.append((int(mine), other))
            distance[:, mine] = float("inf")
    index = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
    return index[:, 0], index[:, 1]


def _differ(
    stage: str, ours: Tensor, theirs: Tensor, counts: tuple[int, int] | None = None
) -> Difference:
    """Compare two tensors of equal shape; ``counts`` of both sides, if they hold only partners."""
    assert ours.shape == theirs.shape, (stage, ours.shape, theirs.shape)
    compared = f"{counts[0]} and {counts[1]}" if counts else str(tuple(ours.shape))
    unmatched = sum(counts) - 2 * len(ours) if counts else 0
    if not ours.numel():
        return Difference(stage, compared, 0.0, 0.0, unmatched)
    largest = (ours - theirs).abs().max().item()
    return Difference(stage, compared, largest, theirs.abs().max().item(), unmatched)


def format_table(differences: Iterable[Difference]) -> Iterator[str]:
    """Yield the lines of a table of ``differences``, as they arrive."""
    head = ("stage", "compared", "largest difference", "largest value", "without a partner")
    yield _ROW.format(*head)
    for row in differences:
        yield _ROW.format(
            row.stage, row.compared, f"{row.largest:.1e}", f"{row.scale:.3g}", row.unmatched
        )


_ROW = "{:26} {:>24} {:>19} {:>14} {:>18}"
