"""The rules of the house, proved from the source: imports point one way, code is short and described, data is data."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ["trajectories", "robot", "drivers", "sim", "rewards", "policies", "factory", "commands"]
ALLOWED = {
    "trajectories": set(),
    "robot": {"trajectories"},
    "drivers": {"trajectories", "robot"},
    "sim": {"trajectories", "robot", "drivers"},
    "rewards": {"trajectories", "robot"},
    "policies": {"trajectories", "robot", "rewards"},
    "factory": {"trajectories", "robot", "drivers", "sim", "rewards", "policies"},
    "commands": {"trajectories", "robot", "drivers", "sim", "rewards", "policies", "factory", "configs"},
}
DEVICE_LIBRARIES = {"pyrealsense2", "serial", "dynamixel_sdk", "evdev", "hid", "cv2"}
MOST_FILE_LINES = 400
MOST_FUNCTION_LINES = 60
UNSAFE = re.compile(r"\bpickle\b|torch\.load\(|allow_pickle|(^|[^._a-zA-Z])eval\(|yaml\.load\(|\bmarshal\b")


def python_files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported(path: Path, top_level_only: bool = False) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_down(room):
    files = python_files(room)
    assert files, f"room {room} is empty"
    for path in files:
        others = {name for name in imported(path) if name in ROOMS and name != room}
        assert others <= ALLOWED[room], f"{path.relative_to(ROOT)} imports {others - ALLOWED[room]}"


def test_sim_knows_of_the_drivers_only_the_dynamixel_tables():
    for path in python_files("sim"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "drivers":
                assert node.module.startswith("drivers.dynamixel"), path


def test_the_controller_never_imports_torch():
    for room in ("trajectories", "robot"):
        for path in python_files(room):
            assert not {"torch", "open_clip"} & set(imported(path)), path
    code = (
        "import sys, pkgutil, importlib, robot, trajectories\n"
        "for package in (trajectories, robot):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "sys.exit(int('torch' in sys.modules))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_device_libraries_are_imported_where_the_device_is_opened():
    for room in ROOMS:
        for path in python_files(room):
            assert not DEVICE_LIBRARIES & set(imported(path, top_level_only=True)), path


def test_nothing_unsafe_loads_outside_data():
    for room in ROOMS:
        for path in python_files(room):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                code = line.split("#")[0]
                assert not UNSAFE.search(code) or '"""' in code, f"{path}:{number}: {line}"


def test_the_unsafe_pattern_matches_what_it_must():
    for line in ("import pickle", "torch.load(p)", "np.load(p, allow_pickle=True)", "x = eval(s)"):
        assert UNSAFE.search(line)
    for line in ("model.eval()", "evaluate(x)", "safetensors.torch.load_file(p)", "retrieval(x)"):
        assert not UNSAFE.search(line)


def test_no_file_names_a_registry_host():
    for name in ("requirements.lock", "bootstrap.lock", "Makefile", "setup.sh", ".ci/run", "pyproject.toml"):
        text = (ROOT / name).read_text()
        assert not re.search(r"https?://|(?<!emit-)index-url", text), name


def test_every_room_says_what_it_is_for():
    for room in [*ROOMS, "configs"]:
        assert ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text())), room


def module_name(path: str) -> str:
    """Dotted name of a file, `robot.link` for `robot/link/__init__.py`."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def import_graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Module -> modules that it imports, wherever in the file: at the top, in functions, under TYPE_CHECKING.

    Args:
        sources: Module -> source of all modules there are; imports of others are left out.
    """
    graph = {}
    for module, source in sources.items():
        names: set[str] = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                inside = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
                names |= {full if full in sources else node.module for full in inside.values()}
        graph[module] = names & set(sources)
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Sets of modules of which each imports every other, directly or not; a module that imports itself, too."""
    reached = {}
    for start in graph:
        seen: set[str] = set()
        waiting = list(graph[start])
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                waiting += graph[module]
        reached[start] = seen
    found = {frozenset(m for m in reached[start] if start in reached[m]) for start in graph if start in reached[start]}
    return sorted((set(circle) for circle in found), key=sorted)


def test_no_module_imports_itself_in_a_circle():
    paths = {str(path.relative_to(ROOT)): path for room in ROOMS for path in python_files(room)}
    graph = import_graph({module_name(name): path.read_text() for name, path in paths.items()})
    assert sum(map(len, graph.values())) > len(graph)
    assert circles(graph) == []


def test_the_circle_finder_finds_circles():
    sources = {
        "a": "import b",
        "b": "def f():\n    from c.d import g",
        "c": "from c import d",
        "c.d": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import A",
        "e": "import a",
        "f": "import f",
    }
    assert import_graph(sources) == {"a": {"b"}, "b": {"c.d"}, "c": {"c.d"}, "c.d": {"a"}, "e": {"a"}, "f": {"f"}}
    assert circles(import_graph(sources)) == [{"a", "b", "c.d"}, {"f"}]
    assert circles(import_graph(sources | {"c.d": "", "f": ""})) == []
    assert module_name("robot/link/__init__.py") == "robot.link"
    assert module_name("robot/link/codec.py") == "robot.link.codec"


Function = ast.FunctionDef | ast.AsyncFunctionDef


def long_functions(tree: ast.Module) -> list[str]:
    """Functions of more lines than allowed, counted without decorators and docstring."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, Function):
            lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= node.body[0].end_lineno - node.body[0].lineno + 1
            if lines > MOST_FUNCTION_LINES:
                found.append(f"{node.name}: {lines} lines")
    return found


