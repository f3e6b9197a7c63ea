"""A task of the twin from its description in plain words and numbers, as a person's YAML file has it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sim.scene.fixtures import FIXTURES
from sim.scene.objects import OBJECTS
from sim.scene.spec import Colour, FixtureSpec, ObjectSpec, SceneSpec
from sim.tasks import TASKS, find_task
from sim.tasks.moving import Goal, MoveTask
from sim.tasks.targets import JITTER, SCALE
from sim.tasks.task import REACH_X, REACH_Y, Skill, Task
from trajectories.errors import ConfigError
from trajectories.types import DIRECTIONS, Direction

RELATIONS = ("inside", "on top of", "covering", "left of", "right of")
"""How a goal begins; the name of a fixture or of an object follows."""
BESIDE = "spot"
"""Kind of fixture that a place beside another one is; nobody asks for it by name."""
SKILLS: tuple[Skill, ...] = ("pick", "push")
"""How the scripted expert can move an object of the kit."""
_KEYS = {"fixtures", "objects", "moves", "skill", *DIRECTIONS}
_FIXTURE_KEYS = {"kind", "at", "yaw", "scale", "colour"}
_OBJECT_KEYS = {"kind", "colour"}
_GAP = 0.02
"""Between a fixture and the place beside it, m; more than both can be shifted."""
_SPARE = 0.006
"""Between an object and the edge of the surface that it is put on, m."""


def task_of(name: str, description: str = "") -> Task:
    """The task of that name.

    Args:
        name: Of the task.
        description: JSON as `described` gives it; "" for a task of `sim.tasks.TASKS`.

    Raises:
        ConfigError: There is no such task, or the description can't be.
    """
    if not description:
        return find_task(name)
    given = json.loads(description)
    return _task(name, given["scene"], given["instructions"], bool(given["ends_open"]))


def described(
    name: str, scene: Mapping[str, Any], instructions: Mapping[Direction, Sequence[str]], ends_open: bool = True
) -> str:
    """The description of a task as JSON, which any process can make the task from by `task_of`.

    Args:
        name: Of the task; none of `sim.tasks.TASKS`.
        scene: `fixtures` {name: {kind, at, yaw, scale, colour}}, `objects` {name: {kind, colour}}, `moves` (the name
            of the object that is moved), `skill` and, for each direction, where that object is at its end in words.
        instructions: Direction -> wordings.
        ends_open: Whether the task is done only once the gripper is open and off the object.

    Raises:
        ConfigError: Naming the key that can't be, and what it can be.
    """
    if name in TASKS:
        raise ConfigError(f"task.name={name} is a task of the twin already, with a scene of its own: choose another.")
    words = {direction: list(texts) for direction, texts in instructions.items()}
    text = json.dumps({"scene": scene, "instructions": words, "ends_open": ends_open}, sort_keys=True)
    task_of(name, text)
    return text


def _task(name: str, scene: Mapping[str, Any], words: Mapping[Direction, Sequence[str]], ends_open: bool) -> MoveTask:
    _require_keys("scene", scene, _KEYS, ("fixtures", "objects", "moves", *DIRECTIONS))
    fixtures = {key: _fixture(key, given) for key, given in _entries(scene, "fixtures").items()}
    objects = {key: _object(key, given) for key, given in _entries(scene, "objects").items()}
    both = sorted(fixtures.keys() & objects.keys())
    if both:
        raise ConfigError(f"scene: {both[0]} is the name of a fixture and of an object; rename one of them.")
    moved = _one_of("scene.moves", scene["moves"], objects)
    if not OBJECTS[objects[moved].kind].is_graspable:
        raise ConfigError(f"scene.moves: the gripper can't grasp {objects[moved].kind!r}; move another object.")
    skill = _one_of("scene.skill", scene.get("skill", "pick"), SKILLS)
    goals: dict[Direction, Goal] = {}
    for direction in DIRECTIONS:
        goals[direction] = _goal(f"scene.{direction}", scene[direction], objects[moved], fixtures, objects)
    if goals["forward"] == goals["backward"]:
        raise ConfigError("scene.forward and scene.backward are alike; backward has to undo forward.")
    idle = sorted(objects.keys() - {moved, *(goal.on_top_of for goal in goals.values())})
    if idle:
        raise ConfigError(f"scene.objects.{idle[0]} takes no part in the task: leave it out.")
    _require_apart(fixtures)
    return MoveTask(
        name=name,
        role="target",
        scene=SceneSpec(tuple(fixtures.values()), tuple(objects.values())),
        object=moved,
        noun=moved.replace("_", " "),
        goals=goals,
        instructions={direction: tuple(words[direction]) for direction in DIRECTIONS},
        skill=skill,
        ends_open=ends_open,
    )


def _fixture(name: str, given: Mapping[str, Any]) -> FixtureSpec:
    where = f"scene.fixtures.{name}"
    _require_keys(where, given, _FIXTURE_KEYS, ("kind", "at"))
    kind = _one_of(f"{where}.kind", given["kind"], [kind for kind in FIXTURES if kind != BESIDE])
    x, y = _numbers(f"{where}.at", given["at"], 2)
    _require_reachable(f"{where}.at", x, y)
    (yaw,) = _numbers(f"{where}.yaw", [given.get("yaw", 0.0)], 1)
    (scale,) = _numbers(f"{where}.scale", [given.get("scale", SCALE)], 1)
    if not 0.5 <= scale <= 1.5:
        raise ConfigError(f"{where}.scale must be between 0.5 and 1.5, got {scale}.")
    return FixtureSpec(name, kind, (x, y), yaw, JITTER, _colour(where, given), scale)


def _object(name: str, given: Mapping[str, Any]) -> ObjectSpec:
    where = f"scene.objects.{name}"
    _require_keys(where, given, _OBJECT_KEYS, ("kind",))
    return ObjectSpec(name, _one_of(f"{where}.kind", given["kind"], OBJECTS), colour=_colour(where, given))


def _goal(
    where: str, said: object, moved: ObjectSpec, fixtures: dict[str, FixtureSpec], objects: Mapping[str, ObjectSpec]
) -> Goal:
    """The goal that words say; a place beside a fixture is added to the fixtures."""
    relation = next((one for one in RELATIONS if str(said).startswith(f"{one} ")), None)
    name = "" if relation is None else str(said).removeprefix(f"{relation} ").removeprefix("the ").strip()
    if relation is None or name not in {**fixtures, **objects}:
        raise ConfigError(
            f"{where} is {said!r}, expected one of {', '.join(RELATIONS)} with one of "
            f"{', '.join([*fixtures, *objects])} behind it, such as 'inside {next(iter(fixtures), 'bowl')}'."
        )
    phrase = f"{relation} the {name.replace('_', ' ')}"
    if relation in ("on top of", "covering") and name in objects:
        if name == moved.name:
            raise ConfigError(f"{where}: the {name} can't be {relation} itself.")
        if relation == "covering" and _reach(moved, small=True) < _reach(objects[name]):
            raise ConfigError(f"{where}: a {moved.kind} is too small to cover a {objects[name].kind}.")
        return Goal(phrase, on_top_of=name, covering=relation == "covering")
    if name in objects or relation == "covering":
        raise ConfigError(
            f"{where}: {relation!r} needs {'an object' if name in fixtures else 'a fixture'}, not {name}."
        )
    if relation in ("left of", "right of"):
        spot = _beside(where, fixtures[name], moved, 1 if relation == "left of" else -1, str(relation))
        fixtures[spot.name] = spot
        return Goal(phrase, spot.name)
    kind = FIXTURES[fixtures[name].kind]
    if min(kind.half_extent) * fixtures[name].scale < _reach(moved) + _SPARE:
        raise ConfigError(f"{where}: a {moved.kind} doesn't fit on the {name}; give scene.fixtures.{name}.scale.")
    return Goal(phrase, name)


def _beside(where: str, fixture: FixtureSpec, moved: ObjectSpec, side: int, relation: str) -> FixtureSpec:
    """A place on the bare table beside a fixture; left and right are the robot's, left is +y."""
    half = _reach(moved) + 3 * _SPARE
    y = fixture.position[1] + side * (_extent(fixture) + _GAP + half)
    if not REACH_Y[0] <= y <= REACH_Y[1]:
        raise ConfigError(
            f"{where}: {relation} the {fixture.name} the robot doesn't reach; move the fixture, "
            f"scene.fixtures.{fixture.name}.at, to the other side."
        )
    scale = half / FIXTURES[BESIDE].half_extent[0]
    return FixtureSpec(f"{relation} {fixture.name}", BESIDE, (fixture.position[0], y), scale=scale)


