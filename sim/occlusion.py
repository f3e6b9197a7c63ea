"""States in which the arm hides the goal or the object: hard negatives for a success classifier."""

from __future__ import annotations

import mujoco
import numpy as np

from robot.control.pose import Pose
from sim.scene.shapes import VISIBLE_GROUP
from sim.tasks.cloth import ClothTask
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
        Whether it is hidden now; False when no reachable pose of the arm hides it, or a tool is in its gripper.
    """
    twin.reset(direction, rng)
    if twin.task.tool or moving(twin.task).at_goal(twin.scene, direction):
        return False
    centre = _what_matters(twin, direction, rng)
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


def _what_matters(twin: Twin, direction: Direction, rng: np.random.Generator) -> Float64:
    """The goal or, as often, the object: the middle of one of them, (3,) m, base frame; of a cloth its tag."""
    task, scene = moving(twin.task), twin.scene
    at_object = rng.random() < 0.5
    if isinstance(task, ClothTask):
        return scene.cloth.tag() if at_object else np.append(task.tag_goal(scene, direction), 0.0)
    goal = task.goals[direction]
    if at_object or goal.on_top_of:
        centre, _ = scene.physics.body_pose(task.object if at_object else goal.on_top_of)
        return centre
    return np.asarray(scene.fixture(goal.fixture).position, float)
