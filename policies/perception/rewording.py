"""Language augmentation: an episode is as true under every other wording of what it does.

A handful of demonstrations shows a handful of wordings; without this the policy has to guess what the others mean, and
takes "place the pot in the sink" for its opposite.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from trajectories.kinds import teaches_actions
from trajectories.types import Direction, Episode

Wordings = Mapping[Direction, Sequence[str]]


def reworded(
    episodes: Iterable[Episode], task: str, wordings: Wordings, *, successes_only: bool = False
) -> Iterator[Episode]:
    """Each episode of `task` once under its own and once under every other wording of its direction.

    Args:
        episodes: Of any task; those of others, and play, pass as they are.
        task: Name of the task that `wordings` belong to.
        wordings: Direction -> instructions that mean the same.
        successes_only: Copy successes alone.
    """
    for episode in episodes:
        yield episode
        wanted = episode.task == task and teaches_actions(episode)
        if wanted and (episode.outcome == "success" or not successes_only):
            for text in wordings.get(episode.direction, ()):
                if text != episode.instruction:
                    yield replace(episode, instruction=text)
