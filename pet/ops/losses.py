"""Losses on plain tensors."""

import torch
from torch import Tensor
from torch.nn import functional as F


def smooth_l1_sum(pred: Tensor, target: Tensor, beta: float) -> Tensor:
    """Return the summed smooth L1 loss (Girshick 2015, equation 3); ``beta`` 0 is plain L1.

    Below ``beta`` the loss is quadratic, above it linear with slope 1. Zero for no elements.
    """
    if beta == 0:
        return (pred - target).abs().sum()
    return F.smooth_l1_loss(pred, target, beta=beta, reduction="sum")


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
    """Return the fraction of ``logits`` (N, K + 1) whose largest entry is the label; 0 for none."""
    hits = (logits.detach().argmax(dim=1) == labels).sum(dtype=torch.float32)
    return hits / max(len(labels), 1)
