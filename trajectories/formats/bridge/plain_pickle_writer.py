"""Writing plain data as a pickled file that Python 3 with NumPy 1 or NumPy 2 reads."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + b"K\x00\x85" + b"C\x01b" + b"\x87R"
"""NumPy 2 still finds its function under NumPy 1's name; the reverse fails in most versions."""
_KINDS = "biufUS"


def dumps(value: Any) -> bytes:
    """Encode plain data in protocol 3.

    Args:
        value: Mappings, lists, tuples, text, bytes, numbers, bool, None, arrays and scalars of NumPy without objects.

    Raises:
        TypeError: Something else is in it.
    """
    return b"\x80\x03" + _encode(value) + b"."


def _encode(value: Any) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, bool | np.bool_):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int | np.integer):
        return _integer(int(value))
    if isinstance(value, float | np.floating):
        return b"G" + struct.pack(">d", float(value))
    if isinstance(value, str):
        return _sized(b"X", value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bytes):
        return _sized(b"B", value)
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, Mapping):
        return b"}(" + b"".join(_encode(key) + _encode(item) for key, item in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(_encode(item) for item in value) + b"e"
    if isinstance(value, tuple):
        return b"(" + b"".join(_encode(item) for item in value) + b"t"
    raise TypeError(f"{type(value).__name__} isn't plain data")


def _sized(opcode: bytes, content: bytes) -> bytes:
    return opcode + struct.pack("<I", len(content)) + content


def _integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    if len(content) > 255:
        raise TypeError(f"an integer of {value.bit_length()} bits isn't plain data")
    return b"\x8a" + bytes([len(content)]) + content


def _array(array: np.ndarray[Any, Any]) -> bytes:
    if array.dtype.kind not in _KINDS or (array.dtype.kind == "f" and array.dtype.itemsize > 8):
        raise TypeError(f"an array of dtype {array.dtype} isn't plain data")
    content = array.tobytes()
    state = _integer(1) + _encode(tuple(array.shape)) + _dtype(array.dtype) + b"\x89" + _sized(b"B", content)
    return _ARRAY + b"(" + state + b"tb"


def _dtype(dtype: np.dtype[Any]) -> bytes:
    order = {"=": "<" if np.little_endian else ">"}.get(dtype.byteorder, dtype.byteorder)
    width, alignment = (dtype.itemsize, dtype.alignment) if dtype.kind in "US" else (-1, -1)
    state = (3, order, None, None, None, width, alignment, 8 if dtype.kind == "U" else 0)
    return b"cnumpy\ndtype\n" + _encode((dtype.str[1:], False, True)) + b"R" + _encode(state) + b"b"
