"""What the arm may do: fixed when the controller starts, out of reach of every message."""

from __future__ import annotations

import math
from dataclasses import dataclass

from robot.control.kinematics import JOINT_LOWER, JOINT_UPPER
from trajectories.errors import ConfigError
from trajectories.numbers import positive

WIDEST_GRIPPER_M = 0.2
"""No parallel gripper here opens wider."""


@dataclass(frozen=True)
class SafetyLimits:
    """What an arm of N joints may do. Lengths in m, angles in rad, base frame, rotation relative to the gripper down.

    The defaults are those of the WidowX 250 S; `ArmModel.limits` gives those of other arms.

    Attributes:
        position_lower: (3,) corner of the box that the target of the tip stays in.
        position_upper: (3,) opposite corner.
        rpy_lower: (3,) smallest roll, pitch and yaw of the target.
        rpy_upper: (3,) largest roll, pitch and yaw.
        max_step_position: Largest motion along one axis in one control step.
        max_step_rotation: Largest rotation about one axis in one control step.
        max_speed_position: m/s along one axis, for steps that take less than their period.
        max_speed_rotation: rad/s about one axis, likewise.
        joint_lower: (N,) the servos' smallest angles.
        joint_upper: (N,) the servos' largest angles.
        joint_margin: Kept free before each joint limit.
        joint_slack: A joint measured further than this outside of its limits is a fault.
        collision_margin: Kept free between the links that could meet, and between them and the table.
        max_joint_speed: rad/s, of every joint's target.
        max_joint_lag: Between target and measured joint; beyond it only motions that reduce it are allowed,
            so that a blocked arm does not wind its target up.
        max_efforts: (N,) N m; the defaults are 95 % of the servos' stall torque at 12 V (two servos share
            shoulder and elbow).
        effort_yield_steps: Control steps in a row above `max_efforts` after which the arm yields: its target
            goes to where it is, which takes the load off the servos.
        effort_fault_steps: Control steps in a row above `max_efforts`, in spite of yielding, that latch a fault.
        gripper_open_width: Gap between the fingers when open.
        gripper_closed_width: Gap asked for when closing; an object in between stops the fingers earlier.
    """

    position_lower: tuple[float, ...] = (0.18, -0.20, 0.012)
    position_upper: tuple[float, ...] = (0.38, 0.20, 0.18)
    rpy_lower: tuple[float, ...] = (-0.15, -0.15, -1.2)
    rpy_upper: tuple[float, ...] = (0.15, 0.15, 1.2)
    max_step_position: float = 0.05
    max_step_rotation: float = 0.25
    max_speed_position: float = 0.5
    max_speed_rotation: float = 2.5
    joint_lower: tuple[float, ...] = JOINT_LOWER
    joint_upper: tuple[float, ...] = JOINT_UPPER
    joint_margin: float = 0.02
    joint_slack: float = 0.1
    collision_margin: float = 0.005
    max_joint_speed: float = 2.5
    max_joint_lag: float = 0.5
    max_efforts: tuple[float, ...] = (3.9, 7.8, 7.8, 3.9, 3.9, 1.33)
    effort_yield_steps: int = 2
    effort_fault_steps: int = 10
    gripper_open_width: float = 0.044
    gripper_closed_width: float = 0.0

    def __post_init__(self) -> None:
        """Refuse limits that are not numbers or exclude everything.

        Raises:
            ConfigError: Naming the setting.
        """
        pairs = (
            ("position", self.position_lower, self.position_upper, 3),
            ("rpy", self.rpy_lower, self.rpy_upper, 3),
            ("joint", self.joint_lower, self.joint_upper, len(self.joint_lower)),
        )
        for name, lower, upper, size in pairs:
            ordered = len(lower) == len(upper) == size and all(
                math.isfinite(a) and math.isfinite(b) and a < b for a, b in zip(lower, upper, strict=True)
            )
            if not ordered:
                raise ConfigError(
                    f"{name}_lower and {name}_upper need {size} finite numbers each, every lower one below "
                    f"its upper one; got {lower} and {upper}."
                )
        widest = (2.5, 1.2, 2.5)
        if any(max(-a, b) > w for a, b, w in zip(self.rpy_lower, self.rpy_upper, widest, strict=True)):
            raise ConfigError(
                f"rpy_lower and rpy_upper must stay within +-{widest} rad, where the angles are unambiguous; "
                f"got {self.rpy_lower} and {self.rpy_upper}."
            )
        for name in (
            "max_step_position",
            "max_step_rotation",
            "max_speed_position",
            "max_speed_rotation",
            "joint_slack",
            "max_joint_speed",
            "max_joint_lag",
            "effort_yield_steps",
        ):
            positive(name, getattr(self, name))
        if not self.effort_yield_steps < self.effort_fault_steps:
            raise ConfigError(
                f"effort_fault_steps must exceed effort_yield_steps ({self.effort_yield_steps}), got "
                f"{self.effort_fault_steps!r}."
            )
        joints = len(self.joint_lower)
        if (
            joints < 1
            or len(self.max_efforts) != joints
            or not all(math.isfinite(x) and x > 0 for x in self.max_efforts)
        ):
            raise ConfigError(f"max_efforts needs {joints} finite N m above 0, one a joint, got {self.max_efforts}.")
        if not 0.0 <= self.joint_margin < 0.5:
            raise ConfigError(f"joint_margin must lie in [0, 0.5) rad, got {self.joint_margin!r}.")
        if not 0.0 <= self.gripper_closed_width < self.gripper_open_width <= WIDEST_GRIPPER_M:
            raise ConfigError(
                f"The gripper widths must satisfy 0 <= closed < open <= {WIDEST_GRIPPER_M} m, got "
                f"{self.gripper_closed_width!r} and {self.gripper_open_width!r}."
            )
