"""Crank and rods between the gripper's servo and its fingers.

A finger at x (m, as in the URDF) belongs to the crank angle theta = pi/2 - acos((r^2 + x^2 - a^2) / (2 r x)), with
x = r sin(theta) + sqrt(a^2 - r^2 cos^2(theta)). Source: Interbotix/interbotix_xs_driver `src/xs_driver.cpp`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from trajectories.errors import ConfigError


@dataclass(frozen=True)
class Linkage:
    """One gripper's geometry; the defaults are the WidowX'.

    Attributes:
        crank: r, m.
        rod: a, m.
        closed: x of a finger that touches the other, m.
        open: x of an open finger, m.
    """

    crank: float = 0.014
    rod: float = 0.024
    closed: float = 0.015
    open: float = 0.037

    @property
    def largest_width(self) -> float:
        """Gap between open fingers, m."""
        return 2 * (self.open - self.closed)

    def angle(self, width: float) -> float:
        """Crank angle, rad, of a gap between the fingers.

        Args:
            width: 0 (touching) ... `largest_width` m (open).

        Raises:
            ConfigError: When the fingers can't be there.
        """
        if not -1e-9 <= width <= self.largest_width + 1e-9:
            raise ConfigError(f"The gripper's width must be 0 ... {self.largest_width:.3f} m, got {width!r}.")
        x = self.closed + 0.5 * width
        return math.pi / 2 - math.acos((self.crank**2 + x**2 - self.rod**2) / (2 * self.crank * x))

    def width(self, angle: float) -> float:
        """Gap between the fingers, m, of a crank angle in rad; beyond the stops it goes on as the geometry says."""
        x = self.crank * math.sin(angle) + math.sqrt(self.rod**2 - (self.crank * math.cos(angle)) ** 2)
        return 2 * (x - self.closed)

    def width_per_rad(self, angle: float) -> float:
        """Derivative of `width`, m/rad: turns crank speed into finger speed, finger force into torque."""
        r, turn = self.crank, math.cos(angle)
        root = math.sqrt(self.rod**2 - (r * turn) ** 2)
        return 2 * (r * turn + r**2 * turn * math.sin(angle) / root)


WIDOWX_LINKAGE = Linkage()
