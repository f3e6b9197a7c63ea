"""Pickle files of plain data: NumPy arrays and scalars, dicts, lists, tuples, strings, bytes, numbers, bool, None.

Python's own unpickler calls whatever a file names, and even with a list of allowed names NumPy's constructors can be
given states that make them read foreign memory. Here the bytes are interpreted by a small machine that has no means
to call anything: the few names that arrays need stand for functions of this file, everything else is refused by name.
The opcodes and their arguments are those of CPython's `pickletools`, protocols 0 to 5.
"""

from __future__ import annotations

import ast
import struct
from collections.abc import Callable
from typing import Any

from trajectories.formats.bridge.plain_arrays import FUNCTIONS, Name, NotPlain, UnfilledArray, check_plain, fill

_NUMBERS = {b"J": "<i", b"K": "<B", b"M": "<H", b"G": ">d"}
_CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False}
_STRINGS = {b"X": "<I", b"\x8c": "<B", b"\x8d": "<Q"}
_BYTES = {b"B": "<I", b"C": "<B", b"\x8e": "<Q", b"\x96": "<Q"}
_OLD_STRINGS = {b"T": "<i", b"U": "<B"}
_LONGS = {b"\x8a": "<B", b"\x8b": "<i"}
_TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
_PUTS = {b"q": "<B", b"r": "<I"}
_GETS = {b"h": "<B", b"j": "<I"}
_MOST_MEMO = 1 << 24
"""More things than that in one file of a trajectory are no trajectory's."""


class PickleError(ValueError):
    """The bytes are not pickled, are damaged, or hold what isn't plain data."""


def loads(content: bytes) -> Any:
    """Interpret a pickled file.

    Args:
        content: The whole file.

    Returns:
        Plain data: dict, list, tuple, str, bytes, int, float, bool, None, `np.ndarray` and NumPy scalars of booleans,
        integers, floats or text, and arrays of dtype object that hold such.

    Raises:
        PickleError: With the name of the class or function that the file asks for, or what is damaged.
    """
    try:
        result = _Machine(content).run()
        check_plain(result)
        return result
    except NotPlain as error:
        raise PickleError(str(error)) from error
    except (IndexError, KeyError, ValueError, TypeError, OverflowError, SyntaxError, struct.error) as error:
        raise PickleError(f"damaged: {type(error).__name__}: {error}") from error
    except (MemoryError, RecursionError) as error:
        raise PickleError("damaged: it asks for more memory than there is") from error


