"""Which servo turns which joint of an arm, and within which limits, as data.

Sources: Interbotix/interbotix_ros_manipulators `interbotix_ros_xsarms/interbotix_xsarm_control/config/<arm>.yaml` (ids,
drive modes, limits, shadows, gripper linkages), TrossenRobotics/interbotix_xsarms_docs `docs/_data/servos_<arm>.csv`
(servo models; there is none for the wx250, whose models are unconfirmed). Finger positions of the vx300s' gripper are
unconfirmed. Nothing here was checked on hardware.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from drivers.dynamixel.registers import ControlTable, ticks_to_rad
from drivers.dynamixel.tables import XL430_W250, XM430_W350, XM540_W270
from robot.arms.model import ArmModel
from robot.arms.vx300s import VX300S as VX300S_MODEL
from robot.arms.wx200 import WX200 as WX200_MODEL
from robot.arms.wx250 import WX250 as WX250_MODEL
from robot.arms.wx250s import WX250S as WX250S_MODEL
from trajectories.errors import ConfigError


@dataclass(frozen=True)
class Linkage:
    """Crank and rods between a gripper's servo and its fingers; the defaults are the WidowX'.

    A finger at x (m, as in the URDF) belongs to the crank angle theta = pi/2 - acos((r^2 + x^2 - a^2) / (2 r x)), with
    x = r sin(theta) + sqrt(a^2 - r^2 cos^2(theta)). Source: Interbotix/interbotix_xs_driver `src/xs_driver.cpp`.

    Attributes:
        crank: r, m.
        rod: a, m.
        closed: x of a finger that touches the other, m.
        open: x of an open finger, m.
    """

    crank: float = 0.014
    rod: float = 0.024
    closed: float = 0.015
    open: float = 0.037

    @property
    def largest_width(self) -> float:
        """Gap between open fingers, m."""
        return 2 * (self.open - self.closed)

    def angle(self, width: float) -> float:
        """Crank angle, rad, of a gap between the fingers.

        Args:
            width: 0 (touching) ... `largest_width` m (open).

        Raises:
            ConfigError: When the fingers can't be there.
        """
        if not -1e-9 <= width <= self.largest_width + 1e-9:
            raise ConfigError(f"The gripper's width must be 0 ... {self.largest_width:.3f} m, got {width!r}.")
        x = self.closed + 0.5 * width
        return math.pi / 2 - math.acos((self.crank**2 + x**2 - self.rod**2) / (2 * self.crank * x))

    def width(self, angle: float) -> float:
        """Gap between the fingers, m, of a crank angle in rad; beyond the stops it goes on as the geometry says."""
        x = self.crank * math.sin(angle) + math.sqrt(self.rod**2 - (self.crank * math.cos(angle)) ** 2)
        return 2 * (x - self.closed)

    def width_per_rad(self, angle: float) -> float:
        """Derivative of `width`, m/rad: turns crank speed into finger speed, finger force into torque."""
        r, turn = self.crank, math.cos(angle)
        root = math.sqrt(self.rod**2 - (r * turn) ** 2)
        return 2 * (r * turn + r**2 * turn * math.sin(angle) / root)


WIDOWX_LINKAGE = Linkage()


REVERSE = 1
NO_SECONDARY = 255
BUS_BAUD = 1_000_000
VELOCITY_LIMIT = 131
"""3.14 rad/s."""
_STALL_TORQUES_NM = {XM430_W350.number: 4.1, XM540_W270.number: 10.6, XL430_W250.number: 1.4}
"""At 12 V (XL430: 11.1 V), ROBOTIS-GIT/emanual."""


@dataclass(frozen=True)
class ServoPlace:
    """A servo and where it sits.

    Attributes:
        servo: Id on the bus.
        joint: Index of the joint that it turns, 0 ... N - 1; N is the gripper.
        name: As in Interbotix' files.
        table: Its model.
        drive_mode: Register 10; bit 0 reverses.
        secondary_id: Register 12; the id that it follows, or 255.
        min_position: Register 52, ticks.
        max_position: Register 48, ticks.
    """

    servo: int
    joint: int
    name: str
    table: ControlTable
    drive_mode: int = 0
    secondary_id: int = NO_SECONDARY
    min_position: int = 0
    max_position: int = 4095

    @property
    def is_shadow(self) -> bool:
        """Whether it follows another servo."""
        return self.secondary_id != NO_SECONDARY


@dataclass(frozen=True)
class ServoMap:
    """The servos of one kind of arm.

    Attributes:
        model: The arm.
        places: Its servos; the gripper's have joint N.
        linkage: Of the gripper.
    """

    model: ArmModel
    places: tuple[ServoPlace, ...]
    linkage: Linkage = field(default_factory=Linkage)

    @property
    def name(self) -> str:
        """Name of the arm."""
        return self.model.name

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the N joints, base to wrist."""
        return self.model.joints

    @property
    def sleep(self) -> tuple[float, ...]:
        """rad, (N,) the folded pose in which the arm rests on itself."""
        return self.model.sleep

    @property
    def servos(self) -> tuple[int, ...]:
        """All ids, shadows included."""
        return tuple(place.servo for place in self.places)

    @property
    def leaders(self) -> tuple[ServoPlace, ...]:
        """The servos that goals are written to, in the order of the joints, gripper last."""
        return tuple(sorted((p for p in self.places if not p.is_shadow), key=lambda p: p.joint))

    @property
    def lower(self) -> tuple[float, ...]:
        """rad, (N,) smallest angle of every joint that its servo takes."""
        return tuple(ticks_to_rad(place.min_position) for place in self.leaders[:-1])

    @property
    def upper(self) -> tuple[float, ...]:
        """rad, (N,) largest angles."""
        return tuple(ticks_to_rad(place.max_position) for place in self.leaders[:-1])

    @property
    def gripper(self) -> ServoPlace:
        """The gripper's servo."""
        return self.leaders[-1]

    def place(self, servo: int) -> ServoPlace:
        """Where a servo sits."""
        return next(place for place in self.places if place.servo == servo)

    def group(self, joint: int) -> tuple[ServoPlace, ...]:
        """The servos of one joint, the leader first."""
        return tuple(sorted((p for p in self.places if p.joint == joint), key=lambda p: p.is_shadow))

    def joint_name(self, joint: int) -> str:
        """Name of a joint or "gripper"."""
        return "gripper" if joint == self.model.size else self.joints[joint]


