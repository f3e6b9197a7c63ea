"""The recorded episodes as transitions to pre-train on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import torch

from policies.learner.pretrain_config import PretrainConfig
from policies.perception.protocol import Perception
from policies.replay.dataset import ReplayEpisode, fill_replay, for_perception_alone, under_all_wordings
from policies.replay.mixed_replay import MixedReplay
from policies.replay.replay import Replay
from trajectories.errors import ConfigError
from trajectories.types import Episode


@dataclass(frozen=True)
class OfflineData:
    """The offline episodes as transitions.

    Attributes:
        target: Of the target task.
        prior: Of the other tasks; None when there are none.
    """

    target: Replay
    prior: Replay | None

    def mixed(self, target_share: float) -> MixedReplay:
        """Batches of which `target_share` are of the target task."""
        if self.prior is None:
            return MixedReplay(self.target, self.target, 1.0)
        return MixedReplay(self.prior, self.target, target_share)


def _acted(episodes: Iterable[Episode]) -> Iterator[Episode]:
    return (episode for episode in episodes if not for_perception_alone(episode))


def offline_data(
    episodes: Iterable[Episode],
    task: str,
    perception: Perception,
    config: PretrainConfig,
    seed: int,
    device: torch.device | str = "cpu",
) -> OfflineData:
    """Demonstrations, failures and prior data (not play) as transitions.

    Args:
        episodes: Those of one id one after the other: an episode and its copies under other wordings.
        task: The target task.
        perception: How the policy sees.
        config: Discount, and where transitions are kept.
        seed: Of the draws.
        device: Where batches arrive.

    Raises:
        ConfigError: When no episode is of the target task.
    """
    gamma, fields, replay = config.agent.gamma, perception.fields, config.replay
    target: list[ReplayEpisode] = []
    prior: list[ReplayEpisode] = []
    for name, copies in groupby(_acted(episodes), key=lambda episode: episode.task):
        kind = target if name == task else prior
        kind += under_all_wordings(copies, perception, gamma)
    if not target:
        raise ConfigError(
            f"No episode shows the target task {task!r} (play teaches the encoder only). Record demonstrations."
        )
    return OfflineData(
        fill_replay(target, fields, gamma, device=device, seed=seed, settings=replay),
        fill_replay(prior, fields, gamma, device=device, seed=seed + 1, settings=replay) if prior else None,
    )
