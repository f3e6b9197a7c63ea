"""A generative model as a judge: calibrated on known outcomes, silent in the loop, heard at the end of an episode."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from helpers.chat_server import chat_server
from helpers.session_setup import make_session
from helpers.sliding_square import GRIPPER, SPEC, make_episode

from commands.evaluate.verdicts import RewardJudge
from rewards.contest import Mistakes, mistakes_of
from rewards.generative.client import Unanswered
from rewards.generative.config import GenerativeConfig
from rewards.generative.judge import GIVE_UP, ending_of
from rewards.kind import HeldOut, HeldOutEpisode, observations_of
from rewards.measuring import look_at
from rewards.registry import KINDS
from robot.interfaces import ConcludingReward, RewardReading
from trajectories.errors import CheckpointError, ConfigError

KIND = KINDS["generative_vlm"]
WORDS = {"forward": ["put the cube on the plate"], "backward": ["put the cube on the mat"]}


def eye(question, pictures):
    """How sure it is that the red square is on the side that the question names, by its column in the last picture."""
    red = pictures[-1].astype(int)
    mask = (red[..., 0] > 160) & (red[..., 2] < 110)
    column = np.argwhere(mask)[:, 1].mean() / red.shape[1]
    right = 1 / (1 + math.exp(-40 * (column - 0.68)))
    left = 1 / (1 + math.exp(40 * (column - 0.32)))
    return min(max(right if "plate" in question else left, 1e-4), 1 - 1e-4)


@pytest.fixture(scope="module")
def trained(episodes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("generative")
    with chat_server(eye) as (chat, address):
        settings = {
            "address": address, "model": "eye", "folds": 3, "require_open_gripper": False, "shown": 2,
            "retries": 0, "timeout_s": 20.0, "backbone": "embedded", "threads": 1,
        }  # fmt: skip
        said = KIND.train(iter(episodes), "slide", WORDS, SPEC, settings, folder, lambda *_: None)
        yield chat, folder, settings, said


@pytest.fixture
def judge(trained):
    trained[0].script.clear()
    return KIND.load(trained[1], SPEC, trained[2])


def shown_all(judge, episode):
    judge.reset(episode.instruction)
    return [judge.update(observation) for observation in observations_of(episode)]


def test_answers_are_calibrated_on_episodes_of_known_outcome(trained, episodes):
    _, folder, _, said = trained
    assert "0 of 12 without success called done" in said
    assert "16 of 16 successes found" in said
    calls = [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]
    assert [call["about"] for call in calls][: len(episodes)] == [episode.id for episode in episodes]
    assert json.loads((folder / "training.json").read_text())["certificate"]["positives"] == 16


def test_it_is_silent_until_it_is_asked_at_the_end(judge, trained):
    chat = trained[0]
    assert isinstance(judge, ConcludingReward)
    for outcome, direction in (("success", "forward"), ("failure", "forward"), ("success", "backward")):
        episode, before = make_episode(np.random.default_rng(5), 0, direction, outcome), len(chat.asked)
        readings = shown_all(judge, episode)
        assert not any(reading.done or reading.above for reading in readings)
        assert all(math.isnan(reading.probability) for reading in readings)
        assert len(chat.asked) == before
        reading = judge.conclude()
        assert reading.done is (outcome == "success")
        assert len(chat.asked) == before + 1
        assert episode.instruction in chat.asked[-1]["messages"][0]["content"][-1]["text"]
        again = judge.judge(ending_of(episode, judge.config))  # as a labeller, from the store
        assert again == reading
        assert len(chat.pictures) == 2


def test_the_pictures_are_the_last_ones_in_order_of_time():
    episode = make_episode(np.random.default_rng(5), 0)
    ending = ending_of(episode, GenerativeConfig(shown=3, stride=5))
    assert all(
        np.array_equal(a, episode.images["front"][row]) for a, row in zip(ending.pictures, (2, 7, 12), strict=True)
    )
    assert len(ending_of(episode, GenerativeConfig(shown=9, stride=5)).pictures) == 3


def test_no_answer_is_no_verdict_and_too_many_are_an_error(judge, trained):
    chat = trained[0]
    shown_all(judge, make_episode(np.random.default_rng(5), 0))
    chat.script = [(500, ())] * (GIVE_UP - 1)
    assert [judge.conclude() for _ in range(GIVE_UP - 1)] == [None] * (GIVE_UP - 1)
    assert judge.conclude().done
    chat.script = [(500, ())] * GIVE_UP
    for _ in range(GIVE_UP - 1):
        judge.conclude()
    with pytest.raises(Unanswered, match="status 500"):
        judge.conclude()


def test_nobody_is_asked_about_a_closed_gripper(trained, episodes, tmp_path):
    chat, _, settings, _ = trained
    strict = settings | {"require_open_gripper": True}
    KIND.train(iter(episodes), "slide", WORDS, SPEC, strict, tmp_path, lambda *_: None)
    judge, episode, before = (
        KIND.load(tmp_path, SPEC, strict),
        make_episode(np.random.default_rng(5), 0),
        len(chat.asked),
    )
    episode.proprio[-1, GRIPPER] = -1.0
    shown_all(judge, episode)
    assert judge.conclude() == RewardReading(0.0, False)
    assert len(chat.asked) == before


def test_another_model_or_question_than_the_calibrated_one_is_refused(trained, tmp_path):
    _, folder, settings, _ = trained
    with pytest.raises(CheckpointError, match=r"calibrated with reward\.model='eye', but the settings say 'ear'"):
        KIND.load(folder, SPEC, settings | {"model": "ear"})
    with pytest.raises(CheckpointError, match=r"reward\.prompt"):
        KIND.load(folder, SPEC, settings | {"prompt": "{instruction}?"})
    KIND.load(folder, SPEC, settings | {"address": "http://other:1/v1", "timeout_s": 3.0})
    with pytest.raises(ConfigError, match="never trained on 'lift it'"):
        KIND.load(folder, SPEC, settings).reset("lift it")


def test_it_needs_episodes_of_both_kinds(trained, episodes, tmp_path):
    _, _, settings, _ = trained
    good = [episode for episode in episodes if episode.outcome == "success"]
    with pytest.raises(ConfigError, match="at least 3 episodes marked failure, got 0"):
        KIND.train(iter(good), "slide", WORDS, SPEC, settings, tmp_path, lambda *_: None)


@pytest.mark.parametrize("answer", [lambda *_: 0.95, lambda *_: 0.05, lambda *_: 0.5])
@pytest.mark.parametrize("counts", [(3, 9), (9, 3), (4, 4)])
def test_a_model_that_always_says_the_same_is_refused(answer, counts, episodes, tmp_path):
    by_outcome = [[e for e in episodes if e.outcome == outcome] for outcome in ("success", "failure")]
    few = [episode for mine, count in zip(by_outcome, counts, strict=True) for episode in mine[:count]]
    settings = {"model": "same", "folds": 3, "require_open_gripper": False}
    with chat_server(answer) as (_, address), pytest.raises(ConfigError, match="was not saved"):
        KIND.train(iter(few), "slide", WORDS, SPEC, settings | {"address": address}, tmp_path, lambda *_: None)
    assert not (tmp_path / "reward.json").exists()


def test_whole_episodes_are_measured(judge, episodes):
    held_out = [
        HeldOutEpisode(e, [12], [e.outcome == "success"], e.outcome, True, look_at(judge, e)) for e in episodes[::5]
    ]
    aftermath = replace(held_out[0], kind="aftermath", whole=False)  # its frames are not asked about in a session
    figures = KIND.evaluate(judge, HeldOut("slide", [], [*held_out, aftermath]))
    assert figures["frames"]["all"]["frames"] == len(held_out)
    assert figures["whole_episodes"]["found"] == 1.0
    assert figures["whole_episodes"]["wrong_stops"] == 0.0
    assert figures["frames"]["all"]["auroc"] == 1.0


def test_a_contest_between_judges_asks_it_at_the_end(judge, episodes):
    assert mistakes_of(judge, episodes[::4]) == Mistakes(0, 0, 7)
    turned = [replace(e, outcome="failure" if e.outcome == "success" else "success") for e in episodes[::4]]
    said = mistakes_of(judge, turned)
    assert (said.false_done, said.false_not_done) == (4, 3)


class Concluding:
    """Says what it is told, at the end."""

    def __init__(self, *conclusions):
        self.conclusions, self.seen = list(conclusions), 0

    def reset(self, instruction):
        self.seen = 0

    def update(self, observation):
        self.seen += 1
        return RewardReading(float("nan"), False)

    def conclude(self):
        conclusion = self.conclusions.pop(0)
        if isinstance(conclusion, Exception):
            raise conclusion
        return conclusion


def test_a_session_asks_when_time_has_ended_the_episode():
    kept = []
    judge = Concluding(RewardReading(0.9, True, True), RewardReading(0.1, False), None, Unanswered("gone"))
    session = make_session(judge=judge, max_steps=4, on_episode=kept.append)
    episodes = [session.run_episode() for _ in range(3)]
    assert [episode.outcome for episode in episodes] == ["success", "failure", "unknown"]
    assert [len(episode) for episode in episodes] == [4, 4, 4]
    assert [bool(episode.terminated[-1]) for episode in episodes] == [True, False, False]
    assert [episode.metadata.get("unanswered") for episode in episodes] == [None, None, True]
    assert [float(episode.success_probability[-1]) for episode in episodes[:2]] == pytest.approx([0.9, 0.1])
    assert all(np.isnan(episode.success_probability[:-1]).all() for episode in episodes)
    assert np.isnan(episodes[2].success_probability[-1])
    with pytest.raises(Unanswered):
        session.run_episode()
    assert [episode.outcome for episode in kept][3:] == ["unknown"]
    assert "Unanswered: gone" in kept[3].metadata["fault"]


def test_an_evaluation_asks_at_the_end():
    judge = RewardJudge(Concluding(RewardReading(0.9, True, True), None))
    assert judge.verdict(False, "") is True
    assert judge.verdict(False, "") is None
