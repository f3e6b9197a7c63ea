"""The learner as actors see it: durable, without doubles, paced, resumable."""

import errno
import os
import threading
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, BlobWorld, demos, record

from policies.agent.agent import Agent
from policies.agent.checkpoint import load_agent, save_agent
from policies.agent.config import AgentConfig
from policies.learner.learner import Learner
from policies.learner.learner_config import LearnerConfig
from policies.learner.learner_status import LearnerStatus
from policies.learner.metrics import read_metrics
from policies.learner.rate_limiter import UpdateRateLimiter
from policies.learner.run_folder import CONDITIONS, RunFolder
from policies.learner.run_learner import run_learner
from policies.policy import load_policy, save_policy
from robot.fleet import ActorReport
from robot.interfaces import Receipt
from robot.link.certificates import run_pair
from robot.link.client import LearnerClient
from trajectories.conditions import read_conditions
from trajectories.errors import CheckpointError, ConfigError, SpecMismatchError
from trajectories.store import TrajectoryStore
from trajectories.types import RobotSpec, Source

CONFIG = LearnerConfig(
    steps=200, warmup_steps=40, utd=2, batch=32, max_lag=40,
    publish_every=5, checkpoint_every=10, snapshot_every=100, log_every=5,
)  # fmt: skip


@pytest.fixture
def make(open_learner):
    return partial(open_learner, config=CONFIG)


def online(count, seed, length=20):
    """Policy episodes (random actions) of exactly `length` steps, as an actor would send them."""
    episodes = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        world = BlobWorld(rng, "red", ("forward", "backward")[number % 2])
        world.reset()
        world.places["red"] = np.array([0.2, 0.0])  # on neither side
        episode = record(world, lambda _, rng=rng: rng.uniform(-1, 1, 7), steps=length, source=Source.POLICY)
        episodes.append(episode)
    return episodes


def weights_of(agent: Agent):
    return {name: tensor.clone() for name, tensor in agent.state()[0].items()}


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_an_episode_is_durable_and_counts_once(make, tmp_path):
    learner = make()
    first, second = online(2, seed=1)
    assert learner.put_episode(first).steps == 20
    assert learner.put_episode(second).episodes == 2
    receipt = learner.put_episode(first)
    assert (receipt.steps, receipt.episodes) == (40, 2)
    reader = TrajectoryStore(RunFolder(tmp_path / "run").episodes, read_only=True)
    assert reader.ids() == [first.id, second.id]


def test_nothing_is_learned_in_the_warm_up_and_the_replay_starts_empty(make):
    learner = make()
    before = weights_of(learner.trainer.agent)
    assert len(learner._kept.replay) == 0
    for episode in online(2, seed=2):
        learner.put_episode(episode)
    assert learner.train() == 0
    assert same(before, weights_of(learner.trainer.agent))
    assert learner.weights(0) is None
    assert len(learner._kept.replay) == 40


def test_the_pretrained_agent_is_restored_whole(make, pretrained):
    learner = make()
    saved = load_agent(pretrained / "agent.safetensors", SPEC).agent
    assert same(weights_of(saved), weights_of(learner.trainer.agent))
    assert any(name.startswith("optimiser.") for name in weights_of(learner.trainer.agent))


def test_every_step_after_the_warm_up_pays_for_one_update(make):
    learner = make()
    for episode in online(3, seed=3):
        learner.put_episode(episode)
    critics, actors = learner.trainer.agent.critic_updates, learner.trainer.agent.actor_updates
    assert learner.owed == 20
    assert learner.train(7) == 7
    assert learner.owed == 13
    assert learner.train() == 13
    assert learner.trainer.agent.phase == "online"
    assert learner.trainer.agent.critic_updates - critics == 20 * CONFIG.utd
    assert learner.trainer.agent.actor_updates - actors == 20


def test_critic_only_leaves_the_policy_as_it_is(make):
    learner = make(config=replace(CONFIG, critic_only=15))
    for episode in online(3, seed=3):
        learner.put_episode(episode)
    policy = learner.trainer.agent.actor_weights()
    learner.train(15)
    assert same(policy, learner.trainer.agent.actor_weights())
    learner.train(1)
    assert not same(policy, learner.trainer.agent.actor_weights())


