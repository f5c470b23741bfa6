import itertools
import os
import socket
import struct
import time
import warnings
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from pet.data.image_file import ImageReader, read_header, read_image, read_values
from pet.data.image_header import ImageHeader, without_orientation
from pet.utils.opencv import cv2

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
# Two by three colours that no turn maps onto themselves, in blocks that JPEG keeps apart.
COLOURS = np.kron(
    np.random.default_rng(1).integers(0, 256, (2, 3, 3)), np.ones((16, 16, 1), int)
).astype(np.uint8)
# Pixels of orientation n, 1..8, from the EXIF standard's words on where row 0 and column 0 are.
TURNED = (
    COLOURS,
    COLOURS[:, ::-1],  # row 0 is the top, column 0 the right
    COLOURS[::-1, ::-1],  # the bottom, the right
    COLOURS[::-1],  # the bottom, the left
    COLOURS.transpose(1, 0, 2),  # the left, the top
    COLOURS.transpose(1, 0, 2)[:, ::-1],  # the right, the top
    COLOURS.transpose(1, 0, 2)[::-1, ::-1],  # the right, the bottom
    COLOURS.transpose(1, 0, 2)[::-1],  # the left, the bottom
)


def _file(folder, name):
    path = folder / name
    assert cv2.imwrite(str(path), PICTURE)
    return path


def saved(path, kind="JPEG", orientation=None, image=COLOURS, **options):
    """Write ``image``, BGR, with Pillow, and return its path."""
    if orientation is not None:
        options["exif"] = Image.Exif()
        options["exif"][0x112] = orientation
    Image.fromarray(image[:, :, ::-1]).save(path, kind, **options)
    return path


def test_png_comes_back_as_bgr(tmp_path):
    assert np.array_equal(read_image(_file(tmp_path, "a.png")), PICTURE)


def test_grey_pictures_get_three_channels(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), PICTURE[:, :, 0])
    assert np.array_equal(read_image(tmp_path / "grey.png"), PICTURE[:, :, :1].repeat(3, axis=2))


# Damaged files -----------------------------------------------------------------------------------


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


def test_a_png_whose_chunk_is_longer_than_the_file_is_cut_off(tmp_path):
    path = _file(tmp_path, "a.png")
    data = path.read_bytes()
    place = data.index(b"IDAT") - 4
    path.write_bytes(data[:place] + b"\x7f\xff\xff\xff" + data[place + 4 :])  # the end is there
    with pytest.raises(ValueError, match="cut off"):
        read_image(path)


def test_fill_bytes_before_a_mark_are_fine(tmp_path):
    path = _file(tmp_path, "a.jpg")
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xff" + data[2:])
    assert read_image(path).shape == PICTURE.shape
    assert read_header(path) == ImageHeader(60, 40)


def test_a_jpeg_of_fill_bytes_takes_no_time(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8" + b"\xff" * 10**8)
    started = time.process_time()
    with pytest.raises(ValueError, match="cut off"):
        read_image(tmp_path / "a.jpg")
    assert read_header(tmp_path / "a.jpg") is None
    assert time.process_time() - started < 5


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
    assert read_header(path) is None
    with pytest.raises(ValueError, match=f"a.jpg {message}"):
        read_image(path)


def test_missing(tmp_path):
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "ring.jpg").symlink_to(tmp_path / "ring.jpg")
    (tmp_path / "file").write_bytes(b"")
    names = ("a.jpg", "link.jpg", "ring.jpg", "file/a.jpg")
    for name, read in itertools.product(names, (read_image, read_header)):
        with pytest.raises(FileNotFoundError, match=rf"no image file .*{name}$"):
            read(tmp_path / name)


