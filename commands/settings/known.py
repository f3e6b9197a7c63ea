"""Refuse settings that are added to the files' own, `+group.key=value`, and that nothing reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from omegaconf import DictConfig

from commands.outside_configs import ROOT, config_modules
from commands.settings.listing import default_groups, no_such_setting
from commands.settings.schemas import checked_outside, device_settings, optional_settings
from commands.settings.typed import FREE
from commands.settings.written import settings_in, settings_in_folder, texts_of
from commands.verbs import VERBS, Verb
from trajectories.errors import ConfigError


def require_known_settings(
    name: str,
    config: DictConfig,
    overrides: Sequence[str],
    groups: Collection[str],
    folders: Sequence[Traversable] = (),
) -> None:
    """Refuse what a person added on the command line and no verb knows.

    What another verb of the program reads is known, too: `finetune` and `demo` hand their settings on, and one line of
    settings serves several verbs.

    Args:
        name: The verb.
        config: Its settings, composed.
        overrides: What a person gave.
        groups: Groups that have a choice in these settings.
        folders: Of a person's own YAML files, which Hydra was told of.

    Raises:
        ConfigError: Naming the key and the nearest ones that there are.
    """
    added = [key for key in _added(overrides) if key not in groups]
    if not added:
        return
    verb = VERBS[name]
    known, outside = known_keys(verb, folders), checked_outside(config)
    for key in added:
        if key.partition(".")[0] not in outside and not _is_known(key, known):
            raise ConfigError(no_such_setting(name, key, sorted(one for one in known if "*" not in one)))


def known_keys(verb: Verb, folders: Sequence[Traversable] = ()) -> frozenset[str]:
    """Every key that some verb beside this one may have, whatever groups are chosen.

    `*` in a key stands for any name, and at its end for any name with whatever follows it.

    Args:
        verb: Its environment (robots, or Gymnasium environments) decides.
        folders: Further folders of YAML files.
    """
    verbs = [other for other in VERBS.values() if other.config_module == verb.config_module]
    texts = {one for other in verbs for one in texts_of(files(other.config_module), other.config_name, "")}
    found = [one for text, prefix in texts for one in settings_in(text, prefix)]
    found += optional_settings()
    if verb.config_module == ROOT:
        found += device_settings()
        folders = [*(files(module) for module in config_modules()), *folders]
        groups = {group for other in verbs for group, _ in default_groups(other)}
        found += [one for group in groups for one in settings_in_folder(files(ROOT) / group, f"{group}.")]
    found += [one for folder in folders for one in settings_in_folder(folder)]
    keys = {one.key for one in found}
    holding = {one.key for one in found if one.kind == FREE}
    holding |= {one.key for one in found if one.default == "{}" and not _has_inside(one.key, keys)}
    return frozenset(keys | {f"{key}.*" for key in holding})


def _has_inside(key: str, known: Collection[str]) -> bool:
    """Whether it is known what belongs to a key."""
    dots = key.count(".")
    return any(one.count(".") > dots and fnmatchcase(key, _cut(one, dots)) for one in known)


def _is_known(key: str, known: Collection[str]) -> bool:
    """Whether it, or something that belongs to it, is among them."""
    return any(fnmatchcase(key, one) or fnmatchcase(key, _cut(one, key.count("."))) for one in known)


def _cut(key: str, dots: int) -> str:
    """The first names of a key, as many as another with so many dots has."""
    return ".".join(key.split(".")[: dots + 1])


def _added(overrides: Sequence[str]) -> Iterator[str]:
    """Keys that overrides add, those inside a value `{a: 1}` one by one."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if override.is_add() or override.is_force_add():
            value = None if override.is_sweep_override() else override.value()
            yield from _leaves(override.key_or_group, value)


def _leaves(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for name, inside in value.items():
            yield from _leaves(f"{key}.{name}", inside)
    else:
        yield key
