"""The web page of a pretended session over real HTTP, its text form, and the words from a terminal."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from helpers import ROOT
from helpers.watch_session import FAULT, HEALTHY, PretendedSession

from commands.watch import say, watch
from commands.watch.server import WatchServer
from commands.watch.text import text_of
from drivers.teleop.terminal import TerminalConnection
from robot.console.client import NoSessionError
from robot.console.light import WARM_C, light_of
from robot.console.state import ConsoleState, EpisodeView
from robot.console.wire import console_path
from robot.control.faults import Fault
from robot.rollout.actor_status import Tally
from trajectories.errors import ConfigError, LinkError


@pytest.fixture
def session(tmp_path):
    with PretendedSession(console_path(tmp_path)) as running:
        yield running


def serving(path, host="127.0.0.1", tls=None):
    server = WatchServer(host, 0, path, tls)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


@pytest.fixture
def server(tmp_path):
    with serving(tmp_path) as running:
        yield running
        running.shutdown()


def ask(server, method, path, body=None, token=True, **headers):
    """Status, headers and body; headers with underscores."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        sent["Authorization"] = f"Bearer {server.token if token is True else token}"
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    connection.request(method, path, body, sent)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, reply.headers, content


def post(server, values, host=None, origin="same", kind="application/json", token=True):
    host = host or f"127.0.0.1:{server.server_address[1]}"
    headers = {"Host": host, "Content_Type": kind}
    if origin:
        headers["Origin"] = f"http://{host}" if origin == "same" else origin
    status, _, content = ask(server, "POST", "/say", json.dumps(values), token, **headers)
    return status, json.loads(content)


def state_of(server):
    return json.loads(ask(server, "GET", "/state")[2])


def test_the_page_loads_nothing_from_elsewhere(server):
    status, headers, page = ask(server, "GET", f"/?token={server.token}", token=False)
    assert status == 200
    assert b"{{" not in page
    assert not re.search(rb"(src|href)=[\"']?(https?:)?//|@import|url\(", page)
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", headers["Content-Security-Policy"]).group(1)
    assert page.count(f'nonce="{nonce}"'.encode()) == 2
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert ask(server, "GET", "/")[1]["Content-Security-Policy"] != headers["Content-Security-Policy"]


def test_the_page_asks_only_for_what_there_is():
    page = (ROOT / "commands/templates/watch.html").read_text()
    assert set(re.findall(r'ask\("(/\w+)', page)) == {"/frame", "/state", "/say"}
    assert page.count("fetch(") == 1  # in `ask`, which shows the token
    script = page.split("<script", 1)[1]
    assert "innerHTML" not in page
    used = set(re.findall(r'\$\("([\w-]+)"\)', script))
    assert used <= set(re.findall(r'id="([\w-]+)"', page))
    fields = set(re.findall(r"\bs\.(\w+)", script))
    assert fields <= set(HEALTHY.to_dict())
    assert {"fault", "waiting_for"} <= set(HEALTHY.to_dict())
    assert float(re.search(r"WARM = (\d+)", script).group(1)) == WARM_C


def test_the_state_arrives_with_light_and_words(session, server, tmp_path):
    seen = state_of(server)
    arrived = ConsoleState.from_dict(seen["session"])
    assert arrived == replace(session.state, updated_s=arrived.updated_s)
    assert seen["light"]["level"] == "green"
    assert seen["words"] == ["clear", "done", "hold", "not_done", "ready", "stop", "take_back"]
    assert seen["run"] == str(tmp_path)
    session.state = replace(HEALTHY, fault=FAULT, faults=(Fault("ab1", FAULT), Fault("ab2", "Ada said hold", "hold")))
    light = state_of(server)["light"]
    assert light["faults"] == ["ab1", "ab2"]
    assert (light["level"], light["title"], light["text"], light["word"]) == ("red", "FAULT", FAULT, "clear")


def test_frames_arrive_as_jpeg(session, server):
    status, headers, image = ask(server, "GET", "/frame/front?n=3")
    assert (status, headers["Content-Type"], headers["Cache-Control"]) == (200, "image/jpeg", "no-store")
    assert image[:3] == b"\xff\xd8\xff"
    status, _, content = ask(server, "GET", "/frame/no%20such")
    assert status == 404
    assert "front, wrist" in json.loads(content)["error"]


