"""ViperX 300 S: six joints, a third larger and stronger than the WidowX. Not yet tried on hardware.

Offsets and limits: Interbotix/interbotix_ros_manipulators `interbotix_xsarm_descriptions/urdf/vx300s.urdf.xacro`.
"""

from __future__ import annotations

import math

from robot.arms.model import ArmModel
from robot.control.collision import ARM_XML
from robot.control.kinematics import FULL_TURN_LIMIT, JOINT_NAMES, ArmGeometry, Kinematics

GEOMETRY = ArmGeometry(
    shoulder_height=0.079 + 0.04805,
    elbow_x=0.05955,
    elbow_z=0.3,
    forearm=0.2 + 0.1,
    tool=0.069744 + 0.042825 + 0.025875 + 0.0385,
)

VX300S = ArmModel(
    name="vx300s",
    joints=JOINT_NAMES,
    lower=(
        -FULL_TURN_LIMIT, math.radians(-106), math.radians(-101),
        -FULL_TURN_LIMIT, math.radians(-107), -FULL_TURN_LIMIT,
    ),
    upper=(
        FULL_TURN_LIMIT, math.radians(72), math.radians(92),
        FULL_TURN_LIMIT, math.radians(128), FULL_TURN_LIMIT,
    ),
    ready=(0.0, -0.702, 0.594, 0.0, 1.679, 0.0),
    sleep=(0.0, -1.85, 1.55, 0.0, 0.8, 0.0),
    max_efforts=(10.0, 20.1, 20.1, 10.0, 10.0, 3.9),
    mjcf=ARM_XML.with_name("vx300s.xml"),
    solver=lambda lower, upper: Kinematics(GEOMETRY, lower, upper),
    opening=0.072,
    finger_closed=0.021,
    position_lower=(0.18, -0.28, 0.012),
    position_upper=(0.48, 0.28, 0.25),
)  # fmt: skip
