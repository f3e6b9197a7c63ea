"""`CombinedDevice`: move with one device (SpaceMouse, leader arm) and take session keys from another (keyboard)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from drivers.teleop.interface import TeleopDevice
from drivers.teleop.keys import Key
from drivers.teleop.motion import Gripper, Motion
from drivers.teleop.status import DeviceStatus


class CombinedDevice:
    """A `TeleopDevice` of two. Motion comes from the one, keys and gripper wishes from both.

    When either has a problem, nobody acts: without its keys the arm shall not move either.
    """

    def __init__(self, mover: TeleopDevice, keys: TeleopDevice) -> None:
        self._mover, self._keys = mover, keys

    def start(self, on_key: Callable[[Key], None] | None = None) -> None:
        """Open both, or none."""
        self._mover.start(on_key)
        try:
            self._keys.start(on_key)
        except BaseException:
            self._mover.close()
            raise

    def latest(self) -> Motion:
        """Motion of the one; the gripper wish of the other goes first."""
        motion, beside = self._mover.latest(), self._keys.latest()
        problem = motion.problem or beside.problem
        if problem is not None:
            return Motion(t_ns=motion.t_ns, problem=problem)
        return motion if beside.gripper is Gripper.UNCHANGED else replace(motion, gripper=beside.gripper)

    def pressed(self) -> list[Key]:
        """Keys of both."""
        return self._mover.pressed() + self._keys.pressed()

    @property
    def status(self) -> DeviceStatus:
        """Status of the moving device, with the problem of either."""
        status, beside = self._mover.status, self._keys.status
        return replace(
            status, where=f"{status.where}, keys from {beside.where}", problem=status.problem or beside.problem
        )

    def close(self) -> None:
        """Release both."""
        self._mover.close()
        self._keys.close()
