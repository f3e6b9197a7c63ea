"""The online trainer by itself: when it updates, in which phase, from which data, and what a checkpoint keeps of it."""

from dataclasses import replace

import pytest
import torch
from helpers.line_world import ENV, line_data, small_agent

from policies.agent.agent import Agent
from policies.agent.config import PhaseConfig
from policies.gym.checkpoint import OnlineCheckpoint
from policies.gym.preparation import Preparation
from policies.gym.settings import DataSettings, Job
from policies.learner.online_trainer import OnlineTrainer
from policies.learner.schedule import Schedule
from policies.learner.training_state import begin_or_resume
from policies.replay.mixed_replay import MixedReplay
from trajectories.errors import CheckpointError
from trajectories.types import Source

WARMUP = PhaseConfig(critic_only=True, cql_alpha=0.5, cql_actions=2)
JOB = Job(ENV, small_agent(warmup=WARMUP, online=PhaseConfig(actor_delay=4)), DataSettings(), seed=3)
SCHEDULE = Schedule(batch=8, utd=2, warmup_steps=10, critic_only=3)
PREPARATION = Preparation.fit(JOB.data, JOB.agent.gamma, 2, None)
IDENTITY = JOB.identity(schedule="of this test")


class Opened:
    """A trainer with its online replay, and what it logged."""

    def __init__(self, path, *, schedule=SCHEDULE, mixed=True, episodes=0, steps=0, identity=IDENTITY, log_every=1):
        self.rows = []
        file = OnlineCheckpoint(path, PREPARATION, "cpu")
        state = begin_or_resume(file, identity, lambda: Agent(JOB.agent, 2, 0, 1, seed=5))
        self.replay = PREPARATION.empty_replay(1, 1000, 1, "cpu")
        self.fill(episodes)
        source = self.replay
        if mixed:
            source = MixedReplay(source, PREPARATION.offline_replay(line_data(20, seed=7), 2, "cpu"), 0.25)
        self.trainer = OnlineTrainer(
            state, file, schedule, source,
            steps=steps, log_every=log_every, log=self.rows.append, advice="Look.",
        )  # fmt: skip

    def fill(self, episodes):
        for episode in line_data(max(1, episodes)).episodes[:episodes]:
            PREPARATION.add(self.replay, episode, Source.POLICY)

    def act(self, steps):
        self.trainer.pace.add_steps(steps)
        done = 0
        while self.trainer.update():
            done += 1
        return done

    def tensors(self):
        return {name: tensor.clone() for name, tensor in self.trainer.agent.state()[0].items()}


def assert_same(left, right):
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_updates_wait_for_the_warm_up_and_for_an_episode_and_follow_the_phases(tmp_path):
    opened = Opened(tmp_path / "file")
    assert opened.act(15) == 0  # 5 are due, and there is nothing to learn from
    opened.fill(1)
    trainer = opened.trainer
    assert [trainer.update() for _ in range(4)] == [True] * 4
    assert (trainer.updates, trainer.agent.phase) == (4, "online")
    assert opened.act(0) == 1
    assert opened.act(2) == 2
    assert trainer.agent.critic_updates == 7 * SCHEDULE.utd
    # the 4th to the 7th update are of the phase "online", whose actor steps when critic updates are a multiple of 4
    assert trainer.agent.actor_updates == 2


def test_steps_one_by_one_and_at_once_teach_the_same(tmp_path):
    one_by_one, at_once = Opened(tmp_path / "a", episodes=3), Opened(tmp_path / "b", episodes=3)
    assert sum(one_by_one.act(1) for _ in range(25)) == 15
    assert at_once.act(25) == 15
    assert_same(one_by_one.tensors(), at_once.tensors())
    assert one_by_one.rows == at_once.rows


@pytest.mark.parametrize("stop", [12, 13, 20])
def test_saved_and_opened_again_it_goes_on_to_the_bit_and_so_do_its_rows(tmp_path, stop):
    whole = Opened(tmp_path / "whole", episodes=3)
    whole.act(30)
    half = Opened(tmp_path / "half", episodes=3)
    half.act(stop)
    half.trainer.save({"kept": "by the feeder"})
    again = Opened(tmp_path / "half", episodes=3, steps=stop)
    assert again.trainer.updates == stop - 10
    again.act(30 - stop)
    assert_same(whole.tensors(), again.tensors())
    assert half.rows + again.rows == whole.rows


def test_rows_have_the_newest_losses_of_the_present_phase(tmp_path):
    opened = Opened(tmp_path / "file", episodes=3)
    opened.act(18)
    actor = [("actor/loss" in row, row.get("actor/loss")) for row in opened.rows]
    # updates 1 to 3 train critics alone; the actor steps with the 4th, 6th and 8th
    assert [there for there, _ in actor] == [False] * 3 + [True] * 5
    assert actor[3] == actor[4] != actor[5] == actor[6] != actor[7]
    assert ["critic/gap" in row for row in opened.rows] == [True] * 3 + [False] * 5


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    Opened(tmp_path / "file", episodes=1).trainer.save({})
    with pytest.raises(CheckpointError, match=r"schedule = 'of this test', the settings ask for 'another'"):
        Opened(tmp_path / "file", identity=IDENTITY | {"schedule": "another"})


def test_draws_that_do_not_fit_are_begun_anew_with_a_warning(tmp_path, caplog):
    opened = Opened(tmp_path / "file", episodes=3)
    opened.trainer.save({})
    assert "new seed" not in caplog.text
    again = Opened(tmp_path / "file", episodes=2)  # the third is gone
    assert "the draws go on from a new seed" in caplog.text
    assert again.act(12) == 2


def test_a_schedules_phase(tmp_path):
    assert [replace(SCHEDULE, critic_only=2).phase(updates) for updates in (0, 1, 2)] == ["warmup", "warmup", "online"]
