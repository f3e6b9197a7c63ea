"""What an episode was recorded for, and what may be learned from it."""

from dataclasses import dataclass, field

import pytest

from trajectories.kinds import UNSURE_KEY, kind_of, parent_of, teaches_actions, was_unsure


@dataclass
class Described:
    """As much of an episode as is asked for."""

    outcome: str = "success"
    metadata: dict = field(default_factory=dict)


def test_kind_and_parent_are_read_where_they_are_noted():
    assert (kind_of(Described()), parent_of(Described())) == (None, None)
    noted = Described(metadata={"kind": "aftermath", "parent": "7"})
    assert (kind_of(noted), parent_of(noted)) == ("aftermath", "7")
    assert kind_of(Described(metadata={"kind": 3})) is None


@pytest.mark.parametrize(("kind", "teaches"), [("demo", True), ("play", False), ("aftermath", False), (None, True)])
def test_play_and_looks_back_teach_no_actions(kind, teaches):
    assert teaches_actions(Described(metadata={} if kind is None else {"kind": kind})) is teaches


def test_an_episode_whose_end_the_judge_was_unsure_about_teaches_none_until_somebody_says_how_it_went():
    doubtful = {UNSURE_KEY: {"would_be": "success"}}
    for outcome, metadata, unsure in (
        ("unknown", doubtful, True), ("unknown", {"fault": "a hold"}, False), ("success", doubtful, False),
        ("failure", doubtful, False),
    ):  # fmt: skip
        episode = Described(outcome, metadata)
        assert was_unsure(episode) is unsure
        assert teaches_actions(episode) is not unsure
