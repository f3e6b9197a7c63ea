"""One environment for the arm and its twin: a `gymnasium.Env` over arm, cameras and clock.

`apply` is one control step: safety, then a motion on the controller's grid; it returns when the step is over.
After a missed step the next action is composed on where the arm then holds, should that not be its target.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from robot.arms.model import ArmModel
from robot.arms.wx250s import WX250S
from robot.control.controller import Controller, ControlStep, stopped_short
from robot.control.faults import Fault, FaultLatch, reason_of
from robot.control.home import HomeRegion, action_towards
from robot.control.latched_arm import LatchedArm
from robot.control.move_to_ready import move_to_ready
from robot.control.pose import Pose
from robot.control.robot_faults import RobotFaults
from robot.control.safety import SafetyFilter, SafetyLimits, Target
from robot.interfaces import Arm, ArmState, Camera, Clock, LatchingArm
from robot.rollout.observations import as_dict, depth_of, observation_space
from trajectories.errors import ConfigError, SafetyError, StaleDataError
from trajectories.numbers import NS_PER_S
from trajectories.types import (
    ACTION_SIZE,
    PROPRIO_NAMES,
    Command,
    Float32,
    Float64,
    Observation,
    RobotSpec,
    UInt8,
)

_MAX_STEPS = 60


@dataclass(frozen=True)
class Applied:
    """What became of a proposed action.

    Attributes:
        executed: float32 (7,), the action that was really composed on the target; learners train on this.
        command: The last command of the step, with the limits that changed the action.
    """

    executed: Float32
    command: Command


class RobotEnv(gymnasium.Env[dict[str, Any], Float32]):
    """The robot as policies, sessions and Gymnasium see it.

    Attributes:
        robot_spec: Cameras, proprioception, action scale and control rate (`spec` is Gymnasium's own).
        instruction: What the robot is asked to do; part of every observation.
        model: Which arm it is.
        limits: Safety limits, fixed.
        home: Where episodes start.
        ages_ns: Source -> how old its data were in the newest observation.
        beat_ns: When a command was last sent or an observation made, monotonic ns of the wall clock (also in the
            twin): whether the control loop lives.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012  (gymnasium's own declaration)

    def __init__(
        self,
        arm: Arm | LatchingArm,
        cameras: Mapping[str, Camera],
        clock: Clock,
        spec: RobotSpec,
        *,
        model: ArmModel = WX250S,
        limits: SafetyLimits | None = None,
        home: HomeRegion | None = None,
        max_steps: int = 40,
        max_age_s: float = 0.25,
        substeps_hz: float = 50.0,
        faults: FaultLatch | None = None,
    ) -> None:
        """Take over devices that are already open. Nothing moves until the first action.

        Args:
            arm: The arm.
            cameras: Exactly the cameras that `spec` names.
            clock: The clock that the devices' times come from.
            spec: What observations and actions look like.
            model: Which arm it is.
            limits: Safety limits; None takes the model's.
            home: Where episodes start; None takes the model's.
            max_steps: Control steps after which `step` truncates.
            max_age_s: Frames and joint states older than this are refused.
            substeps_hz: Joint targets per second.
            faults: What stands already, and where faults are latched; None takes an empty latch, see `adopt`.

        Raises:
            ConfigError: When cameras, proprioception or rates don't fit `spec`, or the limits not the model.
        """
        if set(cameras) != set(spec.cameras):
            raise ConfigError(f"The specification names cameras {sorted(spec.cameras)}, got {sorted(cameras)}.")
        if spec.proprio != PROPRIO_NAMES:
            raise ConfigError(
                f"RobotEnv measures proprioception {PROPRIO_NAMES}, the specification has {spec.proprio}."
            )
        self.robot_spec = spec
        self.instruction = ""
        self.ages_ns: dict[str, int] = {}
        self.beat_ns = time.monotonic_ns()
        self.model = model
        self.limits = limits if limits is not None else model.limits()
        self.render_mode = "rgb_array"
        self.kinematics = model.kinematics(self.limits)
        self.safety = SafetyFilter(model, self.limits, spec.action_scale, self.kinematics, faults)
        self._arm: LatchingArm = arm if isinstance(arm, LatchingArm) else LatchedArm(arm)
        self._standing = RobotFaults(self.safety, self._arm)
        self._cameras, self._clock = dict(cameras), clock
        self.home = home if home is not None else model.home
        self._max_steps, self._steps = max_steps, 0
        self._max_age_ns = round(max_age_s * NS_PER_S)
        self._controller = Controller(self._arm, clock, spec.control_hz, substeps_hz, self._permit)
        self._target: Target | None = None
        self._gripper_command = 1.0
        self.observation_space = observation_space(spec)
        self.action_space = spaces.Box(-1.0, 1.0, (ACTION_SIZE,), np.float32)  # type: ignore[assignment]

    # ---- the controller's own interface -------------------------------------------------------------------

    @property
    def arm_state(self) -> ArmState:
        """The newest joint state.

        Raises:
            StaleDataError: When it is older than allowed.
        """
        state = self._arm.read()
        age = self._clock.now_ns() - state.t_ns
        if age > self._max_age_ns:
            raise StaleDataError(
                f"The joint state is {age / 1e6:.0f} ms old, at most {self._max_age_ns / 1e6:.0f} ms are "
                "allowed. Check the arm's cable and power."
            )
        return state

    @property
    def target(self) -> Target:
        """What the next action is composed on; before the first action, the measured pose.

        Raises:
            SafetyError: When the arm reports a state that is impossible; that latches a fault.
            StaleDataError: When the joint state is older than allowed.
        """
        if self._target is None:
            self._target = self.safety.target_at(self.arm_state)
        return self._target

    @property
    def control_period_s(self) -> float:
        """Length of a control step, s."""
        return self._controller.period_ns / NS_PER_S

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What stands until a person clears it: this environment's holds and faults and the arm's own."""
        return self._standing.standing

    @property
    def fault(self) -> str | None:
        """Why nothing moves until a person clears it, or None."""
        return reason_of(self.faults)

    @property
    def overruns(self) -> int:
        """Control steps missed so far because an action came too late."""
        return self._controller.overruns

    def observe(self) -> Observation:
        """Newest frames and joint state, without waiting.

        Raises:
            SafetyError: When the arm reports a state that is impossible; that latches a fault.
            StaleDataError: When a frame or the joint state is older than allowed.
        """
        state = self.arm_state
        self.safety.require_possible(state)
        frames = {name: camera.latest(self._max_age_ns) for name, camera in self._cameras.items()}
        now_ns, self.beat_ns = self._clock.now_ns(), time.monotonic_ns()
        self.ages_ns = {"joints": now_ns - state.t_ns} | {name: now_ns - frame.t_ns for name, frame in frames.items()}
        target = self.target
        tip = self.kinematics.forward(state.joints)
        proprio = np.array(
            (
                *tip.position.tolist(),
                *tip.rpy.tolist(),
                state.gripper_width,
                self._gripper_command,
                state.gripper_effort,
                *target.pose.position.tolist(),
                target.pose.rpy[2],
            ),
            dtype=np.float32,
        )
        return Observation(
            images={name: frame.image for name, frame in frames.items()},
            proprio=proprio,
            instruction=self.instruction,
            t_ns={"joints": state.t_ns, **{name: frame.t_ns for name, frame in frames.items()}},
            depth={name: depth_of(name, frames[name]) for name in self.robot_spec.depth},
        )

    def apply(self, action: Float32) -> Applied:
        """Check `action`, move for the rest of this control step, and return when the step is over.

        When the gripper opens or closes, that is when its fingers have stopped.

        Args:
            action: (7,) proposed, see `RobotSpec`; it is composed on the previous target. Anything that is not
                finite becomes a hold.

        Raises:
            SafetyError: When a fault is or gets latched, the arm's own included; the arm holds its position.
            StaleDataError: When the joint state is too old; the arm holds.
        """
        self.beat_ns = time.monotonic_ns()
        step = self._controller.begin()
        try:
            state = self.arm_state
            target = self._target_after(step, state)
            checked = self.safety.check(action, target, state, step.duration_s)
            turned = checked.target.gripper_open != target.gripper_open
            self._target = checked.target
            self._gripper_command = float(checked.executed[6])
            command = self._controller.move(
                step, target.joints, checked.target.joints, checked.gripper_width, checked.clipped
            )
            if turned:
                self._controller.settle(
                    checked.target.joints, checked.gripper_width, self.safety.strained, self._give_way
                )
        except (SafetyError, StaleDataError):
            self._let_hold()
            raise
        self.beat_ns = time.monotonic_ns()
        return Applied(checked.executed, command)

    def go_home(self, rng: np.random.Generator) -> None:
        """Open the gripper in place, rise, and move to a random home pose through the safety filter.

        Where a tool stays in the gripper (`HomeRegion.opens`), it stays closed. The scene is left as it is.
        The grid of control steps starts anew afterwards.

        Raises:
            SafetyError: When a fault is latched or the pose is not reached.
        """
        self._controller.restart()
        hold = np.array([0, 0, 0, 0, 0, 0, 1 if self.home.opens else -1], dtype=np.float32)
        for _ in range(self.home.open_steps):
            self.apply(hold)
        x, y, z = self.target.pose.position.tolist()
        up = Pose(np.array([x, y, max(z, self.home.rise_z)]), self.target.pose.rpy)
        risen = self.move_to(up, self.home.opens)
        if not (risen and self.move_to(self.kinematics.attainable(self.home.sample(rng)), self.home.opens)):
            raise SafetyError(
                f"The arm did not get home in {_MAX_STEPS} control steps: something blocks it. "
                "Free the arm and start again."
            )
        self._controller.restart()

    def move_to(self, goal: Pose, gripper_open: bool) -> bool:
        """Move straight to `goal`, or as near as the box allows, at the speed of going home; errors as of `apply`.

        Returns:
            Whether it got there, or that near; not where something blocks the arm.
        """
        self._controller.restart()
        for _ in range(_MAX_STEPS):
            before, scale = self.target.pose, self.robot_spec.action_scale
            action, arrives = action_towards(before, goal, scale, self.home.speed, gripper_open)
            applied = self.apply(action)
            if not applied.command.clipped:
                if arrives:
                    return True
            elif not applied.executed[:6].any() and "lag" not in applied.command.clipped:
                return True
        return False

    def resync(self) -> None:
        """Forget target and grid: after somebody else moved the arm, start from where it is."""
        self._target = None
        self._controller.restart()
        self._gripper_command = 1.0 if self.target.gripper_open else -1.0

    def clear_faults(self, person: str, ids: Sequence[str]) -> None:
        """End exactly these instances of `faults` on a person's word, see `RobotFaults.clear`.

        When nothing stands any more, the next action starts from where the arm is.
        """
        self._standing.clear(person, ids)
        if not self.faults:
            self.resync()

    def adopt(self, faults: FaultLatch) -> None:
        """Latch in `faults` from now on, which was there before the robot and has what people said meanwhile."""
        self._standing.adopt(faults)

    def stop(self, reason: str) -> Fault:
        """A person says hold, from any thread: nothing moves until a person clears this instance, which is returned.

        The thread that moves the arm gets a SafetyError with its next command, at most 20 ms later.
        """
        return self.safety.faults.trip(reason, "hold")

    def wake(self) -> None:
        """Move slowly from wherever the arm is to its ready pose.

        Raises:
            SafetyError: While something stands, or when something is in the arm's way; it holds then.
            StaleDataError, DeviceError: When the arm doesn't answer.
        """
        try:
            move_to_ready(self._arm, self._clock, self.model.ready, self._permit)
        except (SafetyError, StaleDataError):
            self._let_hold()
            raise
        self.resync()

    def hold(self) -> None:
        """Stop where the arm is."""
        self._let_hold()
        self.resync()

    # ---- Gymnasium on top ---------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Go home (nothing in the scene is reset) and observe."""
        super().reset(seed=seed)
        self._steps = 0
        self.go_home(self.np_random)
        return as_dict(self.observe()), {}

    def step(self, action: Float32) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """One control step; the reward is always 0, success is for a reward model to judge."""
        applied = self.apply(action)
        self._steps += 1
        info = {"executed": applied.executed, "clipped": applied.command.clipped}
        return as_dict(self.observe()), 0.0, False, self._steps >= self._max_steps, info

    def render(self) -> UInt8:  # type: ignore[override]
        """The first camera's newest frame, uint8 (H, W, 3).

        Raises:
            ConfigError: When there is no camera.
        """
        if not self._cameras:
            raise ConfigError("This environment has no camera to render.")
        return next(iter(self._cameras.values())).latest(self._max_age_ns).image

    def close(self) -> None:
        """Release the arm without dropping it."""
        self._arm.close()

    # ---- inside -------------------------------------------------------------------------------------------

    def _target_after(self, step: ControlStep, state: ArmState) -> Target:
        """What the action of `step` is composed on: the last target, or where the arm holds after a silence."""
        target = self.target
        if step.missed and stopped_short(target.joints, state):
            return self.safety.target_at(state, target.gripper_open)
        return target

    def _give_way(self, state: ArmState) -> Float64:
        """Make where the arm is its target, rad (N,): what it pushes against no longer loads the servos."""
        self._target = self.safety.target_at(state, self.target.gripper_open)
        return self._target.joints

    def _permit(self) -> None:
        """Asked before every command.

        Raises:
            SafetyError: While anything stands.
        """
        self.beat_ns = time.monotonic_ns()
        self._standing.require_none()

    def _let_hold(self) -> None:
        """Stop the arm; where something stands, it does that by itself: a protective motion may go on."""
        if not self.faults:
            self._arm.hold()
