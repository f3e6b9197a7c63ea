"""Renders with captions whose truth is known exactly: what the embedded vision-language backbone is trained on.

States are set directly (no physics but a short settling), so that a thousand images take seconds. Captions name what a
success classifier has to tell apart: at the goal, held above it, touched, at its edge, elsewhere, hovered over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from robot.control.pose import Pose
from sim.tasks import TASKS, MoveTask
from sim.tasks.borders import border_place, last_across
from sim.tasks.moving import moving
from sim.tasks.task import REACH_Y, yaw_of
from sim.twin import Twin, make_twin
from trajectories.errors import KinematicsError
from trajectories.types import DIRECTIONS, Float64, UInt8

Relation = Literal["done", "at", "touched", "held_above", "edge", "held", "on_table", "hovered", "away"]
CAPTIONED = (
    "pot_pick_place", "bin_weight", "cube_to_plate", "can_to_rack", "sponge_to_sink", "carrot_to_bowl", "block_to_bin",
    "can_to_shelf", "push_puck", "stack_cube",
)  # fmt: skip
"""The tasks that the embedded backbone is trained on; what only others say it can't read."""
_SETTLE_NS = 80_000_000
_FRAMES_PER_SCENE = 6
_FALLEN = 0.06
"""Share of the standing objects that have fallen over."""
_BORDER_M = 0.005
"""Spread of the places about the last one that still counts, m."""


@dataclass(frozen=True)
class Caption:
    """A text and what it says.

    Attributes:
        text: The caption.
        noun: The object that it speaks of.
        relation: What it says of it; "done" is an instruction, true when it has been carried out.
        place: Phrase of the place, "" where it names none.
    """

    text: str
    noun: str
    relation: Relation
    place: str = ""


@dataclass(frozen=True)
class Facts:
    """What is true of a rendered state.

    Attributes:
        noun: The task's object.
        at: Phrase of the place where it stands, "" elsewhere.
        edge: Phrase of the place at whose edge it stands, "" elsewhere.
        held_above: Phrase of the place that it is held above, "table", or "" when it is not held in the air.
        touched: The gripper is around it while it stands.
        hovered: The open gripper is just above it.
        fallen: It lies on its side; whether it is at an edge or on the table then, the captions don't mean to say.
    """

    noun: str
    at: str = ""
    edge: str = ""
    held_above: str = ""
    touched: bool = False
    hovered: bool = False
    fallen: bool = False

    def truth(self, caption: Caption) -> bool | None:
        """Whether the caption is true; None where nobody can say. One that speaks of another object is false."""
        if caption.noun != self.noun:
            return False
        if self.fallen and caption.relation in ("edge", "on_table"):
            return None
        held = bool(self.held_above)
        here = self.at == caption.place
        answers: dict[Relation, bool] = {
            "done": here and not self.touched,
            "at": here,
            "touched": here and self.touched,
            "held_above": self.held_above == caption.place,
            "edge": self.edge == caption.place,
            "held": held,
            "on_table": not (held or self.at or self.edge),
            "hovered": self.hovered,
            "away": not (held or self.touched or self.hovered),
        }
        return answers[caption.relation]


@dataclass(frozen=True)
class CaptionedFrames:
    """Renders with the truth of every caption.

    Attributes:
        images: uint8 (N, H, W, 3) RGB.
        captions: C distinct texts.
        truth: int8 (N, C), 1 true, 0 false, -1 where nobody can say.
    """

    images: UInt8
    captions: tuple[str, ...]
    truth: NDArray[np.int8]


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
    for direction in DIRECTIONS:
        place = task.goals[direction].phrase
        where = place.split(" ", 1)[1] if not place.startswith("on top") else place.removeprefix("on top of ")
        result += [Caption(text, noun, "done", place) for text in task.instructions[direction]]
        result += [
            Caption(f"the {noun} is {place}", noun, "at", place),
            Caption(f"the gripper holds the {noun} while it stands {place}", noun, "touched", place),
            Caption(f"the gripper holds the {noun} above {where}", noun, "held_above", place),
            Caption(f"the {noun} is at the edge of {where}", noun, "edge", place),
        ]
    return result


