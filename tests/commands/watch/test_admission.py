"""Who gets an answer from the page of `regrasp watch`: nobody without its token, whatever they send."""

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from helpers.watch_session import PretendedSession

from commands.watch import page_server as watch_server
from commands.watch.connections import Connections
from commands.watch.server import WatchServer
from robot.console.wire import console_path
from robot.link.certificates import make_authority, make_machine
from trajectories.errors import ConfigError

SECRET = b"pot_pick_place"  # of the session; nobody without the token sees it


def serve(stack, path, host="127.0.0.1", tls=None):
    server = stack.enter_context(WatchServer(host, 0, path, tls))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    stack.callback(server.shutdown)
    return server


@pytest.fixture
def stack():
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def session(stack, tmp_path):
    return stack.enter_context(PretendedSession(console_path(tmp_path)))


@pytest.fixture
def server(stack, session, tmp_path):
    return serve(stack, tmp_path)


def raw(server, message, wrap=None):
    """Everything that comes back for these bytes until the server closes."""
    connection = socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=20)
    with wrap(connection) if wrap else connection as talking:
        with suppress(BrokenPipeError, ConnectionResetError):
            talking.sendall(message)
        return drain(talking)


def drain(connection):
    got = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(1 << 16):
            got += piece
    return got


def request(server, method="GET", target="/state", *headers, host="127.0.0.1", body=b"", token=None):
    """Bytes of a request, Connection: close."""
    token = server.token if token is None else token
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {token}", "Connection: close"]
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


# -- the token -------------------------------------------------------------------------------------
@pytest.mark.parametrize("given", ["", "wrong", "x" * 24, "null", "\xb2\xff"])
@pytest.mark.parametrize("target", ["/", "/state", "/frame/front", "/nothing", "/?token=wrong", "/?token="])
def test_without_the_token_nobody_sees_anything(server, given, target):
    answer = raw(server, request(server, "GET", target, token=given))
    assert status_of(answer) == 401
    assert SECRET not in answer
    assert server.token.encode() not in answer


def test_without_the_token_nobody_says_anything(session, server):
    origin, kind = "Origin: http://127.0.0.1", "Content-Type: application/json"
    body = json.dumps({"word": "hold", "token": server.token}).encode()
    for token, expected in (("", 401), ("wrong", 401), (None, 200)):
        message = request(server, "POST", "/say", origin, kind, f"Content-Length: {len(body)}", body=body, token=token)
        assert status_of(raw(server, message)) == expected
    assert session.heard == [("hold", "")]


def test_only_the_page_takes_the_token_from_the_address(server):
    for target, expected in (("/", 200), ("/state", 401), ("/frame/front", 401)):
        message = f"GET {target}?token={server.token} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert status_of(raw(server, message.encode())) == expected
    assert status_of(raw(server, request(server, "GET", f"/?token={server.token}"))) == 401  # twice is not once


def test_the_token_is_drawn_anew_at_each_start(tmp_path):
    tokens = set()
    for _ in range(3):
        with WatchServer("127.0.0.1", 0, tmp_path) as drawn:
            tokens.add(drawn.token)
            assert drawn.url.endswith(f"/?token={drawn.token}")
    assert len(tokens) == 3
    assert {len(token) for token in tokens} == {24}  # 18 random bytes


def test_tokens_are_compared_in_constant_time(server, monkeypatch):
    compared = []
    monkeypatch.setattr("commands.watch.http_input.hmac.compare_digest", lambda *both: compared.append(both))
    assert status_of(raw(server, request(server))) == 401
    assert compared == [(server.token.encode(), server.token.encode())]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_account_of_this_computer_gets_nothing():
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    code = "\n".join(
        [
            "import os, socket, sys",
            "os.setuid(65534)",
            "for line in ('GET /', 'GET /state', 'GET /frame/front', 'POST /say'):",
            "    connection = socket.socket()",
            "    connection.connect(('127.0.0.1', int(sys.argv[1])))",
            "    host = f'127.0.0.1:{sys.argv[1]}'",
            "    head = f'{line} HTTP/1.1\\r\\nHost: {host}\\r\\nOrigin: http://{host}'",
            "    head += '\\r\\nContent-Type: application/json'",
            '    connection.sendall(f\'{head}\\r\\nContent-Length: 16\\r\\n\\r\\n{{"word": "hold"}}\'.encode())',
            "    print(connection.recv(1 << 16).split()[1].decode())",
        ]
    )
    try:
        with ExitStack() as stack:
            session = stack.enter_context(PretendedSession(console_path(folder)))
            port = str(serve(stack, folder).server_address[1])
            run = subprocess.run([sys.executable, "-c", code, port], capture_output=True, text=True)
        assert run.stderr == ""
        assert run.stdout.split() == ["401"] * 4
        assert session.heard == []
    finally:
        shutil.rmtree(folder)


