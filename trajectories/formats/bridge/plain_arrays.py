"""What the few names that NumPy's pickles use stand for: checked constructions of arrays, scalars and dtypes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_SIMPLE = re.compile(r"(b1|[iu][1248]|f[248])|O8?|[US]\d{1,6}")
"""Booleans, integers, floats, objects, text: no structures, no times, no complex numbers."""
_MOST_EMPTY = 4096
_PLAIN = (str, bytes, int, float, bool, type(None))


class NotPlain(Exception):
    """The file holds what isn't plain data; the message goes on from "it ..."."""


@dataclass(frozen=True)
class Name:
    """A class or function that the file names; never looked up."""

    module: str
    attribute: str

    def __post_init__(self) -> None:
        if not isinstance(self.module, str) or not isinstance(self.attribute, str):
            raise NotPlain("it names a class by what isn't text")

    @property
    def key(self) -> str:
        """The name in `FUNCTIONS`: NumPy 1's and NumPy 2's modules alike, Python 2's and 3's alike."""
        module = self.module.replace("numpy._core.", "numpy.core.").replace("__builtin__", "builtins")
        return f"{module}.{self.attribute}"

    def __str__(self) -> str:
        return f"{self.module}.{self.attribute}"


@dataclass
class UnfilledArray:
    """An array between its construction and its content."""


@dataclass
class UnfilledType:
    """A dtype before its byte order is known.

    Attributes:
        code: NumPy's, such as "f8".
        order: "<", ">" or "|".
    """

    code: str
    order: str = "|"

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's."""
        return np.dtype(self.code if self.order == "|" else self.order + self.code)


def _type(code: Any = None, *_: Any) -> UnfilledType:
    text = code.decode("ascii") if isinstance(code, bytes) else code
    if not isinstance(text, str) or not _SIMPLE.fullmatch(text):
        raise NotPlain(f"it has an array of the dtype {code!r}; expected booleans, integers, floats or text")
    return UnfilledType(text)


def _reconstruct(kind: Any = None, *_: Any) -> UnfilledArray:
    if type(kind) is not Name or kind.key != "numpy.ndarray":
        raise NotPlain(f"it asks for {kind}, which is refused: of NumPy's classes only ndarray is read")
    return UnfilledArray()


def _scalar(kind: Any, content: Any = None) -> Any:
    if type(kind) is not UnfilledType or kind.code.startswith("O"):
        raise NotPlain("it has a NumPy scalar that is no number and no text")
    return _from_bytes(content, kind.dtype, (), "C")[()]


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any = "C") -> np.ndarray[Any, Any]:
    if type(kind) is not UnfilledType or kind.code.startswith("O"):
        raise NotPlain("it has an array of objects in a buffer")
    return _from_bytes(content, kind.dtype, shape, order)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Python 3's bytes in protocols 0 to 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise NotPlain(f"it encodes text as {encoding!r}; expected latin1")
    return text.encode("latin1")


def _bytes(content: Any = b"", *_: Any) -> bytes:
    if not isinstance(content, bytes):
        raise NotPlain("it makes bytes of what isn't bytes")
    return content


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy.dtype": _type,
    "_codecs.encode": _encode,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
}
"""Name (`Name.key`) -> what is done instead of calling it."""


def fill(target: Any, state: Any) -> Any:
    """Give an array or a dtype its state, as `__setstate__` would.

    Raises:
        NotPlain: The state is no plain array's, or `target` is something else.
    """
    if type(target) is UnfilledType:
        order, structure = state[1], state[2:5]
        order = order.decode("ascii") if isinstance(order, bytes) else order
        if order not in ("<", ">", "|", "=") or any(part is not None for part in structure):
            raise NotPlain("it has a structured dtype; expected booleans, integers, floats or text")
        target.order = "|" if order == "=" else order  # in place: the memo already has it
        return target
    if type(target) is not UnfilledArray:
        raise NotPlain(f"it gives a state to a {type(target).__name__}, which plain data don't need")
    shape, kind, fortran, content = state[-4:]
    if type(kind) is not UnfilledType:
        raise NotPlain("it has an array without a dtype")
    if kind.code.startswith("O"):
        return _objects(content, shape)
    return _from_bytes(content, kind.dtype, shape, "F" if fortran else "C")


def _sizes(shape: Any) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if len(sizes) > 32 or any(type(size) is not int or size < 0 for size in sizes):
        raise ValueError(f"an array of shape {shape!r}")
    return sizes


def _from_bytes(content: Any, dtype: np.dtype[Any], shape: Any, order: Any) -> np.ndarray[Any, Any]:
    sizes = _sizes(shape)
    if isinstance(content, str):  # Python 2's, which happened to be ASCII
        content = content.encode("latin1")
    if not isinstance(content, bytes) or len(content) != math.prod(sizes) * dtype.itemsize:
        raise ValueError(f"an array of shape {sizes} and dtype {dtype} whose content has another size")
    if dtype.itemsize == 0:  # texts of no length, which NumPy makes one character long
        if math.prod(sizes) > _MOST_EMPTY:
            raise ValueError(f"an array of {math.prod(sizes)} empty texts")
        return np.zeros(sizes, dtype)
    return np.frombuffer(bytearray(content), dtype).reshape(sizes, order="F" if order == "F" else "C")


def _objects(content: Any, shape: Any) -> np.ndarray[Any, Any]:
    sizes = _sizes(shape)
    if not isinstance(content, list) or len(content) != math.prod(sizes):
        raise ValueError(f"an array of objects of shape {sizes} whose content has another size")
    array = np.empty(len(content), object)
    for place, item in enumerate(content):
        array[place] = item
    return array.reshape(sizes)


def check_plain(value: Any) -> None:
    """Refuse whatever isn't plain data at any depth, such as a class that is named but not called.

    Raises:
        NotPlain: With its name.
    """
    waiting, seen = [value], set[int]()
    while waiting:
        item = waiting.pop()
        if isinstance(item, _PLAIN) or (isinstance(item, np.generic) and not isinstance(item, np.void)):
            continue
        if id(item) in seen:
            continue
        seen.add(id(item))
        if type(item) is dict:
            waiting += [*item.keys(), *item.values()]
        elif type(item) in (list, tuple):
            waiting += item
        elif type(item) is np.ndarray:
            waiting += item.ravel().tolist() if item.dtype == object else []
        elif type(item) is Name:
            raise NotPlain(
                f"it asks for {item}, which is refused: only arrays, numbers, text, dicts and lists are read"
            )
        else:
            raise NotPlain(f"it holds an unfinished {type(item).__name__.removeprefix('Unfilled').lower()}")
