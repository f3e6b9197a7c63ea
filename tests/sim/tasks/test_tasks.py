"""Every task: starts, predicates, scripted expert both ways."""

import numpy as np
import pytest

from sim.experts.choice import expert_for
from sim.experts.failures import FAILURES
from sim.experts.scripted import ScriptedExpert
from sim.tasks import TASKS, find_task
from sim.tasks.held_out_wordings import HELD_OUT
from sim.twin import make_twin
from trajectories.errors import ConfigError
from trajectories.registry import Registry
from trajectories.types import DIRECTIONS


def test_there_are_the_papers_targets_and_at_least_six_priors():
    roles = {name: find_task(name).role for name in TASKS.own}
    targets = {name for name, role in roles.items() if role == "target"}
    assert {
        "pot_pick_place",
        "pot_lid",
        "candy_sweeping",
        "bin_weight",
        "bin_vase",
        "bin_bench",
        "cloth_folding",
    } <= targets
    assert "cube_covering" in targets
    assert list(roles.values()).count("prior") >= 6


@pytest.mark.parametrize("name", TASKS.own)
def test_wordings_are_many_distinct_and_differ_between_directions(name):
    forward, backward = (TASKS[name].instructions[d] for d in DIRECTIONS)
    assert len(set(forward)) >= 4
    assert len(set(backward)) >= 4
    assert not set(forward) & set(backward)


def test_an_unknown_task_is_refused_with_the_names():
    with pytest.raises(ConfigError, match="pot_pick_place"):
        find_task("pot")


def test_an_entry_point_must_have_its_tasks_name(monkeypatch):
    monkeypatch.setattr("sim.tasks.TASKS", Registry("regrasp.tasks", "task", {"kettle": find_task("bin_weight")}))
    with pytest.raises(ConfigError, match=r"'kettle' of regrasp\.tasks is a task named 'bin_weight'"):
        find_task("kettle")


@pytest.fixture(scope="module", params=sorted(TASKS.own))
def twin(request):
    twin = make_twin(request.param, seed=3, cameras=())
    yield twin
    twin.close()


def test_starts_are_reachable_settled_and_not_yet_done(twin):
    for direction in DIRECTIONS:
        for seed in range(12):
            twin.reset(direction, np.random.default_rng(seed))
            assert twin.task.lost(twin.scene) is None
            assert not twin.success(direction)


def test_narrow_starts_are_the_other_directions_goal(twin):
    for direction, other in (DIRECTIONS, DIRECTIONS[::-1]):
        twin.spread = "narrow"
        twin.reset(direction, np.random.default_rng(1))
        twin.spread = "wide"
        assert twin.success(other)


def test_the_same_seed_gives_the_same_start(twin):
    poses = []
    for _ in range(2):
        twin.reset("forward", np.random.default_rng(5))
        poses.append(twin.scene.physics.data.qpos.copy())
    assert np.array_equal(*poses)


def run(twin, direction, seed, noise=0.1, failure=None, steps=40):
    rng = np.random.default_rng(seed)
    twin.reset(direction, rng)
    expert = expert_for(twin, direction, rng, noise=noise, failure=failure)
    done = []
    for _ in range(steps):
        twin.env.apply(expert.act(twin.env.observe()))
        done.append(twin.success(direction))
        if done[-1]:
            break
    return done[-1]


def test_the_expert_does_every_task_both_ways(twin):
    for direction in DIRECTIONS:
        assert sum(run(twin, direction, seed) for seed in range(4)) >= 3


@pytest.mark.parametrize("name", ["pot_pick_place", "pot_lid", "bin_vase", "bin_bench"])
def test_failures_fail(name):
    twin = make_twin(name, seed=3, cameras=())
    for failure in FAILURES:
        assert not run(twin, "forward", 0, failure=failure), failure
    with pytest.raises(ConfigError, match="hover"):
        ScriptedExpert(twin, "forward", np.random.default_rng(0), failure="sabotage")
    twin.close()


def test_an_object_out_of_reach_is_lost_and_help_brings_it_back():
    twin = make_twin("pot_pick_place", seed=3, cameras=())
    twin.scene.place("pot", (0.28, 0.30, 0.0), 0.0)
    assert "left the workspace" in twin.operator.trouble()
    twin.operator.help("test", "backward")
    assert twin.operator.trouble() is None
    twin.scene.physics.set_free_body("pot", (0.28, 0.0, 0.04), (0.7071, 0.7071, 0, 0))
    assert "fell over" in twin.operator.trouble()
    twin.close()


