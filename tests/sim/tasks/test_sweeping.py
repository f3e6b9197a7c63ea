"""Candy sweeping: the board is held by friction, the candy stays in the tray, and success counts sevenths."""

import numpy as np
import pytest

from robot.interfaces import RewardReading
from robot.rollout.post_episode import wander
from robot.rollout.session import ResetFreeSession
from sim.collect import aftermath, collect_episode
from sim.experts.choice import expert_for
from sim.experts.failures import FAILURES
from sim.experts.sweeping import SweepExpert
from sim.tasks.predicates import held
from sim.twin import make_twin
from trajectories.errors import ConfigError
from trajectories.types import DIRECTIONS

STEPS = 60


@pytest.fixture(scope="module")
def twin():
    twin = make_twin("candy_sweeping", seed=3, cameras=())
    yield twin
    twin.close()


def in_tray(twin, name):
    x, y, _ = twin.scene.physics.body_pose(name)[0]
    return twin.scene.fixture("tray").contains(float(x), float(y))


def deepest(twin):
    """How far anything is in anything else now, m, but for the fingers in what they press on."""
    model, data = twin.scene.physics.model, twin.scene.physics.data
    depths = [0.0]
    for (first, second), distance in zip(data.contact.geom, data.contact.dist, strict=True):
        names = model.geom(first).name + model.geom(second).name
        if "candy" in names and "pad" not in names:
            depths.append(-float(distance))
    return max(depths)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_candy_is_swept_without_tunnelling_leaving_the_tray_or_being_shot(twin, direction):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        twin.reset(direction, rng)
        expert = expert_for(twin, direction, rng, noise=0.1)
        deep, fast = 0.0, 0.0
        for _ in range(STEPS):
            twin.env.apply(expert.act(twin.env.observe()))
            deep = max(deep, deepest(twin))
            speeds = [np.abs(twin.scene.physics.body_velocity(name)[:3]).max() for name in twin.task.things]
            fast = max(fast, float(max(speeds)))
            assert all(in_tray(twin, name) for name in twin.task.things)
            if twin.success(direction):
                break
        assert twin.success(direction)
        assert deep < 0.004  # m, of candy that is 10 mm high
        assert 0.02 < fast < 1.0


def test_candy_that_nobody_touches_stays_where_it_is(twin):
    for direction in DIRECTIONS:
        twin.reset(direction, np.random.default_rng(5))
        before = [twin.scene.physics.body_pose(name)[0] for name in twin.task.things]
        twin.scene.clock.sleep_until_ns(twin.scene.clock.now_ns() + 5_000_000_000)
        after = [twin.scene.physics.body_pose(name)[0] for name in twin.task.things]
        assert np.abs(np.subtract(before, after)).max() < 1e-3
        assert twin.task.lost(twin.scene) is None


def test_sevenths_are_counted_by_the_side_where_each_lies(twin):
    twin.reset("forward", np.random.default_rng(0))
    tray = twin.scene.fixture("tray")
    for number, name in enumerate(twin.task.things):
        place = tray.point(0.05, 0.025 * (number - 3))
        twin.scene.place(name, (*place, tray.floor_height), 0.0)
    for number, name in enumerate(twin.task.things):
        assert twin.task.reached(twin.scene, "forward") == number
        assert twin.task.reached(twin.scene, "backward") == 7 - number
        assert not twin.success("forward")
        along = -0.021 if number == 3 else -0.05
        twin.scene.place(name, (*tray.point(along, 0.025 * (number - 3)), tray.floor_height), 0.0)
    assert twin.success("forward")
    twin.scene.place("candy3", (*tray.point(-0.019, 0.0), tray.floor_height), 0.0)
    assert twin.task.reached(twin.scene, "forward") == 6
    assert not twin.success("forward")
    twin.scene.place("candy3", (*tray.point(-0.05, 0.0), 0.06), 0.0)  # in the air above the others
    assert twin.task.reached(twin.scene, "forward") == 6


def test_the_board_is_held_by_friction_and_opening_drops_it(twin):
    twin.reset("forward", np.random.default_rng(1))
    assert held(twin.scene, "board")
    twin.env.apply(np.array([0, 0, 0, 0, 0, 0, 1], np.float32))
    twin.env.apply(np.array([0, 0, 0, 0, 0, 0, 1], np.float32))
    assert not held(twin.scene, "board")
    assert twin.operator.trouble() == "the board is not in the gripper"
    twin.operator.help("test", "backward")
    assert twin.operator.trouble() is None
    assert twin.env.observe().proprio[7] == -1  # commanded closed


