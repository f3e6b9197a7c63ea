"""Between episodes, open the gripper (unless it holds a tool), rise, and move to a slightly different start."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from robot.control.pose import (
    Pose,
    multiply,
    rotation_vector,
    rows_from_rotation_vector,
    rows_from_rpy,
    rpy_from_rows,
    transpose,
)
from trajectories.errors import ConfigError
from trajectories.types import Float32


@dataclass(frozen=True)
class HomeRegion:
    """Where episodes start. Lengths in m, angles in rad, base frame, gripper pointing down.

    Attributes:
        x: (smallest, largest) of the tip.
        y: The same.
        z: The same.
        yaw: The same.
        rise_z: Height that the tip rises to before it moves sideways.
        speed: Fraction of the largest action used for the motion.
        open_steps: Control steps that the gripper gets to open in place.
        opens: Whether the gripper opens on the way home; not where a tool stays in it from episode to episode.
        least: Smallest distance from the middle in y, z and yaw, as a share of the largest one, 0 ... 1; above 0 what
            is in the middle is left out.
    """

    x: tuple[float, float] = (0.22, 0.30)
    y: tuple[float, float] = (-0.06, 0.06)
    z: tuple[float, float] = (0.12, 0.16)
    yaw: tuple[float, float] = (-0.3, 0.3)
    rise_z: float = 0.13
    speed: float = 1.0
    open_steps: int = 2
    opens: bool = True
    least: float = 0.0

    def __post_init__(self) -> None:
        """Refuse an empty region.

        Raises:
            ConfigError: Naming the setting.
        """
        for name in ("x", "y", "z", "yaw"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ConfigError(f"home.{name} must be (smallest, largest), got ({low}, {high}).")
        if not 0.0 < self.speed <= 1.0:
            raise ConfigError(f"home.speed must lie in (0, 1], got {self.speed}.")
        if self.open_steps < 1:
            raise ConfigError(f"home.open_steps must be at least 1, got {self.open_steps}.")
        if not 0.0 <= self.least < 1.0:
            raise ConfigError(f"home.least must lie in [0, 1), got {self.least}.")

    def sample(self, rng: np.random.Generator) -> Pose:
        """A start pose."""
        x = rng.uniform(*self.x)
        y, z, yaw = (self._draw(rng, *edges) for edges in (self.y, self.z, self.yaw))
        return Pose.of((x, y, z), (0.0, 0.0, yaw))

    def around(self, least: float, most: float) -> HomeRegion:
        """What lies about this region, `least` to `most` halves of it from its middle in y, z and yaw.

        In x it is this region's: the reach of a small arm ends not far beyond it.
        """

        def wider(edges: tuple[float, float]) -> tuple[float, float]:
            middle, half = sum(edges) / 2, most * (edges[1] - edges[0]) / 2
            return middle - half, middle + half

        y, z, yaw = (wider(edges) for edges in (self.y, self.z, self.yaw))
        return replace(self, y=y, z=z, yaw=yaw, least=least / most)

    def _draw(self, rng: np.random.Generator, low: float, high: float) -> float:
        """One coordinate; always one number of the generator."""
        drawn = rng.uniform(low, high)
        if not self.least or low == high:
            return drawn
        middle, half = (low + high) / 2, (high - low) / 2
        away = (drawn - middle) / half
        return middle + half * math.copysign(self.least + (1.0 - self.least) * abs(away), away)


def action_towards(
    pose: Pose, goal: Pose, scale: tuple[float, ...], speed: float, gripper_open: bool
) -> tuple[Float32, bool]:
    """The action (7,) from `pose` straight towards `goal`, and whether it arrives there.

    Args:
        pose: Present target of the tip.
        goal: Where to go.
        scale: `RobotSpec.action_scale`.
        speed: Largest fraction of an action to use.
        gripper_open: What the gripper shall do meanwhile.
    """
    shift = [(g - p) / s for g, p, s in zip(goal.position, pose.position, scale[:3], strict=True)]
    turn = multiply(rows_from_rpy(goal.rpy.tolist()), transpose(rows_from_rpy(pose.rpy.tolist())))
    vector = rotation_vector(turn)
    longest = max(*map(abs, shift), math.hypot(*vector) / min(scale[3:6]))
    part = 1.0 if longest <= speed else speed / longest
    rpy = rpy_from_rows(rows_from_rotation_vector([part * v for v in vector]))
    action = [part * d for d in shift] + [a / s for a, s in zip(rpy, scale[3:6], strict=True)]
    return np.array([*action, 1.0 if gripper_open else -1.0], dtype=np.float32), longest <= speed
