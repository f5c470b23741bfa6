"""Registries of the parts that a YAML chooses by name."""

from collections.abc import Callable
from typing import Any

from pet.modeling.contract import DetectionModel
from pet.utils.registry import Registry

Builder = Callable[..., Any]  # the comment above each registry describes the result

#: ``builder(cfg)`` -> trunk with ``dim_out``, ``spatial_scale`` (lists, finest level first).
BACKBONES: Registry[Builder] = Registry("backbone", "MODEL.CONV_BODY")
#: ``builder(dim_in, spatial_scale, cfg)`` -> pyramid with ``dim_out`` (int), ``spatial_scale``.
FPN_BODIES: Registry[Builder] = Registry("FPN body", "FPN.BODY")
#: ``builder(dim_in, resolution, cfg)`` -> head with ``dim_out`` (int).
ROI_BOX_HEADS: Registry[Builder] = Registry("box head", "FAST_RCNN.ROI_BOX_HEAD")
#: ``builder(dim_in, cfg)`` -> head with ``dim_out`` (int).
ROI_MASK_HEADS: Registry[Builder] = Registry("mask head", "MRCNN.ROI_MASK_HEAD")
#: ``builder(dim_in, cfg)`` -> head with ``dim_out`` (int).
ROI_KEYPOINT_HEADS: Registry[Builder] = Registry("keypoint head", "KRCNN.ROI_KEYPOINT_HEAD")
#: ``builder(source, cfg)`` -> branch, as ``pet.modeling.rcnn.roi_branch`` says.
ROI_BRANCHES: Registry[Builder] = Registry("RoI branch", "MODEL.ROI_BRANCHES")
#: ``builder(cfg)`` -> model. A class, or a function whose annotation names one, tells the
#: abilities of its models before one is built.
MODELS: Registry[Callable[..., DetectionModel]] = Registry("model", "MODEL.TYPE")
