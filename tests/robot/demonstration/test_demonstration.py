"""The demonstration session on a robot that follows perfectly: phases, marks, undo, faults, Ctrl-C, the waiting arm."""

import signal
import threading
from functools import partial

import numpy as np
import pytest
from helpers.kinematic_arm import action, make_env

from robot.control.faults import Clearance, reason_of
from robot.demonstration.session import DemonstrationSession
from robot.demonstration.types import DemonstrationOptions, Tally
from robot.demonstration.words import Phase, Word
from robot.rollout.recovery import Recovery
from trajectories.disk_full import retry_while_disk_is_full
from trajectories.errors import ConfigError, DeviceError, DiskError, SafetyError, StoreError
from trajectories.types import Source

INSTRUCTIONS = {"forward": ("put it in", "place it inside"), "backward": ("take it out",)}
START, SUCCESS, FAILURE, STOP, DISCARD, UNDO = (
    Word.START, Word.SUCCESS, Word.FAILURE, Word.STOP, Word.DISCARD, Word.UNDO,
)  # fmt: skip
EPISODE = [(), START, (), (), SUCCESS]
"""Nothing while preparing, start at the first step of waiting, three steps, success at the last."""


class ScriptedPerson:
    """Says one entry of the script each time it is asked: once after preparing, then at every control step."""

    def __init__(self, *script):
        self.script, self.problem, self.motions = list(script), None, [False]
        self.acted, self.on_act = 0, None

    def action(self, gripper_open):
        self.acted += 1
        if self.on_act is not None:
            self.on_act(self.acted)
        return action(0.1, gripper=1.0 if gripper_open else -1.0)

    def moving(self):
        return self.motions.pop(0) if len(self.motions) > 1 else self.motions[0]

    def words(self):
        said = self.script.pop(0) if self.script else STOP
        if isinstance(said, type) and issubclass(said, BaseException):
            raise said
        return list(said) if isinstance(said, tuple) else [said]


class Helper:
    """Looks at the arm at once."""

    def __init__(self):
        self.reasons = []

    def recover(self, faults):
        self.reasons.append(reason_of(faults))
        return Clearance("Anna", tuple(fault.id for fault in faults))

    def resume(self, reason):
        pass


class Rig:
    """A session with everything around it; `kept` stands in for the store."""

    def __init__(self, *script, options=None, env=None, **settings):
        self.env, self.arm, self.clock = make_env() if env is None else env
        self.person, self.helper = ScriptedPerson(*script), Helper()
        self.kept, self.said, self.prepared, self.shown = {}, [], [], []
        self.session = DemonstrationSession(
            self.env, self.person, "pot", INSTRUCTIONS,
            prepare=lambda direction, rng: self.prepare(direction),
            recovery=Recovery(self.env, self.helper, self.said.append),
            keep=self.keep,
            remove=self.kept.__delitem__,
            rng=np.random.default_rng(0),
            options=options or DemonstrationOptions(max_steps=6, debounce_s=0.01),
            tell=self.said.append,
            on_progress=self.shown.append,
            **settings,
        )  # fmt: skip

    def prepare(self, direction):
        self.prepared.append(direction)

    def keep(self, episode):
        self.kept[episode.id] = episode

    def run(self, episodes=99):
        self.session.run(episodes)
        return list(self.kept.values())

    @property
    def text(self):
        return "\n".join(self.said)


def test_after_a_look_back_the_person_is_asked_for_the_next_direction():
    options = DemonstrationOptions(max_steps=6, debounce_s=0.01, aftermath_steps=2)
    rig = Rig(*EPISODE, *EPISODE, options=options)
    rig.run(2)
    asked = [p.direction for p in rig.shown if p.phase is Phase.PREPARING]
    assert asked == ["forward"] * 2 + ["backward"] * 2


def test_directions_alternate_and_every_step_is_the_persons():
    rig = Rig(*EPISODE * 4)
    episodes = rig.run(4)
    assert [e.direction for e in episodes] == ["forward", "backward"] * 2 == rig.prepared
    for episode in episodes:
        assert episode.instruction in INSTRUCTIONS[episode.direction]
        assert (episode.outcome, len(episode)) == ("success", 3)
        assert episode.terminated[-1]
        assert not episode.truncated.any()
        np.testing.assert_array_equal(episode.source, Source.PERSON)
        np.testing.assert_array_equal(episode.policy_version, -1)
        np.testing.assert_allclose(episode.executed[:, 0], 0.1, atol=1e-6)
        assert np.diff(episode.t_ns["joints"]).tolist() == [200_000_000] * 3
    assert rig.session.tally.successes == 4
    assert not rig.session.ended
    assert "forward 2 of 2, backward 2 of 2" in rig.said[-1]


def test_what_failed_is_shown_again_before_the_other_direction():
    rig = Rig((), START, (), FAILURE, *EPISODE, *EPISODE)
    episodes = rig.run(2)
    assert [(e.direction, e.outcome) for e in episodes] == [
        ("forward", "failure"), ("forward", "success"), ("backward", "success"),
    ]  # fmt: skip
    assert episodes[0].truncated.tolist() == [False, True]


