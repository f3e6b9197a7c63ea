"""States of tasks that move one object to a place, with captions about them.

States are set directly (no physics but a short settling), so that a thousand images take seconds. Captions name what a
success classifier has to tell apart: at the goal, held above it, touched, at its edge, elsewhere, hovered over, fallen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from robot.control.pose import Pose
from sim.captions.caption import DONE, Caption
from sim.captions.postures import arm_to, away, wait
from sim.scene.objects import OBJECTS
from sim.tasks.borders import border_place, last_across, last_apart
from sim.tasks.moving import Goal, MoveTask, moving
from sim.tasks.predicates import FALLEN_TILT
from sim.tasks.task import REACH_X, REACH_Y, tilt, yaw_of
from sim.twin import Twin
from trajectories.errors import KinematicsError
from trajectories.types import DIRECTIONS, Float64

_SETTLE_S, _FALL_S = 0.08, 0.5
"""How long the object settles, and how long where it may yet tip over another one, s."""
_FRAMES_PER_SCENE = 6
_FALLEN = 0.06
"""Share of the standing objects that have fallen over."""
_BORDER_M = 0.005
"""Spread of the places about the last one that still counts, m."""
_BESIDE_M = 0.025
"""Between the outlines of two objects that stand beside each other, at most, m."""


@dataclass(frozen=True)
class MovedFacts:
    """What is true of a rendered state of such a task.

    Attributes:
        noun: The task's object.
        at: Phrase of the place where it stands, "" elsewhere.
        edge: Phrase of the place at whose edge it stands, "" elsewhere; of another object: it rests on it askew.
        held_above: Phrase of the place that it is held above, "table", or "" when it is not held in the air.
        touched: The gripper is around it while it stands.
        hovered: The open gripper is just above it.
        fallen: It lies on its side; whether it is at an edge or on the table then, the captions don't mean to say.
        beside: Phrase of the goal on another object beside which it stands, "" where it stands beside none.
        on_other: It stands on a fixture that is none of the goals.
        others: Nouns of the scene's other objects, of which nobody says anything.
    """

    noun: str
    at: str = ""
    edge: str = ""
    held_above: str = ""
    touched: bool = False
    hovered: bool = False
    fallen: bool = False
    beside: str = ""
    on_other: bool = False
    others: frozenset[str] = field(default_factory=frozenset)

    def truth(self, caption: Caption) -> bool | None:
        """Whether the caption is true; None where nobody can say. One about an object that isn't there is false."""
        if caption.noun != self.noun:
            return None if caption.noun in self.others else False
        if self.fallen and caption.relation in ("edge", "on_table", "beside"):
            return None
        held = bool(self.held_above)
        here = self.at == caption.place
        answers = {
            DONE: here and not self.touched,
            "at": here,
            "touched": here and self.touched,
            "held_above": self.held_above == caption.place,
            "edge": self.edge == caption.place,
            "held": held,
            "on_table": not (held or self.at or self.edge or self.on_other),
            "hovered": self.hovered,
            "away": not (held or self.touched or self.hovered),
            "fallen": self.fallen,
            "beside": self.beside == caption.place,
        }
        return answers[caption.relation]


def captions_of(task: MoveTask) -> list[Caption]:
    """Every caption about the task's object and places."""
    noun = task.noun
    result = [
        Caption(f"the gripper holds the {noun} in the air", noun, "held"),
        Caption(f"the {noun} is on the bare table", noun, "on_table"),
        Caption(f"the open gripper hovers above the {noun}", noun, "hovered"),
        Caption(f"the gripper is away from the {noun}", noun, "away"),
        Caption(f"the gripper holds the {noun} above the table", noun, "held_above", "table"),
    ]
    if _looks_fallen(task):
        result.append(Caption(f"the {noun} has fallen over", noun, "fallen"))
    for direction in DIRECTIONS:
        goal = task.goals[direction]
        place = goal.phrase
        where = place.split(" ", 1)[1] if not place.startswith("on top") else place.removeprefix("on top of ")
        result += [Caption(text, noun, DONE, place) for text in task.instructions[direction]]
        result += [
            Caption(f"the {noun} is {place}", noun, "at", place),
            Caption(f"the gripper holds the {noun} while it stands {place}", noun, "touched", place),
            Caption(f"the gripper holds the {noun} above {where}", noun, "held_above", place),
            Caption(f"the {noun} is at the edge of {where}", noun, "edge", place),
        ]
        if goal.on_top_of:
            result += [
                Caption(f"the {noun} lies askew on {where}", noun, "edge", place),
                Caption(f"the {noun} is beside {where}", noun, "beside", place),
            ]
    return result


def states(twin: Twin, rng: np.random.Generator) -> Iterator[MovedFacts]:
    """Put the twin into one random state after the other, for ever; of each what is true of it."""
    while True:
        twin.reset("forward", rng)
        for _ in range(_FRAMES_PER_SCENE):
            yield pose_state(twin, rng)