def test_a_name_that_no_file_can_have_is_shown_in_short(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no image file a{250}…a{246}\.jpg$"):
        read_image("a" * 5000 + ".jpg")
    with pytest.raises(ValueError, match=r"the image file 'a\\x00b\.jpg' cannot be there"):
        read_image("a\0b.jpg")
    with pytest.raises(FileNotFoundError, match=r"no image file 'a\\nb\\udcff\.jpg'$"):
        read_image("a\nb\udcff.jpg")


def test_only_regular_files_are_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket may not be long
    os.mkfifo("pipe.png")
    (tmp_path / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("socket.png")
        for name, kind in {
            "pipe.png": "a named pipe",
            "folder.png": "a folder",
            "socket.png": "a socket",
            "/dev/zero": "a device",
        }.items():
            for read in (read_image, read_header):
                with pytest.raises(ValueError, match=f"{name} is {kind} and no image file"):
                    read(name)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = _file(tmp_path, "a.png")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(PermissionError, match=r"a\.png may not be read: permission denied"):
        read_image(path)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="this file is of Linux")
def test_an_error_of_the_disk_names_the_file():
    # The memory of this process, in which nothing stands at place 0.
    with pytest.raises(OSError, match="/proc/self/mem cannot be read: Input/output error"):
        read_image("/proc/self/mem")


def test_a_file_larger_than_opencv_takes_is_not_read(tmp_path):
    with open(tmp_path / "a.tif", "wb") as file:
        file.truncate(50 * 2**30)  # of no weight on the disk
    with pytest.raises(ValueError, match=r"a\.tif has 53687091200 bytes, and OpenCV reads no more"):
        read_image(tmp_path / "a.tif")


FUZZED = (
    ("JPEG", {}),
    ("PNG", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("WEBP", {}),
)


@pytest.mark.parametrize(("kind", "options"), FUZZED)
def test_damage_gives_an_image_or_a_value_error(tmp_path, kind, options):
    rng = np.random.default_rng(2)
    whole = saved(tmp_path / "a", kind, 6, PICTURE, **options).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(100):
            data = bytearray(whole[: rng.integers(len(whole)) if n % 3 == 0 else None])
            flipped = rng.integers(0, min(len(data), 300) or 1, 4)
            for place in flipped[: len(data)]:
                data[place] = rng.integers(256)
            (tmp_path / "b").write_bytes(data)
            assert read_header(tmp_path / "b") == read_header(bytes(data))
            try:
                image = ImageReader(bit_depth=12).read(tmp_path / "b")
            except ValueError as error:
                text = str(error)
            else:
                text = f"{tmp_path / 'b'} is {image.dtype} of {image.shape[2]} channels"
                assert text.endswith("b is uint8 of 3 channels")
            assert str(tmp_path / "b") in text and "\n" not in text


# Kinds of pictures -------------------------------------------------------------------------------

GREY = PICTURE[:, :, 0]


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "L", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("PNG", "P", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "LA", {}),
        ("PNG", "1", {}),
        ("TIFF", "1", {"compression": "group4"}),
        ("TIFF", "RGB", {"big_tiff": True}),
        ("BMP", "RGB", {}),
        ("PPM", "RGB", {}),
        ("JPEG2000", "RGB", {}),
        ("JPEG2000", "RGB", {"no_jp2": True}),
        ("WEBP", "RGBA", {"lossless": True}),
    ],
)
def test_many_kinds_are_read_as_pillow_reads_them(tmp_path, kind, mode, options):
    image = Image.fromarray(PICTURE[:, :, ::-1]).convert(mode)
    image.save(tmp_path / "a", kind, **options)
    expected = np.asarray(Image.open(tmp_path / "a").convert("RGB"))[:, :, ::-1]
    found = read_image(tmp_path / "a")
    assert np.abs(found.astype(int) - expected).max() <= 1
    header = read_header(tmp_path / "a")
    if kind == "PPM":
        assert header is None
    else:
        assert header == ImageHeader(60, 40, bits=1 if mode == "1" else 8)


def test_cmyk_jpegs_are_read(tmp_path):
    Image.new("CMYK", (60, 40), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - (0, 0, 255)).max() <= 2  # red


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_of_a_moving_picture_the_first_is_read(tmp_path, kind):
    frames = [Image.new("RGB", (60, 40), colour) for colour in ("blue", "red")]
    frames[0].save(tmp_path / "a", kind, save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(read_image(tmp_path / "a")[0, 0], (255, 0, 0))
    assert read_header(tmp_path / "a") == ImageHeader(60, 40)


@pytest.mark.parametrize("bottom_up", [True, False])
def test_the_header_of_a_bmp_has_its_height_either_way_up(tmp_path, bottom_up):
    path = _file(tmp_path, "a.bmp")
    data = bytearray(path.read_bytes())
    data[22:26] = struct.pack("<i", 40 if bottom_up else -40)
    path.write_bytes(data)
    assert read_header(path) == ImageHeader(60, 40)
    assert np.array_equal(read_image(path), PICTURE if bottom_up else PICTURE[::-1])


def test_headers_of_rare_kinds(tmp_path):
    _file(tmp_path, "a.sr")
    assert read_header(tmp_path / "a.sr") == ImageHeader(60, 40)
    Image.fromarray(GREY).save(tmp_path / "a.gif")
    assert read_header(tmp_path / "a.gif") == ImageHeader(60, 40)
    old = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 60, 40, 1, 24)
    assert read_header(old) == ImageHeader(60, 40)
    assert read_header(b"RIFF" + bytes(4) + b"WAVE") is None
    saved(tmp_path / "a.webp", "WEBP", quality=80)
    assert read_header(tmp_path / "a.webp") == ImageHeader(48, 32)


