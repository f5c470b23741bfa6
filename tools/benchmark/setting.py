"""What both sides of a benchmark share: the config, the device, the data and the weights."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from pet.config import CfgNode, default_cfg, freeze, merge_cfg_from_file, merge_cfg_from_list
from pet.data.build import build_dataset, resolve_num_classes
from pet.data.catalog import find_dataset
from pet.data.datasets import CocoDataset
from pet.data.image_file import read_image
from pet.engine.train import set_num_classes
from pet.modeling.rcnn.generalized_rcnn import Generalized_RCNN
from pet.utils.env import cpu_count, resolve_device
from tools.benchmark.comparison import build_copy
from tools.benchmark.torchvision_peer import Peer, build_peer, liven

_NAME = "benchmark"


@dataclass(frozen=True)
class Setting:
    """A benchmark as its command line describes it; plain values, so that processes share it."""

    cfg_file: str  # YAML of the same name as torchvision's model
    opts: tuple[str, ...]  # KEY, value, ...
    _: KW_ONLY
    images: int  # how many images of the data set are used
    batch_size: int
    workers: int  # loader processes of each side
    is_train: bool

    def __post_init__(self) -> None:
        """Raise ValueError for more workers than there are processors: Pet starts no more."""
        if not 0 <= self.workers <= cpu_count():
            raise ValueError(
                f"{self.workers} workers were asked for; give 0 to {cpu_count()}, as many as there "
                "are processors"
            )

    def on_cpu(self, images: int) -> "Setting":
        """Return the same on a CPU, with at most ``images`` images."""
        opts = (*self.opts, "DEVICE", "cpu")
        return replace(self, opts=opts, images=min(images, self.images), workers=0)

    @property
    def name(self) -> str:
        """Name of torchvision's model."""
        return Path(self.cfg_file).stem

    def cfg(self, *opts: Any) -> CfgNode:
        """Return the config of Pet's side, frozen, changed by ``opts``: KEY, value, ..."""
        node = default_cfg()
        merge_cfg_from_file(self.cfg_file, node)
        merge_cfg_from_list(self.opts, node)
        data = "TRAIN" if self.is_train else "TEST"
        names = node[data].DATASETS
        if len(names) != 1:
            raise ValueError(f"{data}.DATASETS must name one data set; got {', '.join(names)}")
        if self.is_train and len(node.TRAIN.SCALES) > 1:
            raise ValueError(f"TRAIN.SCALES must be a single one here; got {node.TRAIN.SCALES}")
        if self.is_train:  # torchvision's model has one size, in training and in testing
            size = ["TEST.SCALE", node.TRAIN.SCALES[0], "TEST.MAX_SIZE", node.TRAIN.MAX_SIZE]
            merge_cfg_from_list(size, node)
        files = find_dataset(names[0], node)
        block = f"DATASETS.{_NAME}"
        merge_cfg_from_list(
            [
                *(f"{block}.TYPE", files.type, f"{block}.IMAGES", str(files.images.resolve())),
                *(f"{block}.ANNOTATIONS", str(files.annotations.resolve())),
                *(f"{block}.MAX_IMAGES", self.images, f"{data}.DATASETS", (_NAME,)),
                *("TRAIN.BATCH_SIZE", self.batch_size, "TEST.IMS_PER_GPU", self.batch_size),
                *("TRAIN.LOADER_THREADS", self.workers, "TEST.LOADER_THREADS", self.workers),
                *opts,
            ],
            node,
        )
        freeze(node)
        if node.MODEL.NUM_CLASSES == -1:
            dataset = build_dataset((_NAME,), self.is_train, node)
            set_num_classes(node, resolve_num_classes(dataset, node))
        return node

    def device(self) -> torch.device:
        """Return the device of both sides, that of ``DEVICE``, which is made the current one."""
        device = resolve_device(self.cfg().DEVICE)
        if device.index is not None:  # without a number it is the current one already
            torch.cuda.set_device(device)
        return device

    def dataset(self) -> CocoDataset:
        """Return the images of both sides."""
        dataset = build_dataset((_NAME,), self.is_train, self.cfg())
        assert isinstance(dataset, CocoDataset)
        return dataset

    def peer(self) -> Peer:
        """Return torchvision's model with random weights that find things, norms fixed.

        A part of the trunk is frozen as ``BACKBONE.FREEZE_AT`` says. In training mode, or not.
        """
        cfg, dataset = self.cfg(), self.dataset()
        peer = build_peer(self.name, cfg)
        liven(peer, [read_image(dataset.info(n).file) for n in range(min(2, len(dataset)))])
        if not self.name.endswith("_v2"):
            freeze_norms(peer)
        frozen = [peer.backbone.body.conv1, peer.backbone.body.bn1][: 2 * cfg.BACKBONE.FREEZE_AT]
        stages = range(1, cfg.BACKBONE.FREEZE_AT)
        frozen += [peer.backbone.body[f"layer{stage}"] for stage in stages]
        for part in frozen:
            part.requires_grad_(False)
        return peer.train(self.is_train).to(self.device())


def freeze_norms(model: nn.Module) -> None:
    """Put fixed norms in place of the batch norms of ``model``, as published models have them."""
    for name, child in model.named_children():
        if isinstance(child, nn.BatchNorm2d):
            norm = FrozenBatchNorm2d(child.num_features, child.eps)
            norm.load_state_dict(child.state_dict(), strict=False)
            setattr(model, name, norm)
        else:
            freeze_norms(child)


def build_ours(setting: Setting, peer: Peer, *opts: Any) -> Generalized_RCNN:
    """Return Pet's model with the weights of ``peer``, on its device; ``opts`` as ``cfg`` takes."""
    model = build_copy(peer, setting.cfg(*opts)).train(setting.is_train)
    return model.to(setting.device())


def parse_opts(opts: Sequence[str]) -> tuple[str, ...]:
    """Return the pairs KEY VALUE of a command line; ValueError where one is an option."""
    late = [word for word in opts if word.startswith("--")]
    if late:
        raise ValueError(f"{late[0]} must stand before the pairs KEY VALUE")
    return tuple(opts)
