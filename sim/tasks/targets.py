"""The tasks that people fine-tune: `pot_pick_place` and `bin_weight`."""

from __future__ import annotations

from sim.scene.spec import FixtureSpec, ObjectSpec, SceneSpec
from sim.tasks.task import Goal, Task
from sim.tasks.wordings import put

LEFT, RIGHT = (0.28, 0.112), (0.28, -0.112)
JITTER = 0.006
SCALE = 0.86

POT_PICK_PLACE = Task(
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

BIN_WEIGHT = Task(
    name="bin_weight",
    role="target",
    scene=SceneSpec(
        (
            FixtureSpec("mat", "pad", LEFT, jitter=JITTER, scale=SCALE),
            FixtureSpec("bin", "bin", RIGHT, jitter=JITTER, scale=SCALE),
        ),
        (ObjectSpec("weight", "weight"),),
    ),
    object="weight",
    noun="weight",
    goals={"forward": Goal("in the bin", "bin"), "backward": Goal("on the mat", "mat")},
    instructions={
        "forward": put("weight", "in the bin", "on the mat"),
        "backward": put("weight", "on the mat", "in the bin"),
    },
)