# -- host and origin -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", 200), ("localhost:9999", 200), ("[::1]:8080", 200), ("LOCALHOST", 200),
        ("evil.example", 403), ("evil.example:8080", 403), ("127.0.0.1.evil.example", 403), ("127.0.0.2", 403),
        ("0.0.0.0", 403),
        ("", 400), ("[", 400), ("]", 400), ("[::1", 400), ("[x]", 400), ("a:b:c", 400), ("localhost:99999", 400),
        ("localhost:\xb2", 400), ("me@localhost", 400), ("localhost/x", 400), ("localhost?", 400), ("local host#", 400),
    ],
)  # fmt: skip
def test_the_host_must_be_this_one_and_well_formed(server, host, expected, caplog):
    answer = raw(server, request(server, host=host))
    assert status_of(answer) == expected
    assert (SECRET in answer) is (expected == 200)
    assert not caplog.records


def test_there_is_exactly_one_host(server, monkeypatch):
    assert status_of(raw(server, request(server, "GET", "/state", "Host: 127.0.0.1"))) == 400
    assert status_of(raw(server, b"GET /state HTTP/1.1\r\nConnection: close\r\n\r\n")) == 400
    monkeypatch.setattr(watch_server, "_REQUEST_S", 0.3)
    assert SECRET not in raw(server, b"GET /state\r\n")  # HTTP/0.9 has no headers


def test_other_pages_get_nothing_even_with_the_token(server):
    for origin in ("http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1", "["):
        assert status_of(raw(server, request(server, "GET", "/state", f"Origin: {origin}"))) == 403
    assert status_of(raw(server, request(server, "GET", "/state", "Origin: http://127.0.0.1"))) == 200


# -- malformed, oversized, slow, many --------------------------------------------------------------
@pytest.mark.parametrize(
    ("target", "headers", "expected"),
    [
        ("http://[/state", (), 400),
        ("/frame/%ED%A0%80", (), 404),
        ("/frame/\xff", (), 404),
        ("/?" + "&".join(f"{letter}=1" for letter in "abcdefghij"), (), 400),
        ("/state", ("Content-Length: 5",), 400),
        ("/state", ("Transfer-Encoding: chunked",), 400),
        ("/state", tuple(f"X-{n}: y" for n in range(200)), 431),
        ("/state", ("X: " + "y" * 70_000,), 431),
        ("/" + "x" * 70_000, (), 431),
        ("/state", tuple(f"X-{n}: {'y' * 1000}" for n in range(60)), 431),
    ],
)
def test_malformed_and_oversized_requests_are_refused(server, target, headers, expected, caplog):
    answer = raw(server, request(server, "GET", target, *headers))
    assert status_of(answer) == expected
    assert not caplog.records
    assert status_of(raw(server, request(server))) == 200


def test_noise_is_no_request(server, caplog):
    for noise in (b"\r\n\r\n", b"\x00" * 1000, bytes(range(256)), b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00"):
        with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=20) as connection:
            connection.sendall(noise)
            connection.shutdown(socket.SHUT_WR)
            assert SECRET not in drain(connection)
    assert not caplog.records
    assert status_of(raw(server, request(server))) == 200


def test_a_request_that_never_ends_is_cut_off(server, monkeypatch):
    monkeypatch.setattr(watch_server, "_REQUEST_S", 0.3)
    half = request(server)[:-2]
    with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=20) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(1000):  # a byte now and then keeps it alive for ever, unless the whole is bounded
                connection.sendall(half[:1])
                half = half[1:] or b"X"
                connection.settimeout(0.02)
                with suppress(TimeoutError):
                    assert connection.recv(1 << 16) == b""
                    return
        assert drain(connection) == b""


