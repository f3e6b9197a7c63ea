"""Pickles of plain data are read whatever wrote them; everything else is refused by its name."""

import collections
import fractions
import io
import os
import pickle
import pickletools
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trajectories.formats.bridge.plain_pickle import PickleError, loads
from trajectories.formats.bridge.plain_pickle_writer import dumps

DTYPES = st.sampled_from(["?", "u1", "<i4", ">i4", "<i8", "f2", "<f4", "<f8", ">f8", "<U3", "S4"])
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
ARRAYS = DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, SHAPES))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | ARRAYS
)
PLAIN = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner, max_size=4)
    ),
    max_leaves=12,
)


def equal(a, b):
    """Equal values of equal types at every depth; the order of bytes, which NumPy changes at will, may differ."""
    if isinstance(b, np.ndarray):
        same_values = np.array_equal(a, b, equal_nan=b.dtype.kind == "f")
        kinds = (a.dtype.newbyteorder("="), b.dtype.newbyteorder("="))
        return isinstance(a, np.ndarray) and kinds[0] == kinds[1] and a.shape == b.shape and same_values
    if isinstance(b, dict):
        return type(a) is dict and list(a) == list(b) and all(equal(a[key], b[key]) for key in b)
    if isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


@given(value=PLAIN, protocol=st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_what_pickle_wrote_is_read_as_it_was(value, protocol):
    assert equal(loads(pickle.dumps(value, protocol)), value)


@given(value=PLAIN)
@settings(max_examples=100, deadline=None)
def test_what_is_written_here_is_read_here_and_by_pickle(value):
    content = dumps(value)
    assert equal(loads(content), value)
    assert equal(pickle.loads(content), value)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_names_of_numpy_1_and_2(protocol, module):
    shared = np.arange(6, dtype=">f8").reshape(2, 3).T  # not contiguous in C's order, so that no buffer is used
    value = {
        "a": shared,
        "again": shared,
        "other": np.arange(2, dtype=">f8"),
        "scalar": np.float32(1.5),
        "s": np.int64(7),
    }
    text, number = pickle.dumps(value, protocol), len(b"numpy._core.multiarray")
    for old in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        for length in (number, number - 1):  # of the short unicode strings in protocols 4 and 5
            text = text.replace(bytes([0x8C, length]) + old, bytes([0x8C, len(module)]) + module)
        text = text.replace(b"c" + old + b"\n", b"c" + module + b"\n")
    if protocol >= 4:  # frames have lost their length, which this reader and CPython's in-memory one don't mind
        assert module in text
    found = loads(text)
    assert equal(found["a"], shared)
    assert found["again"] is found["a"]
    assert equal(found["other"], value["other"])
    assert (type(found["scalar"]), found["scalar"], found["s"]) == (np.float32, 1.5, 7)


def test_the_protocol_of_python_2():
    text = b"(dp0\nS'state'\np1\n(lp2\nF0.5\naI01\naL5L\nasS'name'\nV\\u2192\ns."
    assert loads(text) == {"state": [0.5, True, 5], "name": "→"}
    assert loads(b"\x80\x02]q\x00(U\x03abcT\x04\x00\x00\x00\xff\x00abe.") == ["abc", b"\xff\x00ab"]


def test_arrays_of_objects_are_read_with_what_is_in_them():
    value = np.array([{"a": 1}, None, [np.arange(2)]], object)
    found = loads(pickle.dumps(value))
    assert found.dtype == object
    assert found[0] == {"a": 1}
    np.testing.assert_array_equal(found[2][0], [0, 1])


class Evil:
    """What its pickle asks for is a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Evil(os.system, "touch /tmp/regrasp_was_fooled"), "system"),
        ([np.arange(3), {"x": Evil(eval, "1 / 0")}], "eval"),
        (np.array([Evil(os.getcwd)], object), "getcwd"),
        (collections.OrderedDict(a=1), "OrderedDict"),
        (fractions.Fraction(1, 2), "Fraction"),
        (np.memmap, "memmap"),
        ({"a": os.system}, "system"),
        (np.ma.masked_array([1, 2], [0, 1]), "masked|MaskedArray|_mareconstruct"),
        ({1, 2}, "set|x8f"),
        (1 + 2j, "complex"),
        (np.zeros(2, complex), "c16"),
        (np.zeros(2, [("a", "f4")]), "V4"),
        (np.zeros(2, "M8[s]"), "M8"),
        (slice(1), "slice"),
    ],
)
def test_whatever_isnt_plain_is_refused_by_its_name(value, name, protocol, tmp_path):
    with pytest.raises(PickleError, match=name):
        loads(pickle.dumps(value, protocol))
    assert not os.path.exists("/tmp/regrasp_was_fooled")


def array_with_state(dtype_state, content=b"\0" * 16, code="O8"):
    """A pickle that gives NumPy's own constructors a state that they never wrote."""
    head = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    dtype = b"cnumpy\ndtype\n" + dumps((code, False, True))[2:-1] + b"R" + dumps(dtype_state)[2:-1] + b"b"
    return head + b"(K\x01" + dumps((2,))[2:-1] + dtype + b"\x89" + dumps(content)[2:-1] + b"tb."


@pytest.mark.parametrize(
    "content",
    [
        array_with_state((3, "|", None, None, None, -1, -1, 0)),  # pointers in the bytes of an array of objects
        array_with_state((3, "<", None, ("a",), {"a": 1}, 8, 8, 0), code="f8"),
        array_with_state((3, "<", None, None, None, -1, -1, 0), b"\0" * 15, "f8"),
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"(dS'__class__'\nN" + b"s}b.",
        b"cnumpy\ndtype\n}(S'a'\nNub.",
        b"\x80\x05\x97.",  # a buffer from elsewhere
        b"\x82\x01.",  # an extension
        b"Pid\n.",  # a persistent object
        b"(i" + b"os\nsystem\n.",
        b"r\xff\xff\xff\xffN.",
        b"Nr\xff\xff\xff\xff.",
        b"", b"N", b"(.", b"NN.",
        b"h\x00.", b"\x8a\xffab.", b"}NNNu.", b"](Ke.", b"\x85.", b"(N\x85s.", b"u.", b"S'a\n.",
        b"I" + b"9" * 5000 + b"\n.", b"Fx\n.", b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", b"]]}s.",
    ],
)  # fmt: skip
def test_damage_and_forgery_end_in_one_error(content):
    with pytest.raises(PickleError):
        loads(content)


