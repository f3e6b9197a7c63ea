"""The trajectory that a servo makes from a goal position.

Source: ROBOTIS-GIT/emanual `_includes/en/dxl/control_table_profile_velocity.md`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_STEP_S = 0.001


@dataclass
class Profile:
    """Position and speed that the servo aims at, in ticks and ticks/s.

    Without profile velocity the trajectory jumps to the goal. With a velocity it moves at most that fast; with an
    acceleration as well it speeds up and slows down. A time-based profile takes the given time when it starts at rest;
    from another speed it takes a little less or more (the servos' exact way is not published).

    Attributes:
        position: Present aim, ticks.
        velocity: Present speed of the aim, ticks/s.
        goal: Where it ends, ticks.
        largest_speed: ticks/s; infinite without profile.
        acceleration: ticks/s^2; infinite without.
    """

    position: float
    velocity: float = 0.0
    goal: float = 0.0
    largest_speed: float = math.inf
    acceleration: float = math.inf

    def hold(self, position: float) -> None:
        """Stay at `position`."""
        self.position = self.goal = position
        self.velocity = 0.0

    def start(self, goal: float, largest_speed: float, acceleration: float) -> None:
        """Head for `goal` by speed and acceleration (infinite: none)."""
        self.goal, self.largest_speed, self.acceleration = goal, largest_speed, acceleration

    def start_timed(self, goal: float, span_s: float, ramp_s: float) -> None:
        """Head for `goal` in `span_s`, the first and last `ramp_s` of it (at most half) at constant acceleration."""
        ramp = min(ramp_s, span_s / 2)
        speed = abs(goal - self.position) / max(span_s - ramp, 1e-9)
        if span_s <= 0:
            self.start(goal, math.inf, math.inf)
        else:
            self.start(goal, max(speed, 1e-9), speed / ramp if ramp > 0 and speed > 0 else math.inf)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if math.isinf(self.largest_speed):
            self.position, self.velocity = self.goal, 0.0
            return
        while seconds > 1e-9 and (self.position != self.goal or self.velocity):
            step = min(seconds, _STEP_S)
            self._step(step)
            seconds -= step

    def _step(self, dt: float) -> None:
        away = self.goal - self.position
        direction = math.copysign(1.0, away)
        if math.isinf(self.acceleration):
            speed = direction * self.largest_speed
        else:
            stop = math.sqrt(2 * self.acceleration * abs(away))
            wanted = direction * min(self.largest_speed, stop)
            change = self.acceleration * dt
            speed = min(max(wanted, self.velocity - change), self.velocity + change)
        if abs(away) <= abs(speed) * dt + 1e-9 and speed * away >= 0:
            self.position, self.velocity = self.goal, 0.0
        else:
            self.position += speed * dt
            self.velocity = speed
