"""The controller on the real twin: tracking, times, pushing against things, a reset-free session."""

import numpy as np
import pytest
from helpers.twin_session import ExpertPolicy, PredicateJudge

from robot.rollout.session import ResetFreeSession
from sim.tasks import TASKS
from sim.twin import make_twin

PERIOD_NS = 200_000_000


@pytest.fixture(scope="module")
def twin():
    twin = make_twin("pot_pick_place", seed=3, cameras=(), randomise=False)
    yield twin
    twin.close()


def test_the_arm_tracks_and_control_steps_lie_on_the_grid(twin):
    env, rng = twin.env, np.random.default_rng(0)
    twin.reset("forward")
    times = []
    for _ in range(30):
        action = np.array([*rng.uniform(-0.5, 0.5, 2), 0.1, 0, 0, rng.uniform(-0.5, 0.5), 1], np.float32)
        env.apply(action)
        observation = env.observe()
        times.append(observation.t_ns["joints"])
        tip, target = observation.proprio[:3], observation.proprio[9:12]
        assert np.linalg.norm(tip - target) < 0.02
    late = (np.array(times) - times[0]) - PERIOD_NS * np.arange(30)
    assert np.abs(late).max() <= 5_000_000  # within a physics step, without drift
    assert env.overruns == 0


def test_pushing_into_the_table_for_long_makes_the_arm_yield_instead_of_a_fault(twin):
    env = twin.env
    twin.reset("forward")
    corners = np.random.default_rng(1).choice([-1.0, 1.0], (12, 2))
    clipped = set()
    for corner in np.repeat(corners, 8, axis=0):
        applied = env.apply(np.array([*corner, -1, 0, 0, 0, -1], np.float32))
        clipped |= set(applied.command.clipped)
        state = env.arm_state
        assert np.isfinite(state.joints).all()
        assert (np.abs(applied.executed) <= 1).all()
    assert env.safety.fault is None
    assert "z" in clipped


def test_a_reset_free_session_needs_no_reset_when_the_policy_is_good(twin):
    twin.reset("forward")
    rng = np.random.default_rng(2)
    policy = ExpertPolicy(twin)
    session = ResetFreeSession(
        twin.env,
        policy,
        PredicateJudge(twin, policy, rng),
        "pot_pick_place",
        TASKS["pot_pick_place"].instructions,
        twin.operator,
        rng=rng,
        referee=twin.success,
    )
    episodes = [session.run_episode() for _ in range(6)]
    assert [e.direction for e in episodes] == ["forward", "backward"] * 3
    assert sum(e.outcome == "success" for e in episodes) >= 5
    assert session.stats.helps == {}
    for episode in episodes:
        assert episode.metadata["evaluation"]["success"] == (episode.outcome == "success")


def test_a_session_that_never_succeeds_is_reset_by_the_operator(twin):
    class Idle:
        version = 0

        def act(self, observation, deterministic=False):
            return np.zeros(7, np.float32)

        def load(self, weights):
            raise NotImplementedError

    twin.reset("forward")
    policy = ExpertPolicy(twin)
    session = ResetFreeSession(
        twin.env,
        Idle(),
        PredicateJudge(twin, policy, np.random.default_rng(0)),
        "pot_pick_place",
        TASKS["pot_pick_place"].instructions,
        twin.operator,
        rng=np.random.default_rng(0),
        max_steps=4,
        help_after=2,
    )
    outcomes = [session.run_episode().outcome for _ in range(5)]
    assert outcomes == ["failure"] * 5
    assert session.stats.helps == {"2 failures in a row": 2}
    assert session.stats.skipped >= 1  # the untouched object is where backward wants it
