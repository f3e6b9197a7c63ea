"""The one list of a verb's settings, made of what there is: the YAML files, and the dataclasses they are built into."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files

import yaml

from commands.outside_configs import ROOT, choices
from commands.settings.reads import Keys, is_read, keys_read
from commands.settings.schemas import described_settings, optional_settings
from commands.settings.setting import WORDS, Setting
from commands.settings.typed import settings_of
from commands.settings.written import settings_in, texts_of
from commands.verbs import VERBS, Verb, verb_word

_ALWAYS: frozenset[Keys] = frozenset({("progress",)})
"""Read by `commands.__main__` for every verb."""


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
    for text, prefix in texts_of(files(verb.config_module), verb.config_name, ""):
        for setting in settings_in(text, prefix):
            earlier = found.get(setting.key)
            if earlier is not None:
                said = (setting.kind or earlier.kind, setting.meaning or earlier.meaning)
                setting = Setting(setting.key, setting.default, *said)
            found[setting.key] = setting
    known = {one.key: one for one in described_settings()}
    return [_described(setting, known) for setting in found.values() if setting.key.partition(".")[0] != "hydra"]


def _unwritten(written: set[str]) -> list[Setting]:
    """Settings of the agent and the reward model that no file names: added with a plus, with the code's defaults."""
    groups = {key.partition(".")[0] for key in written if "." in key}
    found = [one for one in optional_settings() if one.key.partition(".")[0] in groups and one.key not in written]
    return [replace(one, key=f"+{one.key}") for one in found if one.kind != WORDS[dict]]


def close_keys(verb: Verb, key: str, others: Sequence[str] = (), most: int = 3) -> list[str]:
    """Settings that somebody may have meant, the likeliest first, as they have to be typed.

    The same last name in another place comes before what is spelled alike.

    Args:
        verb: Whose settings they are.
        key: What was typed.
        others: Keys that can be added beside those that the verb's files or code name.
        most: How many at most.
    """
    listed = all_settings(verb)
    listed += _unwritten({setting.key for setting in listed})
    typed = {one.key.lstrip("+"): one.key for one in listed}
    keys = list(typed | {other: f"+{other}" for other in others if other not in typed})
    last = key.rpartition(".")[2]
    same = [one for one in typed if one.rpartition(".")[2] == last]
    alike = difflib.get_close_matches(key, keys, most)
    names = {one.rpartition(".")[2] for one in typed}
    near = difflib.get_close_matches(last, sorted(names), 1, 0.75)
    placed = [one for one in typed if one.rpartition(".")[2] in near]
    found = list(dict.fromkeys([*same, *alike, *placed]))[:most]
    return [typed.get(one, f"+{one}") for one in found]


def no_such_setting(name: str, key: str, others: Sequence[str] = ()) -> str:
    """What a person is told of a key that a verb doesn't have; `others` as of `close_keys`."""
    close = close_keys(VERBS[name], key, others)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return f"{verb_word(name)} has no setting {key!r}.{hint} `regrasp {verb_word(name)} --help` lists all."


def setting_of_other_judges(key: str, arguments: Sequence[str]) -> str | None:
    """What a person is told of a setting that other judges have and the chosen one doesn't; None where it may have it.

    Args:
        key: As typed, of the group `reward` or of another one.
        arguments: What else was typed.
    """
    chosen = [one.partition("=")[2] for one in arguments if one.startswith("reward=")]
    folder = files(ROOT) / "reward"
    texts = {one: folder / f"{one}.yaml" for one in choices("reward", ROOT)}
    keys = {
        name: {setting.key for setting in settings_in(text.read_text(encoding="utf-8"), "reward.")}
        for name, text in texts.items()
        if text.is_file()
    }
    kind = "reward.kind"  # the classifier's files have none
    if not chosen or kind not in keys.get(chosen[-1], ()) or key in _shared_by_judges():
        return None
    classifiers = {one.key for one in optional_settings()}
    having = [name for name, own in keys.items() if key in own or (kind not in own and key in classifiers)]
    if not having or chosen[-1] in having:
        return None
    named = ", ".join(f"reward={name}" for name in having)
    return f"{key} is a setting of {named}; reward={chosen[-1]} has none of that name."


def _shared_by_judges() -> set[str]:
    from rewards.config import DecisionConfig

    return {one.key for one in settings_of(DecisionConfig, "reward.")}


def _described(setting: Setting, known: Mapping[str, Setting]) -> Setting:
    """The same with type and meaning: as its file says, otherwise as the code does, then as its default is."""
    code = known.get(setting.key, setting)
    kind = setting.kind or code.kind or WORDS.get(type(yaml.safe_load(setting.default)), WORDS[str])
    return replace(setting, kind=kind, meaning=setting.meaning or code.meaning)


def default_groups(verb: Verb) -> list[tuple[str, str]]:
    """Groups of further settings that a verb's files choose from, with what the files say of each."""
    found: dict[str, str] = {}
    for text, _ in texts_of(files(verb.config_module), verb.config_name, ""):
        for line in text.partition("  - _self_")[0].splitlines():
            if line.startswith("  - ") and ":" in line and "hydra/" not in line:
                group, _, rest = line.removeprefix("  - ").removeprefix("override ").partition(":")
                found.setdefault(group, rest.partition("#")[2].strip())
    return list(found.items())
