"""Writing Minari's data sets through the minari library.

An episode's keys are those of `reader.py`: `observations` alone, or `observations/{key}` at any depth, with T + 1 rows,
images among them; `actions`, `rewards`, `terminations`, `truncations` with T rows; `infos/{key}`. Images of 32 x 32
and more become JPEG files, as Minari does by default, unless the settings ask for lossless ones. Instructions and
attributes, of which Minari knows nothing, are metadata of their episode.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trajectories.formats.foreign import ForeignEpisode, ForeignSink, FormatError, SinkSettings
from trajectories.formats.keys import SameKeys, steps_of
from trajectories.formats.staging import Staged

if TYPE_CHECKING:
    from gymnasium import spaces

_STEPS = ("actions", "rewards", "terminations", "truncations")
_SETS = ("author", "author_email")
"""Entries of the metadata of which Minari wants sets."""


class MinariSink(ForeignSink):
    """One data set. `minari.load_dataset(id)` finds it as `{id}` in the folder that MINARI_DATASETS_PATH names.

    Args:
        path: Of the data set's folder, named as its id, such as `pot-v0`.
        settings: `attributes` go into the metadata; `dataset_id` among them, else it is made of the folder's name.

    Raises:
        FormatError: Something is at `path`.
    """

    def __init__(self, path: Path, settings: SinkSettings) -> None:
        self._staged = Staged(path)
        self._settings = settings
        self._keys = SameKeys()
        self._storage: Any = None
        self._count, self._closed = 0, False

    def write(self, episode: ForeignEpisode) -> None:
        """See `ForeignSink.write`."""
        from minari.data_collector.episode_buffer import EpisodeBuffer

        steps = steps_of(episode)
        _check(episode, steps)
        self._keys.check(episode)
        everything: dict[str, NDArray[Any]] = {**episode.columns}
        everything |= {key: frames.read() for key, frames in episode.images.items()}
        tree = _tree(everything)
        buffer = EpisodeBuffer(
            observations=tree["observations"],
            actions=tree["actions"],
            rewards=list(tree["rewards"]),
            terminations=list(tree["terminations"]),
            truncations=list(tree["truncations"]),
            infos=tree.get("infos"),
        )
        try:
            if self._storage is None:
                self._storage = self._create(tree)
            self._storage.update_episodes([buffer])
            noted: dict[str, Any] = {"instructions": list(episode.instructions)} if episode.instructions else {}
            if episode.attributes:
                noted["attributes"] = json.dumps(dict(episode.attributes))
            if noted:
                self._storage.update_episode_metadata([noted], [self._count])
        except OSError as error:
            raise FormatError(f"{self._staged.final} can't be written: {error}. Make room on the disk.") from error
        self._count += 1

    def _create(self, tree: dict[str, Any]) -> Any:
        import minari
        from minari.dataset.minari_storage import MinariStorage

        self._staged.path.mkdir()
        storage = MinariStorage.new(
            self._staged.path / "data",
            observation_space=_space(tree["observations"]),
            action_space=_space(tree["actions"]),
            jpeg_encoding=not self._settings.lossless,
        )
        name = self._staged.final.name
        identity = {"dataset_id": name if re.fullmatch(r".+-v\d+", name) else f"{name}-v0"}
        robot = {} if self._settings.robot_type is None else {"robot_type": self._settings.robot_type}
        given = {**identity, **robot, "fps": self._settings.fps, **self._settings.attributes}
        sets = {key: {given[key]} if isinstance(given[key], str) else set(given[key]) for key in _SETS if key in given}
        storage.update_metadata({"minari_version": minari.__version__, **given, **sets})
        return storage

    def close(self) -> None:
        """See `ForeignSink.close`."""
        if self._closed:
            return
        if self._count == 0:
            self.abort()
            raise FormatError(f"No episode was written to {self._staged.final}; nothing is left there.")
        self._closed = True
        self._staged.commit()

    def abort(self) -> None:
        """See `ForeignSink.abort`."""
        self._staged.discard()


def _check(episode: ForeignEpisode, steps: int) -> None:
    rows = {key: len(column) for key, column in episode.columns.items()}
    rows |= {key: frames.shape[0] for key, frames in episode.images.items()}
    missing = [key for key in _STEPS if key not in episode.columns]
    if missing:
        raise FormatError(f"Episode {episode.name!r} lacks {', '.join(missing)}, which Minari needs.")
    roots = {key: key.split("/")[0] for key in rows}
    unknown = [key for key, root in roots.items() if root not in ("observations", "infos", *_STEPS)]
    if unknown or "observations" not in roots.values():
        raise FormatError(
            f"Episode {episode.name!r} has {', '.join(unknown) or 'no observations'}; Minari's keys are observations, "
            "observations/..., actions, rewards, terminations, truncations, infos/..."
        )
    wrong = {
        key: count
        for key, count in rows.items()
        if roots[key] != "infos" and count != steps + (roots[key] == "observations")
    }
    if wrong:
        raise FormatError(
            f"Episode {episode.name!r} has {steps} actions, but rows {wrong}; Minari has one observation more than "
            "actions, and as many of all else."
        )


def _tree(values: dict[str, NDArray[Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *folders, leaf = key.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
            if not isinstance(place, dict):
                raise FormatError(f"{key!r} lies inside {folder!r}, which is a column itself; rename one of them.")
        place[leaf] = value
    return tree


def _space(values: Any) -> spaces.Space[Any]:
    """The space of one row: boxes of everything that the dtype can hold, in dictionaries."""
    from gymnasium import spaces

    if isinstance(values, dict):
        return spaces.Dict({key: _space(value) for key, value in values.items()})
    shape, dtype = values.shape[1:], values.dtype
    if dtype.kind == "b":
        return spaces.MultiBinary(shape) if shape else spaces.Discrete(2)
    if dtype.kind == "f":
        return spaces.Box(-np.inf, np.inf, shape, dtype.type)
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        return spaces.Box(bounds.min, bounds.max, shape, dtype.type)
    raise FormatError(f"Minari's spaces don't hold a column of {dtype}; expected numbers.")
