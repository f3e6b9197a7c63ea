"""An episode's files are what Zarr itself makes of the same arrays."""

import json

import numpy as np
import pytest
import zarr
from helpers.trajectory_samples import sample_episode
from zarr.codecs import ZstdCodec
from zarr.storage import MemoryStore

from trajectories.episode_zarr import CHUNK_STEPS, ZSTD_LEVEL, encode
from trajectories.types import RobotSpec

DEEP = RobotSpec(cameras={"front": (8, 6), "wrist": (4, 4)}, depth=("front",))


def by_zarr(files):
    """The files that Zarr writes for the arrays and attributes that it reads from these."""
    source = zarr.open_group(MemoryStore({k: zarr.core.buffer.cpu.Buffer.from_bytes(v) for k, v in files.items()}))
    made = {}
    group = zarr.create_group(MemoryStore(made), zarr_format=3, attributes=dict(source.attrs))
    for name, array in source.arrays():
        group.create_array(
            name,
            shape=array.shape,
            dtype=array.dtype,
            chunks=array.chunks,
            compressors=ZstdCodec(level=ZSTD_LEVEL, checksum=True),
            chunk_key_encoding={"name": "v2", "separator": "."},
            dimension_names=array.metadata.dimension_names,
            attributes=dict(array.attrs),
            config={"write_empty_chunks": True},
        )[...] = array[...]
    return {path: buffer.to_bytes() for path, buffer in made.items()}


@pytest.mark.parametrize("steps", [1, CHUNK_STEPS - 1, CHUNK_STEPS, 2 * CHUNK_STEPS + 30])
def test_the_files_are_those_that_zarr_writes(steps):
    depth = np.random.default_rng(0).integers(0, 65536, (steps + 1, 8, 6), dtype=np.uint16)
    episode = sample_episode(1, steps, DEEP, depth={"front": depth})
    files = encode(episode, DEEP, {"instruction": "把锅放下 🫕", "length": steps, "metadata": {"a": [1.5, None]}})
    expected = by_zarr(files)
    assert files.keys() == expected.keys()
    for path, content in files.items():
        if path.endswith("zarr.json"):
            assert json.loads(content) == json.loads(expected[path])
        else:
            assert content == expected[path]


def test_zeros_are_written_too():
    episode = sample_episode(1, 3, DEEP, depth={"front": np.zeros((4, 8, 6), np.uint16)})
    assert encode(episode, DEEP, {})["depth_front/0.0.0"]