def test_floats_are_refused_with_their_bits(tmp_path):
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif cannot be decoded; it has 32 bits a channel"):
        read_image(tmp_path / "a.tif")


# Orientation -------------------------------------------------------------------------------------

KINDS = (
    ("JPEG", {"quality": 95, "subsampling": 0}),
    ("PNG", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_deflate", "big_tiff": True}),
    ("WEBP", {"lossless": True}),
)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_pictures_are_turned_upright(tmp_path, kind, options, orientation):
    path = saved(tmp_path / "a", kind, orientation, **options)
    assert read_header(path) == ImageHeader(48, 32, orientation=orientation)
    found = read_image(path)
    assert found.flags.c_contiguous
    expected = TURNED[orientation - 1]
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 3
    peer = np.asarray(ImageOps.exif_transpose(Image.open(path)))[:, :, ::-1]
    assert np.abs(found.astype(int) - peer).max() <= 1
    stored = ImageReader("stored").read(path)
    assert np.abs(stored.astype(int) - COLOURS).max() <= 3


def test_the_big_end_may_be_first(tmp_path):
    path = _file(tmp_path, "a.jpg")
    # Big-endian TIFF with one tag: 0x0112 (orientation), a short, 1 value: 6 (turn right).
    tag = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    tiff = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01" + tag + b"\x00\x00\x00\x00"
    path.write_bytes(_with_exif(path.read_bytes(), tiff))
    assert cv2.imread(str(path)).shape == (60, 40, 3)
    assert read_image(path).shape == (60, 40, 3)


def test_exif_behind_the_pixels_of_a_png_counts(tmp_path):
    data = saved(tmp_path / "a.png", "PNG", 6).read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    last = data.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(data[:start] + data[end:last] + data[start:end] + data[last:])
    assert np.array_equal(read_image(tmp_path / "a.png"), TURNED[5])


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"II",
        b"XX*\0\x08\0\0\0",
        b"II*\0\xff\xff\xff\xff",  # a directory far behind the end
        b"II*\0\x08\0\0\0\xff\xff\x12\x01",  # 65535 tags, cut off
        b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x09\0\0\0",  # orientation 9
        b"II*\0\x08\0\0\0\1\0\x12\1\3\0\xff\xff\xff\xff\x06\0\0\0",  # 2 ** 32 - 1 values
        b"II*\0\x08\0\0\0\1\0\x12\1\2\0\1\0\0\0\x06\0\0\0",  # a text
        b"II+\0\x08\0\0\0" + b"\xff" * 16,  # 64 bits, a place that no file has
    ],
)
def test_damaged_exif_is_none(tmp_path, exif):
    path = _file(tmp_path, "a.jpg")
    path.write_bytes(_with_exif(path.read_bytes(), exif))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_header(path) == ImageHeader(60, 40)
        assert read_image(path).shape == (40, 60, 3)


def test_opencv_is_left_nothing_to_turn():
    for orientation in range(1, 9):
        file = BytesIO()
        saved(file, "TIFF", orientation)
        data = without_orientation(file.getvalue())
        assert read_header(data) == ImageHeader(48, 32, orientation=1)
        assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), 1), COLOURS)
    assert without_orientation(b"II, no TIFF") == b"II, no TIFF"


UPRIGHT, STORED = (48, 32), (32, 48)  # of COLOURS with orientation 6


@pytest.mark.parametrize(
    ("choice", "size", "expected"),
    [
        ("auto", UPRIGHT, 5),
        ("auto", STORED, 0),
        ("auto", None, 5),
        ("upright", UPRIGHT, 5),
        ("upright", None, 5),
        ("stored", STORED, 0),
        ("stored", None, 0),
    ],
)
def test_a_declared_size_tells_whether_a_picture_is_turned(tmp_path, choice, size, expected):
    path = saved(tmp_path / "a.png", "PNG", 6)
    assert np.array_equal(ImageReader(choice).read(path, size), TURNED[expected])


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_where_both_sizes_fit_a_picture_is_upright(tmp_path, orientation):
    path = saved(tmp_path / "a.png", "PNG", orientation)
    assert np.array_equal(ImageReader().read(path, (32, 48)), TURNED[orientation - 1])
    assert np.array_equal(ImageReader("stored").read(path, (32, 48)), COLOURS)
    square = saved(tmp_path / "b.png", "PNG", 6, COLOURS[:, :32])
    assert np.array_equal(ImageReader().read(square, (32, 32)), TURNED[5][:32])


