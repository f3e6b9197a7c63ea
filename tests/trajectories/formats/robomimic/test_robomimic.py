"""robomimic's HDF5 files."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.foreign_samples import robomimic_episode, same, smooth_frames

from trajectories.formats.foreign import DamagedEpisodeError, FormatError, SinkSettings
from trajectories.formats.registry import open_source
from trajectories.formats.robomimic.reader import RobomimicSource, is_robomimic
from trajectories.formats.robomimic.writer import RobomimicSink

ENVIRONMENT = {
    "env_name": "Lift", "env_version": "1.5.1", "type": 1,
    "env_kwargs": {"robots": ["Panda"], "control_freq": 20, "camera_names": ["agentview"]},
}  # fmt: skip


def write(path, episodes, **attributes):
    with RobomimicSink(path, SinkSettings(20.0, "Panda", attributes=attributes)) as sink:
        for episode in episodes:
            sink.write(episode)
    return path


@pytest.fixture
def file(tmp_path) -> Path:
    """As robomimic's scripts write it, by hand: 12 demonstrations, masks, no compression."""
    path = tmp_path / "lift.hdf5"
    with h5py.File(path, "w") as out:
        data = out.create_group("data")
        for number in range(12):
            steps = 2 + number % 3
            demo = data.create_group(f"demo_{number}")
            demo["actions"] = np.full((steps, 7), number + 0.5)
            demo["states"] = np.zeros((steps, 4))
            demo["rewards"] = np.zeros(steps)
            demo["dones"] = np.zeros(steps, np.int64)
            pos, image = np.arange(steps + 1.0)[:, None] + [0, 100 * number], smooth_frames(steps + 1, 12, 12, number)
            for name, rows in (("obs", slice(None, -1)), ("next_obs", slice(1, None))):
                demo[f"{name}/robot0_eef_pos"] = pos[rows]
                demo[f"{name}/agentview_image"] = image[rows]
                demo[f"{name}/agentview_depth"] = np.zeros((steps, 12, 12, 1), np.float32)
            demo.attrs["num_samples"] = steps
            demo.attrs["model_file"] = "<mujoco/>"
        data.attrs["total"] = 36
        data.attrs["env_args"] = json.dumps(ENVIRONMENT, indent=4)
        out["mask/train"] = np.array(["demo_0", "demo_10"], "S")
        out["mask/valid"] = np.array(["demo_2"], "S")
    return path


def test_demonstrations_in_the_order_of_their_numbers(file):
    source = open_source(file)
    assert source.names() == [f"demo_{number}" for number in range(12)]
    told = source.describe()
    assert (told.robot_type, told.fps, told.episodes) == ("Panda", 20.0, 12)
    assert told.attributes["env_args"] == ENVIRONMENT
    assert told.attributes["masks"] == {"train": ["demo_0", "demo_10"], "valid": ["demo_2"]}
    episode = source.read("demo_10")
    assert episode.attributes == {"num_samples": 3, "model_file": "<mujoco/>", "masks": ["train"]}
    np.testing.assert_array_equal(episode.columns["obs/robot0_eef_pos"], [[t, 1000 + t] for t in range(4)])
    np.testing.assert_array_equal(episode.images["obs/agentview_image"].read(), smooth_frames(4, 12, 12, 10))
    assert episode.columns["obs/agentview_depth"].shape == (4, 12, 12, 1)
    assert not [key for key in (*episode.columns, *episode.images) if key.startswith("next_obs")]


def test_next_observations_that_are_others_stay_apart(file):
    with h5py.File(file, "a") as out:
        out["data/demo_0/next_obs/robot0_eef_pos"][0] = 7
    episode = open_source(file).read("demo_0")
    np.testing.assert_array_equal(episode.columns["next_obs/robot0_eef_pos"][:, 0], [7, 2])
    assert episode.columns["obs/robot0_eef_pos"].shape == episode.columns["next_obs/robot0_eef_pos"].shape == (2, 2)
    np.testing.assert_array_equal(episode.images["next_obs/agentview_image"].read(), smooth_frames(3, 12, 12)[1:])


def test_without_next_observations_there_are_as_many_as_actions(tmp_path):
    sample = robomimic_episode(last=False)
    found = open_source(write(tmp_path / "a.hdf5", [sample])).read("demo_0")
    same(found, sample)
    assert found.images["obs/agentview_image"].shape[0] == len(found.columns["actions"])


