"""The YAML files of settings: which belong to a verb, and the settings that each of them writes down."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources.abc import Traversable

import yaml

from commands.settings.setting import WORDS, Setting

_CHOICES = r"[\w.-]+(?:\|[\w.-]+)+"
_TYPE = rf"(?:{'|'.join(WORDS.values())}|{_CHOICES})"
_TYPED = re.compile(rf"({_TYPE}(?: or (?:{_TYPE}|\w+))*); (.+)")
"""A comment that begins with the type of its setting: `text or null; ...`, `auto|cpu|cuda; ...`."""


def texts_of(
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
            yield from texts_of(root, f"{group}/{instead.get(group, target)}", f"{group}.", instead)
        else:
            beside = f"{folder}/{target}" if folder else target
            yield from texts_of(root, target[1:] if target[0] == "/" else beside, prefix, instead)


def settings_in_folder(folder: Traversable, prefix: str = "") -> Iterator[Setting]:
    """The settings that all YAML files below a folder of groups write down; those that can't be read are left out."""
    for entry in folder.iterdir():
        if entry.is_dir() and not (entry / "__init__.py").is_file():
            yield from settings_in_folder(entry, f"{prefix}{entry.name}.")
        elif entry.name.endswith(".yaml") and prefix:
            text = entry.read_text(encoding="utf-8")
            package = re.search(r"^# @package (\S+)", text, re.MULTILINE)
            place = {"_global_": "", "_group_": prefix}.get(package[1], f"{package[1]}.") if package else prefix
            with suppress(yaml.YAMLError):
                yield from settings_in(text, place)


@cache
def settings_in(text: str, prefix: str) -> tuple[Setting, ...]:
    """The settings that the text of a YAML file writes down; `prefix` stands in front of their keys."""
    lines = text.splitlines()
    tree = yaml.compose(text)
    if not isinstance(tree, yaml.MappingNode):
        return ()
    return tuple(one for one in _leaves(tree, prefix, lines) if one.key != f"{prefix}defaults")


def _leaves(node: yaml.MappingNode, prefix: str, lines: Sequence[str]) -> Iterator[Setting]:
    for name, value in node.value:
        if not prefix and name.value == "hydra":
            continue
        key = f"{prefix}{name.value}"
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _leaves(value, f"{key}.", lines)
        else:
            text = lines[value.start_mark.line][value.start_mark.column : value.end_mark.column].strip()
            if value.start_mark.line != value.end_mark.line:
                plain = yaml.safe_load(yaml.serialize(value))
                text = yaml.safe_dump(plain, default_flow_style=True, width=10**6).strip()
            yield Setting(key, text, *_said(_comment(lines, value)))


def _said(comment: str) -> tuple[str, str]:
    """The type and the meaning that a comment `type; meaning` says; without a type "" and the whole comment."""
    match = _TYPED.fullmatch(comment)
    return (match[1], match[2]) if match else ("", comment)


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
