"""The reset-free session: alternation, judgement, help, takeover, faults, what is recorded."""

import math
import threading

import numpy as np
import pytest
from helpers.kinematic_arm import START, action, make_env
from helpers.session_setup import INSTRUCTIONS, CountingJudge, Helper, WalkingPolicy, make_session

from robot.interfaces import RewardReading
from robot.rollout.recovering_session import RecoveringSession
from robot.rollout.recovery import Recovery
from robot.rollout.retraining_session import RetrainingSession
from robot.rollout.session import NOT_HOME, ResetFreeSession
from trajectories.errors import ConfigError, SafetyError
from trajectories.kinds import done_at_its_end, referee_of
from trajectories.types import PROPRIO_NAMES, Source

TIP_X = PROPRIO_NAMES.index("tip_x")


def test_directions_alternate_and_wordings_vary():
    session = make_session()
    episodes = [session.run_episode() for _ in range(12)]
    assert [e.direction for e in episodes] == ["forward", "backward"] * 6
    for episode in episodes:
        assert episode.instruction in INSTRUCTIONS[episode.direction]
    assert len({e.instruction for e in episodes}) == 5


def test_success_ends_the_episode_and_is_recorded_as_the_judge_saw_it():
    given = []
    session = make_session(on_episode=given.append)
    episode = session.run_episode()
    assert given == [episode]
    assert len(episode) == 4
    assert episode.outcome == "success"
    assert episode.terminated[-1]
    assert not episode.truncated.any()
    np.testing.assert_allclose(episode.success_probability, [0.05, 0.05, 0.05, 0.05, 0.97])
    np.testing.assert_array_equal(episode.policy_version, 3)
    np.testing.assert_array_equal(episode.source, Source.POLICY)
    assert np.diff(episode.t_ns["joints"]).tolist() == [200_000_000] * 4
    assert episode.metadata["judge"] == "CountingJudge"


def test_time_up_is_a_failure_that_truncates():
    episode = make_session(lambda _: None, max_steps=7).run_episode()
    assert len(episode) == 7
    assert episode.outcome == "failure"
    assert episode.truncated.tolist() == [False] * 6 + [True]
    assert not episode.terminated.any()


class InARow:
    """Above its threshold where `frames` says so, done after three of them in a row."""

    def __init__(self, frames):
        self.frames, self.seen, self.row = frames, 0, 0

    def reset(self, instruction):
        self.seen = self.row = 0

    def update(self, observation):
        above = self.seen < len(self.frames) and self.frames[self.seen] == "1"
        self.seen, self.row = self.seen + 1, self.row + 1 if above else 0
        return RewardReading(0.9 if above else 0.1, self.row >= 3, above)


