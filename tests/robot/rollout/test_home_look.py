"""The look from home: what it may change, what it may not, and that no episode is lost on the way."""

import numpy as np
import pytest
from helpers.kinematic_arm import action, make_env
from helpers.session_setup import INSTRUCTIONS, Helper, WalkingPolicy, make_session

from robot.interfaces import RewardReading
from robot.rollout.home_look import HomeLook, settled
from trajectories.errors import SafetyError, StaleDataError
from trajectories.kinds import FROM_HOME_KEY, UNSURE_KEY, referee_of, was_unsure

YES, NO = RewardReading(0.9, True, True), RewardReading(0.1, False)
SURELY_NOT = RewardReading(0.01, False, refuted=True)  # by a judge that knows the view from home
NEAR = RewardReading(0.45, False, unsure=True)
DOUBTFUL, HALF = RewardReading(0.9, True, True, unsure=True), RewardReading(0.7, False, True)


@pytest.mark.parametrize(
    ("tried", "undone", "of_success", "of_failure", "of_unsure"),
    [
        (YES, NO, "success", "success", "success"),
        (NO, YES, "unknown", "failure", "failure"),
        # what contradicts itself, is not decided or in doubt, and what a judge says that has never looked from home
        (YES, YES, "success", "failure", "unknown"),
        (NO, NO, "success", "failure", "unknown"),
        (HALF, NO, "success", "failure", "unknown"),
        (NO, HALF, "success", "failure", "unknown"),
        (YES, HALF, "success", "failure", "unknown"),
        (HALF, YES, "success", "failure", "unknown"),
        (DOUBTFUL, NO, "success", "unknown", "unknown"),
        (NEAR, NO, "success", "unknown", "unknown"),
        (NEAR, YES, "unknown", "failure", "failure"),
        (NO, DOUBTFUL, "success", "failure", "unknown"),
        # not this goal, by a judge that has learned what it looks like from home
        (SURELY_NOT, NO, "failure", "failure", "failure"),
        (SURELY_NOT, SURELY_NOT, "failure", "failure", "failure"),
        (SURELY_NOT, HALF, "failure", "failure", "failure"),
        (SURELY_NOT, DOUBTFUL, "failure", "failure", "failure"),
        (SURELY_NOT, YES, "failure", "failure", "failure"),
        (NO, SURELY_NOT, "success", "failure", "unknown"),
    ],
)
def test_only_a_sure_look_changes_an_outcome(tried, undone, of_success, of_failure, of_unsure):
    look = HomeLook(tried, undone)
    for judged, stands in (("success", of_success), ("failure", of_failure), ("unknown", of_unsure)):
        assert settled(judged, look, creditable=True) == stands
        # such as what the gripper still held, which was let go by going home, not by the policy
        kept = judged if stands == "success" else stands
        assert settled(judged, look, creditable=False) == ("failure" if judged == "failure" else kept)


class Scene:
    """A judge of what was left: `left` are the directions whose goals seem reached from home once the arm has moved."""

    def __init__(self, left, at_end=NO):
        self.left, self.at_end, self.home, self.instruction = set(left), at_end, False, ""
        self.moved = False
        self.looks = []

    def reset(self, instruction):
        self.instruction, self.frames = instruction, 0
        if not self.looks or self.looks[-1]:
            self.looks.append(0)

    def update(self, observation):
        assert observation.instruction == self.instruction
        if not self.home:
            return self.at_end
        self.frames += 1
        self.looks[-1] += 1
        if self.moved and any(self.instruction in INSTRUCTIONS[way] for way in self.left):
            return RewardReading(0.9, self.frames >= 3, True)
        return NO


def session_of(scene, **settings):
    env = settings.pop("env", None) or make_env()[0]
    go_home, apply = env.go_home, env.apply

    def home(rng):
        had = scene.moved
        go_home(rng)
        scene.home, scene.moved = True, had

    def moved(given):
        if np.any(given[:6]):
            scene.home, scene.moved = False, True
        return apply(given)

    env.go_home, env.apply = home, moved
    given = []
    settings.setdefault("max_steps", 4)
    return make_session(env=env, judge=scene, skip_done=False, on_episode=given.append, **settings), given


def test_what_time_ended_is_a_success_where_its_goal_is_seen_reached_from_home():
    scene = Scene({"forward"})
    session, given = session_of(scene)
    episode = session.run_episode()
    assert (episode.outcome, bool(episode.truncated[-1]), len(episode)) == ("success", False, 4)
    assert episode.metadata[FROM_HOME_KEY] == {"judged": "failure", "tried": 0.9, "undone": 0.1}
    assert session.stats.outcomes["forward"] == ["success"]
    assert session.next_direction == "backward"
    assert [e.id for e in given] == [episode.id]
    assert scene.looks == [1, 3, 3]  # the episode's first, then three observations of either goal


