"""WidowX 200: five joints, so that one rotation follows from the position. Not yet tried on hardware.

Offsets and limits: Interbotix/interbotix_ros_manipulators `interbotix_xsarm_descriptions/urdf/wx200.urdf.xacro`.
"""

from __future__ import annotations

import math

from robot.arms.model import ArmModel
from robot.control.collision import ARM_XML
from robot.control.five_axis import JOINT_NAMES, FiveAxisKinematics
from robot.control.kinematics import FULL_TURN_LIMIT, ArmGeometry

GEOMETRY = ArmGeometry(elbow_x=0.05, elbow_z=0.2, forearm=0.2)

WX200 = ArmModel(
    name="wx200",
    joints=JOINT_NAMES,
    lower=(-FULL_TURN_LIMIT, math.radians(-108), math.radians(-108), math.radians(-100), -FULL_TURN_LIMIT),
    upper=(FULL_TURN_LIMIT, math.radians(113), math.radians(93), math.radians(123), FULL_TURN_LIMIT),
    ready=(0.0, -0.435, 0.102, 1.904, 0.0),
    sleep=(0.0, -1.35, 1.5, 0.8, 0.0),
    max_efforts=(3.9, 7.8, 3.9, 1.33, 1.33),
    mjcf=ARM_XML.with_name("wx200.xml"),
    solver=lambda lower, upper: FiveAxisKinematics(lower, upper, GEOMETRY),
    opening=0.044,
    finger_closed=0.015,
    position_upper=(0.37, 0.20, 0.18),
)
