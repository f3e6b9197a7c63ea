"""Settings of a replay that hold on every path: on the robot's data and in Gymnasium, offline and online."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from policies.common.ranks import ALONE, Ranks
from policies.replay.choices import Keep, require_keep
from policies.replay.replay import Replay
from policies.replay.replay_memory import available_bytes, replay_bytes
from policies.replay.ring_buffer import Fields
from policies.replay.source_weights import ALIKE, SourceWeights
from trajectories.errors import ConfigError
from trajectories.types import ACTION_SIZE

_SHARE = 0.5
"""Of a GPU's free memory: more than that "auto" leaves to networks and activations."""


@dataclass(frozen=True)
class ReplaySettings:
    """How transitions are made, and where they are kept.

    Attributes:
        n_step: Steps of each transition.
        keep: Where frames and transitions lie: "cpu" in the host's memory, "cuda" in the GPU's, "auto" beside the
            updates unless that takes more than half of the GPU's free memory.
    """

    n_step: int = 1
    keep: Keep = "auto"

    def __post_init__(self) -> None:
        require_keep(self.keep)

    def empty(
        self,
        capacity: int,
        fields: Fields,
        *,
        gamma: float,
        action_size: int = ACTION_SIZE,
        transitions: int | None = None,
        device: torch.device | str = "cpu",
        weights: SourceWeights | None = None,
        seed: int = 0,
        ranks: Ranks = ALONE,
        kind: type[Replay] = Replay,
    ) -> Replay:
        """An empty replay of these settings; arguments and errors as `Replay`."""
        own = -(-capacity // ranks.count)
        needed = replay_bytes(own, transitions or capacity, fields, action_size, weights or ALIKE)
        storage = self.storage_device(device, needed)
        return kind(
            capacity, fields, gamma=gamma, n_step=self.n_step, action_size=action_size, transitions=transitions,
            device=device, storage_device=storage, weights=weights, seed=seed, ranks=ranks,
        )  # fmt: skip

    def storage_device(self, device: torch.device | str, needed: int) -> torch.device:
        """Where a replay of `needed` bytes is to lie whose batches arrive on `device`.

        Raises:
            ConfigError: On the GPU, for updates on the processor.
        """
        device = torch.device(device)
        if self.keep == "cuda" and device.type != "cuda":
            raise ConfigError(
                f"replay.device=cuda keeps transitions on a GPU, and updates are done on {device.type}. Set "
                "compute=cuda, or replay.device=auto."
            )
        if self.keep != "auto" or device.type != "cuda":
            return torch.device("cpu") if self.keep == "cpu" else device
        available = available_bytes(device)
        return torch.device("cpu") if available is not None and needed > _SHARE * available else device
