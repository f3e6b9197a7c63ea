"""Frames in which the arm hides what matters."""

from contextlib import closing

import numpy as np
import pytest

from robot.control.poses import READY_JOINTS
from sim.occlusion import hidden, pose_occluded
from sim.twin import make_twin


@pytest.fixture(scope="module")
def twin():
    twin = make_twin("pot_pick_place", seed=3, cameras=())
    yield twin
    twin.close()


def test_the_arm_hides_what_it_is_in_front_of(twin):
    rng = np.random.default_rng(0)
    twin.reset("forward", rng)
    physics = twin.scene.physics
    physics.set_arm(READY_JOINTS, 0.044)
    eye = physics.data.cam_xpos[physics.model.camera("front").id]
    palm, _ = physics.body_pose("gripper_link")
    assert hidden(twin, palm - 0.2 * (eye - palm))
    assert not hidden(twin, palm + 0.5 * (eye - palm))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_occluded_states_are_never_successes(twin, direction):
    rng = np.random.default_rng(1)
    results = [(pose_occluded(twin, direction, rng), twin.task.at_goal(twin.scene, direction)) for _ in range(20)]
    assert sum(found for found, _ in results) >= 15
    assert not any(at_goal for _, at_goal in results)


@pytest.mark.parametrize("task", ["cloth_folding", "cube_covering"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_tag_of_a_cloth_is_hidden_or_where_it_has_to_be_laid(task, direction):
    rng = np.random.default_rng(1)
    with closing(make_twin(task, seed=3, cameras=())) as twin:
        results = [(pose_occluded(twin, direction, rng), twin.task.at_goal(twin.scene, direction)) for _ in range(6)]
    assert sum(found for found, _ in results) >= 4
    assert not any(at_goal for _, at_goal in results)


def test_nothing_is_hidden_by_an_arm_that_holds_a_tool():
    with closing(make_twin("candy_sweeping", seed=3, cameras=())) as twin:
        assert not pose_occluded(twin, "forward", np.random.default_rng(1))
