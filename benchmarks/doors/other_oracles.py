"""Other projects' own readers open what we export, and we read what their own code recorded.

    python benchmarks/doors/other_oracles.py [--folder FOLDER] [--robomimic CHECKOUT] [--fixtures FOLDER] [--json]

An environment for each of robomimic, Zarr 2 (diffusion_policy's storage; its own package is in no registry) and minari
is made below FOLDER from package names, and kept for the next time. robomimic's borrows torch and robosuite from the
environment that runs this; egl_probe is built with cmake. With --robomimic, a checkout of its source takes the place of
the release in the registry, which has no scripts that record. --fixtures writes the small files in tests/data anew.

BridgeData has no reader that a registry offers: `tests/trajectories/formats/bridge/test_bridge.py` reads what we write
by the rules of its published loaders.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT), str(ROOT / "tests")]

from helpers.foreign_samples import minari_episode, replay_episode, robomimic_episode  # noqa: E402

from benchmarks.doors.oracle import Oracle, environment  # noqa: E402
from trajectories.formats.foreign import ForeignEpisode, SinkSettings  # noqa: E402
from trajectories.formats.registry import creator, open_source  # noqa: E402

HERE = Path(__file__).parent
RELEASE = "robomimic==0.3.0"
NEEDS = ("diffusers", "egl_probe", "imageio", "psutil", "tensorboardX", "termcolor")
"""Of robomimic, besides torch: its own list pins versions of 2024 that don't install beside a current torch."""
STEPS = (5, 3, 40)
MODEL_CHARACTERS = 200


def export(path: Path, format: str, episodes: Sequence[ForeignEpisode], lossless: bool = True) -> Path:
    """Write episodes by our writer."""
    with creator(format)(path, SinkSettings(10.0, "WidowX", lossless)) as sink:
        for episode in episodes:
            sink.write(episode)
    return path


def arrays_of(episode: ForeignEpisode) -> dict[str, np.ndarray[Any, Any]]:
    """All columns and images of an episode by their keys."""
    return {**episode.columns, **{key: frames.read() for key, frames in episode.images.items()}}


def saved(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> str:
    """Write arrays to an .npz file; its path."""
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return str(path)


def compare(found: ForeignEpisode, expected: Mapping[str, np.ndarray[Any, Any]]) -> int:
    """Compare an episode that we read with arrays, bit by bit; the number of arrays.

    Raises:
        AssertionError: With the first difference.
    """
    arrays = arrays_of(found)
    if set(arrays) != set(expected):
        raise AssertionError(f"{found.name} has {sorted(arrays)}, recorded were {sorted(expected)}")
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, expected[key], err_msg=key)
    return len(arrays)


def robomimic_rows(oracle: Oracle, folder: Path) -> list[dict[str, Any]]:
    """Our file by `SequenceDataset`; robosuite's Lift as robomimic's scripts record it by our reader."""
    episodes = [robomimic_episode(steps, seed) for seed, steps in enumerate(STEPS)]
    path = export(folder / "ours.hdf5", "robomimic", episodes)
    numbered = {f"demo_{n}/{key}": a for n, e in enumerate(episodes) for key, a in arrays_of(e).items()}
    rows = [
        {"format": "robomimic", "direction": "out", **oracle("check", str(path), saved(folder / "ours.npz", numbered))}
    ]
    theirs = folder / "theirs.hdf5"
    try:
        said = oracle("record", str(theirs))
    except RuntimeError as error:
        return [*rows, {"format": "robomimic", "direction": "in", "failed": str(error).splitlines()[-1]}]
    source, count = open_source(theirs), 0
    with h5py.File(theirs) as file:
        for name in source.names():
            demo, expected = file[f"data/{name}"], {}
            for key in ("actions", "states", "rewards", "dones"):
                expected[key] = demo[key][()]
            for key in demo["obs"]:
                expected[f"obs/{key}"] = np.concatenate([demo[f"obs/{key}"][()], demo[f"next_obs/{key}"][-1:]])
            count += compare(source.read(name), expected)
    masks = source.describe().attributes["masks"]
    return [*rows, {"format": "robomimic", "direction": "in", **said, "arrays": count, "masks": masks}]


