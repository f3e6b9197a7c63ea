"""What a session has counted: outcomes of both directions, helps, failures and doubts in a row."""

from __future__ import annotations

from dataclasses import dataclass, field

from trajectories.kinds import was_displaced, was_unsure
from trajectories.types import DIRECTIONS, Direction, Episode, Outcome


@dataclass
class SessionStats:
    """What happened since the session began.

    Attributes:
        episodes: Recorded episodes.
        steps: Their control steps.
        outcomes: Direction -> the outcomes that count, in order: a person's, else the judge's; `unknown` ones were cut
            short by a fault or to set down elsewhere what was held, or the judge was unsure.
        helps: Reason -> how often help was asked for.
        skipped: Episodes not begun because their goal was already reached.
        displaced: Episodes that set down elsewhere what they held.
        consecutive_failures: Since the last success or help, by direction, and by both together under "any".
        consecutive_unsure: Episodes in a row whose end the judge was unsure about, since the last help.
    """

    episodes: int = 0
    steps: int = 0
    outcomes: dict[Direction, list[Outcome]] = field(default_factory=lambda: {d: [] for d in DIRECTIONS})
    helps: dict[str, int] = field(default_factory=dict)
    skipped: int = 0
    displaced: int = 0
    consecutive_failures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("any", *DIRECTIONS), 0))
    consecutive_unsure: int = 0
    _ids: dict[Direction, list[str]] = field(default_factory=lambda: {d: [] for d in DIRECTIONS})

    def success_rate(self, direction: Direction, last: int | None = None) -> float:
        """Fraction of the judged episodes (the `last` ones or all) that succeeded; NaN when there is none."""
        judged = [outcome for outcome in self.outcomes[direction] if outcome != "unknown"]
        judged = judged[-last:] if last else judged
        return judged.count("success") / len(judged) if judged else float("nan")

    def count(self, episode: Episode, outcome: Outcome) -> None:
        """Add a finished episode with the outcome that counts."""
        self.episodes += 1
        self.steps += len(episode)
        self.displaced += was_displaced(episode)
        self.outcomes[episode.direction].append(outcome)
        self._ids[episode.direction].append(episode.id)
        if outcome != "unknown":
            self.consecutive_unsure = 0
        elif was_unsure(episode):
            self.consecutive_unsure += 1
        self._lengthen_row(episode.direction, outcome)

    def correct(self, id: str, direction: Direction, outcome: Outcome) -> None:
        """Let another outcome of an episode count; a person who says so has looked, so the row of failures ends there.

        A failure that passed for a success is the first of a new row.
        """
        if id in self._ids[direction]:
            self.outcomes[direction][self._ids[direction].index(id)] = outcome
        self.forgive()
        self._lengthen_row(direction, outcome)

    def _lengthen_row(self, direction: Direction, outcome: Outcome) -> None:
        for row in ("any", direction):
            if outcome == "success":
                self.consecutive_failures[row] = 0
            elif outcome == "failure":
                self.consecutive_failures[row] += 1

    def forgive(self) -> None:
        """A new row of failures and of doubts begins, as after help."""
        self.consecutive_unsure = 0
        self.consecutive_failures = dict.fromkeys(self.consecutive_failures, 0)
