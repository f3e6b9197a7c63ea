"""Summarise a session's state in one colour and a few words that can be read from across the room."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from robot.console.state import STREAMING, ConsoleState

SILENT_S = 5.0
"""A state older than this is no news."""
WARM_C = 12.0
"""So far below a servo's own limit, degrees C, people are warned. By default the arm's driver rests 8 below it."""
_WHO = {"policy": "The policy acts", "person": "A person acts", "nobody": "Nobody acts"}
_OLD = "What you see here is old. Look at the arm and at the session's terminal."
_CLEAR = 'Then enter your name and press "clear".'


@dataclass(frozen=True)
class Light:
    """The safety state.

    Attributes:
        level: Green: all is well. Amber: a person is needed or should look. Red: the arm takes no commands. Grey:
            nobody is there.
        title: In big letters.
        text: What is the case.
        advice: What to do, or empty.
        word: The word that answers it, "clear" or "ready", or empty.
        faults: Ids that the word "clear" names here.
    """

    level: Literal["green", "amber", "red", "grey"]
    title: str
    text: str
    advice: str = ""
    word: str = ""
    faults: tuple[str, ...] = ()


def light_of(state: ConsoleState, now_s: float) -> Light:
    """The worst that is the case.

    Args:
        state: Of the session.
        now_s: Unix time.
    """
    ids = tuple(fault.id for fault in state.faults)
    if state.mode == "rest":
        text = state.fault or "The arm went to its sleep pose to protect its servos."
        return Light("amber", "AT REST", text, f"Look at the arm and remove the cause. {_CLEAR}", "clear", ids)
    held = bool(ids) and all(fault.kind == "hold" for fault in state.faults)
    if state.fault is not None or state.mode in ("fault", "lost"):
        return Light(
            "red",
            "ARM LOST" if state.mode == "lost" else "HOLD" if held else "FAULT",
            state.fault or "The arm's driver gave no reason.",
            f"Look at the arm and hold it if it has no torque. Remove the cause. {_CLEAR}",
            "clear",
            ids,
        )
    if state.waiting_for:
        return _waiting(state.waiting_for)
    silent_s = now_s - state.updated_s
    if silent_s > SILENT_S:
        return Light("amber", "NO NEWS", f"The session has said nothing new for {silent_s:.0f} s.", _OLD)
    if state.stale is not None:
        return Light("amber", "NO NEWS", f"The arm says nothing new. {state.stale}", _OLD)
    for name, camera in sorted(state.cameras.items()):
        if camera.state != STREAMING:
            error = f" ({camera.last_error})" if camera.last_error else ""
            return Light("amber", "CAMERA", f"Camera {name} is {camera.state}{error}.", "Check its cable.")
    for servo in state.servos:
        if servo.temperature is None or servo.temperature_limit is None:
            continue
        if servo.temperature > servo.temperature_limit - WARM_C:
            text = f"{servo.name} has {servo.temperature:.0f} °C, its limit is {servo.temperature_limit:.0f} °C."
            return Light("amber", "HOT", text, "The arm will rest soon. Let it cool.")
    return Light("green", "ALL WELL", f"{_WHO.get(state.acting, state.acting)}{_where(state)}.")


def _waiting(what: str) -> Light:
    """For a session that asks for something; it names the word that it waits for, if it waits for one."""
    word = next((word for word in ("ready", "clear") if re.search(rf"\b{word}\b", what)), "")
    advice = {"ready": 'When it is done, press "ready".', "clear": _CLEAR}.get(word, "It goes on by itself after that.")
    return Light("amber", "WAITING FOR YOU", what, advice, word)


def _where(state: ConsoleState) -> str:
    if state.acting == "nobody":
        return ""
    limit = f" of {state.max_steps}" if state.max_steps else ""
    return f", {state.direction or 'episode'}, step {state.step}{limit}"
