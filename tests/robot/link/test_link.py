"""Server and client over a real socket: values, errors, restarts and strangers."""

import dataclasses
import socket
import threading

import grpc
import numpy as np
import pytest
from helpers import link_data
from helpers.link_data import POLICY, SPEC, MemoryEndpoint, assert_same_episode, make_episode, make_policy_weights

from robot.interfaces import Receipt
from robot.link import protocol
from robot.link.client import LearnerClient
from robot.link.patience import Patience
from robot.link.renewal import server_credentials
from robot.link.server import LinkServer
from robot.link.tls import channel_credentials
from trajectories.errors import (
    CheckpointError,
    ConfigError,
    DiskError,
    InvalidEpisodeError,
    LinkError,
    SpecMismatchError,
    StoreError,
)
from trajectories.types import RobotSpec
from trajectories.verdicts import Verdict

QUICK = Patience(call_s=5, transfer_s=5, away_s=5, first_back_off_s=0.02, longest_back_off_s=0.1)


@pytest.fixture
def client(server, pair):
    with LearnerClient(server.address, pair, QUICK) as connected:
        connected.hello(SPEC, POLICY)
        yield connected


def raw_call(server, pair, name, message, session=None, streaming=False):
    """Send bytes past the client."""
    with grpc.secure_channel(server.address, channel_credentials(pair), protocol.CHANNEL_OPTIONS) as channel:
        metadata = [(protocol.SESSION_KEY, session)] if session else []
        if streaming:
            return channel.stream_unary(protocol.method(name))(iter(message), timeout=5, metadata=metadata)
        return channel.unary_unary(protocol.method(name))(message, timeout=5, metadata=metadata)


def test_episodes_weights_and_answers_arrive(endpoint, client):
    episodes = [make_episode(n, 40) for n in range(3)]
    receipts = [client.put_episode(episode) for episode in [*episodes, episodes[0]]]
    assert receipts == [Receipt(40, 1), Receipt(80, 2), Receipt(120, 3), Receipt(120, 3)]
    for episode in episodes:
        assert_same_episode(endpoint.episodes[episode.id], episode)
    assert client.weights(0) is None
    endpoint.newest = make_policy_weights(4)
    received = client.weights(3)
    assert received.version == 4
    np.testing.assert_array_equal(
        received.tensors["actor/kernel"], endpoint.newest.tensors["actor/kernel"], strict=True
    )
    assert client.weights(4) is None
    assert client.hello(SPEC, POLICY) == 4
    assert client.may_act(0.0) is True
    endpoint.allowed.clear()
    assert client.may_act(0.05) is False
    assert client.finished() is None
    endpoint.goal = 3
    assert client.finished() == Receipt(120, 3)


def test_messages_larger_than_a_grpc_message_are_streamed(monkeypatch, pair):
    monkeypatch.setattr(link_data, "SPEC", RobotSpec(cameras={"front": (800, 1200)}))
    endpoint = MemoryEndpoint()
    images = np.random.default_rng(0).integers(0, 256, (4, 800, 1200, 3), np.uint8)
    assert images.nbytes > 2 * protocol.MAX_PIECE_BYTES
    episode = dataclasses.replace(make_episode(1, 3), images={"front": images})
    with (
        LinkServer(endpoint, "127.0.0.1:0", pair) as server,
        LearnerClient(server.address, pair, patience=QUICK) as client,
    ):
        client.hello(link_data.SPEC, POLICY)
        client.put_episode(episode)
    np.testing.assert_array_equal(endpoint.episodes[episode.id].images["front"], images)


def test_an_episode_of_another_robot_is_refused(endpoint, client):
    wide = dataclasses.replace(make_episode(1, 3), images={"front": np.zeros((4, 8, 16, 3), np.uint8)})
    with pytest.raises(InvalidEpisodeError, match="front"):
        client.put_episode(wide)
    assert not endpoint.episodes


def test_hello_refuses_another_robot_and_another_policy(server, pair):
    with LearnerClient(server.address, pair, patience=QUICK) as client:
        with pytest.raises(SpecMismatchError, match=r"control_hz is 10.0 there and 5.0 here"):
            client.hello(RobotSpec(cameras=SPEC.cameras, control_hz=10.0), POLICY)
        with pytest.raises(CheckpointError, match="policy is other, expected policy-digest"):
            client.hello(SPEC, "other")


