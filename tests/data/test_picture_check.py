import os

import numpy as np
import pytest
from PIL import Image

from pet.data.image_file import ImageReader
from pet.data.picture_check import (
    PictureReport,
    describe,
    describe_names,
    inspect_headers,
    looks_dark,
    resolve_names,
)
from pet.utils.opencv import cv2

READER = ImageReader()


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def saved(path, orientation=1, size=(6, 4)):
    """Write a picture of a (width, height) with an EXIF orientation, and return its path."""
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.new("RGB", size, "blue").save(path, exif=exif)
    return path


# Names -------------------------------------------------------------------------------------------

MANY = tuple(f"{n}.png" for n in range(40))  # of so many, the folder is listed


@pytest.mark.parametrize("others", [(), MANY], ids=["asked for", "listed"])
def test_names_are_found_wherever_they_are(tmp_path, others):
    images = tmp_path / "images"
    touch(images, *MANY, "a.png", "sub/b.png", "sub/deep/c.png", "back\\slash.png", "sub/folder/x")
    touch(tmp_path, "beside.png")
    (images / "link.png").symlink_to(tmp_path / "beside.png")
    (images / "dangling.png").symlink_to(tmp_path / "nowhere")
    (images / "way").symlink_to(images / "sub")
    os.mkfifo(images / "pipe.png")
    there = ["a.png", "sub/b.png", "sub//b.png", "./a.png", "../beside.png", "sub/../a.png"]
    there += ["link.png", "way/b.png", str(tmp_path / "beside.png"), "back\\slash.png"]
    missing = ["dangling.png", "sub", "sub/", "", "sub/folder", "b.png", "sub/none/c.png", "A.bmp"]
    missing += ["pipe.png", "a\0b.png", "a" * 5000, "../a.png", "none\\a.png", "a.png/x"]
    names = [*there, "sub\\b.png", "sub\\deep/c.png", "..\\beside.png", *missing, *others]
    resolved, lost = resolve_names(images, names)
    slashed = ["sub/b.png", "sub/deep/c.png", "../beside.png"]
    assert resolved == [*there, *slashed, *missing, *others]
    first = len(there) + len(slashed)
    assert lost == list(range(first, first + len(missing)))


def test_of_many_names_with_backslashes_all_are_found(tmp_path):
    touch(tmp_path, *(f"sub/{name}" for name in MANY))
    names = [f"sub\\{name}" for name in MANY] + ["sub\\none.png"]
    expected = [f"sub/{name}" for name in MANY] + ["sub\\none.png"]
    assert resolve_names(tmp_path, names) == (expected, [40])


def test_a_folder_that_is_not_there_has_none_of_the_names(tmp_path):
    assert resolve_names(tmp_path / "none", MANY) == (list(MANY), list(range(40)))
    assert resolve_names(tmp_path, []) == ([], [])


