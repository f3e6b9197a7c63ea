"""Move to the sleep pose: brake, then follow a straight line in joint space, slowly.

From every pose in the default workspace the tip stays above the lower one of start and sleep pose on this way
(tests/drivers/widowx), so that nothing is dragged over the table.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivers.widowx.interpolation import Interpolator, MotionLimits, straight


class SleepMotion:
    """One motion to a pose.

    Args:
        pose: rad, within the limits.
        fastest: Limits of the joint with the longest way.
    """

    def __init__(self, pose: Sequence[float], fastest: MotionLimits) -> None:
        self._pose = [float(p) for p in pose]
        self._fastest = fastest
        self._limits: list[MotionLimits] | None = None

    def step(self, motion: Interpolator) -> list[float]:
        """Move the setpoints on by one period; returns them."""
        if self._limits is None and motion.at_rest:
            self._limits = straight(motion.positions, self._pose, self._fastest)
            motion.head_for(self._pose)
        if self._limits is None:
            motion.brake()
        return motion.step(self._limits)

    def arrived(self, motion: Interpolator) -> bool:
        """Whether the setpoints stand in the pose."""
        return self._limits is not None and motion.arrived
