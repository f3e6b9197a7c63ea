"""Folding a cloth and covering a cube: what counts and what doesn't, the expert within limits, failures that fail."""

import numpy as np
import pytest
from helpers.cloth_limits import CAREFUL, Watch

from robot.control.pose import Pose
from sim.collect import collect_episode
from sim.experts.choice import expert_for
from sim.experts.cloth import ClothExpert
from sim.experts.failures import FAILURES
from sim.scene.cloth import COLUMNS, RADIUS, ROWS
from sim.tasks.cloth import half_folded, in_folds
from sim.twin import make_twin
from trajectories.errors import ConfigError
from trajectories.types import DIRECTIONS

TASKS = ("cloth_folding", "cube_covering")
HALF = ROWS // 2


@pytest.fixture(scope="module", params=TASKS)
def twin(request):
    twin = make_twin(request.param, seed=3, cameras=())
    yield twin
    twin.close()


@pytest.fixture(scope="module")
def folding():
    twin = make_twin("cloth_folding", seed=3, cameras=(), randomise=False)
    yield twin
    twin.close()


@pytest.fixture(scope="module")
def covering():
    twin = make_twin("cube_covering", seed=3, cameras=(), randomise=False)
    twin.reset("forward", np.random.default_rng(0))
    twin.scene.place("cube", (0.30, 0.0, 0.0), 0.2)
    yield twin
    twin.close()


def put(twin, nodes):
    """Lay the cloth there, let it come to rest, and say in which directions that is success."""
    twin.scene.cloth.put(nodes)
    twin.scene.cloth.settle(2.5)
    twin.scene.clock.sleep_until_ns(twin.scene.clock.now_ns() + 100_000_000)
    return [direction for direction in DIRECTIONS if twin.success(direction)]


def run(twin, direction, seed, noise=0.0, failure=None, watch=None, steps=50):
    rng = np.random.default_rng(seed)
    twin.reset(direction, rng)
    expert = expert_for(twin, direction, rng, noise=noise, failure=failure)
    assert isinstance(expert, ClothExpert)
    for _ in range(steps):
        twin.env.apply(expert.act(None))
        if watch is not None:
            watch.look()
        if twin.success(direction):
            return True
    return False


def test_folded_in_half_and_flat_are_the_two_goals(folding):
    cloth = folding.scene.cloth
    assert put(folding, cloth.lay((0.29, 0.0), 0.2)) == ["backward"]
    assert put(folding, in_folds(cloth, (0.29, 0.0), 0.2, half_folded(HALF))) == ["forward"]


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("short of the far edge", half_folded(HALF + 1)),
        ("its edge turned over", half_folded(ROWS - 2)),
        ("pleated", [0, 1, 2, 3, 2, 3, 4]),
    ],
)
def test_other_folds_are_neither(folding, name, order):
    assert put(folding, in_folds(folding.scene.cloth, (0.29, 0.0), 0.0, order)) == []


def test_a_heap_a_narrow_strip_and_a_far_away_near_edge_are_neither(folding):
    cloth = folding.scene.cloth
    flat, folded = cloth.lay((0.29, 0.0), 0.0), in_folds(cloth, (0.29, 0.0), 0.0, half_folded(HALF))
    heap = flat.copy()
    heap[..., :2] = np.array([0.29, 0.0]) + 0.25 * (flat[..., :2] - [0.29, 0.0])
    heap[..., 2] += np.random.default_rng(0).uniform(0, 0.03, heap.shape[:2])
    narrow = folded.copy()
    narrow[..., 1] = np.abs(narrow[..., 1])  # folded twice: the edges lie on each other still
    corner = folded.copy()
    corner[-1, :4, :2] = flat[-1, :4, :2]
    zigzag = in_folds(cloth, (0.29, 0.0), 0.0, [0, 1, 2, 1, 2, 1, 0])  # edge on edge, folded three times
    for nodes in (heap, narrow, corner, zigzag):
        cloth.put(nodes)
        assert not folding.task.at_goal(folding.scene, "forward")
        assert not folding.task.at_goal(folding.scene, "backward")
    turned = cloth.lay((0.29, 0.0), np.pi)  # flat, but the tag is at the far side
    cloth.put(turned)
    assert not folding.task.at_goal(folding.scene, "backward")