@given(value=PLAIN, protocol=st.integers(0, 5), data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_flipped_or_missing_byte_is_read_or_refused(value, protocol, data):
    content = bytearray(pickle.dumps({"a": np.arange(3.0), "b": value}, protocol))
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] = data.draw(st.integers(0, 255))
    else:
        del content[place:]
    with suppress(PickleError):
        loads(bytes(content))


def test_a_list_that_holds_itself_ends():
    loop = []
    loop.append(loop)
    assert loads(pickle.dumps(loop))[0][0] is not None


def test_every_opcode_is_known_or_refused():
    """CPython has no opcode that would be taken for another."""
    for opcode in pickletools.opcodes:
        with pytest.raises(PickleError):
            loads(opcode.code.encode("latin1"))


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, 1j, np.zeros(1, object), np.zeros(1, complex), np.zeros(1, "M8[s]")]
)
def test_what_isnt_plain_isnt_written(value):
    with pytest.raises(TypeError):
        dumps({"a": [value]})


def test_big_arrays_come_back_as_their_own_memory():
    value = np.arange(10000.0)
    found = loads(pickle.dumps(value, 5))
    found += 1  # not read-only, not the file's bytes
    np.testing.assert_array_equal(found, value + 1)
    assert loads(io.BytesIO(dumps(value)).getvalue()).flags.writeable
