"""Minari's data sets, written by minari itself and read here, and the reverse."""

import json
from dataclasses import replace

import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces
from helpers.foreign_samples import minari_episode, same, smooth_frames
from minari.data_collector.episode_buffer import EpisodeBuffer

from trajectories.formats.foreign import DamagedEpisodeError, FormatError, SinkSettings
from trajectories.formats.minari.reader import MinariSource, is_minari_folder
from trajectories.formats.minari.writer import MinariSink
from trajectories.formats.registry import open_source

PICTURES = spaces.Dict(
    {
        "image": spaces.Box(0, 255, (40, 48, 3), np.uint8),
        "pose": spaces.Tuple([spaces.Box(-9, 9, (2,), np.float64), spaces.Discrete(5)]),
        "mission": spaces.Text(20),
    }
)


def write(path, episodes, settings=SinkSettings(5.0)):  # noqa: B008, frozen
    with MinariSink(path, settings) as sink:
        for episode in episodes:
            sink.write(episode)
    return path


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A data set that minari wrote: nested observations, JPEG files of different lengths, words."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))

    def create(jpeg_encoding=True, data_format="hdf5"):
        buffers = []
        for episode in range(11):
            steps = 1 + episode % 3
            buffers.append(
                EpisodeBuffer(
                    observations={
                        "image": list(smooth_frames(steps + 1, seed=episode)),
                        "pose": (
                            [np.array([episode, t], float) for t in range(steps + 1)],
                            [np.int64(t) for t in range(steps + 1)],
                        ),
                        "mission": ["go → there"] * (steps + 1),
                    },
                    actions=[np.array([0.1 * t], np.float32) for t in range(steps)],
                    rewards=[float(t) for t in range(steps)],
                    terminations=[t == steps - 1 for t in range(steps)],
                    truncations=[False] * steps,
                    infos={"success": np.array([False] * steps + [True]), "other": np.zeros(7)},
                )
            )
        minari.create_dataset_from_buffers(
            "regrasp/pictures-v3", buffers, observation_space=PICTURES,
            action_space=spaces.Box(-1, 1, (1,), np.float32),
            algorithm_name="x", author="a", author_email="b", code_permalink="c", description="d",
            jpeg_encoding=jpeg_encoding, data_format=data_format,
        )  # fmt: skip
        return tmp_path / "minari/regrasp/pictures-v3"

    return create


@pytest.mark.parametrize("jpeg", [True, False])
def test_what_minari_wrote_is_read(theirs, jpeg):
    path = theirs(jpeg)
    assert is_minari_folder(path)
    assert is_minari_folder(path / "data")
    source = open_source(path)
    assert source.names() == [f"episode_{number}" for number in range(11)]
    assert source.describe().attributes["dataset_id"] == "regrasp/pictures-v3"
    for number, expected in enumerate(minari.load_dataset("regrasp/pictures-v3").iterate_episodes()):
        found = source.read(f"episode_{number}")
        np.testing.assert_array_equal(found.columns["observations/pose/_index_0"], expected.observations["pose"][0])
        np.testing.assert_array_equal(found.columns["observations/pose/_index_1"], expected.observations["pose"][1])
        assert found.columns["observations/mission"].tolist() == expected.observations["mission"]
        for key in ("actions", "rewards", "terminations", "truncations"):
            np.testing.assert_array_equal(found.columns[key], getattr(expected, key))
        assert "infos/success" in found.columns
        assert "infos/other" not in found.columns  # no row a step
        pixels, theirs_too = found.images["observations/image"].read(), expected.observations["image"]
        assert found.images["observations/image"].shape == pixels.shape == theirs_too.shape
        assert np.abs(pixels.astype(int) - theirs_too).max() <= (2 if jpeg else 0)  # two JPEG decoders


def test_jpegs_come_at_the_size_that_suffices(theirs):
    frames = open_source(theirs()).read("episode_1").images["observations/image"]
    assert frames.read([0, 2], (20, 20)).shape == (2, 20, 24, 3)


