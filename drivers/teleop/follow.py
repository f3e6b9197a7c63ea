"""Compute how far a leader arm's tip has moved since the follower was last told."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from drivers.teleop.keys import Key
from drivers.teleop.motion import Gripper, Motion
from robot.arms.model import ArmModel
from robot.control.home import action_towards
from robot.control.pose import Pose, multiply, rotation_vector, rows_from_rpy, rpy_from_rows, transpose
from trajectories.errors import ConfigError
from trajectories.numbers import NS_PER_S, positive

GRIPPER = "gripper"


@dataclass(frozen=True)
class FollowConfig:
    """How the follower follows.

    Attributes:
        dead_zone_m: The leader's tip moved less than this, and turned less than `dead_zone_rad`: it rests.
        dead_zone_rad: See there.
        gripper_open_rad: The leader's gripper beyond this angle opens the follower's.
        gripper_closed_rad: Below this angle it closes it; in between nothing changes.
        stale_s: A leader that is silent for longer is not believed.
        pause_s: When nobody looked for longer than this (between episodes), what the leader did meanwhile is dropped.
    """

    dead_zone_m: float = 0.003
    dead_zone_rad: float = 0.02
    gripper_open_rad: float = 0.7
    gripper_closed_rad: float = 0.1
    stale_s: float = 0.5
    pause_s: float = 1.0

    def __post_init__(self) -> None:
        """Check every number.

        Raises:
            ConfigError: Naming the setting.
        """
        for name in ("dead_zone_m", "dead_zone_rad", "stale_s", "pause_s"):
            positive(f"leader.follow.{name}", getattr(self, name))
        if not self.gripper_closed_rad < self.gripper_open_rad:
            raise ConfigError(
                f"leader.follow.gripper_closed_rad is {self.gripper_closed_rad}, expected less than gripper_open_rad "
                f"({self.gripper_open_rad})."
            )


class Follow:
    """Joint angles of a leader arm -> motions of the follower's tip; relative, so that the two may stand differently.

    What is too far for one control step is made up in the next ones. Takes the place of `Controls` in a `ReaderDevice`:
    reports hold the joints' angles in rad.
    """

    def __init__(self, config: FollowConfig, action_scale: Sequence[float], leader: ArmModel) -> None:
        """Wait for the first report.

        Args:
            config: How to follow.
            action_scale: (7,) see `RobotSpec.action_scale`.
            leader: Which arm leads.
        """
        self._config, self._scale = config, tuple(action_scale)
        self._joints, self._kinematics = leader.joints, leader.kinematics()
        self._angles: dict[str, float] = {}
        self._told: Pose | None = None
        self._open: bool | None = None
        self._wish = Gripper.UNCHANGED
        self._newest_ns = self._looked_ns = 0

    def reset(self, t_ns: int) -> None:
        """Forget the leader's pose: its next one is where it starts from."""
        self._angles.clear()
        self._told, self._open, self._wish = None, None, Gripper.UNCHANGED
        self._newest_ns = t_ns

    def update(self, report: Iterable[tuple[str, float]], t_ns: int) -> list[Key]:
        """Take joint angles, rad; a leader has no keys."""
        self._angles.update(report)
        self._newest_ns = t_ns
        angle = self._angles.get(GRIPPER)
        if angle is not None:
            self._watch_gripper(angle)
        return []

    def drain(self) -> list[Key]:
        """A leader has no keys."""
        return []

    def motion(self, now_ns: int) -> Motion:
        """The next piece of the way that the leader went."""
        silent_s = (now_ns - self._newest_ns) / NS_PER_S
        if silent_s > self._config.stale_s:
            self._told = None
            return Motion(t_ns=self._newest_ns, problem=f"the leader arm was silent for {silent_s:.1f} s; it holds.")
        paused = (now_ns - self._looked_ns) / NS_PER_S > self._config.pause_s
        self._looked_ns = now_ns
        wish, self._wish = self._wish, Gripper.UNCHANGED
        if not all(name in self._angles for name in self._joints):
            return Motion(t_ns=self._newest_ns)
        here = self._kinematics.forward([self._angles[name] for name in self._joints])
        if self._told is None or paused:
            self._told = here
            return Motion(t_ns=self._newest_ns)
        if self._rests(self._told, here):
            return Motion(gripper=wish, t_ns=self._newest_ns)
        action, arrives = action_towards(self._told, here, self._scale, 1.0, True)
        dx, dy, dz, droll, dpitch, dyaw = rates = [float(rate) for rate in action[:6]]
        self._told = here if arrives else self._composed(self._told, rates)
        return Motion(dx, dy, dz, droll, dpitch, dyaw, gripper=wish, active=True, t_ns=self._newest_ns)

    def _rests(self, told: Pose, here: Pose) -> bool:
        turn = multiply(rows_from_rpy(here.rpy.tolist()), transpose(rows_from_rpy(told.rpy.tolist())))
        shift = math.dist(here.position.tolist(), told.position.tolist())
        return shift <= self._config.dead_zone_m and math.hypot(*rotation_vector(turn)) <= self._config.dead_zone_rad

    def _composed(self, pose: Pose, rates: Sequence[float]) -> Pose:
        """`pose` after a step, as `RobotEnv` composes it."""
        delta = [rate * scale for rate, scale in zip(rates, self._scale, strict=False)]
        rpy = rpy_from_rows(multiply(rows_from_rpy(delta[3:]), rows_from_rpy(pose.rpy.tolist())))
        return Pose.of([p + d for p, d in zip(pose.position.tolist(), delta[:3], strict=True)], rpy)

    def _watch_gripper(self, angle: float) -> None:
        """A wish arises when the person moves the leader's gripper across a limit.

        Where it is at the start is no wish: `motion` drops that at its first look.
        """
        if angle > self._config.gripper_open_rad:
            is_open = True
        elif angle < self._config.gripper_closed_rad:
            is_open = False
        else:
            return
        if is_open is not self._open:
            self._wish = Gripper.OPEN if is_open else Gripper.CLOSED
        self._open = is_open
