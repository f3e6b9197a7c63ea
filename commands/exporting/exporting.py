"""`regrasp export`: episodes of a trajectory store into files that other projects read, or a store into a bucket."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from commands.exporting.copying import copy_store
from factory.arm import arm_of
from factory.doors.outward import LAYOUTS, sink_settings, to_foreign
from factory.store_place import store_at
from trajectories.errors import ConfigError
from trajectories.formats.registry import creator
from trajectories.kinds import AFTERMATH, PLAY, kind_of
from trajectories.s3.path import S3Path
from trajectories.store import TrajectoryStore
from trajectories.summary import OUTCOMES


def run(config: DictConfig) -> None:
    """Write the chosen episodes; what is at `config.to` afterwards is whole.

    Raises:
        ConfigError: A setting is missing, or no episode is chosen.
        FormatError: Something is at `config.to`, or the format can't hold an episode.
        StoreError: The store can't be read, or the bucket not written.
    """
    to = None if config.to is None else store_at(config, str(config.to))
    if to is None or (config.format is None and not isinstance(to, S3Path)):
        raise ConfigError(
            f"Say where to and as what: to=FOLDER format=NAME, one of {', '.join(sorted(LAYOUTS))}; or "
            "to=s3://BUCKET/PREFIX for a copy of the store itself."
        )
    unknown = set(config.outcomes) - set(OUTCOMES)
    if unknown:
        raise ConfigError(f"outcomes has {', '.join(sorted(unknown))}; there are {', '.join(OUTCOMES)}.")
    attempts = not isinstance(to, S3Path) if config.attempts is None else config.attempts
    with TrajectoryStore(store_at(config, str(config.store)), read_only=True) as store:
        infos = [info for info in store.infos() if info.outcome in config.outcomes]
        if attempts:
            infos = [info for info in infos if kind_of(info) not in (AFTERMATH, PLAY)]
        ids = [info.id for info in infos][: None if config.episodes is None else int(config.episodes)]
        if not ids:
            raise ConfigError(f"No episode of {store.path} is chosen by outcomes, attempts and episodes.")
        if isinstance(to, S3Path):
            copy_store(config, store, ids, to)
        else:
            _write(config, store, ids, to)


def _write(config: DictConfig, store: TrajectoryStore, ids: list[str], to: Path) -> None:
    """Write files of another project."""
    create, format, arm = creator(str(config.format)), str(config.format), arm_of(config)
    with create(to, sink_settings(store.spec, arm, bool(config.lossless))) as sink:
        for id in tqdm(ids, desc=f"exporting {format}", unit="episode", dynamic_ncols=True):
            sink.write(to_foreign(store.read(id), store.spec, arm, format))
    print(f"{len(ids)} episodes are in {to} ({format}).")
