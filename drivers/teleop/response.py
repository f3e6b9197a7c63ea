"""How far a stick is pushed, and how fast the arm moves for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trajectories.errors import ConfigError
from trajectories.numbers import between


@dataclass(frozen=True)
class Response:
    """Dead zone, curve and scale of a device.

    The deflection beyond the dead zone, s in [0, 1], becomes (exp(expo s) - 1) / (exp(expo) - 1), times the scale.

    Attributes:
        dead_zone: Deflections up to this are none, 0 ... 1.
        expo: 0 is a straight line; the larger, the finer the control near the middle.
        coarse: Rate at full deflection, 0 ... 1; 1 is the largest action.
        fine: The same while the button for fine motion is held.
        rotation: Times this for the three rotations, 0 ... 1.
    """

    dead_zone: float = 0.1
    expo: float = 1.5
    coarse: float = 0.6
    fine: float = 0.2
    rotation: float = 1.0

    def __post_init__(self) -> None:
        """Check every number.

        Raises:
            ConfigError: Naming the setting.
        """
        between("response.dead_zone", self.dead_zone, 0.0, 0.9)
        between("response.expo", self.expo, 0.0, 10.0)
        for name in ("coarse", "fine", "rotation"):
            between(f"response.{name}", getattr(self, name), 0.0, 1.0)
        if not 0.0 < self.fine <= self.coarse:
            raise ConfigError(f"response.fine is {self.fine}, expected above 0 and up to coarse ({self.coarse}).")

    def curve(self, value: float) -> float:
        """A deflection in [-1, 1] after dead zone and curve, in [-1, 1]."""
        size = min(1.0, abs(value))
        if size <= self.dead_zone:
            return 0.0
        part = (size - self.dead_zone) / (1.0 - self.dead_zone)
        if self.expo > 0.0:
            part = math.expm1(self.expo * part) / math.expm1(self.expo)
        return math.copysign(part, value)

    def rates(self, deflections: Sequence[float], fine: bool) -> list[float]:
        """Six deflections (translations, then rotations) as six rates in [-1, 1]."""
        scale = self.fine if fine else self.coarse
        return [self.curve(v) * (scale if i < 3 else scale * self.rotation) for i, v in enumerate(deflections)]
