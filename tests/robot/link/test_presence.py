"""Who says nothing is said to be away after 2 s, on both sides, and to be there again once it is heard."""

from dataclasses import replace

from policies.learner.fleet import Fleet
from policies.learner.presence_watch import PresenceWatch
from robot.fleet import AWAY_S, REPORT_EVERY_S, ActorIdentity, ActorReport
from robot.link import client, protocol
from robot.link.presence import Presence


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_an_actor_says_once_that_its_learner_is_away_and_once_that_it_answers_again():
    clock, lines = Clock(), []
    presence = Presence("gpu:1", lines.append, clock)
    clock.now += 60
    presence.look()
    assert not lines  # nobody was there yet
    presence.heard()
    clock.now += AWAY_S - 0.01
    presence.look()
    assert not lines
    clock.now += 0.01
    presence.look()
    presence.look()
    assert len(lines) == 1
    assert "learner at gpu:1 is away: nothing heard for 2 s" in lines[0]
    clock.now += 58
    presence.heard()
    presence.heard()
    presence.look()
    assert lines[1:] == ["learner at gpu:1 is back, after 60 s"]


def test_what_a_failing_call_says_of_the_learner_is_not_said_again():
    clock, lines = Clock(), []
    presence = Presence("gpu:1", lines.append, clock)
    presence.failing("saying hello: learner at gpu:1 is away")
    clock.now += 30
    presence.look()
    presence.failing("saying hello: learner at gpu:1 is away, still")
    clock.now += 30
    presence.heard()
    presence.heard()
    assert lines == [
        "saying hello: learner at gpu:1 is away", "saying hello: learner at gpu:1 is away, still",
        "learner at gpu:1 is back, after 60 s",
    ]  # fmt: skip


def test_a_report_that_gets_no_answer_ends_when_the_learner_is_away():
    assert REPORT_EVERY_S + client._REPORT_S == AWAY_S <= 2.5
    assert protocol.CHUNK_BYTES / 25e3 < AWAY_S  # a piece of an episode at 0.2 Mbit/s


def test_a_learner_says_who_goes_away_and_who_is_back_and_nothing_of_who_ended():
    clock, lines, changes = Clock(), [], []
    fleet = Fleet(clock=clock)
    watch = PresenceWatch(lambda: fleet.views(0), lines.append, lambda: changes.append(clock.now))
    fleet.enter(ActorIdentity("left"))
    fleet.enter(ActorIdentity("right"))
    watch.look()
    clock.now += AWAY_S - 0.01
    fleet.hear("right", ActorReport("acting"))
    watch.look()
    assert not lines
    clock.now += 0.01
    watch.look()
    watch.look()
    assert len(lines) == len(changes) == 1
    assert "actor 'left' is away: nothing heard for 2 s" in lines[0]
    assert [one.alive for one in fleet.views(0)] == [False, True]
    clock.now += 10
    fleet.hear("left", ActorReport("acting"))
    fleet.hear("right", ActorReport("stopped"))
    watch.look()
    assert lines[1:] == ["actor 'left' is back, after 12 s"]
    assert len(changes) == 2


def test_an_actor_that_nobody_has_heard_in_this_start_of_the_learner_is_not_said_to_go_away():
    lines = []
    before = Fleet()
    before.enter(ActorIdentity("left"))
    fleet = Fleet([replace(one, alive=True) for one in before.views(0)])
    PresenceWatch(lambda: fleet.views(0), lines.append, lambda: None).look()
    assert not lines
