"""The run's judge says once how far the task has come in offline episodes, and their rewards are shaped by it."""

import contextlib
import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.blob_world import SPEC, demos, instruction
from helpers.replay_world import everything
from hydra import compose, initialize_config_module

from commands import learner as learner_verb
from commands.learner import open_learner
from factory import judging, offline_progress
from factory.offline_progress import FILE, NotedSource, with_progress
from factory.run_folders import data_folder, finetune_folder
from policies.learner.kept_data import KeptData
from policies.learner.learner_config import LearnerConfig
from policies.policy import load_policy
from policies.replay.replay import Replay
from robot.interfaces import RewardReading
from trajectories.errors import CheckpointError, ConfigError
from trajectories.kinds import KIND_KEY, PLAY
from trajectories.labels import monte_carlo_returns
from trajectories.store import TrajectoryStore

GAMMA, STEPS = 0.95, 0.02


class Judge:
    """Progress grows by `STEPS` with every look, and begins anew with every episode, as a session's does."""

    camera = "front"

    def __init__(self, says=True):
        self.says, self.looks, self.heard = says, 0, []

    def reset(self, instruction):
        self.heard.append(instruction)
        self.seen = 0

    def update(self, observation):
        self.seen += 1
        self.looks += 1
        return RewardReading(0.1, False, progress=STEPS * self.seen if self.says else None)


@pytest.fixture(scope="module")
def episodes():
    """Red forward, blue forward, red backward, blue backward, and a red one of play."""
    recorded = demos(5, seed=60)
    return [*recorded[:4], replace(recorded[4], metadata={KIND_KEY: PLAY})]


@pytest.fixture
def run(tmp_path, episodes, monkeypatch, pretrained):
    """A run's folder with its data, its policy, and a judge that counts."""
    with TrajectoryStore(data_folder(tmp_path), SPEC) as store:
        for episode in episodes:
            store.commit(episode)
    (tmp_path / "pretrained_rlpd").symlink_to(pretrained)
    judge = Judge()
    monkeypatch.setattr(offline_progress, "informed_reward", lambda _: judge)
    monkeypatch.setattr(judging, "spec_of", lambda _: SPEC)
    return tmp_path, judge


def settings(run, *overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("learner", [
            f"run_dir={run}", "method=rlpd", "finetune.shaping=10", "task=own", "task.name=red_disc",
            f"task.instructions.forward=[{instruction('red', 'forward')}]",
            f"task.instructions.backward=[{instruction('red', 'backward')}]", *overrides,
        ])  # fmt: skip


def noted(run, config=None, said=None):
    store = TrajectoryStore(data_folder(run), SPEC, read_only=True)
    (source,) = with_progress(config or settings(run), [store], (said if said is not None else []).append)
    return source


def test_episodes_of_the_task_are_judged_once_as_in_a_session(run, episodes):
    folder, judge = run
    said = []
    source = noted(folder, said=said)
    first, blue, back, *_ = episodes
    assert len(said) == 1
    assert "in 2 offline episodes" in said[0]
    assert judge.looks == 1 + len(first) + 1 + len(back) + 1  # one look to see whether it says progress at all
    grown = [STEPS, *(STEPS * (step + 1) for step in range(len(first)))]
    assert source.read(first.id).metadata["progress"] == pytest.approx(grown, abs=1e-4)
    assert source.read(blue.id).metadata["progress"] == [0.0] * (len(blue) + 1)  # another task's instruction
    assert "progress" not in source.read(episodes[4].id).metadata
    assert (source.ids(), len(source), source.spec) == ([episode.id for episode in episodes], 5, SPEC)
    again = noted(folder, said=said)
    assert again.read(first.id).metadata == source.read(first.id).metadata
    assert len(said) == 1
    assert judge.looks == 1 + len(first) + 1 + len(back) + 1


def test_what_was_judged_before_an_interruption_is_kept(run, monkeypatch):
    folder, judge = run
    look = offline_progress._progress

    def stopped(judge, episode):
        if any(path.name == FILE for path in finetune_folder(settings(folder)).iterdir()) or judge.stop:
            raise KeyboardInterrupt
        judge.stop = True
        return look(judge, episode)

    judge.stop = False
    monkeypatch.setattr(offline_progress, "_progress", stopped)
    with pytest.raises(KeyboardInterrupt):
        noted(folder)
    kept = json.loads((finetune_folder(settings(folder)) / FILE).read_text())["progress"]
    assert len(kept) == 1
    monkeypatch.setattr(offline_progress, "_progress", look)
    said = []
    noted(folder, said=said)
    assert "in 1 offline episodes" in said[0]


def test_a_judge_without_progress_and_a_damaged_file_are_refused(run):
    folder, judge = run
    judge.says = False
    with pytest.raises(ConfigError, match=r"finetune\.shaping=10.* counts on progress, of which the run's judge says"):
        noted(folder)
    path = finetune_folder(settings(folder)) / FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    with pytest.raises(CheckpointError, match="delete it, and they are judged anew"):
        noted(folder)


def test_offline_rewards_and_returns_are_shaped_alike(run, episodes, pretrained):
    """Half of each batch is offline: r + gamma Phi(s') - Phi(s), and the returns of these rewards."""
    source, perception = noted(run[0]), load_policy(pretrained).perception
    held = {}
    for worth in (0.0, 10.0):
        online = Replay(1000, perception.fields, gamma=GAMMA)
        config = LearnerConfig(retention=0.5, shaping=worth)
        held[worth] = everything(KeptData([source], "red_disc").mix(online, perception, config, 0).offline)
    first = len(episodes[0])
    phi = 10.0 * np.array(source.read(episodes[0].id).metadata["progress"], np.float32)
    done = held[0.0].discount[:first].numpy() == 0
    after = np.where(done, 0.0, phi[1:])
    expected = held[0.0].reward[:first].numpy() + GAMMA * after - phi[:-1]
    assert held[10.0].reward[:first].numpy() == pytest.approx(expected, abs=1e-5)
    returns = monte_carlo_returns(held[10.0].reward[:first].numpy(), done, np.zeros(first, bool), GAMMA)
    assert held[10.0].mc_return[:first].numpy() == pytest.approx(returns, abs=1e-4)


def test_without_notes_an_offline_episode_is_refused(run, pretrained):
    perception = load_policy(pretrained).perception
    bare = NotedSource(TrajectoryStore(data_folder(run[0]), SPEC, read_only=True), {})
    with pytest.raises(ConfigError, match=r"says nothing of progress, which finetune\.shaping needs"):
        KeptData([bare], "red_disc").mix(
            Replay(1000, perception.fields, gamma=GAMMA), perception, LearnerConfig(retention=0.5, shaping=1.0), 0
        )


def test_the_learner_of_a_method_that_keeps_offline_data_shapes_both(run, monkeypatch, small_pretraining):
    folder, judge = run
    monkeypatch.setattr(learner_verb, "spec_of", lambda _: SPEC)
    monkeypatch.setattr("factory.sources.spec_of", lambda _: SPEC)
    monkeypatch.setattr(learner_verb, "with_compile", lambda *_: small_pretraining.agent)
    with contextlib.ExitStack() as stack:
        learner = open_learner(settings(folder, "finetune.replay_bytes=1e7"), stack)
        stack.callback(learner.store.close)
        offline = everything(learner.trainer.source.offline)
        assert offline.reward.min() < -1.0 - 1e-3  # a step that costs 1 and loses by the discount of its potential
    assert judge.looks > 0
