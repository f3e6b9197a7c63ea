"""WidowX 250: the WidowX 250 S without its forearm roll, five joints. Not yet tried on hardware.

Offsets and limits: Interbotix/interbotix_ros_manipulators `interbotix_xsarm_descriptions/urdf/wx250.urdf.xacro`.
"""

from __future__ import annotations

import math

from robot.arms.model import ArmModel
from robot.control.collision import ARM_XML
from robot.control.five_axis import JOINT_NAMES, FiveAxisKinematics
from robot.control.kinematics import FULL_TURN_LIMIT, ArmGeometry

WX250 = ArmModel(
    name="wx250",
    joints=JOINT_NAMES,
    lower=(-FULL_TURN_LIMIT, math.radians(-108), math.radians(-123), math.radians(-100), -FULL_TURN_LIMIT),
    upper=(FULL_TURN_LIMIT, math.radians(114), math.radians(92), math.radians(123), FULL_TURN_LIMIT),
    ready=(0.0, -0.762, 0.445, 1.756, 0.0),
    sleep=(0.0, -1.80, 1.55, 0.8, 0.0),
    max_efforts=(3.9, 7.8, 7.8, 3.9, 1.33),
    mjcf=ARM_XML.with_name("wx250.xml"),
    solver=lambda lower, upper: FiveAxisKinematics(lower, upper, ArmGeometry()),
    opening=0.044,
    finger_closed=0.015,
)
