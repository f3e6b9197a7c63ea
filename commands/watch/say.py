"""`regrasp say`: a word to a running session from a terminal."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from robot.console.client import find_session
from trajectories.errors import ConfigError


def run(config: DictConfig) -> None:
    """Say `config.word` and print the session's answer."""
    client = find_session(Path(config.run_dir))
    if config.word is None:
        raise ConfigError(f"Which word? This session knows word={'|'.join(client.words())}.")
    print(client.say(str(config.word), "" if config.by is None else str(config.by)))
