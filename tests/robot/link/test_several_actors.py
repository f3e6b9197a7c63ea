"""Several actors at one learner: names, what they tell of themselves, and that none keeps another waiting."""

import threading
import time
from dataclasses import replace

import grpc
import numpy as np
import pytest
from helpers.link_data import POLICY, SPEC, MemoryEndpoint, make_episode

from robot.fleet import ALIVE_S, MOST_NAME, ActorIdentity, ActorReport, actor_name, host_name
from robot.interfaces import Receipt
from robot.link import client, protocol
from robot.link.client import LearnerClient
from robot.link.codec import encode_episode
from robot.link.patience import Patience
from robot.link.server import LinkServer
from robot.link.tls import channel_credentials
from trajectories.errors import CheckpointError, ConfigError, LinkError, NameTakenError

QUICK = Patience(call_s=20, transfer_s=60, away_s=20, first_back_off_s=0.02, longest_back_off_s=0.1, name_s=0.2)
MARK = {"arm": "wx250s", "date": "2026-11-21T10:00:00+00:00", "digest": "ab" * 32}


def client_of(server, pair, name, **settings):
    return LearnerClient(server.address, pair, QUICK, identity=ActorIdentity(name, **settings))


def wait_until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_name_is_that_of_the_computer_unless_the_settings_give_one():
    assert actor_name("auto") == host_name()
    assert ActorIdentity().name == host_name()
    assert actor_name("left-arm_2.b") == "left-arm_2.b"


@pytest.mark.parametrize("name", ["", "left arm", "../up", ".hidden", "a/b", "ä", "x" * (MOST_NAME + 1)])
def test_what_cant_name_a_folder_and_a_curve_is_no_name(name):
    with pytest.raises(ConfigError, match=r"actor\.name"):
        actor_name(name)
    with pytest.raises(LinkError, match="who the actor is"):
        ActorIdentity.from_dict({**ActorIdentity("left").to_dict(), "name": name})


def test_identity_and_report_come_back_from_json_and_anything_else_is_refused():
    identity = ActorIdentity("left", calibration=MARK, parts={"text tower": "abc"})
    assert ActorIdentity.from_dict(identity.to_dict()) == identity
    report = ActorReport("holds", "kdqx3: hand", 3, 1, 2, {"lost": 4})
    assert ActorReport.from_dict(report.to_dict()) == report
    for raw in ({}, {**report.to_dict(), "resets": 3}, {**report.to_dict(), "outbox": "x"}):
        with pytest.raises(LinkError, match="tells of itself"):
            ActorReport.from_dict(raw)


def test_the_learner_is_told_who_asks(endpoint, server, pair):
    asked = []
    endpoint.may_act = lambda timeout_s, actor="": asked.append(("may_act", actor)) or True
    endpoint.finished = lambda actor="": asked.append(("finished", actor)) or False
    with client_of(server, pair, "left", calibration=MARK) as left, client_of(server, pair, "right") as right:
        left.hello(SPEC, POLICY)
        right.hello(SPEC, POLICY)
        right.may_act(0.0)
        left.may_act(0.0)
        left.finished()
    assert [(one.name, one.calibration) for one in endpoint.actors] == [("left", MARK), ("right", None)]
    assert asked == [("may_act", "right"), ("may_act", "left"), ("finished", "left")]


def test_an_actor_tells_of_itself_while_it_acts_and_once_more_at_its_end(endpoint, server, pair):
    with client_of(server, pair, "left") as left:
        left.report = lambda: ActorReport("acting", resets={"lost": 2})
        left.hello(SPEC, POLICY)
        wait_until(lambda: ("left", ActorReport("acting", resets={"lost": 2})) in endpoint.reports)
        left.report = lambda: ActorReport("stopped")
    assert endpoint.reports[-1] == ("left", ActorReport("stopped"))


@pytest.mark.parametrize("failing", [lambda: 1 / 0, lambda: ActorReport(resets={"lost": np.int64(2)})])
def test_a_report_that_fails_is_told_and_said_once_and_the_next_ones_go_on(endpoint, server, pair, caplog, failing):
    with client_of(server, pair, "left") as left:
        left.report = failing
        left.hello(SPEC, POLICY)
        wait_until(lambda: len(endpoint.reports) >= 2)
        left.report = lambda: ActorReport("acting", "well again")
        wait_until(lambda: endpoint.reports[-1] == ("left", ActorReport("acting", "well again")))
        assert left.hello(SPEC, POLICY) == 0
    told = endpoint.reports[0][1]
    assert told == endpoint.reports[1][1]
    assert (told.state, told.detail.startswith("its report failed: ")) == ("acting", True)
    assert [record.message for record in caplog.records if record.name == "robot.link.client"] == [
        "what this actor tells its learner can't be told"
    ]


def test_an_arm_that_is_busy_for_hours_says_hello_to_a_restarted_learner_by_itself(endpoint, pair, monkeypatch):
    """None of its own calls is under way: it is in a long episode, or holds."""
    monkeypatch.setattr(client, "_REFUSED_S", 0.0)
    held, after = ActorReport("holds", "kdqx3: a hand"), MemoryEndpoint()
    with LinkServer(endpoint, "127.0.0.1:0", pair) as server, client_of(server, pair, "left") as left:
        left.report = lambda: held
        left.hello(SPEC, POLICY)
        wait_until(lambda: endpoint.reports)
        server.stop(0)
        refused = []

        class Another(MemoryEndpoint):
            def hello(self, spec, policy_digest, actor=None):
                refused.append(actor)
                raise CheckpointError("another run")

        with LinkServer(Another(), server.address, pair):
            wait_until(lambda: refused)
        with LinkServer(after, server.address, pair):
            wait_until(lambda: ("left", held) in after.reports)
            assert left.put_episode(make_episode(1)) == Receipt(3, 1)
        assert after.hellos == 1
        assert [one.start for one in after.actors] == [endpoint.actors[0].start]


