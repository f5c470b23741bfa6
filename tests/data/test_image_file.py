import numpy as np
import pytest

from pet.data.image_file import read_image
from pet.utils.opencv import cv2

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def _file(folder, name):
    path = folder / name
    assert cv2.imwrite(str(path), PICTURE)
    return path


def test_png_comes_back_as_bgr(tmp_path):
    assert np.array_equal(read_image(_file(tmp_path, "a.png")), PICTURE)


def test_grey_pictures_get_three_channels(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), PICTURE[:, :, 0])
    assert np.array_equal(read_image(tmp_path / "grey.png"), PICTURE[:, :, :1].repeat(3, axis=2))


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated(tmp_path, name, kept):
    path = _file(tmp_path, name)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(ValueError, match=rf"{name} is cut off after \d+ bytes"):
        read_image(path)


def _with_exif(jpeg: bytes, payload: bytes) -> bytes:
    """Put an EXIF segment behind the start of a JPEG."""
    body = b"Exif\x00\x00" + payload
    return jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


def test_truncated_in_spite_of_a_whole_thumbnail(tmp_path):
    path = _file(tmp_path, "a.jpg")
    data = _with_exif(path.read_bytes(), b"\xff\xd8 a thumbnail \xff\xd9")
    path.write_bytes(data)
    assert read_image(path).shape == PICTURE.shape
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="cut off"):
        read_image(path)


def test_exif_orientation_is_not_applied(tmp_path):
    path = _file(tmp_path, "a.jpg")
    # Big-endian TIFF with one tag: 0x0112 (orientation), a short, 1 value: 6 (turn right).
    tag = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    tiff = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01" + tag + b"\x00\x00\x00\x00"
    path.write_bytes(_with_exif(path.read_bytes(), tiff))
    assert cv2.imread(str(path)).shape == (60, 40, 3)  # the tag works, where it is looked at
    assert read_image(path).shape == (40, 60, 3)


def test_fill_bytes_before_a_mark_are_fine(tmp_path):
    path = _file(tmp_path, "a.jpg")
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xff" + data[2:])
    assert read_image(path).shape == PICTURE.shape


def test_bytes_behind_the_end_are_fine(tmp_path):
    path = _file(tmp_path, "a.jpg")
    path.write_bytes(path.read_bytes() + b"trailing")
    assert read_image(path).shape == PICTURE.shape


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"<html>404</html>", "cannot be decoded")]
)
def test_no_image(tmp_path, content, message):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"a.jpg {message}"):
        read_image(path)


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no image file .*a\.jpg"):
        read_image(tmp_path / "a.jpg")