def test_the_layout_that_robomimic_reads(tmp_path):
    sample = robomimic_episode(3)
    path = write(tmp_path / "a.hdf5", [sample, robomimic_episode(2)])
    with h5py.File(path) as file:
        data = file["data"]
        assert data.attrs["total"] == 5
        made = json.loads(data.attrs["env_args"])
        assert made == {
            "env_name": "Panda",
            "env_version": "",
            "type": 2,
            "env_kwargs": {"control_freq": 20.0, "robots": "Panda"},
        }
        assert sorted(data["demo_0"]) == ["actions", "dones", "next_obs", "obs", "rewards", "states"]
        assert [data[f"demo_{n}"].attrs["num_samples"] for n in range(2)] == [3, 2]
        assert json.loads(data["demo_0"].attrs["ep_meta"]) == {"lang": "lift the cube"}
        assert data["demo_0"].attrs["model_file"] == sample.attributes["model_file"]
        image = sample.images["obs/agentview_image"].read()
        np.testing.assert_array_equal(data["demo_0/obs/agentview_image"][()], image[:-1])
        np.testing.assert_array_equal(data["demo_0/next_obs/agentview_image"][()], image[1:])
        assert data["demo_0/obs/agentview_depth"].shape == (3, 40, 48, 1)


def test_environment_masks_and_attributes_go_through(tmp_path, file):
    source = open_source(file)
    again = write(
        tmp_path / "b.hdf5", map(source.read, source.names()), env_args=source.describe().attributes["env_args"]
    )
    found = open_source(again)
    assert found.describe().attributes["env_args"] == ENVIRONMENT
    # the numbers of demonstrations are those of this file, in the same order
    assert found.describe().attributes["masks"] == source.describe().attributes["masks"]
    for name in source.names():
        same(found.read(name), source.read(name))
        assert found.read(name).attributes == source.read(name).attributes


def test_long_episodes_are_written_in_pieces(tmp_path):
    sample = robomimic_episode(70)
    found = open_source(write(tmp_path / "a.hdf5", [sample])).read("demo_0")
    same(found, sample)


@pytest.mark.parametrize(
    ("name", "value"),
    [("actions", None), ("rewards", np.zeros(9)), ("obs/robot0_eef_pos", np.zeros((1, 2))), ("num_samples", 9)],
)
def test_a_damaged_demonstration_is_named_and_the_rest_is_readable(file, name, value):
    with h5py.File(file, "a") as out:
        demo = out["data/demo_0"]
        if name == "num_samples":
            demo.attrs[name] = value
        else:
            del demo[name]
            if value is not None:
                demo[name] = value
    source = RobomimicSource(file)
    with pytest.raises(DamagedEpisodeError, match=r"lift\.hdf5, data/demo_0"):
        source.read("demo_0")
    assert len(source.read("demo_1").columns["actions"]) == 3
    assert source.describe().keys["actions"].shape == (7,)


def test_spoilt_bytes_of_an_image_are_damage(tmp_path):
    path = write(tmp_path / "a.hdf5", [robomimic_episode(), robomimic_episode()])
    with h5py.File(path) as file:
        where = file["data/demo_0/obs/agentview_image"].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[where.byte_offset : where.byte_offset + where.size] = bytes(where.size)
    path.write_bytes(content)
    source = open_source(path)
    frames = source.read("demo_0").images["obs/agentview_image"]
    with pytest.raises(DamagedEpisodeError, match="agentview_image"):
        frames.read()
    assert frames.read([0]).shape[0] == 1
    assert source.read("demo_1").images["obs/agentview_image"].read().shape[0] == 4


def test_a_file_that_was_cut_short_or_is_another_is_refused(tmp_path, file):
    cut = tmp_path / "cut.hdf5"
    cut.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(FormatError, match="can't be opened as HDF5"):
        RobomimicSource(cut)
    for name, group in (("d4rl.hdf5", "observations"), ("empty.hdf5", "data")):
        with h5py.File(tmp_path / name, "w") as out:
            out.create_group(group)
        assert not is_robomimic(tmp_path / name)
        with pytest.raises(FormatError, match="expected"):
            RobomimicSource(tmp_path / name)
    assert not is_robomimic(cut)


def test_what_robomimic_has_no_place_for_is_refused(tmp_path):
    sample = robomimic_episode()
    for change, message in [
        ({"columns": {**sample.columns, "rewards": np.zeros(4)}}, "only obs/"),
        ({"columns": {**sample.columns, "next_obs/object": np.zeros((3, 5))}}, "give one"),
        ({"columns": {**sample.columns, "actions": np.zeros(3)}}, "expected \\(T, A\\)"),
        ({"images": {"front": sample.images["obs/agentview_image"]}}, "robomimic's are obs/"),
    ]:
        with pytest.raises(FormatError, match=message):
            write(tmp_path / "a.hdf5", [replace(sample, **change)])
    assert list(tmp_path.iterdir()) == []