def stall_torque(table: ControlTable) -> float:
    """N m at about 12 V of a servo model.

    Raises:
        ConfigError: For a model that no arm here has.
    """
    if table.number not in _STALL_TORQUES_NM:
        raise ConfigError(f"The stall torque of the {table.model} isn't known here; add it to {__name__}.")
    return _STALL_TORQUES_NM[table.number]


WX250S = ServoMap(
    WX250S_MODEL,
    (
        ServoPlace(1, 0, "waist", XM430_W350),
        ServoPlace(2, 1, "shoulder", XM430_W350, min_position=819, max_position=3345),
        ServoPlace(3, 1, "shoulder_shadow", XM430_W350, REVERSE, 2, 819, 3345),
        ServoPlace(4, 2, "elbow", XM430_W350, min_position=648, max_position=3094),
        ServoPlace(5, 2, "elbow_shadow", XM430_W350, REVERSE, 4, 648, 3094),
        ServoPlace(6, 3, "forearm_roll", XM430_W350),
        ServoPlace(7, 4, "wrist_angle", XM430_W350, REVERSE, min_position=910, max_position=3447),
        ServoPlace(8, 5, "wrist_rotate", XL430_W250),
        ServoPlace(9, 6, "gripper", XL430_W250),
    ),
)
WX250 = ServoMap(
    WX250_MODEL,
    (
        ServoPlace(1, 0, "waist", XM430_W350),
        ServoPlace(2, 1, "shoulder", XM430_W350, 0, NO_SECONDARY, 819, 3345),
        ServoPlace(3, 1, "shoulder_shadow", XM430_W350, REVERSE, 2, 819, 3345),
        ServoPlace(4, 2, "elbow", XM430_W350, 0, NO_SECONDARY, 648, 3094),
        ServoPlace(5, 2, "elbow_shadow", XM430_W350, REVERSE, 4, 648, 3094),
        ServoPlace(6, 3, "wrist_angle", XM430_W350, REVERSE, NO_SECONDARY, 910, 3447),
        ServoPlace(7, 4, "wrist_rotate", XL430_W250),
        ServoPlace(8, 5, "gripper", XL430_W250),
    ),
)
WX200 = ServoMap(
    WX200_MODEL,
    (
        ServoPlace(1, 0, "waist", XM430_W350),
        ServoPlace(2, 1, "shoulder", XM430_W350, 0, NO_SECONDARY, 819, 3333),
        ServoPlace(3, 1, "shoulder_shadow", XM430_W350, REVERSE, 2, 819, 3333),
        ServoPlace(4, 2, "elbow", XM430_W350, REVERSE, NO_SECONDARY, 819, 3106),
        ServoPlace(5, 3, "wrist_angle", XL430_W250, REVERSE, NO_SECONDARY, 910, 3447),
        ServoPlace(6, 4, "wrist_rotate", XL430_W250),
        ServoPlace(7, 5, "gripper", XL430_W250),
    ),
)
VX300S = ServoMap(
    VX300S_MODEL,
    (
        ServoPlace(1, 0, "waist", XM540_W270),
        ServoPlace(2, 1, "shoulder", XM540_W270, REVERSE, NO_SECONDARY, 841, 2867),
        ServoPlace(3, 1, "shoulder_shadow", XM540_W270, 0, 2, 841, 2867),
        ServoPlace(4, 2, "elbow", XM540_W270, REVERSE, NO_SECONDARY, 898, 3094),
        ServoPlace(5, 2, "elbow_shadow", XM540_W270, 0, 4, 898, 3094),
        ServoPlace(6, 3, "forearm_roll", XM540_W270),
        ServoPlace(7, 4, "wrist_angle", XM540_W270, REVERSE, NO_SECONDARY, 830, 3504),
        ServoPlace(8, 5, "wrist_rotate", XM430_W350),
        ServoPlace(9, 6, "gripper", XM430_W350),
    ),
    Linkage(crank=0.022, rod=0.036, closed=0.021, open=0.057),
)
SERVO_MAPS = {found.name: found for found in (WX250S, WX250, WX200, VX300S)}


def servo_map(name: str) -> ServoMap:
    """The servos of the arm of that name.

    Raises:
        ConfigError: When they aren't known.
    """
    if name not in SERVO_MAPS:
        raise ConfigError(f"The servos of the arm {name!r} aren't known; known are {', '.join(SERVO_MAPS)}.")
    return SERVO_MAPS[name]
