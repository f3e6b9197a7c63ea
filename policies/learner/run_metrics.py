"""What a fine-tuning run writes about its episodes and its losses, and the training stream's own success."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from policies.learner.metrics import MetricsLog
from policies.learner.rate_limiter import UpdateRateLimiter
from policies.replay.dataset import ReplayEpisode
from trajectories.kinds import actor_of, referee_of, was_unsure
from trajectories.manifest import EpisodeInfo, describe
from trajectories.types import DIRECTIONS, Direction, Episode, Outcome

WINDOW = 20


class TrainingRecord:
    """Success of the last `WINDOW` judged episodes of each direction."""

    def __init__(self) -> None:
        self._recent: dict[str, deque[tuple[str, Outcome]]] = {name: deque(maxlen=WINDOW) for name in DIRECTIONS}

    def count(self, id: str, direction: Direction, outcome: Outcome) -> None:
        """Count an episode, unless its outcome is unknown."""
        if outcome != "unknown":
            self._recent[direction].append((id, outcome))

    def correct(self, id: str, direction: Direction, outcome: Outcome) -> None:
        """Let another outcome of an episode count, if it is still in the window."""
        recent = self._recent[direction]
        for place, (known, _) in enumerate(recent):
            if known == id:
                recent[place] = (id, outcome)

    def rates(self) -> dict[str, float]:
        """The success rates as entries for the metrics."""
        return {f"training_success/{name}": self.rate(name) for name in DIRECTIONS}

    def rate(self, direction: Direction) -> float:
        """Success rate of the window; NaN when it is empty."""
        judged = [outcome for _, outcome in self._recent[direction] if outcome != "unknown"]
        return judged.count("success") / len(judged) if judged else math.nan


class StreamCounts:
    """What came of a run's training stream, or of one actor's part of it.

    Attributes:
        steps: Environment steps, those of episodes that `was_unsure` left out.
        episodes: How many came.
        unsure: How many of them `was_unsure`.
        record: Success.
    """

    def __init__(self) -> None:
        self.steps = self.episodes = self.unsure = 0
        self.record = TrainingRecord()

    def count(self, info: EpisodeInfo, *, learned: bool) -> None:
        """Count an episode; one that isn't `learned` from `was_unsure`."""
        self.record.count(info.id, info.direction, info.outcome)
        self.steps += info.length if learned else 0
        self.unsure += not learned
        self.episodes += 1

    def correct(self, info: EpisodeInfo, outcome: Outcome, *, late: bool) -> None:
        """Let another outcome of an episode count, see `RunMetrics.write_verdict`."""
        if late:
            self.steps += info.length
            self.unsure -= 1
            self.record.count(info.id, info.direction, outcome)
        self.record.correct(info.id, info.direction, outcome)

    def success(self) -> dict[str, float | None]:
        """Direction -> success rate of the newest judged episodes; None without any."""
        rates = {name: self.record.rate(name) for name in DIRECTIONS}
        return {name: None if math.isnan(rate) else rate for name, rate in rates.items()}


class RunMetrics:
    """The metrics of a run over all its starts; one thread writes.

    Attributes:
        whole: What came of the run.
        actors: Name -> what came of it; episodes of before actors had names are in no actor's counts.
    """

    def __init__(self, folder: Path, progress: Mapping[str, Any]) -> None:
        """Go on in the same files.

        Args:
            folder: Of the metrics.
            progress: Of the checkpoint: "updates" and "wall_s" of all starts before; empty for a new run.
        """
        self.whole = StreamCounts()
        self.actors: dict[str, StreamCounts] = {}
        self._log = MetricsLog(folder)
        self._before, self._started = float(progress.get("wall_s", 0.0)), time.monotonic()
        self._rate_from = (int(progress.get("updates", 0)), self._started)

    @property
    def wall_s(self) -> float:
        """Seconds that learners of this run have been up."""
        return self._before + time.monotonic() - self._started

    def success(self, direction: Direction) -> float:
        """Success rate of the newest judged episodes; NaN without any."""
        return self.whole.record.rate(direction)

    def count(self, info: EpisodeInfo) -> None:
        """Count an episode that was written about before, with the outcome that counts now."""
        self._count(info, learned=not was_unsure(info))

    def write_episode(
        self,
        episode: Episode,
        encoded: ReplayEpisode | None,
        figures: Callable[[str], Mapping[str, float]] = lambda name: {},
    ) -> None:
        """Count an episode that has just come, and write about it.

        The twin's predicate (`metadata["evaluation"]`), where there is one, is written beside the judge's word so
        that the judge's errors can be seen; nothing learns from it.

        Args:
            episode: As the actor sent it.
            encoded: As replay takes it; None where it `was_unsure`.
            figures: Gives those of the actor that it is of, by name, once it is counted. Those of all actors come with
                the losses: written with every episode they would grow with the square of the arms.
        """
        self._count(describe(episode), learned=encoded is not None)
        entry: dict[str, float | str] = {
            "episode/direction": episode.direction,
            "episode/outcome": episode.outcome,
            "episode/length": float(len(episode)),
        }
        if encoded is not None:
            entry["episode/return"] = float(encoded.rewards.sum())
        if (predicate := referee_of(episode)) is not None:
            entry["episode/predicate"] = float(predicate)
        entry |= self.whole.record.rates()
        if name := actor_of(episode):
            entry |= {"episode/actor": name, **figures(name)}
        self._log.write(self.whole.steps, self.wall_s, entry)

    def write_verdict(self, info: EpisodeInfo, outcome: Outcome, *, late: bool = False) -> None:
        """Let a person's word count in the success of the training stream, and write about it.

        Args:
            info: Of the episode, as the judge left it.
            outcome: That counts now.
            late: It `was_unsure` before, so that its steps didn't count.
        """
        for counts in self._counts_of(info):
            counts.correct(info, outcome, late=late)
        entry: dict[str, float | str] = {"verdict/episode": info.id, "verdict/outcome": outcome}
        entry |= {"verdict/judged": info.outcome, **self.whole.record.rates()}
        self._log.write(self.whole.steps, self.wall_s, entry)

    def write_losses(
        self, losses: dict[str, float], pace: UpdateRateLimiter, figures: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        """Write the newest losses, updates due, updates a second since the last call, and figures of all actors."""
        updates, now = pace.updates, time.monotonic()
        before, since = self._rate_from
        rates = {"updates_per_s": (updates - before) / max(now - since, 1e-9), "owed": float(pace.owed)}
        self._log.write(pace.trained_steps, self.wall_s, {**losses, **rates, **figures})
        self._rate_from = (updates, now)

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._log.flush()

    def close(self) -> None:
        """Flush and close."""
        self._log.close()

    def _count(self, info: EpisodeInfo, *, learned: bool) -> None:
        for counts in self._counts_of(info):
            counts.count(info, learned=learned)

    def _counts_of(self, info: EpisodeInfo) -> tuple[StreamCounts, ...]:
        """Those that an episode is in: the run's and, where it has one, its actor's."""
        name = actor_of(info)
        return (self.whole,) if name is None else (self.whole, self.actors.setdefault(name, StreamCounts()))
