"""`Launch`: which of the processes of one training this is, as `torchrun` tells each by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from trajectories.errors import ConfigError

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@dataclass(frozen=True)
class Launch:
    """A process among those of one training.

    Attributes:
        rank: Its number, 0 ... count - 1.
        count: Processes on all machines.
        local_rank: Its number on this machine, and that of its GPU.
        local_count: Processes on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Launch:
        """That of an environment; a process by itself where `torchrun` didn't start it.

        Raises:
            ConfigError: A variable is no number.
        """
        if "RANK" not in environment or "MASTER_ADDR" not in environment:
            return cls()
        try:
            return cls(*(int(environment[name]) for name in _VARIABLES))
        except (KeyError, ValueError) as error:
            raise ConfigError(
                f"RANK is set, but not all of {', '.join(_VARIABLES)} are numbers ({error}). `torchrun` sets them for "
                "each process that it starts; unset RANK to run a process by itself."
            ) from error

    def device(self, kind: str) -> str:
        """The torch device of this process, of "cpu" or "cuda": each has a GPU of its own."""
        return f"cuda:{self.local_rank}" if kind == "cuda" and self.count > 1 else kind