@pytest.mark.parametrize("lossless", [True, False])
def test_what_is_written_here_minari_loads(tmp_path, monkeypatch, lossless):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    settings = SinkSettings(5.0, "WidowX", lossless, attributes={"author": "we", "algorithm_name": "a person"})
    samples = [minari_episode(3, 0), minari_episode(2, 5)]
    path = write(tmp_path / "pot-v0", samples, settings)
    data = minari.load_dataset("pot-v0")
    assert data.total_episodes == 2
    assert data.total_steps == 5
    assert data.storage.metadata["author"] == {"we"}
    assert data.spec.observation_space["front"] == spaces.Box(0, 255, (40, 48, 3), np.uint8)
    assert data.spec.observation_space["arm"]["qpos"].dtype == np.float64
    for found, sample in zip(data.iterate_episodes(), samples, strict=True):
        np.testing.assert_array_equal(found.observations["arm"]["qpos"], sample.columns["observations/arm/qpos"])
        np.testing.assert_array_equal(found.observations["depth"], sample.images["observations/depth"].read())
        np.testing.assert_array_equal(found.infos["success"], sample.columns["infos/success"])
        for key in ("actions", "rewards", "terminations", "truncations"):
            np.testing.assert_array_equal(getattr(found, key), sample.columns[key])
        difference = found.observations["front"].astype(int) - sample.images["observations/front"].read()
        assert np.abs(difference).mean() <= (0 if lossless else 4)
    source = open_source(path)
    for name, sample in zip(source.names(), samples, strict=True):
        same(source.read(name), sample, lossless)
    assert source.describe().robot_type == "WidowX"


def test_a_vector_of_observations(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    sample = minari_episode(flat=True)
    same(open_source(write(tmp_path / "flat-v2", [sample])).read("episode_0"), sample)
    assert minari.load_dataset("flat-v2").spec.observation_space.shape == (3,)
    write(tmp_path / "no version", [sample])
    assert json.loads((tmp_path / "no version/data/metadata.json").read_text())["dataset_id"] == "no version-v0"


@pytest.mark.parametrize("key", ["rewards", "observations/arm/qpos", "observations", "terminations"])
def test_a_damaged_episode_is_named_and_the_rest_is_readable(tmp_path, key):
    path = write(tmp_path / "pot-v0", [minari_episode(), minari_episode()])
    with h5py.File(path / "data/main_data.hdf5", "a") as file:
        if key == "observations/arm/qpos":
            file[f"episode_0/{key}"].resize((2, 6))
        else:
            del file[f"episode_0/{key}"]
    source = open_source(path)
    with pytest.raises(DamagedEpisodeError, match=r"main_data\.hdf5, episode_0"):
        source.read("episode_0")
    same(source.read("episode_1"), minari_episode(), lossless=False)
    assert source.describe().keys["actions"].shape == (4,)


def test_a_jpeg_that_was_cut_short_is_damage(tmp_path):
    path = write(tmp_path / "pot-v0", [minari_episode()])
    with h5py.File(path / "data/main_data.hdf5", "a") as file:
        stored = file["episode_0/observations/front"]
        stored[2] = stored[2][:200] if h5py.check_vlen_dtype(stored.dtype) else np.append(stored[2][:-2], [1, 2])
    frames = open_source(path).read("episode_0").images["observations/front"]
    with pytest.raises(DamagedEpisodeError, match="front, row 2 can't be read: a JPEG file that was cut short"):
        frames.read()
    assert frames.read([0, 1, 3]).shape[0] == 3


def test_another_storage_than_hdf5_is_refused(tmp_path):
    path = write(tmp_path / "pot-v0", [minari_episode()])
    metadata = path / "data/metadata.json"
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"data_format": "arrow"}))
    with pytest.raises(FormatError, match="'arrow'"):
        MinariSource(path)


def test_a_folder_without_its_file_is_refused(tmp_path):
    path = write(tmp_path / "pot-v0", [minari_episode()])
    (path / "data/main_data.hdf5").write_bytes(b"")
    with pytest.raises(FormatError, match="can't be opened"):
        MinariSource(path)
    (path / "data/metadata.json").write_text("{")
    with pytest.raises(FormatError, match=r"metadata\.json"):
        MinariSource(path)


def test_what_minari_has_no_place_for_is_refused(tmp_path):
    sample = minari_episode()
    for columns, message in [
        ({**sample.columns, "state": np.zeros(3)}, "has state; Minari's keys are"),
        ({**sample.columns, "rewards": np.zeros(4)}, "rows {'rewards': 4}"),
        ({**sample.columns, "observations/x": np.zeros(3)}, "rows {'observations/x': 3}"),
        ({**sample.columns, "observations/x": np.zeros(4, complex)}, "only numbers"),
        ({**sample.columns, "observations/step/x": np.zeros(4)}, "rename"),
        ({key: value for key, value in sample.columns.items() if key != "truncations"}, "lacks truncations"),
    ]:
        with pytest.raises(FormatError, match=message):
            write(tmp_path / "pot-v0", [replace(sample, columns=columns)])
    assert list(tmp_path.iterdir()) == []