def test_an_agent_that_diverged_is_neither_published_nor_saved(make):
    learner = make()
    for episode in online(3, seed=3):
        learner.put_episode(episode)
    learner.train(1)
    learner.save()
    before, version = learner.folder.checkpoint.read_bytes(), learner.status.version
    with torch.no_grad():
        learner.trainer.agent.critics.out_bias[0] = torch.nan
    for use in (learner.train, learner.save):
        with pytest.raises(CheckpointError, match=r"Learning diverged: after \d+ updates"):
            use()
    assert learner.folder.checkpoint.read_bytes() == before
    assert learner.status.version == version
    with torch.no_grad():
        learner.trainer.agent.critics.out_bias[0] = 0.0
        for parameter in (*learner.trainer.agent.actor.parameters(), *learner.trainer.agent.critics.parameters()):
            parameter.nan_to_num_()


def test_the_actor_waits_while_the_learner_is_too_far_behind(make):
    learner = make()
    for episode in online(5, seed=4):
        learner.put_episode(episode)
    assert learner.owed == 60
    assert not learner.may_act(0.0)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(learner.may_act(20.0)))
    waiting.start()
    learner.train()
    waiting.join()
    assert answers == [True]


@pytest.mark.parametrize(
    ("steps", "updates", "owed", "trained"), [(30, 0, 0, 30), (40, 0, 0, 40), (70, 10, 20, 50), (70, 30, 0, 70)]
)
def test_pace_counts(steps, updates, owed, trained):
    pace = UpdateRateLimiter(40, steps=steps, updates=updates)
    assert (pace.owed, pace.trained_steps) == (owed, trained)
    assert pace.wait_until_due(0.0) == (owed > 0)
    assert pace.wait_for_turn("a", owed, 0.0)
    pace.add_steps(50 - steps if steps < 40 else 1)
    assert pace.wait_until_due(0.0)
    assert not pace.wait_for_turn("a", pace.owed - 1, 0.0)
    pace.add_update()
    assert pace.updates == updates + 1
    assert pace.owed == max(0, pace.steps - 40 - pace.updates)


def test_published_weights_load_and_act_as_the_agent(make, pretrained):
    learner = make()
    for episode in online(3, seed=5):
        learner.put_episode(episode)
    learner.train()
    weights = learner.weights(0)
    assert weights.version == 4  # 20 updates, one version every 5
    assert learner.weights(weights.version) is None
    policy = load_policy(pretrained)
    policy.load(weights)
    assert policy.version == 4
    observation = BlobWorld(np.random.default_rng(0)).reset()
    state = torch.from_numpy(learner.perception.state(observation))[None]
    row = learner.perception.instruction(observation.instruction)
    expected = learner.trainer.agent.act(state, learner.trainer.agent.table[row : row + 1], deterministic=True)[0]
    assert np.allclose(policy.act(observation, deterministic=True), expected.numpy(), atol=1e-5)


def test_resume_goes_on_bit_for_bit(make):
    episodes = online(6, seed=6)
    whole = make("whole")
    for episode in episodes[:4]:
        whole.put_episode(episode)
    whole.train()
    for episode in episodes[4:]:
        whole.put_episode(episode)
    whole.train()

    half = make("half")
    for episode in episodes[:4]:
        half.put_episode(episode)
    half.train()
    half.close()
    again = make("half")
    assert again.put_episode(episodes[0]).steps == 80  # acknowledged before: counts once
    for episode in episodes[4:]:
        again.put_episode(episode)
    again.train()
    assert same(weights_of(whole.trainer.agent), weights_of(again.trainer.agent))


def test_a_kill_loses_no_episode_and_repeats_no_version(make, tmp_path):
    learner = make()
    episodes = online(4, seed=7)
    for episode in episodes[:3]:
        learner.put_episode(episode)
    learner.train()  # 20 updates, checkpoints at 10 and 20, versions to 4
    for episode in episodes[3:]:
        learner.put_episode(episode)
    learner.train(8)  # updates and version 5 that no checkpoint knows
    killed_at = learner.weights(0).version
    learner.store.close()  # what a kill leaves: no save
    again = make()
    assert again.status.steps == 80
    assert again.owed == 20
    assert again.weights(killed_at).version == killed_at + 1
    again.train()
    assert again.owed == 0