def _reach(item: ObjectSpec, *, small: bool = False) -> float:
    """Half of an object's longest outline at its largest, m; with `small` half of its shortest at its smallest."""
    outline = OBJECTS[item.kind].half_extent
    return min(outline) * item.size[0] if small else max(outline) * item.size[1]


def _extent(fixture: FixtureSpec) -> float:
    return max(FIXTURES[fixture.kind].half_extent) * fixture.scale


def _require_apart(fixtures: Mapping[str, FixtureSpec]) -> None:
    """Refuse fixtures that stand in each other."""
    placed = list(fixtures.values())
    for number, one in enumerate(placed):
        for other in placed[:number]:
            gap = max(abs(a - b) for a, b in zip(one.position, other.position, strict=True))
            needed = _extent(one) + _extent(other) + 2 * JITTER
            if gap < needed:
                raise ConfigError(
                    f"scene.fixtures: {other.name} and {one.name} overlap: their centres are {gap:.3f} m apart "
                    f"along x or y, expected {needed:.3f} m at least. Move one, or give a smaller scale."
                )


def _require_reachable(where: str, x: float, y: float) -> None:
    if not (REACH_X[0] <= x <= REACH_X[1] and REACH_Y[0] <= y <= REACH_Y[1]):
        raise ConfigError(
            f"{where} is [{x}, {y}], out of the arm's reach: x in front of it is {REACH_X[0]} to {REACH_X[1]} m, "
            f"y to its left {REACH_Y[0]} to {REACH_Y[1]} m."
        )


