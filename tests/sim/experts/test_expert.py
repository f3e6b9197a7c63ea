"""The scripted expert under noise, and its deliberate failures where the object is pushed or stacked."""

import numpy as np
import pytest

from sim.experts.failures import FAILURES
from sim.experts.noise import ActionNoise
from sim.experts.scripted import ScriptedExpert
from sim.twin import make_twin
from trajectories.types import DIRECTIONS


def run(twin, direction, seed, noise, failure=None):
    """Steps until success, or None when it never came."""
    rng = np.random.default_rng(seed)
    twin.reset(direction, rng)
    expert = ScriptedExpert(twin, direction, rng, noise=noise, failure=failure)
    for step in range(40):
        twin.env.apply(expert.act(twin.env.observe()))
        if twin.success(direction):
            return step + 1
    return None


@pytest.fixture(scope="module", params=["pot_pick_place", "bin_weight", "push_puck", "stack_cube"])
def twin(request):
    twin = make_twin(request.param, seed=1, cameras=())
    yield twin
    twin.close()


def test_an_unsteady_hand_still_succeeds(twin):
    steps = [run(twin, direction, seed, noise=0.3) for direction in DIRECTIONS for seed in range(10)]
    assert sum(step is not None for step in steps) >= 17


def test_a_steady_hand_is_done_well_before_time_is_up(twin):
    steps = [run(twin, direction, seed, noise=0.0) for direction in DIRECTIONS for seed in range(6)]
    assert None not in steps
    assert np.mean(steps) < 24


@pytest.mark.parametrize("name", ["push_puck", "stack_cube"])
def test_failures_fail_when_pushing_and_stacking(name):
    twin = make_twin(name, seed=1, cameras=())
    lucky = {"drop", "edge"} if name == "push_puck" else {"drop"}  # a drop may land in the goal, a push stop short
    for failure in sorted(set(FAILURES) - lucky):
        for seed in range(2):
            assert run(twin, "forward", 500 + seed, noise=0.1, failure=failure) is None, failure
    twin.close()


def test_noise_is_smaller_where_care_is_needed_and_never_moves_the_gripper_entry():
    noise, rng, rest = ActionNoise(0.3), np.random.default_rng(0), np.array([0, 0, 0, 0, 0, 0, -1], np.float32)
    free = np.stack([noise.apply(rest, rng, careful=False) for _ in range(2000)])
    careful = np.stack([noise.apply(rest, rng, careful=True) for _ in range(2000)])
    np.testing.assert_allclose(free[:, :3].std(), 0.3, rtol=0.05)
    np.testing.assert_allclose(careful[:, :3].std(), 0.3 * noise.careful, rtol=0.05)
    assert (free[:, 6] == -1).all()
    assert np.abs(free).max() <= 1.0


@pytest.mark.parametrize("name", ["pot_pick_place", "cube_to_plate"])
def test_the_edge_is_on_every_side_of_the_goal_and_partly_over_it(name):
    twin = make_twin(name, seed=0)
    twin.reset("forward", np.random.default_rng(0))
    goal, item = twin.scene.fixture(twin.task.goals["forward"].fixture), twin.scene.object(twin.task.object)
    places = []
    for seed in range(60):
        expert = ScriptedExpert(twin, "forward", np.random.default_rng(seed), failure="edge")
        places.append(expert._goal - goal.position[:2])
    angles = np.degrees([np.arctan2(y, x) for x, y in places])
    assert {int(quarter) for quarter in np.floor(angles % 360 / 90)} == {0, 1, 2, 3}
    for x, y in places + goal.position[:2]:
        assert not goal.contains(x, y, max(item.half_extent) - 0.002)
        assert goal.contains(x, y, -0.0121) or not (0.206 < x < 0.354 and -0.174 < y < 0.174)
    assert 0.3 < np.mean([goal.contains(x, y) for x, y in places + goal.position[:2]]) < 0.9
    twin.close()
