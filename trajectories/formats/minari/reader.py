"""Reading Minari's data sets without loading more than is asked for.

Columns are the datasets of an episode under their own names: `observations` or `observations/{key}` with T + 1 rows,
`actions`, `rewards`, `terminations`, `truncations` with T, `infos/{key}`. Images, whether Minari stored them as JPEG
or as arrays, are in `images`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trajectories.formats.foreign import DamagedEpisodeError, Description, ForeignEpisode, FormatError, FrameSource
from trajectories.formats.hdf5_frames import DatasetFrames, datasets, is_image, opened, readable, row_shape, undamaged
from trajectories.formats.images import EncodedFrames, size_of
from trajectories.formats.keys import first_keys
from trajectories.formats.plain import from_json, plain, plain_mapping

if TYPE_CHECKING:
    import h5py

METADATA, FILE = "metadata.json", "main_data.hdf5"
_STEPS = ("actions", "rewards", "terminations", "truncations")


def is_minari_folder(path: Path) -> bool:
    """Whether this is the folder of a data set, or the `data` folder in it."""
    return (path / METADATA).is_file() or (path / "data" / METADATA).is_file()


class MinariSource:
    """Episodes of one data set; an episode's name is its group's, `episode_{i}`.

    Args:
        path: The data set's folder, or the `data` folder in it.

    Raises:
        FormatError: It is none, or is stored otherwise than in HDF5.
    """

    def __init__(self, path: Path) -> None:
        folder = path if (path / METADATA).is_file() else path / "data"
        self._path = folder / FILE
        try:
            found = json.loads((folder / METADATA).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FormatError(f"{folder / METADATA} can't be read: {error}.") from error
        self._metadata: dict[str, Any] = found if isinstance(found, dict) else {}
        stored = self._metadata.get("data_format", "hdf5")
        if stored != "hdf5":
            raise FormatError(f"{path} is stored as {stored!r}; only Minari's HDF5 storage is read here.")
        with readable(self._path) as file:
            names = [name for name in file if name.startswith("episode_") and name[8:].isdigit()]
        self._names = sorted(names, key=lambda name: int(name[8:]))
        if not self._names:
            raise FormatError(f"{self._path} has no episodes; expected episode_0, episode_1, ...")

    def names(self) -> Sequence[str]:
        """See `ForeignSource.names`."""
        return self._names

    def describe(self) -> Description:
        """See `ForeignSource.describe`; attributes are those of the metadata, spaces apart."""
        keys = first_keys(self)
        spaces = ("observation_space", "action_space")
        attributes = plain_mapping({key: value for key, value in self._metadata.items() if key not in spaces})
        version, robot = str(self._metadata.get("minari_version", "")), self._metadata.get("robot_type")
        return Description(
            "minari", version, robot if isinstance(robot, str) else None, self._rate, len(self._names), keys, attributes
        )

    def read(self, name: str) -> ForeignEpisode:
        """See `ForeignSource.read`."""
        if name not in self._names:
            raise FormatError(f"{self._path} has no episode {name!r}; it has {', '.join(self._names[:3])}, ...")
        where = f"{self._path}, {name}"
        with opened(self._path) as file, undamaged(where):
            group = file[name]
            found = datasets(group)
            steps = _steps(found, where)
            columns: dict[str, NDArray[Any]] = {}
            images: dict[str, FrameSource] = {}
            for key, dataset in found.items():
                if key.startswith("infos/") and len(dataset) not in (steps, steps + 1):
                    continue
                if self._metadata.get("jpeg_encoding", True) and _holds_jpegs(dataset):
                    images[key] = self._jpegs(dataset)
                elif is_image(dataset):
                    shape = (len(dataset), *row_shape(dataset))
                    images[key] = DatasetFrames(self._path, dataset.name, shape, dataset.dtype)
                elif (column := _column(dataset)) is not None:
                    columns[key] = column
            attributes = {key: plain(value) for key, value in group.attrs.items()}
        words = attributes.pop("instructions", [])
        said = tuple(map(str, words)) if isinstance(words, list) else ()
        noted = plain_mapping(from_json(attributes.pop("attributes", None)))  # our writer's
        kept = {key: value for key, value in attributes.items() if value is not None} | noted
        return ForeignEpisode(name, self._rate, columns, images, said, kept)

    def _jpegs(self, dataset: h5py.Dataset) -> EncodedFrames:
        path, name = self._path, dataset.name

        def load(indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
            with opened(path) as file, undamaged(f"{path}, {name}"):
                stored = file[name]
                for index in indices:
                    yield stored[index]

        size = size_of(dataset[0].tobytes())
        return EncodedFrames(load, len(dataset), size, lambda index: f"{path}, {name}, row {index}")

    @property
    def _rate(self) -> float | None:
        rate = self._metadata.get("fps")
        return float(rate) if isinstance(rate, int | float) and rate > 0 else None


def _steps(found: Mapping[str, h5py.Dataset], where: str) -> int:
    rows = {key: len(dataset) for key, dataset in found.items() if not key.startswith("infos/")}
    missing = [key for key in _STEPS if key not in rows and not any(k.startswith(f"{key}/") for k in rows)]
    if missing:
        raise DamagedEpisodeError(f"{where} lacks {', '.join(missing)}.")
    steps = rows["rewards"]
    seen = {key: count for key, count in rows.items() if key.split("/")[0] == "observations"}
    wrong = {key: count for key, count in rows.items() if count != steps + (key in seen)}
    if wrong or not seen or steps == 0:
        raise DamagedEpisodeError(
            f"{where} has {steps} rewards, but rows {wrong or seen}; expected one observation more than rewards, and "
            "as many of all else."
        )
    return steps


def _holds_jpegs(dataset: h5py.Dataset) -> bool:
    import h5py

    varying = h5py.check_vlen_dtype(dataset.dtype)
    if varying != np.uint8 and not (dataset.dtype == np.uint8 and dataset.ndim == 2):
        return False
    return dataset[0][:3].tobytes() == b"\xff\xd8\xff"


def _column(dataset: h5py.Dataset) -> NDArray[Any] | None:
    import h5py

    if h5py.check_string_dtype(dataset.dtype) is not None:
        return np.array(dataset.asstr()[()].tolist(), np.str_)
    return dataset[()] if dataset.dtype.kind in "biuf" else None
