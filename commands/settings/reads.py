"""Which settings a verb reads, from its code: every `config.a.b` from `run(config)` on, through the functions it calls.

A path counts with all below it where it is used as a value. Functions are followed wherever they are handed settings:
called by name, by `module.name`, or through `functools.partial`, in `commands` and `factory`. What is handed to
anything else counts as read whole.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Keys = tuple[str, ...]
"""Names from the root of the settings on; () for all of them."""
_ROOMS = ("commands", "factory")
_COPIES = {"OmegaConf.to_yaml", "OmegaConf.select"}
"""These write settings down, or compare them with those of before, by names that are given elsewhere."""
_DOUBLES = {"copy.deepcopy"}
"""These give settings again, of which is read what is read of them."""
_METHODS = {"get", "items", "keys", "values"}


@dataclass(frozen=True)
class Function:
    """A function, or a class by its constructor, and where it stands.

    Attributes:
        module: Dotted name.
        node: Its source.
        skipped: First parameters that a call doesn't give.
    """

    module: str
    node: ast.FunctionDef
    skipped: int = 0

    @property
    def parameters(self) -> list[str]:
        """Names of all parameters that are given by place or by keyword."""
        arguments = self.node.args
        return [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)][
            self.skipped :
        ]


def keys_read(module: str) -> frozenset[Keys]:
    """Paths of the settings that a verb's `run(config)` reads; () stands for all."""
    found: set[Keys] = set()
    run = _function(module, "run")
    if run is not None:
        _Reader(run, {run.parameters[0]: ()}, found, set()).read()
    return frozenset(found)


def is_read(key: str, read: frozenset[Keys]) -> bool:
    """Whether a setting is among them: it, something that it belongs to, or something that belongs to it."""
    path = tuple(key.split("."))
    return any(path[: len(one)] == one or one[: len(path)] == path for one in read)