def test_closed_on_or_touching_or_moving_it_is_not_done(folding):
    cloth, physics = folding.scene.cloth, folding.scene.physics
    flat = cloth.lay((0.29, 0.0), 0.0)
    assert put(folding, flat) == ["backward"]
    physics.data.ctrl[physics.arm.size] = 0.0
    assert not folding.success("backward")
    physics.data.ctrl[physics.arm.size] = physics.arm.opening
    lifted = flat.copy()
    lifted[..., 2] += 0.015  # low enough to be flat, and falling
    cloth.put(lifted)
    folding.scene.clock.sleep_until_ns(folding.scene.clock.now_ns() + 20_000_000)
    assert folding.task.at_goal(folding.scene, "backward")
    assert not folding.success("backward")


def test_a_cube_is_covered_when_no_corner_of_it_is_seen_and_uncovered_when_no_cloth_is_above_it(covering):
    cloth = covering.scene.cloth
    over = cloth.lay((0.30, 0.0), 0.0)
    over[..., 2] += 0.035
    assert put(covering, over) == ["forward"]
    beside = cloth.lay((0.30 - 0.035 - 0.07, 0.0), 0.0)
    assert put(covering, beside) == ["backward"]
    part = over.copy()
    part[..., 1] += 0.085  # its edge over the cube's middle
    assert put(covering, part) == []
    below = cloth.lay((0.30, 0.0), 0.0)  # the cloth lies on the table, the cube stands in it
    cloth.put(below)
    assert not covering.task.at_goal(covering.scene, "forward")
    assert not covering.task.at_goal(covering.scene, "backward")


@pytest.mark.parametrize(("beyond", "counts"), [(0.003, False), (0.010, True)])
def test_a_cloth_that_ends_within_millimetres_of_the_cube_neither_covers_nor_uncovers_it(covering, beyond, counts):
    cloth, half = covering.scene.cloth, covering.scene.cloth.spec.size[0] / 2
    across = covering.scene.object("cube").half_extent[0] * (np.cos(0.2) + np.sin(0.2))  # as far as the turned cube is
    over = cloth.lay((0.30 + across + beyond - half, 0.0), 0.0)
    over[..., 2] += 0.036
    cloth.put(over)
    assert covering.task.at_goal(covering.scene, "forward") is counts
    cloth.put(cloth.lay((0.30 - across - beyond - half, 0.0), 0.0))
    assert covering.task.at_goal(covering.scene, "backward") is counts


def test_a_cloth_that_goes_on_sagging_covers_the_cube_and_one_that_flies_past_it_does_not(covering):
    cloth, physics = covering.scene.cloth, covering.scene.physics
    covering.env.go_home(np.random.default_rng(0))
    covering.scene.place("cube", (0.30, 0.0, 0.0), 0.2)
    over = cloth.lay((0.30, 0.0), 0.0)
    over[..., 2] += 0.04
    cloth.put(over)
    covering.scene.clock.sleep_until_ns(covering.scene.clock.now_ns() + 100_000_000)
    assert cloth.speed() > 0.03
    assert covering.success("forward")
    cloth.put(np.add(over, [0.0, 0.0, 0.03]))  # in the air still
    assert not covering.success("forward")
    cloth.put(over)
    physics.data.qvel[physics.model.body_dofadr[physics.body_id("cube")]] = 0.3  # the cube slides from below it
    physics.refresh()
    assert not covering.success("forward")
    covering.scene.place("cube", (0.30, 0.0, 0.0), 0.2)


