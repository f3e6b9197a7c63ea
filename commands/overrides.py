"""Settings as they are typed, `key=value`: what Hydra's grammar can't read is said with the line to type instead."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from commands.outside_configs import ENTRY_POINTS, WORKING_FOLDER
from trajectories.errors import ConfigError

_ASSIGNMENT = re.compile(r"(?P<key>[+~]{0,2}[\w./@-]+)=(?P<value>.*)", re.DOTALL)


def overrides_in(arguments: Sequence[str]) -> list[str]:
    """The settings among the arguments of a verb, without Hydra's own options and their values."""
    from hydra._internal.utils import get_args_parser

    found, rest = get_args_parser().parse_known_args(list(arguments))
    return [*found.overrides, *(argument for argument in rest if not argument.startswith("-"))]


def words_named(key: str, arguments: Sequence[str]) -> list[str]:
    """The arguments with the words that are no settings put together as the list `key`; all as they are without any.

    Raises:
        ConfigError: There are words, and the list is given, too.
    """
    words = [one for one in overrides_in(arguments) if _ASSIGNMENT.fullmatch(one) is None and one[:1] != "~"]
    if not key or not words:
        return list(arguments)
    rest = [one for one in arguments if one not in words]
    if any(one.startswith(f"{key}=") for one in rest):
        raise ConfigError(f"{words[0]!r} is no setting, and {key}=... is given, too; give all in one of the two ways.")
    listed = ",".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    return [f"{key}=[{listed}]", *rest]


def prints_only(arguments: Sequence[str]) -> bool:
    """Whether Hydra is asked to print settings instead of running the verb."""
    from hydra._internal.utils import get_args_parser

    asked, _ = get_args_parser().parse_known_args(list(arguments))
    return bool(asked.cfg or asked.info or asked.hydra_help)


def search_path_options() -> list[str]:
    """Arguments that make a child process find the same YAML files as this one: its --config-dir and search path."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return []
    settings = HydraConfig.get()
    given = [source.path for source in settings.runtime.config_sources if source.provider == "command-line"]
    searched = [override for override in settings.overrides.hydra if "hydra.searchpath" in override.partition("=")[0]]
    return [*(f"--config-dir={path}" for path in given), *searched]


def typed_keys() -> set[str]:
    """Keys of the settings that were given on the command line of this process; none where Hydra has not read one."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return set()
    return {override.partition("=")[0].lstrip("+~") for override in HydraConfig.get().overrides.task}


def added_folders() -> list[Traversable]:
    """Folders of YAML files that Hydra was told of on the command line: --config-dir and its search path."""
    from hydra.core.hydra_config import HydraConfig

    own = ("hydra", "main", ENTRY_POINTS, WORKING_FOLDER)  # the last one's files are all of tasks, which are closed
    sources = [source for source in HydraConfig.get().runtime.config_sources if source.provider not in own]
    found = [Path(source.path) for source in sources if source.schema == "file"]
    return [*found, *(files(source.path) for source in sources if source.schema == "pkg")]


def require_readable(word: str, arguments: Sequence[str]) -> None:
    """Refuse a setting that Hydra's grammar can't read.

    Args:
        word: What is typed for the verb.
        arguments: What follows it.

    Raises:
        ConfigError: With the setting as it has to be typed.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for argument in overrides_in(arguments):
        try:
            parser.parse_override(argument)
        except HydraException as error:
            raise ConfigError(_advice(word, argument)) from error


def quoted(argument: str) -> str | None:
    """A setting as it has to be typed in a shell for its value to be taken as it stands; None when it is no setting."""
    match = _ASSIGNMENT.fullmatch(argument)
    if match is None:
        return None
    value = match["value"]
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    # In a quoted value, Hydra's grammar takes a backslash literally except before a quote or the value's end.
    value = re.sub(r'(\\*)("|$)', lambda m: m[1] * 2 + ('\\"' if m[2] else ""), value)
    return shlex.quote(f'{match["key"]}="{value}"')


def _advice(word: str, argument: str) -> str:
    line = quoted(argument)
    if line is None:
        return f"{argument!r} is no setting; expected key=value, e.g. seed=1. `regrasp {word} --help` lists the keys."
    return (
        f"the value of {argument!r} has characters that mean something to Hydra, as spaces with brackets, =, commas, "
        "quotes, and letters of other alphabets do. Quote it twice, once for the shell and once for Hydra:\n"
        f"  regrasp {word} {line}"
    )
