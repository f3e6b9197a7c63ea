"""`ReplayEpisode`: an episode as replay takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from policies.common.ranks import Ranks
from policies.replay.frame_ring import own_rows
from policies.replay.replay import Replay
from trajectories.types import Bool, Float32, UInt8


@dataclass(frozen=True)
class ReplayEpisode:
    """An episode as replay takes it.

    Attributes:
        frames: Field -> (T + 1, ...), see `Perception.frames`.
        executed: float32 (T, 7).
        rewards: float32 (T,).
        terminated: bool (T,).
        truncated: bool (T,).
        mc_returns: float32 (T,).
        source: uint8 (T,).
        instructions: Rows of the text table: of every wording that it is held under.
        imitate: bool (T,) steps worth copying: an expert's or a person's, in a success.
        gain: float32 (T,) progress that each step gained; None where that doesn't count.
        begins: Where `frames` has only what one rank keeps of them: the running number of the first of all.
    """

    frames: Mapping[str, NDArray[Any] | Tensor]
    executed: Float32
    rewards: Float32
    terminated: Bool
    truncated: Bool
    mc_returns: Float32
    source: UInt8
    instructions: tuple[int, ...]
    imitate: Bool
    gain: Float32 | None = None
    begins: int | None = None

    def __len__(self) -> int:
        """T."""
        return len(self.executed)

    def thinned(self, ranks: Ranks, first: int) -> ReplayEpisode:
        """The same with what this rank keeps of the frames, where these will begin with number `first` in a replay."""
        if ranks.count == 1:
            return self
        return replace(self, frames=own_rows(self.frames, ranks, first), begins=first)

    def add_to(self, replay: Replay) -> None:
        """Append to a replay of the same fields."""
        replay.add_episode(
            self.frames, self.executed, self.rewards, self.terminated, self.truncated,
            self.mc_returns, self.source, self.instructions, self.imitate, self.gain, self.begins,
        )  # fmt: skip
