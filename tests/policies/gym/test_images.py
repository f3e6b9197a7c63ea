"""Environments that observe images: taken apart, seen through encoders trained or frozen, resumed to the bit."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from helpers.line_world import small_agent

from policies.gym.checkpoint import load_checkpoint
from policies.gym.environment import EnvSettings, interface_of, make_env
from policies.gym.observation_spaces import Layout
from policies.gym.offline import OfflineTraining
from policies.gym.online import OnlineTraining
from policies.gym.settings import DataSettings, EvaluationSettings, Job, OfflineSettings, OnlineSettings
from policies.perception.encoders.config import ClipConfig, CnnConfig, EncoderConfig
from trajectories.errors import CheckpointError, ConfigError
from trajectories.flat.episode import FlatDataset, FlatEpisode
from trajectories.flat.errors import DatasetError

SIZE, STEPS = 16, 6
ENV = EnvSettings("test/Dot-v0", max_steps=STEPS, modules=())
CNN = EncoderConfig(
    CnnConfig(widths=(8, 8), strides=(2, 2)), cameras=("view",), width=8, proprio_width=4, instruction="none"
)
CLIP = EncoderConfig(ClipConfig(stage=None), cameras=("view",), instruction="none", frozen=True, width=0)


class Dot(gymnasium.Env):
    """A dot on a line is to go left or right, as the picture's brightness says; the number observed is where it is."""

    observation_space = spaces.Dict(
        {"view": spaces.Box(0, 255, (SIZE, SIZE), np.uint8), "at": spaces.Box(-2, 2, (1,), np.float32)}
    )
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._at, self._bright = 0.0, bool(self.np_random.integers(2))
        return self._seen(), {}

    def step(self, action):
        self._at = float(np.clip(self._at + 0.2 * action[0], -2, 2))
        there = (self._at > 0.5) if self._bright else (self._at < -0.5)
        return self._seen(), float(there) - 1.0, there, False, {"success": there}

    def _seen(self):
        return {"view": np.full((SIZE, SIZE), 200 if self._bright else 30, np.uint8), "at": np.float32([self._at])}


class Alone(Dot):
    """The same, observing the picture alone, channels first."""

    observation_space = spaces.Box(0, 255, (3, SIZE, SIZE), np.uint8)

    def _seen(self):
        return np.stack([super()._seen()["view"]] * 3)


gymnasium.register("test/Dot-v0", entry_point=Dot)
gymnasium.register("test/Alone-v0", entry_point=Alone)


def dot_data(env=ENV, episodes=12):
    """Actions at random."""
    made, world = [], make_env(env, images=True)
    for number in range(episodes):
        rng = np.random.default_rng(number)
        seen, _ = world.reset(seed=number)
        frames, actions, rewards, over = [seen], [], [], (False, False)
        while not any(over):
            actions.append(rng.uniform(-1, 1, 1))
            seen, reward, *over, _ = world.step(np.float32(actions[-1]))
            frames.append(seen)
            rewards.append(reward)
        images = {name: np.stack([f.images[name] for f in frames]) for name in frames[0].images}
        made.append(FlatEpisode.of([f.vector for f in frames], actions, rewards, over[0], images))
    return FlatDataset(tuple(made), "dot_data")


def job(encoder=CNN, env=ENV):
    return Job(env, small_agent(), DataSettings(), EvaluationSettings(episodes=1), seed=2, encoder=encoder)


OFFLINE = OfflineSettings(steps=6, batch=8, evaluate_every=6, checkpoint_every=3, log_every=3)
ONLINE = OnlineSettings(
    steps=24, batch=8, utd=2, warmup_steps=6, capacity=100, evaluate_every=24, checkpoint_every=10, log_every=5
)


class Interrupted(Exception):
    """The power went."""


def run(training, stop=None):
    def callback(stage, done, total):
        if done == stop:
            raise Interrupted

    try:
        training.run(callback)
    except Interrupted:
        pass
    finally:
        training.close()
    return training


def state_of(training):
    return training.policy.agent.state()[0]


