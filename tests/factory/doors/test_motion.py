"""Action conventions: whatever way a motion was recorded in, the same actions of ours come out of it."""

from itertools import pairwise

import numpy as np
import pytest
from helpers.lerobot_samples import MemorySource, gradient_frames
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation as Turn

from factory.doors.columns import Columns, decided
from factory.doors.inward import prepare, to_episode
from factory.doors.mapping import mapping_of
from factory.doors.motion import UnfitEpisodeError, clock_of, read_motion
from factory.doors.poses import FINGERS_ALONG_Z
from robot.arms.registry import arm_model
from robot.control.pose import DOWN, Pose, tool_rows
from trajectories.errors import ConfigError
from trajectories.formats.foreign import ArrayFrames, DamagedEpisodeError, ForeignEpisode
from trajectories.types import PROPRIO_NAMES, RobotSpec

SCALE = (0.05, 0.05, 0.05, 0.25, 0.25, 0.25, 1.0)
ARM = arm_model("wx250s")
GRIPPER = {"key": "grip", "open": 1.0, "closed": 0.0}


def path_of(seed, steps):
    """Joints of a smooth path, (steps + 1, 6), their poses and the gripper's commands, (steps,)."""
    rng = np.random.default_rng(seed)
    joints = np.array(ARM.ready) + np.cumsum(rng.uniform(-0.02, 0.02, (steps + 1, 6)), 0)
    poses = [ARM.kinematics().forward(row) for row in joints]
    return joints, poses, rng.integers(0, 2, steps).astype(float)


def expected_actions(poses, commands):
    moves = []
    for before, after in pairwise(poses):
        turned = Turn.from_euler("xyz", after.rpy) * Turn.from_euler("xyz", before.rpy).inv()
        moves.append([*(after.position - before.position), *turned.as_euler("xyz")])
    return np.concatenate([np.array(moves) / SCALE[:6], (2 * commands - 1)[:, None]], 1)


def columns_of(joints, poses, commands):
    tool = Turn.from_matrix(np.array([tool_rows(pose.rpy) for pose in poses]))
    position = np.array([pose.position for pose in poses])
    away = Turn.from_euler("xyz", [0.1, -0.2, 0.7])
    return {
        "joints": joints,
        "degrees": np.degrees(joints),
        "percent": 100.0 * joints / np.pi,
        "position": position,
        "millimetres": 1000.0 * position,
        "rpy_down": np.array([pose.rpy for pose in poses]),
        "rpy": tool.as_euler("xyz"),
        "quat_xyzw": tool.as_quat(),
        "quat_wxyz": tool.as_quat(scalar_first=True),
        "rotvec": tool.as_rotvec(),
        "matrix": tool.as_matrix().reshape(-1, 9),
        "z_quat": (tool * Turn.from_matrix(FINGERS_ALONG_Z).inv()).as_quat(),
        # grippers that are built in turned about their fingers: our axes in theirs, by hand
        "turned_quat": Turn.from_matrix(
            tool.as_matrix() @ [[1, 0, 0], [0, 0, 1], [0, -1, 0]] @ FINGERS_ALONG_Z.T
        ).as_quat(),
        "turned_down": (
            Turn.from_euler("xyz", [pose.rpy for pose in poses]) * Turn.from_euler("z", -35.0, degrees=True)
        ).as_euler("xyz"),
        "away_position": away.apply(position) + np.array([1.0, 2.0, 3.0]),
        "away_rotvec": (away * tool).as_rotvec(),
        "grip": commands,
    }


def mapped(**parts):
    raw = {
        "cameras": {"front": {"key": "front"}},
        "arm": "wx250s",
        "instruction": "go",
        "success": {"otherwise": "success"},
    }
    return mapping_of({**raw, **parts})


def episode_of(columns, frames):
    return ForeignEpisode("one", 5.0, columns, {"front": ArrayFrames(gradient_frames(frames, (8, 8)))})


def motion_of(columns, mapping, observations, fps=5.0, hz=5.0):
    episode = episode_of(columns, observations)
    source = MemorySource({"one": episode})
    found = Columns(episode, source.describe())
    return read_motion(found, mapping, clock_of(observations, fps, hz), SCALE, observations)


