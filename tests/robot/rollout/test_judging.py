"""How fast a judge is, and what follows from it."""

import pytest
from helpers.sliding_square import SPEC

from robot.interfaces import RewardReading
from robot.rollout import judging
from robot.rollout.judging import judge_s, judges_beside, policy_s, sample_observation
from trajectories.errors import ConfigError


class ScriptedClock:
    """Time that passes only when somebody works."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


class SlowJudge:
    """Takes scripted times, one after the other."""

    camera = "front"

    def __init__(self, clock, times):
        self.clock, self.times, self.resets = clock, iter(times), []

    def reset(self, instruction):
        self.resets.append(instruction)

    def update(self, observation):
        assert observation.images["front"].shape == (48, 48, 3)
        self.clock.now += next(self.times)
        return RewardReading(0.5, False)


class SlowPolicy:
    """Takes the same time always."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.version = clock, seconds, 0

    def act(self, observation, deterministic=False):
        assert deterministic  # nothing random is drawn
        self.clock.now += self.seconds


@pytest.fixture
def clock(monkeypatch):
    found = ScriptedClock()
    monkeypatch.setattr(judging, "time", found)
    return found


def test_the_median_after_the_first_calls_is_measured(clock):
    judge = SlowJudge(clock, [5.0, 5.0, 5.0, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.3, 9.0, 9.0])
    assert judge_s(judge, sample_observation(SPEC, "do it")) == pytest.approx(0.2)
    assert judge.resets == ["do it", "do it"]
    assert policy_s(SlowPolicy(clock, 0.004), sample_observation(SPEC, "do it")) == pytest.approx(0.004)


def test_a_judge_works_between_steps_beside_them_or_not_at_all():
    """At 5 Hz an action may come 100 ms late, and a step lasts 200 ms."""
    assert not judges_beside(0.09, 0.01, 0.2)
    assert judges_beside(0.095, 0.01, 0.2)
    assert judges_beside(0.18, 0.01, 0.2)
    with pytest.raises(ConfigError, match=r"takes 230 ms .* 180 ms are allowed at 5 .*reward\.device=cuda"):
        judges_beside(0.23, 0.01, 0.2)
