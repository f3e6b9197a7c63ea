"""Batches of which each store gives a fixed share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from policies.common.batch import Batch
from policies.replay.choosing import gathered
from policies.replay.mixed_replay import MixedReplay
from trajectories.errors import ConfigError


class StoreShares:
    """Draws a fixed number of every batch from each store's transitions."""

    def __init__(self, parts: Sequence[MixedReplay], shares: Sequence[float]) -> None:
        """Mix the stores.

        Args:
            parts: Of each store; an empty one has the share 0.
            shares: Of each store, together 1.
        """
        self._parts, self._shares = parts, shares

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` transitions, of each store as many as `apportioned` says, in the order of the stores."""
        counts = apportioned(self._shares, batch_size)
        drawn = [part.choose(count) for part, count in zip(self._parts, counts, strict=True) if count]
        return gathered([one for chosen in drawn for one in chosen])

    def state_dict(self) -> dict[str, Tensor]:
        """The state of all stores' draws."""
        states = [(f"store{i}.", part.state_dict()) for i, part in enumerate(self._parts)]
        return {prefix + name: tensor for prefix, state in states for name, tensor in state.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the draws, once the stores hold the same episodes again.

        Raises:
            ConfigError: As `MixedReplay.load_state_dict`.
        """
        for i, part in enumerate(self._parts):
            prefix = f"store{i}."
            own = {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
            part.load_state_dict(own)


def apportioned(shares: Sequence[float], count: int) -> list[int]:
    """Whole numbers that add up to `count`: the shares of it, of which the largest remainders are rounded up.

    Args:
        shares: Together 1.
        count: What is shared out.
    """
    exact = [share * count for share in shares]
    whole = [math.floor(value + 1e-9) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: (whole[i] - exact[i], i))
    for i in by_remainder[: count - sum(whole)]:
        whole[i] += 1
    return whole


def require_shares(shares: Sequence[float], stores: int) -> None:
    """Refuse shares that are none of so many stores.

    Raises:
        ConfigError: Another number of them, a negative one, or a sum that isn't 1.
    """
    if len(shares) != stores or any(share < 0 for share in shares) or abs(sum(shares) - 1.0) > 1e-6:
        raise ConfigError(
            f"data_shares={list(shares)} are no shares of {stores} stores; expected one for each store of `data`, none "
            "negative, that add up to 1. Leave data_shares out to draw from all stores as from one."
        )
