"""An episode's way from the session to a batch: committed, labelled and encoded once on each side."""

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC
from helpers.call_counter import CallCounter
from helpers.kinematic_arm import KinematicArm, ManualClock, PatternCamera
from helpers.session_setup import CountingJudge, Helper
from helpers.small_policies import RED_WORDINGS

from policies.learner.learner_config import LearnerConfig
from policies.policy import load_policy
from robot.link.codec import decode_episode, encode_episode
from robot.rollout.actor import Actor, ActorOptions
from robot.rollout.environment import RobotEnv
from robot.rollout.session import ResetFreeSession
from trajectories.store import TrajectoryStore

STEPS = 5
CONFIG = LearnerConfig(steps=STEPS, warmup_steps=1, utd=2, batch=8)
WATCHED = (
    "Recorder.finish", "TrajectoryStore.commit", "write_tree", "sparse_labels", "relabel", "monte_carlo_returns",
    "n_step",
)  # fmt: skip
FRAMES = {
    "KeypointNet.forward": lambda arguments: len(arguments["images"]),
    "Encoder.forward": lambda arguments: len(arguments["proprio"]),
}
"""Networks that see images, with the frames that a call of them sees."""


class ByLink:
    """The learner's endpoint, which gets what arrives of an episode's message; its calls count for the learner."""

    def __init__(self, learner, calls):
        self._learner, self._calls = learner, calls

    def __getattr__(self, name):
        return getattr(self._learner, name)

    def put_episode(self, episode):
        message = encode_episode(episode)
        self._calls.side = "learner"
        try:
            return self._learner.put_episode(decode_episode(message, SPEC))
        finally:
            self._calls.side = "actor"

    def take_turn(self):
        self._calls.side = "updates"
        self._learner.take_turn()
        self._calls.side = "actor"


@pytest.mark.parametrize(
    ("folder", "network"), [("pretrained", "KeypointNet.forward"), ("pretrained_on_images", "Encoder.forward")]
)
def test_an_episode_is_committed_labelled_and_encoded_once_on_each_side(
    folder, network, request, open_learner, tmp_path
):
    folder = request.getfixturevalue(folder)
    learner, policy = open_learner(config=CONFIG, folder=folder), load_policy(folder)
    calls = CallCounter(*WATCHED, weights=FRAMES)
    clock = ManualClock()
    env = RobotEnv(KinematicArm(clock), {"front": PatternCamera(clock, (64, 64))}, clock, SPEC)
    endpoint = ByLink(learner, calls)
    with TrajectoryStore(tmp_path / "outbox", SPEC) as outbox:
        session = ResetFreeSession(
            env, policy, CountingJudge(lambda _: STEPS), "red_disc", RED_WORDINGS, Helper(),
            rng=np.random.default_rng(0), on_episode=outbox.commit,
        )  # fmt: skip
        options = ActorOptions(between_episodes=endpoint.take_turn)
        actor = Actor(session, endpoint, policy.load, outbox, policy.digest, options)
        calls.side = "actor"
        with calls.watch():
            assert actor.run().episodes == 1
        assert len(outbox) == 0
    assert learner.status.updates == STEPS - 1

    other = next(name for name in FRAMES if name != network)
    once = {"TrajectoryStore.commit": 1, "write_tree": 1, "relabel": 0, other: 0}
    assert calls.of("actor") == once | {
        "Recorder.finish": 1, "sparse_labels": 1, "monte_carlo_returns": 0, "n_step": 0, network: STEPS,
    }  # fmt: skip
    # Returns depend on the learner's discount; the last observation is acted on by nobody and bootstrapped from.
    assert calls.of("learner") == once | {
        "Recorder.finish": 0, "sparse_labels": 0, "monte_carlo_returns": 1, "n_step": 0, network: STEPS + 1,
    }  # fmt: skip
    assert calls.of("updates") == dict.fromkeys((*WATCHED, *FRAMES), 0) | {"n_step": 1}
    batch = learner._kept.replay.gather(torch.arange(STEPS))
    assert batch.reward.tolist() == [-1, -1, 0, 0, 0]
    assert batch.discount.tolist() == [np.float32(0.95), np.float32(0.95), 0, 0, 0]

    learner.close()
    calls.side = "restart"
    with calls.watch():
        again = open_learner(config=CONFIG, folder=folder)
    assert calls.of("restart") == dict.fromkeys((*WATCHED, *FRAMES), 0)
    assert torch.equal(again._kept.replay.gather(torch.arange(STEPS)).state, batch.state)
