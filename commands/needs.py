"""What a person has recorded of a task, for each direction, beside what training needs of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from omegaconf import DictConfig

from trajectories.kinds import AFTERMATH, PLAY, kind_of
from trajectories.manifest import EpisodeInfo
from trajectories.types import DIRECTIONS, Direction

SUCCESSES, FAILURES, LOOKS = WHAT = ("successes", "failures", "looks back")


@dataclass(frozen=True)
class Needs:
    """How much of a task training needs.

    Attributes:
        each: What -> how many for each direction: what `collect` records in the twin with this profile, on which the
            published runs were trained.
        least: Successes, and failures, of both directions together without which `train-reward` refuses to begin; 0
            for a reward model of a package outside, which says so itself.
    """

    each: dict[str, int]
    least: int

    def missing(self, counts: Counter[tuple[Direction, str]]) -> list[str]:
        """What is still to be recorded, in words, the hardest limit first; empty when it is enough."""
        found = []
        for what in (SUCCESSES, FAILURES):
            lack = self.least - sum(counts[way, what] for way in DIRECTIONS)
            if lack > 0:
                found.append(f"{lack} more {what} before `regrasp train-reward` begins at all")
        for way in DIRECTIONS:
            found += [f"{way} {n - counts[way, w]} more {w}" for w, n in self.each.items() if counts[way, w] < n]
        return found

    def table(self, counts: Counter[tuple[Direction, str]]) -> str:
        """Counts beside needs as lines for a terminal, with what is missing or that it is enough."""
        lines = [f"{'recorded of what is needed':28}" + "".join(f"{way:>14}" for way in DIRECTIONS)]
        for what, needed in self.each.items():
            lines.append(f"{what:28}" + "".join(f"{f'{counts[way, what]} of {needed}':>14}" for way in DIRECTIONS))
        missing = self.missing(counts)
        lines.append(f"Not enough yet: {'; '.join(missing)}." if missing else ENOUGH)
        return "\n".join(lines)


ENOUGH = "It is enough to train on: `regrasp train-reward` and `regrasp pretrain`. More makes both better."


def needs_of(config: DictConfig) -> Needs:
    """What the settings' profile and reward model need."""
    from rewards.config import RewardConfig
    from rewards.registry import KINDS

    amounts, reward = config.collect, config.reward
    own = reward.get("kind") is None or str(reward.kind) in KINDS.own
    return Needs(
        {SUCCESSES: int(amounts.demos), FAILURES: int(amounts.failures), LOOKS: int(amounts.aftermath)},
        int(reward.get("folds", RewardConfig.folds)) if own else 0,
    )


def recorded(infos: Iterable[EpisodeInfo], task: str) -> Counter[tuple[Direction, str]]:
    """(direction, what) -> episodes of the task, whoever recorded them; play and unmarked ones don't count."""
    counts: Counter[tuple[Direction, str]] = Counter()
    for info in infos:
        if info.task != task or info.outcome == "unknown" or kind_of(info) == PLAY:
            continue
        attempt = SUCCESSES if info.outcome == "success" else FAILURES
        counts[info.direction, LOOKS if kind_of(info) == AFTERMATH else attempt] += 1
    return counts


class Watch:
    """Says once, in a session, when it is enough.

    Args:
        needs: What is needed.
        task: Of which task.
        infos: What the store holds.
    """

    def __init__(self, needs: Needs, task: str, infos: Iterable[EpisodeInfo]) -> None:
        self._needs, self._task = needs, task
        self._enough = not needs.missing(recorded(infos, task))

    def after(self, infos: Iterable[EpisodeInfo]) -> str | None:
        """What to tell the person after an episode was kept: that it is enough, when it has just become so."""
        before, self._enough = self._enough, not self._needs.missing(recorded(infos, self._task))
        return ENOUGH if self._enough and not before else None
