"""Where a trajectory store lies that a setting names: a folder, or an address in a bucket with copies on this disk."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from trajectories.errors import ConfigError
from trajectories.s3.path import CopySettings, StorePath, default_folder, store_path

AUTO = "auto"


def store_at(config: DictConfig, text: str) -> StorePath:
    """The place that `text` names.

    Args:
        config: Settings; `s3_copies` says where copies of a bucket's episodes are kept.
        text: A folder, or s3://BUCKET/PREFIX.

    Raises:
        ConfigError: It begins like an address and is none, or `s3_copies` makes no sense.
    """
    return store_path(text, copy_settings(config))


def copy_settings(config: DictConfig) -> CopySettings:
    """Where copies of episodes from buckets are kept, by `s3_copies`.

    Raises:
        ConfigError: Less than nothing is to be kept.
    """
    folder, gigabytes = str(config.s3_copies.folder), float(config.s3_copies.gigabytes)
    if not gigabytes >= 0:
        raise ConfigError(f"s3_copies.gigabytes is {gigabytes:g}, expected 0 or more.")
    return CopySettings(default_folder() if folder == AUTO else Path(folder), int(gigabytes * 1e9))
