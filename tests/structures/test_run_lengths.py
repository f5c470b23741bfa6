import numpy as np
import pycocotools.mask as coco_mask
import pytest

from pet.structures.run_lengths import decode_runs, without_empty


def compressed(runs: list[int], height: int, width: int) -> bytes:
    return coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)["counts"]


def test_equal_to_the_runs_that_pycocotools_encodes():
    rng = np.random.default_rng(0)
    masks = [
        np.asfortranarray(rng.random((int(rng.integers(1, 40)), 33)) < chance, np.uint8)
        for chance in rng.random(200)
    ]
    runs = decode_runs([coco_mask.encode(mask)["counts"] for mask in masks])
    assert runs.sound.all() and not runs.has_empty().any()
    assert runs.totals().tolist() == [mask.size for mask in masks]
    assert runs.foreground().tolist() == [int(mask.sum()) for mask in masks]
    for number, mask in enumerate(masks):
        lengths = runs.of(number)
        flat = np.repeat(np.arange(len(lengths)) % 2, lengths)
        np.testing.assert_array_equal(flat.reshape(mask.shape[::-1]).T, mask)


def test_by_hand():
    # 11, 3, 4 as they are; then 3 - 3, 4 - 4 and so on, and 28 - 4 = 24 is two characters.
    runs = decode_runs([b";3400000h0", b"0", b"0d0"])
    assert runs.of(0).tolist() == [11, 3, 4, 3, 4, 3, 4, 3, 28]
    assert runs.of(1).tolist() == [0] and runs.of(2).tolist() == [0, 20]
    assert runs.sound.tolist() == [True, True, True]
    assert runs.foreground().tolist() == [12, 0, 20]


def test_the_largest_mask():
    runs = decode_runs([compressed([2**32 - 3, 2], 1, 2**32 - 1)])
    assert runs.of(0).tolist() == [2**32 - 3, 2] and runs.sound.all()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"T",  # goes on, and does not
        b";3T",
        b"/",  # before the first character of the code
        b"p",  # after the last
        b"\xff",
        "é".encode(),
        b"PPPPPPPP0",  # nine characters for a value
        b"oooooooooooooooo0",
        b"O",  # a run of -1
        b"55O5",  # 5 + 5, and -1
        b"0000O",
    ],
)
def test_no_such_code(text):
    runs = decode_runs([b";3400000h0", text, b"0d0"])
    assert runs.sound.tolist() == [True, False, True]
    assert runs.of(0).tolist() == [11, 3, 4, 3, 4, 3, 4, 3, 28] and runs.of(2).tolist() == [0, 20]


def test_none():
    runs = decode_runs([])
    assert not len(runs.sound) and not len(runs.totals()) and not len(runs.has_empty())


@pytest.mark.parametrize(
    ("runs", "same"),
    [
        ([5, 0, 5, 90], [10, 90]),
        ([0, 0, 50, 50], [50, 50]),
        ([0, 3, 0, 7], [0, 10]),
        ([2, 3, 0, 0, 4, 0], [2, 3, 4]),
        ([0, 10], [0, 10]),
        ([10], [10]),
        ([0, 0], []),
    ],
)
def test_without_empty(runs, same):
    assert without_empty(np.array(runs)).tolist() == same
