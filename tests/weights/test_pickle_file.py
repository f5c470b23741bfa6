"""Pickles: arrays of every protocol and of Python 2 are read, and nothing else runs."""

import collections
import os
import pickle
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from pet.weights.pickle_file import read_pickle_file


def read(tmp_path: Path, content: bytes):
    path = tmp_path / "w.pkl"
    path.write_bytes(content)
    return read_pickle_file(path)


def refused(tmp_path: Path, content: bytes, what: str) -> None:
    message = rf"w\.pkl is refused, and nothing of it was run: .*{re.escape(what)}"
    with pytest.raises(ValueError, match=message):
        read(tmp_path, content)


# What is read ------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values(tmp_path, protocol):
    value = {
        "a": [1, -2.5, True, None, 2**70],
        "b": ("text", b"bytes\xff", b"", "\u4e2d"),
        3: {"nested": [[], {}, ()]},
    }
    assert read(tmp_path, pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_ordered_dict_becomes_a_dict(tmp_path, protocol):
    value = collections.OrderedDict([("b", 1), ("a", 2)])
    found = read(tmp_path, pickle.dumps(value, protocol))
    assert type(found) is dict
    assert list(found.items()) == [("b", 1), ("a", 2)]


ARRAYS = {
    "float32": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7,
    "float16": np.array([1.5, -2], np.float16),
    "int64": np.array([[2**40, -3]]),
    "uint8": np.arange(256, dtype=np.uint8),
    "bool": np.array([True, False]),
    "big-endian": np.array([1.25, 3], ">f4"),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "transposed": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
    "strided": np.arange(10.0)[::3],
    "0-d": np.array(3.5),
    "empty": np.zeros((0, 4), np.float32),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(tmp_path, name, protocol):
    array = ARRAYS[name]
    found = read(tmp_path, pickle.dumps({"x": array}, protocol))["x"]
    assert type(found) is np.ndarray
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.dtype.isnative and found.flags.c_contiguous and found.flags.writeable
    assert found.shape == array.shape
    assert np.array_equal(found, array)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [np.float32(1.5), np.int64(-7), np.bool_(True)])
def test_scalars_become_numbers(tmp_path, value, protocol):
    found = read(tmp_path, pickle.dumps([value], protocol))
    assert found == [value.item()]
    assert type(found[0]) is type(value.item())


def test_one_array_in_two_places_stays_one(tmp_path):
    array = np.ones(3)
    found = read(tmp_path, pickle.dumps({"a": array, "b": [array]}))
    assert found["a"] is found["b"][0]


def text2(text: bytes) -> bytes:
    """Return a text or bytes as Python 2 wrote them in protocol 2."""
    return b"T" + struct.pack("<i", len(text)) + text


def array2(array: np.ndarray) -> bytes:
    """Return ``array`` (float32, fewer than 256 cells a side) as numpy of Python 2 wrote it."""
    shape = b"(" + b"".join(b"K" + bytes([side]) for side in array.shape) + b"t"
    dtype = b"cnumpy\ndtype\n" + text2(b"f4") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + text2(b"<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text2(b"b")
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    data = text2(array.tobytes(order="A"))
    return (
        start + b"\x87R(K\x01" + shape + dtype + (b"\x88" if is_fortran else b"\x89") + data + b"tb"
    )


@pytest.mark.parametrize("name", ["float32", "empty", "fortran"])
def test_arrays_of_python_2(tmp_path, name):
    array = ARRAYS[name].astype(np.float32, order="K")
    content = b"\x80\x02}(" + text2(b"conv1_w") + array2(array) + b"u."
    expected = pickle.loads(content, encoding="latin1")  # numpy reads what the helper wrote
    assert np.array_equal(expected["conv1_w"], array)
    found = read(tmp_path, content)
    assert list(found) == ["conv1_w"]
    assert np.array_equal(found["conv1_w"], array)


def test_texts_of_python_2_are_latin_1(tmp_path):
    assert read(tmp_path, b"\x80\x02" + text2(b"caf\xe9") + b".") == "caf\xe9"


# What is not -------------------------------------------------------------------------------------


class Runs:
    """Unpickled, it calls ``function``."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_functions_are_refused_by_name(tmp_path, protocol):
    made = tmp_path / "made"
    system = f"{os.system.__module__}.system"
    refused(tmp_path, pickle.dumps({"x": Runs(os.system, f"touch {made}")}, protocol), system)
    code = f"open({str(made)!r}, 'w')"
    module = "builtins" if protocol > 2 else "__builtin__"
    refused(tmp_path, pickle.dumps([Runs(eval, code)], protocol), f"{module}.eval")
    assert not made.exists()


MARK = b"cos\nmkdir\n(V%s\ntR"  # os.mkdir("%s"): what must not happen


@pytest.mark.parametrize(
    "template",
    [
        b"%s.",
        b"(ios\nmkdir\nV%s\n.",  # INST
        b"(cos\nmkdir\nV%s\no.",  # OBJ
        b"\x80\x02cnumpy\ndtype\n%s\x85R.",  # inside the arguments of an allowed call
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n%s\x86R.",
        b"\x80\x02cnumpy\nndarray\n}%sb.",  # as the state of an allowed name
        b"\x80\x02cbuiltins\ngetattr\n%s\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c\x01x\x85R%s.",  # STACK_GLOBAL
    ],
)
def test_nested_calls_are_refused(tmp_path, template):
    made = tmp_path / "made"
    path = str(made).encode()
    inner = path if b"V%s" in template else MARK % path
    with pytest.raises(ValueError, match=r"w\.pkl is refused, .*(mkdir|getattr)"):
        read(tmp_path, template % inner)
    assert not made.exists()


@pytest.mark.parametrize(
    "name",
    [
        b"numpy\nload",
        b"numpy.core.multiarray\nfromfile",
        b"numpy._core.numeric\nload",
        b"_codecs\ndecode",
        b"collections\ndefaultdict",
        b"copyreg\n_reconstructor",
        b"torch._utils\n_rebuild_tensor_v2",
        b"__main__\n_STAND_INS",
        b"pet.weights.pickle_file\n_Array",
    ],
)
def test_other_names_are_refused(tmp_path, name):
    refused(
        tmp_path, b"\x80\x02c" + name + b"\n.", "it asks for " + name.decode().replace("\n", ".")
    )


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize(
    ("array", "what"),
    [
        (lambda made: np.array([Runs(os.mkdir, str(made))], object), ""),
        (lambda made: np.array([None, 1], object), "dtype 'O8'"),
        (lambda made: np.array(["text"]), "dtype 'U4'"),
        (lambda made: np.zeros(2, [("a", "f4"), ("b", "i8")]), "dtype 'V12'"),
        (lambda made: np.array(["2020-01-01"], "M8[D]"), "dtype 'M8'"),
        (lambda made: np.array([1j]), "dtype 'c16'"),
        (lambda made: np.matrix([[1.0]]), "numpy.matrix"),
    ],
)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_other_arrays_are_refused(tmp_path, array, what, protocol):
    made = tmp_path / "made"
    refused(tmp_path, pickle.dumps(array(made), protocol), what)
    assert not made.exists()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x80\x02cnumpy\nndarray\n.", "it holds numpy.ndarray as a value"),
        (b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R.", "it holds DType as a value"),
        (b"\x80\x02cnumpy\nndarray\n}b.", "it wants to change numpy.ndarray"),
        (b"\x80\x02cnumpy\nndarray\n)R.", "it makes an array in an unknown way"),
        (
            b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.",
            "encode to 'hex'",
        ),
        (b"\x80\x04\x8f.", "it holds set as a value"),
        (b"\x80\x02]q\x00h\x00a.", "it holds a list that contains itself"),
        (b"\x80\x02K\x01Q.", "it asks for an object that is kept elsewhere"),
    ],
)
def test_what_is_no_value(tmp_path, content, what):
    refused(tmp_path, content, what)


@pytest.mark.parametrize("value", [b"}", b"K\x01", b"cnumpy.core.numeric\n_frombuffer\n"])
def test_building_on_something_odd_changes_nothing(tmp_path, value):
    content = b"\x80\x02" + value + b"}X\x01\x00\x00\x00aK\x01sb."
    with pytest.raises(ValueError, match=r"w\.pkl.*(refused|no readable pickle)"):
        read(tmp_path, content)
    assert np.array_equal(read(tmp_path, pickle.dumps(np.ones(2))), np.ones(2))


def test_an_array_is_not_changed_once_it_is_whole(tmp_path):
    content = pickle.dumps(np.ones(2, np.float32), protocol=5)
    refused(tmp_path, content[:-1] + b"}b.", "it wants to change an array")


@pytest.mark.parametrize(
    ("shape", "count"), [((3,), 2), ((1,), 2), ((0,), 2), ((-2,), 2), ((2**62, 4), 2), ((2.0,), 2)]
)
def test_bytes_that_do_not_fit_the_shape(tmp_path, shape, count):
    whole = np.zeros(count, np.float32)
    kind, start, (version, _, dtype, order, data) = whole.__reduce__()
    changed = Runs(kind, *start)
    changed.call = kind, start, (version, shape, dtype, order, data)
    with pytest.raises(ValueError, match=r"w\.pkl \(\d+ bytes\) is no readable pickle: .*shape"):
        read(tmp_path, pickle.dumps(changed, protocol=2))


# Damage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(tmp_path, protocol, part):
    content = pickle.dumps({"x": np.arange(100.0), "y": np.ones(50)}, protocol)
    content = content[: int(len(content) * part)]
    with pytest.raises(
        ValueError, match=rf"w\.pkl \({len(content)} bytes\) is no .*: it is cut off"
    ):
        read(tmp_path, content)


def test_deep_nesting_is_damage(tmp_path):
    with pytest.raises(ValueError, match="no readable pickle"):
        read(tmp_path, b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".")


def test_what_refers_to_itself_many_times_is_looked_at_once(tmp_path):
    content = b"\x80\x02]q\x00"
    for index in range(60):  # each list holds the one before it twice: 2 to the 60 paths
        content += b"](h%ch%ceq%c" % (index, index, index + 1)
    found = read(tmp_path, content + b".")
    assert found[0] is found[1]


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.pkl"):
        read_pickle_file(tmp_path / "none.pkl")