def test_going_home_and_wandering_there_keep_the_board(twin):
    rng = np.random.default_rng(2)
    twin.reset("backward", rng)
    hanging = twin.scene.physics.tip_position() - twin.scene.physics.body_pose("board")[0]
    for _ in range(3):
        twin.env.apply(np.array([0.5, 0.5, -0.3, 0, 0, 0.5, -1], np.float32))
        twin.env.go_home(rng)
        for action in wander(twin.env, rng, 4):
            twin.env.apply(action)
    assert held(twin.scene, "board")
    now = twin.scene.physics.tip_position() - twin.scene.physics.body_pose("board")[0]
    assert abs(now[2] - hanging[2]) < 0.003


def test_around_the_arm_the_board_is_handed_over(twin):
    """As the virtual robot's person does: the arm stays, its gripper closed and empty."""
    twin.reset("forward", np.random.default_rng(1))
    twin.env.apply(np.array([0, 0, 0.2, 0, 0, 0, 1], np.float32))
    twin.env.go_home(np.random.default_rng(3))
    assert not held(twin.scene, "board")
    twin.rearrange("backward", np.random.default_rng(4))
    twin.scene.clock.sleep_until_ns(twin.scene.clock.now_ns() + 300_000_000)
    assert held(twin.scene, "board")
    assert twin.task.reached(twin.scene, "backward") < 7


def test_an_episode_notes_its_share_and_failures_fail(twin):
    for number, failure in enumerate(FAILURES):
        way = DIRECTIONS[number % 2]
        episode = collect_episode(twin, way, np.random.default_rng(number), failure=failure, max_steps=STEPS)
        assert episode.outcome == "failure", failure
        assert 0.0 <= episode.metadata["evaluation"]["share"] <= 1.0
    left = aftermath(twin, "forward", np.random.default_rng(0), noise=0.1, max_steps=STEPS)
    assert left.metadata["evaluation"] == {"success": True, "share": 1.0}
    assert (left.proprio[:, 7] == -1).all()


class Demonstrator:
    """The expert as a session's policy; in the third episode it opens the gripper and stays."""

    version = 0

    def __init__(self, twin):
        self.twin, self.instruction, self.episodes = twin, "", 0

    def act(self, observation, deterministic=False):
        if observation.instruction != self.instruction:
            self.instruction, self.episodes = observation.instruction, self.episodes + 1
            way = next(way for way, texts in self.twin.task.instructions.items() if self.instruction in texts)
            self.expert = SweepExpert(self.twin, way, np.random.default_rng(0))
        if self.episodes == 3:
            return np.array([0, 0, 0, 0, 0, 0, 1], np.float32)
        return self.expert.act(observation)


class Physics:
    """The predicate as a session's judge."""

    def __init__(self, twin):
        self.twin = twin

    def reset(self, instruction):
        self.way = next(way for way, texts in self.twin.task.instructions.items() if instruction in texts)

    def update(self, observation):
        done = self.twin.success(self.way)
        return RewardReading(float(done), done, above=done)


def test_a_session_sweeps_to_and_fro_without_a_reset_and_has_a_dropped_board_put_back(twin):
    rng = np.random.default_rng(1)
    twin.reset("forward", rng)
    session = ResetFreeSession(
        twin.env, Demonstrator(twin), Physics(twin), twin.task.name, twin.task.instructions, twin.operator,
        rng=rng, max_steps=STEPS, referee=twin.success, home_look=False,
    )  # fmt: skip
    first, second, dropped, after = (session.run_episode() for _ in range(4))
    assert (first.direction, first.outcome) == ("forward", "success")
    assert (second.direction, second.outcome) == ("backward", "success")
    assert first.metadata["help"] is None
    assert second.metadata["help"] is None
    assert dropped.outcome == "failure"
    assert after.metadata["help"] == "the board is not in the gripper"
    assert after.outcome == "success"


def test_nothing_is_swept_where_one_object_is_moved():
    twin = make_twin("bin_weight", seed=0, cameras=())
    with pytest.raises(ConfigError, match="Nothing is swept in bin_weight"):
        SweepExpert(twin, "forward", np.random.default_rng(0))
    twin.close()
