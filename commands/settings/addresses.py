"""Refuse addresses in buckets, s3://…, where a verb takes folders: what it writes goes to a disk."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from trajectories.errors import ConfigError
from trajectories.s3.path import ELSEWHERE, is_address

TAKEN: Mapping[str, Collection[str]] = {
    "pretrain": ("data",),
    "train-reward": ("data", "train_reward.sessions"),
    "evaluate-reward": ("evaluate_reward.store",),
    "inspect": ("store",),
    "label": ("store",),
    "export": ("store", "to"),
}
"""Verb -> its settings that may be addresses."""


def require_folders(name: str, config: DictConfig) -> None:
    """Refuse addresses in settings of the verb `name` that take none.

    Raises:
        ConfigError: With the key.
    """
    taken = TAKEN.get(name, ())
    for key, value in _texts(OmegaConf.to_container(config, resolve=False), ""):
        if is_address(value) and key not in taken:
            also = f" {', '.join(taken)} may be such an address here." if taken else ""
            raise ConfigError(f"{key}={value} can't be in a bucket: {ELSEWHERE}{also}")


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Key and text of every text in nested settings; the entries of a list have the list's key."""
    if isinstance(value, dict):
        for name, inside in value.items():
            yield from _texts(inside, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for inside in value:
            yield from _texts(inside, key)
    elif isinstance(value, str):
        yield key, value
