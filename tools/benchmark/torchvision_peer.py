"""Torchvision's detectors for comparison: building, random weights and detection."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import detection as tv_detection

from pet.config import CfgNode, UnknownNameError, cfg
from pet.weights.torch_file import read_torch_file

Peer = Any  # a model of torchvision, whose parts have no declared types

#: The models that Pet has a YAML for, by the name that both share.
PEERS: dict[str, Callable[..., nn.Module]] = {
    "fasterrcnn_resnet50_fpn": tv_detection.fasterrcnn_resnet50_fpn,
    "fasterrcnn_resnet50_fpn_v2": tv_detection.fasterrcnn_resnet50_fpn_v2,
    "maskrcnn_resnet50_fpn": tv_detection.maskrcnn_resnet50_fpn,
    "maskrcnn_resnet50_fpn_v2": tv_detection.maskrcnn_resnet50_fpn_v2,
    "keypointrcnn_resnet50_fpn": tv_detection.keypointrcnn_resnet50_fpn,
    "retinanet_resnet50_fpn": tv_detection.retinanet_resnet50_fpn,
    "retinanet_resnet50_fpn_v2": tv_detection.retinanet_resnet50_fpn_v2,
}


def build_peer(name: str, cfg: CfgNode = cfg, seed: int = 0) -> Peer:
    """Return torchvision's model ``name`` in eval mode, its weights and statistics random.

    Sizes, samples, thresholds and the ``eps`` of the trunk's norms are those of ``cfg``, all others
    torchvision's. Raises KeyError for a name that is not among ``PEERS``.
    """
    if name not in PEERS:
        raise UnknownNameError(
            f"there is no torchvision model {name!r} to compare with; choose from "
            f"{', '.join(PEERS)}"
        )
    torch.manual_seed(seed)
    model = PEERS[name](
        weights=None,
        weights_backbone=None,
        num_classes=cfg.MODEL.NUM_CLASSES,
        min_size=cfg.TEST.SCALE,
        max_size=cfg.TEST.MAX_SIZE,
        **_limits(cfg),
    )
    for module_name, module in model.named_modules():
        if isinstance(module, nn.GroupNorm):
            _randomise_weights(module, 1.0)
        if isinstance(module, nn.BatchNorm2d):
            # The branch of a block stays small beside its shortcut, so that no value explodes.
            _randomise_norm(module, 0.3 if module_name.endswith("bn3") else 1.0)
            if module_name.startswith("backbone.body"):
                module.eps = cfg.MODEL.BATCH_NORM_EPS
    return model.eval()


_SAMPLING = {
    "batch_size_per_image": "BATCH_SIZE_PER_IMAGE",
    "positive_fraction": "POSITIVE_FRACTION",
    "fg_iou_thresh": "FG_IOU_THRESHOLD",
    "bg_iou_thresh": "BG_IOU_THRESHOLD",
}


def _limits(cfg: CfgNode) -> dict[str, float]:
    """Return the numbers and thresholds that select boxes, by torchvision's names."""
    if cfg.MODEL.RETINANET_ON:
        return {
            "score_thresh": cfg.RETINANET.SCORE_THRESH,
            "detections_per_img": cfg.RETINANET.DETECTIONS_PER_IMG,
            "topk_candidates": cfg.RETINANET.PRE_NMS_TOP_N,
            "nms_thresh": cfg.RETINANET.NMS,
            "fg_iou_thresh": cfg.RETINANET.FG_IOU_THRESHOLD,
            "bg_iou_thresh": cfg.RETINANET.BG_IOU_THRESHOLD,
        }
    return {
        "rpn_pre_nms_top_n_train": cfg.RPN.PRE_NMS_TOP_N_TRAIN,
        "rpn_pre_nms_top_n_test": cfg.RPN.PRE_NMS_TOP_N_TEST,
        "rpn_post_nms_top_n_train": cfg.RPN.POST_NMS_TOP_N_TRAIN,
        "rpn_post_nms_top_n_test": cfg.RPN.POST_NMS_TOP_N_TEST,
        "box_score_thresh": cfg.FAST_RCNN.SCORE_THRESH,
        "box_detections_per_img": cfg.FAST_RCNN.DETECTIONS_PER_IMG,
        "rpn_nms_thresh": cfg.RPN.NMS_THRESH,
        "box_nms_thresh": cfg.FAST_RCNN.NMS,
        **{
            f"{part}_{theirs}": section[ours]
            for part, section in (("rpn", cfg.RPN), ("box", cfg.FAST_RCNN))
            for theirs, ours in _SAMPLING.items()
        },
    }


