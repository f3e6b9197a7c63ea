"""Folders of BridgeData: as the recorder writes them in, as the published loaders read them out."""

import json
import os
import pickle
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.foreign_samples import bridge_episode, depth_frames, numbered, same, smooth_frames
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trajectories.formats.bridge.reader import BridgeSource, is_bridge
from trajectories.formats.bridge.writer import BridgeSink
from trajectories.formats.foreign import DamagedEpisodeError, FormatError, SinkSettings
from trajectories.formats.registry import open_source

FIVE = SinkSettings(fps=5.0, robot_type="widowx_250s", attributes={"environment": "toykitchen"})


def record(folder: Path, steps=3, cameras=2, depth=False, **obs):
    """A trajectory as `raw_saver.py` writes it: cv2's images, pickled dicts; the arrays are the recorder's."""
    folder.mkdir(parents=True)
    images = np.stack([smooth_frames(steps + 1, 48, 64, seed=9 * camera) for camera in range(cameras)], 1)
    for camera in range(cameras):
        (folder / f"images{camera}").mkdir()
        for t in range(steps + 1):
            cv2.imwrite(str(folder / f"images{camera}" / f"im_{t}.jpg"), images[t, camera, :, :, ::-1])
    if depth:
        (folder / "depth_images0").mkdir()
        for t, frame in enumerate(depth_frames(steps + 1, 48, 64)):
            cv2.imwrite(str(folder / "depth_images0" / f"im_{t}.png"), frame)
    observed = {
        "joint_effort": numbered(steps + 1, 6).astype(float),
        "qpos": numbered(steps + 1, 6, 1).astype(float),
        "full_state": numbered(steps + 1, 7, 2).astype(float),
        "state": numbered(steps + 1, 7, 2).astype(float),
        "desired_state": numbered(steps + 1, 7, 3).astype(float),
        "time_stamp": [1.6e9 + 0.2 * t for t in range(steps + 1)],
        "eef_transform": np.zeros((20, 4, 4))[: steps + 1],
        "high_bound": np.zeros((steps + 1, 5), np.float32),
        "env_done": [False] * (steps + 1),
        "t_get_obs": [0.01] * (steps + 1),
    }
    taken = [
        {
            "actions": np.arange(7) / 100 + t,
            "new_robot_transform": np.eye(4) * t,
            "delta_robot_transform": np.eye(4),
            "policy_type": "VRTeleopPolicy",
        }
        for t in range(steps)
    ]
    (folder / "obs_dict.pkl").write_bytes(pickle.dumps(observed | obs))
    (folder / "policy_out.pkl").write_bytes(pickle.dumps(taken))
    (folder / "agent_data.pkl").write_bytes(pickle.dumps({"traj_ok": True, "term_t": steps, "stats": np.arange(2)}))
    return folder


def trajectory(root, number=0, date="2022-01-01_00-00-00", **more):
    task = root / "rss/toykitchen2/set_table/00" / date
    folder = record(task / f"raw/traj_group0/traj{number}", **more)
    (task / "config.json").write_text(json.dumps({"agent": {"env": ["VR_WidowX", {"move_duration": 0.2}]}, "T": 500}))
    (task / "collection_metadata.json").write_text(json.dumps({"robot": "widowx", "camera_type": "logitech"}))
    return folder


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    root = tmp_path_factory.mktemp("bridge")
    for number in (0, 2, 10):
        folder = trajectory(root, number, steps=3 + number % 2, depth=number == 0)
        (folder / "lang.txt").write_text("put the pot on the stove\n move pot \nconfidence: 0.8\n")
    trajectory(root, 0, "2021-07-22_23-59-59", steps=4)
    return root


