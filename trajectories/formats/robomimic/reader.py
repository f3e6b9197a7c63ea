"""Reading robomimic's HDF5 files.

Columns are the datasets of a demonstration under their own names: `actions`, `states`, `rewards`, `dones`,
`actions_abs`, `obs/{key}`, `next_obs/{key}`, `action_dict/{key}`; images (uint8 of three channels, or uint16 of one)
are in `images` under theirs. Where `next_obs/{key}` is `obs/{key}` one step later, as robomimic's own script writes
them, both become one `obs/{key}` of T + 1 rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trajectories.formats.foreign import DamagedEpisodeError, Description, ForeignEpisode, FormatError, FrameSource
from trajectories.formats.hdf5_frames import DatasetFrames, datasets, is_image, opened, readable, row_shape, undamaged
from trajectories.formats.keys import first_keys
from trajectories.formats.plain import from_json, plain, plain_mapping

if TYPE_CHECKING:
    import h5py

HDF5_HEAD = b"\x89HDF\r\n\x1a\n"
_LATER = "next_obs/"


def is_robomimic(path: Path) -> bool:
    """Whether this is an HDF5 file with demonstrations `data/demo_{i}`."""
    try:
        with path.open("rb") as file:
            if file.read(len(HDF5_HEAD)) != HDF5_HEAD:
                return False
        with readable(path) as content:
            return "data" in content and any(key.startswith("demo_") for key in content["data"])
    except (OSError, FormatError):
        return False


class RobomimicSource:
    """Demonstrations of one file; an episode's name is its group's, `demo_{i}`.

    Args:
        path: Of the file.

    Raises:
        FormatError: It can't be opened, or has no demonstrations.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with readable(path) as file:
            if "data" not in file:
                raise FormatError(f"{path} has no group 'data'; expected robomimic's, with demo_0, demo_1, ... in it.")
            demos = [name for name in file["data"] if name.startswith("demo_") and name[5:].isdigit()]
            self._names = sorted(demos, key=lambda name: int(name[5:]))
            self._environment = plain_mapping(from_json(file["data"].attrs.get("env_args")))
            self._masks = _masks(file)
        if not self._names:
            raise FormatError(f"{path} has no demonstrations; expected data/demo_0, data/demo_1, ...")

    def names(self) -> Sequence[str]:
        """See `ForeignSource.names`."""
        return self._names

    def describe(self) -> Description:
        """See `ForeignSource.describe`; attributes are `env_args` and `masks` (name -> demonstrations)."""
        keys = first_keys(self)
        robots = self._settings.get("robots")
        robot = ", ".join(map(str, robots)) if isinstance(robots, list) else robots
        attributes = {"env_args": self._environment, "masks": self._masks}
        return Description(
            "robomimic", "", robot if isinstance(robot, str) else None, self._rate, len(self._names), keys, attributes
        )

    def read(self, name: str) -> ForeignEpisode:
        """See `ForeignSource.read`; attributes are the group's own and the names of the masks it is in."""
        if name not in self._names:
            raise FormatError(f"{self._path} has no demonstration {name!r}; it has {', '.join(self._names[:3])}, ...")
        where = f"{self._path}, data/{name}"
        with opened(self._path) as file, undamaged(where):
            group = file["data"][name]
            attributes = {key: plain(value) for key, value in group.attrs.items()}
            steps = len(group["actions"])
            if attributes.get("num_samples", steps) != steps or steps == 0:
                raise DamagedEpisodeError(
                    f"{where} has {steps} actions and num_samples {attributes.get('num_samples')}; expected as many."
                )
            columns, images = self._content(group, steps, where)
        meta = plain_mapping(from_json(attributes.get("ep_meta")))
        instruction = meta.get("lang", self._settings.get("env_lang"))
        masks = [mask for mask, demos in self._masks.items() if name in demos]
        kept = {k: value for k, value in attributes.items() if value is not None} | ({"masks": masks} if masks else {})
        said = (instruction,) if isinstance(instruction, str) and instruction else ()
        return ForeignEpisode(name, self._rate, columns, images, said, kept)

    def _content(
        self, group: h5py.Group, steps: int, where: str
    ) -> tuple[dict[str, NDArray[Any]], dict[str, FrameSource]]:
        found = datasets(group)
        wrong = {key: len(d) for key, d in found.items() if len(d) != steps}
        if wrong:
            raise DamagedEpisodeError(f"{where} has {steps} actions, but rows {wrong}; expected as many.")
        images = {key: dataset for key, dataset in found.items() if is_image(dataset)}
        columns = {k: d[()] for k, d in found.items() if k not in images and d.dtype.kind in "biuf"}
        together = all(
            np.array_equal(columns[key][1:], columns[_LATER + key[4:]][:-1], equal_nan=True)
            for key in columns
            if key.startswith("obs/") and _LATER + key[4:] in columns
        )
        joined = [k for k in found if together and k.startswith("obs/") and _LATER + k[4:] in found]
        for key in joined:
            if key in columns:
                columns[key] = np.concatenate([columns[key], columns.pop(_LATER + key[4:])[-1:]])
        frames: dict[str, FrameSource] = {}
        for key, dataset in images.items():
            if key.startswith(_LATER) and f"obs/{key[len(_LATER) :]}" in joined:
                continue
            after = f"{group.name}/{_LATER}{key[4:]}" if key in joined else None
            shape = (steps + (after is not None), *row_shape(dataset))
            frames[key] = DatasetFrames(self._path, dataset.name, shape, dataset.dtype, after)
        return columns, frames

    @property
    def _settings(self) -> Mapping[str, Any]:
        settings = self._environment.get("env_kwargs")
        return settings if isinstance(settings, dict) else {}

    @property
    def _rate(self) -> float | None:
        rate = self._settings.get("control_freq")
        return float(rate) if isinstance(rate, int | float) and rate > 0 else None


def _masks(file: h5py.File) -> dict[str, list[str]]:
    """Names of subsets -> demonstrations in them; nested groups of them are joined by "/"."""
    group = file.get("mask")
    found = {} if group is None else datasets(group)
    return {key: [_name(entry) for entry in dataset[()].tolist()] for key, dataset in found.items()}


def _name(entry: Any) -> str:
    return entry.decode("utf-8", "replace") if isinstance(entry, bytes) else str(entry)