@pytest.mark.parametrize(
    ("frames", "outcome", "looks"),
    [
        # 5 steps, then the looks
        ("0000111", "success", 2), ("000111", "success", 1), ("000010", "failure", 1), ("00000", "failure", 0),
        ("01110", "success", 0), ("0000110", "failure", 2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("beside", [False, True])
def test_what_looks_done_as_time_ends_is_looked_at_until_the_judge_has_decided(frames, outcome, looks, beside):
    session = make_session(judge=InARow(frames), max_steps=5, skip_done=False, judge_beside=beside)
    episode = session.run_episode()
    assert (episode.outcome, episode.metadata.get("looked_again", 0)) == (outcome, looks)
    assert len(episode) == (4 if frames == "01110" else 5 + looks)  # what was decided by is in it
    assert session.stats.steps == len(episode)
    np.testing.assert_allclose(episode.success_probability[1:], [0.1 + 0.8 * int(f) for f in frames[: len(episode)]])


def test_the_arm_holds_still_while_it_is_looked_at_again():
    env, _, _ = make_env()
    applied, apply = [], env.apply
    env.apply = lambda given: applied.append(np.array(given)) or apply(given)
    env.go_home = lambda rng: None
    episode = make_session(env=env, judge=InARow("0000111"), max_steps=5, skip_done=False).run_episode()
    assert len(episode) == 7
    for still in (*applied[-2:], *episode.proposed[-2:]):
        np.testing.assert_array_equal(still, [0, 0, 0, 0, 0, 0, episode.executed[-1, 6]])


def test_a_person_who_takes_over_ends_the_looks():
    asked = []

    def takeover(observation):
        asked.append(observation)
        return np.array([0.5, 0, 0, 0, 0, 0, 1], np.float32) if len(asked) > 5 else None

    episode = make_session(judge=InARow("000011111"), max_steps=5, skip_done=False, takeover=takeover).run_episode()
    assert (len(episode), episode.outcome) == (5, "failure")
    assert "looked_again" not in episode.metadata


def test_a_fault_while_it_is_looked_at_again_keeps_the_episode_as_unknown():
    env, _, _ = make_env()
    given, count, apply = [], [], env.apply

    def failing(proposed):
        count.append(proposed)
        if len(count) > 6:
            raise SafetyError("the motor is hot")
        return apply(proposed)

    env.apply = failing
    env.go_home = lambda rng: None
    session = make_session(env=env, judge=InARow("0000111"), max_steps=5, skip_done=False, on_episode=given.append)
    with pytest.raises(SafetyError, match="hot"):
        session.run_episode()
    assert [(len(e), e.outcome, e.metadata["looked_again"]) for e in given] == [(6, "unknown", 1)]


def test_the_executed_action_is_recorded_beside_the_proposed_one():
    policy = WalkingPolicy(speed=3.0)  # beyond [-1, 1], and into the wall of the box
    episode = make_session(lambda _: None, max_steps=5, policy=policy).run_episode()
    assert set(np.abs(episode.proposed[:, 0])) == {3.0}
    assert np.abs(episode.executed).max() <= 1.0
    moved = 0.05 * episode.executed[:, 0]
    np.testing.assert_allclose(np.diff(episode.proprio[:, TIP_X]), moved, atol=1e-6)
    assert moved[-1] == pytest.approx(0.0, abs=1e-6)


def test_failures_in_a_row_call_for_help_and_the_count_starts_again():
    helper = Helper()
    session = make_session(lambda _: None, helper=helper, max_steps=2, help_after=3)
    given = [session.run_episode() for _ in range(7)]
    assert helper.calls == [("3 failures in a row", "backward"), ("3 failures in a row", "forward")]
    assert session.stats.helps == {"3 failures in a row": 2}
    assert session.stats.consecutive_failures["any"] == 1
    assert len(given) == session.stats.episodes == 7  # the episodes before the help are kept
    assert [e.metadata["help"] is not None for e in given] == [False, False, False, True, False, False, True]


def test_one_direction_that_never_succeeds_calls_for_help_though_the_other_one_does():
    helper = Helper()
    backward = INSTRUCTIONS["backward"]
    session = make_session(lambda text: None if text in backward else 2, helper=helper, max_steps=3, help_after=3)
    for _ in range(25):
        session.run_episode()
    reason = "6 failures in a row of the backward task"
    assert helper.calls == [(reason, "forward"), (reason, "forward")]  # after 12 and 24 episodes
    assert session.stats.consecutive_failures == {"any": 0, "forward": 0, "backward": 0}


def test_a_success_ends_a_row_of_failures():
    outcomes = iter([None, None, 2, None, None, 2])
    helper = Helper()
    limits = {}

    def done_after(instruction):
        return limits["now"]

    session = make_session(done_after, helper=helper, max_steps=3, help_after=3)
    for limit in outcomes:
        limits["now"] = limit
        session.run_episode()
    assert helper.calls == []
    assert session.stats.success_rate("forward") == pytest.approx(1 / 3)
    assert session.stats.success_rate("backward") == pytest.approx(1 / 3)
    assert session.stats.success_rate("backward", last=1) == 1.0


def test_trouble_calls_for_help_before_the_next_episode():
    helper = Helper([None, "the cube left the workspace"])
    session = make_session(helper=helper)
    first = session.run_episode()
    second = session.run_episode()
    assert helper.calls == [("the cube left the workspace", "backward")]
    assert first.metadata["help"] is None
    assert second.metadata["help"] == "the cube left the workspace"


def test_the_arm_may_be_moved_while_somebody_helps():
    env, arm, _ = make_env()

    def move():
        arm.joints = START + np.array([0.5, 0.1, 0, 0, 0, 0])

    session = make_session(env=env, helper=Helper(["lost"], on_help=move))
    sent = len(arm.sent)
    session.run_episode()
    path = np.array([START + np.array([0.5, 0.1, 0, 0, 0, 0]), *(c.joints for c in arm.sent[sent:])])
    assert np.abs(np.diff(path, axis=0)).max() <= env.limits.max_joint_speed * 0.02 + 1e-9


def test_an_arm_that_cannot_get_home_is_freed_by_somebody():
    env, arm, _ = make_env()
    arm.blocked = True

    def free():
        arm.blocked = False

    helper = Helper(on_help=free)
    arm.joints = START + np.array([0.7, 0.5, 0, 0, 0, 0])
    session = make_session(env=env, helper=helper)
    session.run_episode()
    assert helper.calls == [(NOT_HOME, "forward")]


def test_a_person_takes_over_and_hands_back():
    def takeover(observation):
        takeover.calls += 1
        return action(0, 0.3) if takeover.calls in (2, 3) else None

    takeover.calls = 0
    episode = make_session(lambda _: None, takeover=takeover, max_steps=5).run_episode()
    person, policy = Source.PERSON, Source.POLICY
    assert episode.source.tolist() == [policy, person, person, policy, policy]
    assert episode.policy_version.tolist() == [3, -1, -1, 3, 3]
    np.testing.assert_allclose(episode.executed[:, 1], [0, 0.3, 0.3, 0, 0], atol=1e-6)


def test_a_fault_keeps_what_was_recorded_and_is_raised():
    env, arm, _ = make_env()
    given = []

    class Judge(CountingJudge):
        def update(self, observation):
            if self.frames == 3:
                arm.efforts = np.full(6, 20.0)
            return super().update(observation)

    session = make_session(env=env, judge=Judge(lambda _: None), on_episode=given.append)
    with pytest.raises(SafetyError, match="waist"):
        session.run_episode()
    (episode,) = given
    assert episode.outcome == "unknown"
    assert episode.truncated[-1]
    assert not episode.terminated.any()
    assert len(episode) == 4 + env.limits.effort_fault_steps - 1
    assert "waist" in episode.metadata["fault"]
    assert session.stats.consecutive_failures["any"] == 0
    assert math.isnan(session.stats.success_rate("forward"))
    with pytest.raises(SafetyError):  # nothing moves until a person clears the fault
        session.run_episode()
    assert len(given) == 1


def test_a_goal_that_is_reached_already_is_skipped_until_the_other_direction_succeeds():
    helper = Helper()
    judge = CountingJudge(lambda _: None, start_probability=lambda i: 0.95 if i in INSTRUCTIONS["backward"] else 0.1)
    session = make_session(judge=judge, helper=helper, max_steps=2, help_after=50)
    assert [session.run_episode().direction for _ in range(5)] == ["forward"] * 5
    assert session.stats.skipped == 4
    plain = make_session(judge=judge, helper=helper, max_steps=2, help_after=50, skip_done=False)
    assert [plain.run_episode().direction for _ in range(4)] == ["forward", "backward"] * 2


def test_when_both_goals_seem_to_be_reached_directions_alternate():
    judge = CountingJudge(lambda _: None, start_probability=lambda _: 0.95)
    session = make_session(judge=judge, max_steps=2, help_after=50)
    assert [session.run_episode().direction for _ in range(4)] == ["forward", "backward"] * 2
    assert session.stats.skipped == 0


def test_the_referee_speaks_at_the_end_and_from_home_and_only_into_the_evaluation():
    env, _, _ = make_env()
    asked, go_home = [], env.go_home
    env.go_home = lambda rng: asked.append("home") or go_home(rng)

    def referee(direction):
        asked.append(direction)
        return asked.count("forward") == 2

    episode = make_session(env=env, referee=referee).run_episode()
    assert asked == ["home", "forward", "home", "forward"]
    assert episode.outcome == "success"  # the reward model is the judge
    assert episode.metadata["evaluation"] == {"success": False, "left": True}
    assert (done_at_its_end(episode), referee_of(episode)) == (False, True)
    assert referee_of(make_session().run_episode()) is None


def test_the_same_generator_gives_the_same_session():
    runs = []
    for _ in range(2):
        session = make_session(rng=np.random.default_rng(7))
        runs.append([session.run_episode() for _ in range(4)])
    for one, other in zip(*runs, strict=True):
        assert one.instruction == other.instruction
        np.testing.assert_array_equal(one.proprio, other.proprio)
    assert runs[0][0].metadata == runs[1][0].metadata


def test_actions_are_drawn():
    policy = WalkingPolicy()
    make_session(policy=policy).run_episode()
    assert set(policy.deterministic) == {False}


@pytest.mark.parametrize("setting", [{"max_steps": 0}, {"help_after": 0}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        make_session(**setting)


def test_both_directions_need_an_instruction():
    env, _, _ = make_env()
    with pytest.raises(ConfigError, match="backward"):
        ResetFreeSession(
            env, WalkingPolicy(), CountingJudge(lambda _: 1), "pot", {"forward": ("a",), "backward": ()},
            Helper(), rng=np.random.default_rng(0),
        )  # fmt: skip


class PlaceJudge:
    """Says done when the tip is far enough along x; tells which observations it saw, and in which threads."""

    def __init__(self, far):
        self.far, self.threads = far, []

    def reset(self, instruction):
        """Nothing to forget."""

    def update(self, observation):
        self.threads.append(threading.current_thread().name)
        x = float(observation.proprio[TIP_X])
        return RewardReading(abs(x) % 1, x > self.far)


def walk(far, **settings):
    env, arm, _ = make_env()
    judge = PlaceJudge(far)
    session = make_session(env=env, judge=judge, skip_done=False, home_look=False, **settings)
    return session.run_episode(), arm, judge


@pytest.mark.parametrize("far", [np.inf, 0.3])
def test_a_judge_beside_the_motion_gives_the_same_episode(far):
    plain, arm, judge = walk(far, max_steps=9)
    beside, later, other = walk(far, max_steps=9, judge_beside=True)
    assert (beside.outcome, len(beside)) == (plain.outcome, len(plain))
    assert plain.outcome == ("success" if far < 1 else "failure")
    for name in ("proprio", "proposed", "executed", "success_probability", "terminated", "truncated"):
        np.testing.assert_array_equal(getattr(beside, name), getattr(plain, name))
    np.testing.assert_allclose(beside.success_probability, np.abs(beside.proprio[:, TIP_X]) % 1, atol=1e-6)
    assert {name.split("-")[0] for name in judge.threads} == {"MainThread"}
    assert {name.split("_")[0] for name in other.threads[1:-1]} == {"judge"}
    if plain.outcome == "success":  # the motion under way was finished, and is not in the record
        assert len(later.sent) > len(arm.sent)


def test_a_fault_beside_the_judge_loses_no_step():
    env, _, _ = make_env()
    given, seen = [], []

    def on_step(step):
        seen.append(step.step)
        if step.step == 3:
            env.safety.trip("a hand in the way")

    judge = PlaceJudge(np.inf)
    session = make_session(env=env, judge=judge, on_episode=given.append, on_step=on_step, judge_beside=True)
    with pytest.raises(SafetyError):
        session.run_episode()
    assert given[0].outcome == "unknown"
    assert len(given[0]) == max(seen) == 4


def test_a_judge_is_exchanged_between_episodes():
    """The second of three looks for a newer one finds it; that one is asked from then on."""
    old, new = CountingJudge(lambda _: 4), CountingJudge(lambda _: 6)
    found = [None, new, None]
    for beside in (False, True):
        session = make_session(judge=old, judge_beside=beside)
        looks = iter(found)
        recovery = Recovery(session._env, Helper(), print, threading.Event())
        running = RetrainingSession(
            RecoveringSession(session, recovery), lambda looks=looks: next(looks), session.judge_by
        )
        assert [len(running.run_episode()) for _ in range(3)] == [4, 6, 6]
        assert running.stats is session.stats
