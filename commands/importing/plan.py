"""What an import is to do: opened sources, the mapping, the store's specification."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from factory.arm import arm_of
from factory.doors.inward import new_store_spec, require_fits
from factory.doors.mapping import DoorMapping, mapping_of
from factory.spec import plain
from trajectories.checks import check_name
from trajectories.errors import ConfigError
from trajectories.formats.foreign import Description, ForeignSource
from trajectories.formats.hub import PREFIX, Repository
from trajectories.formats.registry import open_source
from trajectories.layout import HEADER
from trajectories.provenance import origin_of
from trajectories.store import TrajectoryStore
from trajectories.types import RobotSpec


@dataclass(frozen=True)
class Opened:
    """A source that episodes are imported from.

    Attributes:
        name: What the store calls it.
        path: Of its file or folder.
        source: Its episodes.
        description: What it says of itself.
        chosen: Names of the episodes that are to be imported.
    """

    name: str
    path: Path
    source: ForeignSource
    description: Description
    chosen: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What an import is to do.

    Attributes:
        sources: Where from.
        store: Folder of the store.
        mapping: What keys mean.
        spec: Of the store.
        exists: Whether the store is there already.
    """

    sources: tuple[Opened, ...]
    store: Path
    mapping: DoorMapping
    spec: RobotSpec
    exists: bool


def plan_of(config: DictConfig) -> Plan:
    """Open the sources and hold mapping and store against each other.

    Raises:
        ConfigError: A setting is missing, or mapping and store don't fit.
        FormatError: A source isn't in a format that is read.
    """
    given = [config.source] if isinstance(config.source, str) else [str(one) for one in config.source]
    if not given:
        raise ConfigError("Nothing is said to be imported: give a file or folder, or source=hub:OWNER/NAME.")
    if config.into is None:
        raise ConfigError(
            "Say where the episodes shall go: into=FOLDER of a trajectory store, a new one or one there is."
        )
    if config.name is not None and len(given) > 1:
        raise ConfigError(f"name={config.name} is one name for {len(given)} sources; import them one after the other.")
    mapping, store = mapping_of(plain(config.doors)), Path(config.into)
    sources = tuple(_opened(config, one) for one in given)
    if len({source.name for source in sources}) < len(sources):
        raise ConfigError(
            f"Two of the sources are called {sources[0].name!r}: import them one after the other, with name=..."
        )
    exists = (store / HEADER).is_file()
    if exists:
        with TrajectoryStore(store, read_only=True) as opened:
            spec = opened.spec
        require_fits(mapping, spec, f"The store {store}")
    else:
        size = (int(config.image_size), int(config.image_size))
        spec = new_store_spec(mapping, arm_of(config).joints, size, float(config.control_hz))
    return Plan(sources, store, mapping, spec, exists)


def imported_before(source: str, store: TrajectoryStore) -> dict[str, str]:
    """Name -> digest of the episodes of a source that are in a store."""
    origins = (origin for info in store.infos() if (origin := origin_of(info)) is not None)
    return {str(o["episode"]): str(o["digest"]) for o in origins if o.get("source") == source}


def _opened(config: DictConfig, given: str) -> Opened:
    if given.startswith(PREFIX):
        repository = Repository.of(given)
        path, called = repository.fetch(), repository.id.replace("/", "--")
    else:
        path = Path(given).expanduser()
        called = path.resolve().name
    name = str(config.name or called)
    check_name(name, "the source's name (name=...)")
    source = open_source(path, config.format)
    names = tuple(source.names())
    chosen = names if config.episodes is None else names[: int(config.episodes)]
    return Opened(name, path, source, source.describe(), chosen)
