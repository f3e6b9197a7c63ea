"""Reading BridgeData V2's raw folders.

Columns are the keys of `obs_dict.pkl` under their own names (`full_state`, `qpos`, `time_stamp`, ...), T + 1 rows,
`actions` of `policy_out.pkl`, T rows, and its other entries as `policy_out/{key}`; `rewards` of `reward_data.pkl`.
Images are `images{i}` and `depth_images{i}`, T + 1 frames each.

In runs dated before 2021-07-23 the cameras were one step late. As the published loaders do, the first observation and
the last action of such a trajectory are dropped here, so that rows belong together; the attribute
`shifted_by_one_step` says that it was done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trajectories.formats.bridge.folders import date_of, is_late, run_of, task_of, trajectories
from trajectories.formats.bridge.plain_pickle import PickleError, loads
from trajectories.formats.foreign import DamagedEpisodeError, Description, ForeignEpisode, FormatError
from trajectories.formats.images import EncodedFrames, size_of
from trajectories.formats.keys import first_keys
from trajectories.formats.plain import from_json, plain, plain_mapping

_CAMERA = re.compile(r"(depth_)?images\d+")
_FRAME = re.compile(r"im_(\d+)\.(jpg|png)")
_CONFIDENCE = re.compile(r"confidence\D*(\d+(?:\.\d+)?)")


def is_bridge(path: Path) -> bool:
    """Whether somewhere in this folder is a `traj_group{G}/traj{N}` with an `obs_dict.pkl`."""
    first = next(trajectories(path.resolve(), 8), None)
    return first is not None and (first / "obs_dict.pkl").is_file()


class BridgeSource:
    """Trajectories below one folder; an episode's name is its path from there.

    Args:
        path: Any folder above `traj_group{G}/traj{N}`, or one trajectory.

    Raises:
        FormatError: There is no trajectory in it.
    """

    def __init__(self, path: Path) -> None:
        self._root = path.resolve()
        self._folders = {self._name(folder): folder for folder in trajectories(self._root)}
        if not self._folders:
            raise FormatError(f"{path} holds no traj_group*/traj*; expected a folder of BridgeData's raw layout.")

    def _name(self, folder: Path) -> str:
        return folder.relative_to(self._root).as_posix() if folder != self._root else folder.name

    def names(self) -> Sequence[str]:
        """See `ForeignSource.names`."""
        return list(self._folders)

    def read(self, name: str) -> ForeignEpisode:
        """See `ForeignSource.read`."""
        if name not in self._folders:
            raise FormatError(
                f"{self._root} has no trajectory {name!r}; it has {', '.join(list(self._folders)[:3])}, ..."
            )
        return _Trajectory(self._folders[name]).episode(name)

    def describe(self) -> Description:
        """See `ForeignSource.describe`; the keys are those of the first trajectory that can be read."""
        keys = first_keys(self)
        first = next(iter(self._folders.values()))
        metadata = plain_mapping(from_json(_text(run_of(first) / "collection_metadata.json")))
        robot = metadata.get("robot")
        attributes = {
            "tasks": sorted({task for folder in self._folders.values() if (task := task_of(folder)) is not None}),
            "trajectories_shifted_by_one_step": sum(is_late(folder) for folder in self._folders.values()),
            "collection_metadata": metadata,
        }
        robot = robot if isinstance(robot, str) else None
        return Description("bridge", "", robot, _rate(run_of(first)), len(self._folders), keys, attributes)


class _Trajectory:
    """One folder `traj{N}`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._first = int(is_late(folder))  # observation that counts as the first

    def episode(self, name: str) -> ForeignEpisode:
        folder, run = self._folder, run_of(self._folder)
        images = {camera: self._frames(camera) for camera in self._cameras}
        steps = self._steps()
        observed = self._observed(len(steps["actions"]) + 1)
        for camera, frames in images.items():
            if frames.count != len(steps["actions"]) + 1:
                raise DamagedEpisodeError(
                    f"{folder / camera} has {frames.count} frames to {len(steps['actions'])} actions; expected one "
                    "more than actions."
                )
        date = date_of(folder)
        attributes = {
            "shifted_by_one_step": bool(self._first),
            "date": None if date is None else date.isoformat(),
            "task": task_of(folder),
            "collection_metadata": plain_mapping(from_json(_text(run / "collection_metadata.json"))),
            "policy_type": self._policy_type,
            **self._confidence(),
        }
        noted = self._agent_data()
        columns = {**observed, **steps, **self._rewards(len(steps["actions"]))}
        kept = noted | {key: value for key, value in attributes.items() if value not in (None, {}, [])}
        return ForeignEpisode(name, _rate(run), columns, images, self._instructions(), kept)

    @cached_property
    def _cameras(self) -> list[str]:
        names = [entry.name for entry in self._folder.iterdir() if _CAMERA.fullmatch(entry.name)]
        return sorted(names, key=lambda name: (name.startswith("depth"), int(name.split("images")[1])))

    def _frames(self, camera: str) -> EncodedFrames:
        folder, depth = self._folder / camera, camera.startswith("depth")
        found = (match for match in map(_FRAME.fullmatch, (p.name for p in folder.iterdir())) if match)
        ending = "png" if depth else "jpg"
        numbers = {int(match[1]) for match in found if match[2] == ending}
        missing = set(range(len(numbers))) - numbers
        if missing or not numbers:
            raise DamagedEpisodeError(f"{folder} lacks im_{min(missing, default=0)}.{ending}; expected im_0 to im_T.")

        first = self._first

        def path(index: int) -> Path:
            return folder / f"im_{first + index}.{ending}"

        def load(indices: Sequence[int]) -> Iterator[bytes]:
            return (path(index).read_bytes() for index in indices)

        try:
            size = size_of(path(0).read_bytes())
        except (OSError, ValueError) as error:
            raise DamagedEpisodeError(f"{path(0)} can't be read: {error}.") from error
        return EncodedFrames(load, len(numbers) - first, size, lambda index: str(path(index)), depth)

    def _load(self, name: str) -> Any:
        path = self._folder / name
        try:
            return loads(path.read_bytes())
        except FileNotFoundError as error:
            raise DamagedEpisodeError(f"{path} is missing.") from error
        except (OSError, PickleError) as error:
            raise DamagedEpisodeError(f"{path} can't be read: {error}.") from error

    def _observed(self, rows: int) -> dict[str, NDArray[Any]]:
        """Columns of `rows` rows; what has another number of them, such as where the arm was reset to, is left out."""
        data, path = self._load("obs_dict.pkl"), self._folder / "obs_dict.pkl"
        if not isinstance(data, dict):
            raise DamagedEpisodeError(f"{path} holds a {type(data).__name__}; expected a dict.")
        columns = {str(key): column for key, value in data.items() if (column := _column(value)) is not None}
        columns = {key: column[self._first :] for key, column in columns.items()}
        for key in ("full_state", "state"):
            if key in columns and len(columns[key]) != rows:
                raise DamagedEpisodeError(
                    f"{path} has {len(columns[key])} rows of {key} to {rows - 1} actions; expected one more."
                )
        return {key: column for key, column in columns.items() if len(column) == rows}

    @cached_property
    def _outputs(self) -> list[Any]:
        data, path = self._load("policy_out.pkl"), self._folder / "policy_out.pkl"
        if not isinstance(data, list) or not data:
            raise DamagedEpisodeError(f"{path} holds a {type(data).__name__} of nothing; expected a list of steps.")
        entries = [entry if isinstance(entry, dict) else {"actions": entry} for entry in data]
        if any("actions" not in entry for entry in entries):
            raise DamagedEpisodeError(f"{path} has a step without 'actions'.")
        return entries[: len(entries) - self._first]

    def _steps(self) -> dict[str, NDArray[Any]]:
        entries = self._outputs
        if not entries:
            raise DamagedEpisodeError(f"{self._folder} has no action left once the late first observation is dropped.")
        shared = [key for key in entries[0] if all(key in entry for entry in entries)]
        found = {key: _column([entry[key] for entry in entries]) for key in shared}
        if found.get("actions") is None:
            raise DamagedEpisodeError(
                f"{self._folder / 'policy_out.pkl'} has actions of different sizes, or no numbers."
            )
        return {k if k == "actions" else f"policy_out/{k}": column for k, column in found.items() if column is not None}

    @property
    def _policy_type(self) -> Any:
        return plain(self._outputs[0].get("policy_type"))

    def _rewards(self, steps: int) -> dict[str, NDArray[Any]]:
        if not (self._folder / "reward_data.pkl").exists():
            return {}
        rewards = _column(self._load("reward_data.pkl"))
        if rewards is None or len(rewards) != steps + self._first:
            raise DamagedEpisodeError(
                f"{self._folder / 'reward_data.pkl'} has no {steps} rewards, one for each action."
            )
        return {"rewards": rewards[:steps]}

    def _agent_data(self) -> dict[str, Any]:
        """What the recorder noted; no loader needs it, so that a file that is refused costs nothing but itself."""
        if not (self._folder / "agent_data.pkl").exists():
            return {}
        try:
            noted = plain_mapping(self._load("agent_data.pkl"))
            others = noted.pop("attributes", {})  # our writer's
            return {**(others if isinstance(others, dict) else {}), "agent_data": noted}
        except DamagedEpisodeError as error:
            return {"agent_data_refused": str(error)}

    def _lines(self) -> list[str]:
        return [line.strip() for line in _text(self._folder / "lang.txt").splitlines() if line.strip()]

    def _instructions(self) -> tuple[str, ...]:
        return tuple(line for line in self._lines() if "confidence" not in line)

    def _confidence(self) -> dict[str, float]:
        matches = [match for line in self._lines() if (match := _CONFIDENCE.search(line))]
        return {"confidence": float(matches[0][1])} if matches else {}


def _column(value: Any) -> NDArray[Any] | None:
    """Rows of numbers; None for anything else."""
    try:
        column = np.asarray(value)
    except ValueError:  # rows of different sizes
        return None
    return column if column.ndim > 0 and column.dtype.kind in "biuf" else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _rate(run: Path) -> float | None:
    """Steps per second by the run's `config.json`, whose `move_duration` is the time of one."""
    duration = _find(from_json(_text(run / "config.json")), "move_duration")
    return 1 / duration if isinstance(duration, float | int) and duration > 0 else None


def _find(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        if key in value:
            return value[key]
        value = list(value.values())
    found = (_find(item, key) for item in value) if isinstance(value, list) else ()
    return next((item for item in found if item is not None), None)
