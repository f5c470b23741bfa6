"""The predictions of an RPN head at a few anchors, computed only from the pixels they depend on.

The losses see a few hundred anchors of an image, and gradients of whole maps would be nearly all
zeros.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pet.layers.conv import ConvNorm, as_matrix
from pet.modeling.rcnn.rpn_head import RPNHead
from pet.ops.patches import extract_patches


def predict_at(
    head: RPNHead, features: Sequence[Tensor], image: Tensor, anchor: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the logits (S,) and deltas (S, 4) of S anchors, as ``head`` gives them for all.

    ``features`` are the maps (N, C, H_l, W_l); ``image`` (S,) and ``anchor`` (S,) int64, an index
    into the image's anchors of all levels.
    """
    num_anchors = head.cls_logits.out_channels
    *convs, last = head.convs
    hidden, on_map = extract_patches(features, image, anchor // num_anchors, len(head.convs))
    for conv in convs:
        on_map = on_map[..., 1:-1, 1:-1]
        # Zero padding beyond the border, as in the convolution of a whole map.
        hidden = F.relu(F.conv2d(hidden, *_weight_and_bias(conv))).masked_fill(~on_map, 0)
    # The last patch is 3x3: a matrix product takes a tenth of the time of a convolution.
    weight, bias = _weight_and_bias(last)
    patches = hidden.permute(0, 2, 3, 1).flatten(1)
    hidden = F.relu(F.linear(patches, weight.permute(0, 2, 3, 1).flatten(1), bias))
    logits = F.linear(hidden, as_matrix(head.cls_logits), head.cls_logits.bias)
    deltas = F.linear(hidden, as_matrix(head.bbox_pred), head.bbox_pred.bias)
    of_pixel = torch.arange(len(anchor), device=anchor.device), anchor % num_anchors
    return logits[of_pixel], deltas.unflatten(1, (num_anchors, 4))[of_pixel]


def is_faster_at(head: nn.Module, features: Sequence[Tensor], count: int) -> bool:
    """Whether ``predict_at`` supports ``head``, and costs less than gradients of whole maps.

    ``count`` is the number of anchors.
    """
    if not isinstance(head, RPNHead):
        return False
    read = count * (2 * len(head.convs) + 1) ** 2
    return read <= sum(feature[:, 0].numel() for feature in features)


def _weight_and_bias(conv: nn.Module) -> tuple[Tensor, Tensor | None]:
    assert isinstance(conv, ConvNorm) and conv.norm is None
    return conv.weight, conv.bias
