"""`Batch`: the tensors of one update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from trajectories.errors import ConfigError


@dataclass(frozen=True)
class Batch:
    """B transitions of n steps each (fewer at an episode's end).

    Attributes:
        observation: Field -> (B, ...) what was seen; "state" is float32 (B, F).
        next_observation: The same n steps later, from the same episode.
        instruction: int64 (B,) rows of the agent's instruction table.
        action: float32 (B, A) executed, in [-1, 1].
        reward: float32 (B,) discounted sum of the n rewards.
        discount: float32 (B,) gamma^n (1 - terminated): truncation still bootstraps.
        mc_return: float32 (B,) Monte-Carlo return from this transition on.
        imitate: float32 (B,) 1 where behaviour cloning should copy the action, else 0.
        source: uint8 (B,) values of `trajectories.types.Source`.
    """

    observation: Mapping[str, Tensor]
    next_observation: Mapping[str, Tensor]
    instruction: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    mc_return: Tensor
    imitate: Tensor
    source: Tensor

    def __len__(self) -> int:
        """B."""
        return len(self.action)

    @property
    def state(self) -> Tensor:
        """float32 (B, F)."""
        return self.observation["state"]

    @property
    def start_state(self) -> Tensor:
        """float32 (B, F): the observation as the anchor sees it, through the encoder of its own if it has one."""
        return self.observation.get("start", self.state)

    @property
    def next_state(self) -> Tensor:
        """float32 (B, F)."""
        return self.next_observation["state"]

    def minibatches(self, count: int) -> list[Batch]:
        """`count` equal batches, every count-th transition each, so that a mixed batch stays mixed.

        Raises:
            ConfigError: When B is not a multiple of `count`.
        """
        if count < 1 or len(self) % count:
            raise ConfigError(
                f"a batch of {len(self)} can't be split into {count} equal minibatches; "
                "make the batch size a multiple of the update-to-data ratio"
            )
        return [self] if count == 1 else [self._take(slice(i, None, count)) for i in range(count)]

    def _take(self, rows: slice) -> Batch:
        columns = {name: getattr(self, name)[rows].contiguous() for name in _COLUMNS}
        return Batch(
            observation={name: tensor[rows].contiguous() for name, tensor in self.observation.items()},
            next_observation={name: tensor[rows].contiguous() for name, tensor in self.next_observation.items()},
            **columns,
        )

    @staticmethod
    def concatenate(batches: Sequence[Batch]) -> Batch:
        """One batch of all rows, in order."""
        now, after = batches[0].observation, batches[0].next_observation
        return Batch(
            observation={name: torch.cat([b.observation[name] for b in batches]) for name in now},
            next_observation={name: torch.cat([b.next_observation[name] for b in batches]) for name in after},
            **{name: torch.cat([getattr(b, name) for b in batches]) for name in _COLUMNS},
        )


_COLUMNS = tuple(entry.name for entry in fields(Batch) if not entry.name.endswith("observation"))
