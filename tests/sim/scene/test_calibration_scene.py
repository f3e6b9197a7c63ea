"""The rehearsal: a rendered board, known offsets and a known camera, and the whole measurement in between."""

import math

import numpy as np
import pytest

from drivers.calibration.board import Board
from drivers.calibration.capture import collect_views, look, move_to
from drivers.calibration.detection import BoardDetector
from drivers.calibration.poses import calibration_poses
from drivers.calibration.projection import project
from drivers.calibration.solve import solve
from drivers.calibration.transforms import distance, inverse
from robot.control.calibration import Intrinsics
from robot.control.pose import Pose
from sim.scene.calibration_scene import CalibrationScene
from trajectories.errors import ConfigError

BOARD = Board()
OFFSETS = (0.0, 0.03, -0.02, 0.04, -0.03, 0.0)
SIZE = (480, 480)


def scene(camera="front", offsets=(0.0,) * 6):
    return CalibrationScene(BOARD.picture(8), BOARD.size_m, camera, offsets)


def visited(world, count=24):
    poses = calibration_poses(world.env.model, world.env.limits, count, 0.09, np.random.default_rng(0))
    return collect_views(
        world.env, world.camera, poses, BoardDetector(BOARD), speed=0.6, gripper_open=world.mount == "gripper"
    )


@pytest.mark.parametrize("camera", ["front", "wrist"])
def test_corners_are_where_the_truth_says(camera):
    """Proves camera pose, board pose, picture's orientation and pixel convention at once."""
    world = scene(camera)
    assert move_to(world.env, Pose.of((0.28, 0.03, 0.15), (0.1, -0.1, 0.2)), 0.8, gripper_open=False)
    _, view = look(world.env, camera, False, BoardDetector(BOARD))
    tip = world.env.kinematics.forward(view.joints).matrix()
    between = tip if world.mount == "base" else inverse(tip)
    points = np.c_[BOARD.corners(), np.ones(24)] @ (inverse(world.camera_pose) @ between @ world.board_pose)[:3].T
    lens = Intrinsics((world.focal, world.focal), (239.5, 239.5))
    wrong = view.seen.pixels - project(points, lens)[view.seen.corners]
    assert len(view.seen.corners) >= 12
    assert np.abs(wrong).max() < 0.4
    assert np.abs(wrong.mean(axis=0)).max() < 0.1
    world.close()


def test_camera_and_joints_come_back_from_rendered_pictures():
    world = scene("front", OFFSETS)
    views = visited(world)
    assert len(views) >= 16
    found = solve(views, BOARD, SIZE, "base", joints=True)
    metres, turn = distance(found.estimate.camera, world.camera_pose)
    assert metres < 0.002
    assert math.degrees(turn) < 0.3
    assert np.abs(found.estimate.offsets - OFFSETS).max() < 0.005
    assert found.estimate.intrinsics.focal[0] == pytest.approx(world.focal, rel=0.005)
    assert found.error_px < 0.3
    without = solve(views, BOARD, SIZE, "base", intrinsics=Intrinsics((world.focal,) * 2, (239.5, 239.5)))
    assert distance(without.estimate.camera, world.camera_pose)[0] > 0.005  # so that the test above can fail
    world.close()


def test_a_camera_on_the_wrist_comes_back():
    world = scene("wrist")
    found = solve(visited(world), BOARD, SIZE, "gripper")
    metres, turn = distance(found.estimate.camera, world.camera_pose)
    assert metres < 0.002
    assert math.degrees(turn) < 0.3
    world.close()


def test_the_arm_reports_wrong_angles_and_goes_where_they_say():
    world = scene("front", OFFSETS)
    true = world.physics.data.qpos[:6].copy()
    np.testing.assert_allclose(world.env.arm_state.joints, true - OFFSETS)
    move_to(world.env, Pose.of((0.28, 0.0, 0.15)), 0.8, gripper_open=True)
    np.testing.assert_allclose(world.env.arm_state.joints, world.env.target.joints, atol=0.03)
    tip = world.env.kinematics.forward(world.env.arm_state.joints).position
    assert np.linalg.norm(tip - world.physics.tip_position()) > 0.004
    world.close()


def test_a_pose_outside_the_box_is_left_out():
    world = scene()
    assert not move_to(world.env, Pose.of((0.9, 0.0, 0.15)), 0.8, gripper_open=False)
    assert move_to(world.env, Pose.of((0.3, 0.0, 0.15)), 0.8, gripper_open=False)
    world.close()


def test_unknown_cameras_are_named():
    with pytest.raises(ConfigError, match="not 'top'"):
        scene("top")
    world = scene()
    with pytest.raises(ConfigError, match="no camera 'side'"):
        look(world.env, "side", False, BoardDetector(BOARD))
    world.close()
