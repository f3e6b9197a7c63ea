"""What is true of a scene, in the words that tasks are described with: inside, on, covered, in the gripper, at rest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sim.scene.scene import Scene
from sim.tasks.task import REACH_X, REACH_Y, tilt, yaw_of

MAX_TILT = math.radians(20)
FALLEN_TILT = math.radians(50)
MAX_SPEED = 0.03
"""Of an object that rests, m/s."""
STILL_NS, STILL_M, STILL_TILT = 400_000_000, 0.002, math.radians(2)
"""An object that rests moves and tilts by less than this in the time that follows, ns, m, rad."""
OVERHANG = 0.002
"""How far an object may stick out over the edge of the surface that it stands on, m."""
HEIGHT_TOLERANCE = 0.006
BASE_SHARE = 0.8
"""How far out, of what it stands on, the middle of an object may be, as a share of the least half size."""
HIDDEN_SHARE, LID_LEAN = 0.9, math.radians(10)
"""A lid on a pot hides at least this share of its open top, seen from above, and leans less than this, rad."""
SEAT_TOLERANCE = 0.002
"""A lid on its pot lies within the depth of its lip above its seat, and this much, m."""
FINGERS = ("left_finger_link", "right_finger_link")
OPEN_COMMAND = 0.030
"""Finger gap asked for (m) from which the gripper counts as commanded open."""


def upright(scene: Scene, name: str) -> bool:
    """Whether an object stands on its bottom."""
    return tilt(scene.physics.body_pose(name)[1]) <= MAX_TILT


def inside(scene: Scene, name: str, fixture: str) -> bool:
    """Whether an object stands upright with its whole outline on a fixture's surface."""
    place, item = scene.fixture(fixture), scene.object(name)
    position, quaternion = scene.physics.body_pose(name)
    x, y, z = (float(value) for value in position)
    standing = abs(z - place.floor_height) < HEIGHT_TOLERANCE
    return upright(scene, name) and standing and item.inside(place, x, y, yaw_of(quaternion), OVERHANG)


def on(scene: Scene, name: str, base: str) -> bool:
    """Whether an object stands upright on top of another one, well within its outline; on an open one, as its lid."""
    if scene.object(base).opening:
        return closed(scene, base, name)
    return _above(scene, name, base, BASE_SHARE * min(scene.object(base).half_extent))


def covered(scene: Scene, name: str, by: str) -> bool:
    """Whether an object disappears, seen from above, below another one that stands on it."""
    return _above(scene, by, name, min(scene.object(by).half_extent) - max(scene.object(name).half_extent))


def closed(scene: Scene, name: str, lid: str) -> bool:
    """Whether an open object stands upright with its lid on, as people say it: nearly nothing of it is open.

    The lid may lie with its lip on the rim on one side, beside its seat and a few degrees askew.
    """
    below, item = scene.object(name), scene.object(lid)
    if not (item.closes(below) and upright(scene, name)):
        return False
    base, (position, quaternion) = scene.physics.body_pose(name)[0], scene.physics.body_pose(lid)
    hides = item.hides(below, math.dist(base[:2], position[:2])) >= HIDDEN_SHARE
    above = position[2] - base[2] - item.height_on(below)
    return tilt(quaternion) < LID_LEAN and hides and -SEAT_TOLERANCE < above < item.lip[1] + SEAT_TOLERANCE


def _above(scene: Scene, name: str, base: str, room: float) -> bool:
    """Whether an object stands upright on another one, their middles less than `room` (m) from each other."""
    position, _ = scene.physics.body_pose(name)
    below, _ = scene.physics.body_pose(base)
    near = math.dist(below[:2], position[:2]) < room
    return upright(scene, name) and near and abs(position[2] - below[2] - scene.object(base).height) < HEIGHT_TOLERANCE


def swept(scene: Scene, names: Sequence[str], tray: str, side: int, beyond: float) -> int:
    """How many objects lie in a tray at one side of it.

    Args:
        scene: Where they are.
        names: The objects.
        tray: The fixture.
        side: 1: where its x axis points, -1: the other side.
        beyond: How far from its middle the side begins, m.
    """
    place, count = scene.fixture(tray), 0
    for name in names:
        x, y, z = (float(value) for value in scene.physics.body_pose(name)[0])
        low = z - place.floor_height < scene.object(name).height
        count += low and place.contains(x, y) and side * place.local(x, y)[0] > beyond
    return count


def held(scene: Scene, name: str) -> bool:
    """Whether an object is between the fingers, and not turned over."""
    turned = tilt(scene.physics.body_pose(name)[1]) > FALLEN_TILT
    return not turned and all(scene.physics.in_contact(name, finger) for finger in FINGERS)


def let_go(scene: Scene, name: str) -> bool:
    """Whether the gripper is commanded open and its fingers are off an object."""
    if scene.physics.gripper_goal() < OPEN_COMMAND:
        return False
    return not any(scene.physics.in_contact(name, finger) for finger in FINGERS)


def at_rest(scene: Scene, names: Sequence[str]) -> bool:
    """Whether objects rest and go on resting.

    It looks ahead: in the next 0.4 s, the servos keeping their goals, each moves by less than 2 mm and tilts by less
    than 2 degrees. An object in the middle of falling over, sliding or rocking is slow for an instant, too.
    """
    physics = scene.physics
    if any(float(np.abs(physics.body_velocity(name)[:3]).max()) > MAX_SPEED for name in names):
        return False
    now = [physics.body_pose(name) for name in names]
    later = physics.foresee(names, STILL_NS)
    return all(
        math.dist(position, moved) < STILL_M and abs(tilt(turned) - tilt(quaternion)) < STILL_TILT
        for (position, quaternion), (moved, turned) in zip(now, later, strict=True)
    )


def why_lost(scene: Scene, name: str, called: str) -> str | None:
    """Why an object is beyond the robot's help, or None: it is out of reach or has fallen over.

    Args:
        scene: Where it is.
        name: The object.
        called: What people call it.
    """
    position, quaternion = scene.physics.body_pose(name)
    if not (
        REACH_X[0] - 0.02 <= position[0] <= REACH_X[1] + 0.02 and REACH_Y[0] - 0.02 <= position[1] <= REACH_Y[1] + 0.02
    ):
        return f"the {called} left the workspace"
    return f"the {called} fell over" if tilt(quaternion) > FALLEN_TILT else None