def pose_state(twin: Twin, rng: np.random.Generator) -> MovedFacts:
    """Put the twin into a random state and say what is true of it."""
    while True:
        try:
            return _held(twin, rng) if rng.random() < 0.3 else _standing(twin, rng)
        except KinematicsError:
            continue


def _standing(twin: Twin, rng: np.random.Generator) -> MovedFacts:
    """The object stands somewhere; the gripper is away, above it or around it."""
    task, scene = moving(twin.task), twin.scene
    arm_to(twin, away(rng), 0.044)
    _put_down(twin, rng)
    fallen = task.skill != "push" and rng.random() < _FALLEN
    if fallen:
        _lay_down(twin, rng)
        wait(twin, _SETTLE_S)
    position, quaternion = scene.physics.body_pose(task.object)
    fallen = fallen or tilt(quaternion) > FALLEN_TILT
    at = next((g.phrase for d, g in task.goals.items() if task.at_goal(scene, d)), "")
    edge = "" if at or fallen else next((g.phrase for g in task.goals.values() if _overlaps(twin, g)), "")
    beside = "" if at or edge else next((g.phrase for g in task.goals.values() if _is_beside(twin, g)), "")
    gripper = rng.choice(["away", "hover", "touch"], p=[0.55, 0.2, 0.25])
    touched = hovered = False
    if gripper != "away":
        info = scene.object(task.object)
        yaw = float(rng.uniform(-0.5, 0.5)) if info.is_round else _wrapped(yaw_of(quaternion))
        above = 0.0 if gripper == "touch" else float(rng.uniform(0.025, 0.07))
        tip = position + np.array([0, 0, max(info.grasp_height, 0.014) + above])
        if gripper == "hover":
            tip[:2] += rng.normal(0, 0.008, 2)
        closed = gripper == "touch" and rng.random() < 0.7
        arm_to(twin, Pose.of(tuple(tip), (0.0, 0.0, yaw)), info.grasp_width if closed else 0.044)
        touched, hovered = closed, gripper == "hover"
    return MovedFacts(
        task.noun,
        at=at,
        edge=edge,
        touched=touched,
        hovered=hovered,
        fallen=fallen,
        beside=beside,
        on_other=_on_other(twin),
        others=_others(task),
    )


def _put_down(twin: Twin, rng: np.random.Generator) -> None:
    """Let the object settle at a goal, at the edge of one, or anywhere."""
    task, scene = moving(twin.task), twin.scene
    goal = task.goals[DIRECTIONS[int(rng.integers(2))]]
    kind = rng.choice(["goal", "edge", "anywhere"], p=[0.35, 0.45, 0.2])
    name, height, settles = task.object, 0.0005, _SETTLE_S
    if goal.on_top_of and kind != "anywhere":
        base, item = scene.physics.body_pose(goal.on_top_of)[0], scene.object(name)
        height = float(base[2]) + item.height_on(scene.object(goal.on_top_of))
        xy = base[:2] + rng.uniform(-0.004, 0.004, 2)
        if kind == "edge":
            xy, height, settles = _askew_place(twin, goal, rng), height + item.lip[1] + 0.001, _FALL_S
    elif kind == "goal":
        xy = np.asarray(task.goal_place(scene, rng, goal))
    elif kind == "edge":
        xy = _edge_place(twin, goal.fixture, rng)
        height = scene.fixture(goal.fixture).rim_height
    else:
        xy = task.free_place(scene, rng, name, avoid="")
    height = max(height, scene.surface_height(float(xy[0]), float(xy[1])))
    scene.place(name, (float(xy[0]), float(xy[1]), height + 0.0005), float(rng.uniform(-1, 1)))
    wait(twin, settles)


def _lay_down(twin: Twin, rng: np.random.Generator) -> None:
    """Turn the object onto its side where it stands."""
    name = moving(twin.task).object
    info = twin.scene.object(name)
    (x, y, z), _ = twin.scene.physics.body_pose(name)
    yaw, height = float(rng.uniform(-math.pi, math.pi)), float(z) + max(info.half_extent) + 0.001
    roll = math.sqrt(0.5)  # a quarter of a turn about its x axis, then the yaw
    turned = (roll * math.cos(yaw / 2), roll * math.cos(yaw / 2), roll * math.sin(yaw / 2), roll * math.sin(yaw / 2))
    twin.scene.physics.set_free_body(name, (float(x), float(y), height), turned)


