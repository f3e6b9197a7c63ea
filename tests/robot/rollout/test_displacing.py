"""Sessions that set down elsewhere what they hold, on an arm between whose fingers there is something."""

from dataclasses import dataclass

import numpy as np
import pytest
from helpers.kinematic_arm import SPEC, KinematicArm, ManualClock, PatternCamera
from helpers.session_setup import CountingJudge, Helper, make_session

from robot.control.home import HomeRegion
from robot.rollout.actor_status import ActorStatus
from robot.rollout.displacing import FAR, LIFTED, Displacement
from robot.rollout.environment import RobotEnv
from robot.rollout.persons_word import PersonsWord
from robot.rollout.places import Places
from trajectories.errors import ConfigError, InvalidEpisodeError, SafetyError
from trajectories.kinds import DISPLACED_KEY, FROM_HOME_KEY, teaches_actions, was_displaced, was_unsure
from trajectories.types import Source

HEIGHT, CARRIED = 0.10, 0.16
HOME = HomeRegion(x=(0.24, 0.24), y=(0.0, 0.0), z=(HEIGHT, CARRIED), yaw=(0.0, 0.0), rise_z=0.13, open_steps=1)
GOAL = (0.30, 0.08, HEIGHT, 0.2)
NEAR = (0.25, 0.0, HEIGHT, 0.0)
HIGHER = (0.30, -0.08, HEIGHT + 0.05, 0.0)
OBJECT = 0.02
ALWAYS = 1.0 - 1e-9


@dataclass
class GraspingArm(KinematicArm):
    """Its fingers stop at an object, until it slips out at the `slips`th command with a closed gripper."""

    slips: int = 10**6

    def send(self, command):
        super().send(command)
        if command.gripper_width < OBJECT and self.slips > 0:
            self.width = OBJECT
            self.slips -= 1


class Picker:
    """Goes down to a height, closes, waits a step, and rises."""

    version = 0

    def __init__(self, env):
        self.env, self.step = env, 0

    def begins(self):
        self.step = 0

    def act(self, observation, deterministic=False):
        self.step += 1
        down = np.array([0, 0, 0, 0, 0, 0, 1], np.float32)
        if self.step <= 6:
            gap = HEIGHT - self.env.target.pose.position[2]
            down[2] = np.clip(gap / SPEC.action_scale[2], -1, 1)
            return down
        up = np.array([0, 0, 1 if self.step > 8 else 0, 0, 0, 0, -1], np.float32)
        return up


class World:
    """An arm, a session at which every episode may be displaced, and where the gripper was opened."""

    def __init__(self, rows=(GOAL,), share=ALWAYS, done_after=lambda _: None, slips=10**6, judge=None, **settings):
        clock = ManualClock()
        self.arm = GraspingArm(clock, slips=slips)
        self.env = RobotEnv(self.arm, {"front": PatternCamera(clock, (8, 10))}, clock, SPEC, home=HOME)
        self.policy = Picker(self.env)
        array = np.array(rows, np.float64).reshape(-1, 4)
        self.places = Places("pot", SPEC.digest, {"forward": array, "backward": array})
        rng = np.random.default_rng(3)
        self.episodes, self.helper = [], Helper()
        self.session = make_session(
            env=self.env, policy=self.policy, judge=judge or CountingJudge(done_after), helper=self.helper, rng=rng,
            displacement=Displacement(self.env, self.places, share, rng), on_episode=self.episodes.append, max_steps=20,
            **settings,
        )  # fmt: skip

    def run(self):
        self.policy.begins()
        return self.session.run_episode()


def tip(world):
    return world.env.kinematics.forward(world.arm.joints)


def opened_at(world):
    """Poses of the tip at which the gripper opened around the object, once the episode was run."""
    places, send = [], world.arm.send

    def watched(command):
        before = world.arm.width
        send(command)
        if before == OBJECT and world.arm.width > OBJECT:
            places.append(tip(world))

    world.arm.send = watched
    return places


def test_what_is_held_is_carried_to_a_place_lowered_and_let_go():
    world = World()
    opened = opened_at(world)
    episode = world.run()
    assert was_displaced(episode)
    assert episode.outcome == "unknown"
    to = episode.metadata[DISPLACED_KEY]["to"]
    np.testing.assert_allclose(to, (*GOAL[:2], HEIGHT + 0.003, GOAL[3]), atol=2e-3)
    assert episode.metadata[DISPLACED_KEY]["there"] is True
    (place,) = opened
    np.testing.assert_allclose(place.position, to[:3], atol=1e-3)
    assert place.rpy[2] == pytest.approx(to[3], abs=1e-3)


