"""What an episode was recorded for, in its metadata under `KIND_KEY`.

Most kinds (demo, failure, prior) show the task and teach everybody. Two are for perception alone: nobody should
imitate their actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

KIND_KEY: Final = "kind"
PLAY: Final = "play"
"""The arm handles the object at will: teaches the policy's encoder where things are."""
AFTERMATH: Final = "aftermath"
"""The arm has gone home after a success or a failure and looks at what it left: teaches the judge that a task stays
done when the arm has gone."""

PARENT_KEY: Final = "parent"
"""In the metadata of an aftermath: the id of the episode whose scene it shows."""


class _Described(Protocol):
    @property
    def metadata(self) -> Mapping[str, Any]: ...


def kind_of(episode: _Described) -> str | None:
    """The kind of an episode, or of one that only its `EpisodeInfo` is there of; None where nobody noted one."""
    kind = episode.metadata.get(KIND_KEY)
    return kind if isinstance(kind, str) else None


def parent_of(episode: _Described) -> str | None:
    """The id of the episode that this one looks back at; None where there is none or nobody noted it."""
    parent = episode.metadata.get(PARENT_KEY)
    return parent if isinstance(parent, str) else None
