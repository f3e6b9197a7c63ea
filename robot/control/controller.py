"""Motion in time: control steps on an absolute grid, each a straight line of joint targets.

The grid (5 Hz by default) is laid by the first step. A step ends at a time of the grid; what a policy took to think is
part of the step, and the motion takes what is left of it. An action that comes later than half a period waits for the
next time of the grid: the steps in between are missed and counted, and the arm stands at its last target by then,
because every step's commands end there and the drivers brake when no newer command comes.

A step that opens or closes the gripper lasts until its fingers stop (`Controller.settle`); the grid goes on from
there. They need half a second for their way: without the wait the arm would lift before it has a grip.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from robot.interfaces import Arm, ArmState, Clock, LatchingArm
from trajectories.errors import ConfigError
from trajectories.numbers import NS_PER_S
from trajectories.types import Command, Float64

LATEST_START = 0.5  # of a period: an action that comes later waits for the next time of the grid
_STILL = 0.05  # rad/s: twice a servo's resolution
_SETTLE_S = 0.8  # longest wait for the fingers
_STRAIN_S = 0.1  # of pushing too hard until the arm gives way
_STANDS_S = 0.05  # fingers that moved less than _STANDS_M in that time stand
_STANDS_M = 0.0005
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
        return (self.end_ns - self.start_ns) / NS_PER_S


class Controller:
    """Paces control steps and moves the arm in them.

    Args:
        arm: Gets the commands.
        clock: Keeps the times.
        control_hz: Control steps per second.
        substeps_hz: Joint targets per second.
        permit: Asked before every command; raises SafetyError when nothing may move any more.

    Attributes:
        overruns: Control steps missed so far because an action came too late.
        period_ns: Length of a control step.

    Raises:
        ConfigError: When the rates are out of order.
    """

    def __init__(
        self,
        arm: Arm | LatchingArm,
        clock: Clock,
        control_hz: float,
        substeps_hz: float,
        permit: Callable[[], None],
    ) -> None:
        if not 0 < control_hz <= substeps_hz < float("inf"):
            raise ConfigError(f"Need 0 < control_hz <= substeps_hz, got {control_hz} and {substeps_hz}.")
        self.overruns = 0
        self.period_ns = round(NS_PER_S / control_hz)
        self._arm, self._clock, self._permit = arm, clock, permit
        self._substeps = max(1, round(substeps_hz / control_hz))
        self._tick_ns = self.period_ns // self._substeps
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
        if late > LATEST_START * self.period_ns:
            missed = -(-late // self.period_ns)
            self.overruns += missed
            self._next_ns += missed * self.period_ns
        if now < self._next_ns:
            self._clock.sleep_until_ns(self._next_ns)
        self._next_ns += self.period_ns
        return ControlStep(self._clock.now_ns(), self._next_ns, missed)

    def settle(
        self,
        joints: Float64,
        gripper_width: float,
        strained: Callable[[ArmState], bool],
        relieve: Callable[[ArmState], Float64],
    ) -> None:
        """Hold until the fingers stop, or for 0.8 s; the next step of the grid begins then.

        Args:
            joints: float64 (N,) rad, where the arm is told to be.
            gripper_width: m, where the fingers are told to go.
            strained: Whether the arm pushes too hard. When it does for 0.1 s, it is told to be elsewhere:
            relieve: Takes a measured state and says where.

        Raises:
            SafetyError: When a command isn't permitted, or the arm refuses it.
            StaleDataError: When its state is too old.
        """
        start_ns = due_ns = self._clock.now_ns()
        seen: deque[ArmState] = deque()
        relaxed_ns = start_ns
        while due_ns - start_ns < _SETTLE_S * NS_PER_S:
            state = self._arm.read()
            if _stands(state, gripper_width, seen):
                break
            if not strained(state):
                relaxed_ns = state.t_ns
            elif state.t_ns - relaxed_ns >= _STRAIN_S * NS_PER_S:
                joints, relaxed_ns = relieve(state), state.t_ns
            self._send(Command(joints, gripper_width, self._clock.now_ns(), ()))
            due_ns += self._tick_ns
            self._clock.sleep_until_ns(due_ns)
        if self._next_ns is not None:
            self._next_ns += due_ns - start_ns

    def move(
        self, step: ControlStep, start: Float64, goal: Float64, gripper_width: float, clipped: tuple[str, ...]
    ) -> Command:
        """Send joint targets on a straight line until the step is over; returns the last command.

        Args:
            step: From `begin`.
            start: float64 (N,) rad, where the arm was told to be.
            goal: float64 (N,) rad, where it shall be at the end.
            gripper_width: m.
            clipped: Limits that changed the action.

        Raises:
            SafetyError: When a command isn't permitted, or the arm refuses it.
        """
        way, length_ns = goal - start, step.end_ns - step.start_ns
        count = max(1, round(self._substeps * length_ns / self.period_ns))
        command = Command(goal, gripper_width, step.start_ns, clipped)
        for i in range(1, count + 1):
            joints = start + way * (i / count) if i < count else goal
            command = Command(joints, gripper_width, self._clock.now_ns(), clipped)
            self._send(command)
            self._clock.sleep_until_ns(step.start_ns + length_ns * i // count)
        return command

    def _send(self, command: Command) -> None:
        self._permit()
        self._arm.send(command)


def _stands(state: ArmState, wanted_m: float, seen: deque[ArmState]) -> bool:
    """Whether the fingers are where they shall be, or moved no more since the last of the older states `seen`."""
    seen.append(state)
    while len(seen) > 1 and state.t_ns - seen[1].t_ns >= _STANDS_S * NS_PER_S:
        seen.popleft()
    if abs(state.gripper_width - wanted_m) < _STANDS_M:
        return True
    old_enough = state.t_ns - seen[0].t_ns >= _STANDS_S * NS_PER_S
    return old_enough and abs(state.gripper_width - seen[0].gripper_width) < _STANDS_M


def stopped_short(target: Float64, state: ArmState) -> bool:
    """Whether the arm stands still away from its target, joints (N,) rad.

    After a silence that means that it braked or is blocked: the target has nothing to do with what it does now.
    """
    away = float(np.abs(target - state.joints).max())
    return away > _SHORT and float(np.abs(state.velocities).max()) < _STILL