def test_a_success_that_is_not_to_be_seen_from_home_is_unsure():
    session, _ = session_of(Scene({"backward"}, at_end=YES))
    episode = session.run_episode()
    assert (episode.outcome, len(episode)) == ("unknown", 1)
    assert episode.metadata[UNSURE_KEY] == {"would_be": "success"}
    assert was_unsure(episode)
    assert session.stats.consecutive_unsure == 1


def test_a_success_that_is_surely_not_there_from_home_is_a_failure():
    class Knowing(Scene):
        def update(self, observation):
            reading = super().update(observation)
            return SURELY_NOT if self.home and not reading.above else reading

    session, given = session_of(Knowing(set(), at_end=YES))
    episode = session.run_episode()
    assert (episode.outcome, len(episode), bool(episode.truncated[-1])) == ("failure", 1, True)
    assert not episode.terminated.any()
    assert episode.rewards.tolist() == [-1.0]
    assert episode.metadata[FROM_HOME_KEY] == {"judged": "success", "tried": 0.01, "undone": 0.01, "refuted": True}
    assert UNSURE_KEY not in episode.metadata
    assert session.stats.outcomes["forward"] == ["failure"]
    assert [each.outcome for each in given] == ["failure"]


def test_a_doubt_is_settled_from_home():
    for left, outcome in (({"forward"}, "success"), ({"backward"}, "failure"), (set(), "unknown")):
        session, _ = session_of(Scene(left, at_end=RewardReading(0.5, False, unsure=True)))
        episode = session.run_episode()
        assert (episode.outcome, UNSURE_KEY in episode.metadata) == (outcome, outcome == "unknown")


def test_what_going_home_let_go_is_no_success():
    class Holding(WalkingPolicy):
        def act(self, observation, deterministic=False):
            return action(0.5, gripper=-1.0)

    session, _ = session_of(Scene({"forward"}), policy=Holding(), referee=lambda way: True)
    episode = session.run_episode()
    assert episode.outcome == "failure"
    assert referee_of(episode) is False


def test_without_the_look_the_outcome_is_that_of_the_end_and_the_arm_still_goes_home():
    scene = Scene({"forward"})
    session, _ = session_of(scene, home_look=False, referee=lambda way: not scene.home)
    episode = session.run_episode()
    assert episode.outcome == "failure"
    assert FROM_HOME_KEY not in episode.metadata
    assert scene.home
    assert referee_of(episode) is True  # what going home lets go is not asked for


def test_the_arm_goes_home_once_between_two_episodes_and_again_after_help():
    env = make_env()[0]
    went, go_home = [], env.go_home
    env.go_home = lambda rng: went.append(1) or go_home(rng)
    helper = Helper()
    session, _ = session_of(Scene(set()), env=env, helper=helper, help_after=2)
    for _ in range(2):
        session.run_episode()
    assert (len(went), len(helper.calls)) == (3, 0)
    session.run_episode()
    assert (len(went), len(helper.calls)) == (5, 1)


def test_an_episode_after_which_the_arm_does_not_get_home_is_as_it_was_judged():
    env = make_env()[0]
    session, given = session_of(Scene({"forward"}), env=env)
    go_home, went = env.go_home, []

    def stuck(rng):
        went.append(1)
        if len(went) == 2:
            raise SafetyError("the arm does not get there")
        go_home(rng)

    env.go_home = stuck
    session.run_episode()
    assert [(e.outcome, len(e), FROM_HOME_KEY in e.metadata) for e in given] == [("failure", 4, False)]
    assert session.run_episode().metadata["help"] is None  # it got home with the next try


def test_a_fault_on_the_way_home_stops_the_next_episode_and_not_the_one_that_is_whole():
    env = make_env()[0]
    session, given = session_of(Scene({"forward"}), env=env)
    move, went = env.go_home, []

    def stopped(rng):
        went.append(1)
        if len(went) == 2:
            env.stop("a person says hold")
        move(rng)

    env.go_home = stopped
    episode = session.run_episode()
    assert (episode.outcome, len(episode), [e.id for e in given]) == ("failure", 4, [episode.id])
    assert "a person says hold" in episode.metadata[FROM_HOME_KEY]["fault"]
    with pytest.raises(SafetyError, match="a person says hold"):
        session.run_episode()
    assert len(given) == 1
    env.clear_faults("Ada", [fault.id for fault in env.faults])
    assert len(session.run_episode()) == 4


