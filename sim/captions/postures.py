"""Where the arm is put at once, without a motion, for a picture."""

from __future__ import annotations

import numpy as np

from robot.control.pose import Pose
from sim.tasks.task import REACH_Y
from sim.twin import Twin


def arm_to(twin: Twin, pose: Pose, width: float) -> None:
    """Put the tip there, the fingers `width` (m) apart.

    Raises:
        KinematicsError: Out of reach.
    """
    joints = twin.env.kinematics.inverse(pose, twin.env.arm_state.joints)
    twin.scene.physics.set_arm(joints, width)


def away(rng: np.random.Generator) -> Pose:
    """A pose of the gripper well above everything."""
    x, y = rng.uniform(0.2, 0.33), rng.uniform(*REACH_Y)
    return Pose.of((x, y, rng.uniform(0.115, 0.17)), (0.0, 0.0, rng.uniform(-0.6, 0.6)))


def wait(twin: Twin, seconds: float) -> None:
    """Let time pass, simulated s."""
    twin.scene.clock.sleep_until_ns(twin.scene.clock.now_ns() + round(1e9 * seconds))
