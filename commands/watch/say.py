"""`regrasp say`: a word to a running session from a terminal."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, ListConfig

from robot.console.client import find_session
from robot.console.server import NEED_A_NAME
from robot.console.state import ConsoleState
from trajectories.errors import ConfigError


def run(config: DictConfig) -> None:
    """Say `config.word` and print the session's answer."""
    client = find_session(Path(config.run_dir))
    if config.word is None:
        raise ConfigError(f"Which word? This session knows word={'|'.join(client.words())}.")
    word, by = str(config.word), "" if config.by is None else str(config.by)
    if word not in NEED_A_NAME:
        print(client.say(word, by))
        return
    if config.fault is None:
        state = ConsoleState.from_dict(client.state())
        stands = "\n".join(f"  {fault.id}: {fault.reason}" for fault in state.faults) or "  nothing"
        raise ConfigError(
            "Which fault? Look at the arm, then name what you saw and yourself, by=NAME and fault=ID or "
            f"'fault=[ID,ID]'. What stands:\n{stands}"
        )
    named = config.fault if isinstance(config.fault, ListConfig) else [config.fault]
    print(client.say(word, by, [str(one) for one in named]))
