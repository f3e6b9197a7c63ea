"""States of tasks with a cloth, with captions about it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from robot.control.pose import Pose
from sim.captions.caption import DONE, Caption, KnownFacts
from sim.captions.postures import arm_to, away, wait
from sim.captions.trials import trials
from sim.scene.cloth import RADIUS, ROWS
from sim.scene.cloth_state import Cloth
from sim.scene.scene import Scene
from sim.tasks.cloth import FLAT_M, ClothTask, half_folded, in_folds
from sim.tasks.cloth_folding import UNFOLDED_SHARE, ClothFolding
from sim.tasks.cube_covering import CUBE, CubeCovering
from sim.tasks.predicates import FINGERS, OPEN_COMMAND
from sim.twin import Twin
from trajectories.errors import ConfigError, KinematicsError, SafetyError
from trajectories.types import DIRECTIONS, Float64

_POSED, _VIEWS = 0.5, 6
"""Share of the pictures that are posed, not of trials; pictures of a posed cloth."""
_SETTLE_S, _GRIP_S = 2.0, 0.06
_LIFTED_M, _LYING_M = 0.045, 0.025
"""A held tag this high is in the air; below the other it isn't, m."""
_FAR_M, _CLOSE_M = 0.06, 0.035
"""The gripper is away from a cloth whose nodes are all this far from its tip; within the other it isn't, m."""
_ABOVE_M, _ASIDE_M = (0.012, 0.08), (0.02, 0.035)
"""Heights over the tag at which an open gripper hovers; how far aside it does, and from where on it doesn't, m."""
_GRIP_ABOVE_TAG, _TAG_WIDTH = 0.005, 0.014
_CREASE_M = 0.006
_SHORT_M, _SKEW = 0.02, 0.25
"""Spread of a fold that is laid askew, m, rad."""
_FOLDS = (ROWS - 1, ROWS - 2, ROWS - 3, ROWS // 2 + 1, ROWS // 2, ROWS // 2)
_OVER, _BESIDE = (-0.03, 0.065), 0.1
"""How far before the middle of the cube a cloth's near edge lies over it, and largest shift across, m."""
_BORDER_M = 0.006
"""Spread of places about the last one that counts, m."""


def captions_of(task: ClothTask) -> list[Caption]:
    """Every caption about the cloth."""
    noun = task.noun
    result = [
        Caption(f"the gripper holds the {noun} by its tag", noun, "held"),
        Caption(f"the gripper holds the edge of the {noun} in the air", noun, "lifted"),
        Caption(f"the open gripper hovers above the tag of the {noun}", noun, "hovered"),
        Caption(f"the gripper is away from the {noun}", noun, "away"),
    ]
    for direction in DIRECTIONS:
        place = task.goals[direction].phrase
        result += [Caption(text, noun, DONE, place) for text in task.instructions[direction]]
    if isinstance(task, ClothFolding):
        folded, unfolded = (task.goals[direction].phrase for direction in DIRECTIONS)
        return [
            *result,
            Caption(f"the {noun} is {folded} in half", noun, "at", folded),
            Caption(f"the {noun} is spread out flat", noun, "at", unfolded),
            Caption(f"the {noun} is {folded} only part of the way", noun, "part", folded),
            Caption(f"the {noun} is crumpled", noun, "crumpled"),
        ]
    over, behind = (task.goals[direction].phrase for direction in DIRECTIONS)
    return [
        *result,
        Caption(f"the {noun} is {over}", noun, "at", over),
        Caption(f"the {noun} lies off the {CUBE}", noun, "at", behind),
        Caption(f"the {noun} covers only part of the {CUBE}", noun, "part", over),
        Caption(f"the {noun} covers none of the {CUBE}", noun, "none", over),
    ]


def states(twin: Twin, rng: np.random.Generator) -> Iterator[KnownFacts]:
    """Put the twin into one random state after the other, for ever; of each what is true of it."""
    played = trials(twin, rng)
    while True:
        if rng.random() < _POSED:
            yield from _posed(twin, rng)
        else:
            for _ in zip(range(_VIEWS), played, strict=False):
                yield facts_of(twin)


def facts_of(twin: Twin) -> KnownFacts:
    """What is true of the present state, by the predicates of the task; whether it is done before all rests is open."""
    task, scene = _cloth_task(twin), twin.scene
    cloth, physics = scene.cloth, scene.physics
    at = {direction: task.at_goal(scene, direction) for direction in DIRECTIONS}
    opened, touched = physics.gripper_goal() >= OPEN_COMMAND, cloth.touched_by(*FINGERS)
    held = not opened and all(physics.in_contact(cloth.spec.name, finger) for finger in FINGERS)
    tag, tip = cloth.tag(), physics.tip_position()
    gap = float(np.linalg.norm(cloth.nodes() - tip, axis=-1).min())
    truths: dict[tuple[str, str], bool | None] = {
        ("held", ""): held,
        ("lifted", ""): None if held and _LYING_M < tag[2] < _LIFTED_M else held and float(tag[2]) >= _LIFTED_M,
        ("away", ""): None if _CLOSE_M < gap < _FAR_M else gap >= _FAR_M and not touched,
        ("hovered", ""): opened and not touched and _hovers(tip, tag),
    }
    for direction, there in at.items():
        place = task.goals[direction].phrase
        done: bool | None = there and opened and not touched
        if done and not task.success(scene, direction):
            done = None
        truths[DONE, place], truths["at", place] = done, there
    truths |= _shape(task, twin, at_any=any(at.values()), touched=touched)
    return KnownFacts(frozenset({task.noun}), truths, frozenset(item.name for item in task.scene.objects))


def _shape(task: ClothTask, twin: Twin, *, at_any: bool, touched: bool) -> dict[tuple[str, str], bool | None]:
    """What is true of how the cloth lies, beside the goals."""
    cloth = twin.scene.cloth
    phrase = task.goals["forward"].phrase
    if isinstance(task, CubeCovering):
        share = task.hidden_share(twin.scene)
        return {("part", phrase): 0.0 < share < 1.0, ("none", phrase): share == 0.0}
    lying = float(cloth.nodes()[..., 2].max()) <= FLAT_M
    return {
        ("part", phrase): lying and not at_any and cloth.shadow() < UNFOLDED_SHARE * cloth.area,
        ("crumpled", ""): not (lying or touched or at_any),
    }


def _hovers(tip: Float64, tag: Float64) -> bool | None:
    aside, above = math.dist(tip[:2], tag[:2]), float(tip[2] - tag[2])
    if aside > _ASIDE_M[1] or not -_ABOVE_M[0] < above < _ABOVE_M[1] + _ABOVE_M[0]:
        return False
    return True if aside < _ASIDE_M[0] and _ABOVE_M[0] < above < _ABOVE_M[1] else None


def _posed(twin: Twin, rng: np.random.Generator) -> Iterator[KnownFacts]:
    """A cloth that was put somewhere and came to rest, in several looks, with the gripper away, above and around it."""
    task, scene = _cloth_task(twin), twin.scene
    scene.randomise(rng)
    try:
        arm_to(twin, away(rng), 0.044)
        if isinstance(task, CubeCovering):
            task.place_cube(scene, rng)
            _cover(task, scene, rng)
        else:
            _fold(scene.cloth, rng)
        wait(twin, _SETTLE_S)
        lying, cubes = scene.cloth.nodes(), {CUBE} & {item.name for item in task.scene.objects}
        poses = {name: scene.physics.body_pose(name) for name in cubes}
        for _ in range(_VIEWS):
            scene.rearrange(rng)  # looks alone: what lies there lies there still
            scene.cloth.put(lying)
            for name, pose in poses.items():
                scene.physics.set_free_body(name, *pose)
            _gripper(twin, rng)
            yield facts_of(twin)
    except SafetyError:
        twin.clear_own_faults()


def _gripper(twin: Twin, rng: np.random.Generator) -> None:
    """Put the arm away, above the tag, or around it; the cloth keeps lying as it does."""
    lying = twin.scene.cloth.nodes()
    kind = rng.choice(["away", "hover", "touch"], p=[0.65, 0.2, 0.15])
    tag = twin.scene.cloth.tag()
    try:
        if kind == "away":
            arm_to(twin, away(rng), 0.044)
        elif kind == "hover":
            tip = tag + np.append(rng.normal(0.0, 0.006, 2), rng.uniform(0.02, 0.07))
            arm_to(twin, Pose.of(tuple(tip), (0.0, 0.0, float(rng.uniform(-0.4, 0.4)))), 0.044)
        else:
            arm_to(twin, Pose.of((*tag[:2], tag[2] + _GRIP_ABOVE_TAG), (0.0, 0.0, 0.0)), 0.044)
            twin.scene.physics.set_fingers(_TAG_WIDTH)
            wait(twin, _GRIP_S)
    except KinematicsError:
        arm_to(twin, away(rng), 0.044)
    if kind != "touch":
        twin.scene.cloth.put(lying)


def _fold(cloth: Cloth, rng: np.random.Generator) -> None:
    """Let a cloth settle that is flat, folded at some row, or folded in half and laid askew."""
    middle = (float(rng.uniform(0.26, 0.30)), float(rng.uniform(-0.07, 0.07)))
    row = _FOLDS[int(rng.integers(len(_FOLDS)))]
    nodes = in_folds(cloth, middle, float(rng.uniform(-0.25, 0.25)), half_folded(row))
    if row < ROWS - 1 and rng.random() < 0.7:
        hinge = nodes[row].mean(axis=0)
        long = (ROWS - 1 - row) / (ROWS // 2)
        turn, shift = float(rng.normal(0.0, _SKEW)), long * rng.normal(0.0, _SHORT_M, 2)
        for index in range(row + 1, ROWS):
            part = (index - row) / (ROWS - 1 - row)
            cos, sin = math.cos(part * turn), math.sin(part * turn)
            along = nodes[index, :, :2] - hinge[:2]
            nodes[index, :, :2] = along @ np.array([[cos, sin], [-sin, cos]]) + hinge[:2] + part * shift
    if rng.random() < 0.5:
        nodes[..., 2] += rng.uniform(0.0, _CREASE_M, nodes.shape[:2])
    cloth.put(nodes)


def _cover(task: CubeCovering, scene: Scene, rng: np.random.Generator) -> None:
    """Let a cloth settle behind the cube, over it, or across its border, often within millimetres of hiding it."""
    cloth = scene.cloth
    cube, item = scene.physics.body_pose(CUBE)[0], scene.object(CUBE)
    half, least = np.array(cloth.spec.size) / 2, item.half_extent[0]
    before, across = float(rng.uniform(*_OVER)), float(rng.uniform(-0.5, 0.5) * _BESIDE)
    kind = rng.random()
    if kind < 0.2:
        task.arrange(scene, rng, DIRECTIONS[int(rng.integers(2))], wide=True)
        return
    if kind < 0.45:
        before = float(rng.normal(least, _BORDER_M))
    elif kind < 0.65:
        across = float(rng.choice([-1, 1]) * rng.normal(half[1] - least, _BORDER_M))
    nodes = cloth.lay((float(cube[0]) + before - half[0], float(cube[1]) + across), float(rng.normal(0.0, 0.12)))
    nodes[..., 2] += item.height + RADIUS
    cloth.put(nodes)


def _cloth_task(twin: Twin) -> ClothTask:
    if not isinstance(twin.task, ClothTask):
        raise ConfigError(f"There is no cloth in {twin.task.name}.")
    return twin.task
