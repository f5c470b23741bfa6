"""Switching off what Pet does its own way to be fast."""

import pytest
from torchvision.ops import roi_align

from pet.engine import predictor
from pet.layers import roi_pooler


def switch_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let RoIAlign be torchvision's operator, as on a GPU, and norms be folded for each image."""
    monkeypatch.setattr(roi_pooler, "roi_align_by_rows", roi_align)
    monkeypatch.setattr(predictor, "prepare_for_inference", lambda model, precision: model)
