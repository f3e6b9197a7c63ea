"""What `other_oracles.py` runs with Zarr 2, the storage of diffusion_policy, whose own package is in no registry.

    python in_zarr2.py check PATH EXPECTED.npz     one line of JSON: version, what was compared
    python in_zarr2.py record FOLDER               a buffer as a folder and as a zip file

The steps are those of its `ReplayBuffer`: what `copy_from_path` asks of a store and what `save_to_store` leaves.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np

zarr: Any = importlib.import_module("zarr")  # of version 2, whose names those of the project's version 3 are not


def check(path: str, expected: str) -> dict[str, object]:
    """Open a buffer, copy it into memory as it is compressed, and compare it with what was exported.

    Args:
        path: A folder .zarr or a file .zarr.zip.
        expected: Arrays `{key}` and `episode_ends`.
    """
    arrays = np.load(expected)
    source = zarr.ZipStore(path, mode="r") if path.endswith(".zip") else zarr.open(path, "r").store
    memory = zarr.MemoryStore()
    for part in ("/meta", "/data"):
        zarr.copy_store(source=source, dest=memory, source_path=part, dest_path=part)
    root = zarr.group(memory)
    ends = root["meta"]["episode_ends"][:]
    np.testing.assert_array_equal(ends, arrays["episode_ends"])
    keys = sorted(root["data"].keys())
    if keys != sorted(set(arrays.files) - {"episode_ends"}):
        raise SystemExit(f"the buffer has {keys}, exported were {arrays.files}")
    for key in keys:
        stored = root["data"][key]
        if stored.shape[0] != ends[-1] or stored.dtype != arrays[key].dtype:
            raise SystemExit(f"{key} has {stored.dtype} {stored.shape}, the episodes end at {ends[-1]}")
        np.testing.assert_array_equal(stored[:], arrays[key])
    return {
        "reader": f"zarr {zarr.__version__}, numcodecs {numcodecs.__version__}",
        "rows": int(ends[-1]),
        "keys": keys,
    }


def record(folder: str) -> dict[str, object]:
    """A buffer of two episodes under the compressors that diffusion_policy uses for memory and for the disk."""
    rng, ends = np.random.default_rng(0), np.array([3, 5])
    data = {
        "action": rng.normal(size=(5, 2)).astype(np.float32),
        "img": rng.integers(0, 255, (5, 12, 12, 3), np.uint8),
        "state": rng.normal(size=(5, 5)),
    }
    codecs = {
        "action": numcodecs.Blosc("lz4", clevel=5, shuffle=numcodecs.Blosc.NOSHUFFLE),
        "img": numcodecs.Blosc("zstd", clevel=5, shuffle=numcodecs.Blosc.BITSHUFFLE),
        "state": None,
    }
    stores = [zarr.DirectoryStore(f"{folder}/buffer.zarr"), zarr.ZipStore(f"{folder}/buffer.zarr.zip", mode="w")]
    for store in stores:
        root = zarr.group(store)
        meta, arrays = root.create_group("meta", overwrite=True), root.create_group("data", overwrite=True)
        meta.array(name="episode_ends", data=ends, shape=ends.shape, chunks=ends.shape)
        for key, value in data.items():
            arrays.array(name=key, data=value, chunks=(2, *value.shape[1:]), compressor=codecs[key])
        if isinstance(store, zarr.ZipStore):
            store.close()
    np.savez(Path(folder) / "buffer.npz", episode_ends=ends, **data)  # type: ignore[arg-type]
    return {"writer": f"zarr {zarr.__version__}"}


if __name__ == "__main__":
    print(json.dumps((check if sys.argv[1] == "check" else record)(*sys.argv[2:])))