def test_hello_waits_a_little_for_a_name_that_a_killed_actor_still_has(endpoint, server, pair):
    hello, refused = endpoint.hello, []

    def once_taken(spec, policy_digest, actor=None):
        if not refused:
            refused.append(actor.name)
            raise NameTakenError("there is a left already")
        return hello(spec, policy_digest, actor)

    endpoint.hello = once_taken
    with client_of(server, pair, "left") as left:
        assert left.hello(SPEC, POLICY) == 0
    assert refused == ["left"]


def test_a_name_that_stays_taken_is_refused(endpoint, server, pair):
    def taken(spec, policy_digest, actor=None):
        raise NameTakenError(f"there is a {actor.name} already")

    endpoint.hello = taken
    with client_of(server, pair, "left") as left, pytest.raises(NameTakenError, match="there is a left already"):
        left.hello(SPEC, POLICY)


def test_uploads_that_never_end_keep_nobody_else_waiting(endpoint, server, pair):
    """Twenty calls of an arm whose network died in the middle of an episode: each holds a thread of the server."""
    message, dead = encode_episode(make_episode(0, 40)), threading.Event()

    def stalled():
        yield message[:100]
        dead.wait(60)

    with client_of(server, pair, "left") as left, client_of(server, pair, "right") as right:
        left.hello(SPEC, POLICY)
        right.hello(SPEC, POLICY)
        with grpc.secure_channel(server.address, channel_credentials(pair), protocol.CHANNEL_OPTIONS) as channel:
            put = channel.stream_unary(protocol.method(protocol.PUT_EPISODE))
            calls = [put.future(stalled(), timeout=60, metadata=left._metadata()) for _ in range(20)]
            for number in range(1, 5):
                assert right.may_act(0.0)
                assert right.put_episode(make_episode(number)) == Receipt(3 * number, number)
            assert not any(call.done() for call in calls)
            dead.set()
            for call in calls:
                call.cancel()
    assert len(endpoint.episodes) == 4


def test_a_hundred_arms_that_wait_for_their_turn_keep_no_report_and_no_episode_waiting(endpoint, server, pair):
    waiting, over = threading.Semaphore(0), threading.Event()

    def may_act(timeout_s, actor=""):
        waiting.release()
        return over.wait(60)

    endpoint.may_act = may_act
    with client_of(server, pair, "left") as left, client_of(server, pair, "right") as right:
        left.hello(SPEC, POLICY)
        with grpc.secure_channel(server.address, channel_credentials(pair), protocol.CHANNEL_OPTIONS) as channel:
            ask = channel.unary_unary(protocol.method(protocol.MAY_ACT))
            question = protocol.to_json({"timeout_s": 2.0})
            calls = [ask.future(question, timeout=60, metadata=left._metadata()) for _ in range(100)]
            for _ in calls:
                assert waiting.acquire(timeout=30)
            right.report = lambda: ActorReport("acting", "beside a hundred")
            right.hello(SPEC, POLICY)
            wait_until(lambda: ("right", right.report()) in endpoint.reports)
            assert right.put_episode(make_episode(1)) == Receipt(3, 1)
            assert not any(call.done() for call in calls)
            over.set()
            for call in calls:
                call.result(30)


def test_every_call_and_every_piece_of_an_episode_counts_as_heard(endpoint, server, pair):
    """On a slow line the pieces of an episode come through, and the reports behind them don't in time."""
    heard, message, on = endpoint.heard_of, encode_episode(make_episode(0, 40)), threading.Semaphore(0)
    endpoint.report = lambda actor, report: None

    def slowly():
        for number in range(4):
            on.acquire()
            yield message[number : number + 1]

    with client_of(server, pair, "left") as left, client_of(server, pair, "right") as right:
        left.hello(SPEC, POLICY)
        left._closing.set()  # its last report
        left._reporter.join()
        right.hello(SPEC, POLICY)
        before = heard.count("left")
        left.may_act(0.0)
        left.finished()
        assert heard.count("left") == before + 2
        with grpc.secure_channel(server.address, channel_credentials(pair), protocol.CHANNEL_OPTIONS) as channel:
            put = channel.stream_unary(protocol.method(protocol.PUT_EPISODE))
            call = put.future(slowly(), timeout=60, metadata=left._metadata())
            wait_until(lambda: heard.count("left") == before + 3)
            for number in range(4):
                on.release()
                wait_until(lambda: heard.count("left") == before + 4 + number)  # noqa: B023
            assert not endpoint.episodes
            call.cancel()
    assert protocol.CHUNK_BYTES < 50e3 * ALIVE_S  # at 50 kB/s one comes before the arm counts as away


def test_a_second_hello_of_a_name_ends_the_session_before_it(endpoint, server, pair):
    with client_of(server, pair, "left") as first, client_of(server, pair, "left") as second:
        first.hello(SPEC, POLICY)
        first._closing.set()  # its reports would say hello again, and this endpoint lets everybody
        first._reporter.join()
        second.hello(SPEC, POLICY)
        endpoint.hello = lambda spec, policy_digest, actor=None: (_ for _ in ()).throw(NameTakenError("taken"))
        assert second.put_episode(make_episode(1)) == Receipt(3, 1)
        with pytest.raises(NameTakenError, match="taken"):
            first.put_episode(replace(make_episode(2), metadata={}))
    assert len(endpoint.episodes) == 1
