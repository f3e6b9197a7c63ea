"""Training on a data set and online: interrupted or not the same, on schedule, and it learns."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.line_world import ENV, line_data, small_agent

from policies.agent.methods import METHODS, method
from policies.gym import checkpoint
from policies.gym.checkpoint import load_checkpoint, save_checkpoint
from policies.gym.environment import make_env
from policies.gym.evaluation import evaluate, success_of
from policies.gym.offline import OfflineTraining
from policies.gym.online import OnlineTraining
from policies.gym.settings import DataSettings, EvaluationSettings, Job, OfflineSettings, OnlineSettings
from policies.learner.metrics import read_metrics
from trajectories.errors import CheckpointError, ConfigError, InvalidEpisodeError

JOB = Job(ENV, small_agent(), DataSettings(normalise=True), EvaluationSettings(episodes=2), seed=3)
OFFLINE = OfflineSettings(steps=40, batch=32, evaluate_every=15, checkpoint_every=10, log_every=5)
ONLINE = OnlineSettings(
    steps=120, batch=16, utd=2, warmup_steps=40, critic_only=5, capacity=500,
    evaluate_every=30, checkpoint_every=25, log_every=10,
)  # fmt: skip


class Interrupted(Exception):
    """The power went."""


def at(stop):
    """A progress callback that breaks off when `stop` steps are done."""

    def callback(stage, done, total):
        if done == stop:
            raise Interrupted

    return callback


def run(training, progress=None):
    try:
        training.run(progress)
    except Interrupted:
        pass
    finally:
        training.close()
    return training


def pretrain(folder, job=JOB, settings=OFFLINE, progress=None):
    return run(OfflineTraining(job, settings, line_data(), folder), progress)


def finetune(folder, start=None, job=JOB, settings=ONLINE, progress=None):
    data = line_data() if settings.offline_ratio > 0 or start is None else None
    return run(OnlineTraining(job, settings, folder, start=start, data=data), progress)


def assert_same_state(left, right):
    mine, theirs = left.policy.agent.state(), right.policy.agent.state()
    assert mine[1] == theirs[1]
    assert mine[0].keys() == theirs[0].keys()
    for name, tensor in mine[0].items():
        assert torch.equal(tensor, theirs[0][name]), name


def metrics(folder):
    return [{key: value for key, value in row.items() if key != "wall_s"} for row in read_metrics(folder / "metrics")]


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return pretrain(tmp_path_factory.mktemp("start")).path


def test_offline_training_interrupted_and_resumed_is_the_same_to_the_bit(tmp_path):
    whole = pretrain(tmp_path / "whole")
    settings = replace(OFFLINE, checkpoint_every=7)
    broken = pretrain(tmp_path / "broken", settings=settings, progress=at(20))
    assert broken.updates == 20  # the last checkpoint is of 14
    resumed = OfflineTraining(JOB, settings, line_data(), tmp_path / "broken")
    assert resumed.updates == 14
    assert_same_state(run(resumed), whole)
    assert metrics(tmp_path / "broken") == metrics(tmp_path / "whole")
    assert [row["step"] for row in metrics(tmp_path / "whole") if "eval/stochastic/return" in row] == [15, 30, 40]


@pytest.mark.parametrize("ratio", [0.0, 0.5])
@pytest.mark.parametrize("stop", [33, 77])
def test_online_training_interrupted_and_resumed_is_the_same_to_the_bit(tmp_path, start, ratio, stop):
    settings = replace(ONLINE, offline_ratio=ratio)
    whole = finetune(tmp_path / "whole", start, settings=settings)
    assert whole.updates > 60
    finetune(tmp_path / "broken", start, settings=settings, progress=at(stop))
    resumed = OnlineTraining(JOB, settings, tmp_path / "broken", start=start, data=line_data() if ratio else None)
    assert 0 < resumed.steps <= stop
    run(resumed)
    assert (resumed.steps, resumed.updates) == (whole.steps, whole.updates)
    assert_same_state(resumed, whole)
    everything = torch.arange(len(whole._replay))
    mine, theirs = resumed._replay.gather(everything), whole._replay.gather(everything)
    assert torch.equal(mine.state, theirs.state)
    assert torch.equal(mine.mc_return, theirs.mc_return)
    assert metrics(tmp_path / "broken") == metrics(tmp_path / "whole")
    assert len(list((tmp_path / "broken").glob("replay_*"))) == 1


def test_draws_of_a_checkpoint_from_before_the_online_trainer_go_on(tmp_path, start):
    settings = replace(ONLINE, offline_ratio=0.5)
    finetune(tmp_path / "broken", start, settings=settings, progress=at(77))
    path = tmp_path / "broken" / "agent.safetensors"
    saved = load_checkpoint(path)
    draws = {name.removeprefix("offline."): t for name, t in saved.tensors.items() if name.startswith("offline.")}
    progress = {name: value for name, value in saved.progress.items() if name != "losses"}
    assert draws.keys() == {"generator", "added"}
    save_checkpoint(path, saved.agent, saved.preparation, saved.identity, progress, draws)
    whole = finetune(tmp_path / "whole", start, settings=settings)
    assert_same_state(finetune(tmp_path / "broken", start, settings=settings), whole)


def test_a_kill_between_the_files_of_a_checkpoint_leaves_the_one_before(tmp_path, start, monkeypatch):
    saved = []

    def killed(path, *rest):
        if len(saved) == 2:
            raise Interrupted
        saved.append(path)
        save_checkpoint(path, *rest)

    monkeypatch.setattr(checkpoint, "save_checkpoint", killed)
    finetune(tmp_path / "broken", start)
    assert len(list((tmp_path / "broken").glob("replay_*"))) == 2  # the newest belongs to no checkpoint
    monkeypatch.undo()
    assert_same_state(finetune(tmp_path / "broken", start), finetune(tmp_path / "whole", start))


def test_more_steps_go_on_as_if_they_had_been_asked_for_at_once(tmp_path, start):
    finetune(tmp_path / "twice", start, settings=replace(ONLINE, steps=70))
    twice = finetune(tmp_path / "twice", start)
    assert_same_state(twice, finetune(tmp_path / "once", start))
    again = finetune(tmp_path / "twice", start)
    assert (again.steps, again.updates) == (twice.steps, twice.updates)


def test_another_seed_gives_other_numbers_and_evaluating_changes_none(tmp_path, start):
    base = finetune(tmp_path / "base")
    other = finetune(tmp_path / "other", job=replace(JOB, seed=4))
    assert not torch.equal(base.policy.agent.actor.head.weight, other.policy.agent.actor.head.weight)
    often = finetune(tmp_path / "often", settings=replace(ONLINE, evaluate_every=7))
    assert_same_state(base, often)


def test_updates_start_after_the_warm_up_and_after_one_episode_and_phases_follow(tmp_path, start):
    phases = []

    def watch(stage, done, total):
        phases.append((done, training.updates, training.policy.agent.phase))

    training = OnlineTraining(JOB, ONLINE, tmp_path / "a", start=start)
    run(training, watch)
    assert phases[39][1] == 0  # 40 steps done: the warm-up
    assert phases[40] == (41, 1, "warmup")
    assert phases[44] == (45, 5, "warmup")
    assert phases[45] == (46, 6, "online")
    assert phases[-1][1] == training.steps - 40
    assert training.policy.agent.critic_updates == 40 + 2 * training.updates
    assert training.policy.agent.actor_updates == 40 + training.updates - 5  # none of the 5 critic-only updates
    episodes = []
    training = OnlineTraining(JOB, replace(ONLINE, warmup_steps=0, batch=24), tmp_path / "b", start=start)
    run(training, lambda stage, done, total: episodes.append((training._episodes, training.updates)))
    waiting = [ended for ended, _ in episodes].count(0)  # the steps of the first episode
    assert 0 < waiting <= 10
    assert [updates for _, updates in episodes] == [0] * waiting + [*range(1, len(episodes) - waiting + 1)]


def test_the_replay_tells_time_limits_from_ends(tmp_path, start):
    training = finetune(tmp_path, start)
    batch = training._replay.gather(torch.arange(len(training._replay)))
    state, after = (training.policy.preparation.mean + x * training.policy.preparation.spread
                    for x in (batch.state.numpy(), batch.next_state.numpy()))  # fmt: skip
    there = np.abs(after[:, 0] - after[:, 1]) < 0.15
    np.testing.assert_array_equal(batch.discount.numpy() == 0, there)
    np.testing.assert_array_equal(batch.reward.numpy() == 0, there)
    np.testing.assert_allclose(after[:, 0] - state[:, 0], 0.2 * batch.action[:, 0], atol=2e-5)  # its own next state
    np.testing.assert_allclose(after[:, 1], state[:, 1], atol=1e-6)
    assert 0 < there.sum() < training._episodes


def test_from_scratch_the_warm_up_is_uniform(tmp_path):
    training = finetune(tmp_path, settings=replace(ONLINE, steps=400, warmup_steps=400, capacity=1000))
    actions = training._replay.gather(torch.arange(400)).action.numpy()
    assert abs(actions.mean()) < 0.1  # standard error 0.03
    assert actions.var() == pytest.approx(1 / 3, abs=0.06)


def test_evaluation_meets_the_same_starts_and_counts_success(start, tmp_path):
    policy = finetune(tmp_path, start).policy
    env = make_env(ENV)
    settings = EvaluationSettings(episodes=5, seed=9)
    first, second = (evaluate(policy, env, settings, "stochastic") for _ in range(2))
    assert first == second
    assert evaluate(policy, env, replace(settings, seed=10), "stochastic") != first
    for result in first:
        assert result.total == -(result.steps - result.success)
    assert success_of({"is_success": 1.0}, None) is True
    assert success_of({"success": False}, True) is True
    assert success_of({}, None) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"success": True}, True),
        ({"is_success": np.float32(0.0)}, False),
        ({"success": np.array([True])}, True),
        ({"is_success": {"task": False}}, False),  # robomimic's
        ({"is_success": {"task": True, "grasp": False}}, True),
        ({}, None),
    ],
)
def test_success_is_read_as_it_is_said(said, expected):
    assert success_of(said, None) is expected
    assert success_of(said, True) is True


@pytest.mark.parametrize(
    "said",
    [np.array([False, False]), {"grasp": True}, {"task": [1, 0]}, "no", None, float("nan"), 0.5, {}, []],
)
def test_a_success_that_is_neither_true_nor_false_is_refused(said):
    with pytest.raises(InvalidEpisodeError, match=r'info\["is_success"\].* expected true or false'):
        success_of({"is_success": said}, None)


def test_an_environment_that_breaks_leaves_the_last_good_checkpoint(tmp_path, start):
    """NaN from step 7 of the fifth episode on, as unstable physics gives it."""
    settings = replace(ONLINE, evaluate_every=1000, checkpoint_every=1)
    training = OnlineTraining(JOB, settings, tmp_path, start=start)
    line, step, reset = training._env.unwrapped, training._env.unwrapped.step, training._env.unwrapped.reset
    count = [0, 0]  # episodes, steps

    def counted_reset(**options):
        count[:] = count[0] + 1, 0
        return reset(**options)

    def broken_step(action):
        count[1] += 1
        seen, *rest = step(action)
        return (np.full_like(seen, np.nan) if count[0] >= 5 and count[1] >= 7 else seen, 0.0, False, *rest[2:])

    line.step, line.reset = broken_step, counted_reset
    with pytest.raises(InvalidEpisodeError, match=r"test/Line-v0 observed nan in entry 0 of 2 at step 7"):
        training.run()
    training.close()
    saved = load_checkpoint(tmp_path / "agent.safetensors")
    assert saved.progress["episodes"] == 4
    assert all(torch.isfinite(tensor).all() for tensor in saved.agent.state()[0].values() if tensor.is_floating_point())


def test_a_diverged_agent_does_not_replace_a_good_checkpoint(tmp_path):
    training = OfflineTraining(JOB, replace(OFFLINE, evaluate_every=1000), line_data(), tmp_path)
    broken = []

    def spoil(stage, done, total):
        with torch.no_grad():
            next(training.policy.agent.actor.parameters()).fill_(float("nan"))
        broken.append(done)

    with pytest.raises(CheckpointError, match=r"actor\S* .*not finite.*as it was.*data\.normalise"):
        training.run(spoil)
    training.close()
    assert broken == [20]  # progress is told every 20 updates, after the checkpoint of these
    assert load_checkpoint(training.path).progress["steps"] == 20


def test_other_settings_are_refused_with_the_first_difference(tmp_path, start):
    pretrain(tmp_path / "a")
    with pytest.raises(CheckpointError, match=r"data\.reward_scale = 1\.0, the settings ask for 2\.0"):
        pretrain(tmp_path / "a", job=replace(JOB, data=DataSettings(reward_scale=2.0, normalise=True)))
    with pytest.raises(CheckpointError, match=r"trained for 40 updates, more than the 30 asked for"):
        pretrain(tmp_path / "a", settings=replace(OFFLINE, steps=30))
    finetune(tmp_path / "b", start)
    with pytest.raises(CheckpointError, match=r"schedule\.utd = 2, the settings ask for 4"):
        finetune(tmp_path / "b", start, settings=replace(ONLINE, utd=4))
    with pytest.raises(CheckpointError, match="more than the 60 asked for"):
        finetune(tmp_path / "b", start, settings=replace(ONLINE, steps=60))
    with pytest.raises(CheckpointError, match="was made with seed = 3, the settings ask for 5"):
        finetune(tmp_path / "c", start, job=replace(JOB, seed=5))
    with pytest.raises(CheckpointError, match=r"trained with gamma = 0\.9"):
        finetune(tmp_path / "c", start, job=replace(JOB, agent=small_agent(gamma=0.8)))
    with pytest.raises(ConfigError, match="give dataset=FILE"):
        OnlineTraining(JOB, replace(ONLINE, offline_ratio=0.5), tmp_path / "d", start=start)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = pretrain(tmp_path).path
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        pretrain(tmp_path)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="utd=0"):
        replace(ONLINE, utd=0)
    with pytest.raises(ConfigError, match=r"offline_ratio=1\.5"):
        replace(ONLINE, offline_ratio=1.5)
    with pytest.raises(ConfigError, match="steps=0"):
        OfflineSettings(0)
    with pytest.raises(ConfigError, match="expected some of stochastic, deterministic"):
        EvaluationSettings(modes=("best",))


def test_metrics_are_lines_of_json_without_nan(tmp_path, start):
    finetune(tmp_path, start)
    lines = (tmp_path / "metrics" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    steps = [row["step"] for row in rows if "eval/deterministic/success" in row]
    assert steps == [0, 30, 60, 90, 120]
    assert any("online/critic/td" in row for row in rows)
    assert all(0 <= row["train/success"] <= 1 for row in rows if "train/success" in row)


@pytest.mark.parametrize("name", METHODS.own)
def test_every_method_trains_as_it_says(name, tmp_path):
    chosen = method(name, 1, "adroit")
    wide = chosen.agent.networks
    value = None if wide.value_hidden is None else (16,)
    networks = replace(wide, actor_hidden=(16,), critic_hidden=(16,), value_hidden=value)
    job = replace(JOB, agent=replace(chosen.agent, networks=networks))
    begin = None
    if chosen.pretrains:
        before = pretrain(tmp_path / "offline", job, replace(OFFLINE, steps=4))
        begin = before.path
        assert before.policy.agent.actor_updates == (2 if chosen.agent.offline.actor_delay == 2 else 4)
    if not chosen.online:
        return
    settings = replace(ONLINE, steps=60, warmup_steps=40, critic_only=0, offline_ratio=chosen.offline_ratio)
    after = finetune(tmp_path / "online", begin, job, settings)
    weights = after.policy.agent.actor.state_dict()
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
    assert after.updates >= 20
    if begin is not None:
        moved = [
            not torch.equal(tensor, before.policy.agent.actor.state_dict()[key]) for key, tensor in weights.items()
        ]
        assert any(moved)


def test_it_learns_from_data_and_then_online(tmp_path):
    evaluation = EvaluationSettings(episodes=40, modes=("deterministic",))
    job = Job(ENV, small_agent(), DataSettings(), evaluation, seed=1)
    pretrain(tmp_path / "few", job, replace(OFFLINE, steps=1))
    offline = pretrain(tmp_path / "offline", job, replace(OFFLINE, steps=100, batch=64, evaluate_every=100))
    settings = replace(ONLINE, steps=600, batch=64, warmup_steps=100, critic_only=0, evaluate_every=600)
    finetune(tmp_path / "online", offline.path, job, settings)
    rates = [
        [row["eval/deterministic/success"] for row in metrics(folder) if "eval/deterministic/success" in row][-1]
        for folder in (tmp_path / "few", tmp_path / "offline", tmp_path / "online")
    ]
    assert rates[0] < 0.4
    assert rates[1] > 0.45
    assert rates[2] > 0.9


def test_a_critic_that_diverges_is_reported(tmp_path):
    job = replace(JOB, agent=small_agent(critic_lr=30.0, target_range=None))
    with pytest.warns(RuntimeWarning, match="The critic diverges"):
        pretrain(tmp_path / "offline", job=job)
    with pytest.warns(RuntimeWarning, match="The critic diverges"):
        finetune(tmp_path / "online", job=job)
