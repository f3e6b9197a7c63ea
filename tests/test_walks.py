"""The files that docs/design/rooms.md names on the way of a datum are passed, in that order, by a traced run."""

import re
import subprocess
import sys

import pytest
from helpers import ENVIRONMENT, ROOT

WALKS = {
    "An image": "image -> gradient",
    "An action": "action -> servo bytes",
    "A reward": "reward -> TD target",
}


def named(bullet: str) -> list[str]:
    """Files that the document names in the list's entry that begins with `bullet`, in its order."""
    text = (ROOT / "docs" / "design" / "rooms.md").read_text()
    section = text.split("## What a datum passes")[1].split("\n## ")[0]
    entry = section.split(f"- **{bullet}**:")[1].split("\n- ")[0].split("\n\n")[0]
    return re.findall(r"`([\w/]+/\w+\.py)`", entry)


@pytest.fixture(scope="module")
def passed() -> dict[str, list[str]]:
    """Walk -> files that the trace met, in the order in which it met them first."""
    command = [sys.executable, str(ROOT / "benchmarks" / "walks.py"), "--files"]
    environment = {"MUJOCO_GL": "egl", **ENVIRONMENT, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    found: dict[str, list[str]] = {}
    files: list[str] = []
    for line in ran.stdout.splitlines():
        if line.startswith("    "):
            files.append(line.strip())
        else:
            files = found[line[:24].strip()] = []
    return found


@pytest.mark.parametrize("bullet", WALKS)
def test_the_documents_files_are_passed_in_its_order(bullet, passed):
    files, met = named(bullet), passed[WALKS[bullet]]
    assert len(files) >= 8
    assert [name for name in files if name not in met] == []
    assert files == sorted(files, key=met.index)


def test_data_go_no_way_back(passed):
    """From an observation on, first files of the robot are entered, then those of the learner."""
    for walk in ("image -> gradient", "frame -> TD target"):
        first = passed[walk].index("policies/learner/learner.py")
        assert not any(name.startswith("policies/") for name in passed[walk][:first])
        assert not any(name.startswith("robot/") for name in passed[walk][first:])