def test_a_folder_is_listed_once_and_its_files_are_not_asked_for(tmp_path, monkeypatch):
    touch(tmp_path, *MANY, *(f"sub/{name}" for name in MANY))
    listed, scan = [], os.scandir

    def count(folder):
        listed.append(os.fspath(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", count)
    monkeypatch.setattr(os.path, "isfile", lambda path: pytest.fail(f"{path} was asked for"))
    assert resolve_names(tmp_path, [*MANY, *(f"sub/{name}" for name in MANY)])[1] == []
    assert len(listed) == 2


def test_names_with_folders_of_another_place_are_found_by_their_end(tmp_path):
    touch(tmp_path, "1.png", "sub/2.png", "a b.png", "d\u00e9.png", "5%20.png", "6.png")
    names = {
        "images/1.png": "1.png",
        "images\\1/sub/2.png": "sub/2.png",
        "../../media/upload/4/a%20b.png": "a b.png",
        "C:\\images\\d%C3%A9.png": "d\u00e9.png",
        "images/5%20.png": "5%20.png",
        "/data/local-files/?d=6.png": "6.png",
    }
    assert resolve_names(tmp_path, list(names)) == (list(names.values()), [])
    both = ["1.png", "other/1.png", "a/6.png", "b/6.png", "c/none.png", "a/6.png"]
    assert resolve_names(tmp_path, both) == (both, [1, 2, 3, 4, 5])
    assert resolve_names(tmp_path, ["a/6.png", "a/6.png"]) == (["6.png", "6.png"], [])
    lines = describe_names([("a\\b.png", "a/b.png"), ("c/d.png", "d.png")])
    assert lines[0] == "1 file names have backslashes, and are read with slashes"
    assert lines[1].startswith("1 file names are no files") and "c/d.png as d.png" in lines[1]


def test_where_upper_and_lower_case_are_one_a_name_is_found(tmp_path, monkeypatch):
    touch(tmp_path, *MANY)
    asked = os.path.isfile
    monkeypatch.setattr(os.path, "isfile", lambda path: asked(path.lower()))
    names = [name.upper() for name in MANY]
    assert resolve_names(tmp_path, names) == (names, [])


# Pictures ----------------------------------------------------------------------------------------


def test_what_orientations_do_to_the_declared_sizes(tmp_path):
    cases = [  # orientation, (width, height), declared (height, width)
        (1, (6, 4), (4, 6)),
        (6, (6, 4), (6, 4)),  # fits upright only
        (8, (6, 4), (4, 6)),  # fits as stored only
        (3, (6, 4), (4, 6)),  # fits both ways
        (5, (6, 6), (6, 6)),  # likewise, as it is square
        (1, (6, 4), (6, 4)),  # fits neither way
        (6, (6, 4), (5, 4)),
        (9, (6, 4), (4, 6)),  # no orientation
    ]
    paths = [saved(tmp_path / f"{n}.png", *case[:2]) for n, case in enumerate(cases)]
    sizes = np.array([case[2] for case in cases])
    report = inspect_headers(paths, sizes, READER)
    assert report == PictureReport(
        8, turned=(1,), as_stored=(2,), unknown=(3, 4), wrong_size=((5, (6, 4)), (6, (6, 4)))
    )
    # What is found is what reading does.
    for n, path in enumerate(paths):
        if n in (5, 6):
            with pytest.raises(ValueError, match="but the annotation file says"):
                READER.read(path, sizes[n])
        else:
            assert READER.read(path, sizes[n]).shape[:2] == tuple(sizes[n])
    upright = inspect_headers(paths, sizes, ImageReader("upright"))
    assert upright == PictureReport(8, wrong_size=((2, (6, 4)), (5, (6, 4)), (6, (6, 4))))
    stored = inspect_headers(paths, sizes, ImageReader("stored"))
    assert stored == PictureReport(8, wrong_size=((1, (6, 4)), (5, (6, 4)), (6, (6, 4))))


def test_what_cannot_be_read_is_found_with_its_reason(tmp_path):
    good = saved(tmp_path / "good.png")
    (tmp_path / "text.png").write_text("version https://git-lfs.github.com/spec/v1")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.new("RGB", (6, 4)).save(tmp_path / "rare.ppm")
    names = ["text.png", "empty.png", "rare.ppm", "none.png"]
    paths = [good, *(tmp_path / name for name in names)]
    report = inspect_headers(paths, [(4, 6)] * 5, READER)
    assert [n for n, _ in report.unreadable] == [1, 2, 4]
    for (_, reason), words in zip(
        report.unreadable, ("cannot be decoded", "is empty", "there is no image"), strict=True
    ):
        assert words in reason
    assert report.wrong_size == ()
    [reason] = inspect_headers([good], [(4, 6)], ImageReader(max_pixels=23)).unreadable
    assert "24 pixels, more than INPUT.MAX_PIXELS" in reason[1]


def test_pictures_are_looked_at_evenly_spaced(tmp_path):
    paths = [tmp_path / f"{n}.png" for n in range(1001)]  # none of which is there
    report = inspect_headers(paths, np.zeros((1001, 2), int), READER, most=5)
    assert report.looked == 5
    assert [n for n, _ in report.unreadable] == [0, 250, 500, 750, 1000]
    assert inspect_headers(paths[:3], np.zeros((3, 2), int), READER, most=5).looked == 3
    assert inspect_headers(paths[:3], np.zeros((3, 2), int), READER, most=1).looked == 1
    assert inspect_headers([], [], READER) == PictureReport(0)


def deep(path, highest):
    values = np.zeros((4, 6), np.uint16)
    values[1, 2] = highest
    assert cv2.imwrite(str(path), values)
    return path


@pytest.mark.parametrize(
    ("highest", "dark"), [(0, False), (1, True), (4095, True), (4096, False), (65535, False)]
)
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_values_of_12_bits_are_dark(tmp_path, name, highest, dark):
    path = deep(tmp_path / name, highest)
    assert inspect_headers([path], [(4, 6)], READER).dark == ((0,) if dark else ())
    assert inspect_headers([path], [(4, 6)], ImageReader(bit_depth=12)).dark == ()
    assert looks_dark(path, READER.read(path)) is dark


def test_a_night_in_8_bits_is_not_dark(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 6, 3), 3, np.uint8))
    assert inspect_headers([tmp_path / "a.png"], [(4, 6)], READER) == PictureReport(1)
    assert not looks_dark(tmp_path / "a.png", READER.read(tmp_path / "a.png"))