@pytest.mark.parametrize("name", ["bin_vase", "bin_bench"])
def test_what_lies_on_its_side_in_the_bin_is_no_success(name):
    twin = make_twin(name, seed=3, cameras=(), randomise=False)
    twin.reset("forward", np.random.default_rng(0))
    x, y, _ = twin.scene.fixture("bin").position
    for quaternion, done in (((1.0, 0.0, 0.0, 0.0), True), ((0.7071, 0.7071, 0.0, 0.0), False)):
        twin.scene.physics.set_free_body(twin.task.object, (x, y, 0.025 if quaternion[1] else 0.0035), quaternion)
        twin.scene.clock.sleep_until_ns(twin.scene.clock.now_ns() + 1_000_000_000)
        assert twin.success("forward") is done
    twin.close()


def test_held_at_the_goal_is_no_success():
    twin = make_twin("pot_pick_place", seed=3, cameras=())
    assert not run(twin, "forward", 1, noise=0.0, failure="hold")
    assert twin.task.at_goal(twin.scene, "forward")
    twin.close()


def test_a_pot_astride_the_wall_is_no_success_and_one_wholly_inside_is():
    twin = make_twin("pot_pick_place", seed=3, cameras=(), randomise=False)
    twin.reset("forward", np.random.default_rng(0))
    rack = twin.scene.fixture("rack")
    for off, done in ((rack.half_extent[0] - 0.032, True), (rack.half_extent[0] - 0.004, False)):
        twin.scene.place("pot", (rack.position[0] - off, rack.position[1], rack.rim_height), 0.0)
        twin.scene.clock.sleep_until_ns(twin.scene.clock.now_ns() + 500_000_000)
        assert twin.success("forward") is done, off
    twin.close()


def test_a_puck_half_off_its_mat_is_no_success():
    twin = make_twin("push_puck", seed=3, cameras=(), randomise=False)
    twin.reset("forward", np.random.default_rng(0))
    mat = twin.scene.fixture("green_mat")
    for off, done in ((0.030, True), (0.064, False)):
        twin.scene.place("puck", (mat.position[0] + off, mat.position[1], 0.0), 0.0)
        twin.scene.clock.sleep_until_ns(twin.scene.clock.now_ns() + 300_000_000)
        assert twin.success("forward") is done, off
    twin.close()


def test_slow_for_an_instant_is_not_at_rest():
    """A pot that stands on its edge at the goal, about to fall over, is as slow as one that stands."""
    twin = make_twin("pot_pick_place", seed=3, cameras=(), randomise=False)
    twin.reset("forward", np.random.default_rng(0))
    rack, angle = twin.scene.fixture("rack"), np.radians(18)
    lifted = rack.floor_height + 0.028 * np.sin(angle)
    pose = (float(rack.position[0]), float(rack.position[1]), float(lifted))
    twin.scene.physics.set_free_body("pot", pose, (np.cos(angle / 2), np.sin(angle / 2), 0.0, 0.0))
    now = twin.scene.physics.now_ns
    before = twin.scene.physics.data.qpos.copy()
    assert not twin.success("forward")
    np.testing.assert_array_equal(twin.scene.physics.data.qpos, before)
    assert twin.scene.physics.now_ns == now
    twin.scene.clock.sleep_until_ns(now + 1_000_000_000)
    assert twin.success("forward")
    twin.close()


@pytest.mark.parametrize("task", HELD_OUT)
def test_held_out_wordings_are_new_sentences_of_known_words(task):
    own, held_out = TASKS[task].instructions, HELD_OUT[task]
    words = {
        word for name in TASKS.own for texts in TASKS[name].instructions.values() for t in texts for word in t.split()
    }
    sentences = [text for direction in DIRECTIONS for text in held_out[direction]]
    assert all(held_out[direction] for direction in DIRECTIONS)
    assert len(set(sentences)) == len(sentences)
    assert not set(sentences) & {text for texts in own.values() for text in texts}
    assert {word for text in sentences for word in text.split()} <= words
