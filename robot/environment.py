"""One environment for the arm and its twin: a `gymnasium.Env` over arm, cameras and clock.

Control steps lie on an absolute grid of times (5 Hz by default): `apply` returns when its step is over, the
time that a policy needs to think is part of the step, and the motion takes what is left of it. When a step is
missed, the arm stands still until the next time of the grid and `overruns` grows.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from robot.home import HomeRegion, action_towards
from robot.interfaces import Arm, ArmState, Camera, Clock
from robot.pose import Pose
from robot.safety import Checked, SafetyFilter, SafetyLimits, Target
from trajectories.errors import ConfigError, SafetyError, StaleDataError
from trajectories.types import ACTION_SIZE, PROPRIO_NAMES, Command, Float32, Observation, Spec, UInt8

_NS = 1_000_000_000
_LATEST_START = 0.5  # of a step: an action that comes later waits for the next time of the grid
_MAX_HOME_STEPS = 60


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
        limits: Safety limits, fixed.
        overruns: Control steps missed so far because an action came too late.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012  (gymnasium's own declaration)

    def __init__(
        self,
        arm: Arm,
        cameras: Mapping[str, Camera],
        clock: Clock,
        spec: Spec,
        *,
        limits: SafetyLimits | None = None,
        home: HomeRegion | None = None,
        max_steps: int = 40,
        max_age_s: float = 0.25,
        substeps_hz: float = 50.0,
    ) -> None:
        """Take over devices that are already open. Nothing moves until the first action.

        Args:
            arm: The arm.
            cameras: Exactly the cameras that `spec` names.
            clock: The clock that the devices' times come from.
            spec: What observations and actions look like.
            limits: Safety limits; the defaults fit the table scenes.
            home: Where episodes start.
            max_steps: Control steps after which `step` truncates.
            max_age_s: Frames and joint states older than this are refused.
            substeps_hz: Joint targets per second.

        Raises:
            ConfigError: When cameras, proprioception or rates don't fit `spec`.
        """
        if set(cameras) != set(spec.cameras):
            raise ConfigError(f"The specification names cameras {sorted(spec.cameras)}, got {sorted(cameras)}.")
        if spec.proprio != PROPRIO_NAMES:
            raise ConfigError(
                f"RobotEnv measures proprioception {PROPRIO_NAMES}, the specification has {spec.proprio}."
            )
        if not 0 < spec.control_hz <= substeps_hz:
            raise ConfigError(f"Need 0 < control_hz <= substeps_hz, got {spec.control_hz} and {substeps_hz}.")
        self.robot_spec = spec
        self.instruction = ""
        self.limits = limits if limits is not None else SafetyLimits()
        self.overruns = 0
        self.render_mode = "rgb_array"
        self.kinematics = self.limits.kinematics()
        self.safety = SafetyFilter(self.limits, spec.action_scale, self.kinematics)
        self._arm, self._cameras, self._clock = arm, dict(cameras), clock
        self._home = home if home is not None else HomeRegion()
        self._max_steps, self._steps = max_steps, 0
        self._max_age_ns = round(max_age_s * _NS)
        self._period_ns = round(_NS / spec.control_hz)
        self._substeps = max(1, round(substeps_hz / spec.control_hz))
        self._next_ns: int | None = None
        self._target: Target | None = None
        self._gripper_command = 1.0
        images = {name: spaces.Box(0, 255, (h, w, 3), np.uint8) for name, (h, w) in sorted(spec.cameras.items())}
        self.observation_space = spaces.Dict(
            {
                "images": spaces.Dict(images),  # type: ignore[arg-type]
                "proprio": spaces.Box(-np.inf, np.inf, (len(spec.proprio),), np.float32),
                "instruction": spaces.Text(400, min_length=0, charset=string.printable),
            }
        )
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
        """What the next action is composed on; before the first action, the measured pose."""
        if self._target is None:
            self._target = self._measured_target(self.arm_state)
        return self._target

    @property
    def control_period_s(self) -> float:
        """Length of a control step, s."""
        return self._period_ns / _NS

    def observe(self) -> Observation:
        """Newest frames and joint state, without waiting.

        Raises:
            StaleDataError: When a frame or the joint state is older than allowed.
        """
        state = self.arm_state
        frames = {name: camera.latest(self._max_age_ns) for name, camera in self._cameras.items()}
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
        )

    def apply(self, action: Float32) -> Applied:
        """Check `action`, move for the rest of this control step, and return when the step is over.

        Args:
            action: (7,) proposed, see `Spec`; it is composed on the previous target. Anything that is not
                finite becomes a hold.

        Raises:
            SafetyError: When a fault is or gets latched; the arm holds its position.
            StaleDataError: When the joint state is too old.
        """
        target = self.target
        end_ns = self._step_end()
        now_ns = self._clock.now_ns()
        try:
            checked = self.safety.check(action, target, self.arm_state, (end_ns - now_ns) / _NS)
        except SafetyError:
            self._arm.hold()
            raise
        self._target = checked.target
        self._gripper_command = float(checked.executed[6])
        return Applied(checked.executed, self._interpolate(target, checked, now_ns, end_ns))

    def go_home(self, rng: np.random.Generator) -> None:
        """Open the gripper in place, rise, and move to a random home pose through the safety filter.

        The scene is left as it is. The grid of control steps starts anew afterwards.

        Raises:
            SafetyError: When a fault is latched or the pose is not reached.
        """
        self._next_ns = None
        hold = np.array([0, 0, 0, 0, 0, 0, 1], dtype=np.float32)
        for _ in range(self._home.open_steps):
            self.apply(hold)
        here = self.target.pose
        rise = max(float(here.position[2]), self._home.rise_z)
        self._move_to(Pose(np.array([here.position[0], here.position[1], rise]), here.rpy))
        self._move_to(self._home.sample(rng))
        self._next_ns = None

    def resync(self) -> None:
        """Forget target and grid: after somebody else moved the arm, start from where it is."""
        self._target = None
        self._next_ns = None
        self._gripper_command = 1.0 if self.target.gripper_open else -1.0

    def clear_fault(self, person: str) -> None:
        """Go on after a fault, on a person's word, from where the arm is.

        Raises:
            SafetyError: When no name is given.
        """
        self.safety.clear(person)
        self.resync()

    def hold(self) -> None:
        """Stop where the arm is."""
        self._arm.hold()
        self.resync()

    # ---- Gymnasium on top ---------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Go home (nothing in the scene is reset) and observe."""
        super().reset(seed=seed)
        self._steps = 0
        self.go_home(self.np_random)
        return self._as_dict(self.observe()), {}

    def step(self, action: Float32) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """One control step; the reward is always 0, success is for a reward model to judge."""
        applied = self.apply(action)
        self._steps += 1
        info = {"executed": applied.executed, "clipped": applied.command.clipped}
        return self._as_dict(self.observe()), 0.0, False, self._steps >= self._max_steps, info

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

    def _measured_target(self, state: ArmState) -> Target:
        """The measured pose as a target; its joints are the measured ones, so that nothing jumps."""
        middle = 0.5 * (self.limits.gripper_open_width + self.limits.gripper_closed_width)
        return Target(self.kinematics.forward(state.joints), state.joints.copy(), state.gripper_width > middle)

    def _step_end(self) -> int:
        """When this control step ends, ns; waits for the grid's next time when this one is too far gone."""
        now = self._clock.now_ns()
        if self._next_ns is None:
            self._next_ns = now
        late = now - self._next_ns
        if late > _LATEST_START * self._period_ns:
            missed = -(-late // self._period_ns)
            self.overruns += missed
            self._next_ns += missed * self._period_ns
        if now < self._next_ns:
            self._clock.sleep_until_ns(self._next_ns)
        self._next_ns += self._period_ns
        return self._next_ns

    def _interpolate(self, old: Target, checked: Checked, start_ns: int, end_ns: int) -> Command:
        """Send joint targets on a straight line until `end_ns`; returns the last command."""
        begin, way = old.joints, checked.target.joints - old.joints
        count = max(1, round(self._substeps * (end_ns - start_ns) / self._period_ns))
        command = Command(checked.target.joints, checked.gripper_width, start_ns, checked.clipped)
        for i in range(1, count + 1):
            joints = begin + way * (i / count) if i < count else checked.target.joints
            command = Command(joints, checked.gripper_width, self._clock.now_ns(), checked.clipped)
            self._arm.send(command)
            self._clock.sleep_until_ns(start_ns + (end_ns - start_ns) * i // count)
        return command

    def _move_to(self, goal: Pose) -> None:
        """Straight to `goal` with the gripper open, or as near as the box allows."""
        for _ in range(_MAX_HOME_STEPS):
            before = self.target.pose
            action, arrives = action_towards(before, goal, self.robot_spec.action_scale, self._home.speed, True)
            applied = self.apply(action)
            if not applied.command.clipped:
                if arrives:
                    return
            elif not applied.executed[:6].any() and "lag" not in applied.command.clipped:
                return
        raise SafetyError(
            f"The arm did not get home in {_MAX_HOME_STEPS} control steps: something blocks it. "
            "Free the arm and start again."
        )

    def _as_dict(self, observation: Observation) -> dict[str, Any]:
        return {
            "images": dict(observation.images),
            "proprio": observation.proprio,
            "instruction": observation.instruction,
        }
