"""Seeds are checked before anything runs: NumPy takes no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from trajectories.errors import ConfigError

LARGEST = 2**32 - 1


def require_seeds(config: DictConfig) -> None:
    """Refuse a setting `seed`, or one whose name ends in `_seed`, at any depth, that is none.

    Seeds are whole numbers from 0 to `LARGEST`.

    Raises:
        ConfigError: Naming the key.
    """
    for key, value in _seeds(OmegaConf.to_container(config), ""):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
            raise ConfigError(f"{key}={value} is no seed; expected a whole number, 0 to {LARGEST}.")


def _seeds(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == "seed" or str(name).endswith("_seed"):
                yield f"{prefix}{name}", value
            else:
                yield from _seeds(value, f"{prefix}{name}.")
