"""The actor with an endpoint in the same process: order, weights, outbox, stops, status."""

import json
import os
import signal
import threading

import pytest
from helpers.link_data import POLICY, SPEC, MemoryEndpoint, ScriptedSession, make_episode, make_policy_weights

from robot.link.certificates import run_pair
from robot.link.client import LearnerClient
from robot.link.patience import Patience
from robot.link.server import LinkServer
from robot.rollout.actor import Actor, ActorOptions
from robot.rollout.actor_status import RECENT, ActorStatus, Tally
from trajectories.errors import CheckpointError, LinkError, StoppedError, StoreError
from trajectories.store import TrajectoryStore
from trajectories.verdicts import Verdict, VerdictBook


@pytest.fixture
def outbox(tmp_path):
    with TrajectoryStore(tmp_path / "outbox", SPEC) as store:
        yield store


def make_actor(endpoint, outbox, session=None, stop=None, load=None, digest=POLICY, **options):
    session = session or ScriptedSession()
    session.keep = outbox.commit
    return Actor(session, endpoint, load or session.load, outbox, digest, ActorOptions(**options), stop)


def test_a_run_hands_over_every_episode_and_counts_it(outbox, tmp_path):
    path = tmp_path / "actor.json"
    endpoint = MemoryEndpoint(goal=8)
    states = []
    actor = make_actor(endpoint, outbox, status_path=path, on_status=lambda status: states.append(status.state))
    status = actor.run()
    assert list(endpoint.episodes) == [make_episode(n).id for n in range(8)]
    assert len(outbox) == 0
    assert (status.state, status.episodes, status.steps, status.outbox) == ("finished", 8, 24, 0)
    assert status.helps == {"lost": 2}
    # Even numbers go forward, multiples of three fail: forward 0 2 4 6, backward 1 3 5 7.
    assert status.training["forward"] == Tally(4, 2, (False, True, True, False))
    assert status.training["backward"] == Tally(4, 3, (True, False, True, True))
    assert status.training["backward"].recent_rate == 0.75
    assert states[:3] == ["starting", "acting", "sending"]
    read = ActorStatus.read(path)
    assert (read.training, read.state, read.steps) == (status.training, "finished", 24)


def test_counts_go_on_after_a_restart_but_not_in_another_run(outbox, tmp_path):
    path = tmp_path / "actor.json"
    endpoint = MemoryEndpoint(goal=4)
    make_actor(endpoint, outbox, status_path=path).run()
    endpoint.goal = 8
    status = make_actor(endpoint, outbox, ScriptedSession(first=4), status_path=path).run()
    assert (status.episodes, status.helps) == (8, {"lost": 2})
    assert sum(tally.episodes for tally in status.training.values()) == 8
    other = MemoryEndpoint(goal=1)
    other.hello = lambda spec, digest: 0
    status = make_actor(other, outbox, status_path=path, digest="another").run()
    assert sum(tally.episodes for tally in status.training.values()) == 1


def test_an_actor_that_is_killed_behind_the_last_receipt_has_the_runs_totals_after_its_next_start(outbox, tmp_path):
    """It has no episode to send any more: the learner tells them as it says that the run is finished."""
    path, endpoint = tmp_path / "actor.json", MemoryEndpoint(goal=4)
    make_actor(endpoint, outbox, status_path=path).run()
    stale = {**json.loads(path.read_text()), "state": "sending", "steps": 9, "episodes": 3}
    path.write_text(json.dumps(stale))
    status = make_actor(endpoint, outbox, ScriptedSession(first=4), status_path=path).run()
    assert (status.state, status.steps, status.episodes) == ("finished", 12, 4)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"run": "x", "training": {"forward": 3}}'])
def test_a_damaged_status_file_only_costs_the_counts(outbox, tmp_path, content, caplog):
    path = tmp_path / "actor.json"
    path.write_text(content)
    status = make_actor(MemoryEndpoint(goal=2), outbox, status_path=path).run()
    assert sum(tally.episodes for tally in status.training.values()) == 2
    assert "start again at zero" in caplog.text
    assert json.loads(path.read_text())["state"] == "finished"


def test_recent_outcomes_are_the_newest():
    tally = Tally()
    assert tally.recent_rate is None
    for number in range(RECENT + 5):
        tally = tally.add(number >= 5)
    assert (tally.episodes, tally.successes, tally.recent_rate) == (RECENT + 5, RECENT, 1.0)


