"""States of tasks that sweep things across a tray, with captions about the things and the board."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from robot.control.pose import Pose
from sim.captions.caption import DONE, Caption, KnownFacts
from sim.captions.postures import arm_to, away, wait
from sim.captions.trials import trials
from sim.scene.spec import FixtureInfo
from sim.tasks.predicates import held, swept
from sim.tasks.sweeping import SweepTask
from sim.tasks.task import tilt
from sim.twin import Twin
from trajectories.errors import ConfigError, KinematicsError
from trajectories.types import DIRECTIONS, Direction, Float64

_BOARD = "board"
_POSED, _VIEWS = 0.6, 6
"""Share of the pictures that are posed, not of trials; pictures of a scene."""
_DROPPED = 0.12
"""Share of the posed states in which the board was dropped."""
_OUT = 0.06
"""Share of those in which one thing lies beside the tray."""
_LOW_M, _HIGH_M = 0.008, 0.015
"""A blade this near to the tray's floor sweeps; one that is higher than the other is above it, m."""
_BORDER_M = 0.005
"""Spread of the places about where a side begins, m."""
_APART_M, _WALL_M = 0.0145, 0.012
"""Between two things' middles, and between a wall and a thing's, at least, m."""
_SETTLE_S, _FALL_S = 0.15, 0.5
_CLEAR_M = 0.012
"""Between the middle of the blade that is down and a thing's, along the tray, m."""


def captions_of(task: SweepTask) -> list[Caption]:
    """Every caption about the things and the board."""
    noun, side = _noun(task), "side of the tray"
    result = [
        Caption(f"the gripper holds the {_BOARD}", _BOARD, "held"),
        Caption(f"the gripper has dropped the {_BOARD}", _BOARD, "dropped"),
        Caption(f"the gripper holds the {_BOARD} above the tray", _BOARD, "above"),
        Caption(f"the {_BOARD} stands in the tray", _BOARD, "low"),
        Caption(f"some of the {noun} lies in the middle of the tray", noun, "middle"),
        Caption(f"all the {noun} lies in the middle of the tray", noun, "all middle"),
        Caption(f"some of the {noun} is out of the tray", noun, "out"),
    ]
    for direction in DIRECTIONS:
        where = _where(direction)
        result += [Caption(text, noun, DONE, where) for text in task.instructions[direction]]
        result += [
            Caption(f"all the {noun} is on the {where} {side}", noun, "all", where),
            Caption(f"only some of the {noun} is on the {where} {side}", noun, "some", where),
            Caption(f"all but one of the {noun} is on the {where} {side}", noun, "all but one", where),
            Caption(f"none of the {noun} is on the {where} {side}", noun, "none", where),
        ]
    return result


def states(twin: Twin, rng: np.random.Generator) -> Iterator[KnownFacts]:
    """Put the twin into one random state after the other, for ever; of each what is true of it."""
    played = trials(twin, rng)
    while True:
        if rng.random() < _POSED:
            twin.reset("forward", rng)
            for _ in range(_VIEWS):
                yield pose_state(twin, rng)
        else:
            for _ in zip(range(_VIEWS), played, strict=False):
                yield facts_of(twin)


def facts_of(twin: Twin) -> KnownFacts:
    """What is true of the present state, by the predicates of the task."""
    task, scene = _sweep(twin), twin.scene
    tray, in_gripper = scene.fixture(task.tray), held(scene, task.tool)
    counts = {direction: task.reached(scene, direction) for direction in DIRECTIONS}
    inside = swept(scene, task.things, task.tray, 1, -math.inf)
    middle = inside - sum(counts.values())
    blade = float(scene.physics.body_pose(task.tool)[0][2]) - tray.floor_height
    upright = tilt(scene.physics.body_pose(task.tool)[1]) < math.radians(30)
    over = tray.contains(*map(float, scene.physics.body_pose(task.tool)[0][:2]))
    truths: dict[tuple[str, str], bool | None] = {
        ("held", ""): in_gripper,
        ("dropped", ""): not in_gripper and scene.physics.gripper_width() > 2 * scene.object(task.tool).grasp_width,
        ("above", ""): None if _LOW_M < blade < _HIGH_M else in_gripper and over and blade >= _HIGH_M,
        ("low", ""): None if _LOW_M < blade < _HIGH_M else over and upright and blade <= _LOW_M,
        ("middle", ""): middle > 0,
        ("all middle", ""): middle == task.parts,
        ("out", ""): inside < task.parts,
    }
    for direction, count in counts.items():
        where = _where(direction)
        truths[DONE, where] = count == task.parts and in_gripper
        truths["all", where] = count == task.parts
        truths["some", where] = 0 < count < task.parts
        truths["all but one", where] = count == task.parts - 1
        truths["none", where] = count == 0
    return KnownFacts(frozenset({_noun(task), _BOARD}), truths)