def sample_captioned_frames(
    count: int,
    rng: np.random.Generator,
    tasks: Sequence[str] | None = None,
    image_size: int = 96,
    progress: Callable[[int], None] | None = None,
) -> CaptionedFrames:
    """Render `count` states, as many of each task.

    Args:
        count: Number of images.
        rng: Draws everything.
        tasks: Names of tasks, of which one may be named several times; None for `CAPTIONED`, those that people
            fine-tune as often as all others together.
        image_size: Pixels.
        progress: Called with the number of images since its last call.
    """
    tasks = _all_tasks() if tasks is None else tasks
    captions = {caption.text: caption for name in tasks for caption in captions_of(moving(TASKS[name]))}
    images = np.empty((count, image_size, image_size, 3), np.uint8)
    truth = np.empty((count, len(captions)), np.int8)
    bounds = np.linspace(0, count, len(tasks) + 1).astype(int)
    for name, start, end in zip(tasks, bounds[:-1], bounds[1:], strict=True):
        twin = make_twin(name, seed=int(rng.integers(2**31)), image_size=image_size)
        for index in range(start, end):
            if (index - start) % _FRAMES_PER_SCENE == 0:
                twin.reset("forward", rng)
            facts = pose_state(twin, rng)
            images[index] = twin.env.observe().images["front"]
            said = (facts.truth(caption) for caption in captions.values())
            truth[index] = [-1 if true is None else true for true in said]
            if progress is not None:
                progress(1)
        twin.close()
    return CaptionedFrames(images, tuple(captions), truth)


def _all_tasks() -> list[str]:
    """Every captioned task, targets so often that half of the images are theirs: their borders decide sessions."""
    targets = [name for name in CAPTIONED if TASKS[name].role == "target"]
    others = [name for name in CAPTIONED if name not in targets]
    return others + targets * max(1, len(others) // max(1, len(targets)))


def pose_state(twin: Twin, rng: np.random.Generator) -> Facts:
    """Put the twin into a random state and say what is true of it."""
    while True:
        try:
            return _held(twin, rng) if rng.random() < 0.3 else _standing(twin, rng)
        except KinematicsError:
            continue


def _standing(twin: Twin, rng: np.random.Generator) -> Facts:
    """The object stands somewhere; the gripper is away, above it or around it."""
    task, scene = moving(twin.task), twin.scene
    direction = DIRECTIONS[int(rng.integers(2))]
    goal = task.goals[direction]
    kind = rng.choice(["goal", "edge", "anywhere"], p=[0.35, 0.45, 0.2])
    name, height = task.object, 0.0005
    if kind == "goal" and goal.on_top_of:
        base = scene.physics.body_pose(goal.on_top_of)[0]
        xy, height = base[:2] + rng.uniform(-0.004, 0.004, 2), base[2] + scene.object(goal.on_top_of).height
    elif kind == "goal":
        xy = np.asarray(task.goal_place(scene, rng, goal))
    elif kind == "edge" and goal.fixture:
        xy = _edge_place(twin, goal.fixture, rng)
        height = scene.fixture(goal.fixture).rim_height
    else:
        xy = task.free_place(scene, rng, name, avoid="")
    _arm_to(twin, _away(rng), 0.044)
    height = max(height, scene.surface_height(float(xy[0]), float(xy[1])))
    scene.place(name, (float(xy[0]), float(xy[1]), height + 0.0005), float(rng.uniform(-1, 1)))
    fallen = task.skill != "push" and rng.random() < _FALLEN
    if fallen:
        _lay_down(twin, rng)
    scene.clock.sleep_until_ns(scene.clock.now_ns() + _SETTLE_NS)
    at = next((g.phrase for d, g in task.goals.items() if task.at_goal(scene, d)), "")
    edge = "" if at or fallen else next((g.phrase for g in task.goals.values() if _overlaps(twin, g.fixture)), "")
    gripper = rng.choice(["away", "hover", "touch"], p=[0.55, 0.2, 0.25])
    touched = hovered = False
    if gripper != "away":
        position, quaternion = scene.physics.body_pose(name)
        info = scene.object(name)
        yaw = float(rng.uniform(-0.5, 0.5)) if info.is_round else _wrapped(yaw_of(quaternion))
        above = 0.0 if gripper == "touch" else float(rng.uniform(0.025, 0.07))
        tip = position + np.array([0, 0, max(info.grasp_height, 0.014) + above])
        if gripper == "hover":
            tip[:2] += rng.normal(0, 0.008, 2)
        closed = gripper == "touch" and rng.random() < 0.7
        _arm_to(twin, Pose.of(tuple(tip), (0.0, 0.0, yaw)), info.grasp_width if closed else 0.044)
        touched, hovered = closed, gripper == "hover"
    return Facts(task.noun, at=at, edge=edge, touched=touched, hovered=hovered, fallen=fallen)


def _lay_down(twin: Twin, rng: np.random.Generator) -> None:
    """Turn the object onto its side where it stands."""
    name = moving(twin.task).object
    info = twin.scene.object(name)
    (x, y, z), _ = twin.scene.physics.body_pose(name)
    yaw, height = float(rng.uniform(-math.pi, math.pi)), float(z) + max(info.half_extent) + 0.001
    roll = math.sqrt(0.5)  # a quarter of a turn about its x axis, then the yaw
    turned = (roll * math.cos(yaw / 2), roll * math.cos(yaw / 2), roll * math.sin(yaw / 2), roll * math.sin(yaw / 2))
    twin.scene.physics.set_free_body(name, (float(x), float(y), height), turned)


def _held(twin: Twin, rng: np.random.Generator) -> Facts:
    """The object hangs in the closed gripper, above a place or above the table."""
    task, scene = moving(twin.task), twin.scene
    info = scene.object(task.object)
    above = "table"
    if rng.random() < 0.65:
        goal = task.goals[DIRECTIONS[int(rng.integers(2))]]
        xy = task.goal_place(scene, rng, goal)
        if xy is None:
            xy = scene.physics.body_pose(goal.on_top_of)[0][:2]
        above = goal.phrase
    else:
        xy = task.free_place(scene, rng, task.object, avoid="")
        inside = (g.phrase for g in task.goals.values() if g.fixture and scene.fixture(g.fixture).contains(*xy))
        above = next(inside, "table")
    floor = scene.surface_height(float(xy[0]), float(xy[1])) + float(rng.uniform(0.018, 0.09))
    yaw = float(rng.uniform(-0.6, 0.6))
    tip = (float(xy[0]), float(xy[1]), floor + info.grasp_height)
    _arm_to(twin, Pose.of(tip, (0.0, 0.0, yaw)), info.grasp_width)
    scene.physics.set_free_body(task.object, (tip[0], tip[1], floor), (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)))
    return Facts(task.noun, held_above=above)


