"""A person's word changes what an episode in the replay teaches, to what it would have taught from the beginning."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, BlobWorld, record
from helpers.replay_world import GAMMA, assert_same, episode, everything, make

from policies.learner.learner_config import LearnerConfig
from policies.learner.metrics import read_metrics
from policies.learner.run_folder import RunFolder
from policies.replay.source_weights import SourceWeights
from robot.link.certificates import run_pair
from robot.link.client import LearnerClient
from robot.link.server import LinkServer
from trajectories.errors import ConfigError
from trajectories.labels import monte_carlo_returns, relabel, sparse_labels
from trajectories.types import Source
from trajectories.verdicts import Verdict, VerdictBook

CONFIG = LearnerConfig(
    steps=400, warmup_steps=300, utd=2, batch=32, max_lag=40,
    publish_every=100, checkpoint_every=10, snapshot_every=100, log_every=50,
)  # fmt: skip


def labels(steps, outcome):
    rewards, terminated = sparse_labels(steps, outcome)
    truncated = np.zeros(steps, bool)
    truncated[-1] = outcome != "success"
    returns = monte_carlo_returns(rewards, terminated, truncated, GAMMA)
    return {"rewards": rewards, "terminated": terminated, "truncated": truncated, "mc_returns": returns}


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("outcome", ["success", "failure"])
@pytest.mark.parametrize("capacity", [1000, 22])
def test_a_relabelled_episode_is_as_if_it_had_been_added_so(n, place, outcome, capacity):
    other = {"success": "failure", "failure": "success"}[outcome]
    weights = SourceWeights(person=3.0)
    first, second = (make(capacity, n, weights=weights, transitions=60) for _ in range(2))
    for number in range(4):  # with a capacity of 22 frames the first has made room for the last
        chosen = np.arange(6) % 2 == 1
        common = {"instruction": (number, 9), "source": chosen.astype(np.uint8)}
        told = {
            name: {**labels(6, name), **common, "imitate": chosen & (name == "success")} for name in (outcome, other)
        }
        wrong = number == place + (capacity == 22)
        first.add_episode(**episode(number, 6, **told[other if wrong else outcome]))
        second.add_episode(**episode(number, 6, **told[outcome]))
    fixed = labels(6, outcome)
    del fixed["truncated"]
    first.relabel(place, **fixed, worth_copying=outcome == "success")
    assert first.episodes == (3 if capacity == 22 else 4)
    assert_same(everything(first), everything(second))
    assert torch.equal(first.sample(64).action, second.sample(64).action)


def test_labels_of_another_length_are_refused():
    replay = make()
    replay.add_episode(**episode(0, 6))
    fixed = labels(5, "success")
    del fixed["truncated"]
    with pytest.raises(ConfigError, match=r"\(6,\)"):
        replay.relabel(0, **fixed, worth_copying=True)


def online(count, outcomes, seed=3):
    """Random episodes of 20 steps of a policy; every third step is a person's."""
    episodes = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        world = BlobWorld(rng, "red", ("forward", "backward")[number % 2])
        world.reset()
        act = lambda _, rng=rng: rng.uniform(-1, 1, 7)  # noqa: E731
        one = record(world, act, steps=20, source=Source.POLICY, outcome=outcomes[number])
        source = np.where(np.arange(20) % 3 == 0, int(Source.PERSON), int(Source.POLICY)).astype(np.uint8)
        episodes.append(replace(one, source=source))
    return episodes


@pytest.fixture
def learners(open_learner):
    return partial(open_learner, config=CONFIG)


def said(episode, word, at=1):
    return Verdict(episode.id, word, "Anna", "console", at, "aa")


def held(learner):
    return everything(learner._kept.replay)


def test_a_word_relabels_the_replay_of_a_running_learner_and_after_restarts(learners, tmp_path):
    """A success that was none, a failure that was none, through the link and beside it; and both taken back."""
    episodes = online(4, ["success", "failure", "success", "failure"])
    as_told = [relabel(episodes[0], "failure"), relabel(episodes[1], "success"), *episodes[2:]]
    judged, told = learners("judged"), learners("told")
    for given, learner in ((episodes, judged), (as_told, told)):
        for one in given:
            learner.put_episode(one)
        learner.train()
    as_judged, as_said = held(judged), held(told)
    assert not torch.equal(as_judged.discount, as_said.discount)
    learner = learners("run")
    pair = run_pair(tmp_path)
    with LinkServer(learner, "127.0.0.1:0", pair) as server, LearnerClient(server.address, pair) as client:
        client.hello(SPEC, learner.digest)
        client.put_verdict(said(episodes[0], "not_done"))  # before its episode has come
        for one in episodes:
            client.put_episode(one)
        learner.train()
        learner.save()  # files with labels that the next word makes wrong
        client.put_verdict(said(episodes[1], "done"))
        client.put_verdict(said(episodes[1], "done"))
        learner.train()
    assert_same(held(learner), as_said)
    assert learner.status.success == told.status.success == {"forward": 0.5, "backward": 0.5}
    learner.close()
    learner = learners("run")
    assert_same(held(learner), as_said)
    assert learner.status.success == told.status.success
    learner.close()
    beside = VerdictBook(RunFolder(tmp_path / "run").episodes)  # as `regrasp review` does
    for number in range(2):
        beside.add(said(episodes[number], "taken_back", at=2))
    learner = learners("run")
    assert_same(held(learner), as_judged)
    beside.add(said(episodes[0], "not_done", at=3))
    beside.add(said(episodes[1], "done", at=3))
    learner.train()
    assert_same(held(learner), as_said)


def test_what_a_word_changes_is_in_the_metrics(learners, tmp_path):
    learner = learners()
    episodes = online(2, ["success", "success"])
    for one in episodes:
        learner.put_episode(one)
    learner.train()
    learner.put_verdict(said(episodes[0], "not_done"))
    learner.train()
    learner.save()
    row = read_metrics(learner.folder.metrics)[-1]
    assert (row["verdict/episode"], row["verdict/outcome"], row["verdict/judged"]) == (
        episodes[0].id, "failure", "success",
    )  # fmt: skip
    assert row["training_success/forward"] == 0.0
    assert row["training_success/backward"] == 1.0


def test_a_word_that_comes_after_a_newer_one_is_kept_and_named(learners, caplog):
    learner, (one,) = learners(), online(1, ["success"])
    learner.put_episode(one)
    for word, at in (("done", 5), ("not_done", 7), ("not_done", 7), ("done", 5)):
        learner.put_verdict(said(one, word, at))
    assert caplog.text == ""
    learner.put_verdict(said(one, "done", 6))
    assert "what Anna said (done)" in caplog.text
    assert "newer word by Anna (not_done), which goes on counting" in caplog.text
    assert learner.verdicts.outcome(one) == "failure"


def test_a_word_about_an_episode_that_never_came_changes_nothing(learners):
    learner = learners()
    (one, never) = online(2, ["success", "success"])
    learner.put_episode(one)
    learner.put_verdict(said(never, "not_done"))
    learner.train()
    assert held(learner).discount[-1] == 0
    assert learner.verdicts.outcome(never) == "failure"