PLACES = {
    "joints": {"joints": {"key": "joints", "units": "radians"}},
    "degrees": {"joints": {"key": "degrees", "units": "degrees"}},
    "percent": {"joints": {"key": "percent", "units": "percent", "range": [[-180.0, 180.0]] * 6}},
    **{
        form: {"position": {"key": "position"}, "rotation": {"key": form, "form": form}}
        for form in ("rpy_down", "rpy", "quat_xyzw", "quat_wxyz", "rotvec", "matrix")
    },
    "z": {
        "position": {"key": "millimetres", "scale": 0.001},
        "rotation": {"key": "z_quat", "form": "quat_xyzw", "fingers": "z"},
    },
    "turned": {
        "position": {"key": "position"},
        "rotation": {"key": "turned_quat", "form": "quat_xyzw", "fingers": "z", "turned": 90.0},
    },
    "turned_down": {
        "position": {"key": "position"},
        "rotation": {"key": "turned_down", "form": "rpy_down", "turned": -35.0},
    },
}


@pytest.mark.parametrize("place", PLACES)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 6))
@settings(max_examples=5, deadline=None)
def test_the_way_between_measured_poses_is_the_same_in_every_form(place, seed, steps):
    joints, poses, commands = path_of(seed, steps)
    mapping = mapped(tip=PLACES[place], action={"form": "reached", "gripper": GRIPPER})
    motion = motion_of(columns_of(joints, poses, commands), mapping, steps + 1)
    np.testing.assert_allclose(motion.actions, expected_actions(poses, commands), atol=1e-5)
    np.testing.assert_allclose(motion.tip.rpy, [pose.rpy for pose in poses], atol=1e-6)
    np.testing.assert_allclose(motion.tip.position, [pose.position for pose in poses], atol=1e-6)


@pytest.mark.parametrize("place", ["joints", "quat_xyzw", "z"])
def test_recorded_targets_are_reached_from_where_the_arm_was(place):
    """Action t of the source is the pose t + 1 of the path: the same actions come out as from the poses."""
    joints, poses, commands = path_of(3, 5)
    columns = columns_of(joints, poses, commands)
    told = {f"told_{key}": column[1:] for key, column in columns.items() if key != "grip"}
    action = {part: {**given, "key": f"told_{given['key']}"} for part, given in PLACES[place].items()} | {
        "form": "joints" if place == "joints" else "pose",
        "gripper": GRIPPER,
    }
    mapping = mapped(tip=PLACES["joints"], action=action)
    motion = motion_of(columns | told, mapping, 6)
    np.testing.assert_allclose(motion.actions, expected_actions(poses, commands), atol=1e-5)
    np.testing.assert_allclose(motion.target.position[1:], [pose.position for pose in poses[1:]], atol=1e-6)


@pytest.mark.parametrize("form", ["rpy", "rotvec"])
@pytest.mark.parametrize("hz", [5.0, 2.5])
def test_deltas_are_joined_over_a_control_step(form, hz):
    joints, poses, commands = path_of(4, 6)
    moves = expected_actions(poses, commands)[:, :6] * SCALE[:6]
    turned = moves[:, 3:] if form == "rpy" else Turn.from_euler("xyz", moves[:, 3:]).as_rotvec()
    columns = columns_of(joints, poses, commands) | {"shift": moves[:, :3] / 0.05, "turned": turned / 0.5}
    action = {
        "form": "delta", "gripper": GRIPPER, "position_scale": 0.05, "rotation_scale": 0.5,
        "position": {"key": "shift"}, "rotation": {"key": "turned", "form": form},
    }  # fmt: skip
    motion = motion_of(columns, mapped(tip=PLACES["joints"], action=action), 7, 5.0, hz)
    every = round(5.0 / hz)
    np.testing.assert_allclose(
        motion.actions, expected_actions(poses[::every], commands[every - 1 :: every]), atol=1e-5
    )
    np.testing.assert_allclose(motion.target.position, [pose.position for pose in poses[::every]], atol=1e-6)


def test_poses_in_another_frame_are_brought_to_the_base():
    joints, poses, commands = path_of(5, 4)
    tip = {"position": {"key": "away_position"}, "rotation": {"key": "away_rotvec", "form": "rotvec"}}
    action = {"form": "reached", "gripper": GRIPPER}
    mapping = mapped(tip=tip, action=action, base=[1.0, 2.0, 3.0, 0.1, -0.2, 0.7])
    motion = motion_of(columns_of(joints, poses, commands), mapping, 5)
    np.testing.assert_allclose(motion.actions, expected_actions(poses, commands), atol=1e-5)


def test_our_gripper_frame_is_the_arms():
    pose = Pose.of([0.2, 0.0, 0.1])
    np.testing.assert_allclose(np.array(tool_rows(pose.rpy)), DOWN)
    assert np.linalg.det(FINGERS_ALONG_Z) == pytest.approx(1.0)


