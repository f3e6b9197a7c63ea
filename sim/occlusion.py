"""States in which the arm hides the goal or the object: hard negatives for a success classifier."""

from __future__ import annotations

import mujoco
import numpy as np

from robot.control.pose import Pose
from sim.scene.shapes import VISIBLE_GROUP
from sim.tasks.moving import moving
from sim.twin import Twin
from trajectories.errors import KinematicsError
from trajectories.types import Direction, Float64
from trajectories.views import camera_of

_ARM_GROUP = 2  # of the arm's geoms in wx250s.xml
_TRIES = 60
_ABOVE_FLOOR_M = 0.02
_TIP_HEIGHT_M = (0.06, 0.14)


def hidden(twin: Twin, point: Float64, camera: str = "front") -> bool:
    """Whether the first thing between the camera and `point` (3,), base frame, m, is a part of the arm."""
    physics = twin.scene.physics
    physics.refresh()
    model, data = physics.model, physics.data
    start = data.cam_xpos[model.camera(camera_of(camera)).id]
    way = np.asarray(point, float) - start
    groups = np.zeros(6, dtype=np.uint8)
    groups[[VISIBLE_GROUP, _ARM_GROUP]] = 1
    geom = np.array([-1], dtype=np.int32)
    distance = mujoco.mj_ray(model, data, start, way, groups, 1, -1, geom)
    if not 0.0 <= distance < 1.0:
        return False
    root = int(model.body_rootid[model.geom_bodyid[geom[0]]])
    return root == int(model.body_rootid[physics.body_id("left_finger_link")])


def pose_occluded(twin: Twin, direction: Direction, rng: np.random.Generator, camera: str = "front") -> bool:
    """Reset to a start of `direction`, then hold the open gripper in front of the goal or, as often, of the object.

    The object is not at the goal, but a classifier sees one of the two only in part; the answer is "not done".

    Returns:
        Whether it is hidden now; False when no reachable pose of the arm hides it.
    """
    twin.reset(direction, rng)
    task = moving(twin.task)
    if task.at_goal(twin.scene, direction):
        return False
    goal = task.goals[direction]
    if rng.random() < 0.5:
        centre, _ = twin.scene.physics.body_pose(task.object)
    elif goal.on_top_of:
        centre, _ = twin.scene.physics.body_pose(goal.on_top_of)
    else:
        centre = np.asarray(twin.scene.fixture(goal.fixture).position, float)
    target = np.array([centre[0], centre[1], centre[2] + _ABOVE_FLOOR_M])
    physics = twin.scene.physics
    eye = physics.data.cam_xpos[physics.model.camera(camera_of(camera)).id].copy()
    for _ in range(_TRIES):
        height = rng.uniform(*_TIP_HEIGHT_M)
        share = (height - target[2]) / (eye[2] - target[2])
        tip = target + share * (eye - target) + np.append(rng.normal(0.0, 0.015, 2), 0.0)
        try:
            pose = Pose.of(tuple(tip), (0.0, 0.0, rng.uniform(-0.6, 0.6)))
            joints = twin.env.kinematics.inverse(pose, twin.env.arm_state.joints)
        except KinematicsError:
            continue
        physics.set_arm(joints, physics.arm.opening)
        if hidden(twin, target, camera):
            return True
    return False
