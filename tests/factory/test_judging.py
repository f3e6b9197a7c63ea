"""A session's judge is measured before a robot is opened."""

import pytest
from helpers.sliding_square import SPEC
from hydra import compose, initialize_config_module

from factory.judging import require_progress, session_judge
from factory.reward import train_reward_model
from rewards.kind import RewardKind
from robot.interfaces import RewardReading
from robot.rollout import judging
from trajectories.errors import ConfigError
from trajectories.registry import Registry


class Clock:
    """Time that passes only while somebody works."""

    now = 0.0

    def monotonic(self):
        return self.now


CLOCK = Clock()


class Judge:
    """Takes the time of its settings."""

    camera = "front"

    def __init__(self, seconds):
        self.seconds = seconds

    def reset(self, instruction):
        if instruction == "take the pot that is on the rack and set it in the sink" and self.seconds < 0:
            raise ConfigError(f"never tried on {instruction!r}")

    def update(self, observation):
        assert observation.images["front"].shape == (96, 96, 3)
        CLOCK.now += self.seconds
        return RewardReading(0.0, False)


class Policy:
    """Takes 10 ms."""

    version = 0

    def act(self, observation, deterministic=False):
        CLOCK.now += 0.01


class JudgeKind(RewardKind):
    """Its judges only take time."""

    def train(self, episodes, task, instructions, spec, settings, folder, progress):
        return ""

    def load(self, folder, spec, settings):
        return Judge(float(settings["seconds"]))


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr("rewards.registry.KINDS", Registry("regrasp.rewards", "kind", {"slow": JudgeKind()}))
    monkeypatch.setattr(judging, "time", CLOCK)

    def found(robot, seconds):
        with initialize_config_module("configs", version_base="1.3"):
            config = compose(
                "actor", [f"run_dir={tmp_path}", f"robot={robot}", "+reward.kind=slow", f"+reward.seconds={seconds}"]
            )
        train_reward_model(config, iter(()), SPEC, lambda stage, share: None)
        return config

    return found


@pytest.mark.parametrize("robot", ["virtual", "widowx"])
def test_the_place_of_the_judge_follows_from_its_time(settings, robot):
    told = []
    assert not session_judge(settings(robot, 0.05), Policy(), told.append).beside
    assert session_judge(settings(robot, 0.12), Policy(), told.append).beside
    assert told == [
        "The judge takes 50 ms, the policy 10 ms: it judges between two steps.",
        "The judge takes 120 ms, the policy 10 ms: it judges beside the motion, so that it decides a step later.",
    ]
    with pytest.raises(ConfigError, match="takes 250 ms for an observation, and 180 ms are allowed"):
        session_judge(settings(robot, 0.25), Policy(), told.append)
    assert [session_judge(settings(robot, taken), None, told.append).beside for taken in (0.07, 0.09)] == [False, True]


def test_in_the_twin_time_waits(settings):
    assert not session_judge(settings("twin", 9.0), Policy(), pytest.fail).beside


@pytest.mark.parametrize("robot", ["twin", "virtual"])
def test_an_instruction_that_the_judge_does_not_know_ends_the_session_before_it_begins(settings, robot):
    config = settings(robot, -1.0)
    with pytest.raises(ConfigError, match="never tried on 'take the pot"):
        session_judge(config, Policy(), pytest.fail)


@pytest.mark.parametrize("key", ["finetune.shaping", "finetune.progress_weight"])
def test_a_session_that_counts_on_progress_wants_a_judge_that_says_it_and_trains_no_other(key):
    with initialize_config_module("configs", version_base="1.3"):
        plain, anew = (compose("actor", [f"{key}=10", f"reward.retrain_every={every}"]) for every in (0, 20))
    with pytest.raises(ConfigError, match=rf"{key}=10 .*retrain_every=20 would train .* Give the reward\.window"):
        require_progress(Judge(0.0), anew, key, 10)
    with pytest.raises(ConfigError, match=rf"{key}=10 .* the run's judge says nothing.* or give {key}=0"):
        require_progress(Judge(0.0), plain, key, 10)