def test_it_goes_on_from_what_an_earlier_session_left():
    tally = Tally()
    tally.outcomes["forward"]["success"] = 2
    tally.outcomes["backward"]["success"] = 1
    rig = Rig(*EPISODE, tally=tally)
    rig.run(4)
    assert rig.prepared == ["backward"]


def test_time_up_asks_for_the_mark_while_the_arm_stands_still():
    rig = Rig((), START, *[()] * 6, (), (), SUCCESS)
    (episode,) = rig.run(1)
    assert (len(episode), episode.outcome) == (6, "success")
    assert "time is up after 1 s" in rig.text
    asked = [p for p in rig.shown if p.phase is Phase.ASKING]
    assert [p.steps for p in asked] == [6, 6, 6]
    sent = [command.joints for command in rig.arm.sent]
    np.testing.assert_allclose(sent[-30:], [sent[-1]] * 30, atol=1e-12)  # three control steps of ten targets each


def test_stop_asks_too_and_a_second_stop_keeps_it_unmarked():
    rig = Rig((), START, (), STOP, (), STOP)
    rig.run(1)
    (episode,) = rig.kept.values()
    assert (len(episode), episode.outcome) == (2, "unknown")
    assert episode.truncated[-1]
    assert rig.session.ended  # by the stop at the end of the script
    assert rig.session.tally.outcomes["forward"] == {"success": 0, "failure": 0, "unknown": 1}


def test_discard_drops_what_is_under_way_and_before_the_start_skips():
    rig = Rig((), (), DISCARD, (), START, (), DISCARD, (), START, *[()] * 6, DISCARD, *EPISODE)
    (episode,) = rig.run(1)
    assert len(episode) == 3
    assert rig.prepared == ["forward"] * 4
    assert rig.session.tally.dropped == 2
    assert "skipped" in rig.text


def test_undo_takes_back_the_last_one_names_it_and_its_direction_comes_again():
    rig = Rig(*EPISODE, (), UNDO, *EPISODE, UNDO, (), UNDO, *EPISODE, *EPISODE)
    first = []
    rig.session._tell = lambda line: (rig.said.append(line), first.extend(rig.kept) if not first else None)
    episodes = rig.run(2)
    assert first[0] not in rig.kept
    assert f"removed the last episode, {first[0]} (forward, success); the next one takes its place" in rig.said
    assert [e.direction for e in episodes] == ["forward", "backward"]
    assert rig.session.tally.undone == 2  # the second one while the scene was being prepared
    assert "there is no episode of this session to undo" in rig.text
    assert rig.session.tally.outcomes["forward"]["success"] == 1


def test_keys_of_another_phase_change_nothing_and_are_answered():
    rig = Rig((START, SUCCESS), SUCCESS, START, (START, UNDO), SUCCESS)
    rig.run(1)
    assert rig.prepared == ["forward"]
    assert [line for line in rig.said if "nothing" in line] == [
        "'mark success' means nothing now: the arm waits for the start",
        "'start' means nothing now: recording",
        "'undo' means nothing now: recording",
    ]


def test_the_waiting_arm_keeps_its_goal_and_observations_stay_fresh():
    rig = Rig((), *[()] * 200, STOP)
    before = rig.clock.now
    rig.run()
    targets = np.array([command.joints for command in rig.arm.sent])
    assert len(targets) == 201 * 10
    np.testing.assert_allclose(targets, np.broadcast_to(targets[0], targets.shape), atol=1e-12)
    assert rig.clock.now - before == 201 * 200_000_000
    assert [p.phase for p in rig.shown[:3]] == [Phase.PREPARING, Phase.PREPARING, Phase.WAITING]


def test_a_closed_gripper_stays_closed_while_the_arm_waits():
    rig = Rig((), (), (), STOP)
    rig.prepare = lambda direction: rig.env.apply(action(gripper=-1.0))
    rig.run()
    assert [command.gripper_width for command in rig.arm.sent] == [rig.env.limits.gripper_closed_width] * 40


def test_motion_starts_it_only_after_rest_and_only_where_that_is_set():
    by_motion = DemonstrationOptions(max_steps=6, start_by="motion", debounce_s=0.01)
    rig = Rig((), (), (), (), SUCCESS, options=by_motion)
    rig.person.motions = [True, True, False, True]
    (episode,) = rig.run(1)
    assert len(episode) == 1
    assert [p.phase for p in rig.shown].count(Phase.WAITING) == 3  # moved, at rest, moved: begin
    rig = Rig((), (), (), STOP)
    rig.person.motions = [False, True]
    assert rig.run(1) == []