def test_the_tallies_show_what_a_person_said_about_newer_and_older_episodes(outbox, tmp_path):
    book, path = VerdictBook(outbox.path), tmp_path / "actor.json"

    def speak(number):  # while that episode is under way; the fifth word is about one that is long over
        said = {0: (0, "done"), 3: (3, "not_done"), 5: (1, "not_done"), 6: (3, "taken_back")}.get(number)
        if said is not None:
            book.add(Verdict.now(make_episode(said[0]).id, said[1], by="Anna", via="console"))

    status = make_actor(MemoryEndpoint(goal=8), outbox, ScriptedSession(on_episode=speak), status_path=path).run()
    # Judged: forward (0 2 4 6) F T T F, backward (1 3 5 7) T F T T. By people: 0 done, 1 not done, 3 as judged.
    assert status.training["forward"] == Tally(4, 3, (True, True, True, False))
    assert status.training["backward"] == Tally(4, 2, (False, False, True, True))
    read = ActorStatus.read(path)
    assert (read.training, read.newest) == (status.training, status.newest)


def test_a_word_about_an_episode_older_than_the_recent_ones_still_counts_in_all():
    status = ActorStatus("run")
    for number in range(2 * RECENT + 2):  # forward: RECENT + 1
        status = status.judged(make_episode(number))
    status = status.overruled(Verdict.now(make_episode(0).id, "not_done", by="Anna", via="console"))
    assert status.training["forward"] == Tally(RECENT + 1, RECENT, (True,) * RECENT)
    assert status.overruled(Verdict.now("long-gone", "done", by="Anna", via="console")) == status


def test_newer_weights_are_taken_between_episodes(outbox):
    endpoint = MemoryEndpoint(goal=4)

    def publish(number):
        if number in (1, 2):
            endpoint.newest = make_policy_weights(10 * number)

    session = ScriptedSession(on_episode=publish)
    status = make_actor(endpoint, outbox, session).run()
    assert [e.policy_version[0] for e in endpoint.episodes.values()] == [0, 0, 10, 20]
    assert status.policy_version == 20


def test_weights_that_fail_the_canary_are_left_and_not_tried_again(outbox):
    endpoint = MemoryEndpoint(goal=6)
    endpoint.newest = make_policy_weights(3)
    tried, lines = [], []

    def publish(number):
        if number == 2:
            endpoint.newest = make_policy_weights(4)
        if number == 4:
            endpoint.newest = make_policy_weights(5)

    session = ScriptedSession(on_episode=publish)

    def load(weights):
        tried.append(weights.version)
        if weights.version == 4:
            raise CheckpointError("not finite")
        session.load(weights)

    status = make_actor(endpoint, outbox, session, load=load, notify=lines.append).run()
    assert tried == [3, 4, 5]
    assert [e.policy_version[0] for e in endpoint.episodes.values()] == [3, 3, 3, 3, 3, 5]
    assert (status.weights_refused, status.policy_version) == (1, 5)
    assert "weights of version 4 refused, going on with version 3: not finite" in lines


def test_what_an_earlier_process_left_in_the_outbox_goes_first(outbox):
    for number in (5, 6):
        outbox.commit(make_episode(number))
    endpoint = MemoryEndpoint(goal=4)
    endpoint.put_episode(make_episode(5))  # acknowledged, but the actor died before it heard of it
    make_actor(endpoint, outbox, ScriptedSession(first=10)).run()
    assert list(endpoint.episodes) == [make_episode(n).id for n in (5, 6, 10, 11)]
    assert len(outbox) == 0


def test_an_episode_that_the_session_did_not_commit_is_not_sent(outbox):
    endpoint = MemoryEndpoint()
    session = ScriptedSession()
    actor = Actor(session, endpoint, session.load, outbox, POLICY)
    with pytest.raises(StoreError, match=r"not in the outbox.*on_episode=outbox\.commit"):
        actor.run()
    assert not endpoint.episodes
    assert actor.status.state == "failed"


def test_a_damaged_episode_in_the_outbox_does_not_block_the_others(outbox, tmp_path):
    for number in (5, 6):
        outbox.commit(make_episode(number))
    files = (tmp_path / "outbox" / "episodes" / make_episode(5).id).rglob("*")
    chunk = max((path for path in files if path.is_file()), key=lambda path: path.stat().st_size)
    raw = bytearray(chunk.read_bytes())
    raw[-1] ^= 1
    chunk.write_bytes(raw)
    lines = []
    endpoint = MemoryEndpoint(goal=2)
    make_actor(endpoint, outbox, ScriptedSession(first=10), notify=lines.append).run()
    assert list(endpoint.episodes) == [make_episode(n).id for n in (6, 10)]
    assert any("can't be sent" in line for line in lines)


def test_an_episode_that_the_learner_could_not_store_stays_in_the_outbox(outbox):
    endpoint = MemoryEndpoint()
    endpoint.failure = StoreError("disk full")
    actor = make_actor(endpoint, outbox)
    with pytest.raises(StoreError, match="disk full"):
        actor.run()
    assert outbox.ids() == [make_episode(0).id]
    assert (actor.status.state, actor.status.outbox) == ("failed", 1)
    assert "disk full" in actor.status.detail


