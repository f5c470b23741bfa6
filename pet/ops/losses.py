"""Losses on plain tensors."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss


def smooth_l1_sum(pred: Tensor, target: Tensor, beta: float) -> Tensor:
    """Return the summed smooth L1 loss (Girshick 2015, equation 3); ``beta`` 0 is plain L1.

    Below ``beta`` the loss is quadratic, above it linear with slope 1. It is 0 for no elements.
    """
    if beta == 0:
        return (pred - target).abs().sum()
    return F.smooth_l1_loss(pred, target, beta=beta, reduction="sum")


def giou_sum(boxes: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted sum of 1 - GIoU (Rezatofighi et al. 2019) of N pairs of boxes.

    ``boxes`` and ``target`` (N, 4) xyxy; ``weight`` (N,). The sum is 0 for no pairs.
    """
    return (generalized_box_iou_loss(boxes, target) * weight).sum()


def sigmoid_focal_sum(
    logits: Tensor, target: Tensor, weight: Tensor, alpha: float, gamma: float
) -> Tensor:
    """Return the summed focal loss of sigmoid outputs (Lin et al. 2017, equation 5); 0 for none.

    ``logits`` (N, K), ``target`` (N, K) bool; ``weight`` (N,), one for each sample. Outputs whose
    target is true have weight ``alpha``, the others 1 - ``alpha``; ``gamma`` 0 gives weighted
    cross-entropy.
    """
    wrong = torch.where(target, -logits, logits)  # its sigmoid is 1 - p_t
    loss = wrong.sigmoid() ** gamma * F.softplus(wrong)
    return (loss * torch.where(target, alpha, 1 - alpha) * weight[:, None]).sum()


def mask_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over all pixels of all masks; 0 for no masks.

    ``logits`` and ``target`` (N, H, W); the gradient reaches ``logits`` even where N is 0.
    """
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    return loss / max(logits.numel(), 1)


def cross_entropy_mean(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of ``logits`` (N, K + 1) for ``labels`` (N,); 0 for none."""
    return F.cross_entropy(logits, labels, reduction="sum") / max(len(labels), 1)


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the share of ``logits`` (N, K + 1) whose largest entry is the label; 0 for none."""
    hits = (logits.detach().argmax(dim=1) == labels).sum(dtype=torch.float32)
    return hits / max(len(labels), 1)