@given(fps=st.sampled_from([5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 12.0]), frames=st.integers(2, 200))
@settings(max_examples=40, deadline=None)
def test_frames_are_those_nearest_to_the_control_steps(fps, frames):
    try:
        clock = clock_of(frames, fps, 5.0)
    except UnfitEpisodeError:
        assert (frames - 1) / fps < 0.2
        return
    assert clock.frames[0] == 0
    assert clock.frames[-1] < frames
    assert (np.diff(clock.frames) >= 1).all()
    assert np.abs(clock.frames / fps - np.arange(clock.steps + 1) / 5.0).max() <= 0.5 / fps + 1e-9
    assert (frames - 1) / fps - clock.steps / 5.0 < 0.2 + 1e-9


def test_a_slower_source_is_refused_with_the_rate_to_set():
    with pytest.raises(ConfigError, match="control_hz=3"):
        clock_of(100, 3.0, 5.0)


def test_grippers_between_open_and_closed_mean_what_comes_next():
    opening = np.array([0.5, 0.97, 0.5, 0.3, 0.02, 0.5, 0.6])
    np.testing.assert_array_equal(decided(opening > 0.95, opening < 0.05, opening > 0.5), [1, 1, -1, -1, -1, -1, -1])
    np.testing.assert_array_equal(decided(opening > 2, opening < -1, opening > 0.5), [-1, 1, -1, -1, -1, -1, 1])


def test_two_fingers_and_turned_signs():
    joints, poses, commands = path_of(6, 3)
    columns = columns_of(joints, poses, commands)
    columns |= {"fingers": np.stack([0.04 * commands, -0.04 * commands], 1), "reversed": 1.0 - 2.0 * commands}
    for gripper in ({"key": "fingers", "open": 0.08, "closed": 0.0}, {"key": "reversed", "open": -1.0, "closed": 1.0}):
        mapping = mapped(tip=PLACES["joints"], action={"form": "reached", "gripper": gripper})
        np.testing.assert_array_equal(motion_of(columns, mapping, 4).actions[:, 6], 2 * commands - 1)


def test_too_fast_too_short_and_broken_episodes_are_told_apart():
    joints, poses, commands = path_of(7, 4)
    columns = columns_of(joints, poses, commands)
    spec = RobotSpec(cameras={"front": (8, 8)}, proprio=("tip_x", "target_x"))
    mapping = mapped(tip=PLACES["rpy_down"], action={"form": "reached", "gripper": GRIPPER})

    def prepared(columns, frames=5):
        source = MemorySource({"one": episode_of(columns, frames)})
        return prepare(source.read("one"), source.describe(), mapping, spec)

    fast = columns | {"position": columns["position"] * 100}
    with pytest.raises(UnfitEpisodeError, match=r"faster than an action can say at 5 Hz.*doors\.max_clipped=0\.05"):
        prepared(fast)
    with pytest.raises(UnfitEpisodeError, match="no whole control step"):
        prepared(columns, 1)
    broken = columns | {"position": np.where(np.arange(5)[:, None] == 2, np.nan, columns["position"])}
    with pytest.raises(DamagedEpisodeError, match=r"doors\.tip is NaN or infinite in 1 frames, first in frame 2"):
        prepared(broken)
    with pytest.raises(DamagedEpisodeError, match="has 5 rows; 6 are needed"):
        prepared(columns, 6)
    ready = prepared(columns)
    episode = to_episode(ready, MemorySource({"one": ready.foreign}).describe(), mapping, spec, "lab")
    assert episode.metadata["imported"]["source"] == "lab"
    assert episode.terminated[-1]
    assert episode.images["front"].shape == (5, 8, 8, 3)


def test_gripper_width_and_command_of_our_proprioception():
    joints, poses, _ = path_of(8, 4)
    commands = np.array([1.0, 0.0, 0.0, 1.0])
    columns = columns_of(joints, poses, commands) | {"measured": np.array([0.9, 1.0, 0.5, 0.0, 0.1])}
    mapping = mapped(
        tip=PLACES["joints"], action={"form": "reached", "gripper": GRIPPER},
        gripper={"key": "measured", "open": 1.0, "closed": 0.0}, proprio={"gripper_effort": 0.25},
    )  # fmt: skip
    spec = RobotSpec(cameras={"front": (8, 8)})
    source = MemorySource({"one": episode_of(columns, 5)})
    proprio = prepare(source.read("one"), source.describe(), mapping, spec).proprio
    found = dict(zip(PROPRIO_NAMES, proprio.T, strict=True))
    np.testing.assert_allclose(found["gripper_width"], columns["measured"] * ARM.opening, atol=1e-6)
    np.testing.assert_array_equal(found["gripper_command"], [1, 1, -1, -1, 1])
    np.testing.assert_array_equal(found["gripper_effort"], np.full(5, 0.25, np.float32))
    np.testing.assert_allclose(found["target_yaw"], found["tip_yaw"])