class _Machine:
    """One run through the opcodes of a file."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._unfilled: dict[int, list[int]] = {}  # id of an unfilled array -> its places in the memo

    def run(self) -> Any:
        """The object that the file describes."""
        content, stack = self._content, self._stack
        while True:
            opcode = content[self._at : self._at + 1]
            self._at += 1
            if opcode == b".":
                if len(stack) != 1 or self._marks:
                    raise ValueError("it ends with more or less than one object")
                return stack[0]
            if opcode in _NUMBERS:
                stack.append(self._unpack(_NUMBERS[opcode]))
            elif opcode in _CONSTANTS:
                stack.append(_CONSTANTS[opcode])
            elif opcode in _GETS:
                stack.append(self._memo[self._unpack(_GETS[opcode])])
            elif opcode in _PUTS:
                self._remember(self._unpack(_PUTS[opcode]))
            elif opcode in _TUPLES:
                count = _TUPLES[opcode]
                self._need(count)
                stack[-count:] = [tuple(stack[-count:])]
            elif opcode in _HANDLERS:
                _HANDLERS[opcode](self)
            else:
                self._string(opcode)

    def _string(self, opcode: bytes) -> None:
        if opcode in _STRINGS:
            self._stack.append(self._take(self._unpack(_STRINGS[opcode])).decode("utf-8", "surrogatepass"))
        elif opcode in _BYTES:
            self._stack.append(self._take(self._unpack(_BYTES[opcode])))
        elif opcode in _OLD_STRINGS:
            self._stack.append(_old_text(self._take(self._unpack(_OLD_STRINGS[opcode]))))
        elif opcode in _LONGS:
            self._stack.append(int.from_bytes(self._take(self._unpack(_LONGS[opcode])), "little", signed=True))
        elif not opcode:
            raise ValueError("it ends too early")
        else:
            raise NotPlain(f"it uses opcode {opcode!r} at byte {self._at - 1}, which plain data don't need")

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if count < 0 or end > len(self._content):
            raise ValueError("it ends too early")
        piece = self._content[self._at : end]
        self._at = end
        return piece

    def _unpack(self, layout: str) -> Any:
        (value,) = struct.unpack_from(layout, self._content, self._at)
        self._at += struct.calcsize(layout)
        return value

    def line(self) -> bytes:
        """The argument of an opcode of protocol 0, up to the end of the line."""
        end = self._content.index(b"\n", self._at)
        piece = self._content[self._at : end]
        self._at = end + 1
        return piece

    def _need(self, count: int) -> None:
        floor = self._marks[-1] if self._marks else 0
        if len(self._stack) - floor < count:
            raise IndexError("an opcode needs more objects than there are")

    def _pop(self) -> Any:
        self._need(1)
        return self._stack.pop()

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _top(self, kind: type) -> Any:
        self._need(1)
        if type(self._stack[-1]) is not kind:
            raise TypeError(f"{type(self._stack[-1]).__name__} where {kind.__name__} is expected")
        return self._stack[-1]

    def _remember(self, place: int) -> None:
        self._need(1)
        if not 0 <= place < _MOST_MEMO:
            raise ValueError("a memo of more objects than a trajectory has")
        self._memo[place] = self._stack[-1]
        if isinstance(self._stack[-1], UnfilledArray):
            self._unfilled.setdefault(id(self._stack[-1]), []).append(place)

    def _skip(self, count: int) -> None:
        self._take(count)

    def _mark(self) -> None:
        self._marks.append(len(self._stack))

    def _pop_or_unmark(self) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._pop()

    def _set_items(self, items: list[Any]) -> None:
        target = self._top(dict)
        if len(items) % 2:
            raise ValueError("a dict with a key that lacks its value")
        target.update(zip(items[::2], items[1::2], strict=True))

    def _append(self) -> None:
        item = self._pop()
        self._top(list).append(item)

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._set_items([key, value])

    def _dict(self) -> None:
        items = self._since_mark()
        self._stack.append({})
        self._set_items(items)

    def _name_from_stack(self) -> None:
        attribute, module = self._pop(), self._pop()
        self._stack.append(Name(module, attribute))

    def _name_from_lines(self) -> None:
        module = self.line().decode()
        self._stack.append(Name(module, self.line().decode()))

    def _call(self) -> None:
        arguments, name = self._pop(), self._pop()
        if type(name) is not Name or type(arguments) is not tuple:
            raise NotPlain(f"it calls a {type(name).__name__}, which plain data don't need")
        if name.key not in FUNCTIONS:
            raise NotPlain(
                f"it asks for {name}, which is refused: only arrays, numbers, text, dicts and lists are read"
            )
        self._stack.append(FUNCTIONS[name.key](*arguments))

    def _build(self) -> None:
        state, target = self._pop(), self._pop()
        filled = fill(target, state)
        for place in self._unfilled.pop(id(target), []):
            self._memo[place] = filled
        self._stack.append(filled)


def _push(make: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine._stack.append(make(machine))


def _old_text(content: bytes) -> str | bytes:
    """Python 2's `str`: text if it is ASCII, else bytes, such as an array's content."""
    return content.decode("ascii") if content.isascii() else content


def _old_literal(line: bytes) -> str | bytes:
    text = ast.literal_eval("b" + line.decode("ascii").strip())
    if not isinstance(text, bytes):
        raise ValueError("a string without quotes")
    return _old_text(text)


def _integer(line: bytes) -> int | bool:
    if line in (b"00", b"01"):
        return line == b"01"
    return int(line.removesuffix(b"L"))


_HANDLERS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": lambda m: m._skip(1),
    b"\x95": lambda m: m._skip(8),
    b"(": _Machine._mark,
    b"0": _Machine._pop_or_unmark,
    b"1": lambda m: m._since_mark().clear(),
    b"2": lambda m: m._stack.append(m._stack[-1]),
    b"I": _push(lambda m: _integer(m.line())),
    b"L": _push(lambda m: _integer(m.line())),
    b"F": _push(lambda m: float(m.line())),
    b"S": _push(lambda m: _old_literal(m.line())),
    b"V": _push(lambda m: m.line().decode("raw-unicode-escape")),
    b"]": _push(lambda m: []),
    b"}": _push(lambda m: {}),
    b")": _push(lambda m: ()),
    b"l": _push(lambda m: m._since_mark()),
    b"t": _push(lambda m: tuple(m._since_mark())),
    b"d": _Machine._dict,
    b"a": _Machine._append,
    b"e": lambda m: (items := m._since_mark(), m._top(list).extend(items))[1],
    b"s": _Machine._set_item,
    b"u": lambda m: m._set_items(m._since_mark()),
    b"g": _push(lambda m: m._memo[int(m.line())]),
    b"p": lambda m: m._remember(int(m.line())),
    b"\x94": lambda m: m._remember(len(m._memo)),
    b"c": _Machine._name_from_lines,
    b"\x93": _Machine._name_from_stack,
    b"R": _Machine._call,
    b"b": _Machine._build,
}
