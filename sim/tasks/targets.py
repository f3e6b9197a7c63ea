"""The tasks that people fine-tune: a pot is moved, a lid is put on it, and three things go into a bin."""

from __future__ import annotations

from sim.scene.spec import FixtureSpec, ObjectSpec, SceneSpec
from sim.tasks.moving import Goal, MoveTask
from sim.tasks.wordings import put

LEFT, RIGHT = (0.28, 0.112), (0.28, -0.112)
JITTER = 0.006
SCALE = 0.86

POT_PICK_PLACE = MoveTask(
    name="pot_pick_place",
    role="target",
    scene=SceneSpec(
        (
            FixtureSpec("sink", "sink", LEFT, jitter=JITTER, scale=SCALE),
            FixtureSpec("rack", "rack", RIGHT, jitter=JITTER, scale=SCALE),
        ),
        (ObjectSpec("pot", "pot"),),
    ),
    object="pot",
    noun="pot",
    goals={"forward": Goal("on the rack", "rack"), "backward": Goal("in the sink", "sink")},
    instructions={
        "forward": put("pot", "on the rack", "in the sink"),
        "backward": put("pot", "in the sink", "on the rack"),
    },
)


def _into_bin(noun: str) -> MoveTask:
    """The object of that kind goes from the mat into the bin."""
    return MoveTask(
        name=f"bin_{noun}",
        role="target",
        scene=SceneSpec(
            (
                FixtureSpec("mat", "pad", LEFT, jitter=JITTER, scale=SCALE),
                FixtureSpec("bin", "bin", RIGHT, jitter=JITTER, scale=SCALE),
            ),
            (ObjectSpec(noun, noun),),
        ),
        object=noun,
        noun=noun,
        goals={"forward": Goal("in the bin", "bin"), "backward": Goal("on the mat", "mat")},
        instructions={
            "forward": put(noun, "in the bin", "on the mat"),
            "backward": put(noun, "on the mat", "in the bin"),
        },
    )


BIN_WEIGHT = _into_bin("weight")
BIN_VASE = _into_bin("vase")
BIN_BENCH = _into_bin("bench")

POT_LID = MoveTask(
    name="pot_lid",
    role="target",
    scene=SceneSpec(
        (
            FixtureSpec("sink", "sink", (0.28, 0.118), jitter=0.004, scale=SCALE),
            FixtureSpec("rack", "rack", (0.28, -0.118), jitter=0.004, scale=SCALE),
        ),
        (ObjectSpec("lid", "lid", size=(0.97, 1.03)), ObjectSpec("pot", "open_pot", size=(0.97, 1.03))),
    ),
    object="lid",
    noun="lid",
    goals={"forward": Goal("on the pot", on_top_of="pot"), "backward": Goal("on the rack", "rack")},
    instructions={
        "forward": put("lid", "on the pot", "on the rack"),
        "backward": put("lid", "on the rack", "on the pot"),
    },
    stands={"pot": "sink"},
    apart=0.078,
)