def test_a_run_of_another_policy_is_refused(make, tmp_path, pretrained):
    learner = make()
    learner.close()
    other = tmp_path / "other"
    policy = load_policy(pretrained)
    agent = load_agent(pretrained / "agent.safetensors", SPEC).agent
    with torch.no_grad():
        next(agent.actor.parameters()).add_(1.0)
    save_policy(other, policy.perception, policy.networks, agent.actor_weights())
    save_agent(other / "agent.safetensors", agent, SPEC, {"features": policy.perception.digest})
    with pytest.raises(CheckpointError, match=r"was made with policy = .* Go on with the pre-trained folder"):
        Learner(tmp_path / "run", other, SPEC, CONFIG)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"utd": 3}, r"utd = 2.*ask for 3"), ({"batch": 16}, "batch = 32"), ({"warmup_steps": 20}, "warmup_steps = 40"),
        ({"critic_only": 5}, "critic_only = 0"), ({"person_weight": 2.0}, r"person_weight = 1\.0"),
        ({"replay_bytes": 10_000}, "replay_bytes"), ({"method": "sac"}, "method = 'regrasp'"),
    ],
)  # fmt: skip
def test_a_run_does_not_go_on_under_other_settings(make, changes, match):
    make().close()
    with pytest.raises(ConfigError, match=f"{match}.*accept_changes"):
        make(config=replace(CONFIG, **changes))
    make(config=replace(CONFIG, steps=300, publish_every=7, checkpoint_every=7, max_lag=60)).close()


def test_losses_of_a_run_do_not_change_unless_a_person_accepts_it(make, tmp_path):
    first = make()
    agent = first.trainer.agent.config
    first.close()
    slower = replace(CONFIG, agent=replace(agent, critic_lr=agent.critic_lr / 2))
    with pytest.raises(ConfigError, match=r"agent\.critic_lr = 0\.0003, the settings ask for 0\.00015"):
        make(config=slower)
    make(config=replace(slower, accept_changes=True)).close()
    before, after = read_conditions(tmp_path / "run" / CONDITIONS)
    assert (before["agent"]["critic_lr"], after["agent"]["critic_lr"]) == (0.0003, 0.00015)
    make(config=slower).close()


def test_hello_refuses_what_does_not_belong(make):
    learner = make()
    assert learner.hello(SPEC, learner.digest) == 0
    with pytest.raises(CheckpointError, match="same pre-trained folder"):
        learner.hello(SPEC, "0" * 64)
    with pytest.raises(SpecMismatchError):
        learner.hello(RobotSpec(control_hz=10.0), learner.digest)


def test_an_unknown_instruction_is_refused_before_it_is_stored(make):
    learner = make()
    (episode,) = online(1, seed=8)
    with pytest.raises(ConfigError, match="does not know the instruction"):
        learner.put_episode(replace(episode, instruction="sing"))
    assert len(learner.store) == 0


def test_retention_mixes_offline_data_and_none_keeps_nothing(make, demo_store):
    stores = [TrajectoryStore(demo_store, read_only=True)]
    mixed = make("mixed", config=replace(CONFIG, retention=0.5), offline=stores, task="red_disc")
    plain = make("plain", offline=stores, task="red_disc")
    for learner in (mixed, plain):
        for episode in online(3, seed=9):
            learner.put_episode(episode)
        learner.train(1)
    assert (mixed.trainer.source.sample(64).source == Source.EXPERT).float().mean() == 0.5
    assert not (plain.trainer.source.sample(64).source == Source.EXPERT).any()
    assert mixed.trainer.agent.phase == "online"


@pytest.mark.parametrize(
    "changes",
    [
        {"retention": 1.0},
        {"retention": -0.1},
        {"warmup_steps": 200},
        {"utd": 0},
        {"critic_only": -1},
    ],
)
def test_contradicting_settings_are_refused(changes):
    with pytest.raises(ConfigError):
        replace(CONFIG, **changes)


def test_labels_come_from_the_outcome_not_from_the_stored_rewards(make):
    learner = make()
    (episode,) = demos(1, seed=10)
    assert episode.outcome == "success"
    wrong = replace(episode, rewards=np.full(len(episode), 9, np.float32), terminated=np.zeros(len(episode), bool))
    learner.put_episode(wrong)
    learner.train()
    batch = learner._kept.replay.gather(torch.arange(len(episode)))
    assert batch.reward.tolist() == [-1.0] * (len(episode) - 3) + [0.0] * 3
    assert batch.discount[-3:].tolist() == [0.0] * 3


def test_metrics_show_the_training_stream_in_both_directions(make, tmp_path):
    learner = make()
    first, second, third = online(3, seed=11)
    learner.put_episode(replace(first, outcome="success", metadata={"evaluation": {"success": False}}))
    learner.put_episode(second)
    learner.put_episode(third)
    learner.train()
    learner.close()
    rows = read_metrics(RunFolder(tmp_path / "run").metrics)
    assert rows[0]["episode/outcome"] == "success"
    assert rows[0]["episode/predicate"] == 0.0
    assert rows[0]["episode/return"] == -17.0
    assert [row["step"] for row in rows[:3]] == [20, 40, 60]
    assert rows[2]["training_success/forward"] == 0.5
    assert rows[2]["training_success/backward"] == 0.0
    assert any("updates_per_s" in row for row in rows)
    assert list((tmp_path / "run" / "metrics" / "tensorboard").iterdir())