def test_nothing_goes_before_hello(server, pair):
    with LearnerClient(server.address, pair, patience=QUICK) as client, pytest.raises(LinkError, match="say hello"):
        client.finished()


def test_errors_of_the_learner_keep_type_and_words(endpoint, client, caplog):
    endpoint.failure = StoreError("disk full: ü")
    with pytest.raises(StoreError, match=r"^disk full: ü$"):
        client.put_episode(make_episode(1))
    endpoint.failure = ZeroDivisionError("oops")
    with pytest.raises(LinkError, match=r"failed while answering \(ZeroDivisionError: oops\)"):
        client.put_episode(make_episode(1))
    assert "ZeroDivisionError" in caplog.text
    endpoint.failure = StoreError("x" * 100_000)
    with pytest.raises(StoreError, match=r"^x{2000}$"):
        client.put_episode(make_episode(1))
    endpoint.failure = None
    assert client.put_episode(make_episode(1)) == Receipt(3, 1)


@pytest.mark.parametrize("message", [b"", b"\xff\xfe", b"[]", b"{}", b'{"timeout_s": "x"}', b"[" * 100_000])
def test_malformed_questions_are_refused_and_the_server_lives(server, client, message, pair):
    for name in (protocol.HELLO, protocol.MAY_ACT):
        with pytest.raises(grpc.RpcError) as caught:
            raw_call(server, pair, name, message, client._session)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert b"LinkError" in dict(caught.value.trailing_metadata())[protocol.ERROR_KEY]
    assert client.may_act(0.0)


def test_malformed_uploads_are_refused_and_the_server_lives(endpoint, server, client, monkeypatch, pair):
    for pieces in ([], [b"rubbish"], [b"x" * protocol.CHUNK_BYTES] * 3):
        with pytest.raises(grpc.RpcError) as caught:
            raw_call(server, pair, protocol.PUT_EPISODE, pieces, client._session, streaming=True)
        assert b"refused a message" in dict(caught.value.trailing_metadata())[protocol.ERROR_KEY]
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(server, pair, protocol.HELLO, b"x" * (protocol.MAX_PIECE_BYTES + 1))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(server, pair, "EraseEverything", b"{}")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert not endpoint.episodes
    assert client.put_episode(make_episode(1)) == Receipt(3, 1)


def test_a_message_without_end_is_cut():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield b"x" * 10

    with pytest.raises(LinkError, match="more than 95 bytes"):
        protocol.join(endless(), limit=95)
    assert len(taken) == 10


def test_bytes_that_are_not_grpc_do_not_hurt(server, client):
    host, _, port = server.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(range(256)) * 50)
    assert client.may_act(0.0)


def test_a_server_that_is_no_learner_is_named(endpoint, pair):
    from concurrent.futures import ThreadPoolExecutor

    other = grpc.server(ThreadPoolExecutor(1))
    port = other.add_secure_port("127.0.0.1:0", server_credentials(pair))
    other.start()
    with (
        LearnerClient(f"127.0.0.1:{port}", pair, patience=QUICK) as client,
        pytest.raises(LinkError, match="not a learner that this actor can talk to"),
    ):
        client.hello(SPEC, POLICY)
    other.stop(None)


def test_a_client_of_an_earlier_server_process_must_say_hello_again(endpoint, server, pair):
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(server, pair, protocol.FINISHED, b"{}", session="of-another-process")
    assert b"HelloNeeded" in dict(caught.value.trailing_metadata())[protocol.ERROR_KEY]


def test_the_client_outlives_a_restart_and_says_so(endpoint, pair):
    lines = []
    first = LinkServer(endpoint, "127.0.0.1:0", pair)
    first.start()
    with LearnerClient(first.address, pair, patience=QUICK, notify=lines.append) as client:
        client.hello(SPEC, POLICY)
        client.put_episode(make_episode(1))
        first.stop(0)
        again = []

        def restart():
            again.append(LinkServer(endpoint, first.address, pair))
            again[0].start()

        starter = threading.Timer(0.3, restart)
        starter.start()
        assert client.put_episode(make_episode(2)) == Receipt(6, 2)
        starter.join()
        again[0].stop(0)
    assert endpoint.hellos == 2
    assert "is away" in lines[0]
    assert "is back, after" in lines[-1]
    assert sum("is back" in line for line in lines) == 1