@torch.no_grad()
def _randomise_weights(norm: nn.BatchNorm2d | nn.GroupNorm, gain: float) -> None:
    norm.weight.uniform_(0.5 * gain, gain)
    norm.bias.normal_(std=0.1)


@torch.no_grad()
def _randomise_norm(norm: nn.BatchNorm2d, gain: float) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    _randomise_weights(norm, gain)
    norm.running_mean.normal_(std=0.1)
    norm.running_var.uniform_(0.5, 2.0)


@torch.no_grad()
def liven(peer: Peer, images: Sequence[np.ndarray]) -> None:
    """Scale the last layers of a random ``peer`` in place so that it detects objects in ``images``.

    Otherwise all scores are nearly equal, and a comparison would only compare ties.
    """
    hooks = [layer.register_forward_hook(_spread_to(spread)) for layer, spread in _spreads(peer)]
    peer(peer_images(images))
    for hook in hooks:
        hook.remove()


def is_retinanet(peer: Peer) -> bool:
    """Whether ``peer`` is a RetinaNet, without proposals and RoI heads."""
    return isinstance(peer, tv_detection.RetinaNet)


def _spreads(peer: Peer) -> list[tuple[nn.Module, float]]:
    """Return the last layers of ``peer``, and the desired deviation of their outputs."""
    if is_retinanet(peer):
        dense = peer.head
        return [
            (dense.classification_head.cls_logits, 2.0),
            (dense.regression_head.bbox_reg, 0.2),
        ]
    heads, rpn = peer.roi_heads, peer.rpn.head
    spreads = [
        (rpn.cls_logits, 2.0),
        (rpn.bbox_pred, 0.3),
        (heads.box_predictor.cls_score, 2.0),
        (heads.box_predictor.bbox_pred, 1.0),
    ]
    if heads.mask_predictor is not None:
        spreads.append((heads.mask_predictor.mask_fcn_logits, 2.0))
    if heads.keypoint_predictor is not None:
        spreads.append((heads.keypoint_predictor.kps_score_lowres, 2.0))
    return spreads


def _spread_to(spread: float) -> Callable[[nn.Module, tuple[Tensor], Tensor], Tensor | None]:
    """Return a hook that scales a layer once, so that its output has the deviation ``spread``."""
    seen: set[nn.Module] = set()

    def hook(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor | None:
        if layer in seen:
            return None
        seen.add(layer)
        assert isinstance(layer.weight, Tensor)
        # Not the deviation of each channel about its mean, which would amplify rounding errors.
        layer.weight.mul_(spread / output.std())
        return layer.forward(*inputs)

    return hook


def anchors_in_order(outputs: Tensor) -> Tensor:
    """Reorder the (N, anchors, D) of a RetinaNet at each pixel from ratio-major to size-major."""
    return outputs.unflatten(1, (-1, 3, 3)).transpose(2, 3).flatten(1, 3)


def peer_images(images: Sequence[np.ndarray]) -> list[Tensor]:
    """Return ``images``, (H, W, 3) uint8 BGR, as torchvision takes them: (3, H, W) RGB, 0..1."""
    return [
        torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))).float() / 255
        for image in images
    ]


def noise_images(sizes: Sequence[tuple[int, int]], seed: int = 0) -> list[np.ndarray]:
    """Return smooth random pictures of ``sizes`` (height, width), uint8 BGR."""
    generator = torch.Generator().manual_seed(seed)
    pictures = []
    for height, width in sizes:
        coarse = torch.rand(1, 3, height // 16 + 1, width // 16 + 1, generator=generator) * 255
        fine = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
        pictures.append(fine[0].permute(1, 2, 0).byte().numpy())
    return pictures


def load_peer(peer: Peer, file: str | Path) -> None:
    """Load a state dict of torchvision into ``peer``; ValueError if it is of another model."""
    try:
        peer.load_state_dict(read_torch_file(file))
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is no state dict of this torchvision model: {error}") from error


def find_by_peer(peer: Peer, images: Sequence[np.ndarray]) -> list[dict[str, Tensor]]:
    """Return torchvision's detections in ``images``, as one batch, in their own pixels."""
    return peer(peer_images(images))
