"""Robots as the verbs open them, tasks in words, judges of an evaluation."""

from dataclasses import replace

import numpy as np
import pytest
from hydra import compose, initialize_config_module

from commands.evaluate.trials import Trial, run_trial
from commands.evaluate.verdicts import PersonJudge, PredicateJudge, RewardJudge, judge_of
from factory.device_robot import limits_of
from factory.evaluated_policy import PolicySource
from factory.robot import TwinStation, open_station
from factory.spec import plain, spec_of
from factory.task import instructions_of
from robot.interfaces import RewardReading
from trajectories.errors import ConfigError


def settings(*overrides, verb="actor"):
    with initialize_config_module("configs", version_base="1.3"):
        return compose(verb, overrides=list(overrides))


@pytest.fixture(scope="module")
def station():
    with open_station(settings("robot.image_size=32")) as found:
        yield found


def test_the_twin_is_a_station(station):
    assert isinstance(station, TwinStation)
    assert set(station.instructions) == {"forward", "backward"}
    station.prepare("forward", np.random.default_rng(3))
    assert station.referee is not None
    assert not station.referee("forward")
    assert station.referee("backward")
    assert station.frames() == station.figures() == station.words() == {}


def test_the_specification_is_the_same_on_every_robot():
    twin = spec_of(settings())
    assert spec_of(settings("robot=virtual")).digest == twin.digest
    assert spec_of(settings("robot=widowx")).digest == twin.digest


def test_an_unknown_robot_is_refused():
    with (
        pytest.raises(ConfigError, match="no robot 'ur5'; there are robosuite, twin, virtual, widowx"),
        open_station(settings("robot.name=ur5")),
    ):
        pass


def test_the_arm_needs_a_port():
    with pytest.raises(ConfigError, match="doctor"), open_station(settings("robot=widowx")):
        pass


def test_an_arm_whose_servos_or_model_are_unknown_is_refused_before_a_port_is_opened():
    config = settings("robot=widowx", "robot.model=px100", "robot.port=/dev/null")
    with (
        pytest.raises(ConfigError, match="no arm 'px100'; there are vx300s, wx200, wx250, wx250s"),
        open_station(config),
    ):
        pass


def test_limits_wider_than_the_arm_are_refused():
    config = settings("robot=virtual", "robot.model=wx200", "+robot.limits.gripper_open_width=0.06")
    with pytest.raises(ConfigError, match=r"the fingers of the wx200 open to 0\.044 m"):
        limits_of(config)
    assert limits_of(settings("robot=virtual", "robot.model=vx300s")).max_efforts[1] == 20.1


def test_a_task_of_ones_own_is_said_in_both_directions():
    config = settings(
        "task=own", "task.instructions.forward=[put it in]", "task.instructions.backward=[take it out, remove it]"
    )
    assert instructions_of(config) == {"forward": ("put it in",), "backward": ("take it out", "remove it")}
    words = r"forward is \[\], .*configs/task/own\.yaml.*\"task\.instructions\.forward=\['put the sponge"
    with pytest.raises(ConfigError, match=words):
        instructions_of(settings("task=own"))
    with pytest.raises(ConfigError, match=r"task.instructions.backward"):
        instructions_of(settings("task=own", "task.instructions.forward=[put it in]"))


def test_settings_as_plain_types():
    assert plain(settings("device=gamepad").device)["device"] == "gamepad"
    assert plain(None) == {}


class Reward:
    """Done at its n-th frame."""

    def __init__(self, done_at):
        self.done_at, self.frames = done_at, 0

    def reset(self, instruction):
        self.frames = 0

    def update(self, observation):
        self.frames += 1
        return RewardReading(0.5, self.frames >= self.done_at)


def test_the_predicate_and_the_reward_end_an_episode_with_success(station):
    observation = station.env.observe()
    predicate = PredicateJudge(lambda direction: direction == "backward")
    predicate.start(observation)
    assert not predicate.done(observation, "forward")
    assert predicate.done(observation, "backward")
    assert predicate.verdict(True, "x")
    reward = RewardJudge(Reward(done_at=3))
    for _ in range(2):
        reward.start(observation)
        assert not reward.done(observation, "forward")
        assert reward.done(observation, "forward")


def test_a_judge_beside_the_motion_decides_a_step_later_and_forgets_nothing(station):
    observation = station.env.observe()
    judge = RewardJudge(Reward(done_at=3), beside=True)
    for _ in range(2):
        judge.start(observation)  # its 1st frame
        assert [judge.done(observation, "forward") for _ in range(3)] == [False, False, True]  # frames 2 and 3
        assert judge.verdict(True, "x")
    judge.start(observation)
    assert [judge.done(observation, "forward") for _ in range(2)] == [False, False]
    assert judge.verdict(False, "x")  # time is up, and the last frame is judged yet
    judge.start(observation)
    assert not judge.done(observation, "forward")
    assert not judge.verdict(False, "x")


