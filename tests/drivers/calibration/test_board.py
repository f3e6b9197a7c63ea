"""The board: drawn at the stated size, found where it is, refused when it can't be."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from drivers.calibration.board import Board
from drivers.calibration.detection import BoardDetector
from drivers.calibration.poses import calibration_poses
from drivers.calibration.printing import print_board
from robot.arms.wx250s import WX250S
from robot.control.safety_limits import SafetyLimits
from trajectories.errors import ConfigError

BOARD = Board()
MM_PER_INCH = 25.4


def as_colour(grey):
    return np.repeat(np.asarray(grey, np.uint8)[:, :, None], 3, axis=2)


def test_corners_are_opencvs():
    theirs = np.array(BOARD.opencv().getChessboardCorners())
    np.testing.assert_allclose(BOARD.corners(), theirs, atol=1e-7)
    np.testing.assert_allclose(BOARD.centre, (0.07, 0.05, 0.0))


def test_the_print_has_the_stated_size(tmp_path):
    path = tmp_path / "board.png"
    print_board(BOARD, path)
    with Image.open(path) as page:
        dots = page.info["dpi"]
        mm_per_pixel = MM_PER_INCH / dots[0]
        assert dots[0] == pytest.approx(dots[1])
        assert page.width * mm_per_pixel == pytest.approx(297.0, abs=0.1)
        assert page.height * mm_per_pixel == pytest.approx(210.0, abs=0.1)
        grey = np.asarray(page.convert("L"))
    found = BoardDetector(BOARD).find(as_colour(grey))
    assert found.corners.tolist() == list(range(24))
    steps = np.diff(found.pixels.reshape(4, 6, 2), axis=1)[..., 0] * mm_per_pixel
    np.testing.assert_allclose(steps, 20.0, atol=0.05)
    steps = np.diff(found.pixels.reshape(4, 6, 2), axis=0)[..., 1] * mm_per_pixel
    np.testing.assert_allclose(steps, 20.0, atol=0.05)
    black = (grey < 128).sum(axis=1)
    bar = black[int(180 / mm_per_pixel) : int(193 / mm_per_pixel)].max()
    assert bar * mm_per_pixel == pytest.approx(100.0, abs=0.1)


def test_the_pdf_is_an_a4_page(tmp_path):
    path = tmp_path / "new" / "board.pdf"
    print_board(BOARD, path)
    width, height = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", path.read_bytes()).groups()
    assert float(width) / 72 * MM_PER_INCH == pytest.approx(297.0, abs=0.1)
    assert float(height) / 72 * MM_PER_INCH == pytest.approx(210.0, abs=0.1)
    assert b"DCTDecode" not in path.read_bytes()  # no JPEG, whose edges are soft


@pytest.mark.parametrize(
    ("board", "name", "message"),
    [
        (BOARD, "board.jpg", ".pdf or .png"),
        (Board(square_mm=60.0, marker_mm=40.0), "board.png", "A4"),
    ],
)
def test_what_cannot_be_printed_is_refused(tmp_path, board, name, message):
    with pytest.raises(ConfigError, match=message):
        print_board(board, tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"marker_mm": 20.0}, "inside the squares"),
        ({"square_mm": float("nan")}, "square_mm"),
        ({"columns": 3}, "4 x 4"),
        ({"columns": 12, "rows": 10}, "100 in all"),
    ],
)
def test_boards_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(BOARD, **changes)


def test_a_drawing_needs_whole_pixels():
    with pytest.raises(ConfigError, match="whole number"):
        replace(BOARD, square_mm=19.73).picture(8)


def test_corners_are_found_in_a_tilted_picture_without_a_shift():
    picture = cv2.GaussianBlur(BOARD.picture(3), (0, 0), 0.8)
    height, width = picture.shape
    source = np.float32([(0, 0), (width, 0), (width, height), (0, height)])
    target = np.float32([(60, 90), (390, 40), (430, 330), (40, 300)])
    homography = cv2.getPerspectiveTransform(source, target)
    image = cv2.warpPerspective(picture, homography, (480, 480), flags=cv2.INTER_CUBIC, borderValue=200)
    found = BoardDetector(BOARD).find(as_colour(image))
    assert len(found.corners) == 24
    flat = (BOARD.corners()[:, :2] * 3000 - 0.5).astype(np.float32)  # the centre of the first pixel is (0, 0)
    where = cv2.perspectiveTransform(flat[None], homography)[0]
    wrong = found.pixels - where[found.corners]
    assert np.sqrt(np.mean(wrong**2)) < 0.2
    assert np.abs(wrong.mean(axis=0)).max() < 0.06  # no half pixel of another convention


def test_too_little_of_a_board_is_none():
    detector = BoardDetector(BOARD)
    blank = np.full((480, 480, 3), 255, np.uint8)
    assert detector.find(blank) is None
    one_row = blank.copy()
    picture = BOARD.picture(3)[: 2 * 60]
    one_row[100 : 100 + picture.shape[0], 20 : 20 + picture.shape[1]] = as_colour(picture)
    assert detector.find(one_row) is None  # six corners on one line


def test_poses_fill_the_box_above_the_lowest_height():
    limits = SafetyLimits()
    poses = calibration_poses(WX250S, limits, 40, 0.09, np.random.default_rng(0))
    places = np.array([(*pose.position, *pose.rpy) for pose in poses])
    assert places.shape == (40, 6)
    assert (places[:, :3] >= (limits.position_lower[0], limits.position_lower[1], 0.09)).all()
    assert (places[:, :3] <= limits.position_upper).all()
    assert (np.abs(places[:, 3:]) <= limits.rpy_upper).all()
    assert np.ptp(places, axis=0)[[0, 1, 3, 4, 5]] == pytest.approx((0.16, 0.32, 0.24, 0.24, 1.92), rel=0.15)
    ways = np.linalg.norm(np.diff(places[:, :3], axis=0), axis=1).sum()
    shuffled = np.random.default_rng(1).permutation(places)[:, :3]
    assert ways < 0.8 * np.linalg.norm(np.diff(shuffled, axis=0), axis=1).sum()
    again = calibration_poses(WX250S, limits, 40, 0.09, np.random.default_rng(0))
    assert np.array_equal(places, [(*pose.position, *pose.rpy) for pose in again])


def test_a_board_too_large_for_the_box_is_refused():
    with pytest.raises(ConfigError, match=r"calibrate\.lowest"):
        calibration_poses(WX250S, SafetyLimits(), 10, 0.2, np.random.default_rng(0))