def test_words_go_through(session, server):
    assert post(server, {"word": "clear", "by": "Anna", "faults": ["ab1"]}) == (200, {"reply": "clear: heard, Anna"})
    assert post(server, {"word": "hold"}, host="localhost:9999")[0] == 200
    assert session.heard == [("clear", "Anna", "ab1"), ("hold", "")]


def test_words_about_an_episode_name_it(session, server):
    assert post(server, {"word": "not_done", "by": "Anna", "about": "0123-ab"})[0] == 200
    assert post(server, {"word": "done", "by": "Anna"})[0] == 200
    assert session.heard == [("not_done", "Anna", "0123-ab"), ("done", "Anna", "")]
    assert post(server, {"word": "done", "by": "Anna", "about": 3})[0] == 400


def test_what_the_session_refuses_is_a_conflict(session, server):
    status, values = post(server, {"word": "clear"})
    assert status == 409
    assert "name of the person" in values["error"]
    assert session.heard == []


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": None}, 403),
        ({"origin": "https://127.0.0.1"}, 403),
        ({"kind": "text/plain"}, 415),
        ({"kind": "application/x-www-form-urlencoded"}, 415),
        ({"host": "evil.example:8080"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
    ],
)
def test_other_pages_press_no_button(session, server, how, expected):
    assert post(server, {"word": "hold"}, **how)[0] == expected
    assert session.heard == []


def test_a_foreign_name_for_this_computer_sees_nothing(session, server):
    for path in ("/", "/state", "/frame/front"):
        status, _, content = ask(server, "GET", path, Host="evil.example:8080")
        assert status == 403
        assert b"pot_pick_place" not in content
    assert ask(server, "GET", "/state", Host="localhost")[0] == 200
    assert ask(server, "GET", "/state", Host="[::1]:8080")[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"no json", {}, 400),
        (b'{"word": 5}', {}, 400),
        (b'{"word": "hold", "by": ["x"]}', {}, 400),
        (b'{"word": "hold", "by": "\\ud800"}', {}, 400),
        (b'{"word": "\\udfff"}', {}, 400),
        (b'{"word": "\xff"}', {}, 400),
        (b"[" * 4000, {}, 400),
        (b'{"word": "clear", "by": "Anna", "faults": "ab1"}', {}, 400),
        (b'{"word": "clear", "by": "Anna", "faults": [1]}', {}, 400),
        (b'{"word": "clear", "by": "Anna", "faults": ["\\ud800"]}', {}, 400),
        (b"{}", {"Content_Length": "99999999"}, 413),
        (b"{}", {"Content_Length": "-2"}, 400),
        (b"{}", {"Content_Length": "\xb2"}, 400),
        (b"{}", {"Content_Length": "2, 2"}, 400),
        (b"{}", {"Content_Length": ""}, 400),
        (b"{}", {"Transfer_Encoding": "chunked"}, 400),
    ],
)
def test_malformed_words_are_refused(session, server, body, headers, expected):
    origin = f"http://127.0.0.1:{server.server_address[1]}"
    status, _, content = ask(server, "POST", "/say", body, Origin=origin, Content_Type="application/json", **headers)
    assert status == expected
    assert json.loads(content)["error"]
    assert session.heard == []


def test_unknown_paths_are_not_found(session, server):
    for path in ("/../../etc/passwd", "/link.pem", "/frame/..%2Flink.pem", "/frame/", "/console.sock"):
        assert ask(server, "GET", path)[0] == 404
    here = f"http://127.0.0.1:{server.server_address[1]}"
    assert ask(server, "POST", "/clear", b"{}", Origin=here, Content_Type="application/json")[0] == 404


def test_the_page_waits_for_a_session_and_follows_its_restart(tmp_path, server):
    seen = state_of(server)
    assert (seen["session"], seen["words"], seen["light"]["title"]) == (None, [], "NO SESSION")
    assert str(tmp_path) in seen["light"]["text"]
    assert ask(server, "GET", "/frame/front")[0] == 503
    assert post(server, {"word": "hold"})[0] == 503
    for step in (1, 2):
        with PretendedSession(console_path(tmp_path), replace(HEALTHY, step=step)):
            assert state_of(server)["session"]["step"] == step
    assert state_of(server)["light"]["title"] == "NO SESSION"