def test_however_many_connect_threads_are_few_and_the_person_is_served(server):
    before = threading.active_count()
    address = ("127.0.0.1", server.server_address[1])
    with ExitStack() as crowd:
        for n in range(100):
            stranger = crowd.enter_context(socket.create_connection(address, timeout=20))
            if n % 2:
                stranger.sendall(b"GET /state HTTP/1.1\r\nHost: ")
        assert status_of(raw(server, request(server))) == 200
        assert threading.active_count() - before <= watch_server._CONNECTIONS


def test_who_has_shown_the_token_keeps_the_place():
    connections = Connections(2)
    with ExitStack() as stack:
        pairs = [[stack.enter_context(end) for end in socket.socketpair()] for _ in range(4)]
        (first, _), (second, other), (third, _), (fourth, _) = pairs
        assert connections.enter(first)
        connections.admit(first)
        assert connections.enter(second)
        ender = threading.Thread(target=lambda: (second.recv(1), connections.leave(second)))
        ender.start()  # as the connection's thread: it ends when the connection is shut down
        assert connections.enter(third)
        ender.join()
        assert other.recv(1) == b""
        connections.admit(third)
        assert not connections.enter(fourth)
        connections.leave(first)
        assert connections.enter(fourth)


# -- off loopback ----------------------------------------------------------------------------------
@pytest.fixture
def machine(tmp_path):
    make_authority(tmp_path / "lab", "lab")
    return make_machine(tmp_path / "lab", "robot", ["robot.lab.example", "127.0.0.1"])


def test_off_loopback_there_is_no_page_without_a_certificate(tmp_path):
    for host in ("0.0.0.0", "::", "192.168.1.7"):
        with pytest.raises(ConfigError, match=r"needs a certificate: make one with `regrasp certificates`"):
            WatchServer(host, 0, tmp_path)


def test_off_loopback_everything_is_tls_for_the_certificates_names(stack, session, tmp_path, machine):
    server = serve(stack, tmp_path, "0.0.0.0", machine)
    port = server.server_address[1]
    assert server.url == f"https://robot:{port}/?token={server.token}"
    trusting = ssl.create_default_context(cafile=machine.authority)
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=trusting)
    for host, token, expected in (
        ("robot.lab.example:8080", server.token, 200),
        ("robot", server.token, 200),
        ("127.0.0.1", "", 401),
        ("localhost", server.token, 403),
        ("0.0.0.0", server.token, 403),
        ("evil.example", server.token, 403),
        ("[", server.token, 400),
    ):
        connection.request("GET", "/frame/front", headers={"Host": host, "Authorization": f"Bearer {token}"})
        reply = connection.getresponse()
        body = reply.read()
        assert reply.status == expected, host
        assert body.startswith(b"\xff\xd8\xff") is (expected == 200)
    connection.close()
    origins = (("https://robot", 200), ("http://robot", 403))
    for origin, expected in origins:
        body = b'{"word": "hold"}'
        more = (f"Origin: {origin}", "Content-Type: application/json", f"Content-Length: {len(body)}")
        message = request(server, "POST", "/say", *more, host="robot", body=body)
        answer = raw(server, message, lambda bare: trusting.wrap_socket(bare, server_hostname="robot"))
        assert status_of(answer) == expected
    assert session.heard == [("hold", "")]


def test_off_loopback_nothing_goes_in_clear(stack, session, tmp_path, machine, caplog):
    server = serve(stack, tmp_path, "0.0.0.0", machine)
    answer = raw(server, request(server, host="robot"))
    assert b"HTTP" not in answer
    assert SECRET not in answer
    assert not caplog.records


def test_a_handshake_that_never_ends_keeps_nobody_out(stack, session, tmp_path, machine, caplog):
    server = serve(stack, tmp_path, "0.0.0.0", machine)
    trusting = ssl.create_default_context(cafile=machine.authority)
    before = threading.active_count()
    with ExitStack() as crowd:
        for _ in range(100):
            crowd.enter_context(socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=20))
        wrap = lambda bare: trusting.wrap_socket(bare, server_hostname="robot")  # noqa: E731
        assert status_of(raw(server, request(server, host="robot"), wrap)) == 200
        assert threading.active_count() - before <= watch_server._CONNECTIONS
    assert not caplog.records
