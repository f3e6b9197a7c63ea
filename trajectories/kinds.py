"""What an episode was recorded for, in its metadata under `KIND_KEY`.

Most kinds (demo, failure, prior) show the task and teach everybody. Two are for perception alone: nobody should
imitate their actions.
"""

from __future__ import annotations

from typing import Final

from trajectories.types import Episode

KIND_KEY: Final = "kind"
PLAY: Final = "play"
"""The arm handles the object at will: teaches the policy's encoder where things are."""
AFTERMATH: Final = "aftermath"
"""The arm has gone home after a success or a failure and looks at what it left: teaches the judge that a task stays
done when the arm has gone."""


def kind_of(episode: Episode) -> str | None:
    """The kind, or None where nobody noted one."""
    kind = episode.metadata.get(KIND_KEY)
    return kind if isinstance(kind, str) else None
