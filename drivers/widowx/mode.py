"""`Mode`: what the control loop does, and what may be asked of it meanwhile."""

from __future__ import annotations

from enum import Enum

from trajectories.errors import SafetyError


class Mode(Enum):
    """What the loop does."""

    FOLLOW = "follow"
    SLEEP = "sleep"
    REST = "rest"
    FAULT = "fault"
    LOST = "lost"


def require_free(mode: Mode, reason: str | None) -> None:
    """Refuse motion while something is latched.

    Raises:
        SafetyError: With the reason.
    """
    if mode in (Mode.REST, Mode.FAULT, Mode.LOST):
        what = "rests" if mode is Mode.REST else "holds"
        raise SafetyError(f"The arm {what} and takes no commands. {reason}")


def require_person(person: str) -> None:
    """Refuse a word that nobody gave.

    Raises:
        SafetyError: Without a name.
    """
    if not person.strip():
        raise SafetyError("A fault can only be cleared by a person who gives a name: call clear('your name').")