def test_the_session_of_a_fine_tuning_is_found_in_its_folder(tmp_path, server):
    folders = [tmp_path / "finetune_regrasp", tmp_path / "finetune_regrasp_virtual"]
    for folder in folders:
        folder.mkdir()
    with PretendedSession(console_path(folders[0]), replace(HEALTHY, step=1)):
        assert state_of(server)["session"]["step"] == 1
        with PretendedSession(console_path(folders[1]), replace(HEALTHY, step=2)) as other:
            seen = state_of(server)
            assert seen["session"] is None
            assert f"run_dir={folders[0]}, run_dir={folders[1]}" in seen["light"]["text"]
            assert post(server, {"word": "hold"})[0] == 409
            assert other.heard == []
        with PretendedSession(console_path(tmp_path), replace(HEALTHY, step=3)):
            assert state_of(server)["session"]["step"] == 3
        assert state_of(server)["session"]["step"] == 1


def test_a_session_that_gives_nonsense_is_shown_as_no_answer(session, server):
    session.state = replace(HEALTHY, joints=(3,))
    seen = state_of(server)
    assert (seen["session"], seen["light"]["title"]) == (None, "NO ANSWER")


def test_a_taken_port_is_named(server, tmp_path):
    with pytest.raises(ConfigError, match=r"watch\.port"):
        WatchServer("127.0.0.1", server.server_address[1], tmp_path)


def test_text_shows_what_the_page_shows():
    text = text_of(HEALTHY, light_of(HEALTHY, HEALTHY.updated_s))
    assert text.splitlines()[0] == "ALL WELL: The policy acts, forward, step 12 of 40."
    for line in (
        "task       pot_pick_place, forward: put the blue cube into the pot",
        "joint      shoulder       -0.76 rad (-1.88 ... 1.99), -2.90 of 7.8 N m",
        "gripper    31 mm, effort -0.10",
        "servo      shoulder         39 °C (limit 80), 12.1 V, load +25%",
        "loop       period p50 10.0 ms, p99 10.6 ms, 3 missed, 1 incomplete",
        "camera     wrist: streaming, 29.8 fps, age 34 ms, 2 dropped",
        "success    forward: 17 of 29 episodes, 65% of the last 20",
        "helps      3 failures in a row: 2",
    ):
        assert line in text.splitlines()


def test_text_says_what_was_said_about_episodes():
    spoken = replace(HEALTHY, running=EpisodeView("8-aa", "forward"), last=EpisodeView("7-aa", "backward", "success"))
    assert "last one   7-aa, backward: the judge said success" in text_of(spoken, light_of(spoken, 0.0)).splitlines()
    spoken = replace(spoken, running=EpisodeView("8-aa", "forward", "", "done", "Ben"))
    assert "this one   8-aa, forward: under way; Ben said done" in text_of(spoken, light_of(spoken, 0.0)).splitlines()
    assert ConsoleState.from_dict(spoken.to_dict()) == spoken


def test_text_says_that_the_judge_does_not_know_and_how_often_it_did_not():
    tallies = {"forward": Tally(3, 2, (True, None, True, False), unsure=1), "backward": Tally(0, 0, (None,), unsure=1)}
    last = EpisodeView("7-aa", "backward", "unknown")
    text = text_of(replace(HEALTHY, unsure=True, tallies=tallies, last=last), light_of(HEALTHY, 0.0)).splitlines()
    doubt = "it doesn't know: nothing is learned from an episode that ends so"
    assert f"judge      success probability 0.31, 40 % of the way; {doubt}" in text
    assert "success    forward: 2 of 3 episodes, 67% of the last 3; of 1 more nobody knows" in text
    assert "success    backward: no episode yet; of 1 more nobody knows" in text
    assert "last one   7-aa, backward: the judge said that it doesn't know" in text
    assert "doesn't know" not in text_of(HEALTHY, light_of(HEALTHY, 0.0))


def test_text_of_a_session_that_knows_nothing():
    unknown = dict.fromkeys(("position", "lower", "upper", "effort", "max_effort"))
    state = ConsoleState.from_dict(
        {"joints": [{"name": "waist"} | unknown], "servos": [{"name": "x"}], "updated_s": 1.0}
    )
    text = text_of(state, light_of(state, 1.0))
    assert "judge      success probability -" in text
    assert "joint      waist          - rad (- ... -), - of - N m" in text


