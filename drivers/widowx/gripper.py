"""Compute the angle of the gripper's servo from a width, with limited speed and force. Pure.

A position goal beyond an object squeezes it with whatever output the servo may give (goal PWM). While the fingers move
that is the most; once they stand still under load they hold something, and less is enough: an XL430 that squeezes with
full force trips within seconds. Closing is towards smaller angles.
"""

from __future__ import annotations

from drivers.dynamixel.registers import LARGEST_PWM
from drivers.dynamixel.servo_map import Linkage
from drivers.widowx.setpoints import Interpolator
from drivers.widowx.settings import GripperSettings

_STANDS_S = 0.1
_TARGET_AWAY = 0.05
_OPENS = 0.02


class GripperControl:
    """One gripper.

    Args:
        linkage: Its geometry.
        settings: Speed and force.
        dt: Control period, s.
        angle: Present goal, rad.

    Attributes:
        contact: rad, where the fingers met what they hold, or None.
    """

    def __init__(self, linkage: Linkage, settings: GripperSettings, dt: float, angle: float) -> None:
        self._linkage, self._settings, self._dt = linkage, settings, dt
        self._motion = Interpolator([angle], [settings.motion], dt)
        self._target = angle
        self._pressed_s = 0.0
        self._stopped_s: float | None = None
        self.contact: float | None = None

    @property
    def pwm(self) -> int:
        """Largest output that the servo should give now, of 885."""
        moves = self.contact is None and self._stopped_s is None
        return self._settings.pwm if moves else self._settings.hold_pwm

    @property
    def goal(self) -> float:
        """rad, present setpoint."""
        return self._motion.positions[0]

    def aim(self, width: float) -> None:
        """Set the width wanted, m; it is moved into what the fingers can do."""
        self._target = self._linkage.angle(min(max(width, 0.0), self._linkage.largest_width))
        self._stopped_s = None

    def stop(self) -> None:
        """Stand from now on, until the next width. What the fingers hold stays held.

        The setpoint brakes; it stays beyond the fingers by `squeeze` at most, so that they go on pressing where they
        meet something and don't close where that is taken away.
        """
        if self._stopped_s is None:
            self._stopped_s = 0.0
            self._motion.brake()

    def restart(self, angle: float) -> None:
        """Start again from a goal, rad, that the servo already has."""
        self._motion.restart([angle])
        self._target = angle
        self._pressed_s = 0.0
        self._stopped_s = None
        self.contact = None

    def step(self, angle: float, velocity: float, part: float) -> float:
        """Move on by one period.

        Args:
            angle: Measured, rad.
            velocity: Measured, rad/s.
            part: Output, signed fraction of the stall torque.

        Returns:
            The new goal, rad.
        """
        if self._stopped_s is not None:
            return self._stand(angle)
        if self.contact is None:
            self._feel(angle, velocity, part)
        elif self._target > self.contact + _OPENS or angle < self.contact - 0.5 * self._settings.squeeze:
            self.contact = None  # told to open, or what it held slipped away
            self._pressed_s = 0.0
        goal = self._target if self.contact is None else self.contact - self._settings.squeeze
        lowest = self._linkage.angle(0.0) - self._settings.squeeze
        self._motion.head_for([max(goal, lowest)])
        return self._motion.step()[0]

    def _stand(self, angle: float) -> float:
        """The setpoint of fingers that were stopped, rad; it moves once more at most, towards them."""
        if self._motion.at_rest and self._stopped_s is not None and self._stopped_s < _STANDS_S:
            self._stopped_s += self._dt
            if self._stopped_s >= _STANDS_S:
                self._motion.head_for([max(self.goal, angle - self._settings.squeeze)])
                self._target = self._motion.targets[0]
        return self._motion.step()[0]

    def _feel(self, angle: float, velocity: float, part: float) -> None:
        """Notice that the fingers hold something."""
        pressing = -part * LARGEST_PWM / self._settings.pwm > self._settings.contact_load
        closing = self._target < angle - _TARGET_AWAY
        still = abs(velocity) < self._settings.still
        self._pressed_s = self._pressed_s + self._dt if pressing and closing and still else 0.0
        if self._pressed_s >= self._settings.contact_s:
            self.contact = angle
