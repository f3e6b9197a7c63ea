"""Several arms, one learner: each keeps its name, its counts and its turn, whatever becomes of the others."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from helpers.blob_world import SPEC, BlobWorld, record
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from policies.learner.fleet import Fleet, actors_left
from policies.learner.learner_config import LearnerConfig
from policies.learner.learner_status import ActorView, LearnerStatus
from policies.learner.metrics import read_metrics
from policies.learner.rate_limiter import UpdateRateLimiter
from policies.learner.run_folder import RunFolder
from policies.perception.loading import load_perception
from policies.policy import load_policy, save_policy
from robot.fleet import ALIVE_S, ActorIdentity, ActorReport
from robot.interfaces import Receipt
from robot.link.certificates import run_pair
from robot.link.client import LearnerClient
from robot.link.patience import Patience
from robot.link.server import LinkServer
from trajectories.errors import CheckpointError, NameTakenError, SpecMismatchError
from trajectories.kinds import ACTOR_KEY
from trajectories.types import Source
from trajectories.verdicts import Verdict

CONFIG = LearnerConfig(
    steps=400, warmup_steps=20, utd=1, batch=16, max_lag=10,
    publish_every=5, checkpoint_every=100, snapshot_every=400, log_every=5,
)  # fmt: skip
QUICK = Patience(call_s=20, transfer_s=60, away_s=20, name_s=0.2)
MARKS = {name: {"arm": "wx250s", "date": f"2026-11-2{day}", "digest": name} for day, name in enumerate("ab")}


@pytest.fixture
def make(open_learner):
    return partial(open_learner, config=CONFIG)


def episodes_of(name, count, outcome="failure", seed=1):
    """Random episodes of 10 steps, forward and backward in turn, as the actor `name` sends them."""
    found = []
    for number in range(count):
        rng = np.random.default_rng((seed, number, len(name)))
        world = BlobWorld(rng, "red", ("forward", "backward")[number % 2])
        world.reset()
        world.places["red"] = np.array([0.2, 0.0])  # on neither side
        act = lambda _, rng=rng: rng.uniform(-1, 1, 7)  # noqa: E731
        one = record(world, act, steps=10, source=Source.POLICY)
        found.append(replace(one, outcome=outcome, metadata={**one.metadata, ACTOR_KEY: name}))
    return found


class Clock:
    """Stands until a test moves it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


# -- names ---------------------------------------------------------------------------------------------------------


def test_two_living_actors_have_two_names_and_a_silent_ones_name_is_free():
    clock = Clock()
    fleet = Fleet(clock=clock)
    first, second = ActorIdentity("left"), ActorIdentity("left")
    fleet.enter(first)
    fleet.enter(first)  # its learner was away for a moment
    clock.now += 3
    with pytest.raises(NameTakenError, match=r"called 'left' already, which was heard 3 s ago.*actor\.name=NAME"):
        fleet.enter(second)
    fleet.enter(ActorIdentity("right"))
    fleet.hear("left", ActorReport("acting"))
    clock.now += ALIVE_S - 0.1
    with pytest.raises(NameTakenError):
        fleet.enter(second)
    clock.now += 0.2
    fleet.enter(second)
    with pytest.raises(NameTakenError):
        fleet.enter(first)


def test_a_clock_that_is_set_back_leaves_nobody_his_name_who_is_silent():
    clock = Clock()
    fleet = Fleet(clock=clock)
    fleet.enter(ActorIdentity("left"))
    clock.now -= 3600.0
    assert not fleet.views(0)[0].alive
    fleet.enter(ActorIdentity("left"))
    fleet.hear("left", ActorReport("acting"))
    assert fleet.views(0)[0].alive


def test_who_sends_something_lives_whatever_it_told_last():
    clock = Clock()
    fleet = Fleet(clock=clock)
    fleet.enter(ActorIdentity("left"))
    fleet.hear("left", ActorReport("sending", outbox=1))
    for _ in range(3):
        clock.now += ALIVE_S - 1
        fleet.heard("left")
    (left,) = fleet.views(0)
    assert (left.alive, left.heard_s, left.report) == (True, clock.now, ActorReport("sending", outbox=1))
    with pytest.raises(NameTakenError):
        fleet.enter(ActorIdentity("left"))
    fleet.hear("left", ActorReport("stopped"))
    fleet.heard("left")  # its last call was under way
    assert not fleet.views(0)[0].alive


