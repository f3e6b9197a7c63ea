"""`regrasp export`: episodes of a trajectory store into files that other projects read."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from factory.arm import arm_of
from factory.doors.outward import LAYOUTS, sink_settings, to_foreign
from trajectories.errors import ConfigError
from trajectories.formats.registry import creator
from trajectories.kinds import AFTERMATH, PLAY, kind_of
from trajectories.store import TrajectoryStore
from trajectories.summary import OUTCOMES


def run(config: DictConfig) -> None:
    """Write the chosen episodes; what is at `config.to` afterwards is whole.

    Raises:
        ConfigError: A setting is missing, or no episode is chosen.
        FormatError: Something is at `config.to`, or the format can't hold an episode.
    """
    if config.to is None or config.format is None:
        raise ConfigError(f"Say where to and as what: to=FOLDER format=NAME, one of {', '.join(sorted(LAYOUTS))}.")
    unknown = set(config.outcomes) - set(OUTCOMES)
    if unknown:
        raise ConfigError(f"outcomes has {', '.join(sorted(unknown))}; there are {', '.join(OUTCOMES)}.")
    create, format, arm = creator(str(config.format)), str(config.format), arm_of(config)
    with TrajectoryStore(Path(config.store), read_only=True) as store:
        infos = [info for info in store.infos() if info.outcome in config.outcomes]
        if config.attempts:
            infos = [info for info in infos if kind_of(info) not in (AFTERMATH, PLAY)]
        ids = [info.id for info in infos][: None if config.episodes is None else int(config.episodes)]
        if not ids:
            raise ConfigError(f"No episode of {store.path} is chosen by outcomes, attempts and episodes.")
        with create(Path(config.to), sink_settings(store.spec, arm, bool(config.lossless))) as sink:
            for id in tqdm(ids, desc=f"exporting {format}", unit="episode", dynamic_ncols=True):
                sink.write(to_foreign(store.read(id), store.spec, arm, format))
    print(f"{len(ids)} episodes are in {config.to} ({format}).")
