"""What an episode was recorded for, in its metadata under `KIND_KEY`.

Most kinds (demo, failure, prior) show the task and teach everybody. Two are for perception alone: nobody should
imitate their actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from trajectories.types import Outcome

KIND_KEY: Final = "kind"
PLAY: Final = "play"
"""The arm handles the object at will: teaches the policy's encoder where things are."""
AFTERMATH: Final = "aftermath"
"""The arm has gone home after a success or a failure and looks at what it left: teaches the judge that a task stays
done when the arm has gone."""

PARENT_KEY: Final = "parent"
"""In the metadata of an aftermath: the id of the episode whose scene it shows."""

UNSURE_KEY: Final = "unsure"
"""In the metadata of an episode whose end the judge was unsure about: {"would_be": the outcome that it leant to}."""

FROM_HOME_KEY: Final = "from_home"
"""In the metadata of an episode whose end was looked at once more with the arm at home: {"judged": the outcome at its
end, "tried" and "undone": the probability of its direction's goal and of the other one}, or {"fault": why there is no
such look}."""

BEGAN_DONE_KEY: Final = "began_done"
"""In the metadata of an episode at whose beginning a direction of the task was done, and whose object lay where that
one would put it: that direction. Noted as the episode is recorded; a later word about the one before leaves it."""

DISPLACED_KEY: Final = "displaced"
"""In the metadata of an episode that ended as soon as its object was held, which the arm then set down elsewhere:
{"to": x, y, z in m and yaw in rad, "there": whether it got there with it}; empty where a fault came between."""

ACTOR_KEY: Final = "actor"
"""In the metadata of an episode of fine-tuning: the name of the actor that ran it."""


class _Described(Protocol):
    @property
    def metadata(self) -> Mapping[str, Any]: ...


class _Judged(_Described, Protocol):
    @property
    def outcome(self) -> Outcome: ...


def kind_of(episode: _Described) -> str | None:
    """The kind of an episode, or of one that only its `EpisodeInfo` is there of; None where nobody noted one."""
    kind = episode.metadata.get(KIND_KEY)
    return kind if isinstance(kind, str) else None


def parent_of(episode: _Described) -> str | None:
    """The id of the episode that this one looks back at; None where there is none or nobody noted it."""
    parent = episode.metadata.get(PARENT_KEY)
    return parent if isinstance(parent, str) else None


def began_done(episode: _Described) -> str | None:
    """The direction that was done as the episode began; None where none was or nobody noted it."""
    direction = episode.metadata.get(BEGAN_DONE_KEY)
    return direction if isinstance(direction, str) else None


def actor_of(episode: _Described) -> str | None:
    """The name of the actor that ran an episode; None where nobody noted one."""
    name = episode.metadata.get(ACTOR_KEY)
    return name if isinstance(name, str) and name else None


def is_attempt(episode: _Described) -> bool:
    """Whether somebody tried the task in it: it is neither play nor a look back."""
    return kind_of(episode) not in (PLAY, AFTERMATH)


def referee_of(episode: _Described) -> bool | None:
    """What the twin's predicate said of what an episode left, for evaluation alone; None where it didn't.

    Once the arm was home, where it got there; else, and in stores of before that was asked, at the episode's end.
    """
    said = episode.metadata.get("evaluation") or {}
    left = said.get("left", said.get("success"))
    return None if left is None else bool(left)


def done_at_its_end(episode: _Described) -> bool | None:
    """What the twin's predicate said at an episode's last step, perhaps with a finger on the object; None: nothing."""
    said = (episode.metadata.get("evaluation") or {}).get("success")
    return None if said is None else bool(said)


def was_unsure(episode: _Judged) -> bool:
    """Whether nobody knows how an episode went because the judge was unsure: nothing is learned from its actions.

    No longer so once somebody has said its outcome. Unlike an episode that a fault cut short, whose steps the judge all
    saw undone, it may well have been a success, and steps that cost -1 would say that it was not.
    """
    return episode.outcome == "unknown" and UNSURE_KEY in episode.metadata


def was_displaced(episode: _Described) -> bool:
    """Whether an episode was ended, undone, to set down elsewhere what it held: its steps count, it has no outcome."""
    return DISPLACED_KEY in episode.metadata


def teaches_actions(episode: _Judged) -> bool:
    """Whether a policy may learn from its actions: it is neither play nor a look back, nor `was_unsure`."""
    return is_attempt(episode) and not was_unsure(episode)