@pytest.mark.parametrize(("error", "raised"), [(StaleDataError, False), (RuntimeError, True)])
def test_an_episode_is_kept_as_it_was_judged_where_looking_fails(error, raised):
    env = make_env()[0]
    scene = Scene({"forward"})
    session, given = session_of(scene, env=env)
    observe, failed = env.observe, []

    def lost():
        if scene.looks[:1] == [1] and sum(scene.looks) == 2 and not failed:
            failed.append(1)
            raise error("no frame since 0.5 s")
        return observe()

    env.observe = lost
    if raised:
        with pytest.raises(error):
            session.run_episode()
    else:
        assert "no frame since" in session.run_episode().metadata[FROM_HOME_KEY]["fault"]
    assert [(e.outcome, len(e)) for e in given] == [("failure", 4)]
    if not raised:
        with pytest.raises(error, match="no frame since"):
            session.run_episode()
        assert len(session.run_episode()) == 4


def test_a_second_interrupt_on_the_way_home_drops_nothing():
    env = make_env()[0]
    session, given = session_of(Scene({"forward"}), env=env)
    go_home, went = env.go_home, []

    def interrupted(rng):
        went.append(1)
        if len(went) == 2:
            raise KeyboardInterrupt
        go_home(rng)

    env.go_home = interrupted
    with pytest.raises(KeyboardInterrupt):
        session.run_episode()
    assert [(e.outcome, len(e)) for e in given] == [("failure", 4)]


def test_a_goal_that_stood_when_the_episode_began_is_not_its_success():
    scene = Scene({"forward"})
    scene.moved = True
    session, _ = session_of(scene)
    assert [session.run_episode().outcome for _ in range(2)] == ["failure", "failure"]


def test_an_episode_is_begun_by_the_view_from_home():
    class FromHome(Scene):
        def reset_from_home(self, instruction):
            self.reset(instruction)
            self.view = True

        def reset(self, instruction):
            super().reset(instruction)
            self.view = False

        def update(self, observation):
            return super().update(observation) if self.view or not self.home else HALF

    scene = FromHome({"forward"})
    scene.moved = True
    session, _ = session_of(scene)
    session._skip_done = True
    episode = session.run_episode()
    assert episode.direction == "backward"
    assert episode.success_probability[0] == np.float32(0.7)  # recorded as all others are, not by the view from home


def test_the_arm_goes_home_again_after_help_that_failed():
    env = make_env()[0]
    session, _ = session_of(Scene(set()), env=env, help_after=1)
    went, go_home, resync, failed = [], env.go_home, env.resync, []
    env.go_home = lambda rng: went.append(1) or go_home(rng)

    def failing():
        if not failed:
            failed.append(1)
            raise StaleDataError("no joint state since 0.5 s")
        resync()

    session.run_episode()
    assert len(went) == 2
    env.resync = failing
    with pytest.raises(StaleDataError):
        session.run_episode()
    session.run_episode()
    assert len(went) == 4  # before it and after it


def test_a_hold_between_episodes_does_not_turn_the_direction():
    env = make_env()[0]
    session, _ = session_of(Scene(set()), env=env)
    session.run_episode()
    env.stop("a person says hold")
    with pytest.raises(SafetyError):
        session.run_episode()
    assert session.next_direction == "backward"
    env.clear_faults("Ada", [fault.id for fault in env.faults])
    assert session.run_episode().direction == "backward"


def test_what_is_said_while_the_arm_goes_home_is_about_the_episode_that_ended():
    from robot.rollout.persons_word import PersonsWord

    for about in ("", "last", "running"):
        said, kept = [], []
        word = PersonsWord(kept.append)
        env = make_env()[0]
        session, given = session_of(Scene({"forward"}), env=env, word=word)
        session.run_episode()
        go_home = env.go_home

        def home(rng, go_home=go_home, word=word, said=said, about=about):
            said.append(word.not_done("Ada", about))
            go_home(rng)

        env.go_home = home
        episode = session.run_episode()
        assert [verdict.episode for verdict in kept] == [episode.id] == [given[1].id]
        assert "ends now" not in said[0]
        assert "the judge said not done" in said[0]
        assert FROM_HOME_KEY not in episode.metadata


def test_what_a_person_said_is_not_looked_at():
    from robot.rollout.persons_word import PersonsWord

    word = PersonsWord(lambda verdict: None)
    scene = Scene({"forward"})
    session, _ = session_of(
        scene, word=word, on_step=lambda step: word.not_done("Ada", "running") if step.step == 2 else None
    )
    episode = session.run_episode()
    assert (episode.outcome, len(episode)) == ("failure", 2)
    assert FROM_HOME_KEY not in episode.metadata
    assert sum(scene.looks) == 1  # its first observation alone
