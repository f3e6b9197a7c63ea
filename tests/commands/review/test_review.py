"""The page of `regrasp review` over real HTTP, on a real store beside its writer."""

import http.client
import io
import json
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from helpers import ROOT
from helpers.trajectory_samples import SPEC, sample_episode
from hydra import compose, initialize_config_module
from PIL import Image

from commands.review import review
from commands.review.episodes import ReviewedStore
from commands.review.server import ReviewServer
from trajectories.errors import StoreError
from trajectories.store import TrajectoryStore
from trajectories.verdicts import Verdict, VerdictBook


def episode(number, outcome="success", reached=0.95, **metadata):
    probability = np.array([0.05] * 6 + [reached] * 3, np.float32)
    about = {"kind": "online", **metadata}
    return sample_episode(number, 8, outcome=outcome, success_probability=probability, metadata=about)


@pytest.fixture
def store(tmp_path):
    with TrajectoryStore(tmp_path / "store", SPEC) as store:
        for one in (episode(1), episode(2, "failure", 0.69), episode(3), episode(4, kind="aftermath")):
            store.commit(one)
        yield store


@pytest.fixture
def server(store):
    reviewed = ReviewedStore(store.path, 0.7, 3)
    with ReviewServer("127.0.0.1", 0, reviewed) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield running
        running.shutdown()


def ask(server, method, path, values=None, token=None):
    host = f"127.0.0.1:{server.server_address[1]}"
    headers = {"Authorization": f"Bearer {server.token if token is None else token}", "Host": host}
    if values is not None:
        headers |= {"Content-Type": "application/json", "Origin": f"http://{host}"}
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request(method, path, None if values is None else json.dumps(values), headers)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, content


def episodes_of(server):
    status, content = ask(server, "GET", "/episodes")
    assert status == 200
    return json.loads(content)["episodes"]


def test_the_doubtful_come_first_and_what_was_spoken_about_last(server, store):
    ids = store.ids()
    assert [row["id"] for row in episodes_of(server)] == [ids[1], ids[2], ids[0]]
    status, content = ask(server, "POST", "/verdict", {"episode": ids[1], "word": "done", "by": " Zoë "})
    assert status == 200
    assert json.loads(content)["kept"]["by"] == "Zoë"
    rows = episodes_of(server)
    assert [row["id"] for row in rows] == [ids[2], ids[0], ids[1]]
    assert (rows[2]["outcome"], rows[2]["word"], rows[2]["by"]) == ("failure", "done", "Zoë")
    assert VerdictBook(store.path).outcome(store.info(ids[1])) == "success"
    ask(server, "POST", "/verdict", {"episode": ids[1], "word": "taken_back", "by": "Zoë"})
    assert episodes_of(server)[0]["word"] is None
    assert VerdictBook(store.path).outcome(store.info(ids[1])) == "failure"


def test_the_newer_word_holds_although_the_clock_was_set_back(server, store):
    id = store.ids()[0]
    VerdictBook(store.path).add(Verdict(id, "done", "Anna", "console", 4 * 10**18, "aa"))
    for word, outcome in (("not_done", "failure"), ("taken_back", "success"), ("not_done", "failure")):
        status, content = ask(server, "POST", "/verdict", {"episode": id, "word": word, "by": "Zoë"})
        assert status == 200
        assert VerdictBook(store.path).outcome(store.info(id)) == outcome
    assert json.loads(content)["kept"]["at_unix_ns"] == 4 * 10**18 + 3


def test_what_nobody_said_can_not_be_taken_back(server, store):
    id = store.ids()[0]
    back = {"episode": id, "word": "taken_back", "by": "Zoë"}
    status, content = ask(server, "POST", "/verdict", back)
    assert (status, len(VerdictBook(store.path))) == (409, 0)
    assert f"Nobody has said anything about episode {id}" in json.loads(content)["error"]
    VerdictBook(store.path).add(Verdict.now(id, "done", by="Anna", via="console"))  # by another process
    assert ask(server, "POST", "/verdict", back)[0] == 200
    assert ask(server, "POST", "/verdict", back)[0] == 409
    assert len(VerdictBook(store.path)) == 2


def test_what_came_to_no_end_is_not_shown_and_nobody_speaks_about_it(server, store):
    carried = episode(5, "unknown", displaced={"to": [0.3, 0.0, 0.03, 0.0], "there": True})
    store.commit(carried)
    assert carried.id not in {row["id"] for row in episodes_of(server)}
    status, content = ask(server, "POST", "/verdict", {"episode": carried.id, "word": "done", "by": "Zoë"})
    assert (status, len(VerdictBook(store.path))) == (409, 0)
    assert "came to no end: the arm set down elsewhere what it held" in json.loads(content)["error"]