def test_it_is_carried_high_and_never_let_go_on_the_way():
    world = World()
    way = []
    send = world.arm.send

    def watched(command):
        send(command)
        way.append((*tip(world).position, world.arm.width))

    world.arm.send = watched
    world.run()
    rows = np.array(way)
    held = np.flatnonzero(rows[:, 3] == OBJECT)
    assert (np.diff(held) == 1).all()
    moving = rows[held][:-1][np.linalg.norm(np.diff(rows[held][:, :2], axis=0), axis=1) > 1e-3]
    assert moving[:, 2].min() > CARRIED - 2e-3


def test_the_episode_ends_as_soon_as_it_is_lifted_and_the_same_direction_follows():
    world = World()
    first, second = world.run(), world.run()
    assert first.direction == second.direction == "forward"
    height = first.proprio[:, 2]
    closed = int(np.flatnonzero(first.proprio[:, 7] < 0)[0])
    assert height[-1] >= height[closed] + LIFTED > height[-2]
    assert bool(first.truncated[-1])
    assert not first.terminated.any()
    assert (first.rewards == -1).all()
    assert teaches_actions(first)
    assert not was_unsure(first)


def test_it_counts_as_neither_success_nor_failure_nor_doubt():
    world = World(help_after=1)
    for _ in range(3):
        world.run()
    stats = world.session.stats
    assert (stats.displaced, stats.episodes, stats.helps) == (3, 3, {})
    assert stats.consecutive_unsure == 0
    status = ActorStatus("run")
    after = status.judged(world.episodes[0])
    assert (after.displaced, after.training, after.newest) == (1, {}, ())


def test_no_referee_and_no_look_from_home_is_asked():
    asked = []
    judge = CountingJudge(lambda _: None)
    world = World(judge=judge, referee=lambda way: asked.append(way) or True, skip_done=False)
    episode = world.run()
    assert asked == []
    assert {"evaluation", FROM_HOME_KEY}.isdisjoint(episode.metadata)
    assert len(judge.resets) == 2  # the look at the start, and the episode


def test_a_share_of_the_episodes_is_displaced_the_others_are_as_ever():
    world = World(share=0.5, done_after=lambda _: 12, home_look=False)
    for _ in range(40):
        world.run()
    displaced = [was_displaced(episode) for episode in world.episodes]
    assert 10 <= sum(displaced) <= 30
    assert {episode.outcome for episode in world.episodes if not was_displaced(episode)} == {"success"}
    for one, after in zip(world.episodes, world.episodes[1:], strict=False):
        assert (after.direction == one.direction) is was_displaced(one)


@pytest.mark.parametrize("row", [NEAR, HIGHER], ids=["no other place", "another height"])
def test_without_a_place_that_fits_the_episode_goes_on(row):
    assert np.hypot(NEAR[0] - HOME.x[0], NEAR[1]) < FAR
    episode = World(rows=(row,)).run()
    assert not was_displaced(episode)
    assert len(episode) == 20
    assert episode.outcome == "failure"


def test_what_slips_out_on_the_way_is_not_lowered():
    world = World(slips=45)
    episode = world.run()
    assert episode.metadata[DISPLACED_KEY]["there"] is False
    lowest = min(world.env.kinematics.forward(one.joints).position[2] for one in world.arm.sent[-60:])
    assert lowest > HEIGHT + 0.02


def test_nothing_held_nothing_displaced():
    world = World(slips=0)
    episode = world.run()
    assert not was_displaced(episode)
    assert len(episode) == 20


def test_done_with_the_object_in_the_gripper_is_a_success():
    """The judge says done in the very step in which the object is lifted far enough, seen beside the motion or not."""
    for beside in (False, True):
        last = len(World().run())
        world = World(done_after=lambda _, last=last: last, home_look=False, judge_beside=beside)
        episode = world.run()
        assert (len(episode), episode.outcome) == (last, "success")
        assert not was_displaced(episode)


def test_a_judge_beside_the_motion_sees_every_frame():
    plain, beside = World().run(), World(judge_beside=True).run()
    for name in ("proprio", "executed", "success_probability"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(beside, name))


def test_where_a_person_acts_the_episode_is_theirs():
    taken = []

    def takeover(observation):
        taken.append(1)
        return np.array([0, 0, 0, 0, 0, 0, 1], np.float32) if len(taken) == 2 else None

    episode = World(takeover=takeover).run()
    assert Source.PERSON in episode.source
    assert not was_displaced(episode)


