"""What people say about episodes while a session runs: which one it is about, what it ends, and that it is kept."""

import threading

import numpy as np
import pytest
from helpers.kinematic_arm import make_env
from helpers.session_setup import CountingJudge, WalkingPolicy, make_session

from robot.console.client import ConsoleClient
from robot.console.server import Console
from robot.rollout.persons_word import REACTION_STEPS, PersonsWord
from trajectories import verdicts
from trajectories.errors import DiskError, InvalidEpisodeError, LinkError, SafetyError
from trajectories.store import TrajectoryStore
from trajectories.verdicts import VerdictBook


class Table:
    """A session and what is said at given control steps: {(episode, step): call of the word}."""

    def __init__(self, folder, said=(), done_after=lambda _: None, **settings):
        self.env, self.arm, _ = make_env()
        self.store = TrajectoryStore(folder / "outbox", self.env.robot_spec)
        self.book = VerdictBook(self.store.path)
        self.word, self.said, self.answers, self.number = PersonsWord(self.book.add), dict(said), [], -1
        self.session = make_session(
            done_after, env=self.env, on_episode=self.store.commit, on_step=self.on_step, word=self.word,
            **{"max_steps": 20, **settings},
        )  # fmt: skip

    def on_step(self, step):
        self.number += step.step == 0
        speak = self.said.pop((self.number, step.step), None)
        if speak is not None:  # from another thread, as consoles and devices do
            thread = threading.Thread(target=lambda: self.answers.append(speak(self.word)))
            thread.start()
            thread.join()

    def run(self, count):
        return [self.session.run_episode() for _ in range(count)]


@pytest.fixture
def table(tmp_path):
    tables = []

    def build(*args, **settings):
        tables.append(Table(tmp_path, *args, **settings))
        return tables[-1]

    yield build
    for one in tables:
        one.store.close()


def test_done_ends_the_episode_under_way_and_counts_beside_the_judges_word(table):
    t = table({(0, 12): lambda word: word.done("Anna")})
    (episode,) = t.run(1)
    assert len(episode) == 12
    assert (episode.outcome, episode.truncated[-1], episode.metadata["ended_by"]) == ("failure", True, "a person")
    assert t.store.read(episode.id).outcome == "failure"
    verdict = VerdictBook(t.store.path).of(episode.id)
    assert (verdict.word, verdict.by, verdict.via) == ("done", "Anna", "console")
    assert t.session.stats.outcomes["forward"] == ["success"]
    assert t.session.stats.consecutive_failures["any"] == 0
    assert "It ends now" in t.answers[0]
    assert t.session.next_direction == "backward"


def test_not_done_ends_it_as_a_failure(table):
    t = table({(0, 12): lambda word: word.not_done("Anna")}, lambda _: 18)
    (episode,) = t.run(1)
    assert len(episode) == 12
    assert t.book.outcome(episode) == "failure"
    assert t.session.stats.outcomes["forward"] == ["failure"]


def test_a_word_in_the_first_moments_is_about_the_episode_before(table):
    t = table({(1, REACTION_STEPS - 1): lambda word: word.not_done("Anna")}, lambda words: 4 if "in" in words else None)
    first, second = t.run(2)
    assert (first.outcome, len(second)) == ("success", 20)
    assert t.book.outcome(first) == "failure"
    assert t.book.of(second.id) is None
    assert "the judge said done" in t.answers[0]


def test_of_the_first_episode_every_word_is_about_it(table):
    t = table({(0, 2): lambda word: word.done("Anna")})
    (episode,) = t.run(1)
    assert len(episode) == 2
    assert t.book.outcome(episode) == "success"


def test_an_episode_can_be_named(table):
    ids = []
    t = table(
        {
            (1, 0): lambda word: ids.append(word.running.id) or word.done("Anna", "running"),
            (2, 15): lambda word: word.not_done("Ben", "last"),
            (3, 15): lambda word: word.done("Ben", ids[0]),
        }
    )
    episodes = t.run(4)
    assert [len(one) for one in episodes] == [20, 1, 20, 20]
    assert [(one.episode, one.word, one.by) for one in t.book.all()] == [
        (episodes[1].id, "done", "Anna"), (episodes[1].id, "not_done", "Ben"), (episodes[1].id, "done", "Ben"),
    ]  # fmt: skip


