"""Two reward models on the same episodes, of which persons said how they ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rewards.frames import OTHER, label_frames
from rewards.kind import LoadedReward, counting, observations_of
from robot.interfaces import ConcludingReward
from trajectories.types import Episode
from trajectories.verdicts import judged_at_its_end, was_missed


@dataclass(frozen=True)
class Mistakes:
    """What a reward model decides wrongly.

    Attributes:
        false_done: Failures that it would end as done, and successes long before they were done.
        false_not_done: Successes that it would not end.
        episodes: How many it was asked about.
    """

    false_done: int
    false_not_done: int
    episodes: int

    @property
    def total(self) -> int:
        """Episodes decided wrongly."""
        return self.false_done + self.false_not_done

    def better_than(self, other: Mistakes) -> bool:
        """Whether these are fewer than another's on the same episodes, and no more of them falsely done."""
        return self.total < other.total and self.false_done <= other.false_done

    def __str__(self) -> str:
        """In words."""
        return (
            f"{self.total} of {self.episodes} wrong ({self.false_done} falsely done, {self.false_not_done} falsely not "
            "done)"
        )


def mistakes_of(judge: LoadedReward, episodes: Iterable[Episode]) -> Mistakes:
    """What a reward model would have decided, frame after frame, as in a session.

    An episode that its own judge ended as done has no frames after that moment, so a reward model that would need one
    or two more counts as saying done when the last frame is above its threshold.

    Args:
        judge: Knows their instructions.
        episodes: By the outcomes that persons said (`trajectories.verdicts.VerdictBook.judged`); those of unknown
            outcome don't count.
    """
    false_done = false_not_done = count = 0
    for episode in episodes:
        if episode.outcome == "unknown":
            continue
        count += 1
        stop = _stop(judge, episode)
        if episode.outcome == "failure":
            false_done += stop is not None
        elif stop is None:
            false_not_done += 1
        else:
            counts = counting(judge, episode)
            labels = label_frames(len(episode), "success", missed=was_missed(episode), counts=counts)
            false_done += bool(labels[stop] == OTHER)
    return Mistakes(false_done, false_not_done, count)


def _stop(judge: LoadedReward, episode: Episode) -> int | None:
    """Index of the observation at which it would say done, or None; a session doesn't ask about the first one."""
    judge.reset(episode.instruction)
    cut = judged_at_its_end(episode) == "success"
    for index, observation in enumerate(observations_of(episode)):
        reading = judge.update(observation)
        if index == 0:
            judge.reset(episode.instruction)
        elif reading.done or (cut and index == len(episode) and reading.above):
            return index
    if isinstance(judge, ConcludingReward):
        conclusion = judge.conclude()
        return len(episode) if conclusion is not None and conclusion.done else None
    return None
