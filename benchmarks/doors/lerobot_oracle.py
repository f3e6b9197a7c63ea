"""lerobot's own `LeRobotDataset` opens what we export, and we read what lerobot's own code recorded.

    python benchmarks/doors/lerobot_oracle.py [--folder FOLDER] [--newer PYTHON] [--fixtures FOLDER] [--json]

An environment for each version of lerobot is made below FOLDER from package names, and kept for the next time: 0.4.4,
which writes v3.0, and 0.3.3, the last that reads and writes v2.1; both borrow torch from the environment that runs
this. 0.6.1 needs Python 3.12 (--newer PYTHON; python3.12 in the path where it runs; else left out) and its own torch.
--fixtures writes the small data sets in tests/data/lerobot anew.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT), str(ROOT / "tests")]

from helpers.lerobot_samples import flat_episode  # noqa: E402

from benchmarks.doors.oracle import Oracle, environment  # noqa: E402
from trajectories.formats.foreign import ArrayFrames, ForeignEpisode, SinkSettings  # noqa: E402
from trajectories.formats.registry import creator, open_source  # noqa: E402

SCRIPT = Path(__file__).parent / "in_lerobot.py"
COMMON = ("numpy<2.3", "einops", "packaging<26", "termcolor", "jsonlines", "deepdiff<9", "requests", "cmake<4.2")
LENGTHS = (40, 3, 17)


@dataclass(frozen=True)
class Version:
    """A version of lerobot.

    Attributes:
        name: Of the release.
        newer: Whether it needs the newer interpreter and a torch of its own; else those of what runs this are borrowed.
        format: What it records and opens.
        packages: Besides `COMMON`.
    """

    name: str
    newer: bool
    format: str
    packages: tuple[str, ...]


VERSIONS = (
    Version(
        "0.4.4", False, "lerobot_v3",
        ("datasets>=4,<5", "huggingface-hub<0.36", "draccus==0.10.0", "av>=15,<16", "pandas<3", "gymnasium<2"),
    ),
    Version(
        "0.3.3", False, "lerobot_v2",
        ("datasets<=3.6.0", "huggingface-hub<0.36", "draccus==0.10.0", "av>=14.2,<16", "pandas<3", "gymnasium<2"),
    ),
    Version(
        "0.6.1", True, "lerobot_v3",
        ("datasets>=4.8,<5", "huggingface-hub>=1.6,<2", "draccus>=0.11.6,<0.12", "av>=15,<16", "pandas<3",
         "gymnasium<2", "torch", "torchvision", "safetensors", "opencv-python-headless<4.14"),
    ),
)  # fmt: skip


def prepared(folder: Path, version: Version, newer: str) -> Oracle:
    """An environment with this version, made once."""
    return Oracle(
        environment(
            folder / f"lerobot-{version.name}",
            (*COMMON, *version.packages),
            ("accelerate<2", f"lerobot=={version.name}"),
            () if version.newer else (sysconfig.get_path("purelib"),),
            newer if version.newer else sys.executable,
        ),
        SCRIPT,
    )


def with_depth(episode: ForeignEpisode, rng: np.random.Generator) -> ForeignEpisode:
    """The episode with a depth camera of all values that 16 bits have."""
    depth = rng.integers(0, 2**16, (len(episode.columns["action"]), 24, 32), np.uint16)
    return replace(episode, images={**episode.images, "observation.images.front_depth": ArrayFrames(depth)})


def ours_by_them(oracle: Oracle, version: Version, folder: Path, lossless: bool) -> dict[str, Any]:
    """Export episodes, and let lerobot open them."""
    rng = np.random.default_rng(0)
    episodes = [with_depth(flat_episode(str(i), length, rng), rng) for i, length in enumerate(LENGTHS)]
    path = folder / f"ours-{version.name}-{lossless}"
    with creator(version.format)(path, SinkSettings(5.0, "wx250s", lossless)) as sink:
        for episode in episodes:
            sink.write(episode)
    arrays: dict[str, Any] = {}
    for i, episode in enumerate(episodes):
        arrays |= {f"{i}/{key}": array for key, array in arrays_of(episode).items()}
        arrays[f"{i}/task"] = np.array(episode.instructions[0])
    np.savez(folder / "expected.npz", **arrays)
    found = oracle("check", str(path), str(folder / "expected.npz"))
    images = (
        "image columns, bit-exact" if found["worst_psnr_db"] is None else f"AV1, {found['worst_psnr_db']} dB at worst"
    )
    depth = f"{found['depth_frames']} of depth, bit-exact"
    read_by = f"lerobot {found['version']}"
    return {**found, "data": f"ours, {version.format}", "read by": read_by, "frames": f"{images}; {depth}"}


def theirs_by_us(oracle: Oracle, version: Version, folder: Path, kind: str) -> dict[str, Any]:
    """Let lerobot record, and read it."""
    path = folder / f"theirs-{version.name}-{kind}"
    expected = folder / f"theirs-{version.name}-{kind}.npz"
    found = oracle("record", str(path), str(expected), kind)
    worst = compare(path, expected)
    images = "bit-exact" if worst == 0 else f"{worst} of 255 at most from lerobot's own decoding"
    return {**found, "data": f"lerobot {found['version']}, {kind}", "read by": "ours", "frames": images}


def arrays_of(episode: ForeignEpisode) -> dict[str, Any]:
    """Columns and decoded cameras by their keys."""
    return {**episode.columns, **{key: frames.read() for key, frames in episode.images.items()}}


def compare(path: Path, expected: Path) -> int:
    """Compare what we read with what lerobot read; the largest difference of a pixel.

    Raises:
        AssertionError: A column differs.
    """
    arrays, source, worst = np.load(expected), open_source(path), 0
    for i, name in enumerate(source.names()):
        for key, array in arrays_of(source.read(name)).items():
            if key == "observation.images.front":
                worst = max(worst, int(np.abs(array.astype(int) - arrays[f"{i}/front"].astype(int)).max()))
            elif f"{i}/{key}" in arrays.files:
                np.testing.assert_array_equal(array, arrays[f"{i}/{key}"], err_msg=key)
    return worst


def write_fixtures(oracles: dict[str, Oracle], target: Path) -> None:
    """Record the small data sets of the test suite; of decoded frames every fourth row and column is kept."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name, version, kind in (
        ("v3_videos", "0.4.4", "video"),
        ("v3_images", "0.4.4", "image"),
        ("v21_images", "0.3.3", "image"),
        ("v21_videos", "0.3.3", "video"),
    ):
        oracles[version]("record", str(target / name), str(target / f"{name}.npz"), kind)
        shutil.rmtree(target / name / "images", ignore_errors=True)
        arrays = dict(np.load(target / f"{name}.npz"))
        kept: dict[str, Any] = {k: array[:, ::4, ::4] if "/front" in k else array for k, array in arrays.items()}
        np.savez_compressed(target / f"{name}.npz", **kept)