def undescribed(tree: ast.AST, prefix: str = "") -> list[str]:
    """Public functions, classes and methods that lack a docstring or annotations.

    A property's setter has the docstring of its getter, an overload that of its implementation.
    """
    found = []
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        name = prefix + node.name
        decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
        if not ast.get_docstring(node) and not decorators & {f"{node.name}.setter", "overload"}:
            found.append(f"{name}: no docstring")
        if isinstance(node, ast.ClassDef):
            found += undescribed(node, f"{name}.")
            continue
        inside = node.args
        arguments = [*inside.posonlyargs, *inside.args, *inside.kwonlyargs, inside.vararg, inside.kwarg]
        bare = [a.arg for a in arguments if a is not None and a.annotation is None and a.arg not in ("self", "cls")]
        if bare or node.returns is None:
            found.append(f"{name}: no annotation of {', '.join(bare) or 'the result'}")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_files_and_functions_are_short_and_what_is_public_is_described(room):
    problems = []
    for path in python_files(room):
        lines, tree = len(path.read_text().splitlines()), ast.parse(path.read_text())
        if lines > MOST_FILE_LINES:
            problems.append(f"{path.relative_to(ROOT)}: {lines} lines")
        problems += [f"{path.relative_to(ROOT)}: {problem}" for problem in long_functions(tree) + undescribed(tree)]
    assert problems == []


def test_the_checks_of_functions_find_what_they_must():
    body = "    x = 1\n" * (MOST_FUNCTION_LINES - 1)
    assert long_functions(ast.parse(f'@wraps\ndef f():\n    """Long\n    text."""\n{body}')) == []
    assert long_functions(ast.parse(f"def f():\n    x = 1\n{body}")) == ["f: 61 lines"]
    source = """
class A:
    def f(self, x) -> int:
        "Described."
    def _g(self, x): ...
    @property
    def p(self) -> int:
        "Described."
    @p.setter
    def p(self, p: int) -> None: ...
def h(x: int):
    "Described."
"""
    expected = ["A: no docstring", "A.f: no annotation of x", "h: no annotation of the result"]
    assert undescribed(ast.parse(source)) == expected


def unnamed_encodings(tree: ast.Module) -> list[int]:
    """Lines that read or write text in whatever encoding the locale names: elsewhere it can't hold every character."""
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        place = 0 if isinstance(call.func, ast.Attribute) else 1
        mode = given.get("mode", call.args[place] if len(call.args) > place else None)
        text = isinstance(mode, ast.Constant) and re.fullmatch(r"[rwax+t]+", str(mode.value)) is not None
        opens = name == "open" and (text or (mode is None and isinstance(call.func, ast.Name)))
        if (name in ("read_text", "write_text") or opens or "text" in given) and "encoding" not in given:
            found.append(call.lineno)
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_every_text_file_has_its_encoding_named(room):
    trees = {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in python_files(room)}
    found = {name: lines for name, tree in trees.items() if (lines := unnamed_encodings(tree))}
    assert not found


def test_the_search_for_encodings_finds_what_it_must():
    bad = ["p.read_text()", "p.write_text(x)", "open(p)", "open(p, 'w')", "p.open('a')", "run(c, text=True)"]
    good = ["p.read_text(encoding='utf-8')", "open(p, 'rb')", "p.open('wb')", "device.open()", "os.open(p, flags)"]
    assert unnamed_encodings(ast.parse("\n".join(bad))) == [1, 2, 3, 4, 5, 6]
    assert unnamed_encodings(ast.parse("\n".join(good))) == []
