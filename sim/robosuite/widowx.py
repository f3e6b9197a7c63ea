"""The WidowX 250 S and its gripper as robosuite knows robots: `robots="WidowX250S"` in any task, under any controller.

Importing this module registers both. In robosuite a control of 0 leaves a gripper as it is, 1 closes it.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from robosuite.models.grippers import register_gripper
from robosuite.models.grippers.gripper_model import GripperModel
from robosuite.models.robots.manipulators.manipulator_model import ManipulatorModel
from robosuite.robots import register_robot_class

from robot.arms.wx250s import WX250S
from sim.robosuite.widowx_files import HAND, split

ROBOT = "WidowX250S"
BASE_X = -0.28
"""m of the base from the middle of robosuite's table: what its tasks place is then within reach."""
TABLE_Z = 0.8
READY = (0.0, -0.762, 0.445, 0.0, 1.756, 0.0)
"""rad; the gripper points down above the table."""
_GRIPPER_STEP = 0.2


@lru_cache(maxsize=1)
def _files() -> tuple[tempfile.TemporaryDirectory[str], Path, Path]:
    """Files of arm and gripper, written once a process; the folder goes when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="regrasp_wx250s_")
    parts, place = split(WX250S), Path(folder.name)
    arm, gripper = place / "arm.xml", place / "gripper.xml"
    arm.write_text(parts.arm, encoding="utf-8")
    gripper.write_text(parts.gripper, encoding="utf-8")
    return folder, arm, gripper


@register_robot_class("FixedBaseRobot")
class WidowX250S(ManipulatorModel):  # type: ignore[misc]
    """The arm: six joints with motors, on the table without a mount."""

    arms = ["right"]  # noqa: RUF012  (robosuite's own declaration)

    def __init__(self, idn: int | str = 0) -> None:
        super().__init__(str(_files()[1]), idn=idn)

    @property
    def default_base(self) -> str:
        """It stands on the table itself."""
        return "NullMount"

    @property
    def default_gripper(self) -> dict[str, str]:
        """Its own."""
        return {"right": "WidowX250SGripper"}

    @property
    def default_controller_config(self) -> dict[str, str]:
        """A general one: robosuite has none for this arm."""
        return {"right": "default_panda"}

    @property
    def init_qpos(self) -> Any:
        """`READY`, float64 (6,)."""
        return np.array(READY)

    @property
    def base_xpos_offset(self) -> dict[str, Any]:
        """Where the base stands in each kind of arena, m: on the table in all of them."""
        return {
            "bins": (-0.33, -0.2, TABLE_Z),
            "empty": (BASE_X, 0.0, 0.0),
            "table": lambda length: (BASE_X, 0.0, TABLE_Z),
        }

    @property
    def top_offset(self) -> Any:
        """From the root to the top, m, float64 (3,)."""
        return np.array((0.0, 0.0, 0.4))

    @property
    def _horizontal_radius(self) -> float:
        return 0.1

    @property
    def arm_type(self) -> str:
        """One arm."""
        return "single"

    @property
    def _eef_name(self) -> dict[str, str]:
        return {"right": HAND}


@register_gripper
class WidowX250SGripper(GripperModel):  # type: ignore[misc]
    """Two fingers on one actuator; an action moves their goal, as those of robosuite's other grippers do."""

    def __init__(self, idn: int | str = 0) -> None:
        super().__init__(str(_files()[2]), idn=idn)
        self.current_action: Any

    def format_action(self, action: Any) -> Any:
        """-1 opens, 1 closes, a fifth of the way a step; float64 (1,) in [-1, 1], 1 for open."""
        self.current_action = np.clip(self.current_action - _GRIPPER_STEP * np.sign(action), -1.0, 1.0)
        return self.current_action

    @property
    def speed(self) -> float:
        """Of the goal, a step."""
        return _GRIPPER_STEP

    @property
    def init_qpos(self) -> Any:
        """Of the fingers, open, m."""
        half = WX250S.finger_closed + 0.5 * WX250S.opening
        return np.array([half, -half])

    @property
    def _important_geoms(self) -> dict[str, list[str]]:
        return {
            "left_finger": ["left_pad"],
            "right_finger": ["right_pad"],
            "left_fingerpad": ["left_pad"],
            "right_fingerpad": ["right_pad"],
        }