@pytest.mark.parametrize("beside", [False, True])
def test_an_episode_at_whose_end_the_judge_is_unsure_is_neither_success_nor_failure(station, beside):
    class Doubting(Reward):
        unsure_at = (2, 3, 4)

        def update(self, observation):
            reading = super().update(observation)
            return replace(reading, unsure=self.frames in self.unsure_at)

    observation, trial = station.env.observe(), Doubting(done_at=4)
    judge = RewardJudge(trial, beside)
    judge.start(observation)  # its 1st frame
    while not judge.done(observation, "forward"):
        pass
    assert judge.verdict(True, "x") is None
    judge.start(observation)
    judge.done(observation, "forward")
    assert judge.verdict(False, "x") is None  # time is up at the 2nd frame
    trial.unsure_at = (2,)
    judge.start(observation)
    for _ in range(2):
        judge.done(observation, "forward")
    assert judge.verdict(False, "x") is False  # doubts that have gone at the end change nothing


class Resting:
    """A policy that leaves the arm where it is."""

    version, gripper = 0, 1

    def act(self, observation, deterministic=False):
        return np.array([0, 0, 0, 0, 0, 0, self.gripper], np.float32)

    def seed(self, seed):
        pass


@pytest.mark.parametrize("beside", [False, True])
def test_an_evaluation_looks_again_at_what_looks_done_as_time_ends(station, beside, monkeypatch):
    class Above(Reward):
        def update(self, observation):
            return replace(super().update(observation), above=self.frames >= 4)

    monkeypatch.setattr("commands.evaluate.trials.open_policy", lambda source: Resting())
    for time_up, success in ((2, False), (3, True), (5, True)):  # done at the 6th frame, the first is that of the start
        trial = Trial(PolicySource("none"), "forward", "stochastic", 0, 7, time_up, False)
        result, _ = run_trial(station, RewardJudge(Above(done_at=6), beside), "front", trial)
        assert (result.success, result.steps) == (success, time_up)


@pytest.mark.parametrize(
    ("left", "looks", "at_end", "success"),
    [
        ("forward", True, False, True), ("forward", False, False, False), ("backward", True, False, False),
        ("backward", True, True, None), ("backward", False, True, True), ("none", True, True, True),
        ("held", True, False, False),
    ],
)  # fmt: skip
def test_an_evaluation_looks_from_home_at_what_was_left(station, monkeypatch, left, looks, at_end, success):
    class Left(Reward):
        def __init__(self):
            super().__init__(done_at=3)

        def reset(self, instruction):
            super().reset(instruction)
            self.seen = instruction in station.instructions.get("forward" if left == "held" else left, ())

        def update(self, observation):
            self.frames += 1
            if went:
                return RewardReading(0.5, self.seen and self.frames >= self.done_at, self.seen)
            return RewardReading(0.5, at_end and self.frames > 1, at_end and self.frames > 1)

    went, go_home = [], station.env.go_home
    monkeypatch.setattr(station.env, "go_home", lambda rng: went.append(1) or go_home(rng))
    prepare = station.prepare
    monkeypatch.setattr(station, "prepare", lambda *given: prepare(*given) or went.clear())
    policy = Resting()
    policy.gripper = -1 if left == "held" else 1  # what going home lets go is no success
    monkeypatch.setattr("commands.evaluate.trials.open_policy", lambda source: policy)
    trial = Trial(PolicySource("none"), "forward", "stochastic", 0, 7, 4, False)
    result, _ = run_trial(station, RewardJudge(Left(), home_look=looks), "front", trial)
    assert (result.success, len(went)) == (success, int(looks))
    assert result.instruction in station.instructions["forward"]


def test_a_person_has_the_last_word(station):
    answers, asked = iter(["", "maybe", "n", "Yes"]), []

    def ask(text):
        asked.append(text)
        return next(answers)

    judge = PersonJudge(RewardJudge(Reward(done_at=2)), ask)
    observation = station.env.observe()
    judge.start(observation)
    assert judge.done(observation, "forward")
    assert judge.verdict(True, "put it in") is False
    assert len(asked) == 3
    assert judge.verdict(False, "put it in") is True
    assert not PersonJudge(None, ask).done(observation, "forward")


def test_judges_by_name(station, tmp_path):
    assert isinstance(judge_of(settings(), station), PredicateJudge)
    assert isinstance(judge_of(settings("evaluate.judge=person", f"run_dir={tmp_path}"), station), PersonJudge)
    with pytest.raises(ConfigError, match="expected one of auto"):
        judge_of(settings("evaluate.judge=coin"), station)
