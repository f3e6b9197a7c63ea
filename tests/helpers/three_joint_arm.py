"""A made-up arm of three joints, as a package outside would bring it: hosted by name in a process of its own."""

import json
import time
from pathlib import Path

import numpy as np

from robot.interfaces import ArmState
from trajectories.errors import SafetyError

HOSTING = "helpers.three_joint_arm:open_arm"


class ThreeJointArm:
    """Is at every command at once; writes down what it was told, and can be given a fault from outside."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._joints, self._width = folder, np.zeros(3), 0.04
        self._cleared = 0.0
        self._log("open")

    def read(self) -> ArmState:
        if (self._folder / "broken").exists():
            raise ValueError("broken")
        return ArmState(self._joints, np.zeros(3), np.zeros(3), self._width, 0.0, time.monotonic_ns())

    def send(self, command) -> None:
        if self.fault is not None:
            raise SafetyError(f"the arm refuses: {self.fault}")
        self._joints, self._width = np.array(command.joints), command.gripper_width
        self._log("send", joints=self._joints.tolist())

    def hold(self) -> None:
        self._log("hold")

    @property
    def fault(self) -> str | None:
        path = self._folder / "fault"
        return path.read_text() if path.exists() else None

    def clear(self, person: str) -> None:
        (self._folder / "fault").unlink(missing_ok=True)
        self._log("clear", person=person)

    def close(self) -> None:
        self._log("close")
        if (self._folder / "stuck").exists():
            raise OSError("stuck")

    def _log(self, what, **more) -> None:
        with (self._folder / "log").open("a") as log:
            log.write(json.dumps({"what": what, **more}) + "\n")


def open_arm(settings) -> ThreeJointArm:
    return ThreeJointArm(Path(settings["device"]))


def open_nothing(settings) -> int:
    return 42


def said(folder: Path) -> list[dict]:
    """What the arm was told so far."""
    path = folder / "log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