def replay_rows(oracle: Oracle, folder: Path) -> list[dict[str, Any]]:
    """Our buffers by Zarr 2; buffers of Zarr 2 by our reader; folder and zip file each."""
    episodes = [replay_episode(steps, seed) for seed, steps in enumerate(STEPS)]
    every = {key: np.concatenate([arrays_of(e)[key] for e in episodes]) for key in arrays_of(episodes[0])}
    expected = saved(folder / "buffer_ours.npz", {**every, "episode_ends": np.cumsum(STEPS)})
    said = oracle("record", str(folder))
    theirs = np.load(folder / "buffer.npz")
    rows = []
    for ending in ("zarr", "zarr.zip"):
        path = export(folder / f"ours.{ending}", "diffusion_policy", episodes)
        rows.append(
            {"format": f"diffusion_policy .{ending}", "direction": "out", **oracle("check", str(path), expected)}
        )
        source, starts = open_source(folder / f"buffer.{ending}"), [0, *theirs["episode_ends"]]
        count = sum(
            compare(source.read(name), {k: theirs[k][a:b] for k in theirs.files if k != "episode_ends"})
            for name, a, b in zip(source.names(), starts[:-1], starts[1:], strict=True)
        )
        rows.append({"format": f"diffusion_policy .{ending}", "direction": "in", **said, "arrays": count})
    return rows


def minari_rows(oracle: Oracle, folder: Path) -> list[dict[str, Any]]:
    """Our data sets, with JPEG files and without loss, by `load_dataset`; theirs by our reader."""
    episodes = [minari_episode(steps, seed) for seed, steps in enumerate(STEPS)]
    numbered = {f"episode_{n}/{key}": a for n, e in enumerate(episodes) for key, a in arrays_of(e).items()}
    expected, rows = saved(folder / "minari.npz", numbered), []
    for name, lossless in (("exact-v0", True), ("jpeg-v0", False)):
        export(folder / name, "minari", episodes, lossless)
        told = oracle("check", str(folder), name, expected, "0" if lossless else "4")
        rows.append({"format": f"minari, {'lossless' if lossless else 'JPEG'}", "direction": "out", **told})
    said = oracle("record", str(folder), "theirs-v0")
    source = open_source(folder / "theirs-v0")
    for number, name in enumerate(source.names()):
        episode = source.read(name)
        np.testing.assert_array_equal(episode.columns["observations/pose"][:, 0], number)
        if episode.images["observations/image"].read().shape != (len(episode.columns["rewards"]) + 1, 32, 40, 3):
            raise AssertionError(f"{name} has pictures of {episode.images['observations/image'].shape}")
    return [*rows, {"format": "minari, JPEG", "direction": "in", **said, "episodes": len(source.names())}]


def fixtures(source: Path, target: Path) -> None:
    """Copy what their code recorded to tests/data; robosuite's long model files are cut to their beginning."""
    target.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source / "theirs-v0", target / "minari/theirs-v0", dirs_exist_ok=True)
    shutil.copy(source / "buffer.zarr.zip", target / "zarr2_buffer.zarr.zip")
    shutil.copy(source / "buffer.npz", target / "zarr2_buffer.npz")
    if (source / "theirs.hdf5").is_file():
        with (
            h5py.File(source / "theirs.hdf5") as old,
            h5py.File(target / "robomimic_lift.hdf5", "w") as new,
        ):
            for name in old:  # without attributes first: what is overwritten later stays in the file's bytes
                old.copy(name, new, without_attrs=True)
            new["data"].attrs.update(old["data"].attrs)
            for name, demo in old["data"].items():
                kept = {
                    key: value[:MODEL_CHARACTERS] if key == "model_file" else value for key, value in demo.attrs.items()
                }
                new[f"data/{name}"].attrs.update(kept)


def main() -> None:
    """Make the environments, run every check, print a table or JSON; a check that fails ends it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "regrasp_oracles")
    parser.add_argument("--robomimic", type=Path)
    parser.add_argument("--fixtures", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    here = sysconfig.get_path("purelib")
    checkout = [] if options.robomimic is None else [str(options.robomimic.resolve())]
    release = [] if checkout else [RELEASE]
    pythons = {
        "robomimic": environment(options.folder / "robomimic", NEEDS, release, [*checkout, here]),
        "zarr2": environment(options.folder / "zarr2", ["zarr<3", "numcodecs<0.16"]),
        "minari": environment(options.folder / "minari", ["minari[hdf5]", "pillow"]),
    }
    checks: dict[str, Callable[[Oracle, Path], list[dict[str, Any]]]] = {
        "robomimic": robomimic_rows,
        "zarr2": replay_rows,
        "minari": minari_rows,
    }
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        rows = [row for key, run in checks.items() for row in run(Oracle(pythons[key], HERE / f"in_{key}.py"), work)]
        if options.fixtures is not None:
            fixtures(work, options.fixtures)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        rest = ", ".join(f"{k} {v}" for k, v in row.items() if k not in ("format", "direction", "reader", "writer"))
        print(f"{row['format']:32} {row['direction']:4} {row.get('reader', row.get('writer', '')):50} {rest}")


if __name__ == "__main__":
    main()