def test_every_entry_has_its_place(recorded):
    source = open_source(recorded)
    run = "rss/toykitchen2/set_table/00/2022-01-01_00-00-00/raw/traj_group0"
    late = "rss/toykitchen2/set_table/00/2021-07-22_23-59-59/raw/traj_group0/traj0"
    assert source.names() == [late, *(f"{run}/traj{n}" for n in (0, 2, 10))]
    told = source.describe()
    assert (told.format, told.robot_type, told.fps, told.episodes) == ("bridge", "widowx", 5.0, 4)
    assert told.attributes["tasks"] == ["set_table"]
    assert told.attributes["trajectories_shifted_by_one_step"] == 1
    assert (told.keys["actions"].shape, told.keys["images0"].shape) == ((7,), (48, 64, 3))
    episode = source.read(f"{run}/traj0")
    assert episode.instructions == ("put the pot on the stove", "move pot")
    assert episode.fps == 5
    for key, value in {
        "confidence": 0.8, "policy_type": "VRTeleopPolicy", "task": "set_table", "shifted_by_one_step": False,
        "agent_data": {"traj_ok": True, "term_t": 3, "stats": [0, 1]}, "date": "2022-01-01T00:00:00",
    }.items():  # fmt: skip
        assert episode.attributes[key] == value
    np.testing.assert_array_equal(episode.columns["actions"][:, 0], [0, 1, 2])
    np.testing.assert_array_equal(episode.columns["policy_out/new_robot_transform"][:, 0, 0], [0, 1, 2])
    np.testing.assert_array_equal(episode.columns["full_state"], numbered(4, 7, 2))
    assert episode.columns["time_stamp"].shape == (4,)
    assert episode.columns["env_done"].dtype == np.bool_
    np.testing.assert_array_equal(episode.images["depth_images0"].read([1, 3]), depth_frames(4, 48, 64)[[1, 3]])
    assert np.abs(episode.images["images1"].read().astype(int) - smooth_frames(4, 48, 64, seed=9)).mean() < 3


@pytest.mark.parametrize("above", range(9))
def test_any_folder_above_a_trajectory_is_a_source(recorded, above):
    path = recorded / "rss/toykitchen2/set_table/00/2022-01-01_00-00-00/raw/traj_group0/traj2"
    for _ in range(above):
        path = path.parent
    if not str(path).startswith(str(recorded)):
        return
    assert is_bridge(path)
    source = BridgeSource(path)
    name = next(name for name in source.names() if name.endswith("traj2"))
    assert len(source.read(name).columns["actions"]) == 3


def test_before_2021_07_23_the_first_image_and_the_last_action_go(recorded):
    source = BridgeSource(recorded)
    episode = source.read(source.names()[0])
    assert episode.attributes["shifted_by_one_step"] is True
    np.testing.assert_array_equal(episode.columns["actions"][:, 0], [0, 1, 2])  # of 0 ... 3
    np.testing.assert_array_equal(episode.columns["full_state"], numbered(5, 7, 2)[1:])
    frames = episode.images["images0"]
    assert frames.shape == (4, 48, 64, 3)
    assert np.abs(frames.read().astype(int) - smooth_frames(5, 48, 64)[1:]).mean() < 3


def test_frames_come_at_the_size_that_suffices(recorded):
    frames = BridgeSource(recorded).read(BridgeSource(recorded).names()[1]).images["images0"]
    full = frames.read([0, 2])
    for at_least, size in [
        ((48, 64), (48, 64)),
        ((24, 32), (24, 32)),
        ((24, 33), (48, 64)),
        ((7, 7), (12, 16)),
        ((1, 1), (6, 8)),
    ]:
        found = frames.read([0, 2], at_least)
        assert found.shape == (2, *size, 3)
        factor = 48 // size[0]
        expected = full.reshape(2, size[0], factor, size[1], factor, 3).mean((2, 4))
        assert np.abs(found - expected).mean() < 2
    assert frames.read([]).shape == (0, 48, 64, 3)


def damage(folder, file, how):
    path = folder / file
    content = path.read_bytes()
    path.unlink()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "noise":
        path.write_bytes(bytes(range(256)) * 4)