def test_eight_pictures_are_decoded_to_see_whether_they_are_dark(tmp_path):
    paths = [deep(tmp_path / f"{n}.png", 4000) for n in range(15)]
    assert inspect_headers(paths, [(4, 6)] * 15, READER).dark == tuple(range(0, 15, 2))
    data = bytearray(paths[4].read_bytes())
    data[data.index(b"IDAT") + 6] ^= 255
    paths[4].write_bytes(data)
    report = inspect_headers(paths, [(4, 6)] * 15, READER)
    assert 4 not in report.dark
    assert [n for n, _ in report.unreadable] == [4]


# Lines -------------------------------------------------------------------------------------------

PATHS = [f"{n}.jpg" for n in range(8)]
IDS = [10 * n for n in range(8)]


def test_nothing_found_is_no_line():
    assert describe(PictureReport(8), PATHS, IDS, READER) == []


def test_each_finding_is_one_line():
    report = PictureReport(
        80,
        turned=(1,),
        as_stored=(0, 2),
        unknown=tuple(range(8)),
        wrong_size=((3, (6, 4)), (7, (5, 9))),
        dark=(4,),
        unreadable=((5, "the image file 5.jpg is empty"),),
    )
    assert describe(report, PATHS, IDS, READER) == [
        "1 of 80 pictures looked at has the declared size only when turned as the EXIF orientation "
        "says, and so they are turned (INPUT.ORIENTATION auto); by image id: 10 (1.jpg)",
        "2 of 80 pictures looked at have an EXIF orientation, but the declared size only as "
        "stored, and so they are not turned (INPUT.ORIENTATION auto); by image id: 0 (0.jpg), "
        "20 (2.jpg)",
        "8 of 80 pictures looked at have an EXIF orientation, and their size does not tell whether "
        "the annotations count in upright pixels: they are turned upright, as Detectron2 does; "
        "INPUT.ORIENTATION stored leaves them as they are; by image id: 0 (0.jpg), 10 (1.jpg), "
        "20 (2.jpg), 30 (3.jpg), 40 (4.jpg), …",
        "2 of 80 pictures looked at have another size, as width x height, than the annotation file "
        "says (INPUT.ORIENTATION auto); by image id: 30 (3.jpg): 6 x 4, 70 (7.jpg): 5 x 9",
        "1 of 80 pictures looked at has 16 bits a channel and no value above 4095, so that they "
        "are nearly black to the model; if 12 bits are used, give INPUT.BIT_DEPTH 12; by image id: "
        "40 (4.jpg)",
        "1 of 80 pictures looked at cannot be read; by image id: 50: the image file 5.jpg is empty",
    ]