def _require_keys(where: str, given: object, known: set[str], needed: Sequence[str]) -> None:
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where} is {given!r}, expected settings: {', '.join(sorted(known))}.")
    unknown, missing = sorted(given.keys() - known), [key for key in needed if given.get(key) is None]
    if unknown:
        raise ConfigError(f"{where} has no setting {unknown[0]!r}; there are {', '.join(sorted(known))}.")
    if missing:
        raise ConfigError(f"{where}.{missing[0]} is missing.")


def _entries(scene: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    if not isinstance(scene[key], Mapping):
        raise ConfigError(f"scene.{key} is {scene[key]!r}, expected name: {{kind: ...}}.")
    return scene[key]


def _one_of(where: str, given: object, known: Any) -> Any:
    if given not in known:
        raise ConfigError(f"{where} is {given!r}, expected one of {', '.join(known)}.")
    return given


def _numbers(where: str, given: object, count: int) -> list[float]:
    fits = isinstance(given, Sequence) and len(given) == count
    if not fits or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in given):  # type: ignore[attr-defined]
        raise ConfigError(f"{where} is {given!r}, expected {count} number{'s' if count > 1 else ''}.")
    return [float(one) for one in given]  # type: ignore[attr-defined]


def _colour(where: str, given: Mapping[str, Any]) -> Colour | None:
    if given.get("colour") is None:
        return None
    red, green, blue = _numbers(f"{where}.colour", given["colour"], 3)
    return red, green, blue
