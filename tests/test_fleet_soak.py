"""Parts of `benchmarks/fleet_soak.py` and `fleet.py`: a network that is cut, a plan, a count that finds faults."""

import json
import socket
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from helpers.link_data import SPEC, make_episode

from benchmarks.arms.census import Watch, actor_folder, count
from benchmarks.arms.learning import WINDOW, Learned, learned, rates
from benchmarks.arms.paper import Rates, on_paper
from benchmarks.arms.plan import LEARNER, plan
from benchmarks.arms.relay import Relay
from commands.actor import STATUS_FILE
from factory.run_folders import OUTBOX
from policies.learner.learner_status import ActorView, LearnerStatus
from policies.learner.run_folder import EPISODES, REPLAY, STATUS
from policies.replay.replay_parts import INDEX
from robot.rollout.actor_status import ActorStatus
from trajectories.kinds import ACTOR_KEY
from trajectories.store import TrajectoryStore

# -- the network ---------------------------------------------------------------------------------------------------


@pytest.fixture
def relay():
    """A relay to a server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def echo(connection):
        with connection:
            try:
                while data := connection.recv(4096):
                    connection.sendall(data)
            except OSError:
                pass

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    made = Relay(listener.getsockname()[1])
    yield made
    made.close()
    listener.close()


def connected(relay):
    found = socket.create_connection(("127.0.0.1", relay.port), timeout=20)
    found.sendall(b"hello")
    assert found.recv(5) == b"hello"
    return found


def ended(connection):
    """Whether the other side has ended it, in order or not."""
    try:
        return connection.recv(5) == b""
    except ConnectionResetError:
        return True


def test_a_refused_cut_ends_connections_and_refuses_new_ones_until_it_is_mended(relay):
    with connected(relay) as one:
        relay.cut("refused")
        assert ended(one)
    with pytest.raises(ConnectionRefusedError):
        connected(relay)
    relay.mend()
    connected(relay).close()


def test_a_silent_cut_holds_everything_back_and_ends_nothing(relay):
    with connected(relay) as one:
        relay.cut("silent")
        one.sendall(b"later")
        one.settimeout(0.3)
        with pytest.raises(TimeoutError):
            one.recv(5)
        relay.mend()
        one.settimeout(20)
        assert one.recv(5) == b"later"


def test_nobody_at_the_other_end_is_an_end_of_the_connection_and_no_end_of_the_relay():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    relay = Relay(port)
    with socket.create_connection(("127.0.0.1", relay.port), timeout=20) as one:
        assert ended(one)
    with (
        socket.create_server(("127.0.0.1", port)) as there,
        socket.create_connection(("127.0.0.1", relay.port), timeout=20) as one,
    ):
        accepted, _ = there.accept()
        accepted.sendall(b"hello")
        assert one.recv(5) == b"hello"
        accepted.close()
    relay.close()


# -- the plan ------------------------------------------------------------------------------------------------------


def test_a_plan_follows_from_its_seed_and_spares_beginning_and_end():
    names = ("left", "right")
    kills, cuts = plan(names, 3600, 300, 100, seed=3)
    assert (kills, cuts) == plan(names, 3600, 300, 100, seed=3) != plan(names, 3600, 300, 100, seed=4)
    assert (len(kills), len(cuts)) == (300, 100)
    assert {one.victim for one in kills} == {LEARNER, *names}
    assert {(one.how, len(one.arms)) for one in cuts} == {(how, n) for how in ("refused", "silent") for n in (1, 2)}
    assert all(180 <= one.at_s <= 3420 for one in (*kills, *cuts))
    assert list(kills) == sorted(kills, key=lambda one: one.at_s)
    assert max(one.seconds for one in cuts) > 30 > 5 > min(one.seconds for one in cuts)


# -- the count -----------------------------------------------------------------------------------------------------


def run_of(folder, *, stored, recorded, waiting=(), told=None, replayed=None):
    """Files of a run in which one actor recorded some episodes and the learner stored some."""
    told = len(stored) if told is None else told
    named = {number: replace(make_episode(number), metadata={ACTOR_KEY: "left"}) for number in {*stored, *recorded}}
    with TrajectoryStore(folder / EPISODES, SPEC) as store:
        for number in stored:
            store.commit(named[number])
    with TrajectoryStore(actor_folder(folder, "left") / OUTBOX, SPEC) as outbox:
        watch = Watch(folder, ["left"])
        for number in recorded:
            outbox.commit(named[number])
        end = time.monotonic() + 30
        while len(watch.seen["left"]) < len(recorded) and time.monotonic() < end:
            time.sleep(0.01)
        for number in set(recorded) - set(waiting):
            outbox.remove(named[number].id)
    steps = sum(len(named[number]) for number in stored)
    view = ActorView("left", episodes=told, steps=steps)
    LearnerStatus(steps, told, 0, 0, 0, {}, actors=(view,)).write(folder / STATUS)
    ActorStatus("run", steps=steps, episodes=told).write(actor_folder(folder, "left") / STATUS_FILE)
    marks = [[named[number].id, "success", "", 3] for number in (stored if replayed is None else replayed)]
    (folder / REPLAY).mkdir()
    (folder / REPLAY / INDEX).write_text(json.dumps({"about": {"episodes": marks}}))
    watch.close()
    return watch


def test_a_run_that_has_every_episode_once_has_no_fault(tmp_path):
    watch = run_of(tmp_path, stored=[1, 2, 3], recorded=[1, 2, 3])
    census = count(tmp_path, watch)
    assert census.faults() == []
    assert (census.stored, census.steps, census.arms["left"].recorded, census.lost) == (3, 9, 3, 0)


@pytest.mark.parametrize(
    ("run", "faults"),
    [
        ({"stored": [1, 2], "recorded": [1, 2, 3]}, ["left: lost ", "left: 3 episodes were recorded, 2 are stored"]),
        (
            {"stored": [1, 2], "recorded": [1, 2, 3], "waiting": [3]},
            ["left: 1 episodes wait in its outbox", "left: 3 episodes were recorded, 2 are stored"],
        ),
        ({"stored": [1, 2], "recorded": [1]}, ["left: 1 episodes were recorded", "strangers: 1"]),
        ({"stored": [1, 2], "recorded": [1, 2], "replayed": [1, 2, 2]}, ["replayed_twice: 1", "the replay took in 3"]),
        ({"stored": [1, 2], "recorded": [1, 2], "replayed": [1]}, ["the replay took in 1 of 2"]),
        (
            {"stored": [1, 2], "recorded": [1, 2], "told": 3},
            ["left: learner.json says 3 episodes, the store 2", "learner.json say", "the actors say"],
        ),
    ],
)
def test_what_is_lost_or_counted_twice_is_a_fault(tmp_path, run, faults):
    found = count(tmp_path, run_of(tmp_path, **run)).faults()
    assert len(found) == len(faults)
    for text, part in zip(found, faults, strict=True):
        assert part in text


def test_an_episode_under_two_ids_is_doubled_and_a_changed_byte_is_damage(tmp_path):
    watch = run_of(tmp_path, stored=[1, 2], recorded=[1, 2])
    again = replace(make_episode(1), id=make_episode(9).id, metadata={ACTOR_KEY: "left"})
    with TrajectoryStore(tmp_path / EPISODES, SPEC) as store:
        store.commit(again)
    assert count(tmp_path, watch).doubled == (again.id,)
    pictures = tmp_path / EPISODES / "episodes" / make_episode(2).id / "image_front" / "0.0.0.0"
    pictures.write_bytes(pictures.read_bytes()[:-1] + b"x")
    assert count(tmp_path, watch).damaged == 1


# -- what a run came to --------------------------------------------------------------------------------------------


def rows_of(outcomes, predicate=None):
    """Rows of `metrics.jsonl`: an episode of 10 steps and of a second, forward and backward in turn."""
    return [
        {
            "episode/direction": ("forward", "backward")[number % 2],
            "episode/outcome": outcome,
            "episode/predicate": None if predicate is None else predicate[number],
            "step": 10 * (number + 1),
            "wall_s": float(number + 1),
        }
        for number, outcome in enumerate(outcomes)
    ]


def test_a_run_has_learned_once_both_directions_succeed_in_four_of_five():
    misses, hits = 4, WINDOW - 4
    outcomes = ["failure"] * 2 * misses + ["success"] * 2 * hits
    assert learned(rows_of(outcomes), truly=False) == Learned(400, 40.0, 40)
    assert learned(rows_of(outcomes[:-1]), truly=False) is None  # backward has 19
    assert learned(rows_of(["failure"] * 2 + outcomes[:-2]), truly=False) is None
    assert learned(rows_of([*outcomes[:30], "unknown", "unknown", *outcomes[30:]]), truly=False).episodes == 42
    assert learned(rows_of(outcomes, predicate=[0.0] * 40), truly=True) is None


def test_rates_are_of_the_time_between_the_first_update_and_the_last_step():
    def row(t, start, steps, updates, state, cpu):
        arms = {"left": [steps, state]}
        return {"t": t, "start": start, "steps": steps, "updates": updates, "load": t, "arms": arms, "cpu": cpu}

    samples = [
        row(0, 0, 50, 0, "acting", {"learner": 5.0, "left": 9.0}),
        row(10, 0, 100, 1, "acting", {"learner": 6.0, "left": 10.0}),
        row(20, 0, 150, 51, "waiting", {"learner": 10.0, "left": 11.0}),
        row(30, 0, 200, 101, "acting", {"learner": 14.0, "left": 12.0}),
        row(40, 0, 200, 140, "finished", {"learner": 20.0, "left": 12.0}),
        row(900, 1, 200, 140, "acting", {"learner": 1.0, "left": 3.0}),  # started again an hour later
        row(905, 1, 250, 190, "acting", {"learner": 4.0, "left": 4.0}),
        row(910, 1, 300, 240, "finished", {"learner": 7.0, "left": 0.0}),  # ended
    ]
    found = rates(samples)
    assert found.seconds == 30
    assert (found.steps_s, found.arms_steps_s["left"]) == (200 / 30, 200 / 30)
    assert found.updates_s == 200 / 30
    assert found.waiting["left"] == pytest.approx(1 / 6)
    assert found.processor == {"learner": 14 / 30, "left": 3 / 30}
    assert rates(samples[:1]) is None


def test_the_paper_is_linear_in_the_arms_but_for_policies_that_come_no_faster():
    names = ("decode", "commit", "encode for replay")
    measured = {f"learner: {name}, ms of processor": 2.0 for name in names} | {
        "steps": 40.0, "bytes on the wire": 1e6, "bytes on the disk": 5e4, "files and folders": 12.0,
        "bytes of a frame in replay, with its transition": 200.0, "bytes of a published policy": 3e5,
        "learner: commit with its syncs, ms": 8.0,
    }  # fmt: skip
    mine = Rates(steps_s=4.0, steps_an_episode=20.0, updates_s=20.0, publish_every=40)
    one, ten = on_paper(1, measured, mine), on_paper(10, measured, mine)
    assert one["episodes an hour"] == 720
    assert one["times the updates of one core"] == 0.2
    assert one["cores that take episodes in"] == pytest.approx(0.2 * 0.5 * 6 / 1000)
    assert one["episodes, MB a second on the wire"] == pytest.approx(0.1)
    assert one["policies, MB a second on the wire"] == pytest.approx(0.1 * 0.3)  # 4 updates a second: one in 10 s
    assert ten["policies, MB a second on the wire"] == pytest.approx(10 * 0.2 * 0.3)  # every episode has a new one
    assert np.isclose(ten["people who reset"], 10 * one["people who reset"])
