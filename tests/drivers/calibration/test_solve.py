"""The truth comes back from exact views, nearly so from noisy ones, and views that can't tell it are refused."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers.board_views import ARM, BOARD, FRONT, HELD, LENS, ON_TABLE, SIZE, WRIST, make_views

from drivers.calibration.detection import Detection
from drivers.calibration.hand_eye import hand_eye
from drivers.calibration.projection import project
from drivers.calibration.result import camera_entry, describe, describe_truth, renewed
from drivers.calibration.solve import solve
from drivers.calibration.transforms import distance, inverse, moved, transform, turned_by
from drivers.calibration.views import View, arm_transform
from robot.control.calibration import Calibration, CalibrationError, Intrinsics
from robot.control.kinematics import JOINT_NAMES

OFFSETS = (0.0, 0.03, -0.02, 0.04, -0.03, 0.0)


def test_transforms_undo_and_measure_themselves():
    change = np.array([0.3, -0.2, 0.1, 0.01, 0.02, -0.03])
    after = moved(FRONT, change)
    np.testing.assert_allclose(turned_by(FRONT[:3, :3].T @ after[:3, :3]), change[:3], atol=1e-12)
    np.testing.assert_allclose(after @ inverse(after), np.eye(4), atol=1e-12)
    metres, turn = distance(FRONT, after)
    assert metres == pytest.approx(math.sqrt(0.0014))
    assert turn == pytest.approx(math.sqrt(0.14))


def test_projection_is_opencvs():
    lens = Intrinsics((700.0, 710.0), (320.0, 241.0), (-0.2, 0.1, 0.003, -0.002, 0.05))
    points = np.random.default_rng(0).uniform((-0.3, -0.3, 0.5), (0.3, 0.3, 1.0), (50, 3))
    matrix = np.array([[700.0, 0, 320.0], [0, 710.0, 241.0], [0, 0, 1]])
    theirs = cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix, np.array(lens.distortion))[0][:, 0]
    np.testing.assert_allclose(project(points, lens), theirs, atol=1e-9)


@pytest.mark.parametrize(("camera", "board", "mount"), [(FRONT, HELD, "base"), (WRIST, ON_TABLE, "gripper")])
def test_hand_eye_is_exact(camera, board, mount):
    arms = [arm_transform(ARM, view.joints, mount) for view in make_views(10, mount=mount)]
    found = hand_eye(arms, [inverse(camera) @ arm @ board for arm in arms])
    np.testing.assert_allclose(found[0], camera, atol=1e-9)
    np.testing.assert_allclose(found[1], board, atol=1e-9)


@pytest.mark.parametrize("mount", ["base", "gripper"])
@pytest.mark.parametrize("lens", [LENS, None])
def test_exact_views_give_the_exact_camera(mount, lens):
    found = solve(make_views(mount=mount), BOARD, SIZE, mount, intrinsics=lens)
    np.testing.assert_allclose(found.estimate.camera, FRONT if mount == "base" else WRIST, atol=1e-6)
    np.testing.assert_allclose(found.estimate.board, HELD if mount == "base" else ON_TABLE, atol=1e-6)
    assert found.error_px < 1e-4
    assert found.estimate.intrinsics.focal[0] == pytest.approx(738.0, abs=1e-3)
    assert found.estimate.intrinsics.centre == pytest.approx((239.5, 241.0), abs=1e-3)


def test_exact_views_give_the_exact_joints():
    found = solve(make_views(offsets=OFFSETS), BOARD, SIZE, "base", joints=True, intrinsics=LENS)
    np.testing.assert_allclose(found.estimate.offsets, OFFSETS, atol=1e-6)
    np.testing.assert_allclose(found.estimate.camera, FRONT, atol=1e-6)
    assert np.isnan(found.offset_deviations[[0, 5]]).all()


@pytest.mark.parametrize("seed", range(3))
def test_noise_of_0_3_pixels_costs_little(seed):
    views = make_views(noise=0.3, offsets=OFFSETS, seed=seed)
    found = solve(views, BOARD, SIZE, "base", joints=True, intrinsics=LENS)
    metres, turn = distance(found.estimate.camera, FRONT)
    assert metres < 0.002
    assert math.degrees(turn) < 0.3
    wrong = np.abs(found.estimate.offsets - OFFSETS)
    assert wrong.max() < 0.005
    assert (wrong[1:5] < 3 * found.offset_deviations[1:5]).all()
    assert found.error_px == pytest.approx(0.3 * math.sqrt(2), rel=0.1)


def test_joint_angles_in_ticks_stay_within_the_stated_deviations():
    views = make_views(30, noise=0.3, offsets=OFFSETS, ticks=True, seed=5)
    found = solve(views, BOARD, SIZE, "base", joints=True, intrinsics=LENS)
    wrong = np.abs(found.estimate.offsets - OFFSETS)[1:5]
    assert (wrong < 3 * found.offset_deviations[1:5]).all()
    assert wrong.max() < 0.005


def test_waist_and_last_joint_hide_in_camera_and_board():
    """Why they are not estimated: the pictures are explained perfectly, with camera and board turned."""
    waist, last = 0.05, -0.08
    views = make_views(offsets=(waist, 0.0, 0.0, 0.0, 0.0, last))
    found = solve(views, BOARD, SIZE, "base", joints=True, intrinsics=LENS)
    assert found.error_px < 1e-4
    np.testing.assert_allclose(found.estimate.offsets, 0.0, atol=1e-6)
    c, s = math.cos(waist), math.sin(waist)
    base = transform(np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]]), (0.0, 0.0, 0.0))
    np.testing.assert_allclose(found.estimate.camera, base @ FRONT, atol=1e-6)
    c, s = math.cos(last), math.sin(last)
    wrist = transform(np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]]), (0.0, 0.0, 0.0))
    np.testing.assert_allclose(found.estimate.board, wrist @ HELD, atol=1e-6)


def test_joint_offsets_that_are_not_estimated_leave_a_residual_and_a_hint():
    found = solve(make_views(offsets=OFFSETS), BOARD, SIZE, "base", intrinsics=LENS)
    assert found.error_mm > 1.0
    assert "calibrate.what=joints" in describe("front", found, "base", 24)


def test_one_wild_corner_does_not_move_the_camera():
    views = make_views(noise=0.1)
    seen = views[3].seen
    wild = seen.pixels.copy()
    wild[0] += (25.0, -18.0)
    views[3] = replace(views[3], seen=Detection(seen.corners, wild))
    found = solve(views, BOARD, SIZE, "base", intrinsics=LENS)
    assert distance(found.estimate.camera, FRONT)[0] < 0.001


def test_too_few_views_are_refused():
    with pytest.raises(CalibrationError, match="7 poses, at least 8"):
        solve(make_views(7), BOARD, SIZE, "base")


def test_turns_about_one_axis_are_refused():
    with pytest.raises(CalibrationError, match="one axis only"):
        solve(make_views(upper=(0.0, 0.0, 1.0)), BOARD, SIZE, "base", intrinsics=LENS)
    with pytest.raises(CalibrationError, match="one axis only"):
        solve(make_views(1) * 20, BOARD, SIZE, "base", intrinsics=LENS)


def test_views_that_leave_it_uncertain_are_refused():
    views = make_views(9, noise=1.5, offsets=OFFSETS, upper=(0.1, 0.1, 0.2))
    with pytest.raises(CalibrationError, match="uncertain"):
        solve(views, BOARD, SIZE, "base", joints=True)


def test_a_board_of_another_size_is_noticed():
    larger = replace(BOARD, square_mm=30.0, marker_mm=22.0)
    with pytest.raises(CalibrationError, match="contradict"):
        solve(make_views(), larger, SIZE, "base", intrinsics=LENS)


def test_a_board_that_slips_is_noticed():
    views = make_views(12) + [
        View(view.joints, Detection(view.seen.corners, np.add(view.seen.pixels, (30.0, 12.0))))
        for view in make_views(12, seed=1)
    ]
    with pytest.raises(CalibrationError, match="contradict"):
        solve(views, BOARD, SIZE, "base", intrinsics=LENS)


def test_a_horn_on_the_wrong_tooth_is_named():
    views = make_views(offsets=(0.0, 0.0, 0.0, 0.0, 0.35, 0.0))
    with pytest.raises(CalibrationError, match=r"wrist_angle is off by \+0\.35"):
        solve(views, BOARD, SIZE, "base", joints=True, intrinsics=LENS)


def test_results_add_up_in_the_file():
    found = solve(make_views(offsets=OFFSETS), BOARD, SIZE, "base", joints=True, intrinsics=LENS)
    entry = camera_entry(found, SIZE, "base", 24)
    np.testing.assert_allclose(entry.matrix(), FRONT, atol=1e-6)
    old = Calibration("wx250s", "2026-01-01T00:00:00+00:00", (0.01,) * 6, cameras={"side": entry})
    date = "2026-01-02T00:00:00+00:00"
    both = renewed(old, date, "front", entry)
    assert set(both.cameras) == {"side", "front"}
    assert both.joint_offsets == (0.01,) * 6
    joints = renewed(old, date, "front", entry, found.estimate.offsets.tolist(), found.offset_deviations)
    assert set(joints.cameras) == {"front"}
    np.testing.assert_allclose(joints.joint_offsets, np.add(OFFSETS, 0.01), atol=1e-6)
    assert joints.joint_deviations[0] is None
    assert joints.joint_deviations[1] is not None
    assert joints.mark.date == date


def test_the_report_says_what_cannot_be_seen_and_how_far_the_truth_is():
    found = solve(make_views(offsets=OFFSETS), BOARD, SIZE, "base", joints=True, intrinsics=LENS)
    text = describe("front", found, "base", 24, JOINT_NAMES)
    assert "+0.0300 rad" in text
    assert text.count("can't be seen from outside") == 2
    beside = describe_truth(found, moved(FRONT, np.array([0, 0, 0, 0.003, 0, 0])), np.array(OFFSETS), 738.0)
    assert "3.00 mm" in beside
