"""diffusion_policy's replay buffers."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import zarr
from helpers.foreign_samples import replay_episode, same

from trajectories.formats.diffusion_policy.reader import ReplayBufferSource, is_replay_buffer
from trajectories.formats.diffusion_policy.writer import ReplayBufferSink
from trajectories.formats.foreign import DamagedEpisodeError, FormatError, SinkSettings
from trajectories.formats.registry import open_source


def write(path, episodes, settings=SinkSettings(10.0)):  # noqa: B008, frozen
    with ReplayBufferSink(path, settings) as sink:
        for episode in episodes:
            sink.write(episode)
    return path


@pytest.fixture
def plain(tmp_path):
    """A buffer as diffusion_policy's tools leave it: no attributes, chunks across episodes, some numbers beside."""
    root = zarr.open_group(str(tmp_path / "replay.zarr"), mode="w", zarr_format=2)
    data, meta = root.create_group("data"), root.create_group("meta")
    data.create_array("action", data=np.arange(20.0).reshape(10, 2), chunks=(4, 2))
    data.create_array(
        "camera_0", data=np.arange(10 * 27, dtype=np.int64).astype(np.uint8).reshape(10, 3, 3, 3), chunks=(1, 3, 3, 3)
    )
    data.create_array("timestamp", data=np.arange(10.0))
    meta.create_array("episode_ends", data=np.array([3, 4, 10]))
    return tmp_path / "replay.zarr"


def test_episodes_are_cut_at_their_ends(plain):
    source = open_source(plain)
    assert source.names() == ["episode_0", "episode_1", "episode_2"]
    assert source.describe().fps is None
    for name, rows in zip(source.names(), (range(3), range(3, 4), range(4, 10)), strict=True):
        episode = source.read(name)
        assert (episode.fps, episode.instructions) == (None, ())
        np.testing.assert_array_equal(episode.columns["timestamp"], rows)
        np.testing.assert_array_equal(episode.columns["action"][:, 0], 2 * np.array(rows))
        np.testing.assert_array_equal(episode.images["camera_0"].read()[:, 0, 0, 0], 27 * np.array(rows) % 256)


def test_the_layout_that_diffusion_policy_reads(tmp_path):
    path = write(tmp_path / "a.zarr", [replay_episode(3), replay_episode(2)])
    assert json.loads((path / ".zgroup").read_text()) == {"zarr_format": 2}
    stored = json.loads((path / "data/img/.zarray").read_text())
    assert (stored["zarr_format"], stored["shape"], stored["dtype"]) == (2, [5, 24, 24, 3], "|u1")
    assert stored["compressor"]["id"] == "blosc"
    ends = json.loads((path / "meta/episode_ends/.zarray").read_text())
    assert (ends["compressor"], ends["dtype"], ends["shape"]) == (None, "<i8", [2])
    np.testing.assert_array_equal(np.frombuffer((path / "meta/episode_ends/0").read_bytes(), "<i8"), [3, 5])


def test_zipped_is_the_same_folder_without_compression(tmp_path):
    episodes = [replay_episode(3), replay_episode(2)]
    folder, archive = write(tmp_path / "a.zarr", episodes), write(tmp_path / "a.zarr.zip", episodes)
    with zipfile.ZipFile(archive) as content:
        assert {i.compress_type for i in content.infolist()} == {zipfile.ZIP_STORED}
        names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert set(content.namelist()) == names
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr", "a.zarr.zip"]


def test_the_observation_after_the_last_action_has_no_place(tmp_path):
    sample = replay_episode(3, last=True)
    found = open_source(write(tmp_path / "a.zarr", [sample])).read("episode_0")
    same(found, replay_episode(3))


def test_long_episodes_are_written_in_pieces(tmp_path):
    samples = [replay_episode(70, 1), replay_episode(45, 2)]
    source = open_source(write(tmp_path / "a.zarr", samples))
    for name, sample in zip(source.names(), samples, strict=True):
        same(source.read(name), sample)


def test_rate_robot_and_words_are_kept_beside(tmp_path):
    settings = SinkSettings(4.0, "Koch", attributes={"lab": "ours"})
    samples = [replay_episode(), replace(replay_episode(), instructions=("a", "b"))]
    source = open_source(write(tmp_path / "a.zarr", samples, settings))
    told = source.describe()
    assert (told.fps, told.robot_type, told.attributes["lab"]) == (4.0, "Koch", "ours")
    assert [source.read(name).instructions for name in source.names()] == [("push the T",), ("a", "b")]


def test_a_damaged_chunk_is_named_and_the_rest_is_readable(plain):
    chunk = plain / "data/camera_0/3.0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:10])
    source = ReplayBufferSource(plain)
    with pytest.raises(DamagedEpisodeError, match=r"data/camera_0, episode_1"):
        source.read("episode_1").images["camera_0"].read()
    for name in ("episode_0", "episode_2"):
        assert source.read(name).images["camera_0"].read().any()


def test_an_array_that_is_too_short_damages_the_last_episode(plain):
    zarr.open_group(str(plain), mode="a")["data/action"].resize((9, 2))
    source = ReplayBufferSource(plain)
    assert source.read("episode_1").columns["action"].shape == (1, 2)
    with pytest.raises(DamagedEpisodeError, match="ends at row 9; expected rows 4 to 10"):
        source.read("episode_2")


@pytest.mark.parametrize("ends", [[], [3, 3], [5, 4], [-1]])
def test_ends_that_dont_ascend_are_refused(plain, ends):
    group = zarr.open_group(str(plain), mode="a")["meta"]
    group.create_array("episode_ends", data=np.array(ends, np.int64), overwrite=True)
    with pytest.raises(FormatError, match="expected ascending"):
        ReplayBufferSource(plain)


def test_a_codec_that_isnt_installed_is_named(plain):
    path = plain / "data/camera_0/.zarray"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"compressor": {"id": "imagecodecs_jpeg2k"}}))
    with pytest.raises(FormatError, match="imagecodecs_jpeg2k"):
        ReplayBufferSource(plain)


def test_other_folders_and_archives_are_not_taken_for_one(tmp_path, plain):
    assert is_replay_buffer(plain)
    zarr.open_group(str(tmp_path / "other.zarr"), mode="w").create_group("data")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 no archive")
    for name in ("other.zarr", "other.zip", "no.zip"):
        assert not is_replay_buffer(tmp_path / name)
        with pytest.raises(FormatError):
            ReplayBufferSource(tmp_path / name)
