"""Settings of an arm's process whose session ended without closing the arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trajectories.errors import ConfigError
from trajectories.numbers import positive


@dataclass(frozen=True)
class OrphanSettings:
    """What the arm's process does when its session ended without closing the arm (`kill -9`, a crash).

    Attributes:
        on_orphan: "hold": stay where it is for `orphan_s`, so that a new session takes the arm over there; "sleep":
            not even that. Afterwards the arm closes as its settings say (`on_close`).
        orphan_s: See above. The loop goes on meanwhile and looks after the servos.
    """

    on_orphan: Literal["hold", "sleep"] = "hold"
    orphan_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ConfigError: Naming it.
        """
        if self.on_orphan not in ("hold", "sleep"):
            raise ConfigError(f"on_orphan must be hold or sleep, got {self.on_orphan!r}.")
        positive("orphan_s", self.orphan_s)

    @property
    def patience_s(self) -> float:
        """Seconds from the session's end to closing."""
        return self.orphan_s if self.on_orphan == "hold" else 0.0
