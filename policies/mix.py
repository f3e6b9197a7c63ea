"""Batches mixed from two replays, as RoboFuME, Cal-QL and RLPD train online."""

from __future__ import annotations

from policies.batch import Batch
from policies.replay import Replay
from trajectories.errors import ConfigError


class MixedReplay:
    """Draws a fixed share of every batch from offline data and the rest from online data."""

    def __init__(self, online: Replay, offline: Replay, offline_ratio: float) -> None:
        """Mix two replays.

        Args:
            online: Filled while the robot acts.
            offline: Demonstrations and prior data.
            offline_ratio: Share of the batch drawn from `offline`, 0 ... 1.

        Raises:
            ConfigError: When the ratio is out of range.
        """
        if not 0 <= offline_ratio <= 1:
            raise ConfigError(f"offline_ratio={offline_ratio} is out of range; expected a share between 0 and 1")
        self.online, self.offline, self.offline_ratio = online, offline, offline_ratio

    def __len__(self) -> int:
        """Online transitions: what decides when updates may start."""
        return len(self.online)

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` transitions; `Batch.minibatches` keeps the share in each of its parts.

        Raises:
            ConfigError: When a replay that is drawn from is empty.
        """
        offline = round(batch_size * self.offline_ratio)
        if offline == 0:
            return self.online.sample(batch_size)
        if offline == batch_size:
            return self.offline.sample(batch_size)
        return Batch.concatenate([self.online.sample(batch_size - offline), self.offline.sample(offline)])
