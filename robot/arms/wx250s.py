"""WidowX 250 S: six joints. The arm of BridgeData V2, and the project's own default."""

from __future__ import annotations

from robot.arms.model import ArmModel
from robot.control.collision import ARM_XML
from robot.control.kinematics import JOINT_LOWER, JOINT_NAMES, JOINT_UPPER, ArmGeometry, Kinematics
from robot.control.poses import READY_JOINTS, SLEEP_JOINTS
from robot.control.safety_limits import SafetyLimits

WX250S = ArmModel(
    name="wx250s",
    joints=JOINT_NAMES,
    lower=JOINT_LOWER,
    upper=JOINT_UPPER,
    ready=READY_JOINTS,
    sleep=SLEEP_JOINTS,
    max_efforts=SafetyLimits.max_efforts,
    mjcf=ARM_XML,
    solver=lambda lower, upper: Kinematics(ArmGeometry(), lower, upper),
    opening=0.044,
    finger_closed=0.015,
)
