"""Whole sessions of other arms on virtual arms of their own servos: any actions, real drivers, truth from physics."""

import threading

import numpy as np
import pytest
from helpers.session_setup import CountingJudge
from hydra import compose, initialize_config_module

from factory.robot import open_station
from factory.spec import spec_of
from robot.arms.registry import arm_model
from robot.rollout.recovering_session import RecoveringSession
from robot.rollout.recovery import Recovery
from robot.rollout.session import ResetFreeSession
from trajectories.store import TrajectoryStore

STEPS = 12
OVERSHOOT = 0.01  # rad
SAG = 0.01  # m; after a missed step the target is where the arm stands


class AnyActions:
    """A policy that asks for anything, in and out of range; keeps where the arm really was."""

    version = 0

    def __init__(self, state):
        self._rng, self._state, self.joints, self.widths = np.random.default_rng(0), state, [], []

    def act(self, observation, deterministic=False):
        truth = self._state()
        self.joints.append(truth["joints"])
        self.widths.append(truth["gripper_width"])
        choices = [self._rng.normal(0, 1, 7), self._rng.choice([-1.0, 1.0], 7), self._rng.normal(0, 20, 7)]
        return choices[self._rng.integers(3)].astype(np.float32)

    def load(self, weights):
        pass


@pytest.mark.parametrize("name", ["wx200", "vx300s"])
def test_a_session_on_the_virtual_arm_records_episodes_within_the_arms_own_limits(name, tmp_path):
    arm, stop = arm_model(name), threading.Event()
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("actor", ["robot=virtual", f"robot.model={name}", "robot.max_age=2", "+robot.arm.max_age_s=2"])
    with (
        TrajectoryStore(tmp_path / "store", spec_of(config)) as store,
        open_station(config, lambda line: None, stop) as station,
    ):
        assert station.env.model is arm
        station.wake()
        world = station.operator._world
        assert world.settings.arm == name
        policy = AnyActions(world.state)
        rng = np.random.default_rng(1)
        station.prepare("forward", rng)
        session = ResetFreeSession(
            station.env,
            policy,
            CountingJudge(lambda instruction: None),
            "pot_pick_place",
            station.instructions,
            station.operator,
            rng=rng,
            on_episode=store.commit,
            max_steps=STEPS,
        )
        going_on = RecoveringSession(session, Recovery(station.env, station.operator, lambda line: None, stop))
        for _ in range(2):
            going_on.run_episode()
        figures = station.figures()
    joints = np.array(policy.joints)
    assert joints.shape[0] >= 2 * STEPS  # more where a busy computer cut an episode short
    assert joints.shape[1] == arm.size
    assert (joints > np.array(arm.lower) - OVERSHOOT).all()
    assert (joints < np.array(arm.upper) + OVERSHOOT).all()
    assert np.ptp(joints, axis=0).max() > 0.1  # it moved
    assert max(policy.widths) <= arm.opening + 0.002
    assert len(figures["servos"]) == len({servo["name"] for servo in figures["servos"]}) == 7 + 2 * (name == "vx300s")
    with TrajectoryStore(tmp_path / "store", read_only=True) as store:
        episodes = [store.read(episode) for episode in store.ids()]
    whole = [episode for episode in episodes if len(episode) == STEPS]
    assert {episode.direction for episode in whole} == {"forward", "backward"}
    lower, upper = np.array(station.env.limits.position_lower), np.array(station.env.limits.position_upper)
    for episode in episodes:
        assert np.abs(episode.executed).max() <= 1.0
        targets = np.asarray(episode.proprio)[1:, 9:12]
        np.testing.assert_array_equal(targets, targets.clip(lower - SAG, upper + SAG))