def settings(tmp_path, **values):
    from omegaconf import OmegaConf

    watching = {"host": "127.0.0.1", "port": 0}
    link = {"certificate": None, "key": None, "authority": None}
    said = {"word": None, "by": None, "about": None, "by_keys": False}
    return OmegaConf.create({"run_dir": str(tmp_path), "once": False, "watch": watching, "link": link} | said | values)


def test_once_prints_the_state(session, tmp_path, capsys):
    watch.run(settings(tmp_path, once=True))
    assert "put the blue cube into the pot" in capsys.readouterr().out


def test_once_without_a_session_says_so(tmp_path):
    with pytest.raises(NoSessionError, match="same run_dir"):
        watch.run(settings(tmp_path, once=True))


def test_a_port_out_of_range_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"watch\.port"):
        watch.run(settings(tmp_path, watch={"host": "127.0.0.1", "port": 70000}))


def test_say_passes_a_word_on(session, tmp_path, capsys):
    say.run(settings(tmp_path, word="clear", by="Anna", fault="ab1"))
    assert capsys.readouterr().out == "clear: heard, Anna\n"
    say.run(settings(tmp_path, word="clear", by="Anna", fault=["ab1", "ab2"]))
    assert session.heard == [("clear", "Anna", "ab1"), ("clear", "Anna", "ab1", "ab2")]
    with pytest.raises(LinkError, match="name of the person"):
        say.run(settings(tmp_path, word="clear", fault="ab1"))
    session.state = replace(HEALTHY, fault=FAULT, faults=(Fault("ab1", FAULT),))
    with pytest.raises(ConfigError, match=r"(?s)fault=ID or .*ab1: Servo 3"):
        say.run(settings(tmp_path, word="clear", by="Anna", fault=None))
    with pytest.raises(ConfigError, match=r"word=clear\|done\|hold\|not_done\|ready\|stop\|take_back"):
        say.run(settings(tmp_path))


def test_say_names_an_episode(session, tmp_path, capsys):
    say.run(settings(tmp_path, word="not_done", by="Anna", about="last"))
    say.run(settings(tmp_path, word="done", by="Anna"))
    assert session.heard == [("not_done", "Anna", "last"), ("done", "Anna", "")]
    assert "not_done: heard, Anna" in capsys.readouterr().out


def test_keys_of_a_terminal_are_words(session, tmp_path):
    """Through a real pseudo-terminal; an unknown key says nothing, and the session may go away meanwhile."""
    told = []
    master, slave = os.openpty()
    connection = TerminalConnection(slave, 0.0)

    def tell(line):
        told.append(line)
        if line.startswith("hold"):
            session.console.close()
            os.write(master, b"d")
        elif "No session" in line:
            os.write(master, b"q")

    try:
        os.write(master, b"dnzemuh")
        say.type_words(tmp_path, "Anna", connection, tell)
    finally:
        os.close(master)
        os.close(slave)
    assert session.heard == [
        ("done", "Anna", ""), ("not_done", "Anna", ""), ("done", "Anna", "last"), ("not_done", "Anna", "last"),
        ("take_back", "Anna", ""), ("hold", "Anna"),
    ]  # fmt: skip
    assert len(told) == 8
    with pytest.raises(ConfigError, match="by=NAME"):
        say.run(settings(tmp_path, by_keys=True))


def test_watch_as_a_person_runs_it(tmp_path):
    command = [sys.executable, "-m", "commands", "watch", f"run_dir={tmp_path}", "watch.port=0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        first, warning, second = (process.stdout.readline() for _ in range(3))
        port, token = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]{24})", first).groups()
        assert "give it to nobody else" in warning
        assert str(tmp_path) in first
        assert second.startswith("Waiting for a session")
        with PretendedSession(console_path(tmp_path)):
            assert process.stdout.readline() == f"The session in {tmp_path} is there.\n"
            connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
            connection.request("GET", "/state", headers={"Authorization": f"Bearer {token}"})
            assert json.loads(connection.getresponse().read())["session"]["task"] == "pot_pick_place"
            connection.close()
        assert process.stdout.readline().startswith("Waiting for a session")
        os.kill(process.pid, signal.SIGINT)
        _, complaints = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "The session goes on" in complaints
    finally:
        process.kill()
        process.communicate()
