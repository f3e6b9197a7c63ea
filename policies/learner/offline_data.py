"""The recorded episodes as transitions to pre-train on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from policies.common.ranks import ALONE, Ranks
from policies.learner.pretrain_config import PretrainConfig
from policies.learner.recorded_data import RecordedData
from policies.learner.store_shares import StoreShares
from policies.perception.protocol import Perception
from policies.replay.dataset import ReplayEpisode, fill_replay, under_all_wordings
from policies.replay.mixed_replay import MixedReplay
from policies.replay.replay import Replay
from trajectories.errors import ConfigError
from trajectories.kinds import teaches_actions
from trajectories.types import Episode


@dataclass(frozen=True)
class OfflineData:
    """The offline episodes as transitions.

    Attributes:
        target: Of the target task; None when there are none.
        prior: Of the other tasks; None when there are none. There are some of one kind at least.
    """

    target: Replay | None
    prior: Replay | None

    @property
    def transitions(self) -> dict[str, int]:
        """How many there are of each kind."""
        return {"target": len(self.target or ()), "prior": len(self.prior or ())}

    def mixed(self, target_share: float) -> MixedReplay:
        """Batches of which `target_share` are of the target task, where there are both kinds."""
        if self.target is None or self.prior is None:
            share, only = (1.0, self.target) if self.prior is None else (0.0, self.prior)
            if only is None:
                raise ConfigError(
                    "There is no episode to learn actions from: play teaches the encoder only. Add demos."
                )
            return MixedReplay(only, only, share)
        return MixedReplay(self.prior, self.target, target_share)


@dataclass(frozen=True)
class SharedOfflineData:
    """The offline episodes of several stores as transitions, each store with a share of every batch.

    Attributes:
        stores: Of the stores that have a share.
        shares: Theirs, together 1.
    """

    stores: Sequence[OfflineData]
    shares: Sequence[float]

    @property
    def transitions(self) -> dict[str, int]:
        """How many there are of each kind."""
        each = [store.transitions for store in self.stores]
        return {kind: sum(counts[kind] for counts in each) for kind in ("target", "prior")}

    def mixed(self, target_share: float) -> StoreShares:
        """Batches with these shares; of each store's part `target_share` are of the target task, where it has both."""
        return StoreShares([store.mixed(target_share) for store in self.stores], self.shares)


def _acted(episodes: Iterable[Episode]) -> Iterator[Episode]:
    return (episode for episode in episodes if teaches_actions(episode))


def offline_data(
    episodes: Iterable[Episode],
    task: str,
    perception: Perception,
    config: PretrainConfig,
    seed: int,
    device: torch.device | str = "cpu",
    *,
    any_task: bool = False,
    ranks: Ranks = ALONE,
) -> OfflineData:
    """Demonstrations, failures and prior data (not play) as transitions.

    Args:
        episodes: Those of one id one after the other: an episode and its copies under other wordings.
        task: The target task.
        perception: How the policy sees.
        config: Discount, and where transitions are kept.
        seed: Of the draws.
        device: Where batches arrive.
        any_task: Do without episodes of the target task, or without any.
        ranks: Processes that share the transitions; all read all episodes.

    Raises:
        ConfigError: When no episode is of the target task.
    """
    gamma, fields, replay = config.agent.gamma, perception.fields, config.replay
    target: list[ReplayEpisode] = []
    prior: list[ReplayEpisode] = []
    frames = {True: 0, False: 0}
    for name, copies in groupby(_acted(episodes), key=lambda episode: episode.task):
        wanted = name == task
        for episode in under_all_wordings(copies, perception, gamma):
            (target if wanted else prior).append(episode.thinned(ranks, frames[wanted]))
            frames[wanted] += len(episode) + 1
            ranks.alive()
    if not target and not any_task:
        raise _no_target(task)
    filled = [
        fill_replay(kind, fields, gamma, device=device, seed=seed + i, settings=replay, ranks=ranks) if kind else None
        for i, kind in enumerate((target, prior))
    ]
    return OfflineData(*filled)


def shared_offline_data(
    data: RecordedData,
    shares: Sequence[float],
    perception: Perception,
    config: PretrainConfig,
    seed: int,
    device: torch.device | str = "cpu",
    ranks: Ranks = ALONE,
) -> SharedOfflineData:
    """The transitions of each store that has a share; arguments and errors as `offline_data`.

    Raises:
        ConfigError: When no store with a share shows the target task, or one has nothing to learn actions from.
    """
    stores: list[OfflineData] = []
    kept = [(store, share) for store, share in zip(data.stores, shares, strict=True) if share > 0]
    for i, (store, share) in enumerate(kept):
        episodes = data.training([store])
        part = offline_data(episodes, data.task, perception, config, seed + 2 * i, device, any_task=True, ranks=ranks)
        if part.target is None and part.prior is None:
            raise ConfigError(
                f"{store.path} has the share {share:g} of each batch and no episode to learn actions from (play "
                "teaches the encoder only). Give it the share 0."
            )
        stores.append(part)
    if all(part.target is None for part in stores):
        raise _no_target(data.task)
    return SharedOfflineData(stores, [share for _, share in kept])


def _no_target(task: str) -> ConfigError:
    return ConfigError(
        f"No episode shows the target task {task!r} (play teaches the encoder only). Record demonstrations."
    )
