"""What a checkpoint was made with, as plain JSON, compared with what the settings ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trajectories.errors import CheckpointError

GO_ON = "Go on with the settings of then, or give another run_dir (of a bench: another out)."
"""What to do where it is the settings that differ."""


def require_same_identity(saved: Mapping[str, Any], here: Mapping[str, Any], what: str, advice: str = GO_ON) -> None:
    """Refuse to go on with a checkpoint of something else; `advice` says what to do.

    Raises:
        CheckpointError: Naming every difference, with both values.
    """
    found = list(differences(saved, here))
    if found:
        made = ", ".join(f"{name} = {then!r}" for name, then, _ in found)
        asked = ", ".join(repr(now) for _, _, now in found)
        raise CheckpointError(f"{what} was made with {made}, the settings ask for {asked}. {advice}")


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