def _held(twin: Twin, rng: np.random.Generator) -> MovedFacts:
    """The object hangs in the closed gripper, above a place or above the table."""
    task, scene = moving(twin.task), twin.scene
    info, name = scene.object(task.object), task.object
    above, base = "table", 0.0
    if rng.random() < 0.65:
        goal = task.goals[DIRECTIONS[int(rng.integers(2))]]
        xy = task.goal_place(scene, rng, goal)
        if xy is None:
            middle = scene.physics.body_pose(goal.on_top_of)[0]
            xy, base = middle[:2], float(middle[2]) + info.height_on(scene.object(goal.on_top_of))
        above = goal.phrase
    else:
        xy = task.free_place(scene, rng, name, avoid="")
        inside = (g.phrase for g in task.goals.values() if g.fixture and scene.fixture(g.fixture).contains(*xy))
        above = next(inside, "table")
    floor = max(scene.surface_height(float(xy[0]), float(xy[1])), base) + float(rng.uniform(0.018, 0.09))
    yaw = float(rng.uniform(-0.6, 0.6))
    tip = (float(xy[0]), float(xy[1]), floor + info.grasp_height)
    arm_to(twin, Pose.of(tip, (0.0, 0.0, yaw)), info.grasp_width)
    scene.physics.set_free_body(name, (tip[0], tip[1], floor), (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)))
    return MovedFacts(task.noun, held_above=above, others=_others(task))


def _others(task: MoveTask) -> frozenset[str]:
    return frozenset(item.name.replace("_", " ") for item in task.scene.objects if item.name != task.object)


def _looks_fallen(task: MoveTask) -> bool:
    """Whether one sees that the object lies: a plain box looks as if it stood."""
    kind = next(item.kind for item in task.scene.objects if item.name == task.object)
    return task.skill != "push" and len(OBJECTS[kind].shapes) > 1


def _edge_place(twin: Twin, fixture: str, rng: np.random.Generator) -> Float64:
    """A point near the border, on any side: half of them about the last place that still counts, where truth turns."""
    item = twin.scene.object(moving(twin.task).object)
    widest, last = max(item.half_extent), last_across(item)
    across = rng.normal(last, _BORDER_M) if rng.random() < 0.5 else rng.uniform(-1.2 * widest, 0.6 * widest)
    return border_place(twin.scene.fixture(fixture), float(across), rng)


def _askew_place(twin: Twin, goal: Goal, rng: np.random.Generator) -> Float64:
    """A point on or beside another object, half of them where it just counts as on it, or just not."""
    item, base = twin.scene.object(moving(twin.task).object), twin.scene.object(goal.on_top_of)
    reach, last = max(base.half_extent) + max(item.half_extent), last_apart(item, base)
    kind = rng.choice(["border", "askew", "beside"], p=[0.5, 0.25, 0.25])
    away_from = {
        "border": abs(rng.normal(last, _BORDER_M)),
        "askew": rng.uniform(last, reach),
        "beside": reach + rng.uniform(0.0, _BESIDE_M),
    }[str(kind)]
    angle = rng.uniform(0, 2 * math.pi)
    middle = twin.scene.physics.body_pose(goal.on_top_of)[0][:2]
    place = middle + away_from * np.array([math.cos(angle), math.sin(angle)])
    return np.clip(place, (REACH_X[0], REACH_Y[0]), (REACH_X[1], REACH_Y[1]))


def _overlaps(twin: Twin, goal: Goal) -> bool:
    """Whether the object stands partly on or against the goal's fixture, or rests on the goal's object."""
    name = moving(twin.task).object
    position = twin.scene.physics.body_pose(name)[0]
    if goal.on_top_of:
        base = twin.scene.object(goal.on_top_of)
        high = float(position[2] - twin.scene.physics.body_pose(goal.on_top_of)[0][2]) > 0.5 * base.height
        return high and twin.scene.physics.in_contact(name, goal.on_top_of)
    radius = max(twin.scene.object(name).half_extent)
    return twin.scene.fixture(goal.fixture).contains(float(position[0]), float(position[1]), -radius)


def _is_beside(twin: Twin, goal: Goal) -> bool:
    """Whether the object stands next to the goal's object, on what that stands on or on the table."""
    if not goal.on_top_of:
        return False
    name = moving(twin.task).object
    position, base = (twin.scene.physics.body_pose(one)[0] for one in (name, goal.on_top_of))
    reach = sum(max(twin.scene.object(one).half_extent) for one in (name, goal.on_top_of))
    return math.dist(position[:2], base[:2]) < reach + _BESIDE_M


def _on_other(twin: Twin) -> bool:
    """Whether the object stands, at least in part, on a fixture that is none of the goals."""
    task = moving(twin.task)
    position, radius = twin.scene.physics.body_pose(task.object)[0], max(twin.scene.object(task.object).half_extent)
    idle = {spec.name for spec in task.scene.fixtures} - {goal.fixture for goal in task.goals.values()}
    return any(twin.scene.fixture(name).contains(float(position[0]), float(position[1]), -radius) for name in idle)


def _wrapped(yaw: float) -> float:
    """Modulo half a turn, into +-90 degrees, within the gripper's reach."""
    wrapped = (yaw + math.pi / 2) % math.pi - math.pi / 2
    return max(-1.15, min(1.15, wrapped))
