"""A person takes over and hands back in the middle of a session; every step says who acted, nothing jerks."""

import numpy as np
import pytest
from helpers.fake_input import EventPipe, ManualTime, ScriptedDevice, wait_for
from helpers.kinematic_arm import action, make_env
from helpers.session_setup import WalkingPolicy, make_session

from drivers.teleop.keyboard import KeyboardConfig, keyboard
from drivers.teleop.keys import Key
from drivers.teleop.motion import Gripper, Motion
from drivers.teleop.takeover import Takeover, TakeoverConfig, trip_on_hold
from trajectories.errors import ConfigError, SafetyError
from trajectories.settings import merged
from trajectories.types import PROPRIO_NAMES, Observation, Source

P, H = int(Source.POLICY), int(Source.PERSON)
STILL = (Motion(), [])
PUSH = (Motion(dy=0.3, active=True), [])
LOST = (Motion(problem="gamepad: unplugged"), [])
WISH = PROPRIO_NAMES.index("gripper_command")


def keys(*pressed, motion=STILL[0]):
    return motion, list(pressed)


class ClosingPolicy(WalkingPolicy):
    """Keeps the gripper closed while it moves along x."""

    def act(self, observation, deterministic=False):
        return action(0.1, gripper=-1.0)


def run(*script, steps, policy=None, **settings):
    """An episode of `steps` with a device that follows the script, one entry a control step (0.2 s)."""
    env, _, clock = make_env()
    changes = []
    config = TakeoverConfig(**settings)
    takeover = Takeover(
        ScriptedDevice(*script), config, clock=clock.now_ns, on_change=lambda who, why: changes.append((who, why))
    )
    session = make_session(lambda _: None, env=env, takeover=takeover, max_steps=steps, policy=policy)
    return session.run_episode(), takeover, changes


def observe(gripper=1.0):
    proprio = np.zeros(len(PROPRIO_NAMES), np.float32)
    proprio[WISH] = gripper
    return Observation({}, proprio, "", {})


