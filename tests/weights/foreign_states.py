"""State dicts as others write them, made from what is known of their key names."""

from collections.abc import Mapping

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

R50, R101 = (3, 4, 6, 3), (3, 4, 23, 3)
NORM = ("weight", "bias", "running_mean", "running_var")


def light(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return zeros of these shapes that take no memory."""
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def filled(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Return random tensors of these shapes."""
    generator = torch.Generator().manual_seed(seed)
    return {key: torch.rand(shape, generator=generator) for key, shape in shapes.items()}


def bottlenecks(depths: tuple[int, ...], groups: int, stem: int) -> Shapes:
    """Return Detectron2's shapes of the convolutions of res2..res5, without norms."""
    shapes: Shapes = {}
    dim_in = stem
    for stage, depth in enumerate(depths):
        dim_out = stem * 4 * 2**stage
        width = dim_out if groups == 32 else dim_out // 4  # 32 groups of 8 channels, or one
        for block in range(depth):
            name = f"res{stage + 2}.{block}"
            if block == 0:
                shapes[f"{name}.shortcut"] = (dim_out, dim_in, 1, 1)
            shapes[f"{name}.conv1"] = (width, dim_in, 1, 1)
            shapes[f"{name}.conv2"] = (width, width // groups, 3, 3)
            shapes[f"{name}.conv3"] = (dim_out, width, 1, 1)
            dim_in = dim_out
    return shapes


def detectron2_trunk(
    depths: tuple[int, ...] = R50,
    groups: int = 1,
    prefix: str = "",
    norm: tuple[str, ...] = NORM,
    stem: int = 64,
) -> Shapes:
    """Return the keys of a ResNet (``groups`` 1) or a ResNeXt 32x8d (``groups`` 32).

    ``stem`` channels of the first convolution, to which all others are in proportion.
    """
    shapes: Shapes = {}
    convs: Shapes = {"stem.conv1": (stem, 3, 7, 7), **bottlenecks(depths, groups, stem)}
    for name, shape in convs.items():
        shapes[f"{prefix}{name}.weight"] = shape
        shapes |= {f"{prefix}{name}.norm.{part}": shape[:1] for part in norm}
    return shapes


def layer(name: str, weight: tuple[int, ...], outputs: int | None = None) -> Shapes:
    """Return the shapes of a layer with a bias."""
    return {f"{name}.weight": weight, f"{name}.bias": (outputs or weight[0],)}


def detectron2_detector(
    depths: tuple[int, ...] = R50,
    groups: int = 1,
    num_classes: int = 80,
    masks: bool = True,
    dim: int = 256,
    fc: int = 1024,
    stem: int = 64,
) -> Shapes:
    """Return the keys of a Faster or Mask R-CNN with FPN; ``num_classes`` without background."""
    shapes = detectron2_trunk(depths, groups, prefix="backbone.bottom_up.", stem=stem)
    for level in range(2, 6):
        shapes |= layer(f"backbone.fpn_lateral{level}", (dim, stem * 2**level, 1, 1))
        shapes |= layer(f"backbone.fpn_output{level}", (dim, dim, 3, 3))
    rpn, heads = "proposal_generator.rpn_head", "roi_heads"
    shapes |= layer(f"{rpn}.conv", (dim, dim, 3, 3))
    shapes |= layer(f"{rpn}.objectness_logits", (3, dim, 1, 1))
    shapes |= layer(f"{rpn}.anchor_deltas", (12, dim, 1, 1))
    shapes |= layer(f"{heads}.box_head.fc1", (fc, dim * 49))
    shapes |= layer(f"{heads}.box_head.fc2", (fc, fc))
    shapes |= layer(f"{heads}.box_predictor.cls_score", (num_classes + 1, fc))
    shapes |= layer(f"{heads}.box_predictor.bbox_pred", (num_classes * 4, fc))
    for index in range(1, 5) if masks else ():
        shapes |= layer(f"{heads}.mask_head.mask_fcn{index}", (dim, dim, 3, 3))
    if masks:
        shapes |= layer(f"{heads}.mask_head.deconv", (dim, dim, 2, 2))
        shapes |= layer(f"{heads}.mask_head.predictor", (num_classes, dim, 1, 1))
    return shapes


def detectron2_keypoint_head(dim: int = 256, width: int = 512, points: int = 17) -> Shapes:
    """Return the keys of a keypoint branch; ``width`` of its convolutions."""
    shapes: Shapes = {}
    for index in range(1, 9):
        name = f"roi_heads.keypoint_head.conv_fcn{index}"
        shapes |= layer(name, (width, dim if index == 1 else width, 3, 3))
    return shapes | layer("roi_heads.keypoint_head.score_lowres", (width, points, 4, 4), points)


def small_detectron2_detector(num_classes: int = 2) -> Shapes:
    """Return the keys of a Mask R-CNN with a block a stage and few channels."""
    return detectron2_detector((1, 1, 1, 1), num_classes=num_classes, dim=4, fc=5, stem=2)


def caffe2_trunk(
    depths: tuple[int, ...] = R50,
    groups: int = 1,
    norm: tuple[str, ...] = ("s", "b"),
    stem: int = 64,
) -> Shapes:
    """Return the blobs of an ImageNet ResNet, its classifier among them."""
    branch = {"shortcut": "branch1", "conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2c"}
    shapes: Shapes = {"conv1_w": (stem, 3, 7, 7)}
    shapes |= {f"res_conv1_bn_{part}": (stem,) for part in norm}
    for name, shape in bottlenecks(depths, groups, stem).items():
        stage, block, conv = name.split(".")
        blob = f"{stage}_{block}_{branch[conv]}"
        shapes[f"{blob}_w"] = shape
        shapes |= {f"{blob}_bn_{part}": shape[:1] for part in norm}
    return shapes | {"fc1000_w": (1000, stem * 32), "fc1000_b": (1000,)}
