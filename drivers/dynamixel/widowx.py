"""The nine servos of the WidowX 250 S.

Sources: TrossenRobotics/interbotix_xsarms_docs `docs/_data/servos_wx250s.csv`; Interbotix/interbotix_ros_manipulators
`interbotix_ros_xsarms/interbotix_xsarm_control/config/wx250s.yaml`. Not checked on hardware.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.dynamixel.registers import ControlTable
from drivers.dynamixel.tables import XL430_W250, XM430_W350

REVERSE = 1
NO_SECONDARY = 255
BUS_BAUD = 1_000_000
VELOCITY_LIMIT = 131
"""3.14 rad/s."""


@dataclass(frozen=True)
class ServoPlace:
    """A servo and where it sits.

    Attributes:
        servo: Id on the bus.
        joint: Index of the joint that it turns, 0 ... 5; 6 is the gripper.
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


GRIPPER_JOINT = 6
WIDOWX_250S = (
    ServoPlace(1, 0, "waist", XM430_W350),
    ServoPlace(2, 1, "shoulder", XM430_W350, min_position=819, max_position=3345),
    ServoPlace(3, 1, "shoulder_shadow", XM430_W350, REVERSE, 2, 819, 3345),
    ServoPlace(4, 2, "elbow", XM430_W350, min_position=648, max_position=3094),
    ServoPlace(5, 2, "elbow_shadow", XM430_W350, REVERSE, 4, 648, 3094),
    ServoPlace(6, 3, "forearm_roll", XM430_W350),
    ServoPlace(7, 4, "wrist_angle", XM430_W350, REVERSE, min_position=910, max_position=3447),
    ServoPlace(8, 5, "wrist_rotate", XL430_W250),
    ServoPlace(9, GRIPPER_JOINT, "gripper", XL430_W250),
)
