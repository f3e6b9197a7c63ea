"""Batches mixed from two replays, as RoboFuME, Cal-QL, RLPD and HIL-SERL train online."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from policies.common.batch import Batch
from policies.replay.choices import Corrections, require_place
from policies.replay.choosing import Chosen, gathered
from policies.replay.replay import Replay
from trajectories.errors import ConfigError
from trajectories.types import Source

_OFFLINE = "offline."


class MixedReplay:
    """Draws a fixed share of every batch from offline data and the rest from online data.

    Shares between the two replays are exact in every batch; within each, `Replay.weights` says how often steps of the
    policy, of persons and of experts are drawn. A replay that a share asks for must hold something: an empty one is
    an error, never a silently different mix. A source that a replay holds nothing of leaves its draws to the others.

    With corrections "both" a person's online steps are demonstrations, too: they are drawn in the online part as
    before, and in the offline part as often as each step of the offline data (HIL-SERL, arXiv 2410.21845, whose
    learner inserts interventions into both buffers). They are drawn from where they lie in the online replay, so a
    restart that restores the replays restores them, and one that is full drops them with their episodes.
    """

    def __init__(
        self,
        online: Replay,
        offline: Replay,
        offline_ratio: float,
        corrections: Corrections = "online",
        copies: float = 1.0,
    ) -> None:
        """Mix two replays.

        Args:
            online: Filled while the robot acts.
            offline: Demonstrations and prior data.
            offline_ratio: Share of the batch drawn from `offline`, 0 ... 1.
            corrections: "online": a person's online steps are drawn in the online part alone; "both": in both.
            copies: How many times `offline` holds each recorded step (under other wordings), on average; a person's
                step is drawn as often as all copies of one.

        Raises:
            ConfigError: When the ratio is out of range, the corrections' place is unknown, or they belong to an offline
                part of no size.
        """
        if not 0 <= offline_ratio <= 1:
            raise ConfigError(f"offline_ratio={offline_ratio} is out of range; expected a share between 0 and 1")
        require_place(corrections, offline_ratio)
        self.online, self.offline, self.offline_ratio = online, offline, offline_ratio
        self.corrections, self.copies = corrections, copies
        self._seen = 0  # transitions ever added online when `_persons` was looked up
        self._persons = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        """Online transitions: what decides when updates may start."""
        return len(self.online)

    def sample(self, batch_size: int) -> Batch:
        """Draw `batch_size` transitions; `Batch.minibatches` keeps the share in each of its parts.

        Raises:
            ConfigError: When a replay that is drawn from is empty.
        """
        return gathered(self.choose(batch_size))

    def choose(self, batch_size: int) -> Chosen:
        """The same before it is gathered; see `Replay.choose`."""
        offline = round(batch_size * self.offline_ratio)
        if offline == 0:
            return self.online.choose(batch_size)
        parts = self._choose_offline(offline)
        return [*self.online.choose(batch_size - offline), *parts] if offline < batch_size else parts

    def _choose_offline(self, count: int) -> Chosen:
        """The offline part: of offline data and of a person's online steps."""
        persons = self._numbers_of_persons()
        if not len(persons):
            return self.offline.choose(count)
        further = round(len(persons) * self.copies)
        drawn, end = self.offline.draw(count, further), self.offline.added
        ours = persons[(drawn[drawn >= end] - end) * len(persons) // further]
        parts = [(self.offline, drawn[drawn < end]), (self.online, ours)]
        return [(replay, numbers) for replay, numbers in parts if len(numbers)]

    def _numbers_of_persons(self) -> Tensor:
        """Where a person's steps are in the online replay, as far as the offline part draws them: int64 (N,)."""
        if self.corrections == "both" and self._seen != self.online.added:
            self._persons = self.online.numbers(Source.PERSON).to(self.offline.storage_device)
            self._seen = self.online.added
        return self._persons

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