def test_moving_takes_over_and_stillness_hands_back():
    episode, takeover, changes = run(STILL, PUSH, PUSH, steps=8, still_s=0.5)
    # The last push is at step 2; still for 0.2 and 0.4 s at steps 3 and 4, for 0.6 s at step 5.
    assert episode.source.tolist() == [P, H, H, H, H, P, P, P]
    assert episode.policy_version.tolist() == [3, -1, -1, -1, -1, 3, 3, 3]
    np.testing.assert_allclose(episode.executed[:, 1], [0, 0.3, 0.3, 0, 0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(episode.executed[3:5, :6], 0.0, atol=1e-6)  # silence means hold
    assert episode.executed[5:, 0].all()
    assert changes == [(Source.PERSON, "the device was moved"), (Source.POLICY, "still for 0.5 s")]
    assert takeover.acting is Source.POLICY


def test_by_key_only():
    script = PUSH, keys(Key.TAKE_OVER), PUSH, STILL, STILL, keys(Key.HAND_BACK), PUSH, STILL
    episode, _, changes = run(*script, steps=8, take_over_by="key", still_s=None)
    assert episode.source.tolist() == [P, H, H, H, H, P, P, P]
    assert changes == [(Source.PERSON, "by key"), (Source.POLICY, "by key")]


def test_after_a_hand_back_the_device_must_rest_before_it_takes_over_again():
    script = PUSH, keys(Key.HAND_BACK, motion=PUSH[0]), PUSH, PUSH, STILL, PUSH
    episode, _, _ = run(*script, steps=6)
    assert episode.source.tolist() == [H, P, P, P, P, H]


@pytest.mark.parametrize(("policy", "command"), [(ClosingPolicy(), -1.0), (WalkingPolicy(), 1.0)])
def test_the_gripper_does_not_move_at_the_switches(policy, command):
    episode, _, _ = run(STILL, STILL, PUSH, PUSH, keys(Key.HAND_BACK), steps=6, policy=policy)
    assert episode.source.tolist() == [P, P, H, H, P, P]
    assert episode.executed[:, 6].tolist() == [command] * 6


def test_a_toggle_turns_the_command_and_stays():
    push = PUSH[0]
    script = STILL, PUSH, keys(Key.GRIPPER, motion=push), PUSH, keys(Key.GRIPPER, Key.GRIPPER), keys(Key.GRIPPER), STILL
    episode, _, _ = run(*script, steps=7, policy=ClosingPolicy())
    assert episode.source.tolist() == [P, H, H, H, H, H, H]
    assert episode.executed[:, 6].tolist() == [-1, -1, 1, 1, 1, -1, -1]


def test_wishes_of_the_device_count_only_while_the_person_acts():
    wish = (Motion(gripper=Gripper.CLOSED), [Key.GRIPPER])
    episode, _, _ = run(wish, PUSH, (wish[0], []), STILL, steps=4)
    assert episode.source.tolist() == [P, H, H, H]
    assert episode.executed[:, 6].tolist() == [1, 1, -1, -1]


@pytest.mark.parametrize("busy", [keys(Key.GRIPPER), (Motion(gripper=Gripper.CLOSED), [])])
def test_working_the_gripper_keeps_the_person_in_charge(busy):
    episode, _, _ = run(PUSH, STILL, STILL, busy, STILL, STILL, STILL, steps=7, still_s=0.5)
    assert episode.source.tolist() == [H, H, H, H, H, H, P]


def test_the_time_of_stillness_begins_with_the_takeover():
    episode, _, _ = run(STILL, STILL, STILL, keys(Key.TAKE_OVER), steps=8, still_s=0.5)
    assert episode.source.tolist() == [P, P, P, H, H, H, P, P]


def test_a_toggle_just_before_the_takeover_is_the_policys_time():
    episode, _, _ = run(keys(Key.GRIPPER, Key.TAKE_OVER), keys(Key.TAKE_OVER, Key.GRIPPER), steps=2)
    assert episode.executed[:, 6].tolist() == [1, -1]


def test_a_new_episode_begins_with_the_gripper_that_the_way_home_left():
    env, _, clock = make_env()
    device = ScriptedDevice((Motion(gripper=Gripper.CLOSED, active=True), []), STILL, STILL, STILL)
    takeover = Takeover(device, TakeoverConfig(still_s=None), clock=clock.now_ns)
    session = make_session(lambda _: None, env=env, takeover=takeover, max_steps=2)
    first, second = session.run_episode(), session.run_episode()
    assert first.executed[:, 6].tolist() == [-1, -1]
    assert second.source.tolist() == [H, H]
    assert second.executed[:, 6].tolist() == [1, 1]


def test_a_lost_device_holds_the_arm_and_keeps_the_policy_out():
    script = PUSH, LOST, LOST, LOST, LOST, LOST, STILL, STILL, STILL, STILL
    episode, _, _ = run(*script, steps=10, still_s=0.5)
    # Back at step 6, 0.2 s after the last step on which it was lost: still for 0.5 s at step 8.
    assert episode.source.tolist() == [H, H, H, H, H, H, H, H, P, P]
    np.testing.assert_allclose(episode.executed[1:8, :6], 0.0, atol=1e-6)
    episode, _, _ = run(*script, steps=10, still_s=0.5, hand_back_when_lost=True)
    assert episode.source.tolist() == [H, H, H, P, P, P, P, P, P, P]


def test_a_lost_device_does_not_disturb_the_policy():
    episode, _, _ = run(LOST, LOST, steps=3)
    assert episode.source.tolist() == [P, P, P]


def test_an_emergency_hold_lasts_until_a_key_ends_it():
    script = STILL, keys(Key.HOLD, motion=PUSH[0]), PUSH, STILL, keys(Key.GRIPPER), keys(Key.HAND_BACK), STILL
    episode, takeover, changes = run(*script, steps=7, still_s=0.3, policy=ClosingPolicy())
    assert episode.source.tolist() == [P, H, H, H, H, P, P]
    np.testing.assert_allclose(episode.executed[1:5, :6], 0.0, atol=1e-6)
    assert episode.executed[:, 6].tolist() == [-1] * 7
    assert changes[0] == (Source.PERSON, "emergency hold")
    assert not takeover.emergency
    episode, _, _ = run(keys(Key.HOLD), PUSH, keys(Key.TAKE_OVER, motion=PUSH[0]), PUSH, steps=4)
    np.testing.assert_allclose(episode.executed[:, 1], [0, 0, 0.3, 0.3], atol=1e-6)


def test_other_keys_go_to_the_session():
    heard = []
    device = ScriptedDevice(keys(Key.SUCCESS, Key.TAKE_OVER, Key.UNDO), keys(Key.STOP))
    takeover = Takeover(device, on_key=heard.append, clock=ManualTime())
    takeover(observe())
    assert heard == [Key.SUCCESS, Key.UNDO]
    takeover(observe())
    assert heard == [Key.SUCCESS, Key.UNDO, Key.STOP]


def test_other_proprioception_is_refused():
    takeover = Takeover(ScriptedDevice(PUSH), clock=ManualTime())
    with pytest.raises(ConfigError, match="13 entries, got 4"):
        takeover(Observation({}, np.zeros(4, np.float32), "", {}))


@pytest.mark.parametrize(("setting", "value"), [("take_over_by", "voice"), ("still_s", 0.0), ("still_s", float("nan"))])
def test_wrong_settings_are_refused(setting, value):
    with pytest.raises(ConfigError, match=f"takeover.{setting}"):
        TakeoverConfig(**{setting: value})


def test_a_real_device_in_a_session_down_to_the_raw_events():
    """Keys through a pipe, step by step: the policy's steps and the person's alternate as pressed."""
    pipe, env, clock = EventPipe(), *make_env()[::2]
    raw = {"controls": {"response": {"coarse": 0.4, "fine": 0.1}}}
    presses = {1: [("KEY_A", 1)], 3: [("KEY_A", 0), ("KEY_SPACE", 1)], 4: [("KEY_H", 1)]}
    with keyboard(merged(KeyboardConfig(), raw, "keyboard"), pipe.node) as device:
        device.start()
        takeover = Takeover(device, clock=clock.now_ns)
        sent = []

        def typed(observation):
            if len(sent) in presses:
                events = device.status.events
                pipe.send(*presses[len(sent)])
                wait_for(lambda: device.status.events > events)
            sent.append(takeover(observation))
            return sent[-1]

        episode = make_session(lambda _: None, env=env, takeover=typed, max_steps=6).run_episode()
    assert episode.source.tolist() == [P, H, H, H, P, P]
    np.testing.assert_allclose(episode.executed[:, 1], [0, 0.4, 0.4, 0, 0, 0], atol=1e-6)
    assert episode.executed[:, 6].tolist() == [1, 1, 1, -1, 1, 1]


def test_an_emergency_key_trips_the_safety_filter_at_once():
    """On the way home nobody asks the takeover; the listener of the device's own thread stops the arm."""
    pipe, (env, arm, _) = EventPipe(), make_env()
    with keyboard(KeyboardConfig(), pipe.node) as device:
        device.start(trip_on_hold(env.safety.faults))
        pipe.send(("KEY_SPACE", 1), ("KEY_ESC", 1))
        wait_for(lambda: env.safety.fault is not None)
        with pytest.raises(SafetyError, match="a person pressed the emergency hold"):
            env.go_home(np.random.default_rng(0))
    assert arm.holds == 1