def pose_state(twin: Twin, rng: np.random.Generator) -> KnownFacts:
    """Put the twin into a random state and say what is true of it."""
    while True:
        try:
            blade = _pose_board(twin, rng)
        except KinematicsError:
            continue
        dropped = rng.random() < _DROPPED
        if dropped:
            _drop_board(twin, rng)
        if _scatter(twin, rng, None if dropped else blade):
            break
    if rng.random() < _OUT:
        x, y = rng.uniform(0.20, 0.36), rng.choice([-1, 1]) * rng.uniform(0.12, 0.16)
        twin.scene.place(str(rng.choice(_sweep(twin).things)), (x, y, 0.0005), float(rng.uniform(-math.pi, math.pi)))
    wait(twin, _FALL_S if dropped else _SETTLE_S)
    return facts_of(twin)


def _pose_board(twin: Twin, rng: np.random.Generator) -> float | None:
    """Put the arm somewhere with the board in the gripper; where along the tray the blade is, None if it is high."""
    task, scene = _sweep(twin), twin.scene
    tray, tool = scene.fixture(task.tray), scene.object(task.tool)
    low = rng.random() < 0.4
    if low or rng.random() < 0.4:
        across = tray.half_extent[1] - tool.half_extent[1] - 0.004
        along = float(rng.uniform(-1, 1) * (tray.half_extent[0] - 0.009))
        x, y = tray.point(along, rng.uniform(-across, across))
        height = tray.floor_height + tool.grasp_height + (0.0025 if low else rng.uniform(0.02, 0.06))
        pose = Pose.of((float(x), float(y), float(height)), (0.0, 0.0, tray.yaw + float(rng.normal(0, 0.03))))
    else:
        pose, along = away(rng), 0.0
    arm_to(twin, pose, tool.grasp_width)
    scene.hand(task.tool)
    return along if low else None


def _drop_board(twin: Twin, rng: np.random.Generator) -> None:
    """Open the gripper high up and lay the board down somewhere, on its face or on its side."""
    arm_to(twin, away(rng), 0.044)
    yaw = float(rng.uniform(-math.pi, math.pi))
    axis = np.array([0.0, 1.0, 0.0]) if rng.random() < 0.8 else np.array([1.0, 0.0, 0.0])
    half = math.sqrt(0.5)
    lying = half * np.array([1.0, *axis])
    turn = np.array([math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)])
    w, z = turn[0], turn[3]  # the yaw after the fall
    turned = (w * lying[0], w * lying[1] - z * lying[2], w * lying[2] + z * lying[1], z * lying[0])
    place = (float(rng.uniform(0.22, 0.34)), float(rng.uniform(-0.14, 0.14)), 0.05)
    twin.scene.physics.set_free_body(_sweep(twin).tool, place, turned)


def _scatter(twin: Twin, rng: np.random.Generator, blade: float | None) -> bool:
    """Put every thing somewhere in the tray: swept, short of it by millimetres, or anywhere; whether there was room."""
    task, scene = _sweep(twin), twin.scene
    tray, side = scene.fixture(task.tray), int(rng.choice([-1, 1]))
    kind = rng.choice(["swept", "all but few", "border", "middle", "anywhere"], p=[0.3, 0.25, 0.25, 0.08, 0.12])
    few = int(rng.integers(1, 4)) if kind == "all but few" else 0
    chosen = rng.permutation(task.parts)
    deep = rng.random() < 0.5
    taken: list[Float64] = []
    for order, index in enumerate(chosen):
        how = ("border", "middle", "anywhere")[int(rng.integers(3))] if order < few else str(kind)
        place = _place(task, tray, rng, side, "swept" if how == "all but few" else how, taken, blade, deep)
        if place is None:
            return False
        taken.append(place)
        x, y = tray.point(*place)
        height = tray.floor_height + 0.0005
        scene.place(task.things[int(index)], (float(x), float(y), height), float(rng.uniform(-math.pi, math.pi)))
    return True


def _place(
    task: SweepTask,
    tray: FixtureInfo,
    rng: np.random.Generator,
    side: int,
    how: str,
    taken: list[Float64],
    blade: float | None,
    deep: bool,
) -> Float64 | None:
    """(2,) m along the tray's axes, free of the places taken and of the blade; None where there is no room."""
    room = np.array(tray.half_extent) - _WALL_M
    depth = float(room[0]) - task.beyond
    for _ in range(200):
        along = {
            "swept": side * (task.beyond + abs(rng.normal(0.0, depth / 2) if deep else rng.normal(0.008, 0.006))),
            "border": side * (task.beyond + rng.normal(0.0, _BORDER_M)),
            "middle": rng.uniform(-task.beyond, task.beyond),
            "anywhere": rng.uniform(-room[0], room[0]),
        }[how]
        place = np.array([along, rng.uniform(-room[1], room[1])])
        free = all(math.dist(place, other) > _APART_M for other in taken)
        clear = blade is None or abs(along - blade) > _CLEAR_M
        if abs(along) < room[0] and free and clear:
            return place
    return None


def _noun(task: SweepTask) -> str:
    return next(item.kind for item in task.scene.objects if item.name == task.things[0])


def _where(direction: Direction) -> str:
    return "far" if direction == "forward" else "near"


def _sweep(twin: Twin) -> SweepTask:
    if not isinstance(twin.task, SweepTask):
        raise ConfigError(f"Nothing is swept in {twin.task.name}.")
    return twin.task
