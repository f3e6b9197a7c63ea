"""One episode as one Zarr 3 group, in memory: what the bytes of its files are and what they mean.

    zarr.json                 group; attributes: id, task, instruction, direction, outcome, length, metadata
    image_<camera>/           uint8 (T + 1, H, W, 3)
    depth_<camera>/           uint16 (T + 1, H, W), mm; of cameras with depth only
    numbers/                  float32 (T + 1, columns): proprioception, success probability, actions, rewards
    marks/                    int64 (T + 1, columns): times, terminated, truncated, source, policy version

Row t of a table is observation t and the step taken from it. The last row has no step: its step columns are 0
and are not read. Two tables instead of ten small arrays keep the number of files low (each costs an fsync).
The names of a table's columns are in its attributes, so that any Zarr 3 reader can make sense of a folder
alone.

A chunk holds at most `CHUNK_STEPS` rows and ends with a checksum by Zstandard. Encoding to memory first means
that the digests in the manifest are those of the bytes that were meant, not of the bytes that a disk gave
back; decoding from memory means that what was verified is what is decoded.

The files are made and read here and not by Zarr, which takes four times as long for arrays as small as these; they are
byte by byte what it makes of the same arrays (`tests/trajectories/test_episode_zarr.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numcodecs import Zstd
from numpy.typing import NDArray

from trajectories.types import ACTION_SIZE, Episode, RobotSpec

CHUNK_STEPS = 100
ZSTD_LEVEL = 1  # 3 takes twice the time and saves a tenth of the room on noisy camera images
_ZSTD = Zstd(level=ZSTD_LEVEL, checksum=True)
IMAGE_PREFIX, DEPTH_PREFIX = "image_", "depth_"
NUMBERS, MARKS = "numbers", "marks"
STEP_MARKS = ("terminated", "truncated", "source", "policy_version")


def number_columns(spec: RobotSpec) -> list[str]:
    """Names of the columns of the table `numbers`."""
    actions = [f"{kind}/{i}" for kind in ("proposed", "executed") for i in range(ACTION_SIZE)]
    return [*(f"proprio/{name}" for name in spec.proprio), "success_probability", *actions, "reward"]


def encode(episode: Episode, spec: RobotSpec, attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of an episode that has passed `checks.check_episode`: relative path -> bytes."""
    columns = [*(f"t_ns/{name}" for name in episode.t_ns), *STEP_MARKS]
    files = {"zarr.json": _json({"attributes": dict(attributes), "zarr_format": 3, "node_type": "group"})}
    for camera, frames in episode.images.items():
        files |= _array(IMAGE_PREFIX + camera, frames, ("time", "height", "width", "channel"), {})
    for camera, depth in episode.depth.items():
        files |= _array(DEPTH_PREFIX + camera, depth, ("time", "height", "width"), {"unit": "mm"})
    files |= _array(NUMBERS, _numbers(episode), ("time", "column"), {"columns": number_columns(spec)})
    return files | _array(MARKS, _marks(episode), ("time", "column"), {"columns": columns})


def decode(files: Mapping[str, bytes], head: Mapping[str, Any], spec: RobotSpec) -> Episode:
    """Inverse of `encode`; `head` holds id, task, instruction, direction, outcome, length and metadata.

    Raises:
        KeyError, ValueError, RuntimeError: When the files are not what `encode` makes.
    """
    steps, width = int(head["length"]), len(spec.proprio)
    numbers, _ = _get(files, NUMBERS)
    marks, mark_columns = _get(files, MARKS)
    times = [name.removeprefix("t_ns/") for name in mark_columns if name.startswith("t_ns/")]
    terminated, truncated, source, version = marks[:steps, len(times) :].T
    proposed = width + 1
    executed = proposed + ACTION_SIZE
    return Episode(
        id=head["id"],
        task=head["task"],
        instruction=head["instruction"],
        direction=head["direction"],
        outcome=head["outcome"],
        images={camera: _get(files, IMAGE_PREFIX + camera)[0] for camera in spec.cameras},
        proprio=np.ascontiguousarray(numbers[:, :width]),
        t_ns={name: np.ascontiguousarray(marks[:, i]) for i, name in enumerate(times)},
        proposed=np.ascontiguousarray(numbers[:steps, proposed:executed]),
        executed=np.ascontiguousarray(numbers[:steps, executed : executed + ACTION_SIZE]),
        rewards=np.ascontiguousarray(numbers[:steps, -1]),
        terminated=terminated.astype(np.bool_),
        truncated=truncated.astype(np.bool_),
        source=source.astype(np.uint8),
        policy_version=np.ascontiguousarray(version),
        success_probability=np.ascontiguousarray(numbers[:, width]),
        metadata=head["metadata"],
        depth={camera: _get(files, DEPTH_PREFIX + camera)[0] for camera in spec.depth},
    )


