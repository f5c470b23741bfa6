import gc
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
import torch

from pet.structures import UnresizedImages
from pet.utils.packed import Packer, Reader

TIMEOUT = 120  # seconds


def batch(start=0.0):
    last = (start + torch.arange(48.0)).reshape(2, 4, 2, 3).permute(0, 3, 1, 2)
    return {
        "image": last,
        "labels": (torch.tensor([3, 1]), torch.zeros(0, dtype=torch.int64)),
        "bits": [torch.tensor([True, False, True]), "text", None, 2.5],
        "turned": torch.arange(6, dtype=torch.uint8).reshape(2, 3).T,
        "number": torch.tensor(7.5, dtype=torch.float64),
    }


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    assert ours["bits"][1:] == theirs["bits"][1:]
    pairs = [(ours[key], theirs[key]) for key in ("image", "turned", "number")]
    pairs += zip(ours["labels"], theirs["labels"], strict=True)
    for one, other in [*pairs, (ours["bits"][0], theirs["bits"][0])]:
        assert one.dtype == other.dtype and torch.equal(one, other)


class Sender:
    """A packer whose parcels are pickled, as in a queue, but stay in this process."""

    def __init__(self):
        self.reader = Reader()
        self.packer = Packer(self.reader.number)

    def send(self, content):
        return ForkingPickler.dumps(self.packer.pack(content))


def test_a_batch_comes_back_as_it_was():
    sender = Sender()
    packed = pickle.loads(sender.send(batch()))
    found = packed.unpack()
    assert_same(found, batch())
    assert found["image"].is_contiguous(memory_format=torch.channels_last)
    base = packed.memory.untyped_storage().data_ptr()
    assert found["turned"].untyped_storage().data_ptr() == base  # one piece
    assert all((t.data_ptr() - base) % 64 == 0 for t in (found["image"], found["bits"][0]))
    assert not packed.memory.is_shared()  # which would be the packer's


def test_a_batch_without_tensors():
    sender = Sender()
    assert pickle.loads(sender.send(["a", 1])).unpack() == ["a", 1]


def test_what_is_resized_later_is_packed_as_it_is_stored():
    images = UnresizedImages([torch.ones(2, 3, 3).byte()], [(4, 6)], (8, 8))
    sender = Sender()
    packed = pickle.loads(sender.send(images))
    assert len(packed.memory) == 64 and len(packed.frame) < 1000
    assert torch.equal(packed.unpack().tensor, images.tensor)


def test_memory_is_used_again_once_it_is_read():
    sender = Sender()
    long = len(sender.send(batch()))  # carries the memory
    first = sender.packer.pack(batch(1))
    assert first.memory is not None  # as nobody has read the one before
    found = pickle.loads(ForkingPickler.dumps(first)).unpack()
    second = sender.packer.pack(batch(2))
    assert second.key == first.key and second.memory is None
    assert len(ForkingPickler.dumps(second)) < long
    assert_same(found, batch(1))  # a copy
    assert_same(pickle.loads(ForkingPickler.dumps(second)).unpack(), batch(2))


def test_memory_grows_with_the_batch():
    sender = Sender()
    small = sender.packer.pack(torch.zeros(100))
    pickle.loads(ForkingPickler.dumps(small))
    slightly = sender.packer.pack(torch.zeros(120))
    assert slightly.memory is None
    pickle.loads(ForkingPickler.dumps(slightly))
    large = sender.packer.pack(torch.arange(1000.0))
    assert large.key == small.key and large.memory is not None
    assert torch.equal(pickle.loads(ForkingPickler.dumps(large)).unpack(), torch.arange(1000.0))


def test_what_arrives_late_is_dropped():
    sender = Sender()
    sent = sender.send(batch())
    sender.reader = None
    gc.collect()
    assert not len(pickle.loads(sent).memory)


def send(queue, read, reader, count):
    packer = Packer(reader)
    for number in range(count):
        queue.put(packer.pack(batch(number)))
        assert read.acquire(timeout=TIMEOUT)  # the memory goes with this process


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_another_process_has_it_as_it_is(start):
    context = torch.multiprocessing.get_context(start)
    queue, read = context.Queue(), context.Semaphore(0)
    reader = Reader()
    arguments = (queue, read, reader.number, 3)
    process = context.Process(target=send, args=arguments, daemon=True)
    process.start()
    for number in range(3):
        packed = queue.get(timeout=TIMEOUT)
        read.release()
        assert_same(packed.unpack(), batch(number))
    process.join(TIMEOUT)
    assert process.exitcode == 0
    assert len(reader._pieces) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_pinned_memory_is_that_of_every_tensor():
    reader = Reader(pin_memory=True)
    packed = pickle.loads(ForkingPickler.dumps(Packer(reader.number).pack(batch())))
    found = packed.pin_memory().unpack()
    assert_same(found, batch())
    assert found["image"].is_pinned() and found["labels"][0].is_pinned()