@pytest.mark.parametrize("state", ["stopped", "finished", "failed"])
def test_who_says_that_it_ends_leaves_its_name_at_once(state):
    fleet = Fleet(clock=Clock())
    fleet.enter(ActorIdentity("left"))
    fleet.hear("left", ActorReport(state))
    fleet.enter(ActorIdentity("left"))


def test_the_end_waits_for_everybody_who_lives_and_for_nobody_else():
    clock = Clock()
    fleet = Fleet(clock=clock)
    assert not fleet.told_all
    for name in ("left", "right", "dead"):
        fleet.enter(ActorIdentity(name))
    clock.now += ALIVE_S
    for name in ("left", "right"):
        fleet.hear(name, ActorReport("acting"))
    fleet.tell_finished("left")
    assert not fleet.told_all
    fleet.tell_finished("right")
    assert fleet.told_all


def test_after_a_restart_a_name_waits_a_little_for_the_arm_that_has_it(tmp_path):
    """A learner is started again while left is in the middle of something, and reads for an hour first."""
    clock, left, path = Clock(), ActorIdentity("left"), tmp_path / "learner.json"
    before = Fleet(clock=clock)
    for one, state in ((left, "acting"), (ActorIdentity("right"), "stopped")):
        before.enter(one)
        before.hear(one.name, ActorReport(state))
    LearnerStatus(0, 0, 0, 0, 0, {}, actors=before.views(0)).write(path)
    fleets = [Fleet(actors_left(path), clock) for _ in range(2)]
    clock.now += 3600.0
    for fleet in fleets:
        fleet.enter(ActorIdentity("window"))
        fleet.tell_finished("window")
        assert not fleet.told_all
        assert [view.alive for view in fleet.views(0)] == [False, False, True]
    clock.now += ALIVE_S - 1
    for fleet in fleets:
        with pytest.raises(NameTakenError, match="'left' already"):
            fleet.enter(ActorIdentity("left"))
    fleet, other = fleets
    fleet.enter(left)
    fleet.enter(ActorIdentity("right"))  # which had ended
    clock.now += 1
    with pytest.raises(NameTakenError):
        fleet.enter(ActorIdentity("left"))
    other.heard("window")
    assert other.told_all
    other.enter(ActorIdentity("left"))


# -- turns ---------------------------------------------------------------------------------------------------------


def test_who_waits_has_a_turn_even_when_others_steps_came_first():
    """Left asks, is refused and is away for a moment; just then the learner has caught up, and right's steps come."""
    pace = UpdateRateLimiter(0, steps=30)
    assert not pace.wait_for_turn("left", 20, 0.0)
    for _ in range(10):
        pace.add_update()
    assert pace.wait_for_turn("right", 20, 0.0)
    pace.add_steps(40)
    assert pace.owed == 60
    assert not pace.wait_for_turn("right", 20, 0.0)
    assert pace.wait_for_turn("left", 20, 0.0)
    assert not pace.wait_for_turn("left", 20, 0.0)  # once


def test_a_fast_and_a_slow_actor_share_a_learner_that_is_behind():
    """Fast asks after every update, slow only after every seventh; without turns slow would go when luck has it."""
    pace, went = UpdateRateLimiter(0, steps=21), {"fast": 0, "slow": 0}
    for moment in range(420):
        pace.add_update()
        asking = ["fast"] + (["slow"] if moment % 7 == 3 else [])
        for name in asking:
            if pace.wait_for_turn(name, 20, 0.0):
                went[name] += 1
                pace.add_steps(10)
    assert went["fast"] + went["slow"] == pytest.approx(42, abs=3)  # an update for every step
    assert went["slow"] >= went["fast"] - 2


def test_an_actor_that_never_comes_back_for_its_turn_blocks_nobody():
    pace = UpdateRateLimiter(0, steps=30)
    for name in ("dead", "alive"):
        assert not pace.wait_for_turn(name, 20, 0.0)
    for number in range(10):
        for _ in range(10):
            pace.add_update()
        assert pace.wait_for_turn("alive", 20, 0.0), number
        pace.add_steps(10)


