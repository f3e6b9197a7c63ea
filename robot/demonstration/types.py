"""What goes into and out of a session of demonstrations: the person, the settings, the counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from robot.demonstration.words import Phase, Word
from trajectories.errors import ConfigError
from trajectories.types import DIRECTIONS, Direction, Float32, Outcome


class Person(Protocol):
    """A person at a teleoperation device. No method waits."""

    def action(self, gripper_open: bool) -> Float32:
        """What the person wants in this control step, float32 (7,) in [-1, 1]; a hold when nothing.

        Args:
            gripper_open: What the gripper was told last.
        """
        ...

    def moving(self) -> bool:
        """Whether the device is being moved now; what was asked for until now is forgotten."""
        ...

    def words(self) -> list[Word]:
        """What was said since the last call, oldest first."""
        ...

    @property
    def problem(self) -> str | None:
        """Why the device can't be relied on now, or None."""
        ...


@dataclass(frozen=True)
class Progress:
    """A demonstration at one instant, for people.

    Attributes:
        phase: Where it is.
        direction: "forward" or "backward".
        instruction: What is to be shown.
        steps: Recorded so far.
        elapsed_s: Their time.
        problem: Of the device, or None.
    """

    phase: Phase
    direction: Direction
    instruction: str
    steps: int
    elapsed_s: float
    problem: str | None


@dataclass
class Tally:
    """What became of the episodes.

    Attributes:
        outcomes: Direction -> outcome -> episodes kept.
        dropped: Discarded by the person.
        undone: Removed by the person afterwards.
    """

    outcomes: dict[Direction, dict[Outcome, int]] = field(
        default_factory=lambda: {d: {"success": 0, "failure": 0, "unknown": 0} for d in DIRECTIONS}
    )
    dropped: int = 0
    undone: int = 0

    @property
    def successes(self) -> int:
        """Episodes marked a success, in both directions together."""
        return sum(counts["success"] for counts in self.outcomes.values())

    def __str__(self) -> str:
        """Successes among the episodes of each direction, such as "forward 4 of 5, backward 4 of 4"."""
        return ", ".join(
            f"{way} {counts['success']} of {sum(counts.values())}" for way, counts in self.outcomes.items()
        )


@dataclass(frozen=True)
class DemonstrationOptions:
    """How demonstrations are taken.

    Attributes:
        max_steps: Control steps after which an episode stops and the mark is asked for.
        start_by: "key": the recording begins at a key; "motion": also when the device is moved after it was at rest.
        debounce_s: A key that is pressed again within this time counts once.
        aftermath_steps: Control steps for which the arm looks from home at what an episode left, recorded for the
            success classifier (`robot.rollout.post_episode`); 0: none.
    """

    max_steps: int = 100
    start_by: Literal["key", "motion"] = "key"
    debounce_s: float = 0.5
    aftermath_steps: int = 0

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: Naming the setting.
        """
        if self.max_steps < 1:
            raise ConfigError(f"max_steps is {self.max_steps!r}, expected at least 1 control step.")
        if self.aftermath_steps < 0:
            raise ConfigError(f"aftermath_steps is {self.aftermath_steps!r}, expected 0 or more control steps.")
        if self.start_by not in ("key", "motion"):
            raise ConfigError(f"start_by is {self.start_by!r}, expected key or motion.")