@pytest.mark.parametrize("how", ["cut", "noise", "missing"])
@pytest.mark.parametrize(
    "file", ["obs_dict.pkl", "policy_out.pkl", "images0/im_0.jpg", "images1/im_2.jpg", "depth_images0/im_1.png"]
)
def test_damage_is_named_and_the_rest_is_readable(tmp_path, file, how):
    good, bad = (trajectory(tmp_path, number, depth=True) for number in (0, 1))
    damage(bad, file, how)
    source = BridgeSource(tmp_path)
    with pytest.raises(DamagedEpisodeError, match=re.escape(str(bad))):
        [frames.read() for frames in source.read(source.names()[1]).images.values()]
    whole = source.read(source.names()[0])
    assert all(frames.read().shape[0] == 4 for frames in whole.images.values())
    assert good.exists()
    assert source.describe().episodes == 2


@pytest.mark.parametrize(
    "change",
    [
        {"full_state": np.zeros((3, 7))},
        {"state": np.zeros((9, 7))},
    ],
)
def test_rows_that_dont_belong_together_are_damage(tmp_path, change):
    trajectory(tmp_path, **change)
    source = BridgeSource(tmp_path)
    with pytest.raises(DamagedEpisodeError, match="rows of"):
        source.read(source.names()[0])


def test_a_frame_too_many_is_damage(tmp_path):
    folder = trajectory(tmp_path)
    (folder / "images1/im_4.jpg").write_bytes((folder / "images1/im_3.jpg").read_bytes())
    source = BridgeSource(tmp_path)
    with pytest.raises(DamagedEpisodeError, match="images1 has 5 frames to 3 actions"):
        source.read(source.names()[0])


def test_what_isnt_a_row_a_step_is_left_out(tmp_path):
    trajectory(tmp_path, reset_state=np.zeros(2), words=["a", "b"], ragged=[np.zeros(1), np.zeros(2)])
    source = BridgeSource(tmp_path)
    assert not {"reset_state", "words", "ragged"} & set(source.read(source.names()[0]).columns)


class Evil:
    """What its pickle asks for is a call."""

    def __reduce__(self):
        return os.mkdir, ("fooled",)


def test_a_pickle_that_runs_code_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = trajectory(tmp_path)
    (folder / "agent_data.pkl").write_bytes(pickle.dumps({"a": Evil()}))
    source = BridgeSource(tmp_path)
    episode = source.read(source.names()[0])  # no loader needs agent_data
    assert "mkdir" in episode.attributes["agent_data_refused"]
    (folder / "obs_dict.pkl").write_bytes(pickle.dumps({"full_state": Evil()}))
    with pytest.raises(DamagedEpisodeError, match=r"obs_dict\.pkl can't be read: it asks for .*mkdir"):
        source.read(source.names()[0])
    assert not (tmp_path / "fooled").exists()


def test_a_folder_without_trajectories_says_what_is_expected(tmp_path):
    (tmp_path / "traj_group0").mkdir()
    assert not is_bridge(tmp_path)
    with pytest.raises(FormatError, match=r"traj_group\*/traj\*"):
        BridgeSource(tmp_path)
    trajectory(tmp_path / "data")
    with pytest.raises(FormatError, match="no trajectory 'traj7'"):
        BridgeSource(tmp_path).read("traj7")


def written(path, *episodes, settings=FIVE):
    with BridgeSink(path, settings) as sink:
        for episode in episodes:
            sink.write(episode)
    return path


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.integers(1, 5), min_size=1, max_size=3), depth=st.booleans())
def test_round_trip(tmp_path_factory, steps, depth):
    episodes = [bridge_episode(count, seed, depth) for seed, count in enumerate(steps)]
    source = open_source(written(tmp_path_factory.mktemp("out") / "data", *episodes))
    assert len(source.names()) == len(steps)
    assert source.describe().robot_type == "widowx_250s"
    for name, expected in zip(source.names(), episodes, strict=True):
        found = source.read(name)
        same(found, expected, lossless=False)
        assert found.fps == 5
        assert found.attributes["confidence"] == 0.9
        assert found.attributes["policy_type"] == "VRTeleopPolicy"
        assert found.attributes["collection_metadata"]["environment"] == "toykitchen"


