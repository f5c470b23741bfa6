"""Loading training data, from files to the network's input, beside torchvision."""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tools.benchmark.measure import Turn, Work
from tools.benchmark.peer_data import PeerItem, PeerTarget, peer_collate
from tools.benchmark.setting import Setting
from tools.benchmark.torchvision_peer import Peer
from tools.benchmark.train import flowing, our_loader, peer_data, peer_loader


def our_side(setting: Setting, batches: int) -> Work:
    """Return Pet's loading of ``batches`` batches, prepared for the network."""
    data = setting.dataset()
    return lambda: _turn(setting, our_loader(setting, data), batches)


def peer_side(setting: Setting, batches: int, resize: bool) -> Work:
    """Return torchvision's loading of ``batches`` batches of the same images.

    In its scripts the model resizes images and masks; in Pet the loader does. With ``resize`` the
    worker resizes like the model, so that both sides do the same work.
    """
    collate = ResizingCollate(setting.peer().cpu().transform) if resize else peer_collate
    loader = our_loader(setting, setting.dataset())
    peers = peer_data(setting)
    return lambda: _turn(setting, peer_loader(setting, peers, loader, collate), batches)


def _turn(setting: Setting, loader: DataLoader[Any], batches: int) -> Turn:
    flow = flowing(setting, loader)
    return lambda: deque(islice(flow, batches), maxlen=0)


class ResizingCollate:
    """Joins a batch as torchvision's model does: resized and padded.

    The images are not normalised, as Pet normalises on the device.
    """

    def __init__(self, transform: Peer) -> None:
        """``transform`` of the model, in training mode."""
        self._transform = transform
        self._transform.normalize = torch.nn.Identity()

    def __call__(self, items: Sequence[PeerItem]) -> tuple[Tensor, list[PeerTarget]]:
        """Join ``items`` to one tensor, and the targets at its size."""
        images, targets = self._transform(*peer_collate(items))
        return images.tensors, targets
