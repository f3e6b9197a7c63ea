"""`Stopping`: bring setpoints to rest, once, and leave them there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drivers.widowx.gripper import GripperControl
from drivers.widowx.setpoints import Interpolator
from robot.interfaces import ArmState
from trajectories.numbers import NS_PER_S

_STANDS_S = 0.1
"""After setpoints stopped, until the joints have caught up."""


class Stopping:
    """Stops joints and gripper of one arm.

    Args:
        motion: Setpoints of the joints.
        gripper: Of the gripper.
        inside: Moves angles, rad, into the joints' limits.
    """

    def __init__(
        self, motion: Interpolator, gripper: GripperControl, inside: Callable[[Sequence[float]], list[float]]
    ) -> None:
        self._motion, self._gripper, self._inside = motion, gripper, inside
        self.cancel()

    def cancel(self) -> None:
        """Something else moves the setpoints from here on."""
        self._lag: float | None = None
        self._stands_ns: int | None = None

    def begin(self, lag: float) -> None:
        """Brake; where the arm then isn't within `lag` of its setpoint, rad, that becomes the measured position."""
        self._motion.brake()
        self._gripper.stop()
        self._lag, self._stands_ns = lag, None

    def look(self, state: ArmState | None, now_ns: int) -> None:
        """Go on with what `begin` said, in every cycle until it is done; then the setpoints stand for good."""
        if self._lag is None or not self._motion.at_rest or state is None:
            return
        self._stands_ns = self._stands_ns or now_ns
        if now_ns - self._stands_ns >= _STANDS_S * NS_PER_S:
            measured = self._inside(state.joints.tolist())
            pairs = zip(self._motion.positions, measured, strict=True)
            self._motion.head_for([p if abs(p - m) <= self._lag else m for p, m in pairs])
            self._lag = None
