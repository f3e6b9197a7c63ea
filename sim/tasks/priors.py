"""The tasks of the prior data: the same family as the targets, with other objects, places and sides."""

from __future__ import annotations

from sim.scene.spec import FixtureSpec, ObjectSpec, SceneSpec
from sim.tasks.moving import Goal, MoveTask
from sim.tasks.targets import JITTER, LEFT, RIGHT, SCALE
from sim.tasks.wordings import push, put


def _pick(
    name: str, thing: tuple[str, str], first: tuple[str, str], second: tuple[str, str], *, swapped: bool = False
) -> MoveTask:
    """A thing goes from the first to the second place; `swapped` puts the first to the robot's right.

    Args:
        name: Task name.
        thing: (kind, noun) of the object.
        first: (kind of fixture, phrase) where forward starts.
        second: (kind of fixture, phrase) where forward ends.
        swapped: Which side is which.
    """
    sides = (RIGHT, LEFT) if swapped else (LEFT, RIGHT)
    fixtures = (
        FixtureSpec(first[0], first[0], sides[0], jitter=2 * JITTER, scale=SCALE),
        FixtureSpec(second[0], second[0], sides[1], jitter=2 * JITTER, scale=SCALE),
    )
    kind, noun = thing
    return MoveTask(
        name=name,
        role="prior",
        scene=SceneSpec(fixtures, (ObjectSpec(kind, kind),)),
        object=kind,
        noun=noun,
        goals={"forward": Goal(second[1], second[0]), "backward": Goal(first[1], first[0])},
        instructions={"forward": put(noun, second[1], first[1]), "backward": put(noun, first[1], second[1])},
    )


CUBE_TO_PLATE = _pick("cube_to_plate", ("cube", "cube"), ("pad", "on the mat"), ("plate", "on the plate"))
CAN_TO_RACK = _pick("can_to_rack", ("can", "can"), ("pad", "on the mat"), ("rack", "on the rack"), swapped=True)
SPONGE_TO_SINK = _pick("sponge_to_sink", ("sponge", "sponge"), ("plate", "on the plate"), ("sink", "in the sink"))
CARROT_TO_BOWL = _pick("carrot_to_bowl", ("carrot", "carrot"), ("sink", "in the sink"), ("bowl", "in the bowl"))
BLOCK_TO_BIN = _pick("block_to_bin", ("block", "block"), ("rack", "on the rack"), ("bin", "in the bin"), swapped=True)
CAN_TO_SHELF = _pick("can_to_shelf", ("can", "can"), ("bowl", "in the bowl"), ("shelf", "on the shelf"))

PUSH_PUCK = MoveTask(
    name="push_puck",
    role="prior",
    scene=SceneSpec(
        (
            FixtureSpec("blue_mat", "pad", LEFT, jitter=JITTER, colour=(0.20, 0.35, 0.75)),
            FixtureSpec("green_mat", "pad", RIGHT, jitter=JITTER, colour=(0.25, 0.60, 0.30)),
        ),
        (ObjectSpec("puck", "puck"),),
    ),
    object="puck",
    noun="puck",
    goals={"forward": Goal("on the green mat", "green_mat"), "backward": Goal("on the blue mat", "blue_mat")},
    instructions={"forward": push("puck", "onto the green mat"), "backward": push("puck", "onto the blue mat")},
    skill="push",
)

STACK_CUBE = MoveTask(
    name="stack_cube",
    role="prior",
    scene=SceneSpec(
        (FixtureSpec("mat", "pad", LEFT, jitter=JITTER, scale=SCALE),),
        (ObjectSpec("cube", "cube"), ObjectSpec("block", "block", (0.28, -0.1))),
    ),
    object="cube",
    noun="cube",
    goals={"forward": Goal("on top of the block", on_top_of="block"), "backward": Goal("on the mat", "mat")},
    instructions={
        "forward": (
            "stack the cube on top of the block",
            "put the cube on top of the block",
            "place the cube on the block",
            "pick up the cube and set it on top of the block",
        ),
        "backward": put("cube", "on the mat", "on top of the block"),
    },
)
