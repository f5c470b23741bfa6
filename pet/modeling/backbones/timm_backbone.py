"""Trunks of the package timm (Wightman 2019), by their names there.

timm is an optional extra: pip install timm.
"""

import difflib
import importlib
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from pet.config import CfgNode, UnknownNameError, cfg
from pet.modeling import registry

_PREFIX = "timm/"
_STRIDES = [4, 8, 16, 32]

_timm: Any = None
_import_error = ""
try:
    _timm = importlib.import_module("timm")
except ImportError as _error:  # raised when a config asks for timm
    _import_error = str(_error)


class TimmBackbone(nn.Module):
    """A model of timm without its classifier.

    ``body`` is the model, with timm's names; ``dim_out`` and ``spatial_scale`` list channels and
    scale of its maps of stride 4, 8, 16 and 32.
    """

    def __init__(
        self, body: nn.Module, indices: Sequence[int], dim_out: Sequence[int], freeze_to: str = ""
    ) -> None:
        """``indices`` of the four maps among those of ``body``, and their channels.

        ``freeze_to`` names the module of ``body`` up to which nothing is trained; "" trains all.
        """
        super().__init__()
        self.body = body
        self.indices = list(indices)
        self.dim_out = list(dim_out)
        self.spatial_scale = [1 / stride for stride in _STRIDES]
        self.freeze_to = freeze_to
        for module in self._frozen_parts():
            module.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (N, 3, H, W) to the maps (N, C, H/4, W/4), ..., (N, C, H/32, W/32)."""
        # timm has no common class for models; all that have this method have the same one.
        forward: Any = self.body.forward_intermediates
        return list(forward(x, indices=self.indices, intermediates_only=True))

    def train(self, mode: bool = True) -> "TimmBackbone":
        """Switch to training, but keep the statistics of the frozen parts."""
        super().train(mode)
        for module in self._frozen_parts():
            module.eval()
        return self

    def _frozen_parts(self) -> list[nn.Module]:
        """Return ``freeze_to`` and all modules before it, in the order of use."""
        parts: list[nn.Module] = []
        reached = False
        for name, module in self.body.named_modules() if self.freeze_to else ():
            inside = f"{name}.".startswith(f"{self.freeze_to}.")
            if not name or (f"{self.freeze_to}.".startswith(f"{name}.") and not inside):
                continue  # holds frozen parts and others
            if reached and not inside:
                break
            reached = reached or inside
            parts.append(module)
        return parts


@registry.BACKBONES.register_family(_PREFIX)
def timm_backbone(cfg: CfgNode = cfg) -> TimmBackbone:
    """Return the timm model that ``MODEL.CONV_BODY`` names after "timm/", with random weights.

    Raises ImportError without timm, KeyError for an unknown name, and ValueError if the model
    lacks the maps of a trunk or the config asks for an option of ResNets.
    """
    conv_body = cfg.MODEL.CONV_BODY
    if _timm is None:
        raise ImportError(
            f"MODEL.CONV_BODY {conv_body!r} needs the package timm, which does not load "
            f"({_import_error}); try: pip install timm"
        )
    name = conv_body.removeprefix(_PREFIX)
    if not _timm.is_model(name):
        near = difflib.get_close_matches(name, _timm.list_models(), n=3)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise UnknownNameError(
            f"timm {_timm.__version__} has no model named {name!r} (MODEL.CONV_BODY); {hint}"
            "timm.list_models() names all"
        )
    _check(cfg)
    net = _create(name)
    levels = net.feature_info.get_dicts()
    strides = [level["reduction"] for level in levels]
    if strides[-4:] != _STRIDES:
        raise ValueError(
            f"MODEL.CONV_BODY {conv_body!r} has maps of stride {strides}, and a trunk needs those "
            f"of {_STRIDES}"
        )
    frozen = [
        level["module"] for level in levels if level["reduction"] <= 2**cfg.BACKBONE.FREEZE_AT
    ]
    body = _with_norm(net.model, cfg.MODEL.BATCH_NORM)
    freeze_to = frozen[-1] if cfg.BACKBONE.FREEZE_AT and frozen else ""
    if freeze_to and freeze_to not in dict(body.named_modules()):
        raise ValueError(
            f"MODEL.CONV_BODY {conv_body!r} does not say where its stages end; give "
            f"BACKBONE.FREEZE_AT 0; got {cfg.BACKBONE.FREEZE_AT}"
        )
    dims = [level["num_chs"] for level in levels]
    return TimmBackbone(body, net.out_indices[-4:], dims[-4:], freeze_to)


def _create(name: str) -> Any:
    """Return the timm model with its feature maps; a Swin is built to take any image size."""
    net = _timm.create_model(name, features_only=True, feature_cls="getter")
    is_for_one_size = getattr(getattr(net.model, "patch_embed", None), "strict_img_size", False)
    if is_for_one_size and name.startswith("swin"):
        net = _timm.create_model(
            name, features_only=True, feature_cls="getter", strict_img_size=False
        )
    return net


def _check(cfg: CfgNode) -> None:
    """Raise ValueError if the config asks for an option that only ResNets have."""
    wanted = {
        "BACKBONE.OUT_STAGE": (cfg.BACKBONE.OUT_STAGE, 5),
        "BACKBONE.RES5_DILATION": (cfg.BACKBONE.RES5_DILATION, 1),
        "BACKBONE.STRIDE_IN_1X1": (cfg.BACKBONE.STRIDE_IN_1X1, False),
        "BACKBONE.STAGE_WITH_DCN": (any(cfg.BACKBONE.STAGE_WITH_DCN), False),
    }
    for key, (value, only) in wanted.items():
        if value != only:
            raise ValueError(
                f"{key} {value} is for ResNets; with MODEL.CONV_BODY {cfg.MODEL.CONV_BODY!r} it "
                f"must be {only}"
            )
    if cfg.MODEL.BATCH_NORM not in ("freeze", "bn", "syncbn"):
        raise ValueError(
            f"MODEL.BATCH_NORM {cfg.MODEL.BATCH_NORM!r} is for ResNets; with MODEL.CONV_BODY "
            f"{cfg.MODEL.CONV_BODY!r} it must be freeze, bn or syncbn"
        )


def _with_norm(body: nn.Module, norm: str) -> nn.Module:
    """Return ``body`` with its batch norms, if any, converted to ``norm`` (MODEL.BATCH_NORM)."""
    if norm == "freeze":
        return _timm.layers.freeze_batch_norm_2d(body)
    return _timm.layers.convert_sync_batchnorm(body) if norm == "syncbn" else body
