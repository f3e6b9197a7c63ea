"""What a session holds lies elsewhere afterwards, by the twin's physics, and the task goes on from there."""

import numpy as np
import pytest
from helpers.twin_session import ExpertPolicy, PredicateJudge

from robot.rollout.displacing import FAR, Displacement
from robot.rollout.places import Places
from robot.rollout.session import ResetFreeSession
from sim.collect import collect_episode
from sim.tasks import TASKS
from sim.twin import make_twin
from trajectories.kinds import DISPLACED_KEY, was_displaced
from trajectories.types import DIRECTIONS


def lies(twin):
    """x, y of the object that the task moves, m."""
    return twin.scene.physics.body_pose(twin.task.object)[0][:2]


@pytest.mark.parametrize("task", ["pot_pick_place", "bin_bench"])
def test_the_object_lies_at_its_place_and_the_direction_succeeds_from_there(task):
    twin = make_twin(task, seed=3, cameras=(), randomise=False)
    demos = [
        collect_episode(twin, way, np.random.default_rng((seed, way == "forward")), max_steps=40)
        for way in DIRECTIONS for seed in range(6)
    ]  # fmt: skip
    done = [episode for episode in demos if episode.outcome == "success"]
    places = Places.in_episodes(done, task, twin.env.robot_spec)
    rng = np.random.default_rng(5)
    twin.reset("forward", rng)
    policy = ExpertPolicy(twin)
    session = ResetFreeSession(
        twin.env, policy, PredicateJudge(twin, policy, rng), task, TASKS[task].instructions, twin.operator,
        rng=rng, referee=twin.success, displacement=Displacement(twin.env, places, 0.6, rng),
    )  # fmt: skip
    moved, outcomes = [], []
    for _ in range(20):
        before = lies(twin)
        episode = session.run_episode()
        if was_displaced(episode):
            noted = episode.metadata[DISPLACED_KEY]
            assert noted["there"] is True
            moved.append(np.linalg.norm(lies(twin) - noted["to"][:2]))
            assert np.linalg.norm(lies(twin) - before) > FAR - 0.02
        elif moved:
            outcomes.append(episode.outcome)
    assert len(moved) >= 4
    assert max(moved) < 0.04  # it was gripped this far from its middle at most
    assert outcomes.count("success") >= 0.7 * len(outcomes)
    twin.close()