def test_a_learner_of_another_run_gets_nothing(outbox):
    outbox.commit(make_episode(5))
    endpoint = MemoryEndpoint()
    with pytest.raises(CheckpointError, match="policy is other"):
        make_actor(endpoint, outbox, digest="other").run()
    assert not endpoint.episodes
    assert len(outbox) == 1


def test_in_one_process_the_learner_takes_its_turn_until_it_has_caught_up(outbox):
    log = []

    class Limited(MemoryEndpoint):
        """Needs two turns for each episode."""

        turns = 0

        def may_act(self, timeout_s):
            assert timeout_s == 0.0
            return self.turns >= 2 * len(self.episodes)

        def turn(self):
            self.turns += 1
            log.append("turn")

    endpoint = Limited(goal=3)
    session = ScriptedSession(on_episode=lambda number: log.append(number))
    make_actor(endpoint, outbox, session, between_episodes=endpoint.turn).run()
    assert log == [0, "turn", "turn", 1, "turn", "turn", 2, "turn"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_after_the_episode(outbox, number):
    lines = []
    endpoint = MemoryEndpoint()
    before = signal.getsignal(number)
    session = ScriptedSession(on_episode=lambda n: os.kill(os.getpid(), number) if n == 2 else None)
    status = make_actor(endpoint, outbox, session, notify=lines.append, resume_hint="regrasp actor").run()
    assert len(endpoint.episodes) == 3
    assert status.state == "stopped"
    assert lines[-1].startswith("stopped: 3 episodes and 9 steps are with the learner")
    assert lines[-1].endswith("To go on: regrasp actor")
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("numbers", "kept"),
    [
        ((signal.SIGINT, signal.SIGINT), 1),
        ((signal.SIGTERM, signal.SIGINT), 1),
        ((signal.SIGINT, signal.SIGTERM), 2),  # as when Ctrl-C reaches the actor and the command that started it
        ((signal.SIGHUP, signal.SIGHUP, signal.SIGTERM), 2),  # as when a terminal is closed
    ],
)
def test_only_ctrl_c_after_a_signal_drops_the_episode(outbox, numbers, kept):
    endpoint = MemoryEndpoint()

    def send(number):
        if number == 1:
            for signal_number in numbers:
                os.kill(os.getpid(), signal_number)

    status = make_actor(endpoint, outbox, ScriptedSession(on_episode=send)).run()
    assert len(endpoint.episodes) == kept
    assert status.state == "stopped"


def test_a_stop_by_word_and_then_one_ctrl_c_keep_the_episode(outbox):
    endpoint, stop = MemoryEndpoint(), threading.Event()

    def end(number):
        if number == 1:
            stop.set()
            os.kill(os.getpid(), signal.SIGINT)

    make_actor(endpoint, outbox, ScriptedSession(on_episode=end), stop).run()
    assert len(endpoint.episodes) == 2


def test_a_stop_ends_the_wait_for_a_learner_that_is_away(outbox, tmp_path):
    pair = run_pair(tmp_path)
    stop = threading.Event()
    lines = []
    server = LinkServer(MemoryEndpoint(), "127.0.0.1:0", pair)
    server.start()

    def go_away(number):
        if number == 1:
            server.stop(0)
            threading.Timer(0.3, stop.set).start()

    patience = Patience(away_s=60, first_back_off_s=0.05)
    with LearnerClient(server.address, pair, patience=patience, notify=lines.append, interrupt=stop) as client:
        session = ScriptedSession(on_episode=go_away)
        status = make_actor(client, outbox, session, stop, notify=lines.append).run()
    assert (status.state, status.outbox, outbox.ids()) == ("stopped", 1, [make_episode(1).id])
    assert any("is away (UNAVAILABLE" in line for line in lines)
    assert "1 episodes in the outbox go out at the next start" in lines[-1]


def test_a_learner_that_stays_away_fails_the_run_and_loses_nothing(outbox, tmp_path):
    pair = run_pair(tmp_path)
    server = LinkServer(MemoryEndpoint(), "127.0.0.1:0", pair)
    server.start()
    session = ScriptedSession(on_episode=lambda number: server.stop(0) if number == 1 else None)
    patience = Patience(away_s=0.2, first_back_off_s=0.05)
    with (
        LearnerClient(server.address, pair, patience=patience, notify=lambda line: None) as client,
        pytest.raises(LinkError, match="gave up after"),
    ):
        make_actor(client, outbox, session).run()
    assert outbox.ids() == [make_episode(1).id]


