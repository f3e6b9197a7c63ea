"""Batches mixed from two replays, as RoboFuME, Cal-QL and RLPD train online."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from policies.common.batch import Batch
from policies.replay.replay import Replay
from trajectories.errors import ConfigError

_OFFLINE = "offline."


class MixedReplay:
    """Draws a fixed share of every batch from offline data and the rest from online data.

    Shares between the two replays are exact in every batch; within each, `Replay.weights` says how often steps of the
    policy, of persons and of experts are drawn. A replay that a share asks for must hold something: an empty one is
    an error, never a silently different mix. A source that a replay holds nothing of leaves its draws to the others.
    """

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

    def state_dict(self) -> dict[str, Tensor]:
        """The state of both replays' draws; see `Replay.state_dict`."""
        offline = {_OFFLINE + name: tensor for name, tensor in self.offline.state_dict().items()}
        return self.online.state_dict() | offline

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore both replays' draws, once both hold the same episodes again.

        Raises:
            ConfigError: As `Replay.load_state_dict`, or when the state is of a single replay.
        """
        offline = {name.removeprefix(_OFFLINE): tensor for name, tensor in state.items() if name.startswith(_OFFLINE)}
        if not offline:
            raise ConfigError(
                "this state was saved without offline data and is now restored with some; go on with the method that "
                "the run began with, or from a new seed"
            )
        self.online.load_state_dict(state)
        self.offline.load_state_dict(offline)
