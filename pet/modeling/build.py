"""The model that a config names."""

import torch
from torch import nn

import pet.modeling.rcnn.generalized_rcnn  # noqa: F401  registers the model
from pet.config import CfgNode, cfg
from pet.modeling import registry


def build_model(device: torch.device | str = "cpu", cfg: CfgNode = cfg) -> nn.Module:
    """Return the model of ``MODEL.TYPE`` on ``device``, laid out channels_last.

    Raises KeyError for an unknown type, TypeError if its builder returns no ``nn.Module``, and
    the errors of the builder.
    """
    model = registry.MODELS[cfg.MODEL.TYPE](cfg)
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"the builder of MODEL.TYPE {cfg.MODEL.TYPE} returned a {type(model).__name__}; it "
            "must return an nn.Module"
        )
    return model.to(device).to(memory_format=torch.channels_last)
