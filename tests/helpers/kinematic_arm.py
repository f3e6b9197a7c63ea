"""A robot that follows every command perfectly, on a clock that only moves when slept on."""

from dataclasses import dataclass, field

import numpy as np

from robot.control.kinematics import Kinematics
from robot.control.pose import Pose
from robot.interfaces import ArmState, Frame
from robot.rollout.environment import RobotEnv
from trajectories.errors import SafetyError, StaleDataError
from trajectories.types import Command, RobotSpec

START = Kinematics().inverse(Pose.of((0.26, 0.0, 0.14)), (0.0, 0.0, 0.0, 0.0, 1.5, 0.0))


@dataclass
class ManualClock:
    """Time that moves only when somebody sleeps on it or sets it."""

    now: int = 1_000_000_000

    def now_ns(self) -> int:
        return self.now

    def sleep_until_ns(self, t_ns: int) -> None:
        self.now = max(self.now, t_ns)


@dataclass
class KinematicArm:
    """Is at every command at once, unless it is blocked."""

    clock: ManualClock
    joints: np.ndarray = field(default_factory=START.copy)
    width: float = 0.044
    efforts: np.ndarray = field(default_factory=lambda: np.zeros(6))
    blocked: bool = False
    age_ns: int = 0
    sent: list[Command] = field(default_factory=list)
    holds: int = 0
    fault: str | None = None
    cleared_by: str | None = None

    def read(self) -> ArmState:
        return ArmState(
            joints=self.joints.copy(),
            velocities=np.zeros(6),
            efforts=self.efforts.copy(),
            gripper_width=self.width,
            gripper_effort=0.0,
            t_ns=self.clock.now - self.age_ns,
        )

    def send(self, command: Command) -> None:
        if self.fault is not None:
            raise SafetyError(f"the arm refuses: {self.fault}")
        self.sent.append(command)
        if not self.blocked:
            self.joints = command.joints.copy()
            self.width = command.gripper_width

    def hold(self) -> None:
        self.holds += 1

    def clear(self, person: str) -> None:
        self.fault, self.cleared_by = None, person

    def close(self) -> None:
        pass


@dataclass
class PatternCamera:
    """A grey frame of a given age, with depth if it is given."""

    clock: ManualClock
    size: tuple[int, int]
    age_ns: int = 0
    depth: np.ndarray | None = None

    def latest(self, max_age_ns: int) -> Frame:
        if self.age_ns > max_age_ns:
            raise StaleDataError("the pattern is old")
        return Frame(np.full((*self.size, 3), 7, np.uint8), self.clock.now - self.age_ns, self.depth)


SPEC = RobotSpec(cameras={"front": (8, 10)})


def make_env(**settings) -> tuple[RobotEnv, KinematicArm, ManualClock]:
    clock = ManualClock()
    arm = KinematicArm(clock)
    env = RobotEnv(arm, {"front": PatternCamera(clock, (8, 10))}, clock, SPEC, **settings)
    env.instruction = "put the cube into the pot"
    return env, arm, clock


def action(*values: float, gripper: float = 1.0) -> np.ndarray:
    full = np.zeros(7, np.float32)
    full[: len(values)] = values
    full[6] = gripper
    return full