@pytest.mark.parametrize(
    ("choice", "size", "message"),
    [
        ("auto", (30, 48), "32 wide and 48 high, but the annotation file says 48 and 30; correct"),
        ("upright", STORED, "32 wide and 48 high, .* 48 and 32; .* 6, is not applied: .* auto"),
        ("stored", UPRIGHT, "48 wide and 32 high, .* 32 and 48; .* 6, is applied: .*N auto"),
        ("stored", (7, 7), "48 wide and 32 high, .* says 7 and 7; correct"),
    ],
)
def test_another_size_than_declared_is_an_error(tmp_path, choice, size, message):
    path = saved(tmp_path / "a.png", "PNG", 6)
    with pytest.raises(ValueError, match=rf"a\.png is {message}"):
        ImageReader(choice).read(path, size)


def test_swapped_sides_may_come_from_an_orientation_that_was_lost(tmp_path):
    path = saved(tmp_path / "a.png", "PNG")
    with pytest.raises(ValueError, match=r"says 32 and 48; the two are swapped: .* lost its EXIF"):
        ImageReader().read(path, np.array([48, 32]))


def test_a_kind_without_a_header_has_its_size_looked_at_too(tmp_path):
    path = saved(tmp_path / "a.ppm", "PPM")
    assert np.array_equal(ImageReader().read(path, STORED), COLOURS)
    with pytest.raises(ValueError, match="32 high, but the annotation file says 9 and 9"):
        ImageReader().read(path, (9, 9))
    with pytest.raises(ValueError, match=r"1536 pixels, more than INPUT\.MAX_PIXELS"):
        ImageReader(max_pixels=1535).read(path)


# Size --------------------------------------------------------------------------------------------


def _chunk(kind, content):
    return (
        *(len(content).to_bytes(4, "big"), kind, content),
        zlib.crc32(kind + content).to_bytes(4, "big"),
    )


def _large_png(side):
    """Return a whole PNG of ``side`` x ``side`` black pixels, 1 bit each."""
    pack = zlib.compressobj()
    rows = [pack.compress(bytes(1 + side // 8)) for _ in range(side)]
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = (
        *_chunk(b"IHDR", header),
        *_chunk(b"IDAT", b"".join(rows) + pack.flush()),
        *_chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path):
    (tmp_path / "a.png").write_bytes(_large_png(32_000))
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"a\.png is 32000 wide .* more than INPUT.MAX_PIXELS"):
            read_image(tmp_path / "a.png")
    assert time.monotonic() - started < 5  # decoded, it takes a minute and 6 GB
    (tmp_path / "b.png").write_bytes(_large_png(104))
    assert ImageReader(max_pixels=104 * 104).read(tmp_path / "b.png").shape == (104, 104, 3)
    with pytest.raises(ValueError, match=r"10816 pixels, more than .* which is 10815; give"):
        ImageReader(max_pixels=10815).read(tmp_path / "b.png")


def test_another_size_is_found_before_decoding(tmp_path):
    path = _file(tmp_path, "a.png")
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 20] ^= 255  # so that it cannot be decoded
    path.write_bytes(data)
    with pytest.raises(ValueError, match="but the annotation file says 9 and 9"):
        ImageReader().read(path, (9, 9))


# 16 bits -----------------------------------------------------------------------------------------

DEEP = np.array([[0, 15, 16, 4095], [4096, 256, 255, 65535]], np.uint16)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_become_the_8_highest_that_are_used(tmp_path, name, channels):
    path = tmp_path / name
    cv2.imwrite(str(path), DEEP if channels == 1 else DEEP[:, :, None].repeat(3, axis=2))
    assert read_header(path) == ImageHeader(4, 2, bits=16)
    expected = {
        8: [[0, 15, 16, 255], [255, 255, 255, 255]],
        10: [[0, 3, 4, 255], [255, 64, 63, 255]],
        12: [[0, 0, 1, 255], [255, 16, 15, 255]],
    }
    for depth, values in expected.items():
        found = ImageReader(bit_depth=depth).read(path)
        assert found.dtype == np.uint8 and found.flags.c_contiguous
        assert np.array_equal(found, np.array(values)[:, :, None].repeat(3, axis=2))
    before = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert np.array_equal(read_image(path), before)
    assert np.array_equal(read_values(path), DEEP[:, :, None].repeat(3, axis=2))


def test_8_bits_stay_as_they_are(tmp_path):
    assert np.array_equal(ImageReader(bit_depth=12).read(_file(tmp_path, "a.png")), PICTURE)
    assert np.array_equal(ImageReader(bit_depth=12).read(saved(tmp_path / "a.ppm", "PPM")), COLOURS)
