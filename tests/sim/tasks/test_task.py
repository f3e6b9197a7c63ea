"""One protocol for tasks of every origin, and the first ten tasks as they ever were."""

import numpy as np
import pytest

from sim.experts.choice import expert_for
from sim.robosuite.tasks import ROBOSUITE_TASKS
from sim.tasks import TASKS, find_task
from sim.tasks.described import described, task_of
from sim.tasks.moving import moving
from sim.tasks.task import Task, yaw_of
from sim.twin import make_twin
from trajectories.types import DIRECTIONS

YAW = 0.435
STARTS = {
    "pot_pick_place": ((0.299, 0.125, 0.002, YAW), (0.290, -0.106, 0.010, YAW)),
    "bin_weight": ((0.300, 0.125, -0.001, YAW), (0.296, -0.103, 0.003, YAW)),
    "cube_to_plate": ((0.308, 0.134, 0.0, YAW), (0.283, -0.132, 0.004, YAW)),
    "can_to_rack": ((0.307, -0.091, 0.0, YAW), (0.293, 0.122, 0.010, YAW)),
    "sponge_to_sink": ((0.291, 0.113, 0.004, YAW), (0.286, -0.105, 0.002, YAW)),
    "carrot_to_bowl": ((0.296, 0.129, 0.002, YAW), (0.275, -0.121, 0.003, YAW)),
    "block_to_bin": ((0.301, -0.093, 0.010, YAW), (0.290, 0.121, 0.003, YAW)),
    "can_to_shelf": ((0.298, 0.102, 0.003, YAW), (0.291, -0.103, 0.030, YAW)),
    "push_puck": ((0.311, 0.130, 0.0, YAW), (0.304, -0.100, 0.0, YAW)),
    "stack_cube": ((0.272, 0.125, 0.0, -0.793), (0.219, 0.014, 0.028, -0.250)),
}
"""Where the object stood at f736e88 in the start of seed 7, forward and backward: x, y, z in m and yaw in rad."""


@pytest.mark.parametrize("name", STARTS)
def test_the_same_seeds_give_the_same_starts_as_ever(name):
    twin = make_twin(name, seed=3, cameras=())
    for direction, start in zip(DIRECTIONS, STARTS[name], strict=True):
        twin.reset(direction, np.random.default_rng(7))
        position, quaternion = twin.scene.physics.body_pose(twin.task.object)
        np.testing.assert_allclose((*position, yaw_of(quaternion)), start, atol=1.5e-3)
    twin.close()


@pytest.mark.parametrize(
    ("name", "direction", "seed", "failure", "steps"),
    [
        ("bin_weight", "forward", 0, None, 18),
        ("bin_weight", "backward", 1, None, 15),
        ("bin_weight", "forward", 2, "edge", 0),
        ("bin_weight", "backward", 3, "border", 0),
        ("push_puck", "forward", 0, None, 0),
        ("push_puck", "backward", 2, "hover", 0),
        ("stack_cube", "forward", 1, None, 17),
        ("stack_cube", "backward", 0, "wrong_place", 0),
        ("can_to_rack", "forward", 4, None, 23),
    ],
)
def test_the_same_seeds_give_the_same_outcomes_as_ever(name, direction, seed, failure, steps):
    """Steps to success at f736e88, 0 where it never came."""
    twin, rng = make_twin(name, seed=3, cameras=()), np.random.default_rng(seed)
    twin.reset(direction, rng)
    expert, took = expert_for(twin, direction, rng, noise=0.3, failure=failure), 0
    for step in range(28):
        twin.env.apply(expert.act(twin.env.observe()))
        if twin.success(direction):
            took = step + 1
            break
    assert took == pytest.approx(steps, abs=1 if steps else 0)
    twin.close()


def test_tasks_of_every_origin_are_one_kind():
    scene = {"fixtures": {"bowl": {"kind": "bowl", "at": [0.28, -0.11]}, "mat": {"kind": "pad", "at": [0.28, 0.11]}}}
    scene |= {"objects": {"cube": {"kind": "cube"}}, "moves": "cube"}
    scene |= {"forward": "inside bowl", "backward": "inside mat"}
    words = {"forward": ["do it"], "backward": ["undo it"]}
    said = task_of("mine", described("mine", scene, words))
    asked = [name for name in vars(Task) if not name.startswith("_")]
    assert {"scene", "instructions", "parts", "success", "reached", "lost", "place_start"} <= set(asked)
    for task in (*map(find_task, TASKS.own), said, *ROBOSUITE_TASKS.values()):
        missing = [name for name in asked if not hasattr(task, name)]
        assert missing == [], task.name


def test_a_part_is_reached_where_the_goal_is():
    twin = make_twin("bin_weight", seed=3, cameras=(), randomise=False, spread="narrow")
    twin.reset("backward", np.random.default_rng(0))
    assert moving(twin.task).parts == 1
    assert [twin.task.reached(twin.scene, direction) for direction in DIRECTIONS] == [1, 0]
    twin.close()