def rows(folder: Path, oracles: dict[str, Oracle], versions: Sequence[Version]) -> list[dict[str, Any]]:
    """Everything that is compared."""
    found = []
    for version in versions:
        oracle = oracles[version.name]
        found += [ours_by_them(oracle, version, folder, lossless) for lossless in (True, False)]
        found += [theirs_by_us(oracle, version, folder, kind) for kind in ("video", "image")]
    return found


def runs(interpreter: str) -> bool:
    """Whether an interpreter is there and is no stand-in that only says which others there are."""
    found = shutil.which(interpreter)
    return found is not None and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0


def main() -> None:
    """Make the environments, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "regrasp-oracles")
    parser.add_argument("--newer", default="python3.12", metavar="PYTHON")
    parser.add_argument("--fixtures", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    versions = [version for version in VERSIONS if not version.newer or runs(options.newer)]
    oracles = {version.name: prepared(options.folder, version, options.newer) for version in versions}
    with tempfile.TemporaryDirectory() as made:
        found = rows(Path(made), oracles, versions)
    if options.fixtures is not None:
        write_fixtures(oracles, options.fixtures)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    for row in found:
        print(f"{row['data']:32} read by {row['read by']:16} {row['rows']:4} rows  {row['frames']}")


if __name__ == "__main__":
    main()
