"""The stores that a run learns from: its own, or those that the key `data` names, aligned to its robot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from factory.data import open_data, require_recorded_by
from factory.run_folders import data_folder
from factory.spec import spec_of
from factory.store_place import store_at
from trajectories.alignment import EpisodeSource, Roles, aligned, missing_of, require_ids_of_their_own
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError, ConfigError
from trajectories.s3.path import StorePath
from trajectories.store import TrajectoryStore
from trajectories.types import RobotSpec

SOURCES_FILE = "data.json"
"""In a pre-trained policy's folder: the stores that `data` named; without it, it was the run's own."""
_EXAMPLE = "data=[runs/mine/data,imported/bridge]"


@dataclass(frozen=True)
class NamedStores:
    """What the keys `data` and `data_roles` say.

    Attributes:
        paths: Folders of stores or their addresses, the target robot's own first where it has one.
        roles: Of each store's cameras.
    """

    paths: tuple[StorePath, ...]
    roles: tuple[Roles, ...]

    @classmethod
    def of(cls, config: DictConfig) -> NamedStores | None:
        """Those of the settings; None where `data` names none.

        Raises:
            ConfigError: They are no list of folders, or there are more roles than stores.
        """
        named, roles = _plain(config.get("data")), _plain(config.get("data_roles"))
        if named is None:
            if roles is not None or _plain(config.get("data_shares")) is not None:
                raise ConfigError(f"data_roles and data_shares belong to the stores of data, e.g. {_EXAMPLE}.")
            return None
        paths = [named] if isinstance(named, str) else named
        if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
            raise ConfigError(f"data={named!r} is no list of folders of trajectory stores; expected e.g. {_EXAMPLE}.")
        return cls(tuple(store_at(config, path) for path in paths), _roles(roles, len(paths)))

    @classmethod
    def noted(cls, folder: Path, config: DictConfig) -> NamedStores | None:
        """Those that a pre-trained policy in `folder` learned from; None where it was the run's own.

        Args:
            folder: Of the policy.
            config: Settings of now; where copies of what is in buckets are kept.

        Raises:
            CheckpointError: The note is damaged.
        """
        path = folder / SOURCES_FILE
        if not path.is_file():
            return None
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["stores"]
            return cls(tuple(store_at(config, row["path"]) for row in rows), tuple(dict(row["roles"]) for row in rows))
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path} is damaged ({error!r}). It says which stores the policy learned from; pre-train again."
            ) from error

    def open(self, spec: RobotSpec, stack: ExitStack) -> list[EpisodeSource]:
        """The stores, each aligned to the robot of `spec`.

        Raises:
            ConfigError: A role names no camera, or an episode is in two of them.
            SpecMismatchError: Actions of one of them mean something else.
            StoreError: See `TrajectoryStore`.
        """
        stores: list[EpisodeSource] = []
        for path, roles in zip(self.paths, self.roles, strict=True):
            store = stack.enter_context(TrajectoryStore(path, read_only=True))
            stores.append(aligned(store, spec, roles))
        require_ids_of_their_own(stores)
        return stores


def require_sources(config: DictConfig) -> None:
    """Refuse stores of which another robot recorded the one that is the target's.

    Raises:
        ConfigError: Naming both robots; or `data` and its keys make no sense.
    """
    named = NamedStores.of(config)
    require_recorded_by(data_folder(Path(config.run_dir)) if named is None else named.paths[0], config)


def open_sources(config: DictConfig, stack: ExitStack) -> list[EpisodeSource]:
    """The stores that the settings name, closed by `stack`: those of `data`, or the run's own.

    Raises:
        ConfigError, SpecMismatchError, StoreError: See `NamedStores` and `open_data`.
    """
    require_sources(config)
    named = NamedStores.of(config)
    if named is None:
        return [stack.enter_context(open_data(config, read_only=True))]
    return named.open(spec_of(config), stack)


def kept_sources(config: DictConfig, pretrained: Path, stack: ExitStack) -> list[EpisodeSource]:
    """The stores that a pre-trained policy learned from, whichever robot recorded them.

    Args:
        config: Settings; their robot is the target.
        pretrained: Folder of the policy.
        stack: Closes them.

    Raises:
        CheckpointError, ConfigError, SpecMismatchError, StoreError: See `NamedStores`.
    """
    named = NamedStores.noted(pretrained, config)
    if named is not None:
        return named.open(spec_of(config), stack)
    folder = data_folder(Path(config.run_dir))
    return [stack.enter_context(TrajectoryStore(folder, spec_of(config), read_only=True))]


def note_sources(config: DictConfig, folder: Path) -> None:
    """Write down beside a policy which stores the settings name; `kept_sources` reads it.

    Raises:
        OSError: The disk refuses.
    """
    named = NamedStores.of(config)
    if named is None:
        (folder / SOURCES_FILE).unlink(missing_ok=True)
        return
    rows = [
        {"path": str(path.resolve()), "roles": dict(roles)}
        for path, roles in zip(named.paths, named.roles, strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / SOURCES_FILE, json.dumps({"stores": rows}, indent=1).encode() + b"\n")


def shares_of(config: DictConfig) -> tuple[float, ...] | None:
    """Share of each store in a batch, by the key `data_shares`; None where it sets none.

    Raises:
        ConfigError: They are no list of numbers.
    """
    shares = _plain(config.get("data_shares"))
    if shares is None:
        return None
    if not isinstance(shares, list) or not all(isinstance(share, int | float) for share in shares):
        raise ConfigError(f"data_shares={shares!r} is no list of numbers; expected e.g. [0.7,0.3].")
    return tuple(float(share) for share in shares)


def sources_in_words(stores: Sequence[EpisodeSource]) -> str:
    """A line for each store: how many episodes it has, and what they lack."""
    lines, lacks = [], [missing_of(store) for store in stores]
    for store, lacking in zip(stores, lacks, strict=True):
        lines.append(f"{store.path}: {len(store)} episodes" + (f", without {lacking} (masked)" if str(lacking) else ""))
    never = [name for name in lacks[0].proprio if all(name in lacking.proprio for lacking in lacks)] if lacks else []
    if never:
        lines.append(f"Nothing of this has {', '.join(never)}: the policy will not look at it on the robot either.")
    return "\n".join(lines)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if isinstance(value, DictConfig | ListConfig) else value


def _roles(raw: Any, stores: int) -> tuple[Roles, ...]:
    """One mapping for each store; those that aren't named have none."""
    given: Sequence[Any] = () if raw is None else raw
    known = isinstance(raw, list | None) and len(given) <= stores
    if not known or not all(isinstance(roles, Mapping | None) for roles in given):
        raise ConfigError(
            f"data_roles={raw!r} are no roles of {stores} stores; expected a list with a mapping for each store of "
            "data, the target's camera to the store's, e.g. data_roles=[{},{front:image_0,wrist:null}]."
        )
    mappings: list[Roles] = [{} for _ in range(stores)]
    for i, roles in enumerate(given):
        mappings[i] = {str(name): None if there is None else str(there) for name, there in (roles or {}).items()}
    return tuple(mappings)