def test_a_restarted_learner_of_another_run_is_refused(endpoint, pair):
    with LinkServer(endpoint, "127.0.0.1:0", pair) as first:
        address = first.address
        client = LearnerClient(address, pair, patience=QUICK, notify=lambda line: None)
        client.hello(SPEC, POLICY)

    class Other(MemoryEndpoint):
        def hello(self, spec, policy_digest, actor=None):
            raise CheckpointError("another run")

    other = Other()
    with LinkServer(other, address, pair), client, pytest.raises(CheckpointError, match="another run"):
        client.put_episode(make_episode(1))
    assert not other.episodes


def test_patience_ends_and_an_interrupt_ends_it_earlier(server, pair):
    host, _, port = server.address.rpartition(":")
    server.stop(0)
    short = Patience(call_s=1, transfer_s=1, away_s=0.3, first_back_off_s=0.05, longest_back_off_s=0.1)
    lines = []
    with (
        LearnerClient(f"{host}:{port}", pair, patience=short, notify=lines.append) as client,
        pytest.raises(LinkError, match=r"saying hello: the learner at .* is away, gave up after"),
    ):
        client.hello(SPEC, POLICY)
    assert lines
    interrupt = threading.Event()
    interrupt.set()
    with (
        LearnerClient(f"{host}:{port}", pair, patience=QUICK, interrupt=interrupt) as client,
        pytest.raises(LinkError, match="interrupted"),
    ):
        client.hello(SPEC, POLICY)


def test_a_server_that_hangs_runs_into_the_deadline(endpoint, pair):
    release = threading.Event()

    class Hanging(MemoryEndpoint):
        def finished(self, actor=""):
            release.wait(20)

    short = Patience(call_s=0.2, transfer_s=1, away_s=0.1, first_back_off_s=0.05, longest_back_off_s=0.1)
    with (
        LinkServer(Hanging(), "127.0.0.1:0", pair) as server,
        LearnerClient(server.address, pair, patience=short) as client,
    ):
        client.hello(SPEC, POLICY)
        with pytest.raises(LinkError, match="DEADLINE_EXCEEDED"):
            client.finished()
        release.set()


def test_one_port_has_one_learner(endpoint, server, pair):
    with pytest.raises(LinkError, match="does another learner run there"):
        LinkServer(endpoint, server.address, pair)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1",
        "127.0.0.1:x",
        ":50510",
        "::1:70000",
        "localhost:99999",
        "::1:5",
        "127.0.0.1:\xb2",
        "127.0.0.1:" + "1" * 5000,
    ],
)
def test_addresses_that_are_none_are_refused(endpoint, address, pair):
    with pytest.raises(ConfigError, match="expected host:port"):
        LinkServer(endpoint, address, pair)
    with pytest.raises(ConfigError, match="expected host:port"):
        LearnerClient(address, pair)


def test_patience_must_be_positive():
    with pytest.raises(ConfigError, match="away_s is 0"):
        Patience(away_s=0)


def test_a_persons_word_reaches_the_learner_once_and_a_malformed_one_changes_nothing(server, client, endpoint, pair):
    word = Verdict.now(make_episode(1).id, "not_done", by="Zoë", via="console")
    client.put_verdict(word)
    client.put_verdict(word)
    assert endpoint.verdicts == [word]
    session = client._session
    for raw in ({}, {"verdict": 1}, {"verdict": {**word.to_dict(), "episode": "../x"}}, {"verdict": {"word": "done"}}):
        with pytest.raises(grpc.RpcError):
            raw_call(server, pair, protocol.PUT_VERDICT, protocol.to_json(raw), session)
    endpoint.failure = DiskError("full")
    with pytest.raises(DiskError, match="full"):
        client.put_verdict(dataclasses.replace(word, at_unix_ns=1))
    assert endpoint.verdicts == [word]