def test_a_fault_keeps_what_was_recorded_and_the_session_goes_on_on_a_persons_word():
    rig = Rig((), START, (), (), *EPISODE)
    rig.person.on_act = lambda count: rig.env.safety.trip("pressed") if count == 3 else None
    cut, good = rig.run(1)
    assert (cut.outcome, len(cut)) == ("unknown", 2)
    assert "pressed" in cut.metadata["fault"]
    assert len(rig.helper.reasons) == 1
    assert "pressed" in rig.helper.reasons[0]
    assert "pressed" in rig.text
    assert rig.env.safety.fault is None
    assert (good.outcome, good.direction) == ("success", "forward")


def test_faults_while_preparing_and_waiting_are_recovered_from_too():
    rig = Rig(*EPISODE)
    failures = [SafetyError("did not get home"), DeviceError("camera gone")]

    def prepare(direction):
        if failures:
            raise failures.pop(0)

    rig.prepare = prepare
    assert len(rig.run(1)) == 1
    assert "did not get home" in rig.text
    assert "camera gone" in rig.text


def test_a_fault_before_the_first_step_keeps_nothing():
    rig = Rig((), START, *EPISODE)
    rig.person.on_act = lambda count: rig.env.safety.trip("early") if count == 1 else None
    (episode,) = rig.run(1)
    assert episode.outcome == "success"


@pytest.mark.parametrize(
    ("script", "kept"),
    [
        ([*EPISODE, (), START, (), KeyboardInterrupt], ["success", "unknown"]),
        ([*EPISODE, (), START, *[()] * 6, (), KeyboardInterrupt], ["success", "unknown"]),
        ([*EPISODE, (), KeyboardInterrupt], ["success"]),
        ([*EPISODE, KeyboardInterrupt], ["success"]),
    ],
)
def test_ctrl_c_loses_nothing_and_stops_the_arm(script, kept):
    rig = Rig(*script)
    with pytest.raises(KeyboardInterrupt):
        rig.run()
    assert [e.outcome for e in rig.kept.values()] == kept
    assert rig.arm.holds == 1


def test_a_store_that_refuses_ends_the_session_with_the_arm_at_rest():
    rig = Rig(*EPISODE)
    rig.keep = lambda episode: (_ for _ in ()).throw(StoreError("disk full"))
    rig.session._keep = rig.keep
    with pytest.raises(StoreError, match="disk full"):
        rig.run()
    assert rig.arm.holds == 1
    assert rig.session.tally.successes == 0


def test_an_episode_waits_for_room_on_the_disk_and_ctrl_c_gives_it_up(monkeypatch):
    monkeypatch.setattr(
        "robot.demonstration.session.retry_while_disk_is_full", partial(retry_while_disk_is_full, again_s=0.01)
    )
    rig, refusals = Rig(*EPISODE), [DiskError("no space left")] * 3
    normal = rig.session._keep

    def keep(episode):
        if refusals:
            raise refusals.pop()
        normal(episode)

    rig.session._keep = keep
    assert [e.outcome for e in rig.run(1)] == ["success"]
    assert "no space left" in rig.text
    rig = Rig(*EPISODE)

    def never(episode):
        signal.raise_signal(signal.SIGINT)
        raise DiskError("no space left")

    rig.session._keep = never
    with pytest.raises(DiskError, match="no space left"):
        rig.run()
    assert rig.arm.holds == 1
    assert rig.session.tally.successes == 0


def test_stop_from_elsewhere_ends_it_after_the_episode():
    stop = threading.Event()
    rig = Rig(*EPISODE, (), (), START, (), SUCCESS, stop=stop)
    rig.person.on_act = lambda count: stop.set() if count == 2 else None
    assert [e.outcome for e in rig.run()] == ["success"]
    assert rig.session.ended


def test_the_referee_is_written_down_but_does_not_judge():
    rig = Rig(*EPISODE, referee=lambda direction: False)
    (episode,) = rig.run(1)
    assert episode.outcome == "success"
    assert episode.metadata["evaluation"] == {"success": False}


def test_a_referee_that_cannot_be_asked_costs_no_episode():
    def referee(direction):
        raise DeviceError("the world is away")

    (episode,) = Rig(*EPISODE, referee=referee).run(1)
    assert "evaluation" not in episode.metadata


def test_observations_go_to_whoever_looks():
    seen = []
    rig = Rig(*EPISODE, on_observation=seen.append, metadata={"device": "scripted"})
    (episode,) = rig.run(1)
    assert len(seen) == 5  # prepared, waiting, three steps
    assert {o.instruction for o in seen} == {episode.instruction}
    assert episode.metadata["device"] == "scripted"
    assert [(p.steps, round(p.elapsed_s, 1)) for p in rig.shown[-3:]] == [(1, 0.2), (2, 0.4), (3, 0.6)]


@pytest.mark.parametrize(("settings", "said"), [({"max_steps": 0}, "max_steps"), ({"start_by": "shout"}, "shout")])
def test_wrong_settings_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        DemonstrationOptions(**settings)


def test_a_direction_without_words_is_refused(monkeypatch):
    monkeypatch.setitem(INSTRUCTIONS, "backward", ())
    with pytest.raises(ConfigError, match="backward"):
        Rig()