class _Reader:
    """Reads one function, with the settings that its variables hold."""

    def __init__(
        self, function: Function, holds: Mapping[str, Keys], found: set[Keys], seen: set[tuple[int, tuple[object, ...]]]
    ) -> None:
        self._function, self._holds, self._found, self._seen = function, dict(holds), found, seen

    def read(self) -> None:
        """Add to `found` what the function reads."""
        mark = (id(self._function.node), tuple(sorted(self._holds.items())))
        if mark in self._seen:
            return
        self._seen.add(mark)
        for node in self._function.node.body:
            self._visit(node)

    def _visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            self._assign(node.targets[0], node.value)
        elif isinstance(node, ast.Call):
            self._call(node)
        elif (path := self._path(node)) is not None:
            self._found.add(path)
        else:
            for child in ast.iter_child_nodes(node):
                self._visit(child)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        """Remember what a variable holds; an assignment alone reads nothing."""
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, other in zip(target.elts, value.elts, strict=True):
                self._assign(one, other)
            return
        path = self._path(value)
        if isinstance(target, ast.Name) and path is not None:
            self._holds[target.id] = path
        else:
            self._visit(value)

    def _path(self, node: ast.AST) -> Keys | None:
        """Settings that an expression stands for."""
        if isinstance(node, ast.Name):
            return self._holds.get(node.id)
        if isinstance(node, ast.Attribute):
            inner = self._path(node.value)
            return None if inner is None else (*inner, node.attr)
        if isinstance(node, ast.Subscript):
            inner = self._path(node.value)
            if inner is not None and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                return (*inner, *node.slice.value.split("."))
            return inner
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _DOUBLES and node.args:
            return self._path(node.args[0])
        return None

    def _call(self, node: ast.Call) -> None:
        arguments = list(node.args)
        callee: ast.expr = node.func
        if isinstance(callee, ast.Name) and callee.id == "partial" and arguments:
            callee = arguments.pop(0)
        if isinstance(callee, ast.Attribute) and callee.attr in _METHODS:
            path = self._path(callee.value)
            if path is not None:
                named = [a.value for a in arguments[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
                self._found.add((*path, *named))
                return
        if ast.unparse(callee) in _COPIES:
            return
        taken: set[int] = set()
        for followed in self._resolved(callee):
            given = dict(zip(followed.parameters, arguments, strict=False))
            given |= {word.arg: word.value for word in node.keywords if word.arg in followed.parameters}
            held = {name: path for name, value in given.items() if (path := self._path(value)) is not None}
            if held:
                _Reader(followed, held, self._found, self._seen).read()
            taken |= {id(given[name]) for name in held}
        self._visit(callee)
        for value in (*arguments, *(word.value for word in node.keywords)):
            if id(value) not in taken:
                self._visit(value)

    def _resolved(self, callee: ast.expr) -> list[Function]:
        """The functions that a call may go to, where they are ours: several of a registry, none otherwise."""
        module = self._function.module
        inside = {**_imports(module), **_imported(self._function.node)}
        if isinstance(callee, ast.Name):
            one = _function(*inside.get(callee.id, (module, callee.id)))
            return self._mentioned() if one is None and self._is_own(callee.id) else [one] if one else []
        if isinstance(callee, ast.Attribute) and isinstance(callee.value, ast.Name):
            package, name = inside.get(callee.value.id, (module, callee.value.id))
            return [
                one for one in (_function(f"{package}.{name}", callee.attr), _method(package, name, callee.attr)) if one
            ]
        if isinstance(callee, ast.Subscript) and isinstance(callee.value, ast.Name):
            return _entries(*inside.get(callee.value.id, (module, callee.value.id)))
        return []

    def _is_own(self, name: str) -> bool:
        """Whether a name is a variable of the function."""
        stored = (one for one in ast.walk(self._function.node) if isinstance(one, ast.Name))
        return any(one.id == name and isinstance(one.ctx, ast.Store) for one in stored)

    def _mentioned(self) -> list[Function]:
        """Functions of settings that the function names: a variable that is called holds one of them."""
        names = {one.id for one in ast.walk(self._function.node) if isinstance(one, ast.Name)}
        found = [one for name in sorted(names) if (one := _function(self._function.module, name))]
        return [one for one in found if one.parameters[:1] == ["config"]]


@cache
def _tree(module: str) -> ast.Module | None:
    if module.partition(".")[0] not in _ROOMS:
        return None
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin is None:
        return None
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


@cache
def _imports(module: str) -> dict[str, tuple[str, str]]:
    tree = _tree(module)
    return {} if tree is None else _imported(tree)


def _imported(node: ast.AST) -> dict[str, tuple[str, str]]:
    """Name -> (module, name there) of everything that is imported somewhere inside."""
    lines: Iterator[ast.ImportFrom] = (one for one in ast.walk(node) if isinstance(one, ast.ImportFrom))
    return {alias.asname or alias.name: (one.module or "", alias.name) for one in lines for alias in one.names}


@cache
def _function(module: str, name: str) -> Function | None:
    tree = _tree(module)
    for node in () if tree is None else tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return Function(module, node)
    imported = _imports(module).get(name)
    return _function(*imported) if imported and imported != (module, name) else None


def _method(module: str, owner: str, name: str) -> Function | None:
    """A static method or class method."""
    tree = _tree(module)
    for node in () if tree is None else tree.body:
        if isinstance(node, ast.ClassDef) and node.name == owner:
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and inner.name == name:
                    of_class = any(isinstance(d, ast.Name) and d.id == "classmethod" for d in inner.decorator_list)
                    return Function(module, inner, skipped=int(of_class))
    return None


def _entries(module: str, name: str) -> list[Function]:
    """Functions that a registry of a module names."""
    tree = _tree(module)
    for node in () if tree is None else tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and target.id == name and value is not None:
            names = [one.id for one in ast.walk(value) if isinstance(one, ast.Name)]
            return [found for one in names if (found := _function(module, one))]
    return []
