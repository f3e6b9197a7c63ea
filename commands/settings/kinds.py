"""Types of typed settings: each must be of the kind of its default, whoever reads it later."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.resources import files
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from commands.settings.setting import WORDS
from commands.settings.written import settings_in, texts_of
from commands.verbs import Verb
from trajectories.errors import ConfigError

CHECKED_LATER = ("agent", "method", "encoder", "reward", "finetune", "device", "doors", "hydra")
"""Groups that are built into dataclasses, which check types themselves and allow more than the default's."""
AUTO = "auto"
_FRACTIONS = ("pretrain.held_out", "train_backbone.minutes")
"""Whole numbers in their files, and fractions all the same."""


_PROTOTYPES: Mapping[str, Any] = {word: kind() for kind, word in WORDS.items() if kind is not type(None)}
"""A value of each kind of setting, by what a person calls it."""


def require_typed(
    config: DictConfig,
    overrides: Sequence[str],
    choices: Collection[str],
    base: DictConfig,
    verb: Verb,
) -> None:
    """Refuse settings that are of another kind than their defaults; a text that looks like a number becomes a text.

    Args:
        config: As composed with `overrides`; a text that Hydra took for a number (run_dir=007) is put right in it.
        overrides: As typed.
        choices: Names of the groups, whose choices are no values.
        base: Composed with the same choices, without the other overrides.
        verb: Whose files say of what kind a setting is whose default is null.

    Raises:
        ConfigError: With the key, what was expected and what was given.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create()
    for typed in overrides:
        override = parser.parse_override(typed)
        key = override.key_or_group
        if override.is_delete() or override.is_add() or override.is_force_add() or key in choices:
            continue
        wanted, given = OmegaConf.select(base, key), OmegaConf.select(config, key)
        if key.partition(".")[0] in CHECKED_LATER:
            continue
        if wanted is None and given is not None:
            wanted = _PROTOTYPES.get(_written_kind(verb, key).removesuffix(" or null"))
        if wanted == AUTO and _is_number(given):
            continue  # a number in place of the default that finds one
        if isinstance(wanted, str) and isinstance(given, bool | int | float):
            OmegaConf.update(config, key, typed.partition("=")[2])
            continue
        expected = None if wanted is None else misfit(wanted, given, whole=key not in _FRACTIONS)
        if expected is not None and not _is_one_of(_written_kind(verb, key).split(" or "), given):
            default = OmegaConf.select(base, key)
            default = "null" if default is None else repr(default)
            raise ConfigError(f"{key} must be {expected}, got {typed.partition('=')[2]!r}; the default is {default}.")


def _written_kind(verb: Verb, key: str) -> str:
    """What the files of a verb call the values of a setting; "" where they don't say."""
    texts = texts_of(files(verb.config_module), verb.config_name, "")
    said = [one.kind for text, prefix in texts for one in settings_in(text, prefix) if one.key == key and one.kind]
    return said[-1] if said else ""


def _is_one_of(words: Sequence[str], given: Any) -> bool:
    """Whether a value is of one of the kinds that a file names for its setting, such as text, null or list."""
    if (given is None and "null" in words) or (given == AUTO and AUTO in words):
        return True
    return any(misfit(_PROTOTYPES[word], given) is None for word in words if word in _PROTOTYPES)


def misfit(wanted: Any, given: Any, whole: bool = True) -> str | None:
    """What was expected where a value is of another kind than the default `wanted`; None where it fits.

    Args:
        wanted: The default, not None.
        given: The value.
        whole: Whether a default that is a whole number stands for whole numbers alone.
    """
    kinds: list[tuple[type | tuple[type, ...], str, Callable[[Any], bool]]] = [
        (bool, "true or false", lambda value: isinstance(value, bool)),
        (int, "a whole number", lambda value: _is_number(value) and (value == int(value) or not whole)),
        (float, "a number", _is_number),
        (str, "a text", lambda value: isinstance(value, str)),
        ((ListConfig, list), "a list, [a,b]", lambda value: isinstance(value, ListConfig | list)),
        ((DictConfig, dict), "settings, {key: value}", lambda value: isinstance(value, DictConfig | dict)),
    ]
    for kind, expected, fits in kinds:
        if isinstance(wanted, kind):
            return None if fits(given) or (given == AUTO and kind is int) else expected
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