# -- with a real learner -------------------------------------------------------------------------------------------


def test_each_actors_counts_its_reports_and_a_persons_word_outlive_a_restart(make, tmp_path):
    learner = make()
    learner.fleet._clock = Clock()
    left, right = episodes_of("left", 4, "success"), episodes_of("right", 3)
    unsure = replace(right[2], outcome="unknown", metadata={**right[2].metadata, "unsure": {"would_be": "failure"}})
    who = [ActorIdentity(name, calibration=MARKS[mark]) for name, mark in (("left", "a"), ("right", "b"))]
    for one in who:
        learner.hello(SPEC, learner.digest, one)
    for episode in (left[0], right[0], *left[1:], right[1], unsure):
        learner.put_episode(episode)
    learner.put_verdict(Verdict(left[0].id, "not_done", "Anna", "console", 1, "aa"))
    learner.train()
    learner.report("left", ActorReport("acting", "", learner.status.version - 2, 0, 1, {"lost": 2, "stuck": 1}))
    learner.report("right", ActorReport("holds", "kdqx3: a hand", learner.status.version))
    one, other = learner.status.actors
    assert (one.name, one.alive, one.episodes, one.steps, one.unsure, one.behind) == ("left", True, 4, 40, 0, 2)
    assert one.success == {"forward": 0.5, "backward": 1.0}
    assert (other.name, other.episodes, other.steps, other.unsure, other.behind) == ("right", 3, 20, 1, 0)
    assert other.success == {"forward": 0.0, "backward": 0.0}
    assert [view.calibration for view in (one, other)] == [MARKS["a"], MARKS["b"]]
    assert learner.status.steps == one.steps + other.steps
    learner.close()
    again = make()
    again.fleet._clock = Clock()
    kept = again.status.actors
    assert [replace(view, alive=True, behind=was.behind) for view, was in zip(kept, (one, other), strict=True)] == [
        one,
        other,
    ]
    assert not any(view.alive for view in kept)
    again.hello(SPEC, again.digest, who[1])
    again.put_episode(episodes_of("right", 1, seed=9)[0])
    again.train()
    left_after, right_after = again.status.actors
    assert (left_after.episodes, right_after.episodes, right_after.alive) == (4, 4, True)
    assert left_after.report.resets == {"lost": 2, "stuck": 1}
    again.close()
    for damage in (b"{", b"[]", b'{"actors": 3}'):  # of the status; what the store knows stays
        again.folder.status.write_bytes(damage)
        assert actors_left(again.folder.status) == ()
    last = make()
    assert [(view.name, view.episodes) for view in last.status.actors] == [("left", 4), ("right", 4)]


def test_who_is_told_that_the_run_is_finished_counts_as_told(make, monkeypatch):
    """The last steps of another arm come between a look and the next."""
    learner = make()
    learner.hello(SPEC, learner.digest, ActorIdentity("left"))
    looks = iter((False, True, True))
    monkeypatch.setattr(type(learner), "_all_in", property(lambda _: next(looks)))
    assert (learner.finished("left"), learner.fleet.told_all) == (None, False)
    assert (learner.finished("left"), learner.fleet.told_all) == (Receipt(0, 0), True)