@pytest.mark.parametrize("folder", ["episodes", "verdicts"])
def test_a_store_that_can_not_be_listed_is_named_on_the_page(server, store, folder):
    (store.path / folder).mkdir(exist_ok=True)
    (store.path / folder).rename(store.path / "away")
    (store.path / folder).write_text("")
    status, content = ask(server, "GET", "/episodes")
    assert status == 409
    assert "can't be listed" in json.loads(content)["error"]
    status, content = ask(server, "POST", "/verdict", {"episode": store.ids()[0], "word": "done", "by": "Anna"})
    assert status == (409 if folder == "verdicts" else 200)
    (store.path / folder).unlink()
    (store.path / "away").rename(store.path / folder)
    assert len(episodes_of(server)) == 3


def test_what_the_writer_adds_and_what_others_say_is_seen(server, store):
    assert len(episodes_of(server)) == 3
    store.commit(episode(9, "failure", 0.7, fault="SafetyError: x"))
    (row,) = [row for row in episodes_of(server) if row["id"] == episode(9).id]
    assert row["fault"] == "SafetyError: x"
    assert row["probability"][:2] == pytest.approx([0.05, 0.05])


def test_frames_are_those_of_the_episode(server, store):
    id = store.ids()[0]
    status, content = ask(server, "GET", f"/frame/{id}/front/8")
    assert status == 200
    shown = np.asarray(Image.open(io.BytesIO(content)))
    assert shown.shape == (8, 6, 3)
    for path in (
        f"/frame/{id}/front/9",
        f"/frame/{id}/wrist/0",
        "/frame/nobody/front/0",
        f"/frame/{id}/front/-1",
        "/x",
    ):
        assert ask(server, "GET", path)[0] == 404


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"episode": "nobody", "word": "done", "by": "Anna"}, 409),
        ({"word": "done", "by": "Anna"}, 409),
        ({"episode": None, "word": "done", "by": "Anna"}, 400),
        ({"episode": "", "word": ["done"], "by": "Anna"}, 400),
    ],
)
def test_what_can_be_no_verdict_is_refused(server, store, values, status):
    assert ask(server, "POST", "/verdict", values)[0] == status
    assert ask(server, "POST", "/verdict", {"episode": store.ids()[0], "word": "perhaps", "by": "Anna"})[0] == 409
    assert ask(server, "POST", "/verdict", {"episode": store.ids()[0], "word": "done", "by": " "})[0] == 409
    assert ask(server, "POST", "/say", {"episode": store.ids()[0], "word": "done", "by": "Anna"})[0] == 404
    assert len(VerdictBook(store.path)) == 0


def test_without_the_token_nothing_is_shown_or_heard(server, store):
    for method, path, values in (
        ("GET", "/episodes", None),
        ("GET", f"/frame/{store.ids()[0]}/front/0", None),
        ("POST", "/verdict", {"episode": store.ids()[0], "word": "done", "by": "Mallory"}),
    ):
        assert ask(server, method, path, values, token="wrong")[0] == 401
    assert len(VerdictBook(store.path)) == 0


def test_the_referee_is_asked_only_where_that_is_wanted(store):
    store.commit(episode(5, evaluation={"success": False}))
    for asked, first in ((False, 1), (True, 4)):
        reviewed = ReviewedStore(store.path, 0.7, 3, ask_referee=asked)
        reviewed.refresh()
        assert reviewed.overview()["episodes"][0]["id"] == store.ids()[first]


def test_a_judge_at_odds_with_its_own_measure_of_progress_comes_first(store):
    store.commit(episode(5, progress=[0.1] * 8 + [0.9]))
    store.commit(episode(6, progress=[0.1] * 9))
    store.commit(episode(7, progress=[0.1] * 8 + [None]))
    store.commit(episode(8, progress="odd"))
    reviewed = ReviewedStore(store.path, 0.7, 3)
    reviewed.refresh()
    first = reviewed.overview()["episodes"][0]
    assert first["id"] == episode(6).id
    assert first["reasons"] == ("another opinion of its end is 0.10",)


def test_the_page_loads_nothing_from_elsewhere_and_asks_only_for_what_there_is():
    page = (ROOT / "commands/templates/review.html").read_text(encoding="utf-8")
    assert set(re.findall(r'ask\(["`](/\w+)', page)) == {"/episodes", "/frame", "/verdict"}
    assert page.count("fetch(") == 1
    assert not re.search(r"(src|href)=[\"']?(https?:)?//|@import|url\(", page)
    assert "innerHTML" not in page
    assert page.count('nonce="{{nonce}}"') == 2


def settings(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        return compose("review", list(overrides))


def test_a_run_without_episodes_is_named(tmp_path):
    with pytest.raises(StoreError, match="nothing to review"):
        review.run(settings(f"run_dir={tmp_path}"))


def test_review_as_a_person_runs_it(store, tmp_path):
    (tmp_path / "outbox").mkdir()
    VerdictBook(tmp_path / "outbox").add(Verdict.now(store.ids()[0], "done", by="Anna", via="console"))
    command = [sys.executable, "-m", "commands", "review", f"store={store.path}", "review.port=0", "progress=false"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert f"1 in {tmp_path / 'outbox' / 'verdicts'}. An actor" in process.stdout.readline()
        line = process.stdout.readline()
        port, token = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]{24})", line).groups()
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
        connection.request("GET", f"/?token={token}")
        assert b"Doubtful and surprising first" in connection.getresponse().read()
        connection.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
