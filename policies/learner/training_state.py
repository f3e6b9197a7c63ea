"""What a checkpoint of training online holds, whatever file it lies in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from policies.agent.agent import Agent
from trajectories.conditions import GO_ON, require_same_identity


@dataclass(frozen=True)
class TrainingState:
    """An agent and how far its training is.

    Attributes:
        agent: Ready to go on.
        identity: What it began with and is trained by, plain JSON.
        progress: Counters, plain JSON; empty for a training that begins.
        draws: State of the draws from replay, on the CPU; empty for a training that begins.
    """

    agent: Agent
    identity: Mapping[str, Any]
    progress: Mapping[str, Any] = field(default_factory=dict)
    draws: Mapping[str, Tensor] = field(default_factory=dict)


class CheckpointFile(Protocol):
    """A file in which a training keeps its state, in a format of its own."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    def read(self) -> TrainingState:
        """Read the state back.

        Raises:
            CheckpointError: The file is damaged, incomplete or doesn't fit.
        """

    def write(self, state: TrainingState) -> None:
        """Write the state; the file is there whole or not at all.

        Raises:
            CheckpointError: The disk refuses.
        """


def begin_or_resume(
    file: CheckpointFile,
    identity: Mapping[str, Any],
    begin: Callable[[], Agent],
    what: str | None = None,
    advice: str = GO_ON,
) -> TrainingState:
    """The state of the file, or that of a new training when there is no file.

    Args:
        file: The checkpoint.
        identity: What the training begins with and is trained by; a file of anything else is refused.
        begin: Makes the agent of a new training.
        what: What goes on, for the message of a refusal; None for the checkpoint.
        advice: What to do then.

    Raises:
        CheckpointError: The file is of something else, or can't be read.
    """
    if not file.path.exists():
        return TrainingState(begin(), identity)
    saved = file.read()
    require_same_identity(saved.identity, identity, what or f"The checkpoint {file.path}", advice)
    return saved
