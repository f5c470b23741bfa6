"""Loading training data, from files to what the network is given, beside torchvision."""

from collections.abc import Iterator, Sequence
from itertools import islice

from torch import Tensor

from pet.benchmark.measure import Work
from pet.benchmark.peer_data import PeerItem, PeerTarget, peer_collate
from pet.benchmark.setting import Setting
from pet.benchmark.train import our_loader, peer_loader
from pet.engine.torchvision_peer import Peer


def our_side(setting: Setting, batches: int) -> Work:
    """Return Pet's way to ``batches`` batches, which its loader makes ready for the network."""
    loader = iter(our_loader(setting))
    return lambda: _exhaust(islice(loader, batches))


def peer_side(setting: Setting, batches: int, resize: bool) -> Work:
    """Return torchvision's way to ``batches`` batches of the same images.

    Its scripts leave it to the model to resize images and masks, which Pet's loader does. With
    ``resize`` the worker does it as the model would, so that both sides do the same work.
    """
    collate = ResizingCollate(setting.peer().cpu().transform) if resize else peer_collate
    flip_prob = setting.cfg().TRAIN.FLIP_PROB
    loader = iter(peer_loader(setting, our_loader(setting), flip_prob, collate))
    return lambda: _exhaust(islice(loader, batches))


class ResizingCollate:
    """Joins a batch as torchvision's model does: resized, normalised and padded."""

    def __init__(self, transform: Peer) -> None:
        """``transform`` of the model, in training mode."""
        self._transform = transform

    def __call__(self, items: Sequence[PeerItem]) -> tuple[Tensor, list[PeerTarget]]:
        """Join ``items`` to one tensor, and the targets at its size."""
        images, targets = self._transform(*peer_collate(items))
        return images.tensors, targets


def _exhaust(batches: Iterator[object]) -> None:
    for _ in batches:
        pass
