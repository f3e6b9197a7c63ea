"""The offline data that a method keeps while it learns online."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from policies.learner.learner_config import LearnerConfig
from policies.perception.protocol import Perception
from policies.perception.rewording import Wordings, reworded
from policies.replay.dataset import ReplayEpisode, fill_replay, kept_offline, read_all, under_all_wordings
from policies.replay.mixed_replay import MixedReplay
from policies.replay.replay import Replay
from policies.replay.replay_settings import ReplaySettings
from policies.replay.shaping import Shaping
from trajectories.alignment import EpisodeSource


@dataclass(frozen=True)
class KeptData:
    """Recorded episodes that are drawn from beside those that the robot goes on recording.

    The target task's are held once under each wording, as in pre-training. Under their own wording alone, a wording of
    which only failures were recorded would tell the critics that nothing succeeds under it.

    Attributes:
        stores: Demonstrations, failures, prior data; what is for perception alone is left out.
        task: The target task; None takes every task for it.
        wordings: Direction -> instructions of the target task that mean the same; empty leaves each episode its own.
    """

    stores: Sequence[EpisodeSource] = ()
    task: str | None = None
    wordings: Wordings = field(default_factory=dict)

    def mix(self, online: Replay, perception: Perception, config: LearnerConfig, seed: int) -> Replay | MixedReplay:
        """Where batches come from: `online` alone, or mixed with the data that the settings keep.

        Every rank of `online` reads the data.

        Args:
            online: The run's own replay.
            perception: What frames come through.
            config: Share of the data in batches, which data, what their progress is worth, and where they are kept.
            seed: Of the draws.

        Raises:
            ConfigError: There are no such data, a wording is unknown to the policy, or rewards are shaped by progress
                and an episode says none.
        """
        if config.retention == 0:
            return online
        kept: list[ReplayEpisode] = []
        shaping = Shaping(config.shaping)
        recorded = frames = 0
        for episode in kept_offline(read_all(self.stores), self.task, config.offline):
            recorded += len(episode)
            copies = reworded([episode], self.task or episode.task, self.wordings)
            for copied in under_all_wordings(copies, perception, online.gamma, shaping):
                kept.append(copied.thinned(online.ranks, frames))
                frames += len(copied) + 1
            online.ranks.alive()
        settings = ReplaySettings(online.n_step, config.replay_device)
        filled = fill_replay(
            kept, perception.fields, online.gamma, device=online.device, seed=seed, settings=settings,
            ranks=online.ranks,
        )  # fmt: skip
        return MixedReplay(online, filled, config.retention, config.corrections, copies=len(filled) / recorded)
