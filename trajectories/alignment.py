"""Episodes of one robot as another robot would have recorded them: cameras by role, proprioception by name.

What the other robot didn't measure is missing, and stays known as missing: an entry of the proprioception is NaN, a
camera has no images. `policies.perception.gaps` says what a policy makes of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from trajectories.errors import ConfigError, SpecMismatchError
from trajectories.frames import fit_frames
from trajectories.manifest import EpisodeInfo
from trajectories.s3.path import StorePath
from trajectories.store import TrajectoryStore
from trajectories.types import Episode, Float32, RobotSpec

Roles = Mapping[str, str | None]
"""Camera of the target -> camera of the other robot that has its role; None where none of them has."""


class EpisodeSource(Protocol):
    """Recorded episodes of one robot: a `TrajectoryStore`, or an `AlignedStore` in front of one."""

    @property
    def path(self) -> StorePath:
        """Folder of the store, or its address in a bucket."""

    @property
    def spec(self) -> RobotSpec:
        """The robot that `read` gives episodes of."""

    def ids(self) -> list[str]:
        """Ids of all good episodes in order of creation."""

    def infos(self) -> list[EpisodeInfo]:
        """The infos of all good episodes in order of creation."""

    def read(self, id: str) -> Episode:
        """A whole episode.

        Raises:
            CorruptEpisodeError: When a byte is not as written.
            StoreError: When there is no such episode.
        """

    def __len__(self) -> int:
        """Number of good episodes."""


@dataclass(frozen=True)
class Missing:
    """What a robot didn't measure of what the target measures.

    Attributes:
        proprio: Entries of the proprioception, in the target's order.
        cameras: The target's cameras, in its order.
    """

    proprio: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join([*self.proprio, *(f"camera {name}" for name in self.cameras)])


@dataclass(frozen=True)
class Alignment:
    """How episodes of one robot become those of another.

    Attributes:
        spec: The target robot.
        missing: What its episodes lack then.
        cameras: The target's camera -> the other robot's that takes its place, for those that aren't missing.
        columns: The target's entry of the proprioception -> its column in the other robot's, likewise.
    """

    spec: RobotSpec
    missing: Missing
    cameras: Mapping[str, str]
    columns: Mapping[str, int]

    @classmethod
    def of(cls, other: RobotSpec, target: RobotSpec, roles: Roles, what: str) -> Alignment:
        """The way from `other` to `target`.

        Args:
            other: The robot that recorded.
            target: The robot that learns.
            roles: Cameras whose role their name doesn't say.
            what: Whose robot `other` is, for messages.

        Raises:
            SpecMismatchError: An action means something else there: other rate of control, other scale.
            ConfigError: A role names a camera that one of the robots doesn't have.
        """
        _require_same_actions(other, target, what)
        unknown = [name for name in roles if name not in target.cameras]
        unknown += [name for name in roles.values() if name is not None and name not in other.cameras]
        if unknown:
            raise ConfigError(
                f"The roles of cameras of {what} name {', '.join(unknown)}; the target has "
                f"{', '.join(target.cameras)} and that robot {', '.join(other.cameras) or 'none'}. Give TARGET:OTHER, "
                "both by these names, or TARGET:null."
            )
        cameras: dict[str, str] = {}
        for name in target.cameras:
            there = roles.get(name, name)
            if there is not None and there in other.cameras:
                cameras[name] = there
        columns = {name: other.proprio.index(name) for name in target.proprio if name in other.proprio}
        missing = Missing(
            tuple(name for name in target.proprio if name not in columns),
            tuple(name for name in target.cameras if name not in cameras),
        )
        return cls(target, missing, cameras, columns)

    def apply(self, episode: Episode) -> Episode:
        """The episode with the target's cameras, sizes and proprioception; labels and actions stay, depth goes.

        Missing entries of the proprioception are NaN, missing cameras have no images.
        """
        images = {
            name: fit_frames(episode.images[there], self.spec.cameras[name]) for name, there in self.cameras.items()
        }
        return replace(episode, images=images, proprio=self._proprio(episode.proprio), depth={})

    def _proprio(self, recorded: Float32) -> Float32:
        proprio = np.full((len(recorded), len(self.spec.proprio)), np.nan, np.float32)
        for column, name in enumerate(self.spec.proprio):
            if name in self.columns:
                proprio[:, column] = recorded[:, self.columns[name]]
        return proprio


@dataclass(frozen=True)
class AlignedStore:
    """A store whose episodes are read as the target robot would have recorded them.

    Attributes:
        store: Of another robot.
        alignment: The way to the target.
    """

    store: TrajectoryStore
    alignment: Alignment = field(repr=False)

    @property
    def path(self) -> StorePath:
        """Folder of the store, or its address in a bucket."""
        return self.store.path

    @property
    def spec(self) -> RobotSpec:
        """The target robot."""
        return self.alignment.spec

    @property
    def missing(self) -> Missing:
        """What the store's episodes lack."""
        return self.alignment.missing

    def ids(self) -> list[str]:
        """See `TrajectoryStore.ids`."""
        return self.store.ids()

    def infos(self) -> list[EpisodeInfo]:
        """See `TrajectoryStore.infos`."""
        return self.store.infos()

    def read(self, id: str) -> Episode:
        """An episode as the target robot would have recorded it; errors as `TrajectoryStore.read`."""
        return self.alignment.apply(self.store.read(id))

    def __len__(self) -> int:
        """Number of good episodes."""
        return len(self.store)


def aligned(store: TrajectoryStore, target: RobotSpec, roles: Roles) -> EpisodeSource:
    """The store as it is where its robot is the target's, else behind an `AlignedStore`.

    Raises:
        SpecMismatchError, ConfigError: See `Alignment.of`.
    """
    renamed = any(name != there for name, there in roles.items())
    if store.spec == target and not renamed:
        return store
    return AlignedStore(store, Alignment.of(store.spec, target, roles, f"the trajectory store {store.path}"))


def missing_of(source: EpisodeSource) -> Missing:
    """What the source's episodes lack of what its robot measures."""
    return source.missing if isinstance(source, AlignedStore) else Missing()


def require_ids_of_their_own(sources: Sequence[EpisodeSource]) -> None:
    """Refuse an episode that is in two stores: it would count twice, and be held out of one and learned in the other.

    Raises:
        ConfigError: Names it and both stores.
    """
    places: dict[str, EpisodeSource] = {}
    for source in sources:
        for name in source.ids():
            if name in places:
                raise ConfigError(
                    f"Episode {name} is in {places[name].path} and in {source.path}; expected stores that have no "
                    "episode in common. Leave one of the two out of `data`."
                )
            places[name] = source


def _require_same_actions(other: RobotSpec, target: RobotSpec, what: str) -> None:
    """Refuse actions that mean something else: nothing recorded says what the robot would have done otherwise."""
    if other.control_hz != target.control_hz:
        raise SpecMismatchError(
            f"{what[0].upper()}{what[1:]} has {other.control_hz:g} control steps a second, the target "
            f"{target.control_hz:g}: an action, a discount and a time limit mean something else in each. Import the "
            "data again from where they come from: `regrasp import` resamples them to the target's rate."
        )
    if other.action_scale != target.action_scale:
        raise SpecMismatchError(
            f"In {what} an action of 1 means {list(other.action_scale)}, for the target {list(target.action_scale)}. "
            "Import the data again from where they come from: `regrasp import` writes actions in the target's units."
        )