def assert_same(left, right):
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_images_of_every_kind_become_rgb_beside_the_numbers():
    env = make_env(ENV, images=True)
    seen, _ = env.reset(seed=0)
    assert seen.images["view"].shape == (SIZE, SIZE, 3)
    assert len(np.unique(seen.images["view"])) == 1
    np.testing.assert_array_equal(seen.vector, [0.0])
    assert interface_of(env).observations == 1
    alone, _ = make_env(replace(ENV, id="test/Alone-v0"), images=True).reset(seed=0)
    np.testing.assert_array_equal(alone.images["image"], seen.images["view"])
    assert alone.vector.shape == (0,)
    nested = spaces.Dict({"images": spaces.Dict({"b": Alone.observation_space, "a": Dot.observation_space["view"]})})
    assert Layout.of(nested, "x").cameras == {"images/a": (SIZE, SIZE), "images/b": (SIZE, SIZE)}
    with pytest.raises(ConfigError, match="neither grey nor RGB"):
        Layout.of(spaces.Box(0, 255, (8, 8, 4), np.uint8), "x")


def test_images_need_an_encoder_and_an_encoder_images(tmp_path):
    with pytest.raises(ConfigError, match=r"observes images: view\. Give encoder=cnn"):
        make_env(ENV)
    blind = replace(ENV, id="test/Line-v0")
    with pytest.raises(ConfigError, match="observes no images"):
        OnlineTraining(job(env=blind), ONLINE, tmp_path)
    with pytest.raises(ConfigError, match="random initial weights"):
        OnlineTraining(job(replace(CNN, frozen=True)), ONLINE, tmp_path)
    data = FlatDataset(tuple(replace(e, images={}) for e in dot_data().episodes), "blind")
    with pytest.raises(DatasetError, match=r"has the images none; test/Dot-v0 observes \{'view': \(16, 16\)\}"):
        OfflineTraining(job(), OFFLINE, data, tmp_path)


@pytest.mark.parametrize("encoder", [CNN, CLIP], ids=["trained", "frozen"])
def test_training_from_images_interrupted_and_resumed_is_the_same_to_the_bit(tmp_path, encoder):
    data = dot_data()
    first = OfflineTraining(job(encoder), OFFLINE, data, tmp_path / "offline")
    before = {name: tensor.clone() for name, tensor in first.policy.preparation.encoder.trained_tensors().items()}
    first = run(first)
    after = first.policy.preparation.encoder.trained_tensors()
    moved = any(not torch.equal(before[name], after[name]) for name in before)
    assert moved == (encoder is CNN)
    run(OfflineTraining(job(encoder), replace(OFFLINE, steps=3), data, tmp_path / "broken"))
    assert_same(state_of(run(OfflineTraining(job(encoder), OFFLINE, data, tmp_path / "broken"))), state_of(first))
    whole = run(OnlineTraining(job(encoder), ONLINE, tmp_path / "whole", start=first.path))
    run(OnlineTraining(job(encoder), ONLINE, tmp_path / "cut", start=first.path), stop=15)
    resumed = OnlineTraining(job(encoder), ONLINE, tmp_path / "cut", start=first.path)
    assert 0 < resumed.steps < 16
    assert_same(state_of(run(resumed)), state_of(whole))
    saved = load_checkpoint(whole.path)
    env = make_env(ENV, images=True)
    seen, _ = env.reset(seed=9)
    np.testing.assert_array_equal(saved.preparation.state(seen), whole.policy.preparation.state(seen))
    assert saved.preparation.encoder.frozen == encoder.frozen


def test_an_encoder_that_pretraining_trained_can_stay_as_it_is_online(tmp_path):
    start = run(OfflineTraining(job(), OFFLINE, dot_data(), tmp_path / "offline"))
    frozen = job(replace(CNN, frozen=True))
    online = run(OnlineTraining(frozen, ONLINE, tmp_path / "online", start=start.path))
    then, now = (each.policy.preparation.encoder.trained_tensors() for each in (start, online))
    assert_same(then, now)
    assert online.policy.agent.encoder is None
    assert online._replay.settings["fields"] == {"state": [[12], "float32"]}
    with pytest.raises(CheckpointError, match=r"encoder\.width"):
        OnlineTraining(job(replace(CNN, width=9)), ONLINE, tmp_path / "other", start=start.path)


def test_a_picture_alone_is_enough(tmp_path):
    env = replace(ENV, id="test/Alone-v0")
    training = run(OnlineTraining(job(replace(CNN, cameras=("image",)), env), ONLINE, tmp_path))
    assert training.updates > 5
    assert training.policy.preparation.features == 8