def _arm_to(twin: Twin, pose: Pose, width: float) -> None:
    joints = twin.env.kinematics.inverse(pose, twin.env.arm_state.joints)
    twin.scene.physics.set_arm(joints, width)


def _away(rng: np.random.Generator) -> Pose:
    """A pose of the gripper well above everything."""
    x, y = rng.uniform(0.2, 0.33), rng.uniform(*REACH_Y)
    return Pose.of((x, y, rng.uniform(0.115, 0.17)), (0.0, 0.0, rng.uniform(-0.6, 0.6)))


def _edge_place(twin: Twin, fixture: str, rng: np.random.Generator) -> Float64:
    """A point near the border, on any side: half of them about the last place that still counts, where truth turns."""
    item = twin.scene.object(moving(twin.task).object)
    widest, last = max(item.half_extent), last_across(item)
    across = rng.normal(last, _BORDER_M) if rng.random() < 0.5 else rng.uniform(-1.2 * widest, 0.6 * widest)
    return border_place(twin.scene.fixture(fixture), float(across), rng)


def _overlaps(twin: Twin, fixture: str) -> bool:
    """Whether the object stands partly on or against the fixture."""
    if not fixture:
        return False
    name = moving(twin.task).object
    position = twin.scene.physics.body_pose(name)[0]
    radius = max(twin.scene.object(name).half_extent)
    return twin.scene.fixture(fixture).contains(float(position[0]), float(position[1]), -radius)


def _wrapped(yaw: float) -> float:
    """Modulo half a turn, into +-90 degrees, within the gripper's reach."""
    wrapped = (yaw + math.pi / 2) % math.pi - math.pi / 2
    return max(-1.15, min(1.15, wrapped))