def test_metrics_and_tensorboard_have_a_curve_of_every_actor(make, tmp_path):
    learner = make()
    learner.hello(SPEC, learner.digest, ActorIdentity("left"))
    learner.report("left", ActorReport(resets={"lost": 3}))
    for episode in (*episodes_of("left", 2, "success"), *episodes_of("right", 2)):
        learner.put_episode(episode)
    learner.train()
    learner.close()
    folder = RunFolder(tmp_path / "run").metrics
    rows = read_metrics(folder)
    assert [row["episode/actor"] for row in rows if "episode/actor" in row] == ["left", "left", "right", "right"]
    assert rows[0]["arm/left/steps"] == 10
    assert (rows[1]["arm/left/success/forward"], rows[3]["arm/right/success/forward"]) == (1.0, 0.0)
    for row in rows[:4]:  # of its own arm alone: a hundred arms would else write ten thousand figures a round
        assert {key.split("/")[1] for key in row if key.startswith("arm/")} == {row["episode/actor"]}
    assert (rows[-1]["arm/left/resets"], rows[-1]["arm/right/steps"]) == (3, 20)
    assert rows[-1]["arm/left/lag"] == learner.status.version - 1 >= 1  # when it was written
    board = EventAccumulator(str(folder / "tensorboard")).Reload()
    tags = set(board.Tags()["scalars"])
    assert {f"arm/{name}/{what}" for name in ("left", "right") for what in ("lag", "resets", "steps")} <= tags


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"action_scale": (0.1,) * 7}, r"action_scale is \[0\.1"),
        ({"proprio": ("x", "y")}, r"proprio is \['x', 'y'\]"),
        ({"cameras": {"front": (48, 64)}}, r"cameras is \{'front': \[48, 64\]\}"),
        ({"control_hz": 10.0}, "control_hz is 10.0 there and"),
    ],
)
def test_an_arm_whose_robot_differs_is_refused_by_name_with_the_first_difference(make, changes, first):
    learner = make()
    with pytest.raises(SpecMismatchError, match=rf"actor 'third'.*{first}"):
        learner.hello(replace(SPEC, **changes), learner.digest, ActorIdentity("third"))
    assert learner.status.actors == ()


def test_an_arm_with_another_text_tower_is_refused_by_name_and_cameras_in_another_place_are_not(
    make, pretrained, tmp_path
):
    learner, policy = make(), load_policy(pretrained, SPEC)
    perception = load_perception(pretrained, SPEC)
    other = perception.with_text(replace(perception.text, source="f" * 64))
    save_policy(tmp_path / "other", other, policy.networks, policy._actor.state_dict())
    theirs = load_policy(tmp_path / "other", SPEC)
    with pytest.raises(CheckpointError, match=r"actor 'third' starts from.*its text tower is 'ffffffffffff', here"):
        learner.hello(SPEC, theirs.digest, ActorIdentity("third", parts=theirs.parts))
    for name, mark in MARKS.items():
        learner.hello(SPEC, policy.digest, ActorIdentity(name, calibration=mark, parts=policy.parts))
    assert [view.calibration["digest"] for view in learner.status.actors] == ["a", "b"]


def test_one_stops_in_the_middle_the_other_goes_on_and_who_comes_late_gets_the_newest_policy(make, tmp_path):
    learner, pair = make(), run_pair(tmp_path)
    clock = learner.fleet._clock = Clock()

    def client(name):
        return LearnerClient(server.address, pair, QUICK, identity=ActorIdentity(name))

    with LinkServer(learner, "127.0.0.1:0", pair) as server, client("right") as right:
        with client("left") as left:
            for one in (left, right):
                one.hello(SPEC, learner.digest)
            with client("left") as double, pytest.raises(NameTakenError, match="'left' already"):
                double.hello(SPEC, learner.digest)
            left.put_episode(episodes_of("left", 1)[0])
            assert left.may_act(0.0)  # and never comes back with its episode
        clock.now += ALIVE_S
        for number, episode in enumerate(episodes_of("right", 6)):
            assert right.may_act(0.0), number
            right.put_episode(episode)
            learner.train()
        newest = learner.status.version
        assert newest > 1
        assert right.weights(0).version == newest
        with client("late") as late, client("left") as back:
            for one in (late, back):
                assert one.hello(SPEC, learner.digest) == newest
                weights = one.weights(0)
                assert weights.version == newest
                require_weights_of(learner, weights)
    counts = {view.name: view.episodes for view in learner.status.actors}
    assert counts == {"late": 0, "left": 1, "right": 6}


def require_weights_of(learner, weights):
    """The tensors are those of the learner's agent now."""
    for name, tensor in learner.trainer.agent.actor_weights().items():
        assert torch.equal(torch.from_numpy(weights.tensors[name].copy()), tensor), name


def test_a_status_comes_back_from_its_file(tmp_path):
    actor = ActorView(
        "left", True, 5.0, ActorReport("acting", resets={"lost": 1}), MARKS["a"], 3, 60, 1, {"forward": None}, 2
    )
    status = LearnerStatus(60, 3, 20, 0, 4, {"forward": 0.5}, 400, 20, (actor,))
    status.write(tmp_path / "learner.json")
    read = LearnerStatus.read(tmp_path / "learner.json")
    assert read.updated_s > 0
    assert replace(read, updated_s=0.0) == status
