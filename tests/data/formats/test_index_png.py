"""Indices of PNG files, and the masks in them, against OpenCV and pycocotools."""

import struct
import zlib

import numpy as np
import pycocotools.mask as coco_mask
import pytest
from PIL import Image

from pet.data.formats.index_png import masks_of, read_indices
from pet.data.image_file import ImageReader
from tests.data.formats.drawn_voc import write_indices

RANDOM = np.random.default_rng(0).integers(0, 256, (13, 21), np.uint8)


def read(path):
    return read_indices(path, ImageReader())


def test_a_palette_gives_its_indices(tmp_path):
    write_indices(tmp_path / "a.png", RANDOM)
    assert (read(tmp_path / "a.png") == RANDOM).all()
    assert not (np.asarray(Image.open(tmp_path / "a.png").convert("L")) == RANDOM).all()


def test_grey_of_8_and_16_bits(tmp_path):
    Image.fromarray(RANDOM).save(tmp_path / "a.png")
    Image.fromarray(RANDOM.astype(np.uint16) * 257).save(tmp_path / "b.png")
    assert (read(tmp_path / "a.png") == RANDOM).all()
    assert (read(tmp_path / "b.png") == RANDOM.astype(int) * 257).all()


def test_two_colours(tmp_path):
    Image.fromarray(RANDOM > 99).save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png") == (RANDOM > 99)).all()


# 2 x 2 pixels of grey with 2 and 4 bits, which Pillow does not write: zlib of a filter byte (0)
# and the packed pixels in each line.
@pytest.mark.parametrize(("bits", "lines"), [(2, b"\0\x60\0\xb0"), (4, b"\0\x12\0\x23")])
def test_grey_of_few_bits_is_not_stretched(tmp_path, bits, lines):
    def chunk(kind, data):
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", 2, 2, bits, 0, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")
    content = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    (tmp_path / "a.png").write_bytes(content)
    assert read(tmp_path / "a.png").tolist() == [[1, 2], [2, 3]]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colours_are_refused(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=rf"a\.png has colours \(mode {mode}\).* palette"):
        read(tmp_path / "a.png")


def test_damaged_and_missing_files(tmp_path):
    write_indices(tmp_path / "a.png", RANDOM)
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:-40])
    with pytest.raises(ValueError, match=r"PNG file .*a\.png is damaged"):
        read(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"a\.png is no PNG file"):
        read(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError, match=r"b\.png"):
        read(tmp_path / "b.png")


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path):
    write_indices(tmp_path / "a.png", RANDOM)
    with pytest.raises(ValueError, match=r"a\.png .* more than INPUT\.MAX_PIXELS, which is 99"):
        read_indices(tmp_path / "a.png", ImageReader(max_pixels=99))


# Masks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
@pytest.mark.parametrize("most", [2, 9, 250])
def test_masks_are_those_of_pycocotools(dtype, most):
    indices = np.random.default_rng(most).integers(0, most, (23, 17)).astype(dtype)
    indices[:, 5:9] = 1  # whole columns, which join in one run
    found = masks_of(indices, without=(0, 2))
    assert [each.value for each in found] == sorted({*indices.flat} - {0, 2})
    for each in found:
        theirs = coco_mask.encode(np.asfortranarray(indices == each.value).astype(np.uint8))
        assert each.rle == {"size": [23, 17], "counts": theirs["counts"].decode()}
        y, x = np.nonzero(indices == each.value)
        assert each.box == (x.min(), y.min(), x.max() + 1, y.max() + 1)


def test_masks_by_hand():
    (found,) = masks_of(np.array([[0, 7, 7], [0, 0, 7]], np.uint16))
    assert found.box == (1, 0, 3, 2)
    assert coco_mask.decode(found.rle).tolist() == [[0, 1, 1], [0, 0, 1]]


def test_no_masks():
    assert masks_of(np.zeros((3, 4), np.uint8)) == []
    assert masks_of(np.zeros((0, 4), np.uint8)) == []
    (whole,) = masks_of(np.full((3, 4), 5, np.uint8))
    assert whole.box == (0, 0, 4, 3) and coco_mask.area(whole.rle) == 12
