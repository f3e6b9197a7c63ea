"""The formats there are, and which of them a file or folder is in.

A package outside adds one by the entry point group `regrasp.formats`, an object of `foreign.Format`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from trajectories.formats.bridge.reader import BridgeSource, is_bridge
from trajectories.formats.bridge.writer import BridgeSink
from trajectories.formats.diffusion_policy.reader import ReplayBufferSource, is_replay_buffer
from trajectories.formats.diffusion_policy.writer import ReplayBufferSink
from trajectories.formats.foreign import ForeignSink, ForeignSource, Format, FormatError, SinkSettings
from trajectories.formats.lerobot.reader import LeRobotSource, is_lerobot_v2, is_lerobot_v3
from trajectories.formats.lerobot.writer import create_v2, create_v3
from trajectories.formats.minari.reader import MinariSource, is_minari_folder
from trajectories.formats.minari.writer import MinariSink
from trajectories.formats.robomimic.reader import RobomimicSource, is_robomimic
from trajectories.formats.robomimic.writer import RobomimicSink
from trajectories.registry import Registry

FORMATS: Registry[Format] = Registry(
    "regrasp.formats",
    "format",
    {
        "lerobot_v3": Format(
            "a folder with meta/info.json of codebase_version v3.0", is_lerobot_v3, LeRobotSource, create_v3
        ),
        "lerobot_v2": Format("a folder with meta/info.json of v2.1 or v2.0", is_lerobot_v2, LeRobotSource, create_v2),
        "bridge": Format(
            "a folder above traj_group0/traj0 with obs_dict.pkl in it", is_bridge, BridgeSource, BridgeSink
        ),
        "robomimic": Format("an HDF5 file with data/demo_0 in it", is_robomimic, RobomimicSource, RobomimicSink),
        "diffusion_policy": Format(
            "a folder .zarr or a file .zarr.zip with data and meta/episode_ends in it",
            is_replay_buffer,
            ReplayBufferSource,
            ReplayBufferSink,
        ),
        "minari": Format("a folder with data/metadata.json", is_minari_folder, MinariSource, MinariSink),
    },
)


def recognise(path: Path, formats: Mapping[str, Format] = FORMATS) -> str:
    """The name of the format that a file or folder is in.

    Raises:
        FormatError: There is nothing at `path`, or it is in none or in several of the formats.
    """
    if not path.exists():
        raise FormatError(f"There is nothing at {path}. Give the path of a file or folder with episodes.")
    readable = {name: formats[name] for name in formats if formats[name].open is not None}
    found = [name for name, entry in readable.items() if entry.detect(path)]
    if len(found) == 1:
        return found[0]
    expected = "\n".join(f"  {name}: {entry.files}" for name, entry in sorted(readable.items()))
    if not found:
        raise FormatError(f"{path} is in none of the formats that are read. They are\n{expected}")
    raise FormatError(
        f"{path} looks like {' and like '.join(found)}. Say which it is by its name (format=...). They are\n{expected}"
    )


def open_source(path: str | Path, format: str | None = None) -> ForeignSource:
    """Open episodes of other projects.

    Args:
        path: A file or folder.
        format: Its name in `FORMATS`; None recognises it by its files.

    Raises:
        FormatError: It is in no format that is read, or damaged as a whole.
        ConfigError: There is no format of this name.
    """
    path = Path(path)
    name = recognise(path) if format is None else format
    opener = FORMATS[name].open
    if opener is None:
        raise FormatError(f"The format {name!r} is only written here, not read.")
    return opener(path)


def creator(format: str) -> Callable[[Path, SinkSettings], ForeignSink]:
    """What begins a data set of this format.

    Raises:
        FormatError: The format is only read here.
        ConfigError: There is no format of this name.
    """
    create = FORMATS[format].create
    if create is None:
        written = ", ".join(sorted(name for name in FORMATS if FORMATS[name].create is not None))
        raise FormatError(f"The format {format!r} is only read here, not written. Written are {written}.")
    return create
