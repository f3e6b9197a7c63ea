"""`Motion`, what every input device delivers, and its conversion to an action."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from trajectories.types import Float32

AXES: tuple[str, ...] = ("dx", "dy", "dz", "droll", "dpitch", "dyaw")
"""Of the base frame: x forward, y left, z up; rotations about the tip with the base's axes."""


class Gripper(Enum):
    """What the person wants of the gripper."""

    OPEN = "open"
    CLOSED = "closed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Motion:
    """What the person wants at one instant.

    Attributes:
        dx: Fraction of the largest step along x, -1 ... 1, as are the others; see `RobotSpec.action_scale`.
        dy: Along y.
        dz: Along z.
        droll: About x.
        dpitch: About y.
        dyaw: About z.
        gripper: What the gripper shall do; UNCHANGED keeps what it was told last.
        active: Whether the person acts: holds the enable button, or moves an axis beyond the dead zone where there is
            no such button. All rates are 0 when False: silence means hold.
        t_ns: Monotonic ns of the newest event from the device, or of its opening.
        problem: Why the device can't be relied on (then it isn't active), or None.
    """

    dx: float = 0.0
    dy: float = 0.0
    dz: float = 0.0
    droll: float = 0.0
    dpitch: float = 0.0
    dyaw: float = 0.0
    gripper: Gripper = Gripper.UNCHANGED
    active: bool = False
    t_ns: int = 0
    problem: str | None = None

    @property
    def rates(self) -> tuple[float, ...]:
        """The six rates in the order of `AXES`."""
        return self.dx, self.dy, self.dz, self.droll, self.dpitch, self.dyaw


def to_action(motion: Motion, gripper_open: bool) -> Float32:
    """The action of a control step in the convention of `RobotSpec`.

    Args:
        motion: What the person wants; a motion that isn't active or has a rate that isn't finite becomes a hold.
        gripper_open: What the gripper was told last; kept unless the person wants otherwise.

    Returns:
        float32 (7,) in [-1, 1]: dx, dy, dz, droll, dpitch, dyaw, gripper (1 open, -1 closed).
    """
    action = np.zeros(7, dtype=np.float32)
    if motion.active and motion.problem is None and all(map(math.isfinite, motion.rates)):
        action[:6] = np.clip(motion.rates, -1.0, 1.0)
    if motion.gripper is not Gripper.UNCHANGED:
        gripper_open = motion.gripper is Gripper.OPEN
    action[6] = 1.0 if gripper_open else -1.0
    return action
