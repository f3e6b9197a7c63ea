"""Recorded depth: in the specification, the recorder and the store, for human eyes, and nowhere without it."""

from dataclasses import replace

import numpy as np
import pytest
import zarr
from helpers.trajectory_samples import SPEC, assert_same_episode, sample_episode, sample_observation

from trajectories.alignment import aligned
from trajectories.errors import ConfigError, CorruptEpisodeError, InvalidEpisodeError, SpecMismatchError
from trajectories.inspect import inspect_store
from trajectories.media import annotated_frames, contact_sheet, depth_picture
from trajectories.recorder import Recorder
from trajectories.store import TrajectoryStore
from trajectories.types import RobotSpec

DEEP = RobotSpec(cameras={"front": (8, 6), "wrist": (4, 4)}, depth=("front",))


def deep_episode(number=0, steps=4):
    depth = np.random.default_rng(number).integers(0, 65536, (steps + 1, 8, 6), dtype=np.uint16)
    return sample_episode(number, steps, DEEP, depth={"front": depth})


def test_a_robot_without_depth_is_called_what_it_was_before_there_was_any():
    assert RobotSpec().digest == "f7530748b3a1854bad12013e141bed18f9f48111048afc8fbce3c1888e8c74b5"
    assert "depth" not in RobotSpec().to_dict()
    assert RobotSpec.from_dict(DEEP.to_dict()) == DEEP
    assert DEEP.digest != replace(DEEP, depth=()).digest
    both = replace(DEEP, depth=("wrist", "front"))
    assert both.depth == ("front", "wrist")
    with pytest.raises(ConfigError, match=r"Depth of top .* front, wrist"):
        replace(DEEP, depth=("top",))
    for one, other in ((DEEP, replace(DEEP, depth=())), (replace(DEEP, depth=()), DEEP)):
        with pytest.raises(SpecMismatchError, match="depth is"):
            one.require_same(other, "it")


@pytest.mark.parametrize("steps", [4, 230])
def test_depth_comes_back_bit_by_bit_and_is_checked(tmp_path, steps):
    episode = deep_episode(1, steps)
    with TrajectoryStore(tmp_path, DEEP) as store:
        store.commit(episode)
        assert_same_episode(store.read(episode.id), episode)
    folder = tmp_path / "episodes" / episode.id
    group = zarr.open_group(folder, mode="r")
    assert np.array_equal(group["depth_front"][...], episode.depth["front"])
    assert group["depth_front"].attrs["unit"] == "mm"
    chunk = folder / "depth_front" / "0.0.0"
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(CorruptEpisodeError):
        TrajectoryStore(tmp_path, read_only=True).read(episode.id)


def test_nothing_is_written_without_depth(tmp_path):
    with TrajectoryStore(tmp_path, SPEC) as store:
        store.commit(sample_episode())
        assert store.read(sample_episode().id).depth == {}
    assert not list(tmp_path.rglob("depth*"))
    assert b"depth" not in (tmp_path / "store.json").read_bytes()


@pytest.mark.parametrize(
    ("depth", "reason"),
    [
        ({}, "depth is of cameras"),
        ({"wrist": np.zeros((5, 4, 4), np.uint16)}, "depth is of cameras"),
        ({"front": np.zeros((5, 8, 6), np.float32)}, "expected uint16"),
        ({"front": np.zeros((4, 8, 6), np.uint16)}, "depth of camera 'front'"),
    ],
)
def test_depth_that_does_not_fit_is_refused(tmp_path, depth, reason):
    with TrajectoryStore(tmp_path, DEEP) as store, pytest.raises(InvalidEpisodeError, match=reason):
        store.commit(replace(deep_episode(), depth=depth))


def test_the_recorder_keeps_copies(tmp_path):
    buffer = np.zeros((8, 6), np.uint16)
    recorder = Recorder(DEEP)
    for t in range(3):
        buffer[:] = t
        observation = replace(sample_observation(t, spec=DEEP), depth={"front": buffer})
        if t == 0:
            recorder.begin(observation, task="red", direction="forward")
        else:
            recorder.step(observation, np.zeros(7, np.float32), np.zeros(7, np.float32))
    episode = recorder.finish("failure", truncated=True)
    assert episode.depth["front"].dtype == np.uint16
    assert episode.depth["front"][:, 0, 0].tolist() == [0, 1, 2]
    with pytest.raises(InvalidEpisodeError, match="depth is of cameras"):
        recorder.begin(sample_observation(0, spec=DEEP), task="red", direction="forward")


def test_who_learns_without_depth_reads_the_same_store(tmp_path):
    with TrajectoryStore(tmp_path, DEEP) as store:
        store.commit(deep_episode())
        seen = aligned(store, replace(DEEP, depth=()), {}).read(deep_episode().id)
    assert seen.depth == {}
    assert np.array_equal(seen.images["front"], deep_episode().images["front"])
    assert np.array_equal(seen.proprio, deep_episode().proprio)


def test_the_nearer_the_brighter():
    grey = depth_picture(np.array([[0, 50, 100, 548, 3000, 65535]], np.uint16))
    assert grey.shape == (1, 6, 3)
    assert grey[0, :, 0].tolist() == [0, 255, 255, 147, 40, 40]  # 548 mm: halfway, in logarithms, from 100 to 3000


def test_inspect_shows_it(tmp_path):
    episode = deep_episode()
    episode.depth["front"][:] = 0
    episode.depth["front"][:, :, 3:] = 250
    with TrajectoryStore(tmp_path / "store", DEEP) as store:
        store.commit(episode)
    said = inspect_store(tmp_path / "store", tmp_path / "out", episode.id)
    assert "Depth (mm): front." in said
    assert "front: 50% of the pixels measured, 250 ... 250 mm" in said
    plain = sample_episode(0, 4, replace(DEEP, depth=()))
    assert contact_sheet([episode]).shape[0] > contact_sheet([plain]).shape[0]
    deep, flat = (next(annotated_frames(one, 5.0, 80)) for one in (episode, plain))
    assert deep.shape[1] > flat.shape[1]
    assert set(np.unique(deep[:80, 60:119])) >= {0}  # front is 60 wide, then its depth