def test_the_process_serves_trains_and_ends_with_policies_of_the_way(make, tmp_path, pretrained):
    learner = make()
    ready = threading.Event()
    address = []

    def actor():
        ready.wait(20)
        with LearnerClient(address[0], run_pair(tmp_path)) as client:
            client.hello(SPEC, learner.digest)
            for episode in online(10, seed=12):
                while not client.may_act(1.0):
                    pass
                client.put_episode(episode)
            assert client.finished()

    def on_ready(where):
        address.append(where)
        ready.set()

    thread = threading.Thread(target=actor)
    thread.start()
    assert run_learner(learner, "127.0.0.1:0", run_pair(tmp_path), on_ready=on_ready, linger_s=0.2)
    thread.join()
    assert learner.status.updates == 160
    snapshots = sorted(path.name for path in (tmp_path / "run" / "snapshots").iterdir())
    assert snapshots == ["step_100", "step_200"]
    load_policy(tmp_path / "run" / "snapshots" / "step_200", SPEC)


def test_a_run_that_is_complete_waits_for_the_actor_that_is_only_starting(make, tmp_path):
    learner = make()
    for episode in online(10, seed=12):
        learner.put_episode(episode)
    learner.train()
    learner.close()
    again, told = make(), []
    assert again.complete
    shown = []

    def on_ready(where):
        def actor():
            learner_has_time.wait(20)
            with LearnerClient(where, run_pair(tmp_path)) as client:
                client.report = lambda: ActorReport("holds", "kdqx3: a hand")
                client.hello(SPEC, again.digest)
                shown.append(until_shown(again.folder.status, "holds"))
                told.append(client.finished())

        thread.append(threading.Thread(target=actor))
        thread[0].start()

    learner_has_time, thread = threading.Event(), []
    threading.Timer(0.5, learner_has_time.set).start()
    assert run_learner(again, "127.0.0.1:0", run_pair(tmp_path), on_ready=on_ready, linger_s=0.2)
    thread[0].join()
    assert told == [Receipt(200, 10)]
    assert [(one.alive, one.report.detail) for one in shown] == [(True, "kdqx3: a hand")]


def until_shown(path, state):
    """The only actor in a learner's status file, as soon as it is in this state; None when it never is."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for one in LearnerStatus.read(path).actors:
            if one.report.state == state:
                return one
        time.sleep(0.05)
    return None


def test_a_full_disk_ends_no_learning_and_the_last_policy_waits_for_room(make, tmp_path, monkeypatch):
    said = []
    learner = make(notify=said.append)
    write, refused = learner.trainer.save, []

    def save(progress):
        if len(refused) < 17:  # all 16 on the way, and once at the end
            refused.append(progress)
            error = CheckpointError("learner.safetensors can't be written (No space left on device).")
            raise error from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(progress)

    monkeypatch.setattr(learner.trainer, "save", save)
    monkeypatch.setattr(learner._writes, "_pause_ns", 0)
    for episode in online(10, seed=12):
        learner.put_episode(episode)
    assert learner.train() == 160
    assert len(refused) == 17
    assert "Learning goes on; the checkpoint is tried again until the disk has room." in said[0]
    assert len(said) == 3
    assert "The disk has room again" in said[-1]
    learner.close()
    assert make().status.updates == 160


def test_a_stop_saves(make, tmp_path):
    learner = make()
    for episode in online(3, seed=13):
        learner.put_episode(episode)
    stop = threading.Event()

    def after_a_turn(status):
        if status.updates >= 8:
            stop.set()

    assert not run_learner(learner, "127.0.0.1:0", run_pair(tmp_path), on_status=after_a_turn, stop=stop)
    assert make().status.updates == 8


def test_a_run_with_shaping_noted_the_same_clamp_before_it_was_lowered():
    """The clamp is lower by what shaping is worth, which is a condition by itself."""
    plain, agent = LearnerConfig(), AgentConfig()
    lowered = replace(agent, target_range=(agent.target_range[0] - 10.0, agent.target_range[1]))
    shaped = replace(plain, shaping=10.0).conditions(lowered)
    assert shaped == {**plain.conditions(agent), "shaping": 10.0}