def test_between_episodes_a_word_is_about_the_last_and_can_be_taken_back(table):
    t = table(done_after=lambda _: 4)
    (first,) = t.run(1)
    t.word.not_done("Anna")
    assert t.book.outcome(first) == "failure"
    assert t.word.last.outcome == "failure"
    assert "counts again" in t.word.take_back("Anna")
    assert t.book.outcome(first) == "success"
    assert t.word.last.verdict is None
    with pytest.raises(InvalidEpisodeError, match="Nobody has said"):
        t.word.take_back("Anna")


def test_the_last_word_counts_also_when_the_clock_was_set_back(table, monkeypatch):
    now = [9 * 10**18]

    def earlier():
        now[0] -= 10**9
        return now[0]

    monkeypatch.setattr(verdicts.time, "time_ns", earlier)
    t = table({(0, 12): lambda word: word.done("Anna")})
    (episode,) = t.run(1)
    for say, outcome in (
        (t.word.not_done, "failure"), (t.word.done, "success"), (t.word.take_back, "failure"), (t.word.done, "success"),
    ):  # fmt: skip
        say("Anna")
        assert t.book.outcome(episode) == VerdictBook(t.store.path).outcome(episode) == outcome
    assert t.word.last.outcome == "success"


def test_corrections_count_in_the_rows_of_failures_that_ask_for_help(table):
    t = table(done_after=lambda _: 4, help_after=2)
    t.run(2)
    t.word.not_done("Anna")
    assert t.session.stats.consecutive_failures == {"any": 0, "forward": 0, "backward": 0}
    t.run(1)  # a success: the row ends
    assert t.session.stats.outcomes == {"forward": ["success", "success"], "backward": ["failure"]}


def test_a_success_that_the_judge_missed_ends_a_row_of_failures(table):
    t = table(done_after=lambda _: None, help_after=2, max_steps=3)
    t.run(1)
    t.word.done("Anna")
    t.run(2)
    assert t.session.stats.outcomes == {"forward": ["success", "failure"], "backward": ["failure"]}
    assert t.session.stats.helps == {}
    t.run(1)
    assert t.session.stats.helps == {"2 failures in a row": 1}


def test_a_word_that_cannot_be_kept_counts_for_nothing(table):
    t = table()

    def full(verdict):
        raise DiskError("full")

    t.word._keep = full
    t.run(1)
    with pytest.raises(DiskError):
        t.word.done("Anna")
    assert t.word.last.outcome == "failure"


def test_without_a_name_or_an_episode_it_is_refused(table):
    t = table()
    with pytest.raises(InvalidEpisodeError, match="no episode"):
        t.word.done("Anna")
    t.run(1)
    for by, about in (("", ""), ("Anna", "running"), ("Anna", "0123")):
        with pytest.raises(InvalidEpisodeError):
            t.word.done(by, about)
    assert len(t.book) == 0


def test_an_episode_that_a_fault_drops_before_its_first_step_is_not_spoken_about(table):
    class Broken(WalkingPolicy):
        def act(self, observation, deterministic=False):
            seen.append(t.word.running)
            raise SafetyError("broken")

    seen = []
    t = table(policy=Broken())
    with pytest.raises(SafetyError):
        t.run(1)
    assert seen[0] is not None
    assert t.word.running is None
    assert len(t.store) == 0


def test_beside_the_motion_the_pending_step_is_recorded_too(table):
    t = table({(0, 12): lambda word: word.done("Anna")}, judge_beside=True, judge=CountingJudge(lambda _: None))
    (episode,) = t.run(1)
    assert len(episode) == 13  # the 12th was judged, and shown, beside the motion of the 13th
    assert np.isfinite(episode.success_probability).all()
    assert t.book.outcome(episode) == "success"


def test_through_the_console(table, tmp_path):
    t = table(done_after=lambda _: 4)
    (episode,) = t.run(1)
    with Console(tmp_path / "console.sock", dict, dict, t.word.words()):
        client = ConsoleClient(tmp_path / "console.sock")
        assert "was not done" in client.say("not_done", "Anna", about=episode.id)
        assert t.book.outcome(episode) == "failure"
        assert "Taken back" in client.say("take_back", "Anna")
        with pytest.raises(LinkError, match="needs the name"):
            client.say("done")
        with pytest.raises(LinkError, match="no episode"):
            client.say("done", "Anna", about="nonsense")
    assert t.book.outcome(episode) == "success"