def test_a_person_who_takes_over_as_it_is_lifted_keeps_the_episode():
    last = len(World().run())
    asked = []

    def takeover(observation):
        asked.append(1)
        return np.array([0, 0, 0, 0, 0, 0, -1], np.float32) if len(asked) > last else None

    episode = World(takeover=takeover).run()
    assert (len(episode), Source(episode.source[last])) == (20, Source.PERSON)
    assert not was_displaced(episode)


def test_nobody_can_speak_about_what_came_to_no_end():
    """During the carry, afterwards and in the first steps of the next one a bare word isn't about the one before."""
    said, answers = [], {}
    word = PersonsWord(said.append)
    world = World(word=word, share=0.5, done_after=lambda _: 12, home_look=False)
    move = world.env.move_to

    def speaking(goal, gripper_open):
        if not gripper_open and "carried" not in answers:
            with pytest.raises(InvalidEpisodeError, match="no end of this episode to speak about") as error:
                word.done("Ada")
            answers["carried"] = str(error.value)
        return move(goal, gripper_open)

    world.env.move_to = speaking
    while [was_displaced(one) for one in world.episodes[-2:]] != [False, True]:
        world.run()
    before = next(one for one in reversed(world.episodes) if not was_displaced(one))
    assert before.id in word.done("Ada", "last")
    for about in ("running", world.episodes[-1].id):
        with pytest.raises(InvalidEpisodeError, match="no episode to speak about"):
            word.done("Ada", about)
    assert len(said) == 1


def test_a_persons_word_comes_first():
    said = []
    word = PersonsWord(said.append)
    world = World(word=word)
    world.session._on_step = lambda step: word.not_done("Ada") if step.step == last else None
    last = len(World().run())
    episode = world.run()
    assert episode.outcome == "failure"
    assert not was_displaced(episode)


def test_a_fault_on_the_way_leaves_the_episode_and_is_raised_by_the_next_call():
    world = World()
    move = world.env.move_to

    def tripping(goal, gripper_open):
        if not gripper_open:
            world.env.safety.trip("a hand in the way")
        return move(goal, gripper_open)

    world.env.move_to = tripping
    episode = world.run()
    assert was_displaced(episode)
    assert "a hand in the way" in episode.metadata[FROM_HOME_KEY]["fault"]
    assert len(world.episodes) == 1
    with pytest.raises(SafetyError, match="a hand in the way"):
        world.run()
    assert world.arm.width == OBJECT  # it goes on holding it


def test_where_the_way_is_blocked_it_is_brought_back_to_where_it_was_picked_up():
    world = World()
    opened, move = opened_at(world), world.env.move_to
    world.env.move_to = lambda goal, gripper_open: goal.position[1] < 0.05 and move(goal, gripper_open)
    episode = world.run()
    assert episode.metadata[DISPLACED_KEY]["there"] is False
    np.testing.assert_allclose([pose.position for pose in opened], [(HOME.x[0], HOME.y[0], HEIGHT)], atol=2e-3)


def test_an_arm_that_can_not_move_lets_go_where_it_is():
    world = World()
    opened, move = opened_at(world), world.env.move_to
    world.env.move_to = lambda goal, gripper_open: gripper_open and move(goal, gripper_open)
    episode = world.run()
    assert episode.metadata[DISPLACED_KEY]["there"] is False
    assert len(opened) == 1


def test_what_slips_out_as_it_is_lowered_is_not_there():
    world = World()
    move = world.env.move_to

    def slipping(goal, gripper_open):
        if not gripper_open and goal.position[2] < CARRIED - 0.02:
            world.arm.slips = 3
        return move(goal, gripper_open)

    world.env.move_to = slipping
    assert world.run().metadata[DISPLACED_KEY]["there"] is False


@pytest.mark.parametrize("row", [(0.60, 0.30, HEIGHT, 0.0), (0.30, 0.08, 0.9, 0.0)], ids=["too far", "too high"])
def test_places_out_of_reach_are_left_out(row):
    world = World(rows=(row, GOAL))
    assert [len(rows) for rows in world.session._displacement._places.values()] == [1, 1]
    with pytest.raises(ConfigError, match=r"reaches none of the 1 places .* of the forward task"):
        World(rows=(row,))


@pytest.mark.parametrize("share", [0.0, -0.1, 1.0, float("nan")])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(ConfigError, match=r"task\.displace"):
        World(share=share)


def test_a_direction_without_places_is_refused():
    with pytest.raises(ConfigError, match=r"reaches none of the 0 places .* of the forward task"):
        World(rows=())
