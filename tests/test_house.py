"""The rules of the house, proved from the source: imports point down, nothing unsafe loads outside data."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
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
