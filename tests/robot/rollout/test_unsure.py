"""A judge that doesn't know: what becomes of the episode, and who is asked."""

import numpy as np
import pytest
from helpers.session_setup import CountingJudge, Helper, make_session

from robot.interfaces import Receipt, RewardReading
from robot.rollout.actor_status import ActorStatus, Tally
from trajectories.kinds import was_unsure
from trajectories.types import Episode
from trajectories.verdicts import Verdict


class DoubtingJudge(CountingJudge):
    """Says done after some frames; unsure from a frame on, in the episodes whose turn it is."""

    def __init__(self, done_after, unsure_from):
        super().__init__(done_after)
        self.unsure_from = unsure_from

    def update(self, observation):
        reading = super().update(observation)
        start = self.unsure_from()
        unsure = start is not None and self.frames >= start
        return RewardReading(reading.probability, reading.done, reading.above, unsure=unsure)


def doubting_session(unsure_from, done_after=4, **settings):
    judge = DoubtingJudge(lambda _: done_after, unsure_from)
    return make_session(judge=judge, **settings)


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(("done_after", "would_be", "steps"), [(4, "success", 4), (None, "failure", 6)])
def test_an_episode_that_ends_unsure_has_no_outcome(beside, done_after, would_be, steps):
    session = doubting_session(lambda: 2, done_after, max_steps=6, judge_beside=beside)
    episode = session.run_episode()
    assert (episode.outcome, len(episode)) == ("unknown", steps)
    assert episode.metadata["unsure"] == {"would_be": would_be}
    assert was_unsure(episode)
    assert not episode.terminated.any()
    assert episode.truncated.tolist() == [False] * (steps - 1) + [True]
    assert np.isnan(session.stats.success_rate("forward"))
    assert session.next_direction == "backward"


def test_doubts_on_the_way_that_have_gone_at_the_end_change_nothing():
    class Passing(DoubtingJudge):
        def update(self, observation):
            reading = super().update(observation)
            return RewardReading(reading.probability, reading.done, reading.above, unsure=self.frames == 2)

    episode = make_session(judge=Passing(lambda _: 4, lambda: None)).run_episode()
    assert episode.outcome == "success"
    assert "unsure" not in episode.metadata


def test_three_in_a_row_ask_a_person_and_are_no_failures():
    helper = Helper()
    session = doubting_session(lambda: 1, helper=helper, help_after=3)
    given = [session.run_episode() for _ in range(7)]
    reason = "3 episodes in a row whose end the judge was unsure about"
    assert helper.calls == [(reason, "backward"), (reason, "forward")]
    assert session.stats.helps == {reason: 2}
    assert given[3].metadata["help"] == reason
    assert session.stats.consecutive_failures["any"] == 0
    assert session.stats.consecutive_unsure == 1


def test_an_episode_that_is_judged_ends_the_row():
    turns = iter([1, 1, None, 1, 1, None])
    turn = {}
    helper = Helper()
    session = doubting_session(lambda: turn["now"], None, helper=helper, max_steps=3, help_after=3)
    for number in turns:
        turn["now"] = number
        session.run_episode()
    assert helper.calls == []
    assert session.stats.consecutive_failures["any"] == 2  # doubtful episodes between failures end no row of those


def test_the_status_counts_an_unsure_episode_apart_until_a_person_says_how_it_went():
    episode: Episode = doubting_session(lambda: 1).run_episode()
    status = ActorStatus("run").judged(episode)
    assert status.training["forward"] == Tally(0, 0, (None,), unsure=1)
    assert status.training["forward"].recent_rate is None
    status = status.overruled(Verdict.now(episode.id, "done", by="Anna", via="console"))
    assert status.training["forward"] == Tally(1, 1, (True,))
    status = status.overruled(Verdict.now(episode.id, "taken_back", by="Anna", via="console"))
    assert status.training["forward"] == Tally(0, 0, (None,), unsure=1)
    assert status.stored(Receipt(0, 1)).episodes == 1


def test_every_instant_says_whether_the_judge_knows():
    seen = []
    doubting_session(lambda: 3, on_step=seen.append).run_episode()
    assert [step.unsure for step in seen] == [False, False, False, True, True]
