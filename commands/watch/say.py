"""`regrasp say`: a word to a running session from a terminal, or one after the other by keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from drivers.teleop.terminal import open_terminal
from robot.console.client import find_session
from robot.console.server import ABOUT_AN_EPISODE, NEED_A_NAME
from robot.console.state import ConsoleState
from trajectories.errors import ConfigError, LinkError

KEYS = {
    "KEY_D": ("done", ""),
    "KEY_N": ("not_done", ""),
    "KEY_E": ("done", "last"),
    "KEY_M": ("not_done", "last"),
    "KEY_U": ("take_back", ""),
    "KEY_H": ("hold", ""),
    "KEY_X": ("stop", ""),
}
"""Key -> word, and which episode it is about."""
_HELP = (
    "d: that was done   n: that was not done   (the episode under way; in its first moments, and between episodes, the "
    "last one)\ne: the last one was done   m: the last one was not done   u: take the last word back\n"
    "h: hold the arm at once   x: end after this episode   q: end this, the session goes on"
)
_END = "KEY_Q"


def run(config: DictConfig) -> None:
    """Say `config.word` and print the session's answer; with `config.by_keys` say what the person types."""
    by = "" if config.by is None else str(config.by)
    if config.by_keys:
        type_words(Path(config.run_dir), by)
        return
    client = find_session(Path(config.run_dir))
    if config.word is None:
        raise ConfigError(f"Which word? This session knows word={'|'.join(client.words())}; or by_keys=true.")
    word = str(config.word)
    if word in ABOUT_AN_EPISODE:
        print(client.say(word, by, about="" if config.about is None else str(config.about)))
        return
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


def type_words(run_dir: Path, by: str, connection: Any = None, tell: Callable[[str], None] = print) -> None:
    """Say what the keys of `KEYS` mean until "q" or Ctrl-C; what the session answers or refuses is printed.

    Args:
        run_dir: Whose session; it may come and go.
        by: Name of the person.
        connection: Of the terminal (`drivers.teleop.terminal.TerminalConnection`); None opens this program's.
        tell: Gets lines for the person.

    Raises:
        ConfigError: Without a name.
        TeleopError: Standard input is no terminal, or it was closed.
    """
    if not by.strip():
        raise ConfigError("What is said about an episode is kept with who said it: give by=NAME.")
    terminal = open_terminal(0.0) if connection is None else connection
    try:
        tell(_HELP)
        while True:
            for key, value in terminal.read(1.0) or ():
                if value and key == _END:
                    return
                if value and key in KEYS:
                    word, about = KEYS[key]
                    try:
                        tell(find_session(run_dir).say(word, by, about=about))
                    except LinkError as error:
                        tell(str(error))
    finally:
        terminal.close()
