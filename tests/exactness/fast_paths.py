"""Switching off, or on everywhere, what Pet does its own way to be fast."""

import pytest
from torchvision import ops

from pet.engine import predictor
from pet.modeling.rcnn import rpn
from pet.ops import conv3x3, roi_align


def take(paths: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute by "plain" or by "fast" paths, by these "compiled", or by fast ones "everywhere".

    Plain: RoIAlign is torchvision's operator, as on a GPU, convolutions are PyTorch's, and norms
    are folded for each image; gradients of the RPN are those of whole maps. Everywhere: 3x3
    convolutions by Winograd's way, and anchors that the RPN's losses see asked alone, even where
    that is not the faster way, as on the small maps of a test; compiled: the anchors, too.
    """
    assert paths in ("plain", "fast", "compiled", "everywhere")
    if paths == "plain":
        monkeypatch.setattr(roi_align, "roi_align_cpu", ops.roi_align)
        monkeypatch.setattr(predictor, "prepare_for_inference", lambda model, precision: model)
    if paths != "fast":
        monkeypatch.setattr(rpn, "is_faster_at", lambda *_: paths != "plain")
    if paths in ("plain", "everywhere"):
        monkeypatch.setattr(conv3x3, "use_winograd", lambda x, weight: paths == "everywhere")
