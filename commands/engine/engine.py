"""The engine of the settings."""

from __future__ import annotations

from omegaconf import DictConfig

from commands.engine.interface import Engine
from commands.engine.local import LocalEngine
from commands.engine.ray_engine import RayEngine
from commands.overrides import typed_keys
from trajectories.errors import ConfigError
from trajectories.numbers import whole


def engine_of(config: DictConfig) -> Engine:
    """What `engine` names.

    Raises:
        ConfigError: There is no such engine, or its number of workers isn't one.
    """
    name = str(config.engine.name)
    if name == "local":
        return LocalEngine(int(config.workers))
    if name != "ray":
        raise ConfigError(f"engine.name={name} is no engine, expected local or ray.")
    if "workers" in typed_keys():
        raise ConfigError("workers= counts processes of this machine. With engine=ray say engine.workers= instead.")
    workers = config.engine.workers
    return RayEngine(str(config.engine.address), None if workers is None else whole("engine.workers", workers))


def require_local(config: DictConfig, doing: str) -> None:
    """Refuse a cluster for what this machine does by itself.

    Args:
        config: Settings.
        doing: What that is, for the error.

    Raises:
        ConfigError: `engine` is another one.
    """
    if str(config.engine.name) != "local":
        raise ConfigError(f"{doing} is nothing for a cluster: leave engine={config.engine.name} out.")
