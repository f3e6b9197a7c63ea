"""Language augmentation: an episode is as true under every other wording of what it does.

A handful of demonstrations shows a handful of wordings; without this the policy has to guess what the others mean, and
takes "place the pot in the sink" for its opposite.

What shows where things are can be asked more: an episode that begins where the other direction ends shows where that
one would put the object, namely where it was first picked up. Successes alone are too few to find a place by: those of
25 demonstrations of `pot_lid` were known by heart (docs/results/robofume.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from trajectories.kinds import AFTERMATH, began_done, kind_of, teaches_actions
from trajectories.types import Direction, Episode, other_direction

Wordings = Mapping[Direction, Sequence[str]]


def reworded(episodes: Iterable[Episode], task: str, wordings: Wordings) -> Iterator[Episode]:
    """Each episode of `task` once under its own and once under every other wording of its direction.

    Args:
        episodes: Of any task; those of others, and play, pass as they are.
        task: Name of the task that `wordings` belong to.
        wordings: Direction -> instructions that mean the same.
    """
    for episode in episodes:
        yield episode
        if episode.task == task and teaches_actions(episode):
            yield from _others(episode, wordings)


def asked_both_ways(
    episodes: Iterable[Episode], task: str, wordings: Wordings, *, began: bool = True
) -> Iterator[Episode]:
    """For what learns places and no actions: successes under every wording, and what began done the other way, too.

    Copies of an episode that began done, play included, are those of the direction that was done then, under each of
    its wordings; `policies.perception.keypoint_labels` reads their place off where the object was first picked up.

    Args:
        episodes: Of any task; those of others pass as they are.
        task: Name of the task that `wordings` belong to.
        wordings: Direction -> instructions that mean the same.
        began: Whether what began done is asked the other way; without it, successes alone are reworded.
    """
    for episode in episodes:
        yield episode
        if episode.task != task:
            continue
        if teaches_actions(episode) and episode.outcome == "success":
            yield from _others(episode, wordings)
        other = other_direction(episode.direction)
        if began and kind_of(episode) != AFTERMATH and began_done(episode) == other:
            yield from _others(replace(episode, direction=other), wordings)


def _others(episode: Episode, wordings: Wordings) -> Iterator[Episode]:
    """Copies under the other wordings of the episode's direction."""
    for text in wordings.get(episode.direction, ()):
        if text != episode.instruction:
            yield replace(episode, instruction=text)
