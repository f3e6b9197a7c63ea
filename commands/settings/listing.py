"""The one list of a verb's settings, made of what there is: the YAML files, and the dataclasses they are built into."""

from __future__ import annotations

import difflib
import json
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from commands.settings.reads import Keys, is_read, keys_read
from commands.verbs import Verb


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: As it is typed.
        default: As YAML says it.
        kind: Its type, or the values that it may have.
        meaning: One line; empty where nothing says it.
    """

    key: str
    default: str
    kind: str
    meaning: str


def read_settings(verb: Verb) -> list[Setting]:
    """The settings that a verb reads, in the order of its files, with its default groups."""
    read = paths_read(verb)
    written = [setting for setting in all_settings(verb) if is_read(setting.key, read)]
    return written + _unwritten({setting.key for setting in written})


def paths_read(verb: Verb) -> frozenset[Keys]:
    """Paths of the settings that a verb, the verbs that it starts, or the command line itself reads."""
    return _ALWAYS.union(*(keys_read(module) for module in (verb.module, *verb.starts)))


def all_settings(verb: Verb) -> list[Setting]:
    """Every setting that a verb's files compose, whoever reads it."""
    found: dict[str, Setting] = {}
    for text, prefix in _texts(files(verb.config_module), verb.config_name, ""):
        for setting in _settings(text, prefix):
            earlier = found.get(setting.key)
            meaning = setting.meaning or (earlier.meaning if earlier else "")
            found[setting.key] = Setting(setting.key, setting.default, setting.kind, meaning)
    known = _known()
    return [_described(setting, known) for setting in found.values() if setting.key.partition(".")[0] != "hydra"]


def _unwritten(written: set[str]) -> list[Setting]:
    """Settings of the agent and the reward model that no file names: added with a plus, with the code's defaults."""
    from policies.agent.config import AgentConfig
    from rewards.config import RewardConfig

    found = []
    for group, cls in (("agent", AgentConfig), ("reward", RewardConfig)):
        if any(key.startswith(f"{group}.") for key in written):
            found += [Setting(f"+{key}", default, *words) for key, default, words in _of(cls, f"{group}.")]
    return [setting for setting in found if setting.key[1:] not in written and setting.kind != "settings"]


def close_keys(verb: Verb, key: str, most: int = 3) -> list[str]:
    """Settings of a verb that somebody may have meant, the likeliest first.

    The same last name in another place comes before what is spelled alike.
    """
    keys = [setting.key for setting in all_settings(verb)]
    last = key.rpartition(".")[2]
    same = [one for one in keys if one.rpartition(".")[2] == last]
    alike = difflib.get_close_matches(key, keys, most)
    names = {one.rpartition(".")[2] for one in keys}
    near = difflib.get_close_matches(last, sorted(names), 1, 0.75)
    placed = [one for one in keys if one.rpartition(".")[2] in near]
    return list(dict.fromkeys([*same, *alike, *placed]))[:most]


def _texts(
    root: Traversable, name: str, prefix: str, instead: Mapping[str, str] | None = None
) -> Iterator[tuple[str, str]]:
    """Texts of a YAML and of its defaults, in the order in which they are composed, with where their keys belong.

    Args:
        root: Folder of the YAML files.
        name: Path of the YAML there, without the ending.
        prefix: Of its keys.
        instead: Group -> choice that the verb's own file makes instead of another file's; None for that file itself.
    """
    text = (root / f"{name}.yaml").read_text(encoding="utf-8")
    if "# @package _global_" in text:
        prefix = ""
    folder = name.rpartition("/")[0]
    entries = [
        next(iter(entry.items())) if isinstance(entry, Mapping) else ("", entry)
        for entry in [*((yaml.safe_load(text) or {}).get("defaults", [])), "_self_"]
    ]
    if instead is None:
        instead = {g.removeprefix("override "): str(choice) for g, choice in entries if g.startswith("override ")}
    for group, choice in entries:
        if group.startswith("override "):
            continue
        if choice == "_self_":
            yield text, prefix
            return
        target = str(choice).partition("@")[0]
        if group:
            yield from _texts(root, f"{group}/{instead.get(group, target)}", f"{group}.", instead)
        else:
            beside = f"{folder}/{target}" if folder else target
            yield from _texts(root, target[1:] if target[0] == "/" else beside, prefix, instead)


