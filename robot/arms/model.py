"""`ArmModel`: what control, the twin and the drivers need to know of one kind of arm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from robot.control.home import HomeRegion
from robot.control.safety_limits import SafetyLimits
from robot.interfaces import ArmKinematics
from trajectories.errors import ConfigError

Solver = Callable[[tuple[float, ...], tuple[float, ...]], ArmKinematics]
"""Kinematics within smallest and largest joint angles, (N,) rad each."""
_BEYOND_RAD = 1e-9


@dataclass(frozen=True)
class ArmModel:
    """One kind of arm with N joints and a parallel gripper. Angles in rad, lengths in m, base frame.

    Attributes:
        name: As its maker calls it; letters, digits and _, since files are named so.
        joints: Names of the N joints, base to wrist, as in the MJCF.
        lower: (N,) smallest joint angles.
        upper: (N,) largest joint angles.
        ready: (N,) where sessions begin: the gripper points down in front of the arm.
        sleep: (N,) the pose in which the arm rests on itself and torque may go off.
        max_efforts: (N,) N m above which a joint yields.
        mjcf: The arm made of primitives: joints named as `joints`, then `left_finger` and `right_finger`, a site `tip`
            between the finger tips with x along the fingers, actuators in the order of the joints and one `gripper`.
            Collisions are checked on it, and it is what the twin's physics runs.
        solver: Makes its kinematics.
        opening: Widest gap between the fingers.
        finger_closed: Position of the joint `left_finger` where the fingers touch; half a gap is added to it.
        position_lower: (3,) corner of the box in which sessions keep the tip, unless their settings say otherwise.
        position_upper: (3,) opposite corner.
        home: Where episodes start.
    """

    name: str
    joints: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    ready: tuple[float, ...]
    sleep: tuple[float, ...]
    max_efforts: tuple[float, ...]
    mjcf: Path
    solver: Solver
    opening: float
    finger_closed: float
    position_lower: tuple[float, ...] = SafetyLimits.position_lower
    position_upper: tuple[float, ...] = SafetyLimits.position_upper
    home: HomeRegion = field(default_factory=HomeRegion)

    def __post_init__(self) -> None:
        """Refuse a model whose parts contradict each other.

        Raises:
            ConfigError: Naming the part.
        """
        for name in ("lower", "upper", "ready", "sleep", "max_efforts"):
            if len(getattr(self, name)) != len(self.joints):
                raise ConfigError(
                    f"The arm {self.name!r} has {len(self.joints)} joints and {len(getattr(self, name))} numbers in "
                    f"{name}; one a joint is expected."
                )
        for name in ("ready", "sleep"):
            for joint, angle, low, high in zip(self.joints, getattr(self, name), self.lower, self.upper, strict=True):
                if not low <= angle <= high:
                    raise ConfigError(
                        f"The {name} pose of the arm {self.name!r} has {joint} at {angle} rad, outside of its limits "
                        f"{low:.4f} ... {high:.4f}."
                    )
        if not self.mjcf.is_file():
            raise ConfigError(f"The arm {self.name!r} has no MJCF file {self.mjcf}.")
        self.limits()

    @property
    def size(self) -> int:
        """N, the number of joints without the gripper."""
        return len(self.joints)

    def limits(self) -> SafetyLimits:
        """The safety limits of its sessions, unless their settings say otherwise."""
        return SafetyLimits(
            position_lower=self.position_lower,
            position_upper=self.position_upper,
            joint_lower=self.lower,
            joint_upper=self.upper,
            max_efforts=self.max_efforts,
            gripper_open_width=self.opening,
        )

    def kinematics(self, limits: SafetyLimits | None = None) -> ArmKinematics:
        """Kinematics whose joint limits are those of `limits` (None: the model's own), less their margin."""
        limits = self.limits() if limits is None else limits
        return self.solver(
            tuple(x + limits.joint_margin for x in limits.joint_lower),
            tuple(x - limits.joint_margin for x in limits.joint_upper),
        )

    def require_fits(self, limits: SafetyLimits) -> None:
        """Refuse limits of another arm, and limits wider than this one can go.

        Raises:
            ConfigError: Naming the setting.
        """
        if len(limits.joint_lower) != self.size:
            raise ConfigError(
                f"The safety limits are for {len(limits.joint_lower)} joints, the {self.name} has {self.size}: "
                f"{', '.join(self.joints)}."
            )
        for name, low, high, least, most in zip(
            self.joints, limits.joint_lower, limits.joint_upper, self.lower, self.upper, strict=True
        ):
            if low < least - _BEYOND_RAD or high > most + _BEYOND_RAD:
                raise ConfigError(
                    f"The safety limits let {name} go from {low:.4f} to {high:.4f} rad; the servos of the {self.name} "
                    f"stop at {least:.4f} and {most:.4f}. Give joint_lower and joint_upper within that."
                )
        if limits.gripper_open_width > self.opening:
            raise ConfigError(
                f"gripper_open_width is {limits.gripper_open_width} m, the fingers of the {self.name} open to "
                f"{self.opening} m."
            )
