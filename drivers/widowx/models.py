"""Describe arms as data: which servo turns which joint, and within which limits.

Sources: Interbotix/interbotix_ros_manipulators `interbotix_ros_xsarms/interbotix_xsarm_control/config/<arm>.yaml` (ids,
drive modes, limits, shadows, sleep poses, gripper linkages), TrossenRobotics/interbotix_xsarms_docs
`docs/_data/servos_<arm>.csv` (servo models; there is none for the wx250, whose models are unconfirmed). Finger
positions of the vx300s' gripper are unconfirmed. Nothing here was checked on hardware.

`WidowX` and `RobotEnv` need six joints: seven-number actions move the tip in six directions, which an arm of five
joints can't. The five-joint arms can be found, checked and configured (`startup`, `eeprom`), not driven.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from drivers.dynamixel.gripper_linkage import Linkage
from drivers.dynamixel.registers import ControlTable
from drivers.dynamixel.tables import XL430_W250, XM430_W350, XM540_W270
from drivers.dynamixel.units import ticks_to_rad
from drivers.dynamixel.widowx import GRIPPER_JOINT, NO_SECONDARY, REVERSE, WIDOWX_250S, ServoPlace
from robot.control.poses import SLEEP_JOINTS
from trajectories.errors import ConfigError

_SIX = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
_FIVE = ("waist", "shoulder", "elbow", "wrist_angle", "wrist_rotate")
_STALL_TORQUES_NM = {XM430_W350.number: 4.1, XM540_W270.number: 10.6, XL430_W250.number: 1.4}
"""At 12 V (XL430: 11.1 V), ROBOTIS-GIT/emanual."""


@dataclass(frozen=True)
class ArmModel:
    """One kind of arm.

    Attributes:
        name: As Trossen calls it.
        joints: Names, base to wrist.
        places: Its servos; the gripper's have joint `GRIPPER_JOINT`.
        sleep: rad, the folded pose in which the arm rests on itself.
        linkage: Of the gripper.
    """

    name: str
    joints: tuple[str, ...]
    places: tuple[ServoPlace, ...]
    sleep: tuple[float, ...]
    linkage: Linkage = field(default_factory=Linkage)

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
        """rad, smallest angle of every joint, without the gripper."""
        return tuple(ticks_to_rad(place.min_position) for place in self.leaders[:-1])

    @property
    def upper(self) -> tuple[float, ...]:
        """rad, largest angles."""
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
        return "gripper" if joint == GRIPPER_JOINT else self.joints[joint]

    def require_six_joints(self) -> None:
        """Refuse arms that can't be driven.

        Raises:
            ConfigError: For five joints.
        """
        if len(self.joints) != len(_SIX):
            raise ConfigError(
                f"The {self.name} has {len(self.joints)} joints; driving it by seven-number actions needs six (wx250s, "
                "vx300s). It can only be found, checked and configured (drivers.widowx.startup)."
            )


def stall_torque(table: ControlTable) -> float:
    """N m at about 12 V of a servo model.

    Raises:
        ConfigError: For a model that no arm here has.
    """
    if table.number not in _STALL_TORQUES_NM:
        raise ConfigError(f"The stall torque of the {table.model} isn't known here; add it to models.py.")
    return _STALL_TORQUES_NM[table.number]


WX250S = ArmModel("wx250s", _SIX, WIDOWX_250S, SLEEP_JOINTS)
WX250 = ArmModel(
    "wx250",
    _FIVE,
    (
        ServoPlace(1, 0, "waist", XM430_W350),
        ServoPlace(2, 1, "shoulder", XM430_W350, 0, NO_SECONDARY, 819, 3344),
        ServoPlace(3, 1, "shoulder_shadow", XM430_W350, REVERSE, 2, 819, 3344),
        ServoPlace(4, 2, "elbow", XM430_W350, 0, NO_SECONDARY, 1002, 3446),
        ServoPlace(5, 2, "elbow_shadow", XM430_W350, REVERSE, 4, 1002, 3446),
        ServoPlace(6, 3, "wrist_angle", XM430_W350, REVERSE, NO_SECONDARY, 650, 3185),
        ServoPlace(7, 4, "wrist_rotate", XL430_W250),
        ServoPlace(8, GRIPPER_JOINT, "gripper", XL430_W250),
    ),
    (0.0, -1.80, 1.55, 0.8, 0.0),
)
WX200 = ArmModel(
    "wx200",
    _FIVE,
    (
        ServoPlace(1, 0, "waist", XM430_W350),
        ServoPlace(2, 1, "shoulder", XM430_W350, 0, NO_SECONDARY, 819, 3333),
        ServoPlace(3, 1, "shoulder_shadow", XM430_W350, REVERSE, 2, 819, 3333),
        ServoPlace(4, 2, "elbow", XM430_W350, REVERSE, NO_SECONDARY, 819, 3106),
        ServoPlace(5, 3, "wrist_angle", XL430_W250, REVERSE, NO_SECONDARY, 910, 3447),
        ServoPlace(6, 4, "wrist_rotate", XL430_W250),
        ServoPlace(7, GRIPPER_JOINT, "gripper", XL430_W250),
    ),
    (0.0, -1.35, 1.5, 0.8, 0.0),
)
VX300S = ArmModel(
    "vx300s",
    _SIX,
    (
        ServoPlace(1, 0, "waist", XM540_W270),
        ServoPlace(2, 1, "shoulder", XM540_W270, REVERSE, NO_SECONDARY, 841, 2867),
        ServoPlace(3, 1, "shoulder_shadow", XM540_W270, 0, 2, 841, 2867),
        ServoPlace(4, 2, "elbow", XM540_W270, REVERSE, NO_SECONDARY, 898, 3094),
        ServoPlace(5, 2, "elbow_shadow", XM540_W270, 0, 4, 898, 3094),
        ServoPlace(6, 3, "forearm_roll", XM540_W270),
        ServoPlace(7, 4, "wrist_angle", XM540_W270, REVERSE, NO_SECONDARY, 830, 3504),
        ServoPlace(8, 5, "wrist_rotate", XM430_W350),
        ServoPlace(9, GRIPPER_JOINT, "gripper", XM430_W350),
    ),
    (0.0, -1.85, 1.55, 0.0, 0.8, 0.0),
    Linkage(crank=0.022, rod=0.036, closed=0.021, open=0.057),
)
MODELS = {model.name: model for model in (WX250S, WX250, WX200, VX300S)}


def model_named(name: str) -> ArmModel:
    """The arm of that name.

    Raises:
        ConfigError: When it isn't known.
    """
    if name not in MODELS:
        raise ConfigError(f"Arm {name!r} isn't known; known are {', '.join(MODELS)}.")
    return MODELS[name]