def _settings(text: str, prefix: str) -> Iterator[Setting]:
    lines = text.splitlines()
    tree = yaml.compose(text)
    if isinstance(tree, yaml.MappingNode):
        yield from _leaves(tree, prefix, lines)


def _leaves(node: yaml.MappingNode, prefix: str, lines: Sequence[str]) -> Iterator[Setting]:
    for name, value in node.value:
        if not prefix and name.value in ("defaults", "hydra"):
            continue
        key = f"{prefix}{name.value}"
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _leaves(value, f"{key}.", lines)
        else:
            plain = yaml.safe_load(yaml.serialize(value))
            text = lines[value.start_mark.line][value.start_mark.column : value.end_mark.column].strip()
            kind = "" if plain is None else _WORDS.get(type(plain), "text")
            yield Setting(
                key, text if value.start_mark.line == value.end_mark.line else str(plain), kind, _comment(lines, value)
            )


def _comment(lines: Sequence[str], node: yaml.Node) -> str:
    """The comment beside a value, with the lines below that go on with it."""
    number = node.end_mark.line if node.end_mark.column else node.end_mark.line - 1
    before, mark, comment = lines[number].partition("# ")
    if not mark:
        return ""
    parts = [comment.strip()]
    for line in lines[number + 1 :]:
        if not line.startswith(" " * len(before) + "# "):
            break
        parts.append(line.strip("# \t"))
    return " ".join(parts)


_ALWAYS: frozenset[Keys] = frozenset({("progress",)})
"""Read by `commands.__main__` for every verb."""
_WORDS: Mapping[type, str] = {bool: "true or false", int: "whole number", float: "number", str: "text", list: "list"}


def _known() -> dict[str, tuple[str, str]]:
    """Key -> (type or values, meaning) of the dataclasses that groups are built into."""
    from factory.method_settings import MethodSettings
    from policies.agent.config import AgentConfig
    from policies.learner.learner_config import LearnerConfig
    from policies.perception.encoders.config import EncoderConfig
    from rewards.config import RewardConfig

    groups = {
        "agent": AgentConfig,
        "method": MethodSettings,
        "finetune": LearnerConfig,
        "encoder": EncoderConfig,
        "reward": RewardConfig,
    }
    return {key: words for name, cls in groups.items() for key, _, words in _of(cls, f"{name}.")}


def _of(cls: type, prefix: str) -> Iterator[tuple[str, str, tuple[str, str]]]:
    """Key, default, type and meaning of the fields of a dataclass, and of those inside it."""
    hints, meanings = typing.get_type_hints(cls), _attributes(cls)
    for entry in fields(cls):
        hint = hints[entry.name]
        default = "?" if entry.default is MISSING else json.dumps(entry.default, default=str).strip('"')
        yield f"{prefix}{entry.name}", default, (_word(hint), meanings.get(entry.name, ""))
        if is_dataclass(hint):
            yield from _of(typing.cast(type, hint), f"{prefix}{entry.name}.")


def _attributes(cls: type) -> dict[str, str]:
    """First sentences of the attributes that a docstring describes."""
    text = (cls.__doc__ or "").partition("Attributes:\n")[2]
    found = re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", text, re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in found}


def _word(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return "|".join(map(str, typing.get_args(hint)))
    if (parts := typing.get_args(hint)) and typing.get_origin(hint) is not tuple:
        return " or ".join(_word(part) for part in parts)
    if typing.get_origin(hint) is tuple or hint is tuple:
        return "list"
    return "null" if hint is type(None) else _WORDS.get(hint, "settings")


def _described(setting: Setting, known: Mapping[str, tuple[str, str]]) -> Setting:
    kind, meaning = known.get(setting.key, (setting.kind, ""))
    return Setting(setting.key, setting.default, kind, setting.meaning or meaning)


def default_groups(verb: Verb) -> list[tuple[str, str]]:
    """Groups of further settings that a verb's files choose from, with what the files say of each."""
    found: dict[str, str] = {}
    for text, _ in _texts(files(verb.config_module), verb.config_name, ""):
        for line in text.partition("  - _self_")[0].splitlines():
            if line.startswith("  - ") and ":" in line and "hydra/" not in line:
                group, _, rest = line.removeprefix("  - ").removeprefix("override ").partition(":")
                found.setdefault(group, rest.partition("#")[2].strip())
    return list(found.items())
