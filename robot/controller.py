"""Motion in time: control steps on an absolute grid, each a straight line of joint targets.

The grid (5 Hz by default) is laid by the first step. A step ends at a time of the grid; what a policy took to think is
part of the step, and the motion takes what is left of it. An action that comes later than half a period waits for the
next time of the grid: the steps in between are missed and counted, and the arm stands at its last target by then,
because every step's commands end there and the drivers brake when no newer command comes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robot.interfaces import Arm, ArmState, Clock
from trajectories.errors import ConfigError
from trajectories.types import Command, Float64

_NS = 1_000_000_000
_LATEST_START = 0.5  # of a period: an action that comes later waits for the next time of the grid
_STILL = 0.05  # rad/s: twice a servo's resolution
_SHORT = 0.2  # rad: more than the servos' gains leave between a target and a joint that carries the arm


@dataclass(frozen=True)
class ControlStep:
    """One step of the grid.

    Attributes:
        start_ns: When its motion begins.
        end_ns: When it is over.
        missed: Steps that were missed before it.
    """

    start_ns: int
    end_ns: int
    missed: int

    @property
    def duration_s(self) -> float:
        """Time for the motion."""
        return (self.end_ns - self.start_ns) / _NS


class Controller:
    """Paces control steps and moves the arm in them.

    Args:
        arm: Gets the commands.
        clock: Keeps the times.
        control_hz: Control steps per second.
        substeps_hz: Joint targets per second.

    Attributes:
        overruns: Control steps missed so far because an action came too late.
        period_ns: Length of a control step.

    Raises:
        ConfigError: When the rates are out of order.
    """

    def __init__(self, arm: Arm, clock: Clock, control_hz: float, substeps_hz: float) -> None:
        if not 0 < control_hz <= substeps_hz < float("inf"):
            raise ConfigError(f"Need 0 < control_hz <= substeps_hz, got {control_hz} and {substeps_hz}.")
        self.overruns = 0
        self.period_ns = round(_NS / control_hz)
        self._arm, self._clock = arm, clock
        self._substeps = max(1, round(substeps_hz / control_hz))
        self._next_ns: int | None = None

    def restart(self) -> None:
        """Forget the grid: the next step lays a new one."""
        self._next_ns = None

    def begin(self) -> ControlStep:
        """The step that an action given now belongs to; waits for its time of the grid."""
        now = self._clock.now_ns()
        if self._next_ns is None:
            self._next_ns = now
        late, missed = now - self._next_ns, 0
        if late > _LATEST_START * self.period_ns:
            missed = -(-late // self.period_ns)
            self.overruns += missed
            self._next_ns += missed * self.period_ns
        if now < self._next_ns:
            self._clock.sleep_until_ns(self._next_ns)
        self._next_ns += self.period_ns
        return ControlStep(self._clock.now_ns(), self._next_ns, missed)

    def move(
        self, step: ControlStep, start: Float64, goal: Float64, gripper_width: float, clipped: tuple[str, ...]
    ) -> Command:
        """Send joint targets on a straight line until the step is over; returns the last command.

        Args:
            step: From `begin`.
            start: float64 (6,) rad, where the arm was told to be.
            goal: float64 (6,) rad, where it shall be at the end.
            gripper_width: m.
            clipped: Limits that changed the action.

        Raises:
            SafetyError: When the arm refuses a command.
        """
        way, length_ns = goal - start, step.end_ns - step.start_ns
        count = max(1, round(self._substeps * length_ns / self.period_ns))
        command = Command(goal, gripper_width, step.start_ns, clipped)
        for i in range(1, count + 1):
            joints = start + way * (i / count) if i < count else goal
            command = Command(joints, gripper_width, self._clock.now_ns(), clipped)
            self._arm.send(command)
            self._clock.sleep_until_ns(step.start_ns + length_ns * i // count)
        return command


def stopped_short(target: Float64, state: ArmState) -> bool:
    """Whether the arm stands still away from its target, joints (6,) rad.

    After a silence that means that it braked or is blocked: the target has nothing to do with what it does now.
    """
    away = float(np.abs(target - state.joints).max())
    return away > _SHORT and float(np.abs(state.velocities).max()) < _STILL
