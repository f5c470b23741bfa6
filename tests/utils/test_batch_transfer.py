import gc
import pickle
from multiprocessing.reduction import ForkingPickler
from types import SimpleNamespace

import pytest
import torch

from pet.structures import UnresizedImages
from pet.utils.batch_transfer import Packer, Reader

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
    assert len(packed.memory) == 64 and len(packed.structure) < 1000
    assert torch.equal(packed.unpack().tensor, images.tensor)


def test_memory_is_used_again_once_it_is_read():
    sender = Sender()
    unread = sender.send(batch())  # carries the memory
    long = len(unread)
    first = sender.packer.pack(batch(1))
    assert first.buffer is not None  # as nobody has read the one before
    found = pickle.loads(ForkingPickler.dumps(first)).unpack()
    second = sender.packer.pack(batch(2))
    assert second.key == first.key and second.buffer is None
    assert len(ForkingPickler.dumps(second)) < long
    assert_same(found, batch(1))  # a copy
    assert_same(pickle.loads(ForkingPickler.dumps(second)).unpack(), batch(2))
    assert_same(pickle.loads(unread).unpack(), batch())


def test_memory_grows_with_the_batch():
    sender = Sender()
    small = sender.packer.pack(torch.zeros(100))
    pickle.loads(ForkingPickler.dumps(small))
    slightly = sender.packer.pack(torch.zeros(120))
    assert slightly.buffer is None
    pickle.loads(ForkingPickler.dumps(slightly))
    large = sender.packer.pack(torch.arange(1000.0))
    assert large.key == small.key and large.buffer is not None
    assert torch.equal(pickle.loads(ForkingPickler.dumps(large)).unpack(), torch.arange(1000.0))


def test_what_could_not_be_packed_leaves_nothing_behind():
    sender = Sender()
    for size in (10, 1000):  # a new piece, and one for more than the first
        with pytest.raises(NotImplementedError):
            sender.packer.pack(torch.zeros(size, device="meta"))
        content = torch.full((size,), float(size))
        assert torch.equal(pickle.loads(sender.send(content)).unpack(), content)


def test_what_could_not_be_read_says_so(monkeypatch):
    def no_memory(*args, **options):
        raise RuntimeError("no memory to pin")

    sender = Sender()
    sent = sender.send(batch())
    with monkeypatch.context() as patch:
        patch.setattr(Reader, "_copy", no_memory)
        packed = pickle.loads(sent)
    for ask in (packed.unpack, packed.pin_memory):
        with pytest.raises(RuntimeError, match="no memory to pin"):
            ask()
    assert sender.packer.pack(batch()).buffer is None  # in the same one, which is free


def test_memory_that_arrives_in_inference_mode_is_used_after_it():
    sender = Sender()
    sent = sender.send(batch(1))
    with torch.inference_mode():
        assert_same(pickle.loads(sent).unpack(), batch(1))
    assert_same(pickle.loads(sender.send(batch(2))).unpack(), batch(2))


def test_a_tensor_changed_in_place_changes_no_other_ones_gradients():
    sender = Sender()
    first, second = pickle.loads(sender.send([torch.ones(2), torch.ones(2)])).unpack()
    weight = torch.ones(2, requires_grad=True)
    loss = (first * weight).sum()
    second.mul_(2)
    loss.backward()
    assert weight.grad.tolist() == [1, 1]


def no_room(path):
    return SimpleNamespace(free=100)


def no_sharing(tensor):
    raise RuntimeError("unable to allocate shared memory")


@pytest.mark.parametrize(
    "replaced",
    [
        ("pet.utils.batch_transfer.shutil.disk_usage", no_room),
        ("torch.Tensor.share_memory_", no_sharing),
    ],
)
def test_without_shared_memory_a_batch_goes_through_the_queue(
    monkeypatch, tmp_path, caplog, replaced
):
    sender = Sender()
    first = sender.packer.pack(batch(1))
    monkeypatch.setattr("pet.utils.batch_transfer._SHARED", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(*replaced)
        second, third = sender.packer.pack(batch(2)), sender.packer.pack(batch(4))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no shared memory is left" in caplog.text
    assert third.buffer is None
    assert first.buffer is not None and second.buffer is None
    assert_same(pickle.loads(ForkingPickler.dumps(first)).unpack(), batch(1))
    assert_same(pickle.loads(ForkingPickler.dumps(second)).unpack(), batch(2))
    assert sender.packer.pack(batch(3)).key == first.key


def test_what_arrives_late_is_dropped():
    sender = Sender()
    sent = sender.send(batch())
    sender.reader = None
    gc.collect()
    assert not len(pickle.loads(sent).memory)


def send(queue, read, reader, count):
    packer = Packer(reader)
    for _ in range(2):
        for number in range(count):
            queue.put(packer.pack(batch(number)))
        for _ in range(count):
            assert read.acquire(timeout=TIMEOUT)  # the memory goes with this process


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_another_process_has_it_as_it_is(start):
    context = torch.multiprocessing.get_context(start)
    queue, read = context.Queue(), context.Semaphore(0)
    reader = Reader()
    arguments = (queue, read, reader.number, 3)
    process = context.Process(target=send, args=arguments, daemon=True)
    process.start()
    for number in (0, 1, 2, 0, 1, 2):
        packed = queue.get(timeout=TIMEOUT)
        read.release()
        assert_same(packed.unpack(), batch(number))
    process.join(TIMEOUT)
    assert process.exitcode == 0
    assert len(reader._buffers) <= 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_pinned_memory_is_that_of_every_tensor():
    reader = Reader(pin_memory=True)
    packed = pickle.loads(ForkingPickler.dumps(Packer(reader.number).pack(batch())))
    found = packed.pin_memory().unpack()
    assert_same(found, batch())
    assert found["image"].is_pinned() and found["labels"][0].is_pinned()
