"""One answer to "same settings?": what something was made with, as plain JSON, beside it and compared by key.

Stages of a demo, collected episodes, fine-tuning runs, evaluations, cells of a bench and checkpoints are keyed by their
conditions, which is everything that decides how they come out. Amounts (steps, episodes) are no conditions: more of the
same goes on with what there is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from trajectories.durable import replace_file
from trajectories.errors import CheckpointError, ConfigError, RegraspError
from trajectories.s3.path import StorePath
from trajectories.types import digest_of

GO_ON = "Go on with the settings of then, or give another run_dir (of a bench: another out)."
"""What to do where it is the settings that differ."""
SHOWN_DIGITS = 12
"""Digits of a digest in names and messages."""
_UNSET = "not set"
"""What has no value, or was not there yet."""


def require_same_identity(
    saved: Mapping[str, Any],
    here: Mapping[str, Any],
    what: str,
    advice: str = GO_ON,
    error: type[RegraspError] = CheckpointError,
) -> None:
    """Refuse to go on with something that was made under other conditions; `advice` says what to do.

    Raises:
        RegraspError: Of the type `error`, naming every difference, with both values.
    """
    found = list(differences(saved, here))
    if found:
        made = ", ".join(f"{name} {_UNSET}" if then is None else f"{name} = {then!r}" for name, then, _ in found)
        asked = ", ".join(said(now) for _, _, now in found)
        raise error(f"{what} was made with {made}, the settings ask for {asked}. {advice}")


def said(value: Any) -> str:
    """A value of a setting in a message: as Python writes it, or that there is none."""
    return _UNSET if value is None else repr(value)


def first_difference(saved: Any, here: Any) -> tuple[str, Any, Any] | None:
    """Name (with dots) and both values of the first entry that differs in two trees of plain JSON; None for none."""
    return next(differences(saved, here), None)


def differences(saved: Any, here: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Name (with dots) and both values of every entry that differs in two trees of plain JSON, sorted by name."""
    if not (isinstance(saved, Mapping) and isinstance(here, Mapping)):
        if saved != here:
            yield name, saved, here
        return
    for key in sorted(set(saved) | set(here)):
        yield from differences(saved.get(key), here.get(key), f"{name}.{key}".lstrip("."))


def completed(saved: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Any]:
    """`saved` as a version would have written it that knows the entries of `here`, top level.

    Entries that an earlier version did not write down are taken to have been as they are here, entries that are no
    conditions any more are left out.
    """
    return {name: saved.get(name, value) for name, value in here.items()}


def short_digest(conditions: Mapping[str, Any]) -> str:
    """The first `SHOWN_DIGITS` of the digest, for names of folders and for messages."""
    return digest_of(conditions)[:SHOWN_DIGITS]


def require_conditions(
    path: Path,
    here: Mapping[str, Any],
    what: str,
    advice: str = GO_ON,
    as_ever: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Hold the conditions of now against those that `keep_conditions` wrote last; writes nothing.

    Args:
        path: File beside what is made; without one there is nothing to hold them against.
        here: Plain JSON. What is not in it is not compared.
        what: What is made, for the message.
        advice: What to do where it differs.
        as_ever: What entries were while no version wrote them down; others are taken to have been as they are here.

    Raises:
        ConfigError: It was begun under other conditions, or the file is damaged.
    """
    history = read_conditions(path)
    if history:
        plain = json.loads(json.dumps(here))
        require_same_identity(completed({**as_ever, **history[-1]}, plain), plain, what, advice, ConfigError)


def keep_conditions(
    path: Path,
    here: Mapping[str, Any],
    what: str,
    advice: str = GO_ON,
    *,
    accept: bool = False,
    as_ever: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write down what something is made with, or hold what was written then against it (`require_conditions`).

    Args:
        path: File beside what is made. Its folder is made with it.
        here: Plain JSON.
        what: What is made, for the message.
        advice: What to do where it differs.
        accept: Go on where it differs; the file keeps what was before, oldest first.
        as_ever: What entries were while no version wrote them down; others are taken to have been as they are here.

    Raises:
        ConfigError: It was begun under other conditions, or the file is damaged.
        OSError: The disk refuses.
    """
    if not accept:
        require_conditions(path, here, what, advice, as_ever)
    plain = json.loads(json.dumps(here))
    history = read_conditions(path)
    if history:
        if plain == history[-1]:
            return
        if plain == completed({**as_ever, **history[-1]}, plain):  # written by a version that didn't know them all
            history.pop()
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"sha256": digest_of(plain), "conditions": plain, "before": history}
    replace_file(path, json.dumps(content, indent=1).encode() + b"\n")


def read_conditions(path: StorePath) -> list[dict[str, Any]]:
    """Everything that `keep_conditions` wrote there, the newest last; empty when nothing is there.

    Raises:
        ConfigError: The file is damaged.
    """
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        saved: dict[str, Any] = content["conditions"]
        if digest_of(saved) != content["sha256"]:
            raise ValueError("its digest is that of other conditions")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} is damaged ({error}). It says what lies beside it was made with; delete it only if you know that "
            "the settings are the same."
        ) from error
    return [*content.get("before", []), saved]