@pytest.mark.parametrize(
    ("x", "z", "hides"), [(0.365, 0.13, True), (0.34, 0.06, True), (0.30, 0.12, False), (0.26, 0.06, False)]
)
def test_the_hand_hides_whether_a_cube_is_covered_until_it_is_seen_behind_it(covering, x, z, hides):
    physics, home = covering.scene.physics, covering.env.arm_state.joints
    pose = Pose.of((x, 0.0, z), (0.0, 0.0, 0.0))
    physics.set_arm(covering.env.kinematics.inverse(pose, home), physics.arm.opening)
    assert covering.task.hides(covering.scene, "forward") is hides
    assert not covering.task.hides(covering.scene, "backward")
    physics.set_arm(home, physics.arm.opening)


def test_from_every_pose_in_which_episodes_begin_it_can_be_seen_whether_a_cube_is_covered(covering):
    rng = np.random.default_rng(0)
    for _ in range(5):
        covering.env.go_home(rng)
        assert not covering.task.hides(covering.scene, "forward")


def test_a_demonstration_of_covering_ends_with_the_hand_out_of_the_way(covering):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        episode = collect_episode(covering, "forward", rng, noise=0.1, max_steps=50)
        assert episode.outcome == "success"
        assert not covering.task.hides(covering.scene, "forward")
    covering.scene.place("cube", (0.30, 0.0, 0.0), 0.2)


def test_a_cube_held_up_below_the_cloth_or_turned_onto_another_side(covering):
    cloth, physics = covering.scene.cloth, covering.scene.physics
    height = covering.scene.object("cube").height
    physics.set_free_body("cube", (0.30 + height / 2, 0.0, height / 2), (0.7071, 0.0, -0.7071, 0.0))
    over = cloth.lay((0.30, 0.0), 0.0)
    over[..., 2] += 0.035
    assert put(covering, over) == ["forward"]
    physics.set_free_body("cube", (0.30, 0.0, 0.04))
    over[..., 2] += 0.08
    cloth.put(over)
    assert not covering.task.at_goal(covering.scene, "forward")
    covering.scene.place("cube", (0.30, 0.0, 0.0), 0.2)


def test_the_expert_does_it_both_ways_and_never_overstretches_the_cloth(twin):
    watch = Watch(twin.scene)
    for direction in DIRECTIONS:
        assert sum(run(twin, direction, seed, watch=watch) for seed in range(3)) >= 2
    assert watch.broken(CAREFUL) == []


def test_an_unsteady_hand_succeeds_less_often_than_a_steady_one_but_does(twin):
    done = [run(twin, direction, seed, noise=0.3) for direction in DIRECTIONS for seed in range(3)]
    assert 2 <= sum(done) <= 5


def test_failures_fail(twin):
    for number, failure in enumerate(FAILURES):
        direction = DIRECTIONS[number % 2]
        assert not run(twin, direction, 20, failure=failure, steps=30), (direction, failure)
    with pytest.raises(ConfigError, match="hover"):
        ClothExpert(twin, "forward", np.random.default_rng(0), failure="sabotage")


def test_the_expert_of_cloths_refuses_other_tasks():
    twin = make_twin("push_puck", seed=0, cameras=())
    with pytest.raises(ConfigError, match="'push_puck' has no cloth"):
        ClothExpert(twin, "forward", np.random.default_rng(0))
    twin.close()


def test_starts_vary_and_are_at_rest(twin):
    starts = []
    for direction in DIRECTIONS:
        for seed in range(6):
            twin.reset(direction, np.random.default_rng(seed))
            cloth = twin.scene.cloth
            assert cloth.speed() < 0.05
            assert cloth.nodes()[..., 2].min() > RADIUS / 2
            starts.append(cloth.nodes()[-1, COLUMNS // 2, :2])
    assert np.ptp(starts, axis=0).min() > 0.03


def test_a_cloth_out_of_reach_is_lost_and_help_brings_it_back(twin):
    twin.reset("forward", np.random.default_rng(0))
    assert twin.operator.trouble() is None
    twin.scene.cloth.put(twin.scene.cloth.lay((0.5, 0.0), 0.0))
    assert "left the workspace" in twin.operator.trouble()
    twin.operator.help("test", "backward")
    assert twin.operator.trouble() is None
