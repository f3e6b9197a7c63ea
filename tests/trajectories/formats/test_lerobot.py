"""LeRobotDataset: what is written is read back, what lerobot itself recorded is understood, damage is named."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import ROOT
from helpers.lerobot_samples import SIZE, flat_episode, gradient_frames
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trajectories.formats.foreign import ArrayFrames, DamagedEpisodeError, ForeignEpisode, FormatError, SinkSettings
from trajectories.formats.lerobot.features import read_features
from trajectories.formats.lerobot.statistics import column_statistics, join_statistics
from trajectories.formats.registry import FORMATS, creator, open_source, recognise

FORMATS_HERE = ("lerobot_v3", "lerobot_v2")
FIXTURES = ROOT / "tests/data/lerobot"
NAMES = {"action": ("x", "y", "z", "roll", "pitch", "yaw", "gripper")}


def written(path, format, episodes, lossless=True):
    with creator(format)(path, SinkSettings(5.0, "wx250s", lossless, NAMES, {"lab": "ours"})) as sink:
        for episode in episodes:
            sink.write(episode)
    return open_source(path)


def assert_same_columns(read: ForeignEpisode, episode: ForeignEpisode):
    assert set(read.columns) == {*episode.columns, "timestamp"}
    for key, column in episode.columns.items():
        assert read.columns[key].dtype == column.dtype, key
        np.testing.assert_array_equal(read.columns[key], column, key)
    assert read.instructions == episode.instructions
    assert read.attributes == episode.attributes
    assert read.fps == episode.fps


@pytest.mark.parametrize("format", FORMATS_HERE)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_losslessly_is_read_back_bit_by_bit(tmp_path_factory, format, lengths, seed):
    rng = np.random.default_rng(seed)
    episodes = [flat_episode(str(i), n, rng, (6, 8)) for i, n in enumerate(lengths)]
    noise = [rng.integers(0, 256, (n, 6, 8, 3), np.uint8) for n in lengths]
    depth = [rng.integers(0, 2**16, (n, 5, 7), np.uint16) for n in lengths]
    images = [{"noise": ArrayFrames(c), "depth": ArrayFrames(d)} for c, d in zip(noise, depth, strict=True)]
    episodes = [replace(e, images=found) for e, found in zip(episodes, images, strict=True)]
    source = written(tmp_path_factory.mktemp("lerobot") / "set", format, episodes)
    assert source.names() == [f"episode_{i:06d}" for i in range(len(episodes))]
    for i in rng.permutation(len(episodes)):
        read = source.read(source.names()[i])
        assert_same_columns(read, episodes[i])
        for key, frames in episodes[i].images.items():
            assert read.images[key].shape == frames.shape
            np.testing.assert_array_equal(read.images[key].read(), frames.read())
            some = sorted(rng.integers(0, lengths[i], 3).tolist())
            np.testing.assert_array_equal(read.images[key].read(some), frames.read(some))


@pytest.mark.parametrize("format", FORMATS_HERE)
def test_videos_give_every_frame_in_its_place(tmp_path, format):
    rng = np.random.default_rng(0)
    episodes = [flat_episode(str(i), n, rng) for i, n in enumerate((11, 1, 6))]
    source = written(tmp_path / "set", format, episodes, lossless=False)
    for name, episode in zip(source.names(), episodes, strict=True):
        read = source.read(name)
        assert_same_columns(read, episode)
        frames, original = read.images["observation.images.front"], episode.images["observation.images.front"].read()
        assert psnr(frames.read(), original) > 28
        distances = np.abs(frames.read()[:, None].astype(float) - original[None]).mean((2, 3, 4))
        np.testing.assert_array_equal(distances.argmin(1), np.arange(len(original)))
        chosen = [i for i in (0, 0, 3, 5) if i < len(original)]
        np.testing.assert_array_equal(frames.read(chosen), frames.read()[chosen])
        half = frames.read(at_least=(SIZE[0] // 2, SIZE[1] // 2))
        assert half.shape == (len(original), SIZE[0] // 2, SIZE[1] // 2, 3)
        assert psnr(half, original[:, ::2, ::2]) > 28


def psnr(a, b):
    return 10 * np.log10(255**2 / max(float(np.mean((a.astype(float) - b.astype(float)) ** 2)), 1e-9))


def test_a_source_describes_itself(tmp_path):
    source = written(tmp_path / "set", "lerobot_v3", [flat_episode("a", 3, np.random.default_rng(0))], lossless=False)
    said = source.describe()
    assert (said.format, said.version, said.robot_type, said.fps, said.episodes) == (
        "lerobot_v3",
        "v3.0",
        "wx250s",
        5.0,
        1,
    )
    assert said.keys["action"].names == NAMES["action"]
    assert said.keys["next.reward"].shape == ()
    assert (said.keys["observation.images.front"].shape, said.keys["observation.images.front"].image) == (
        (*SIZE, 3),
        True,
    )
    assert said.attributes == {"tasks": ["put the pot down"], "lab": "ours"}


def test_an_export_appears_whole_or_not_at_all(tmp_path):
    path, rng = tmp_path / "set", np.random.default_rng(0)

    def export():
        with creator("lerobot_v3")(path, SinkSettings(5.0)) as sink:
            sink.write(flat_episode("a", 3, rng))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FormatError, match="No episode was written"), creator("lerobot_v3")(path, SinkSettings(5.0)):
        pass
    assert list(tmp_path.iterdir()) == []
    path.mkdir()
    with pytest.raises(FormatError, match="nothing is overwritten"):
        creator("lerobot_v3")(path, SinkSettings(5.0))


@pytest.mark.parametrize("format", FORMATS_HERE)
def test_damage_is_named_and_the_other_episodes_are_read(tmp_path, format):
    rng = np.random.default_rng(0)
    source = written(tmp_path / "set", format, [flat_episode(str(i), 4, rng) for i in range(2)], lossless=False)
    for video in sorted((tmp_path / "set").rglob("*.mp4"))[:1]:
        video.write_bytes(video.read_bytes()[:200])
    with pytest.raises(DamagedEpisodeError, match=r"\.mp4 can't be decoded"):
        source.read("episode_000000").images["observation.images.front"].read()
    table = sorted((tmp_path / "set/data").rglob("*.parquet"))[0]
    table.write_bytes(table.read_bytes()[:100])
    with pytest.raises(DamagedEpisodeError, match=r"\.parquet can't be read"):
        open_source(tmp_path / "set").read("episode_000000")
    if format == "lerobot_v2":
        assert len(source.read("episode_000001").columns["action"]) == 4


def test_rows_of_another_episode_are_not_taken(tmp_path):
    rng = np.random.default_rng(0)
    written(tmp_path / "set", "lerobot_v2", [flat_episode(str(i), 4, rng) for i in range(2)])
    first, second = sorted((tmp_path / "set/data").rglob("*.parquet"))
    first.write_bytes(second.read_bytes())
    with pytest.raises(DamagedEpisodeError, match=r"are of episodes \[1\]; expected number 0"):
        open_source(tmp_path / "set").read("episode_000000")


def test_what_the_format_cant_hold_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    good = flat_episode("a", 3, rng)
    for columns, match in (
        ({"a/b": np.zeros(3)}, "can't have a '/'"),
        ({"matrix": np.zeros((3, 2, 2))}, "vectors of numbers"),
        ({"words": np.array(["a", "b", "c"])}, "vectors of numbers"),
        ({"long": np.zeros(4)}, "one row a frame"),
    ):
        with (
            pytest.raises(FormatError, match=match),
            creator("lerobot_v3")(tmp_path / "bad", SinkSettings(5.0)) as sink,
        ):
            sink.write(replace(good, columns={**good.columns, **columns}))
    with pytest.raises(FormatError, match="differs from the first in count"):
        written(tmp_path / "bad", "lerobot_v3", [good, replace(good, columns={**good.columns, "count": np.zeros(3)})])
    odd = replace(good, images={"odd": ArrayFrames(gradient_frames(3, (63, 64)))})
    with pytest.raises(FormatError, match="lossless=true"):
        written(tmp_path / "bad", "lerobot_v3", [odd], lossless=False)


def test_metadata_that_are_none_are_refused(tmp_path):
    (tmp_path / "meta").mkdir()
    info = {
        "codebase_version": "v1.6",
        "fps": 5,
        "data_path": "",
        "features": {"a": {"dtype": "float32", "shape": [1]}},
    }
    (tmp_path / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(FormatError, match="is in none of the formats"):
        recognise(tmp_path)
    with pytest.raises(FormatError, match=r"version v1\.6"):
        FORMATS["lerobot_v3"].open(tmp_path)
    with pytest.raises(FormatError, match="declares 'a' as"):
        read_features({"a": {"dtype": "float32"}}, "info.json")


def test_statistics_of_parts_join_to_those_of_the_whole():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, 3)) for n in (5, 50, 17)]
    joined = join_statistics([{"a": column_statistics(part)} for part in parts])["a"]
    whole = np.concatenate(parts)
    for name, expected in (
        ("min", whole.min(0)),
        ("max", whole.max(0)),
        ("mean", whole.mean(0)),
        ("std", whole.std(0)),
    ):
        np.testing.assert_allclose(joined[name], expected, atol=1e-12)
    assert joined["count"] == [72]
    assert column_statistics(np.arange(4))["mean"].shape == (1,)


@pytest.mark.parametrize("name", ["v3_videos", "v3_images", "v21_videos", "v21_images"])
def test_what_lerobots_own_code_recorded_is_read(name):
    expected = np.load(FIXTURES / f"{name}.npz")
    source = open_source(FIXTURES / name)
    assert source.describe().robot_type == "so101_follower"
    assert source.names() == ["episode_000000", "episode_000001"]
    for i, episode in enumerate(map(source.read, source.names())):
        for key in ("observation.state", "action", "next.reward"):
            np.testing.assert_array_equal(episode.columns[key], expected[f"{i}/{key}"])
        frames = episode.images["observation.images.front"].read()[:, ::4, ::4]
        assert episode.instructions == (("put the cube in the bin", "take the cube out")[i],)
        decoded = expected[f"{i}/front"]  # by lerobot, every fourth row and column
        if "images" in name:
            np.testing.assert_array_equal(frames, decoded)
        else:
            assert np.abs(frames.astype(int) - decoded.astype(int)).max() <= 2