def _numbers(episode: Episode) -> NDArray[np.float32]:
    steps = np.concatenate([episode.proposed, episode.executed, episode.rewards[:, None]], axis=1)
    steps = np.concatenate([steps, np.zeros((1, steps.shape[1]), np.float32)])
    return np.concatenate([episode.proprio, episode.success_probability[:, None], steps], axis=1)


def _marks(episode: Episode) -> NDArray[np.int64]:
    steps = np.stack([getattr(episode, name).astype(np.int64) for name in STEP_MARKS], axis=1)
    steps = np.concatenate([steps, np.zeros((1, len(STEP_MARKS)), np.int64)])
    return np.concatenate([np.stack(list(episode.t_ns.values()), axis=1), steps], axis=1)


def _array(
    name: str, values: NDArray[Any], dimensions: tuple[str, ...], attributes: Mapping[str, Any]
) -> dict[str, bytes]:
    """The files of one array: its metadata, and a file a chunk, of zeros too: a missing one is damage."""
    pieces = -(-len(values) // CHUNK_STEPS)
    rows = -(-len(values) // pieces)
    metadata = _metadata(values, rows, dimensions, attributes)
    files = {f"{name}/zarr.json": _json(metadata)}
    for number, first in enumerate(range(0, len(values), rows)):
        chunk = np.ascontiguousarray(values[first : first + rows], values.dtype.newbyteorder("<"))
        if len(chunk) < rows:
            chunk = np.concatenate([chunk, np.zeros((rows - len(chunk), *chunk.shape[1:]), chunk.dtype)])
        files[f"{name}/{_chunk(number, values.ndim)}"] = _ZSTD.encode(chunk)
    return files


def _metadata(
    values: NDArray[Any], rows: int, dimensions: tuple[str, ...], attributes: Mapping[str, Any]
) -> dict[str, Any]:
    """What Zarr's version 3 says of an array in chunks of `rows` rows."""
    order = {} if values.dtype.itemsize == 1 else {"configuration": {"endian": "little"}}
    return {
        "shape": list(values.shape),
        "data_type": values.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [rows, *values.shape[1:]]}},
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}},
        "fill_value": values.dtype.type(0).item(),
        "codecs": [
            {"name": "bytes", **order},
            {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": True}},
        ],
        "attributes": dict(attributes),
        "dimension_names": list(dimensions),
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=2).encode()


def _chunk(number: int, dimensions: int) -> str:
    """Name of the file of a chunk, beside `zarr.json`: no folder to sync per axis."""
    return ".".join([str(number), *"0" * (dimensions - 1)])


def _get(files: Mapping[str, bytes], name: str) -> tuple[NDArray[Any], list[str]]:
    """All values of an array and the names of its columns.

    Raises:
        KeyError, ValueError, RuntimeError: When the array is not as `_array` makes it.
    """
    metadata = json.loads(files[f"{name}/zarr.json"])
    shape, dtype = tuple(metadata["shape"]), np.dtype(metadata["data_type"]).newbyteorder("<")
    rows = metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
    _require_layout(name, metadata, [rows, *shape[1:]], dtype)
    values = np.empty(shape, dtype.newbyteorder("="))
    for number, first in enumerate(range(0, shape[0], rows)):
        raw = files[f"{name}/{_chunk(number, len(shape))}"]
        chunk = np.frombuffer(_ZSTD.decode(raw), dtype).reshape(rows, *shape[1:])
        values[first : first + rows] = chunk[: shape[0] - first]
    return values, metadata["attributes"].get("columns", [])


def _require_layout(name: str, metadata: Mapping[str, Any], chunk: list[int], dtype: np.dtype[Any]) -> None:
    """Refuse arrays whose chunks are cut or encoded in another way than `_array` does."""
    codecs = [codec["name"] for codec in metadata["codecs"]]
    order = metadata["codecs"][0].get("configuration", {}).get("endian", "little")
    keys = metadata["chunk_key_encoding"]
    found = (codecs, order, metadata["chunk_grid"]["configuration"]["chunk_shape"], keys["name"])
    expected = (["bytes", "zstd"], "little", chunk, "v2")
    if found != expected or keys["configuration"]["separator"] != ".":
        raise ValueError(f"the array {name} has codecs, byte order, chunks and keys {found}, expected {expected}")
