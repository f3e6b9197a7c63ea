"""Write goals to the servos, after checking that each is finite and within the servo's limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

from drivers.dynamixel.bus import DynamixelBus
from drivers.dynamixel.servo_map import ServoMap
from drivers.dynamixel.units import rad_to_ticks, ticks_to_rad
from trajectories.errors import SafetyError


class GoalWriter:
    """Writes the goals of all joints and the gripper with one packet; shadows hear their leader's.

    Args:
        bus: Of the servos.
        model: The arm.
        gripper_squeeze: rad that the gripper's goal may lie beyond "closed".

    Attributes:
        limits: (smallest, largest) ticks of every joint, gripper last.
        written: rad, the last goals.
    """

    def __init__(self, bus: DynamixelBus, model: ServoMap, gripper_squeeze: float) -> None:
        self._bus = bus
        self._leaders = model.leaders
        closed, wide = model.linkage.angle(0.0), model.linkage.angle(model.linkage.largest_width)
        places = model.leaders[:-1]
        self.limits = (
            *((place.min_position, place.max_position) for place in places),
            (rad_to_ticks(closed - gripper_squeeze), rad_to_ticks(wide)),
        )
        self._range = [(ticks_to_rad(low), ticks_to_rad(high)) for low, high in self.limits]
        self.written: tuple[float, ...] = ()

    def inside(self, angles: Sequence[float]) -> list[float]:
        """`angles` (rad; joints, or joints and gripper) moved into the limits."""
        return [min(max(float(a), low), high) for a, (low, high) in zip(angles, self._range, strict=False)]

    def write(self, angles: Sequence[float]) -> None:
        """Send the goals, rad, gripper last.

        Raises:
            SafetyError: When one is not finite or beyond its limit; then nothing is sent.
            PortLostError: Without port.
        """
        goals: dict[int, int] = {}
        for place, angle, (low, high) in zip(self._leaders, angles, self.limits, strict=True):
            if not math.isfinite(angle) or not low <= rad_to_ticks(angle) <= high:
                raise SafetyError(
                    f"A goal of {angle!r} rad for {place.name} (servo {place.servo}) reached the bus; its limits are "
                    f"{ticks_to_rad(low):.4f} ... {ticks_to_rad(high):.4f}. Nothing was sent. This is a bug: report it."
                )
            goals[place.servo] = rad_to_ticks(angle)
        self._bus.sync_write("goal_position", goals)
        self.written = tuple(angles)