def test_the_actor_waits_while_the_learner_is_behind(outbox):
    endpoint = MemoryEndpoint(goal=3)
    states = []

    def note(status):
        states.append(status.state)
        if status.state == "waiting":
            threading.Timer(0.2, endpoint.allowed.set).start()

    session = ScriptedSession(on_episode=lambda number: endpoint.allowed.clear() if number == 1 else None)
    make_actor(endpoint, outbox, session, wait_s=0.05, on_status=note).run()
    assert len(endpoint.episodes) == 3
    assert states.count("waiting") >= 2  # it says now and then that it lives


def test_a_persons_word_goes_to_the_learner_after_its_episode_and_leaves_the_outbox(outbox):
    """Said while an episode runs, about that one and the one before, as from another thread."""
    endpoint, book, order = MemoryEndpoint(goal=3), VerdictBook(outbox.path), []

    def speak(number):
        for about, word in ((number, "done"), (number - 1, "not_done")):
            if about >= 0:
                book.add(Verdict(make_episode(about).id, word, "Anna", "console", number, word))

    def noting(name):
        call = getattr(endpoint, name)
        return lambda given: (order.append((name, getattr(given, "episode", None) or given.id)), call(given))[1]

    endpoint.put_verdict, endpoint.put_episode = noting("put_verdict"), noting("put_episode")
    make_actor(endpoint, outbox, ScriptedSession(on_episode=speak)).run()
    ids = [make_episode(number).id for number in range(3)]
    assert [name for name, _ in order] == ["put_episode", "put_verdict"] + 2 * [
        "put_episode",
        "put_verdict",
        "put_verdict",
    ]
    assert [(one.episode, one.word) for one in endpoint.verdicts] == [
        (ids[0], "done"), (ids[1], "done"), (ids[0], "not_done"), (ids[2], "done"), (ids[1], "not_done"),
    ]  # fmt: skip
    assert VerdictBook(outbox.path).all() == []


def test_a_word_that_the_learner_has_not_acknowledged_goes_out_at_the_next_start(outbox):
    word = Verdict.now(make_episode(0).id, "done", by="Anna", via="console")
    VerdictBook(outbox.path).add(word)
    endpoint = MemoryEndpoint(goal=1)
    endpoint.failure = LinkError("away")
    with pytest.raises(LinkError):
        make_actor(endpoint, outbox).run()
    assert VerdictBook(outbox.path).all() == [word]
    endpoint.failure = None
    make_actor(endpoint, outbox, ScriptedSession(first=1)).run()
    assert endpoint.verdicts == [word]
    assert VerdictBook(outbox.path).all() == []


@pytest.mark.parametrize("ending", [StoppedError("the judge was being trained"), KeyboardInterrupt(), None])
def test_a_persons_last_word_reaches_the_learner_however_the_run_ends(outbox, ending):
    """Said after the last look at the outbox: in an episode that is never run, and while the learner has its turn."""
    endpoint, lines = MemoryEndpoint(goal=10**9 if ending else 1), []
    word = Verdict.now(make_episode(0).id, "done", by="Anna", via="console")

    def speak(number):
        if number == 1:
            VerdictBook(outbox.path).add(word)
            raise ending

    def turn():
        if ending is None:
            VerdictBook(outbox.path).add(word)

    session = ScriptedSession(on_episode=speak)
    status = make_actor(endpoint, outbox, session, between_episodes=turn, notify=lines.append).run()
    assert endpoint.verdicts == [word]
    assert status.state == ("stopped" if ending else "finished")
    assert status.training["forward"].successes == 1
    assert VerdictBook(outbox.path).all() == []
    assert "outbox" not in lines[-1]


@pytest.mark.parametrize("stopped", [True, False])
def test_the_farewell_counts_words_that_could_not_be_sent(outbox, stopped):
    endpoint, lines, stop = MemoryEndpoint(goal=10**9 if stopped else 1), [], threading.Event()

    def turn():
        VerdictBook(outbox.path).add(Verdict.now(make_episode(0).id, "done", by="Anna", via="console"))
        endpoint.failure = LinkError("away")
        if stopped:
            stop.set()

    make_actor(endpoint, outbox, stop=stop, between_episodes=turn, notify=lines.append).run()
    assert lines[-2] == "what people said last stays in the outbox: away"
    assert lines[-1].startswith("stopped" if stopped else "finished")
    assert ", 1 verdicts of people in the outbox go out at the next start" in lines[-1]


def test_a_learner_of_another_run_hears_no_word(outbox):
    VerdictBook(outbox.path).add(Verdict.now(make_episode(0).id, "done", by="Anna", via="console"))
    endpoint = MemoryEndpoint()
    with pytest.raises(CheckpointError, match="policy is other"):
        make_actor(endpoint, outbox, digest="other").run()
    assert endpoint.verdicts == []
