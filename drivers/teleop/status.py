"""Describe the state of an input device for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Where a device is."""

    CLOSED = "closed"
    CONNECTED = "connected"
    LOST = "lost"


@dataclass(frozen=True)
class DeviceStatus:
    """A device at one instant.

    Attributes:
        name: Kind of device, as in `open_device`.
        where: Path, socket or product name.
        state: Where it is; a lost device is opened again in the background.
        events: Reports received in all.
        age_s: Since the newest one, None before the first.
        reconnects: How often it was opened again.
        problem: Why it can't be relied on now, or None.
    """

    name: str
    where: str
    state: State
    events: int
    age_s: float | None
    reconnects: int
    problem: str | None