def published_loader(root: Path):
    """What bridge_data_v2's converter to NumPy takes from a folder, in this test's words; PIL reads its images."""
    from PIL import Image

    for dated in sorted(root.iterdir()):
        late = datetime.strptime(dated.name, "%Y-%m-%d_%H-%M-%S") < datetime(2021, 7, 23)
        for folder in sorted(dated.glob("raw/traj_group*/traj*"), key=lambda p: int(p.name[4:])):
            obs = pickle.loads((folder / "obs_dict.pkl").read_bytes())
            outputs = pickle.loads((folder / "policy_out.pkl").read_bytes())
            actions = [entry["actions"] for entry in outputs]
            cameras = sorted(p for p in folder.iterdir() if re.fullmatch(r"images\d", p.name))
            count = len(list(cameras[0].glob("im_*.jpg")))
            images = [np.stack([np.asarray(Image.open(c / f"im_{t}.jpg")) for t in range(count)]) for c in cameras]
            lines = (folder / "lang.txt").read_text().splitlines()
            said = [line.strip() for line in lines if "confidence" not in line]
            assert not late
            assert len(actions) == count - 1 == len(obs["full_state"]) - 1 == len(obs["time_stamp"]) - 1
            yield obs["full_state"], np.stack(actions), images, said


def test_the_published_loaders_find_what_they_look_for(tmp_path):
    episodes = [bridge_episode(3, 0), bridge_episode(2, 5)]
    found = list(published_loader(written(tmp_path / "data", *episodes)))
    for (states, actions, images, said), expected in zip(found, episodes, strict=True):
        np.testing.assert_array_equal(states, expected.columns["full_state"])
        np.testing.assert_array_equal(actions, expected.columns["actions"])
        assert said == list(expected.instructions)
        for camera, frames in enumerate(images):
            assert np.abs(frames.astype(int) - expected.images[f"images{camera}"].read()).mean() < 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": {"front": bridge_episode().images["images0"]}}, "images0, images1"),
        (
            {"images": {"images0": bridge_episode().images["images0"], "images2": bridge_episode().images["images1"]}},
            "images0",
        ),
        ({"images": {}}, "has the cameras none"),
        ({"images": {"images0": bridge_episode().images["depth_images0"]}}, "depth is uint16"),
        ({"columns": {"actions": np.zeros((3, 7)), "full_state": np.zeros((3, 7))}}, "'full_state' of 'x' has 3 rows"),
        ({"columns": {"full_state": np.zeros((4, 7))}}, "has no 'actions'"),
        ({"columns": {"actions": np.zeros((3, 7)), "qpos": np.zeros((6, 7))}}, "expected 3 or 4"),
        ({"instructions": ("with confidence",)}, "Word it otherwise"),
    ],
)
def test_what_the_format_cant_hold_is_refused(tmp_path, change, message):
    with pytest.raises(FormatError, match=message), BridgeSink(tmp_path / "data", FIVE) as sink:
        sink.write(replace(bridge_episode(), **change))
    assert list(tmp_path.iterdir()) == []


def test_another_kind_of_episode_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(FormatError, match="differs from the first in depth_images0"):
        written(tmp_path / "d", bridge_episode(), bridge_episode(depth=False))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_nothing_half_is_left(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(FormatError, match="exists already"):
        BridgeSink(tmp_path / "data", FIVE)
    with pytest.raises(FormatError, match="No episode"):
        BridgeSink(tmp_path / "other", FIVE).close()
    sink = BridgeSink(tmp_path / "third", FIVE)
    sink.write(bridge_episode())  # killed here
    assert not (tmp_path / "third").exists()
    assert written(tmp_path / "third", bridge_episode()).is_dir()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "third"]
