"""Views of a board as exact arithmetic gives them: no renderer, no detector."""

import numpy as np

from drivers.calibration.board import Board
from drivers.calibration.detection import Detection
from drivers.calibration.projection import project
from drivers.calibration.transforms import inverse, transform
from drivers.calibration.views import View
from drivers.dynamixel.registers import RAD_PER_TICK
from robot.control.calibration import Intrinsics
from robot.control.kinematics import Kinematics
from robot.control.pose import Pose

ARM = Kinematics()
BOARD = Board()
SIZE = (480, 480)
LENS = Intrinsics((738.0, 738.0), (239.5, 241.0), (-0.05, 0.02, 0.0, 0.0, 0.0))
NEAR = (0.0, -0.3, 0.3, 0.0, 1.5, 0.0)


def looking(eye, target):
    """A camera's pose: x right, y down, z forward."""
    ahead = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return transform(np.column_stack([right, np.cross(ahead, right), ahead]), eye)


FRONT = looking((0.62, 0.0, 0.5), (0.275, 0.0, 0.1))
HELD = transform(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]), (-0.05, -0.07, 0.03))
"""A board in front of the gripper, facing away from it."""
WRIST = transform(np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), (-0.1, 0.0, 0.05))
ON_TABLE = transform(np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]), (0.36, 0.07, 0.0))


def make_views(
    count=24, *, mount="base", noise=0.0, offsets=(0.0,) * 6, ticks=False, seed=0, upper=(0.15, 0.15, 1.0), bound=True
):
    """What a camera sees when the arm goes to random poses in its box; the arm reports angles without the offsets."""
    rng = np.random.default_rng(seed)
    camera, board = (FRONT, HELD) if mount == "base" else (WRIST, ON_TABLE)
    points = np.c_[BOARD.corners(), np.ones(len(BOARD.corners()))]
    views = []
    while len(views) < count:
        place = rng.uniform((0.20, -0.12, 0.09, *(-np.array(upper))), (0.36, 0.12, 0.18, *upper))
        joints = ARM.inverse(Pose.of(place[:3], place[3:]), NEAR)
        tip = ARM.forward(joints).matrix()
        between = tip if mount == "base" else inverse(tip)
        pixels = project(points @ (inverse(camera) @ between @ board)[:3].T, LENS)
        seen = np.flatnonzero(((pixels > 5) & (pixels < 475)).all(axis=1))
        if len(seen) < 8 and bound:
            continue
        reported = joints - offsets
        if ticks:
            reported = np.round(reported / RAD_PER_TICK) * RAD_PER_TICK
        views.append(View(reported, Detection(seen, pixels[seen] + rng.normal(0.0, noise, (len(seen), 2)))))
    return views
